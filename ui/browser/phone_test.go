package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is for one step: anything a journey waits for, on a loaded two-core machine.
const patience = 20 * time.Second

// A phone of 2016, held upright.
const phoneWidth, phoneHeight = 360, 740

// needsChromium leaves a test out where nobody asked for a browser.
func needsChromium(t *testing.T) {
	t.Helper()
	if os.Getenv("WAYPOST_BROWSER") == "" {
		t.Skip("set WAYPOST_BROWSER=1 (make browser does): it needs Chromium")
	}
}

// phone opens Chromium at phone size. Every request it makes is counted; one to
// anything but the bases fails the test that calls check.
func phone(t *testing.T, bases []string, more ...chromedp.ExecAllocatorOption) (context.Context, *traffic) {
	t.Helper()
	needsChromium(t)
	profile, err := os.MkdirTemp("", "wp-profile")
	if err != nil {
		t.Fatal(err)
	}
	var cmd *exec.Cmd
	t.Cleanup(func() { // runs after Chromium was told to end
		ended(t, cmd)
		if err := os.RemoveAll(profile); err != nil {
			t.Error(err)
		}
	})
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(phoneWidth, phoneHeight),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.UserDataDir(profile),
		chromedp.ModifyCmdFunc(func(c *exec.Cmd) {
			cmd, c.SysProcAttr = c, &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		}))
	alloc, cancel := chromedp.NewExecAllocator(t.Context(), append(opts, more...)...)
	t.Cleanup(cancel)
	seen := &traffic{bases: bases}
	return tab(t, alloc, seen), seen
}

// ended waits for all of Chromium: its helpers write into the profile for a while
// after the first process is gone.
func ended(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if cmd == nil || cmd.Process == nil {
		return
	}
	group := -cmd.Process.Pid
	for end := time.Now().Add(patience); syscall.Kill(group, 0) == nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			_ = syscall.Kill(group, syscall.SIGKILL)
			t.Error("Chromium does not end")
			return
		}
	}
}

// tab opens a page in a browser that runs, or starts one.
func tab(t *testing.T, in context.Context, seen *traffic, more ...chromedp.ContextOption) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(in, more...)
	t.Cleanup(cancel)
	chromedp.ListenTarget(ctx, seen.note)
	if err := chromedp.Run(ctx, network.Enable(), runtime.Enable(), cdplog.Enable(), emulation.SetDeviceMetricsOverride(phoneWidth, phoneHeight, 2, true)); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// traffic is what crossed the network, and what the browser complained about.
type traffic struct {
	bases      []string
	mu         sync.Mutex
	bytes      float64
	strange    []string
	complaints []string // errors of scripts, broken policies, answers of 400 and above
}

