package meshtest

import (
	"fmt"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// line is one end of a connection between two places.
type line struct {
	camp    *Camp
	at, to  *Place
	life    int
	far     *line
	link    carried
	dialled bool
	port    int
	pumping bool
	dead    bool // Ended was called, or the node is gone
	closing bool
	heard   time.Time
	held    [][]byte  // what the cut keeps back, in its order
	last    time.Time // when the frame sent last arrives
	in, out uint64
}

// carried is one end of what is said over a line: *mesh.Link or *mesh.LockedLink.
type carried interface {
	Next() (frame []byte, left func())
	Receive(frame []byte) error
	Silence() time.Duration
	Ended()
}

// meet has what runs at p take l, a line to o.
func (p *Place) meet(l *line, o *Place, dialled string) (carried, error) {
	switch {
	case p.Asleep != nil:
		return p.Asleep.Meet(l, o.cert, dialled), nil
	case o.Asleep != nil:
		k, err := p.Mesh.MeetLocked(l, o.locked, dialled)
		if err != nil {
			return nil, err
		}
		return k, nil
	}
	return p.Mesh.Meet(l, o.cert, dialled), nil
}

// connect makes a line between two places; from dialled.
func (c *Camp) connect(from, to *Place, addr string) {
	a := &line{camp: c, at: from, to: to, life: from.life, heard: c.now, dialled: true, port: 40000 + int(c.count%20000)}
	b := &line{camp: c, at: to, to: from, life: to.life, heard: c.now, port: a.port, far: a}
	a.far = b
	from.lines, to.lines = append(from.lines, a), append(to.lines, b)
	c.note("connect", from.n, to.n, 0)
	var errA, errB error
	a.link, errA = from.meet(a, to, addr)
	b.link, errB = to.meet(b, from, "")
	if errA != nil || errB != nil {
		c.note("refused", from.n, to.n, 0)
		a.Close()
		b.Close()
		return
	}
	a.Wake()
	b.Wake()
	a.watch()
	b.watch()
}

func (l *line) alive() bool { return !l.dead && l.at.life == l.life }

// Remote is mesh.Line's: who dialled sees the address dialled, the other a passing port.
func (l *line) Remote() string {
	if l.dialled {
		return l.to.Addr()
	}
	return fmt.Sprintf("10.%d.%d.%d:%d", l.to.n>>16&255, l.to.n>>8&255, l.to.n&255, l.port)
}

// Bytes is mesh.Line's.
func (l *line) Bytes() (in, out uint64) { return l.in, l.out }

// Wake is mesh.Line's.
func (l *line) Wake() {
	if l.pumping || l.dead || l.link == nil {
		return
	}
	l.pumping = true
	l.camp.In(0, l.pump)
}

// pump sends one frame after the other, each as long as the line takes for it.
func (l *line) pump() {
	l.pumping = false
	if !l.alive() || l.closing {
		return
	}
	frame, left := l.link.Next()
	if frame == nil {
		return
	}
	c := l.camp
	l.pumping = true
	took := time.Duration(len(frame)) * time.Second / bandwidth
	l.out += uint64(len(frame))
	c.sent += uint64(len(frame))
	c.frames++
	c.kinds[frame[0]%32] += uint64(len(frame))
	c.In(took, func() {
		if !l.alive() {
			return
		}
		if left != nil {
			left()
		}
		l.send(frame)
		l.pump()
	})
}

// send has a frame arrive, after those before it. What is lost on the way comes later.
func (l *line) send(frame []byte) {
	c := l.camp
	l.at.says(frame)
	if len(l.held) > 0 || !c.passes(l.at, l.to) {
		l.held = append(l.held, frame)
		return
	}
	d := c.delay()
	for wait := resend; c.rnd.Float64() < c.Loss; wait *= 2 {
		d += wait
	}
	at := c.now.Add(d)
	if at.Before(l.last) {
		at = l.last
	}
	l.last = at
	c.In(at.Sub(c.now), func() { l.far.arrive(frame) })
}

// flow sends what a cut has kept back.
func (l *line) flow() {
	if len(l.held) == 0 || !l.camp.passes(l.at, l.to) {
		return
	}
	l.camp.In(l.camp.between(resend, 5*time.Second), func() { // TCP tries again less and less often
		held := l.held
		l.held = nil
		for _, f := range held {
			l.send(f)
		}
	})
}

func (l *line) arrive(frame []byte) {
	if !l.alive() || l.closing {
		return
	}
	l.heard = l.camp.now
	l.in += uint64(len(frame))
	l.camp.note("frame", l.to.n, l.at.n, int(frame[0])<<24|len(frame))
	_, _ = l.camp.trace.Write(frame)
	if err := l.link.Receive(frame); err != nil {
		l.camp.note("ends: "+err.Error(), l.at.n, l.to.n, 0)
		l.Close()
	}
	l.at.turned()
}

// watch ends the line when nothing has been heard for long.
func (l *line) watch() {
	if !l.alive() {
		return
	}
	if left := l.link.Silence() - l.camp.now.Sub(l.heard); left > 0 {
		l.camp.In(left, l.watch)
		return
	}
	l.Close()
}

// Close is mesh.Line's.
func (l *line) Close() {
	if l.closing || l.dead {
		return
	}
	l.closing = true
	l.camp.In(0, l.end)
	if l.camp.passes(l.at, l.to) {
		l.camp.In(l.camp.delay(), l.far.reset)
	}
}

// reset is what the other end sees of a close, when it hears of it.
func (l *line) reset() {
	if l.alive() && l.camp.passes(l.to, l.at) {
		l.Close()
	}
}

func (l *line) end() {
	if !l.alive() {
		return
	}
	l.dead = true
	for i, o := range l.at.lines {
		if o == l {
			l.at.lines = append(l.at.lines[:i:i], l.at.lines[i+1:]...)
			break
		}
	}
	l.camp.note("end", l.at.n, l.to.n, 0)
	if l.link != nil {
		l.link.Ended()
	}
}

// members is a membership without packets: who counts as there is known from the camp.
type members struct {
	p    *Place
	life int
}

// Announce is mesh.Membership's: most hear it, in any order, some twice.
func (m members) Announce(_ oplog.LogID, hint []byte) {
	c := m.p.camp
	for _, o := range c.places {
		if o == m.p || o.Mesh == nil || o.cluster != m.p.cluster {
			continue
		}
		times := 1
		if c.rnd.Float64() < c.Twice {
			times = 2
			c.harm["datagrams twice"]++
		}
		for range times {
			if c.rnd.Float64() < c.Loss*c.Loss { // it comes from several
				c.harm["datagrams lost"]++
				continue
			}
			life, key := o.life, m.p.ring[0]
			c.count++
			order := c.count
			c.In(c.between(20*time.Millisecond, time.Second), func() {
				if o.life != life || o.Mesh == nil || !c.passes(m.p, o) {
					return
				}
				if !slices.Contains(o.ring, key) {
					c.harm["datagrams under another key"]++
					return
				}
				if order < o.latest {
					c.harm["datagrams out of order"]++
				}
				o.latest = max(o.latest, order)
				o.Mesh.Heard(hint)
			})
		}
	}
}

// Linked is mesh.Membership's: whoever is dialled is met as a member too.
func (m members) Linked(_, addr string, dialled bool) {
	c := m.p.camp
	for _, o := range c.places {
		if dialled && o.Addr() == addr && o.Mesh != nil && o.cluster != m.p.cluster {
			was, now := o.cluster, m.p.cluster
			c.In(time.Second, func() {
				for _, x := range c.places {
					if x.cluster == was {
						x.cluster = now
					}
				}
			})
		}
	}
}

// Unlinked is mesh.Membership's.
func (members) Unlinked(string) {}

// Here is mesh.Membership's.
func (m members) Here(node identity.NodeID) bool {
	for _, o := range m.p.camp.places {
		if o.id == node && o.Mesh != nil && o.cluster == m.p.cluster && m.p.camp.passes(o, m.p) {
			return true
		}
	}
	return false
}

// Rekey is mesh.Membership's: what is announced goes under the first key.
func (m members) Rekey(keys [][32]byte) error {
	m.p.ring = slices.Clone(keys)
	m.p.camp.harm["keys changed"]++
	return nil
}

// Rejoin, Leave and Close are mesh.Membership's.
func (members) Rejoin()      {}
func (members) Leave()       {}
func (members) Close() error { return nil }
