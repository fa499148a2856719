// A page that nobody touches closes by itself: after a minute where it shows what is
// sealed, after twenty elsewhere. What was being typed goes to the box, which keeps it in
// memory, and comes back into the same field once somebody has shown who they are.
const idle = Number(document.body.dataset.idle) * 1000;
const csrf = document.body.dataset.csrf;
const closing = document.querySelector('[data-closing]');
const number = closing?.querySelector('bdi');
const here = () => location.pathname + location.search;

// Back from the page that asked: everything as it was, and the cursor where it was.
if (location.hash === '#held') {
  history.replaceState(null, '', here());
  const answer = await fetch('/wake/held?path=' + encodeURIComponent(here())).catch(() => null);
  if (answer?.ok) fill(await answer.json());
}

function fill({ focus, fields }) {
  const named = (name) => [...document.querySelectorAll(`form [name="${CSS.escape(name)}"]`)].filter((el) => el.type !== 'hidden' && el.type !== 'file');
  const seen = new Set();
  for (const [name, values] of Object.entries(fields)) {
    named(name).forEach((el, n) => {
      if (el.type === 'checkbox' || el.type === 'radio') el.checked = values.includes(el.value);
      else if (values[n] !== undefined) el.value = values[n];
      const folded = el.closest('details');
      if (folded && values.some((v) => v)) folded.open = true;
    });
    seen.add(name);
  }
  const at = focus && named(focus)[0];
  if (at) {
    at.focus();
    if (at.setSelectionRange && at.value) try { at.setSelectionRange(at.value.length, at.value.length); } catch { /* not a field of text */ }
  }
}

let touched = Date.now();
let told = Date.now();
for (const what of ['pointerdown', 'keydown', 'input', 'scroll', 'touchstart']) {
  addEventListener(what, () => { touched = Date.now(); }, { passive: true, capture: true });
}

const send = (path, body) => fetch(path, { method: 'POST', body, headers: { 'Content-Type': 'application/x-www-form-urlencoded', 'X-CSRF-Token': csrf } }).catch(() => null);

// What is being typed: the form with the cursor, or the first that differs from how it came.
function typed() {
  const body = new URLSearchParams();
  const forms = [...document.querySelectorAll('main form[method=post]')];
  const changed = (f) => [...f.elements].some((el) => (el.type === 'checkbox' || el.type === 'radio' ? el.checked !== el.defaultChecked : el.defaultValue !== undefined && el.value !== el.defaultValue) && el.type !== 'hidden');
  const form = [document.activeElement?.form, ...forms].find((f) => f && forms.includes(f) && changed(f));
  if (form) {
    for (const [name, value] of new FormData(form)) if (typeof value === 'string') body.append(name, value);
    body.append('_focus', document.activeElement?.name ?? '');
  }
  body.append('_path', here());
  if (idle > 60_000) body.append('_all', '1');
  return body;
}

let over = false;
async function close() {
  over = true;
  const body = typed();
  document.querySelector('main').replaceChildren(); // off the screen at once
  await send('/wake/hold', body);
  location.replace('/wake?to=' + encodeURIComponent(here()));
}

setInterval(() => {
  if (over) return;
  const now = Date.now();
  const left = idle - (now - touched);
  if (left <= 0) return close();
  if (closing) {
    closing.hidden = left > 10_000;
    number.textContent = Math.ceil(left / 1000);
  }
  // Somebody is typing: the box hears of it now and then.
  if (touched > told && now - told > Math.min(idle / 4, 120_000)) {
    told = now;
    send('/wake/stay');
  }
}, 500);
