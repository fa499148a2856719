package mesh

import (
	"crypto/sha256"
	"time"

	"github.com/waypost/waypost/appliance/fault"
)

// Pieces is the store of photos and files as the mesh needs it: sealed pieces, each
// named by SHA-256 of its bytes. The mesh never learns whose they are. Wanted does
// not wait for the disk and calls skip without the mesh; the others may take long.
type Pieces interface {
	// Wanted are up to n pieces that are lacking and not skipped, the most wanted first.
	Wanted(n int, skip func(id [32]byte) bool) [][32]byte
	// Get reads a piece; a fault of class NotFound when it is not here.
	Get(id [32]byte) ([]byte, error)
	// Put stores a piece and returns when it is durable.
	Put(id [32]byte, data []byte) error
}

// How pieces are pulled. They come after records everywhere: a link is asked for a
// piece only when it has no record that is missing here, parts of pieces leave after
// records, and a part is so short on a slow link that a question for records never
// waits long behind one.
const (
	maxPiecePulls   = 4        // over all links: bounds the memory halves of pieces take
	maxPieceServes  = 4        // pieces being read from the disk
	firstPart       = 32 << 10 // bytes asked for at first
	leastPart       = 8 << 10
	mostPart        = maxPiece
	maxKnownLacking = 16384 // pieces remembered as lacking at a peer
	pieceLook       = time.Second
)

// speaksPieces is the nonce of the PING that says "frames 12 and 13 are understood
// here": "pieces/1". To a node that does not know them it is a ping like any other, so
// that nodes of different age go on exchanging records.
const speaksPieces = 0x7069656365732f31

// piecePull is the question for a piece that is under way on a link, and what has
// come of the piece.
type piecePull struct {
	id     uint32
	asks   [][32]byte // the one that comes is among them
	got    []byte     // of asks[0], when it is the only one
	total  int
	length int
	since  time.Time
}

// pieceTraffic is the part of a link that moves pieces. Guarded by Mesh.mu, but for
// the channels.
type pieceTraffic struct {
	speaks bool // the peer knows these frames
	pull   *piecePull
	nextID uint32
	late   int // 1 after a question was given up, until its answer comes: one question at a time
	length int // part that suits the link
	shun   map[[32]byte]*shunned
	busyTo time.Time

	serving bool
	asked   []fetch // what they ask while one is served: one at most
	last    arrive  // what was served last, for the next part of it
	stores  bool    // a whole piece is being checked and stored
}

// arrive is a piece that came completely.
type arrive struct {
	id   [32]byte
	data []byte
}

func newPieceTraffic() pieceTraffic {
	return pieceTraffic{length: firstPart, shun: map[[32]byte]*shunned{}}
}

// offerPieces tells a peer that pieces can be asked of us.
func (m *Mesh) offerPieces(l *link) {
	if m.pieces != nil && !m.piecesWait() {
		l.out.send(ping{speaksPieces})
	}
}

// heardPing learns that the peer offers pieces, or waits for others (complete.go).
func (m *Mesh) heardPing(l *link, p ping) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch p.nonce {
	case isClosed, isOpened:
		l.waits = p.nonce == isClosed
	case speaksReports:
		if !l.reports {
			l.reports = true
			m.sendStamps(l)
		}
	case speaksPieces:
		if m.pieces != nil {
			l.pieces.speaks = true
			m.schedule()
		}
	default:
		m.heardLink(l, p.nonce)
	}
}

// schedulePieces asks for pieces wherever there is nothing better to ask for. Called
// with the lock held, at the end of schedule.
func (m *Mesh) schedulePieces(links []*link, now time.Time) {
	if m.pieces == nil || m.piecesWait() || now.Before(m.piecePauseTo) {
		return
	}
	for _, l := range links {
		if m.piecePulls >= m.piecesAtOnce() {
			return
		}
		p := &l.pieces
		if !p.speaks || p.pull != nil || p.late > 0 || l.pending != nil || !l.whole || now.Before(p.busyTo) || l.over {
			continue
		}
		asks := m.pieces.Wanted(maxPieceAsks, func(id [32]byte) bool {
			s := p.shun[id]
			return m.pieceClaims[id] != nil || s != nil && now.Before(s.until)
		})
		if len(asks) == 0 {
			p.busyTo = now.Add(pieceLook) // looking through many costs something
			continue
		}
		if first, _ := m.missing(l, now); len(first) > 0 {
			continue // records first; they are asked for as soon as there is a place
		}
		m.fetch(l, &piecePull{asks: asks}, now)
	}
}

