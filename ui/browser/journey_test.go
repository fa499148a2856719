package browser

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// patience is for one step: anything a journey waits for, on a loaded two-core machine.
const patience = 20 * time.Second

// build makes the binary once.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "waypost-browser-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "waypost")
	cmd := exec.Command("go", "build", "-o", bin, "../../appliance")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return bin, nil
})

// serve starts a new box on loopback and gives its address and claim code.
func serve(t *testing.T) (base, claim string) {
	t.Helper()
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "wp")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "serve", "--data", filepath.Join(dir, "d"), "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--mesh", "127.0.0.1:0")
	// A file, not a pipe: what was written before the ready line is there when it is read.
	errs, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer errs.Close()
	cmd.Stderr = errs
	said := func() string {
		raw, err := os.ReadFile(errs.Name())
		if err != nil {
			t.Error(err)
		}
		return string(raw)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the box did not stop cleanly: %v\n%s", err, said())
		}
		_ = os.RemoveAll(dir)
	})
	m := regexp.MustCompile(`^ready http=(\S+) `).FindStringSubmatch(line)
	if err != nil || m == nil {
		t.Fatalf("no ready line: %q %v", line, err)
	}
	// The greeting stands on stderr before the ready line is printed.
	c := regexp.MustCompile(`\?claim=(\S+)`).FindStringSubmatch(said())
	if c == nil {
		t.Fatalf("no claim code in %q", said())
	}
	claim, err = url.QueryUnescape(c[1])
	if err != nil {
		t.Fatal(err)
	}
	return m[1], claim
}

// phone opens Chromium at phone size. Every request it makes is counted; one to
// another host fails the test.
func phone(t *testing.T, base string) (context.Context, *traffic) {
	t.Helper()
	if os.Getenv("WAYPOST_BROWSER") == "" {
		t.Skip("set WAYPOST_BROWSER=1 (make browser does): it needs Chromium")
	}
	profile, err := os.MkdirTemp("", "wp-profile")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(profile) }) // runs after Chromium was told to end
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(360, 740),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.UserDataDir(profile))
	alloc, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	seen := &traffic{base: base}
	chromedp.ListenTarget(ctx, seen.note)
	if err := chromedp.Run(ctx, network.Enable(), emulation.SetDeviceMetricsOverride(360, 740, 2, true)); err != nil {
		t.Fatal(err)
	}
	return ctx, seen
}

// traffic is what crossed the network.
type traffic struct {
	base    string
	mu      sync.Mutex
	bytes   float64
	strange []string
}

func (s *traffic) note(ev any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e := ev.(type) {
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !strings.HasPrefix(u, s.base) && !strings.HasPrefix(u, "data:") && !strings.HasPrefix(u, "blob:") {
			s.strange = append(s.strange, u)
		}
	case *network.EventLoadingFinished:
		s.bytes += e.EncodedDataLength
	}
}

func (s *traffic) check(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.strange) > 0 {
		t.Errorf("requests leave the node: %v", s.strange)
	}
}

func run(t *testing.T, ctx context.Context, what string, actions ...chromedp.Action) {
	t.Helper()
	step, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := chromedp.Run(step, actions...); err != nil {
		var page string
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		_ = chromedp.Run(ctx, chromedp.Text("body", &page, chromedp.ByQuery))
		t.Fatalf("%s: %v\nthe page says:\n%s", what, err, page)
	}
}

// write types text into a field the way a phone's keyboard does: as text, in any
// script, not as key presses.
func write(field, text string) chromedp.Action {
	return chromedp.Tasks{chromedp.WaitReady(field, chromedp.ByQuery), chromedp.Focus(field, chromedp.ByQuery), input.InsertText(text)}
}

func wide(t *testing.T, ctx context.Context, where string) {
	t.Helper()
	var over int
	run(t, ctx, where, chromedp.Evaluate(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &over))
	if over > 0 {
		t.Errorf("%s scrolls sideways by %d px on a phone", where, over)
	}
}

