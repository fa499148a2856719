package mesh

import (
	"sync"
	"sync/atomic"
	"time"
)

// LinkProfile is how much the connection of this box to others may be used. The zero
// value is a network that costs nothing.
type LinkProfile struct {
	// Low makes everything rarer that goes on while nothing happens, and leaves photos
	// and files where they are. memberlist takes it over at the next start only.
	Low bool
	// Photos has photos and files fetched and given in spite of Low.
	Photos bool
	// Out and In are the most that records and pieces may take, in bytes a second over
	// all links together; 0 = no limit. A limit below SlowestLink counts as that. In is
	// kept by asking the others, so it costs nothing but is as good as they are.
	Out, In uint64
}

// SlowestLink is the lowest limit, in bytes a second. Below it not even the small
// frames that keep a link alive would fit.
const SlowestLink = 1000

// How frames are paced. What is small and keeps nodes together (all frames but records
// and parts of pieces, and memberlist) never waits; it is counted, and what comes after
// it waits for it. A big frame leaves in parts, each so short that the other end is never
// without a byte for long: it would take the link for dead.
const (
	partTime    = 250 * time.Millisecond // what one write may take of a limit
	batchTime   = 4 * time.Second        // what one answer may take, so that small frames wait no longer
	mostDebt    = 4 * time.Second        // what small frames may cost those that come after them
	leastWrite  = 256
	leastAnswer = 4 << 10
	tlsCost     = 22 // bytes a record of TLS 1.3 adds
)

// A PING with this in its upper 16 bits says what its sender asks of the link: bit 47
// that it is slow, bits 0 to 39 the bytes a second it wants to get at most (0: any). To a
// node that does not know it this is a ping like any other: clocks of nodes do not run
// for 247 years.
const (
	saysLink    = 0x6c6b << 48 // "lk"
	saysSlow    = 1 << 47
	mostRate    = 1<<40 - 1
	saysMask    = 0xffff << 48
	saysReserve = 0x7f << 40 // zero today
)

// bucket lets bytes through at a rate. Whoever takes waits for its own bytes only, so
// those who wait are served in turn. The zero value lets everything through.
type bucket struct {
	rate  uint64        // bytes a second; 0: no limit
	ahead time.Duration // up to when what was taken lasts
}

// cost is how long n bytes take.
func (b *bucket) cost(n int) time.Duration {
	return time.Duration(float64(n) / float64(b.rate) * float64(time.Second))
}

// take counts n bytes and says how long to wait before they are sent.
func (b *bucket) take(n int, now time.Duration) time.Duration {
	if b.rate == 0 {
		return 0
	}
	start := max(b.ahead, now)
	b.ahead = start + b.cost(n)
	return start - now
}

// debit counts n bytes that do not wait, up to mostDebt.
func (b *bucket) debit(n int, now time.Duration) {
	if b.rate == 0 {
		return
	}
	b.ahead = max(b.ahead, min(max(b.ahead, now)+b.cost(n), now+mostDebt))
}

func (b *bucket) set(rate uint64, now time.Duration) {
	b.rate, b.ahead = rate, min(b.ahead, now+mostDebt)
}

// pace holds all links of a mesh to its profile.
type pace struct {
	now  func() time.Duration
	as   atomic.Pointer[LinkProfile]
	mu   sync.Mutex // guards the buckets, of links too
	sum  bucket
	told atomic.Bool // others were asked for something once, so they have to be told of every change
}

func newPace(p LinkProfile, now func() time.Duration) *pace {
	a := &pace{now: now}
	a.set(p)
	return a
}

// profile is the one in force.
func (a *pace) profile() LinkProfile { return *a.as.Load() }

// atLeast makes a limit one that a link can live with.
func atLeast(rate uint64) uint64 {
	if rate == 0 {
		return 0
	}
	return min(max(rate, SlowestLink), mostRate)
}

func (a *pace) set(p LinkProfile) {
	p.Out, p.In = atLeast(p.Out), atLeast(p.In)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.as.Store(&p)
	a.sum.set(p.Out, a.now())
}

// linkPace is what the other end of a link asked for.
type linkPace struct {
	asksLow atomic.Bool
	bucket  bucket // guarded by pace.mu
}

// debit counts bytes that did not wait. l is nil for memberlist's.
func (a *pace) debit(l *link, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	a.sum.debit(n, now)
	if l != nil {
		l.pace.bucket.debit(n, now)
	}
}

