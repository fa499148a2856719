// The household form: one more person without leaving the page, Enter as "next
// field", Ctrl+Enter as "save". Nothing typed is kept anywhere but in the page.

const form = document.querySelector('form[data-household]');
const rows = () => [...form.querySelectorAll('fieldset[data-row]')];
const more = form.querySelector('button[name=more]');
const count = form.querySelector('input[name=rows]');

// written tells whether somebody put anything into a row.
const written = (row) => [...row.querySelectorAll('input, select, textarea')].some((f) =>
  f.type === 'radio' || f.type === 'checkbox' ? f.checked !== f.defaultChecked || f.defaultChecked
    : f.tagName === 'SELECT' ? false : f.value !== '');

const blank = rows().at(-1).cloneNode(true);
for (const f of blank.querySelectorAll('input, textarea')) {
  if (f.type === 'radio' || f.type === 'checkbox') f.checked = f.defaultChecked = false;
  else f.value = f.defaultValue = '';
  f.removeAttribute('aria-invalid');
  f.removeAttribute('aria-describedby');
}
for (const e of blank.querySelectorAll('.err')) e.remove();
for (const e of blank.querySelectorAll('[data-warn]')) e.hidden = true;
for (const d of blank.querySelectorAll('details')) d.open = false;

// number gives a copy of the blank row the names and ids of row n.
function number(row, n) {
  const was = row.dataset.row;
  for (const el of [row, ...row.querySelectorAll('*')]) {
    for (const a of ['id', 'name', 'for', 'href', 'aria-labelledby', 'aria-describedby']) {
      const v = el.getAttribute(a);
      if (v) el.setAttribute(a, v.replace(`members.${was}.`, `members.${n}.`).replace(`members-${was}-`, `members-${n}-`));
    }
  }
  row.dataset.row = n;
  row.querySelector('[data-n]').textContent = n + 1;
  return row;
}

function add() {
  const last = rows().at(-1);
  const row = number(blank.cloneNode(true), Number(last.dataset.row) + 1);
  last.after(row);
  count.value = Number(row.dataset.row) + 1;
  row.querySelector('input').focus();
  row.scrollIntoView({ block: 'nearest' });
}

// The page came with rows for those without scripts; here they appear on demand.
for (const row of rows().slice(1).reverse()) {
  if (written(row)) break;
  row.remove();
}
count.value = Number(rows().at(-1).dataset.row) + 1;

more.addEventListener('click', (e) => {
  e.preventDefault();
  add();
});

form.addEventListener('keydown', (e) => {
  if (e.key !== 'Enter' || e.isComposing) return;
  if (e.ctrlKey || e.metaKey) {
    e.preventDefault();
    form.requestSubmit(form.querySelector('button[name=save]'));
    return;
  }
  if (e.target.tagName !== 'INPUT') return;
  e.preventDefault();
  const fields = [...form.querySelectorAll('input:not([type=hidden]), select, textarea, button')]
    .filter((f) => f.offsetParent !== null && f.tabIndex >= 0 && (f.type !== 'radio' || f.name !== e.target.name));
  const from = e.target.type === 'radio' ? fields.findIndex((f) => e.target.compareDocumentPosition(f) & 4) : fields.indexOf(e.target) + 1;
  fields[from]?.focus();
});
