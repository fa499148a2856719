package tui

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/ui/locale"
)

var update = flag.Bool("update", false, "write the golden screens anew")

var sizes = [][2]int{{40, 20}, {80, 24}, {120, 40}}

var loadCatalog = sync.OnceValue(locale.New)

func catalog(t testing.TB) *locale.Catalog {
	t.Helper()
	return loadCatalog()
}

func screenOf(t testing.TB, lang string, width, height int) model {
	t.Helper()
	m := newModel(context.Background(), Options{Language: catalog(t).For(lang), Out: io.Discard, NoColor: true})
	return step(m, tea.WindowSizeMsg{Width: width, Height: height})
}

func step(m model, msg tea.Msg) model {
	next, _ := m.Update(msg)
	return next.(model)
}

func press(m model, keys ...string) model {
	for _, k := range keys {
		msg := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(k)}
		switch k {
		case "tab":
			msg = tea.KeyMsg{Type: tea.KeyTab}
		case "esc":
			msg = tea.KeyMsg{Type: tea.KeyEsc}
		case "down":
			msg = tea.KeyMsg{Type: tea.KeyDown}
		}
		m = step(m, msg)
	}
	return m
}

var at = time.Date(2026, 11, 24, 23, 4, 5, 0, time.FixedZone("", 2*3600))

func empty() control.Status {
	return control.Status{
		Node: "aebagbafaydqqcik", Number: 1, Deployment: "Border relief", Site: "North gate", State: "open",
		Disk:  control.Disk{Free: 12_300_000_000, Total: 29_000_000_000, Journal: 4100},
		Clock: control.Clock{Now: at, Sure: true},
	}
}

func busy() control.Status {
	s := empty()
	s.People, s.Households, s.Today, s.Ops, s.OnlyHere = 12408, 3010, 317, 48211, 0
	s.Disk.Journal = 14_200_000
	words := []string{"abacus", "harvest", "lantern", "mural", "zesty"}
	s.Peers = []control.Peer{
		{Node: "beaqcaibaeaqcaib", Number: 2, Site: "Clinic", State: "connected", LastContact: at.Add(-3 * time.Second), Confirmed: true, Addresses: []string{"10.42.0.7:7946"}, BytesIn: 1_200_000, BytesOut: 34_000_000, Words: words},
		{Node: "ceaqcaibaeaqcaib", Number: 3, Site: "معبر الجنوب", State: "away", LastContact: at.Add(-14 * time.Minute), Behind: 214, Confirmed: true, Addresses: []string{"10.42.0.9:7946"}, Words: words},
		{Node: "deaqcaibaeaqcaib", Number: 4, Site: "School of the very long name by the old harbour road", State: "connected", LastContact: at.Add(-50 * time.Second), Behind: 3, Ahead: 7, Words: words},
	}
	return s
}

func alarmed() control.Status {
	s := busy()
	s.State, s.OnlyHere, s.Clock.Sure = "read-only", 1214, false
	s.Pieces = control.Pieces{Held: 300, Lacking: 2}
	s.Alerts = []control.Alert{
		{Key: "alert.read_only", Level: "danger"},
		{Key: "alert.only_here", Level: "danger", Args: map[string]any{"Count": 1214.0}},
		{Key: "alert.unconfirmed", Level: "danger", Args: map[string]any{"Count": 1.0}},
		{Key: "alert.later", Level: "warning", Text: "The \x1b[31mbattery\x1b[0m is at 9%."},
		{Key: "alert.clock", Level: "warning"},
	}
	for i := range 9 {
		s.Peers = append(s.Peers, control.Peer{Node: fmt.Sprintf("e%daqcaibaeaqcaib", i), Number: uint16(5 + i), Site: fmt.Sprintf("Tent %d", i), State: "away", Confirmed: true})
	}
	return s
}

