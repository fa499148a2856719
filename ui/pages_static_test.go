package ui

import (
	"bytes"
	"strings"
	"testing"
)

func TestAssetsAreCachedAndCompressed(t *testing.T) {
	r := newRig(t)
	css := r.s.pages.assets["app.css"]
	a := r.ask(Public, "GET", css.url, "", "Accept-Encoding", "br, gzip")
	if a.status != 200 || a.header.Get("Content-Encoding") != "gzip" || !bytes.Equal(a.body, css.gz) || !strings.Contains(a.header.Get("Cache-Control"), "immutable") {
		t.Fatal(a.status, a.header)
	}
	a = r.ask(Public, "GET", css.url, "", "Accept-Encoding", "gzip;q=0")
	if a.header.Get("Content-Encoding") != "" || !bytes.Equal(a.body, css.plain) || a.header.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Fatal(a.header)
	}
	if a = r.ask(Public, "GET", "/static/000000000000/app.css", ""); a.status != 200 || a.header.Get("Cache-Control") != "no-store" {
		t.Fatal(a.status, a.header)
	}
	if a = r.ask(Public, "GET", "/static/x/passwd", ""); a.status != 404 {
		t.Fatal(a.status)
	}
}

// Nobody's answer may hold what another page would run: names are escaped
// wherever they are shown.
