package mesh

import (
	"testing"
	"time"
)

// mute is a line that carries what it is told it carried, and nothing else.
type mute struct{ in, out uint64 }

func (*mute) Wake()                     {}
func (*mute) Close()                    {}
func (*mute) Remote() string            { return "192.0.2.1:7946" }
func (m *mute) Bytes() (in, out uint64) { return m.in, m.out }

// idler is a mesh with one link that was measured just now and that says nothing by itself.
func idler(t *testing.T, dialled string) (*Mesh, *link, *mute) {
	t.Helper()
	w := newWorld(t)
	n := w.start(t)
	line := &mute{}
	l := &link{m: n.mesh, line: line, dialled: dialled, peer: &peer{}}
	l.out = newOutbox(line.Wake)
	return n.mesh, l, line
}

// asks plays seconds of keepAlive and says in which of them a sign of life was asked for
// first; 0 for in none. each is what happens in a second before.
func asks(m *Mesh, l *link, seconds int, each func(second int)) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.elapsed()
	l.lastIn.Store(int64(now))
	l.sight.measured.Store(int64(now))
	for s := 1; s <= seconds; s++ {
		each(s)
		if l.lookAlive(now + time.Duration(s)*time.Second); l.pinged > 0 {
			return s
		}
	}
	return 0
}

func TestWhoSpokeAsksSoon(t *testing.T) {
	t.Parallel()
	idle, soon := int(usual.pingEvery/time.Second), int(usual.askAfter/time.Second)
	for name, c := range map[string]struct {
		each func(m *mute, second int)
		want int
	}{
		"nothing is said":                                {func(*mute, int) {}, idle},
		"something is said and not answered":             {func(m *mute, s int) { m.out = 10 }, 1 + soon},
		"and said again and again":                       {func(m *mute, s int) { m.out += 10 }, 1 + soon},
		"answered in the same second":                    {func(m *mute, s int) { m.in, m.out = 10, 10 }, 1 + idle},
		"answered later":                                 {func(m *mute, s int) { m.out = 10; m.in = uint64(s / 3) }, 0},
		"the other end speaks all the while, unheeded":   {func(m *mute, s int) { m.in += 10 }, 0},
		"said once more after the answer to that before": {func(m *mute, s int) { m.in, m.out = uint64(min(s, 3)), uint64(min(s, 4)) }, 4 + soon},
	} {
		t.Run(name, func(t *testing.T) {
			m, l, line := idler(t, "192.0.2.1:7946")
			if got := asks(m, l, 2*idle, func(s int) { c.each(line, s) }); got != c.want {
				t.Errorf("asked after %d s, want %d", got, c.want)
			}
		})
	}
}

func TestWhoWasDialledAsksLater(t *testing.T) {
	t.Parallel()
	m, l, _ := idler(t, "")
	idle := int((usual.pingEvery + pongTime) / time.Second)
	if got := asks(m, l, 2*idle, func(int) {}); got != idle {
		t.Errorf("asked after %d s, want %d", got, idle)
	}
}

// TestADoubtedLinkIsAsked: when memberlist gives a node up, links to it are asked at once.
func TestADoubtedLinkIsAsked(t *testing.T) {
	t.Parallel()
	m, l, _ := idler(t, "192.0.2.1:7946")
	if got := asks(m, l, 5, func(s int) { l.doubted = s == 3 }); got != 3 {
		t.Errorf("asked after %d s, want 3", got)
	}
	l.pinged = 0
	if got := asks(m, l, 5, func(int) {}); got != 0 {
		t.Error("the doubt was not forgotten")
	}
}