// mixed is a mesh in which everything there is to see happens.
func mixed() control.Status {
	s := busy()
	ms := func(f float64) *float64 { return &f }
	id := func(c string) string { return c + "eaqcaibaeaqcaib" }
	s.Peers[0].RoundTrip, s.Peers[0].Clock = ms(3.42), &control.PeerClock{Off: .2, Sure: true}
	s.Peers[0].Connections = []control.Connection{{Address: "10.42.0.7:7946", Dialled: true, Since: at.Add(-3 * time.Hour), BytesIn: 1_100_000, BytesOut: 33_000_000}}
	s.Peers[1].Clock = &control.PeerClock{Off: -3 * 24 * 3600}
	s.Peers[2].RoundTrip, s.Peers[2].Clock, s.Peers[2].Doubled = ms(412), &control.PeerClock{Off: 247}, true
	s.Peers = append(s.Peers,
		control.Peer{Node: id("f"), Number: 5, Site: "جسر النهر", State: "relayed", LastContact: at.Add(-20 * time.Second), Confirmed: true, Via: s.Peers[0].Node, Clock: &control.PeerClock{Off: 1, Sure: true}},
		control.Peer{Node: id("g"), Number: 6, Site: "Customs", State: "relayed", LastContact: at.Add(-2 * time.Minute), Confirmed: true, Behind: 3, Ahead: 7, Locked: true, Waiting: 12},
		control.Peer{Node: id("i"), Number: 7, State: "connected", LastContact: at, Confirmed: true, Carries: true},
		control.Peer{Node: id("h"), Number: 9, Site: "Quarry", State: "away", LastContact: at.Add(-9 * 24 * time.Hour), Confirmed: true, Standing: "revoked", HeldBack: 11},
	)
	s.Forks = []control.ForkedLog{{Log: "0f1e2d3c4b5a69788796a5b4c3d2e1f0", Node: s.Peers[2].Node, Seq: 412}}
	return s
}

func locked() control.Status {
	s := empty()
	return control.Status{State: "locked", Disk: s.Disk, Clock: s.Clock}
}

func opening() control.Status {
	s := locked()
	s.State, s.Rebuild = "opening", &control.Rebuild{Phase: "folding", Done: 41, Total: 100, Percent: 41}
	return s
}

// states are what a screen can look like, and the keys that lead there.
func states() map[string]func(m model) model {
	with := func(s control.Status, keys ...string) func(model) model {
		return func(m model) model { return press(step(m, answered{status: s}), keys...) }
	}
	gone := answered{err: control.NotRunning("/srv/waypost")}
	return map[string]func(m model) model{
		"empty": with(empty()), "busy": with(busy()), "alert": with(alarmed()), "mixed": with(mixed(), "n"), "mixed-relayed": with(mixed(), "n", "G", "k", "k"), "mixed-shut": with(mixed(), "n", "G"), "mixed-locked": with(mixed(), "n", "j", "j"), "mixed-relay": with(mixed(), "n", "G", "k"), "locked": with(locked()), "opening": with(opening()),
		"nodes": with(busy(), "n", "j", "j"), "many-nodes": with(alarmed(), "n", "G"), "alerts": with(alarmed(), "a", "down"),
		"help": with(busy(), "?"), "starting": func(m model) model { return m },
		"not-connected": func(m model) model { return step(m, gone) },
		"lost":          func(m model) model { return step(step(step(m, answered{status: busy()}), gone), gone) },
	}
}

func TestScreens(t *testing.T) {
	for name, bring := range states() {
		for _, size := range sizes {
			file := fmt.Sprintf("%s-%dx%d.txt", name, size[0], size[1])
			t.Run(file, func(t *testing.T) {
				got := bring(screenOf(t, "en", size[0], size[1])).View() + "\n"
				path := filepath.Join("testdata", file)
				if *update {
					if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if got != string(want) {
					t.Errorf("the screen is\n%s\nwant\n%s", got, want)
				}
			})
		}
	}
}

// Whatever the size, the language and the state: as many lines as the terminal has,
// none wider than it, nothing that steers it, the keys at the bottom.
func TestScreensFit(t *testing.T) {
	for _, l := range locale.Languages() {
		for name, bring := range states() {
			for _, size := range append(slices.Clone(sizes), [2]int{20, 8}, [2]int{25, 5}, [2]int{60, 24}, [2]int{69, 24}, [2]int{72, 24}, [2]int{300, 90}) {
				m := bring(screenOf(t, l.Tag, size[0], size[1]))
				lines := strings.Split(m.View(), "\n")
				if len(lines) != size[1] {
					t.Errorf("%s %s %v: %d lines", l.Tag, name, size, len(lines))
				}
				for _, line := range lines {
					if w := lipgloss.Width(line); w > size[0] {
						t.Errorf("%s %s %v: %d cells: %q", l.Tag, name, size, w, line)
					}
					if strings.ContainsRune(line, '\x1b') {
						t.Errorf("%s %s: an escape in %q", l.Tag, name, line)
					}
					if strings.Contains(line, "tui.") || strings.Contains(line, "<no value>") {
						t.Errorf("%s %s: not a sentence: %q", l.Tag, name, line)
					}
				}
				if size[0] >= 40 && !strings.Contains(lines[len(lines)-1], "q ") {
					t.Errorf("%s %s %v: no way out in %q", l.Tag, name, size, lines[len(lines)-1])
				}
			}
		}
	}
}

// Every text of what a node answers, whatever it is, on every screen and in every language:
// nothing of it steers the terminal.
func TestNoAnswerSteersTheTerminal(t *testing.T) {
	evils := []string{"\x1b]0;wpx\x07\x1b[2J", "\u009b31mwpx", "wpx\u202egnp.exe", "\x1b]52;c;d3B4\x1b\\", "\x1bPwpx\x1b\\", "a\x08\x08wpx\r\n\x00", "<script>wpx()</script>"}
	cells := 0
	for _, l := range locale.Languages() {
		for turn := range evils {
			s, n := mixed(), 0
			s.Alerts = append(s.Alerts, control.Alert{Key: "alert.later", Level: "danger", Text: "x"})
			spoil(reflect.ValueOf(&s).Elem(), func() string { n++; return evils[(n+turn)%len(evils)] })
			cells += n
			for _, keys := range [][]string{nil, {"n"}, {"n", "down"}, {"a"}, {"?"}} {
				m := press(step(screenOf(t, l.Tag, 80, 24), answered{status: s}), keys...)
				if got := m.View(); strings.ContainsAny(got, "\x1b\x07\x00\x08\r\u009b\u202e") || strings.Count(got, "\n") != 23 {
					t.Errorf("%s %v: %q", l.Tag, keys, got)
				}
			}
		}
	}
	if cells < 500 {
		t.Errorf("only %d texts", cells)
	}
}

// spoil puts something else into every text.
func spoil(v reflect.Value, next func() string) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() {
			v.SetString(next())
		}
	case reflect.Pointer, reflect.Interface:
		if v.Kind() == reflect.Pointer && !v.IsNil() {
			spoil(v.Elem(), next)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			spoil(v.Field(i), next)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			spoil(v.Index(i), next)
		}
	}
}

