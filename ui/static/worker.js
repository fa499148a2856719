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

// One file that does not come is no reason to do without the rest.
const fill = () => caches.open(SHELL).then((shell) => Promise.allSettled(KEEP.map((url) => shell.add(plainly(url)))));
const drop = (which) => caches.keys().then((names) => Promise.all(names.filter(which).map((name) => caches.delete(name))));

self.addEventListener('install', (e) => {
  self.skipWaiting();
  e.waitUntil(fill());
});

self.addEventListener('activate', (e) => {
  e.waitUntil(drop((name) => name !== SHELL).then(() => self.clients.claim()));
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
    e.waitUntil(drop(() => true).then(fill).then(() => answer(true), () => answer(false)));
  }
});
