// Shows the box that this browser trusts its certificate: only then the browser runs a
// service worker of it. See ui/rung.go.

const line = document.querySelector('[data-rung]');
const gate = document.querySelector('[data-rung-gate]');
const worker = navigator.serviceWorker;
const policy = window.trustedTypes?.createPolicy('waypost-worker', { createScriptURL: (url) => url });

const later = (ms) => new Promise((_, no) => setTimeout(() => no(new Error('late')), ms));
const tried = { get: () => { try { return sessionStorage.rung; } catch { return ''; } }, set: (s) => { try { sessionStorage.rung = s; } catch { /* a private window */ } } };

// The newest worker, once it works.
function newest(reg) {
  const w = reg.installing || reg.waiting || reg.active;
  return new Promise((yes, no) => {
    const look = () => {
      if (w.state === 'activated') yes(w);
      if (w.state === 'redundant') no(new Error(w.state));
    };
    w.addEventListener('statechange', look);
    look();
  });
}

const ask = (w, what) => new Promise((yes) => {
  const pipe = new MessageChannel();
  pipe.port1.onmessage = (e) => yes(e.data);
  w.postMessage(what, [pipe.port2]);
});

async function prove() {
  if (!worker) throw new Error('none');
  await fetch('/phone/rung', { method: 'POST' });
  const reg = await worker.register(policy ? policy.createScriptURL('/sw.js') : '/sw.js');
  // One that is here already may have the secret of another day, and another tab may be at
  // it too: then the next one has the right secret.
  for (let left = 3; left > 0; left--) {
    await reg.update();
    const w = await newest(reg).catch(() => null);
    if (w && await ask(w, 'proof')) return;
  }
  throw new Error('refused');
}

async function climb() {
  try {
    await Promise.race([prove(), later(20_000)]);
  } catch {
    tried.set('no');
    for (const el of document.querySelectorAll('[data-rung-wait]')) el.hidden = true;
    for (const el of document.querySelectorAll('[data-rung-no]')) el.hidden = false;
    return;
  }
  tried.set('yes');
  if (gate) return location.replace(gate.dataset.rungGate);
  line.dataset.proven = 'yes';
  if (line.dataset.rung === '1') line.querySelector('span').textContent = line.dataset.next;
}

// Where it is needed it is tried at once, elsewhere once in each visit.
if (line && !line.dataset.proven && (gate || !tried.get())) climb();

// Signing out leaves nothing behind, and a phone that is handed back keeps no worker.
for (const form of document.querySelectorAll('form[action="/signout"], form[action="/phone/forget"]')) {
  form.addEventListener('submit', () => {
    tried.set('');
    if (worker?.controller) worker.controller.postMessage('forget');
    if (form.action.endsWith('/phone/forget')) worker?.getRegistrations().then((all) => all.forEach((reg) => reg.unregister()));
  });
}
