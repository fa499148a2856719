// The service worker of a box: it keeps the style sheet, the scripts and one page that says
// the box is off, and it shows the box that this browser trusts it (ui/rung.go). Nothing
// about anybody is ever kept: pages are not, nor what they load of people.
'use strict';

const SHELL = '%SHELL%'; // a new name whenever something in it changes
const KEEP = '%KEEP%';
const OFFLINE = '%OFFLINE%';
const SECRET = '%SECRET%'; // only where the browser fetched this as a worker

// A stranger's request: no cookie, so nothing personal comes back.
const plainly = (url) => new Request(url, { credentials: 'omit' });

self.addEventListener('install', (e) => {
  self.skipWaiting();
  // One file that does not come is no reason to do without the rest.
  e.waitUntil(caches.open(SHELL).then((shell) => Promise.allSettled(KEEP.map((url) => shell.add(plainly(url))))));
});

self.addEventListener('activate', (e) => {
  e.waitUntil(caches.keys()
    .then((names) => Promise.all(names.filter((name) => name !== SHELL).map((name) => caches.delete(name))))
    .then(() => self.clients.claim()));
});

self.addEventListener('fetch', (e) => {
  const url = new URL(e.request.url);
  if (e.request.method !== 'GET' || url.origin !== self.location.origin) return;
  if (url.pathname.startsWith('/static/')) {
    e.respondWith(caches.match(url.pathname).then((kept) => kept || fetch(e.request)));
  } else if (e.request.mode === 'navigate') {
    e.respondWith(fetch(e.request).catch(() => caches.match(OFFLINE).then((kept) => kept || Response.error())));
  }
});

self.addEventListener('message', (e) => {
  const answer = (ok) => e.ports[0]?.postMessage(ok);
  if (e.data === 'proof') {
    e.waitUntil(fetch('/phone/proof', { method: 'POST', body: new URLSearchParams({ secret: SECRET }) })
      .then((r) => answer(r.ok), () => answer(false)));
  } else if (e.data === 'forget') {
    e.waitUntil(caches.keys().then((names) => Promise.all(names.map((name) => caches.delete(name)))).then(() => answer(true), () => answer(false)));
  }
});
