package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"path"
	"regexp"
	"strings"

	"golang.org/x/net/html"
)

// load is what a phone fetches to show a page for the first time, in bytes as they
// come over the wire.
type load struct {
	total, script, scriptRaw int
	seen                     map[string]bool
}

// imported finds what a script asks for in turn.
var imported = regexp.MustCompile(`(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+)["']`)

// pages measures the first load of the pages a registrar opens all day.
func (f *figures) pages(s *served, person string) {
	c := s.signIn(figuresLead, figuresWords)
	var largest load
	var each []string
	for _, page := range []string{"/", "/people/" + person, "/people/new", "/verify"} {
		l := load{seen: map[string]bool{}}
		f.check(l.fetch(c, page, "page"))
		name := page
		if path.Dir(page) == "/people" && page != "/people/new" {
			name = "/people/{id}"
		}
		each = append(each, fmt.Sprintf("%s %.1f", name, kilo(l.total)))
		largest.total = max(largest.total, l.total)
		largest.script = max(largest.script, l.script)
		largest.scriptRaw = max(largest.scriptRaw, l.scriptRaw)
	}
	f.row("page at first load, with all it needs", "<= 60 KB", fmt.Sprintf("%.1f KB at most (%s)", kilo(largest.total), strings.Join(each, ", ")), kilo(largest.total) <= 60)
	f.row("its JavaScript", "<= 15 KB", fmt.Sprintf("%.1f KB on the wire, %.1f KB unpacked", kilo(largest.script), kilo(largest.scriptRaw)), kilo(largest.scriptRaw) <= 15)
}

func kilo(bytes int) float64 { return float64(bytes) / 1000 }

// fetch adds one file and whatever it asks for.
func (l *load) fetch(c *caller, at, kind string) error {
	if l.seen[at] {
		return nil
	}
	l.seen[at] = true
	resp, wire, err := c.do("GET", at, "", "gzip, br")
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", at, resp.Status)
	}
	plain := wire
	switch encoding := resp.Header.Get("Content-Encoding"); encoding {
	case "":
	case "gzip":
		r, err := gzip.NewReader(bytes.NewReader(wire))
		if err != nil {
			return err
		}
		if plain, err = io.ReadAll(r); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s comes as %s, which cannot be unpacked here", at, encoding)
	}
	l.total += len(wire)
	switch kind {
	case "page":
		return l.parts(c, plain)
	case "script":
		l.script += len(wire)
		l.scriptRaw += len(plain)
		for _, m := range imported.FindAllSubmatch(plain, -1) {
			if err := l.fetch(c, path.Join(path.Dir(at), string(m[1])), "script"); err != nil {
				return err
			}
		}
	}
	return nil
}

// parts fetches what the page names.
func (l *load) parts(c *caller, page []byte) error {
	for z := html.NewTokenizer(bytes.NewReader(page)); ; {
		kind := z.Next()
		if kind == html.ErrorToken {
			return nil
		}
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		token := z.Token()
		attributes := map[string]string{}
		for _, a := range token.Attr {
			attributes[a.Key] = a.Val
		}
		at, what := attributes["src"], "part"
		switch token.Data {
		case "link":
			at = attributes["href"]
		case "script":
			what = "script"
		case "img", "source", "iframe":
		default:
			continue
		}
		if at == "" || strings.HasPrefix(at, "data:") {
			continue
		}
		if err := l.fetch(c, at, what); err != nil {
			return err
		}
	}
}