// take counts n bytes of a big frame and says how long they wait.
func (a *pace) take(l *link, n int) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	return max(a.sum.take(n, now), l.pace.bucket.take(n, now))
}

// rate is the limit that counts on l; 0: none.
func (a *pace) rate(l *link) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	mine, theirs := a.sum.rate, l.pace.bucket.rate
	if mine == 0 || theirs != 0 && theirs < mine {
		return theirs
	}
	return mine
}

// mostWrite is how much of a big frame is written at once.
func mostWrite(rate uint64) int {
	if rate == 0 {
		return writePiece
	}
	return int(min(max(rate*uint64(partTime)/uint64(time.Second), leastWrite), writePiece))
}

// mostAnswer is how many bytes an answer should have at a rate.
func mostAnswer(rate uint64, most int) int {
	if rate == 0 {
		return most
	}
	return min(most, max(int(min(rate, mostRate)*uint64(batchTime)/uint64(time.Second)), leastAnswer))
}

// paced says of a whole frame whether it waits for its turn.
func paced(frame []byte) bool { return kind(frame[0]) == kindOps || kind(frame[0]) == kindPiece }

// writePaced writes one frame, at the pace of the link.
func (t *tlsLine) writePaced(l *link, b []byte) error {
	waits := paced(b)
	if !waits {
		l.m.pace.debit(l, len(b)+tlsCost)
	}
	for len(b) > 0 {
		n := min(len(b), writePiece)
		if waits {
			n = min(n, mostWrite(l.m.pace.rate(l)))
			if wait := l.m.pace.take(l, n+tlsCost); wait > 0 {
				select {
				case <-l.m.clock.After(wait):
				case <-t.ctx.Done():
					return t.ctx.Err()
				}
			}
		}
		if err := t.conn.SetWriteDeadline(l.m.clock.Now().Add(l.timing().silence)); err != nil {
			return err
		}
		if _, err := t.conn.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// Links is how the connection to others is used. Safe for concurrent use.
func (m *Mesh) Links() LinkProfile { return m.pace.profile() }

// Restart says whether memberlist still runs with another profile than is in force.
func (m *Mesh) Restart() bool { return m.pace.profile().Low != m.startedLow }

// SetLinks changes how the connection to others is used, and tells them. What memberlist
// does keeps its pace until the next start. Safe for concurrent use.
func (m *Mesh) SetLinks(p LinkProfile) {
	photos := m.piecesWait()
	m.pace.set(p)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.links {
		m.sayLink(l)
		if photos && !m.piecesWait() {
			m.offerPieces(l)
		}
	}
	m.schedule()
	m.poke()
}

// sayLink tells the other end what this one asks of the link, when it asks for anything
// or has before.
func (m *Mesh) sayLink(l *link) {
	p := m.pace.profile()
	if !p.Low && p.In == 0 && !m.pace.told.Load() {
		return
	}
	m.pace.told.Store(true)
	nonce := uint64(saysLink) | p.In
	if p.Low {
		nonce |= saysSlow
	}
	l.out.send(ping{nonce})
}

// heardLink takes in what the other end asks of the link. Called with Mesh.mu held.
func (m *Mesh) heardLink(l *link, nonce uint64) {
	if nonce&saysMask != saysLink || nonce&saysReserve != 0 {
		return
	}
	l.pace.asksLow.Store(nonce&saysSlow != 0)
	m.pace.mu.Lock()
	defer m.pace.mu.Unlock()
	l.pace.bucket.set(atLeast(nonce&mostRate), m.pace.now())
}

// piecesWait says whether photos and files stay where they are for now.
func (m *Mesh) piecesWait() bool {
	p := m.pace.profile()
	return p.Low && !p.Photos
}

// pulls is how many questions for records may be under way. A box that asks for little
// asks one at a time: then the one that answers may use all of it.
func (m *Mesh) pulls() int {
	if m.pace.profile().In > 0 {
		return 1
	}
	return maxPulls
}

// piecesAtOnce is pulls for pieces, which come after records. Called with Mesh.mu held.
func (m *Mesh) piecesAtOnce() int {
	if m.pace.profile().In > 0 {
		return max(1-m.pulling, 0)
	}
	return maxPiecePulls
}

// mostPull is how many bytes to ask for in one question.
func (m *Mesh) mostPull(most int) int { return mostAnswer(m.pace.profile().In, most) }
