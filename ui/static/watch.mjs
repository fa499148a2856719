// A note can be read by everybody who registers: words that may not be meant for them
// are pointed out beside the field while somebody types. Nothing is sent and nothing is
// refused; without scripts the form comes back once instead. It compares as the box
// does, see registration.Watch.

const drop = /[`´ʻʾʿ‘′\u00ad\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed\u200b-\u200d\ufe00-\ufe0f]/g;
const same = { ß: 'ss', æ: 'ae', œ: 'oe', ى: 'ي', ی: 'ي', ک: 'ك', ة: 'ه', ہ: 'ه', ھ: 'ه', ٱ: 'ا', ء: '' };

export const fold = (text) => text.replace(/['’ʼ]/g, ' ').normalize('NFKD').replace(drop, '').toLowerCase()
  .replace(/[ßæœىیکةہھٱء]/g, (c) => same[c]).replace(/[^\p{L}\p{M}\p{N}]+/gu, ' ').trim();

const fronts = [['و', 'ف'], ['ب', 'ك', 'ل'], ['ال', 'ل']];

// bare is a word, and what is left of it without what Arabic writes to its front.
function bare(word) {
  const out = [word];
  if (/^[\u0600-\u06ff]/.test(word)) {
    for (const set of fronts) {
      for (const x of [...out]) {
        for (const f of set) if (x.startsWith(f) && x.length - f.length > 2) out.push(x.slice(f.length));
      }
    }
  }
  return out;
}

const fits = (word, w) => bare(word).some((x) => (w.endsWith('*') ? x.startsWith(w.slice(0, -1)) : x === w));

// finder takes the words as the box folded them, separated by commas.
export function finder(list) {
  const phrases = list.split(',').map((w) => w.trim().split(' '));
  return (text) => {
    const words = fold(text).split(' ');
    return words.some((_, i) => phrases.some((p) => p.length <= words.length - i && p.every((w, k) => fits(words[i + k], w))));
  };
}

const box = globalThis.document?.querySelector('[data-watch]');
if (box) {
  const finds = finder(box.dataset.watch);
  const form = box.closest('form');
  const look = (area) => {
    const say = area.closest('.f')?.querySelector('[data-warn]');
    if (!say) return;
    const found = finds(area.value);
    say.hidden = !found;
    if (found) form.elements.noted.value = '1'; // it was said; the form need not come back for it
  };
  form.addEventListener('input', (e) => { if (e.target.tagName === 'TEXTAREA') look(e.target); });
  form.querySelectorAll('textarea').forEach(look);
}