func TestNamesFromElsewhereDoNotSteerTheTerminal(t *testing.T) {
	s := busy()
	evil := "\x1b]0;title\x07\x1b[2J\u009b31mGate\u202e\n\r\x00"
	s.Site, s.Deployment, s.Node = evil, evil, evil
	for i := range s.Peers {
		s.Peers[i].Site, s.Peers[i].Node, s.Peers[i].Addresses, s.Peers[i].Words = evil, evil, []string{evil}, []string{evil}
		s.Peers[i].Confirmed = false
	}
	s.Alerts = []control.Alert{{Key: "alert.later", Text: evil, Level: "danger"}}
	for _, keys := range [][]string{nil, {"n"}, {"a"}} {
		m := press(step(screenOf(t, "en", 80, 24), answered{status: s}), keys...)
		if got := m.View(); strings.ContainsAny(got, "\x1b\x07\x00\r\u009b\u202e") || strings.Count(got, "\n") != 23 || !strings.Contains(got, "Gate") {
			t.Errorf("%v: %q", keys, got)
		}
	}
}

func TestKeys(t *testing.T) {
	m := step(screenOf(t, "en", 80, 24), answered{status: busy()})
	for keys, want := range map[string]screen{"n": nodes, "a": alerts, "tab": nodes, "n tab": alerts, "n tab tab": overview, "a esc": overview} {
		if got := press(m, strings.Fields(keys)...).screen; got != want {
			t.Errorf("%q leads to %d, want %d", keys, got, want)
		}
	}
	if !press(m, "?").help || press(m, "?", "?").help || press(m, "?", "esc").help || press(m, "n", "?", "esc").screen != nodes {
		t.Error("? opens and closes help, and esc leaves it on the same screen")
	}
	for keys, want := range map[string]int{"n j": 1, "n j j j j": 2, "n j k k": 0, "n G": 2, "n G g": 0, "n down": 1} {
		if got := press(m, strings.Fields(keys)...).cursor[nodes]; got != want {
			t.Errorf("%q stands on %d, want %d", keys, got, want)
		}
	}
	for _, k := range []tea.KeyMsg{{Type: tea.KeyRunes, Runes: []rune("q")}, {Type: tea.KeyCtrlC}} {
		if _, cmd := m.Update(k); cmd == nil || cmd() != tea.Quit() {
			t.Errorf("%s does not quit", k)
		}
	}
}

// A terminal that shows no more than ASCII gets nothing else from us; the names are what
// they are. Every line stays as wide as it was.
func TestPlainTerminals(t *testing.T) {
	for name, bring := range states() {
		for _, size := range sizes {
			m := bring(screenOf(t, "en", size[0], size[1]))
			if m.status != nil {
				for i := range m.status.Peers {
					m.status.Peers[i].Site = "Gate"
				}
			}
			signs := strings.Split(m.View(), "\n")
			m.ascii = true
			for i, line := range strings.Split(m.View(), "\n") {
				if strings.ContainsFunc(line, func(r rune) bool { return r > '~' }) {
					t.Errorf("%s %v: %q", name, size, line)
				}
				if lipgloss.Width(line) != lipgloss.Width(signs[i]) {
					t.Errorf("%s %v: %q is not as wide as %q", name, size, line, signs[i])
				}
			}
		}
	}
}

