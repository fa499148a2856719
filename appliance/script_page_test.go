package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/tui"
	"github.com/waypost/waypost/ui/locale"
)

// browse is somebody who reads pages, and calls, and presses buttons on them, without a browser.
type browse struct {
	base    string
	secret  string
	cookies map[string]string
	client  *http.Client
	at      string // the path of the page
	page    string
}

// pageTool is a program for scripts: page -as USER [flags] BASE PATH [name=value…] signs in
// with the passphrase of $SECRET, opens a page and prints what it says. -link PREFIX follows
// its first link that begins so; -press SUFFIX sends its first form whose address ends so,
// with the fields given and the passphrase. The value "first" is what the first such field offers.
func pageTool() {
	set := flag.NewFlagSet("page", flag.ExitOnError)
	user := set.String("as", "", "who signs in")
	link := set.String("link", "", "follow the first link that begins so")
	press := set.String("press", "", "send the first form whose address ends so")
	_ = set.Parse(os.Args[1:])
	b := &browse{base: set.Arg(0), secret: strings.TrimSpace(string(toolRead(os.Getenv("SECRET")))), cookies: map[string]string{}}
	b.client = &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	b.open("POST", "/signin", url.Values{"user": {*user}, "passphrase": {b.secret}})
	if b.at == "/undertaking" {
		b.press("/undertaking", nil)
	}
	b.open("GET", set.Arg(1), nil)
	if *link != "" {
		m := regexp.MustCompile(`href="(` + regexp.QuoteMeta(*link) + `[^"]*)"`).FindStringSubmatch(b.page)
		if m == nil {
			toolCheck(fmt.Errorf("%s has no link %s…: %s", b.at, *link, b.text()))
		}
		b.open("GET", html.UnescapeString(m[1]), nil)
	}
	if *press != "" {
		b.press(*press, set.Args()[2:])
	}
	fmt.Println(b.text())
}

// open opens a page, and what it leads on to.
func (b *browse) open(method, path string, form url.Values) {
	for range 5 {
		req, err := http.NewRequest(method, b.base+path, strings.NewReader(form.Encode()))
		toolCheck(err)
		req.Header.Set("Accept", "text/html")
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		var all []string
		for name, value := range b.cookies {
			all = append(all, name+"="+value)
		}
		req.Header.Set("Cookie", strings.Join(all, "; "))
		resp, err := b.client.Do(req)
		toolCheck(err)
		page, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		toolCheck(err)
		for _, c := range resp.Cookies() {
			b.cookies[c.Name] = c.Value
		}
		if b.at, b.page = path, string(page); resp.StatusCode != http.StatusSeeOther {
			if resp.StatusCode != http.StatusOK {
				toolCheck(fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, b.text()))
			}
			return
		}
		to, err := resp.Location()
		toolCheck(err)
		method, path, form = "GET", to.RequestURI(), nil
	}
	toolCheck(errors.New("it leads on and on"))
}

var (
	aForm  = regexp.MustCompile(`(?s)<form[^>]*action="([^"]*)".*?</form>`)
	anItem = regexp.MustCompile(`name="([^"]*)" value="([^"]*)"`)
	aTag   = regexp.MustCompile(`(?s)<(?:style|script).*?</(?:style|script)>|<[^>]*>`)
	blanks = regexp.MustCompile(`\s+`)
	unseen = strings.NewReplacer("\u2066", "", "\u2067", "", "\u2068", "", "\u2069", "", "\u2060", "", "\u00a0", " ")
)

// press sends a form of the page.
func (b *browse) press(suffix string, fields []string) {
	for _, f := range aForm.FindAllStringSubmatch(b.page, -1) {
		action := html.UnescapeString(f[1])
		if !strings.HasSuffix(action, suffix) {
			continue
		}
		form, first := url.Values{"passphrase": {b.secret}}, map[string]string{}
		for _, i := range anItem.FindAllStringSubmatch(f[0], -1) {
			if _, seen := first[i[1]]; !seen {
				first[i[1]] = html.UnescapeString(i[2])
			}
		}
		form.Set("csrf", first["csrf"])
		for _, field := range fields {
			name, value, _ := strings.Cut(field, "=")
			if value == "first" {
				value = first[name]
			}
			form.Add(name, value)
		}
		b.open("POST", action, form)
		return
	}
	toolCheck(fmt.Errorf("%s has no form %s: %s", b.at, suffix, b.text()))
}

// text is what somebody reads on the page.
func (b *browse) text() string {
	return strings.TrimSpace(unseen.Replace(blanks.ReplaceAllString(html.UnescapeString(aTag.ReplaceAllString(b.page, " ")), " ")))
}

// screenTool is a program for scripts: screen DATA KEYS TEXT draws the dashboard of a running
// node, presses keys and fails unless it shows TEXT. It prints what it showed.
func screenTool() {
	catalogue := locale.New()
	in, keyboard := io.Pipe()
	shown := &screenful{want: os.Args[3], found: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), patience/4)
	defer cancel()
	go func() { _, _ = io.WriteString(keyboard, os.Args[2]) }()
	go func() {
		select {
		case <-shown.found:
		case <-ctx.Done():
		}
		cancel()
	}()
	toolCheck(tui.Run(ctx, tui.Options{Source: control.New(os.Args[1]), Language: catalogue.For("en"), In: in, Out: shown, NoColor: true}))
	select {
	case <-shown.found:
		fmt.Println(shown.all.String())
	default:
		toolCheck(fmt.Errorf("%q is nowhere on %q", shown.want, shown.all.String()))
	}
}

// screenful is a terminal that looks for a text.
type screenful struct {
	mu    sync.Mutex
	want  string
	all   strings.Builder
	once  sync.Once
	found chan struct{}
}

func (s *screenful) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.Write(b)
	if strings.Contains(s.all.String(), s.want) {
		s.once.Do(func() { close(s.found) })
	}
	return len(b), nil
}
