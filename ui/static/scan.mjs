// The check page: a scanner that types may type anywhere, a camera reads where the
// browser can, and a photo goes to the box as soon as it is taken.

const form = document.querySelector('form[data-verify]');
const field = form.elements.text;
// Ready for the next card, without scrolling a verdict out of sight.
field.focus({ preventScroll: true });

// A wedge scanner is a keyboard that is faster than any hand: characters less than
// 50 ms apart, then Enter. Its text goes into the field wherever the focus is.
let typed = '';
let last = 0;
addEventListener('keydown', (e) => {
  if (e.target === field || e.ctrlKey || e.altKey || e.metaKey) return;
  const now = performance.now();
  if (now - last > 50) typed = '';
  last = now;
  if (e.key === 'Enter' && typed.length > 5) {
    e.preventDefault();
    send(typed);
  } else if (e.key.length === 1) {
    typed += e.key;
  }
}, true);

function send(text) {
  field.value = text;
  form.requestSubmit();
}

// Photo: made smaller first, so that it is quick over a crowded network.
const photo = document.querySelector('form[data-photo]');
const file = photo?.elements.photo;
file?.addEventListener('change', async () => {
  if (!file.files.length) return;
  try {
    const bitmap = await createImageBitmap(file.files[0]);
    const scale = Math.min(1, 2200 / Math.max(bitmap.width, bitmap.height));
    if (scale < 1) {
      const canvas = document.createElement('canvas');
      canvas.width = bitmap.width * scale;
      canvas.height = bitmap.height * scale;
      canvas.getContext('2d').drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      const blob = await new Promise((done) => canvas.toBlob(done, 'image/jpeg', 0.9));
      const swap = new DataTransfer();
      swap.items.add(new File([blob], 'card.jpg', { type: 'image/jpeg' }));
      file.files = swap.files;
    }
  } catch { /* sent as it is; the box says what it cannot read */ }
  photo.requestSubmit();
});

// Live camera, on a secure page. The browser's own detector where there is one;
// elsewhere the box looks at one picture after the other.
const start = document.querySelector('[data-camera]');
const see = start && isSecureContext && navigator.mediaDevices ? await reader() : null;
if (see) start.hidden = false;

async function reader() {
  if ('BarcodeDetector' in window) {
    const formats = await BarcodeDetector.getSupportedFormats().catch(() => []);
    if (formats.includes('qr_code')) {
      const detector = new BarcodeDetector({ formats: ['qr_code'] });
      return async (eye) => {
        const found = await detector.detect(eye).catch(() => []);
        const text = (found.find((f) => f.rawValue.startsWith('WP1:')) ?? found[0])?.rawValue;
        return text && (() => send(text));
      };
    }
  }
  return photo && byBox;
}

// The box finds a card in the picture or answers that there is none. The picture it
// was found in is then sent as a photo, which shows the verdict.
async function byBox(eye) {
  const scale = Math.min(1, 1000 / Math.max(eye.videoWidth, eye.videoHeight));
  const canvas = document.createElement('canvas');
  canvas.width = eye.videoWidth * scale;
  canvas.height = eye.videoHeight * scale;
  canvas.getContext('2d').drawImage(eye, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((done) => canvas.toBlob(done, 'image/jpeg', 0.8));
  const answer = await fetch('/api/v1/tokens/photo', {
    method: 'POST', body: blob, headers: { 'Content-Type': 'image/jpeg', 'X-CSRF-Token': photo.elements.csrf.value },
  }).catch(() => ({ status: 0 }));
  if (answer.status === 401 || answer.status === 403) location.reload(); // to the sign-in
  if (!answer.ok) {
    await new Promise((done) => setTimeout(done, answer.status === 404 ? 250 : 1500)); // a busy box gets its rest
    return null;
  }
  return () => {
    const taken = new DataTransfer();
    taken.items.add(new File([blob], 'card.jpg', { type: 'image/jpeg' }));
    file.files = taken.files;
    photo.requestSubmit();
  };
}

start?.addEventListener('click', async () => {
  const eye = document.querySelector('video');
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment', width: { ideal: 1280 } } });
  } catch {
    document.querySelector('[data-camera-refused]').hidden = false;
    return;
  }
  start.hidden = true;
  eye.hidden = false;
  eye.srcObject = stream;
  await eye.play();
  const end = Date.now() + 120_000; // a camera left on would keep somebody signed in
  const look = async () => {
    if (Date.now() > end) {
      for (const t of stream.getTracks()) t.stop();
      eye.hidden = true;
      start.hidden = false;
      return;
    }
    const done = document.hidden ? null : await see(eye);
    if (done) {
      for (const t of stream.getTracks()) t.stop();
      navigator.vibrate?.(60);
      done();
      return;
    }
    setTimeout(look, 120);
  };
  look();
});