// fetch sends the question for the next part of a piece, or for the first of several
// pieces that the peer holds.
func (m *Mesh) fetch(l *link, p *piecePull, now time.Time) {
	t := &l.pieces
	if t.pull == nil {
		m.piecePulls++
		for _, id := range p.asks {
			m.pieceClaims[id] = l
		}
	}
	t.nextID++
	t.pull = p
	p.id, p.since, p.length = t.nextID, now, t.length
	if !l.out.send(fetch{id: p.id, offset: uint32(len(p.got)), length: uint32(t.length), pieces: p.asks}) {
		l.end()
	}
}

// dropPull forgets the question for a piece on l. Called with the lock held.
func (m *Mesh) dropPull(l *link) {
	p := l.pieces.pull
	if p == nil {
		return
	}
	for _, id := range p.asks {
		if m.pieceClaims[id] == l {
			delete(m.pieceClaims, id)
		}
	}
	l.pieces.pull = nil
	m.piecePulls--
}

// tookPart takes in an answer. False when nobody asked for it.
func (m *Mesh) tookPart(l *link, f pieceFrame) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, now := &l.pieces, m.clock.Now()
	p := t.pull
	if p == nil || p.id != f.id {
		if t.late == 0 || f.id > t.nextID {
			return false
		}
		t.late--
		return true
	}
	switch {
	case f.index == pieceBusy:
		m.dropPull(l)
		t.busyTo = now.Add(busyRetry * time.Millisecond)
		return true
	case f.index == pieceNone:
		for _, id := range p.asks {
			m.shunPiece(l, id, now)
		}
		m.dropPull(l)
		m.schedule()
		return true
	case int(f.index) >= len(p.asks) || len(f.data) == 0 || len(f.data) > p.length:
		return false
	}
	if len(p.asks) > 1 && !m.choose(l, p, int(f.index), now) {
		return false
	}
	took := now.Sub(p.since)
	switch {
	case took > slowFrame:
		t.length = max(t.length/2, leastPart)
	case took < fastFrame:
		t.length = min(t.length*2, mostPart)
	}
	return m.joinPart(l, p, f, now)
}

// choose narrows a question to the piece the peer chose; those before it it lacks.
func (m *Mesh) choose(l *link, p *piecePull, index int, now time.Time) bool {
	for i, id := range p.asks {
		if i < index {
			m.shunPiece(l, id, now)
		}
		if i != index && m.pieceClaims[id] == l {
			delete(m.pieceClaims, id)
		}
	}
	p.asks = p.asks[index : index+1]
	return true
}

// joinPart appends a part; a whole piece goes to be stored, else the next is asked for
// unless records wait.
func (m *Mesh) joinPart(l *link, p *piecePull, f pieceFrame, now time.Time) bool {
	if p.total == 0 {
		p.total = int(f.total)
	}
	if int(f.total) != p.total || len(p.got)+len(f.data) > p.total {
		return false
	}
	p.got = append(p.got, f.data...)
	if len(p.got) < p.total {
		m.fetch(l, p, now)
		m.schedule()
		return true
	}
	if l.pieces.stores {
		return false // nobody asked for another
	}
	l.pieces.stores = true
	a := arrive{p.asks[0], p.got}
	m.stage.Work(func() { m.storePiece(l, a) })
	return true
}

