package ui

import (
	"fmt"
	"html/template"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/waypost/waypost/ui/locale"
)

// rewrite gives a copy of a page's model with every text in it replaced by what change
// says, who is told where it stands; things in one list stand in one place. Markup of our own (template.HTML and its like) and unexported fields stay.
func rewrite(v reflect.Value, at string, change func(at, was string) string) reflect.Value {
	switch v.Kind() {
	case reflect.String:
		if v.Type().PkgPath() == reflect.TypeFor[template.HTML]().PkgPath() {
			return v
		}
		out := reflect.New(v.Type()).Elem()
		out.SetString(change(at, v.String()))
		return out
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return v
		}
		inner := rewrite(v.Elem(), at, change)
		out := reflect.New(v.Type()).Elem()
		if v.Kind() == reflect.Interface {
			out.Set(inner)
			return out
		}
		p := reflect.New(inner.Type())
		p.Elem().Set(inner)
		out.Set(p)
		return out
	case reflect.Struct:
		out := reflect.New(v.Type()).Elem()
		out.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(rewrite(v.Field(i), at+"."+v.Type().Field(i).Name, change))
			}
		}
		return out
	case reflect.Slice:
		if v.IsNil() || v.Type().Elem().Kind() == reflect.Uint8 {
			return v
		}
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(rewrite(v.Index(i), at, change))
		}
		return out
	case reflect.Array:
		out := reflect.New(v.Type()).Elem()
		out.Set(v)
		for i := range v.Len() {
			out.Index(i).Set(rewrite(v.Index(i), at, change))
		}
		return out
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeMap(v.Type())
		for _, k := range v.MapKeys() {
			out.SetMapIndex(k, rewrite(v.MapIndex(k), at+"."+fmt.Sprint(k), change))
		}
		return out
	}
	return v
}

// dressed is a picture with its texts changed: those of the model and those of the frame
// that somebody typed once.
func dressed(lang locale.Language, pic picture, change func(at, was string) string) *view {
	v := galleryView(lang, pic)
	if v.D != nil {
		v.D = rewrite(reflect.ValueOf(v.D), "D", change).Interface()
	}
	v.Site.Deployment, v.Site.Site, v.Query = change("Deployment", v.Site.Deployment), change("Site", v.Site.Site), change("Query", v.Query)
	if v.User != "" {
		v.User = change("User", v.User)
	}
	return v
}

// learn adds to shown the places of a picture's texts that stand on its page as they are;
// the others choose a word, an icon or a colour, or are not shown.
func learn(t *testing.T, p *pages, lang locale.Language, pic picture, shown map[string]bool) {
	t.Helper()
	plain, err := p.render(galleryView(lang, pic))
	must(t, err)
	text := html.UnescapeString(string(plain))
	maybe := map[string]bool{} // most texts that are not on the page choose something; the rest is tried
	dressed(lang, pic, func(at, was string) string {
		if was != "" && !shown[at] && strings.Contains(text, was) {
			maybe[at] = true
		}
		return was
	})
	for place := range maybe {
		page, err := p.render(dressed(lang, pic, func(at, was string) string {
			if at == place {
				return "Wpxmark"
			}
			return was
		}))
		if err == nil && strings.Contains(string(page), "Wpxmark") {
			shown[place] = true
		}
	}
}

// TestNothingOnAnyPageEverRuns puts payloads into every text of every page in every state
// there is a picture of: what is printed, sealed files, acts and their reasons, names of
// staff, sites and devices among them. They are put in behind everything that cleans what
// is typed, so the page alone has to hold. Nothing may run, no element or attribute appear
// that no page has, and no control character reach the screen. Each field has a few of the
// payloads here and all of them with WAYPOST_PAYLOADS=all (make payloads).
func TestNothingOnAnyPageEverRuns(t *testing.T) {
	onceOver(t)
	p, c := gallery(t)
	all, turns, lang := payloads(), 2, c.For("en")
	if os.Getenv("WAYPOST_PAYLOADS") == "all" {
		turns = len(all)
	}
	known := map[string]bool{} // an element with one of its attributes
	for _, pic := range pictures() {
		page, err := p.render(galleryView(lang, pic))
		must(t, err)
		note(t, page, func(what string) { known[what] = true })
	}
	fields, cells, places := 0, 0, map[string]map[string]bool{}
	for i, pic := range pictures() {
		shown := places[pic.page]
		if shown == nil {
			shown = map[string]bool{}
			places[pic.page] = shown
		}
		learn(t, p, lang, pic, shown)
		for turn := range turns {
			n := 0
			page, err := p.render(dressed(lang, pic, func(at, was string) string {
				if !shown[at] {
					return was
				}
				n++
				return all[(i*31+n*7+turn)%len(all)]
			}))
			if err != nil {
				t.Errorf("%s: %v", pic.name, err)
				break
			}
			if cells += n; turn == 0 {
				fields += n
			}
			where := fmt.Sprintf("%s, turn %d", pic.name, turn)
			harmless(t, where, page)
			note(t, page, func(what string) {
				if !known[what] {
					t.Errorf("%s: %s is on no page", where, what)
				}
			})
		}
	}
	var bare []string // pages that show nothing anybody typed
	for _, name := range pageNames() {
		if places[name] == nil {
			t.Errorf("%s was not looked at", name)
		} else if len(places[name]) == 0 {
			bare = append(bare, name)
		}
	}
	if len(bare) > 8 {
		t.Errorf("pages without a text: %v", bare)
	}
	if fields < 2000 {
		t.Errorf("only %d fields are shown", fields)
	}
	t.Logf("%d payloads, %d fields on %d pages, %d cells: 0 run", len(all), fields, len(places), cells)
}

// note says each element with each attribute.
func note(t *testing.T, page []byte, say func(string)) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(string(page)))
	must(t, err)
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		say("<" + n.Data + ">")
		for _, a := range n.Attr {
			say("<" + n.Data + " " + a.Key + ">")
		}
	}
}

// A template that trusts what it is given would be found.
func TestAPageThatTrustsItsTextsIsSeen(t *testing.T) {
	p, c := gallery(t)
	pic := picture{page: "people/search", data: func(speaker) any { return struct{ Name string }{"Amina"} }}
	trusting := template.Must(template.New("layout.html").Funcs(template.FuncMap{"raw": func(s string) template.HTML { return template.HTML(s) }}). //nolint:gosec // what must be found
																			Parse(`<html><body><p>{{raw .D.Name}}</p><a href="{{.D.Name}}">x</a></body></html>`))
	p.set[pic.page] = trusting
	shown := map[string]bool{}
	if learn(t, p, c.For("en"), pic, shown); !shown["D.Name"] {
		t.Fatal("what is shown is not found")
	}
	found := 0
	for _, payload := range payloads() {
		page, err := p.render(dressed(c.For("en"), pic, func(at, was string) string {
			if at == "D.Name" {
				return payload
			}
			return was
		}))
		must(t, err)
		if len(harm(t, page)) > 0 {
			found++
		}
	}
	if found < 100 {
		t.Errorf("%d payloads were noticed", found)
	}
}
