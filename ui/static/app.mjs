// Small comforts for every page. Each page works without this file.

const all = (sel, root = document) => [...root.querySelectorAll(sel)];

// What only makes sense with scripts is hidden until now.
for (const el of all('[data-print]')) {
  el.hidden = false;
  el.addEventListener('click', () => window.print());
}
for (const el of all('[data-nojs]')) el.hidden = true;
if (navigator.clipboard) {
  for (const el of all('[data-copy]')) {
    el.hidden = false;
    el.addEventListener('click', async () => {
      await navigator.clipboard.writeText(document.getElementById(el.dataset.copy).textContent.trim());
      el.textContent = el.dataset.done;
    });
  }
}

// A second tap on Save must not send the form again while the first is on its way.
for (const form of all('form[method=post]')) {
  form.addEventListener('submit', (e) => {
    if (form.dataset.sent) return e.preventDefault();
    if (e.defaultPrevented) return;
    form.dataset.sent = '1';
    form.setAttribute('aria-busy', 'true');
  });
}
// Coming back with the browser's Back button shows the page as it was left.
addEventListener('pageshow', () => {
  for (const form of all('form[data-sent]')) {
    delete form.dataset.sent;
    form.removeAttribute('aria-busy');
  }
});

// Alt with a letter opens the main places; links name their letter.
addEventListener('keydown', (e) => {
  if (!e.altKey || e.ctrlKey || e.metaKey) return;
  const link = document.querySelector(`a[data-key="${CSS.escape(e.key.toLowerCase())}"]`);
  if (link) {
    e.preventDefault();
    link.click();
  }
});

// Parts that follow the node are fetched again while somebody is looking and
// working; a page left alone stops asking, so that its session can run out.
const live = document.querySelector('[data-live]');
if (live) {
  let touched = Date.now();
  for (const what of ['pointerdown', 'keydown', 'scroll']) addEventListener(what, () => { touched = Date.now(); }, { passive: true });
  setInterval(() => {
    if (document.hidden || Date.now() - touched > 300_000 || live.contains(document.activeElement)) return;
    // XMLHttpRequest hands over a parsed document: nothing is ever made from a
    // string, as the page's Trusted Types policy demands.
    const ask = new XMLHttpRequest();
    ask.open('GET', location.href);
    ask.responseType = 'document';
    ask.setRequestHeader('X-Waypost-Look', '1'); // nobody touched anything: what is sealed must not stay open by it
    ask.addEventListener('load', () => {
      const next = ask.status === 200 && ask.response?.querySelector('[data-live]');
      // Another page stands here now: the box was locked, or the session is over.
      if (ask.status === 200 && !next) return location.reload();
      if (next && next.innerHTML !== live.innerHTML) live.replaceChildren(...next.childNodes);
    });
    ask.send(); // an error leaves what is shown: the box is off or the session over
  }, 8000);
}