// storePiece checks and stores a piece that has arrived on l.
func (m *Mesh) storePiece(l *link, a arrive) {
	var err error
	good := sha256.Sum256(a.data) == a.id
	if good {
		err = m.pieces.Put(a.id, a.data)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock.Now()
	l.pieces.stores = false
	m.dropPull(l)
	switch {
	case !good:
		m.quiet.warn("mesh got a piece that is not what it should be", "node", l.node)
		m.shunPiece(l, a.id, now)
	case err != nil:
		m.quiet.warn("mesh could not store a piece", "node", l.node, "err", err)
		m.piecePauseTo = now.Add(pauseOnFault) // our own trouble, not this peer's
	default:
		delete(l.pieces.shun, a.id)
	}
	m.schedule()
}

// shunPiece leaves one piece of one peer alone for a while, longer each time.
func (m *Mesh) shunPiece(l *link, id [32]byte, now time.Time) {
	t := &l.pieces
	s := t.shun[id]
	if s == nil {
		if len(t.shun) >= maxKnownLacking {
			clear(t.shun) // ask anew rather than remember without end
		}
		s = &shunned{}
		t.shun[id] = s
	}
	s.until = now.Add(min(shunFirst<<min(s.fails, 10), shunMost))
	s.fails++
}

// stuckPieces gives up questions for pieces that are not answered. The link stays: it
// may be good for records. Called with the lock held.
func (m *Mesh) stuckPieces(now time.Time) {
	for _, l := range m.links {
		p := l.pieces.pull
		if p == nil || now.Sub(p.since) <= answerTime || p.total > 0 && len(p.got) == p.total {
			continue
		}
		for _, id := range p.asks {
			m.shunPiece(l, id, now)
		}
		l.pieces.late++
		l.pieces.length = max(l.pieces.length/2, leastPart)
		m.dropPull(l)
	}
}

// wantedPiece answers a question for a piece, one at a time; another may wait.
func (m *Mesh) wantedPiece(l *link, f fetch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.pieces.serving {
		if len(l.pieces.asked) > 0 {
			return errUnasked
		}
		l.pieces.asked = append(l.pieces.asked, f)
		return nil
	}
	m.answerPiece(l, f)
	return nil
}

// answerPiece has a part of the first piece that is held here read and sent. Called with
// the lock held.
func (m *Mesh) answerPiece(l *link, f fetch) {
	if m.pieces == nil || m.piecesWait() {
		l.out.send(pieceFrame{id: f.id, index: pieceNone})
		return
	}
	if m.servingPieces >= maxPieceServes {
		l.out.send(pieceFrame{id: f.id, index: pieceBusy})
		return
	}
	m.servingPieces++
	l.pieces.serving = true
	last := l.pieces.last
	m.stage.Work(func() {
		answer, last := m.partOf(l, f, last)
		l.out.sendPart(frame(answer), func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			l.pieces.last = last
			m.servedPiece(l)
		})
	})
}

// servedPiece is called when a part has left, or its link has ended. Called with the lock
// held.
func (m *Mesh) servedPiece(l *link) {
	if !l.pieces.serving {
		return
	}
	m.servingPieces--
	l.pieces.serving = false
	if len(l.pieces.asked) > 0 && !l.over {
		f := l.pieces.asked[0]
		l.pieces.asked = nil
		m.answerPiece(l, f)
	}
}

// partOf reads what f asks for. The last piece is kept for the next part of it, so that a
// slow peer does not have the disk read it again.
func (m *Mesh) partOf(l *link, f fetch, last arrive) (pieceFrame, arrive) {
	answer := pieceFrame{id: f.id, index: pieceNone}
	for i, id := range f.pieces {
		if last.id != id || last.data == nil {
			data, err := m.pieces.Get(id)
			if err != nil {
				if fault.ClassOf(err) != fault.NotFound {
					m.quiet.warn("mesh cannot serve a piece", "err", err)
				}
				continue
			}
			last = arrive{id, data}
		}
		if len(last.data) > maxPiece || int(f.offset) >= len(last.data) {
			continue
		}
		end := min(int(f.offset)+mostAnswer(m.pace.rate(l), min(int(f.length), mostPart)), len(last.data))
		answer.index, answer.total, answer.data = uint8(i), uint32(len(last.data)), last.data[f.offset:end]
		break
	}
	if len(answer.data) == 0 || int(f.offset)+len(answer.data) == len(last.data) {
		return answer, arrive{} // it goes completely
	}
	return answer, last
}