// The list is sorted anew with every answer; the cursor stays on its post.
func TestTheCursorFollowsItsPost(t *testing.T) {
	m := press(step(screenOf(t, "en", 80, 24), answered{status: busy()}), "n", "G")
	was := m.peers()[m.cursor[nodes]].Node
	s := busy()
	for i := range s.Peers {
		s.Peers[i].Confirmed = s.Peers[i].Node != was // now it is the worst
	}
	m = step(m, answered{status: s})
	if got := m.peers()[m.cursor[nodes]].Node; got != was || m.cursor[nodes] != 0 {
		t.Errorf("the cursor stands on %s at %d, it stood on %s", got, m.cursor[nodes], was)
	}
}

// A post that vanishes under the cursor must not leave it in the air.
func TestCursorStaysOnTheList(t *testing.T) {
	m := press(step(screenOf(t, "en", 80, 24), answered{status: busy()}), "n", "G")
	s := busy()
	s.Peers = s.Peers[:1]
	if m = step(m, answered{status: s}); m.cursor[nodes] != 0 {
		t.Fatal(m.cursor)
	}
	if m = step(m, answered{status: empty()}); m.cursor[nodes] != 0 || !strings.Contains(m.View(), "No other post") {
		t.Fatal(m.View())
	}
}

func TestReconnectLandsOnTheSameScreen(t *testing.T) {
	m := press(step(screenOf(t, "en", 80, 24), answered{status: busy()}), "n", "j")
	m = step(m, answered{err: errors.New("gone")})
	if m.status == nil || !strings.Contains(m.View(), "no answer (1)") || !strings.Contains(m.View(), "Clinic") {
		t.Fatalf("the last picture is not kept:\n%s", m.View())
	}
	m = step(m, answered{status: busy()})
	if m.screen != nodes || m.cursor[nodes] != 1 || strings.Contains(m.View(), "no answer") {
		t.Fatalf("\n%s", m.View())
	}
}

// flaky answers as it is told; every call is counted.
type flaky struct {
	mu    sync.Mutex
	calls int
	down  bool
}

func (f *flaky) Status(context.Context) (control.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.down {
		return control.Status{}, control.NotRunning("x")
	}
	return busy(), nil
}

func TestEveryAnswerLeadsToTheNextQuestion(t *testing.T) {
	f := &flaky{}
	m := newModel(context.Background(), Options{Source: f, Language: catalog(t).For("en"), Out: io.Discard, NoColor: true})
	for _, down := range []bool{false, true, true, false} {
		f.down = down
		msg := m.ask()
		next, cmd := m.Update(msg)
		if cmd == nil {
			t.Fatal("nobody asks again")
		}
		m = next.(model)
		if (m.lost != nil) != down {
			t.Fatalf("down %v: %v", down, m.lost)
		}
		if _, ask := m.Update(due{}); ask == nil {
			t.Fatal("a due question is not asked")
		}
	}
	if f.calls != 4 || m.missed != 0 {
		t.Fatal(f.calls, m.missed)
	}
}

// The whole program on a pipe: it draws, and q ends it.
func TestRunDrawsAndQuits(t *testing.T) {
	in, keyboard := io.Pipe()
	var out syncBuffer
	done := make(chan error, 1)
	go func() {
		done <- Run(context.Background(), Options{Source: &flaky{}, Language: catalog(t).For("en"), In: in, Out: &out, NoColor: true})
	}()
	deadline := time.After(20 * time.Second)
	for !strings.Contains(out.String(), "North gate") {
		select {
		case err := <-done:
			t.Fatalf("ended: %v", err)
		case <-deadline:
			t.Fatalf("nothing drawn: %q", out.String())
		case <-out.changed():
		}
	}
	if _, err := keyboard.Write([]byte("q")); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-deadline:
		t.Fatal("q does not end it")
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	in, _ := io.Pipe()
	if err := Run(ctx, Options{Source: &flaky{}, Language: catalog(t).For("en"), In: in, Out: io.Discard, NoColor: true}); err != nil {
		t.Fatal(err)
	}
}

// syncBuffer is a buffer that tells when it grew.
type syncBuffer struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	grew chan struct{}
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.grew != nil {
		close(b.grew)
		b.grew = nil
	}
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *syncBuffer) changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.grew == nil {
		b.grew = make(chan struct{})
	}
	return b.grew
}

func TestNumbers(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) = %s", n, got)
		}
	}
	for n, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_600: "1.0 MB", 14_200_000: "14 MB", 12_300_000_000: "12 GB", 5e15: "5000 TB"} {
		if got := bytesText(n); got != want {
			t.Errorf("bytes(%d) = %s", n, got)
		}
	}
}
