package ui

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/waypost/waypost/ui/locale"
)

// page is a parsed page with what the checks ask for again and again.
type page struct {
	t      *testing.T
	all    []*html.Node
	ids    map[string]bool
	labels map[string]bool // ids some label is for
}

func parsePage(t *testing.T, data []byte) *page {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	p := &page{t: t, ids: map[string]bool{}, labels: map[string]bool{}}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		p.all = append(p.all, n)
		if id := attr(n, "id"); id != "" {
			if p.ids[id] {
				t.Errorf("the id %s is there twice", id)
			}
			p.ids[id] = true
		}
		if n.Data == "label" && attr(n, "for") != "" {
			p.labels[attr(n, "for")] = true
		}
	}
	return p
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hasAttr(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.TrimSpace(b.String())
}

func within(n *html.Node, tag string) *html.Node {
	for up := n.Parent; up != nil; up = up.Parent {
		if up.Data == tag {
			return up
		}
	}
	return nil
}

// rawKey is a key that was shown instead of its sentence.
var rawKey = regexp.MustCompile(`^[a-z]+(\.[a-z_0-9]+)+$`)

// inspect is what every page must have in every state and language.
func inspect(t *testing.T, data []byte, lang locale.Language) {
	t.Helper()
	p := parsePage(t, data)
	if bytes.Contains(data, []byte("&lt;no value&gt;")) || bytes.Contains(data, []byte("ZgotmplZ")) {
		t.Error("a value is missing or was refused by the template")
	}
	headings := 0
	for _, n := range p.all {
		switch n.Data {
		case "html":
			if attr(n, "lang") != lang.Tag() || attr(n, "dir") != lang.Dir() {
				t.Errorf("lang %q and dir %q are not those of %s", attr(n, "lang"), attr(n, "dir"), lang.Tag())
			}
		case "h1":
			headings++
		case "title", "button", "a", "legend", "label":
			if textOf(n) == "" && attr(n, "aria-label") == "" {
				t.Errorf("a <%s> says nothing: %v", n.Data, n.Attr)
			}
		case "style":
			t.Error("inline style sheet")
		case "script":
			if !strings.HasPrefix(attr(n, "src"), "/static/") || n.FirstChild != nil {
				t.Error("inline script")
			}
		case "form":
			p.form(n)
		case "input", "select", "textarea":
			p.labelled(n)
		case "svg":
			if attr(n, "aria-hidden") != "true" && attr(n, "role") != "img" && within(n, "div") == nil {
				t.Error("a picture without words")
			}
		case "img":
			if !hasAttr(n, "alt") {
				t.Error("an image without alt")
			}
		}
		p.attributes(n)
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			if c.Type == html.TextNode && rawKey.MatchString(strings.TrimSpace(c.Data)) && n.Data != "script" {
				t.Errorf("the key %s is shown", strings.TrimSpace(c.Data))
			}
		}
	}
	if headings != 1 {
		t.Errorf("%d main headings", headings)
	}
}

// form: whatever changes something carries the key of the session.
func (p *page) form(n *html.Node) {
	if attr(n, "method") != "post" || !slices.ContainsFunc(p.all, func(x *html.Node) bool { return x.Data == "nav" && attr(x, "class") == "nav" }) {
		return // a search, or a page for people who are not signed in
	}
	for d := range n.Descendants() {
		if d.Data == "input" && attr(d, "name") == "csrf" && attr(d, "value") != "" {
			return
		}
	}
	p.t.Errorf("the form %s has no csrf", attr(n, "action"))
}

func (p *page) labelled(n *html.Node) {
	if attr(n, "type") == "hidden" {
		return
	}
	if !p.labels[attr(n, "id")] && within(n, "label") == nil && attr(n, "aria-label") == "" {
		p.t.Errorf("the field %s has no label", attr(n, "name"))
	}
	if typ := attr(n, "type"); (typ == "radio" || typ == "checkbox") && within(n, "fieldset") == nil && strings.Count(attr(n, "name"), ".") == 0 && attr(n, "name") != "name_unknown" {
		p.t.Errorf("the choice %s stands in no group", attr(n, "name"))
	}
}

