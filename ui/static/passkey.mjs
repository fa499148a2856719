// A passkey: the box's question goes to the browser, and what it answers back to the box as a
// form. Where a browser knows no passkeys the page says so, and the PIN stays.
const able = isSecureContext && 'PublicKeyCredential' in window && 'credentials' in navigator;
for (const el of document.querySelectorAll('[data-passkey-no]')) el.hidden = able;
for (const form of document.querySelectorAll('form[data-passkey]')) {
  form.hidden = !able;
  form.addEventListener('submit', (e) => { e.preventDefault(); go(form); });
}

const bytes = (text) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const named = (list) => list?.map((c) => ({ ...c, id: bytes(c.id) }));

let busy = false;
async function go(form) {
  if (busy) return;
  busy = true;
  const says = form.querySelector('[data-passkey-says]');
  says.hidden = true;
  try {
    const why = await answer(form);
    if (!why) return form.submit(); // on its way: nothing more to do here
    says.textContent = why;
  } catch (e) {
    says.textContent = e.name === 'InvalidStateError' ? says.dataset.there : says.dataset.stopped;
  }
  says.hidden = false;
  busy = false;
}

// Puts the answer into the form; or says why there is none.
async function answer(form) {
  const asked = await fetch(form.dataset.passkey, {
    method: 'POST', body: new URLSearchParams(new FormData(form)), headers: { Accept: 'application/json' },
  });
  const said = await asked.json();
  if (!asked.ok) return [said.detail, said.hint].filter(Boolean).join(' ');
  const q = said.publicKey;
  q.challenge = bytes(q.challenge);
  q.excludeCredentials = named(q.excludeCredentials);
  q.allowCredentials = named(q.allowCredentials);
  if (q.user) q.user.id = bytes(q.user.id);
  const c = q.user ? await navigator.credentials.create({ publicKey: q }) : await navigator.credentials.get({ publicKey: q });
  const response = {};
  for (const part of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle']) {
    if (c.response[part]) response[part] = text(c.response[part]);
  }
  form.elements.credential.value = JSON.stringify({ id: c.id, rawId: text(c.rawId), type: c.type, response, clientExtensionResults: {} });
  if (form.elements.passphrase) form.elements.passphrase.value = ''; // said already
  return '';
}