func (s *traffic) note(ev any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e := ev.(type) {
	case *network.EventRequestWillBeSent:
		if !s.ours(e.Request.URL) {
			s.strange = append(s.strange, e.Request.URL)
		}
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			s.complaints = append(s.complaints, fmt.Sprintf("%d for %s", e.Response.Status, e.Response.URL))
		}
	case *network.EventLoadingFinished:
		s.bytes += e.EncodedDataLength
	case *runtime.EventExceptionThrown:
		s.complaints = append(s.complaints, e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning || e.Type == runtime.APITypeAssert {
			for _, arg := range e.Args {
				s.complaints = append(s.complaints, fmt.Sprintf("console %s: %s %s", e.Type, arg.Value, arg.Description))
			}
		}
	case *cdplog.EventEntryAdded:
		// A policy for encrypted pages does nothing on others, which is as it should be.
		known := strings.HasPrefix(e.Entry.Text, "The Cross-Origin-Opener-Policy header has been ignored, because the URL's origin was untrustworthy")
		// Behind a warning a browser runs no worker, and says so: that is how the box knows.
		known = known || e.Entry.Text == "An SSL certificate error occurred when fetching the script."
		if !known && (e.Entry.Level == cdplog.LevelError || e.Entry.Level == cdplog.LevelWarning) {
			s.complaints = append(s.complaints, fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	}
}

// know adds boxes that were started later.
func (s *traffic) know(bases ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bases = append(s.bases, bases...)
}

func (s *traffic) ours(u string) bool {
	for _, base := range s.bases {
		if u == base || strings.HasPrefix(u, base+"/") {
			return true
		}
	}
	// Not requests, but what a page holds in itself, and the browser's own warning.
	return strings.HasPrefix(u, "data:") || strings.HasPrefix(u, "blob:") || strings.HasPrefix(u, "chrome-error:")
}

// sofar is how many bytes came in until now.
func (s *traffic) sofar() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// check fails the test when anything went to another host.
func (s *traffic) check(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.strange) > 0 {
		t.Errorf("requests leave the node: %v", s.strange)
	}
}

// quiet fails the test when the browser complained since the last call.
func (s *traffic) quiet(t *testing.T, where string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.complaints {
		t.Errorf("%s: the browser complains: %s", where, c)
	}
	s.complaints = nil
}

// forget drops complaints that a step was meant to cause.
func (s *traffic) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.complaints = nil
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

// see opens an address and waits until something stands there.
func see(address, sel string) chromedp.Action {
	return chromedp.Tasks{chromedp.Navigate(address), chromedp.WaitVisible(sel, chromedp.ByQuery)}
}

// press clicks and waits for what comes of it.
func press(sel, then string) chromedp.Action {
	return chromedp.Tasks{chromedp.WaitVisible(sel, chromedp.ByQuery), whole, absent(then), chromedp.Click(sel, chromedp.ByQuery), chromedp.WaitVisible(then, chromedp.ByQuery)}
}

// whole waits until the page is there to its end: Chromium counts its parts anew then.
var whole = chromedp.Evaluate(`new Promise((done) => { document.readyState === 'complete' ? done(true) : addEventListener('load', () => done(true)); })`, nil, awaited)

// absent fails when something stands there already: to wait for it would be no wait,
// and what is read next may be the page before.
func absent(sel string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		var there []*cdp.Node
		if err := chromedp.Nodes(sel, &there, chromedp.ByQueryAll, chromedp.AtLeast(0)).Do(ctx); err != nil {
			return err
		}
		for _, node := range there {
			if _, err := dom.GetBoxModel().WithNodeID(node.NodeID).Do(ctx); err == nil { // what is hidden has no box
				return fmt.Errorf("%s stands there before the click that is to bring it", sel)
			}
		}
		return nil
	})
}

// write types text into a field the way a phone's keyboard does: as text, in any
// script, not as key presses.
func write(field, text string) chromedp.Action {
	return chromedp.Tasks{chromedp.WaitReady(field, chromedp.ByQuery), chromedp.Focus(field, chromedp.ByQuery), input.InsertText(text)}
}

// read gives the words of a part of the page.
func read(t *testing.T, ctx context.Context, sel string) string {
	t.Helper()
	var text string
	run(t, ctx, "reading "+sel, chromedp.Text(sel, &text, chromedp.ByQuery))
	return text
}

// signIn goes through the sign-in page of an open box, and promises what is asked the
// first time.
func signIn(base string) chromedp.Action {
	return chromedp.Tasks{see(base+"/", `form[action="/signin"]`), write("#f-user", lead), write("#f-passphrase", secret),
		press(`form[action="/signin"] button.main`, `form[action="/signout"]`), promise(), chromedp.WaitVisible(".tiles", chromedp.ByQuery)}
}

// promise accepts the undertaking where it is asked for.
func promise() chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		asked := false
		if err := chromedp.Evaluate(`location.pathname === '/undertaking'`, &asked).Do(ctx); err != nil || !asked {
			return err
		}
		return press(`form[action="/undertaking"] button.main`, ".tiles").Do(ctx)
	})
}

// register types one person in and saves.
func register(base, given, family string) chromedp.Action {
	return chromedp.Tasks{see(base+"/people/new", `[name="members.0.given_name"]`), write(`[name="members.0.given_name"]`, given),
		write(`[name="family_name"]`, family), press(`button.main[name="save"]`, `form[action$="/card"] button`)}
}

// until looks again and again until a condition written in JavaScript holds.
// Between two looks the page may have been replaced, so an error is no end.
func until(t *testing.T, ctx context.Context, what, condition string, again ...chromedp.Action) {
	t.Helper()
	step, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var err error
	for step.Err() == nil {
		var holds bool
		if err = chromedp.Run(step, append(again, chromedp.Evaluate(condition, &holds))...); err == nil && holds {
			return
		}
		select {
		case <-step.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatalf("%s: waited %v; last: %v\nthe page says:\n%s", what, patience, err, read(t, ctx, "body"))
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