func (p *page) attributes(n *html.Node) {
	for _, a := range n.Attr {
		switch {
		case strings.HasPrefix(a.Key, "on"), a.Key == "style":
			p.t.Errorf("<%s %s> is inline", n.Data, a.Key)
		case a.Key == "aria-describedby":
			for id := range strings.FieldsSeq(a.Val) {
				if !p.ids[id] {
					p.t.Errorf("%s is described by %s, which is not there", attr(n, "name"), id)
				}
			}
		case a.Key == "for" && !p.ids[a.Val]:
			p.t.Errorf("a label is for %s, which is not there", a.Val)
		case (a.Key == "href" || a.Key == "src") && strings.HasPrefix(a.Val, "#") && !p.ids[a.Val[1:]]:
			p.t.Errorf("a link leads to %s, which is not there", a.Val)
		case (a.Key == "href" || a.Key == "src" || a.Key == "action") && strings.HasPrefix(a.Val, "//"):
			p.t.Errorf("%s leads elsewhere", a.Val)
		case (a.Key == "placeholder" || a.Key == "title" || a.Key == "aria-label" || a.Key == "alt") && rawKey.MatchString(a.Val):
			p.t.Errorf("the key %s is shown", a.Val)
		case a.Key == "list" && !p.ids[a.Val]:
			p.t.Errorf("the list %s is not there", a.Val)
		}
	}
}

// Budgets of design/journeys.md 4.1, in bytes after gzip.
const (
	firstLoad  = 60 << 10
	repeatLoad = 8 << 10
	jsBudget   = 15 << 10
	cssBudget  = 10 << 10
)

func gzipped(t *testing.T, data []byte) int {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Len()
}

func TestBudgets(t *testing.T) {
	p, c := gallery(t)
	js, css, rest := 0, 0, 0
	for name, a := range p.assets {
		n := len(a.plain)
		if a.gz != nil {
			n = len(a.gz)
		}
		switch {
		case strings.HasSuffix(name, ".mjs"):
			js += n
		case strings.HasSuffix(name, ".css"):
			css += n
		default:
			rest += n
		}
	}
	t.Logf("scripts %d, style %d, pictures %d bytes", js, css, rest)
	if js > jsBudget || css > cssBudget {
		t.Errorf("scripts %d (at most %d), style %d (at most %d)", js, jsBudget, css, cssBudget)
	}
	for _, lang := range c.All() {
		for _, pic := range pictures() {
			html, err := p.render(galleryView(lang, pic))
			if err != nil {
				t.Fatal(err)
			}
			n := gzipped(t, html)
			if n > 5000 || pic.page == "home/home" && lang.Tag() == "en" {
				t.Logf("%s/%s: %d bytes, %d gzipped", lang.Tag(), pic.name, len(html), n)
			}
			if n+js+css+rest > firstLoad || n > repeatLoad && pic.page != "people/new" && pic.page != "people/edit" && pic.page != "people/member" {
				t.Errorf("%s/%s is %d bytes", lang.Tag(), pic.name, n)
			}
		}
	}
}

// said is where a page asks for a sentence by its whole key.
var said = regexp.MustCompile(`[.$]T "([a-z0-9_.-]+)"`)

// A key without a sentence is shown as it is, so a page that asks for one that was taken
// away shows it to people, also in a part that no picture reaches.
func TestPagesAskForSentencesThatExist(t *testing.T) {
	_, c := gallery(t)
	pages, err := filepath.Glob(filepath.Join("templates", "*", "*.html"))
	if err != nil || len(pages) < 50 {
		t.Fatal(len(pages), err)
	}
	frame, err := filepath.Glob(filepath.Join("templates", "*.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(pages, frame...) {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range said.FindAllSubmatch(raw, -1) {
			if key := string(m[1]); !c.For("en").Has(key) {
				t.Errorf("%s asks for %s, and no language has it", name, key)
			}
		}
	}
}
