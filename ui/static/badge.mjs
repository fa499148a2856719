// A badge says whose it is: its code goes into the field for the name. It proves nothing.
const start = document.querySelector('[data-badge]');
const eye = document.querySelector('video');
const user = document.querySelector('[name=user]');
const able = start && isSecureContext && navigator.mediaDevices && 'BarcodeDetector' in window &&
  (await BarcodeDetector.getSupportedFormats().catch(() => [])).includes('qr_code');
if (able) start.hidden = false;

start?.addEventListener('click', async () => {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
  } catch {
    start.hidden = true;
    return user.focus();
  }
  const detector = new BarcodeDetector({ formats: ['qr_code'] });
  start.hidden = true;
  eye.hidden = false;
  eye.srcObject = stream;
  await eye.play();
  const end = Date.now() + 60_000;
  const look = async () => {
    const text = (await detector.detect(eye).catch(() => [])).map((f) => f.rawValue).find((t) => t.startsWith('WPS1:'));
    if (!text && Date.now() < end) return setTimeout(look, 200);
    for (const t of stream.getTracks()) t.stop();
    eye.hidden = true;
    start.hidden = false;
    if (text) {
      user.value = text.slice(5);
      document.querySelector('[name=passphrase]').focus();
    }
  };
  look();
});
