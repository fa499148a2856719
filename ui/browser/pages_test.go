package browser

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestBrowserEveryPage follows the links a signed-in lead sees, two clicks from home,
// in a left-to-right and a right-to-left language.
func TestBrowserEveryPage(t *testing.T) {
	needsChromium(t)
	b := openedBox(t, "North gate")
	ctx, seen := phone(t, []string{b.http})
	run(t, ctx, "signing in", signIn(b.http))
	run(t, ctx, "a family", see(b.http+"/people/new", `[name="members.0.given_name"]`), write(`[name="members.0.given_name"]`, "Wilhelmina Alexandrovna"), write(`[name="family_name"]`, "Papadopoulou-Konstantinidou"),
		press(`button[name="more"]`, `[name="members.1.given_name"]`), write(`[name="members.1.given_name"]`, "محمد"), press(`button.main[name="save"]`, `form[action$="/cards"] button`),
		press(`form[action$="/cards"] button`, ".cr80"))
	seen.quiet(t, "before the walk")
	for _, lang := range []struct{ tag, dir string }{{"en", "ltr"}, {"ar", "rtl"}} {
		t.Run(lang.tag, func(t *testing.T) {
			run(t, ctx, "the language", see(b.http+"/lang/"+lang.tag+"?to=%2F", `html[lang="`+lang.tag+`"] main`))
			looked := walk(t, ctx, b, func(path string) { inspect(t, ctx, seen, lang.tag, lang.dir, path) })
			if len(looked) < 20 {
				t.Errorf("only %d pages are linked from home: %v", len(looked), looked)
			}
			t.Logf("%d pages: %s", len(looked), strings.Join(looked, " "))
		})
	}
	seen.check(t)
}

// TestBrowserFirstPages: whoever starts a box may read it in their own language from
// the first page on; choosing it must not lose the claim code.
func TestBrowserFirstPages(t *testing.T) {
	needsChromium(t)
	b := newBox(t)
	ctx, seen := phone(t, []string{b.http})
	run(t, ctx, "first page", see(b.first(), `a[href^="/start"]`))
	for _, lang := range []struct{ tag, dir string }{{"ar", "rtl"}, {"fr", "ltr"}, {"es", "ltr"}, {"en", "ltr"}} {
		run(t, ctx, lang.tag, press(`a[hreflang="`+lang.tag+`"]`, `html[lang="`+lang.tag+`"] a[href^="/start"]`))
		inspect(t, ctx, seen, lang.tag, lang.dir, "/")
		for _, path := range []string{"/start", "/join", "/practise"} {
			run(t, ctx, path, press(`a[href^="`+path+`"]`, `form[action="`+path+`"]`))
			inspect(t, ctx, seen, lang.tag, lang.dir, "/first"+path)
			run(t, ctx, "back", press(`form[action="`+path+`"] a.btn`, `a[href^="/start"]`))
		}
	}
	seen.check(t)
}

// mostPages keeps a walk short; no more hang together within two clicks.
const mostPages = 60

// walk opens every page within two clicks of home.
func walk(t *testing.T, ctx context.Context, b box, look func(path string)) []string {
	t.Helper()
	depth := map[string]int{"/": 0}
	queue := []string{"/"}
	for i := 0; i < len(queue) && i < mostPages; i++ {
		path := queue[i]
		run(t, ctx, path, see(b.http+path, "main"))
		look(path)
		if depth[path] == 2 {
			continue
		}
		var links []string
		run(t, ctx, "links of "+path, chromedp.Evaluate(`[...document.querySelectorAll('a[href]:not([download])')].map((a) => a.href)`, &links))
		for _, link := range links {
			to, ok := pageOf(b, link)
			if _, known := depth[to]; ok && !known {
				depth[to] = depth[path] + 1
				queue = append(queue, to)
			}
		}
	}
	return queue
}

// pageOf is the path of a link to a page of this box. Choosing a language is no page,
// and the certificate is a file.
func pageOf(b box, link string) (string, bool) {
	u, err := url.Parse(link)
	if err != nil || u.Scheme+"://"+u.Host != b.http || strings.HasPrefix(u.Path, "/lang/") || strings.HasPrefix(u.Path, "/ca.") {
		return "", false
	}
	u.Fragment = ""
	return strings.TrimPrefix(u.String(), b.http), true
}

// facts are what every page must have.
type facts struct {
	Lang, Dir, Title string
	Over             int      // how far it scrolls sideways
	Out              []string // what stands outside the screen
	Raw              []string // keys of the catalogue that were shown as they are
	Mute             int      // fields, buttons and links without a name
	Turned           []string // dates that right-to-left text turned around
}

const measure = `(() => {
  const turned = [];
  for (const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); texts.nextNode();) {
    for (const date of texts.currentNode.data.matchAll(/\d{4}-\u2060?\d\d-\u2060?\d\d/g)) {
      const [year, day] = [[0, 4], [date[0].length - 2, date[0].length]].map(([from, to]) => {
        const r = document.createRange();
        r.setStart(texts.currentNode, date.index + from);
        r.setEnd(texts.currentNode, date.index + to);
        return r.getBoundingClientRect();
      });
      if (year.top === day.top && year.left > day.left) turned.push(date[0]);
    }
  }
  const seen = (e) => e.checkVisibility() && !e.closest('.sr, .skip, .preview, .scroll'); // hidden, or made to scroll by itself
    return {
    lang: document.documentElement.lang, dir: document.documentElement.dir, title: document.title,
    over: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    out: [...document.querySelectorAll('main *, header *, footer *')].filter(seen).filter((e) => { const r = e.getBoundingClientRect(); return r.width > 1 && (r.left < -1 || r.right > innerWidth + 1); }).map((e) => e.outerHTML.slice(0, 120)),
    raw: document.body.innerText.match(/\b(?:[a-z_]+\.){2,}[a-z_]+\b|<no value>|%!\w\(/g) ?? [],
    turned, mute: [...document.querySelectorAll('a, button, input:not([type=hidden]), select, textarea')].filter(seen).filter((e) => !(e.innerText?.trim() || e.getAttribute('aria-label') || e.labels?.length)).length,
  };
})()`

func inspect(t *testing.T, ctx context.Context, seen *traffic, tag, dir, path string) {
	t.Helper()
	var f facts
	run(t, ctx, path, chromedp.Evaluate(measure, &f))
	if f.Lang != tag || f.Dir != dir || f.Title == "" {
		t.Errorf("%s: lang %q, dir %q, title %q", path, f.Lang, f.Dir, f.Title)
	}
	if f.Over > 0 || len(f.Out) > 0 {
		t.Errorf("%s scrolls sideways by %d px; outside stand %s", path, f.Over, strings.Join(f.Out, "\n"))
	}
	if len(f.Raw) > 0 {
		t.Errorf("%s shows %v", path, f.Raw)
	}
	if f.Mute > 0 {
		t.Errorf("%s has %d things to press or fill in that have no name", path, f.Mute)
	}
	if len(f.Turned) > 0 {
		t.Errorf("%s shows dates back to front: %v", path, f.Turned)
	}
	seen.quiet(t, path)
	full(t, ctx, tag+regexp.MustCompile(`[^a-z]+`).ReplaceAllString(path, "-"))
}

// full writes a picture of the whole page where WAYPOST_SHOTS names a folder.
func full(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("WAYPOST_SHOTS")
	if dir == "" {
		return
	}
	var png []byte
	run(t, ctx, name, chromedp.FullScreenshot(&png, 100))
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		t.Fatal(err)
	}
}