// shot writes a picture where WAYPOST_SHOTS names a folder.
func shot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	wide(t, ctx, name)
	dir := os.Getenv("WAYPOST_SHOTS")
	if dir == "" {
		return
	}
	var png []byte
	run(t, ctx, name, chromedp.CaptureScreenshot(&png))
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestBrowserFirstDay: a newcomer starts a site on a phone, registers a family,
// prints its cards and reads one back.
func TestBrowserFirstDay(t *testing.T) {
	if os.Getenv("WAYPOST_BROWSER") == "" {
		t.Skip("set WAYPOST_BROWSER=1 (make browser does): it needs Chromium")
	}
	base, claim := serve(t)
	ctx, seen := phone(t, base)
	var words, page string
	run(t, ctx, "first page", chromedp.Navigate(base+"/?claim="+url.QueryEscape(claim)), chromedp.WaitVisible(`a[href^="/start"]`, chromedp.ByQuery))
	shot(t, ctx, "choose")
	run(t, ctx, "start a site", chromedp.Click(`a[href^="/start"]`, chromedp.ByQuery), chromedp.WaitVisible("#f-site", chromedp.ByQuery),
		write("#f-deployment", "Border relief"), write("#f-site", "North gate"), write("#f-lead", "Amina"),
		chromedp.Click(`form[action="/start"] button.main`, chromedp.ByQuery), chromedp.WaitVisible("ol li", chromedp.ByQuery), chromedp.Text("ol", &words, chromedp.ByQuery))
	if n := len(strings.Fields(words)); n < 5 {
		t.Fatalf("%d words to write down: %q", n, words)
	}
	shot(t, ctx, "words")
	first := seen.bytes
	run(t, ctx, "home", chromedp.Navigate(base+"/"), chromedp.WaitVisible(`a[href="/people/new"]`, chromedp.ByQuery))
	shot(t, ctx, "home-empty")
	run(t, ctx, "a family", chromedp.Navigate(base+"/people/new"), chromedp.WaitVisible(`[name="members.0.given_name"]`, chromedp.ByQuery))
	shot(t, ctx, "family")
	run(t, ctx, "typing it",
		write(`[name="family_name"]`, "محمدي"),
		write(`[name="members.0.given_name"]`, "Maryam"), write(`[name="members.0.age"]`, "34"),
		chromedp.Click(`button[name="more"]`, chromedp.ByQuery), chromedp.WaitVisible(`[name="members.1.given_name"]`, chromedp.ByQuery),
		write(`[name="members.1.given_name"]`, "Yusuf"), write(`[name="members.1.age"]`, "6"),
		chromedp.Evaluate(`document.querySelector('[name="members.0.sex"][value="female"]').click();document.querySelector('[name="members.1.sex"][value="male"]').click();1`, nil),
		chromedp.Click(`button.main[name="save"]`, chromedp.ByQuery), chromedp.WaitVisible(`form[action$="/cards"] button`, chromedp.ByQuery), chromedp.Text("main", &page, chromedp.ByQuery))
	if !strings.Contains(page, "Maryam") || !strings.Contains(page, "Yusuf") {
		t.Fatalf("the household page says %q", page)
	}
	shot(t, ctx, "household")
	run(t, ctx, "cards", chromedp.Click(`form[action$="/cards"] button`, chromedp.ByQuery), chromedp.WaitVisible("svg", chromedp.ByQuery), chromedp.Text("main", &page, chromedp.ByQuery))
	shot(t, ctx, "cards")
	typed := regexp.MustCompile(`[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}`).FindString(page)
	if typed == "" {
		t.Fatalf("no typed code on the card sheet: %q", page)
	}
	if strings.Contains(page, "Maryam") {
		t.Error("a card carries a name")
	}
	run(t, ctx, "reading it back", chromedp.Navigate(base+"/verify"), chromedp.WaitVisible("#f-text", chromedp.ByQuery),
		write("#f-text", typed), chromedp.Click(`form[data-verify] button.main`, chromedp.ByQuery), chromedp.WaitVisible("main h1", chromedp.ByQuery), chromedp.Text("main", &page, chromedp.ByQuery))
	if !strings.Contains(page, "not verified") {
		t.Errorf("a typed code is no verified card, the page says %q", page)
	}
	var top float64
	run(t, ctx, "seeing the verdict", chromedp.Evaluate(`document.querySelector('main h1').getBoundingClientRect().top`, &top))
	if top < 0 || top > 740 {
		t.Errorf("the verdict is out of sight, at %.0f px", top)
	}
	shot(t, ctx, "verdict")
	run(t, ctx, "in Arabic", chromedp.Navigate(base+"/lang/ar?to=%2F"), chromedp.WaitVisible(`html[dir="rtl"] a[href="/people/new"]`, chromedp.ByQuery))
	shot(t, ctx, "home-ar")
	run(t, ctx, "the form in Arabic", chromedp.Navigate(base+"/people/new"), chromedp.WaitVisible(`[name="members.0.given_name"]`, chromedp.ByQuery))
	shot(t, ctx, "family-ar")
	run(t, ctx, "and back", chromedp.Navigate(base+"/lang/en?to=%2F"), chromedp.WaitVisible(`html[dir="ltr"] a[href="/people/new"]`, chromedp.ByQuery))
	shot(t, ctx, "home")
	seen.check(t)
	t.Logf("first three pages: %.0f bytes on the wire", first)
}

// TestBrowserWithoutScript: a phone that runs no script registers all the same.
func TestBrowserWithoutScript(t *testing.T) {
	if os.Getenv("WAYPOST_BROWSER") == "" {
		t.Skip("set WAYPOST_BROWSER=1 (make browser does): it needs Chromium")
	}
	base, claim := serve(t)
	ctx, seen := phone(t, base)
	var page string
	run(t, ctx, "practise", emulation.SetScriptExecutionDisabled(true), chromedp.Navigate(base+"/practise?claim="+url.QueryEscape(claim)),
		chromedp.WaitVisible(`form[action="/practise"] button.main`, chromedp.ByQuery), chromedp.Click(`form[action="/practise"] button.main`, chromedp.ByQuery),
		chromedp.WaitVisible(`a[href="/people/new"]`, chromedp.ByQuery))
	shot(t, ctx, "practice")
	run(t, ctx, "one person", chromedp.Navigate(base+"/people/new"), write(`[name="members.0.given_name"]`, "Rosa"),
		write(`[name="family_name"]`, "Ixchel"), chromedp.Click(`button.main[name="save"]`, chromedp.ByQuery),
		chromedp.WaitVisible(`form[action$="/card"] button`, chromedp.ByQuery), chromedp.Text("main", &page, chromedp.ByQuery))
	if !strings.Contains(page, "Rosa") {
		t.Fatalf("the page says %q", page)
	}
	run(t, ctx, "search", chromedp.Navigate(base+"/people?q=rosa+ixchel"), chromedp.Text("main", &page, chromedp.ByQuery))
	if !strings.Contains(page, "Rosa") {
		t.Fatalf("search finds %q", page)
	}
	shot(t, ctx, "search")
	seen.check(t)
}
