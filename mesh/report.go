package mesh

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// A report is what a node says of itself, signed, for those it has no link with: what it
// holds durably, whom it is linked with, what its clock says. Others pass it on. It is for
// people: who holds what, and a picture of the camp. What is asked of whom follows from
// links alone, but for one thing: a mark that contradicts what is held here is noted as a
// fork, as when it comes over a link.
//
// A report goes out when something changed, and the more nodes there are the less often;
// when nothing changes, nothing is sent. What the node holds it says as a sum, and only
// where that stays unlike the sums of others as a list.
const (
	reportLeast = 10 * time.Second
	unlikeFor   = 2 // reports, before a list goes out,
	unlikeMost  = 4 // and before it is left at that until something is new
	listEvery   = 8
	maxReport   = 60 << 10
	maxNear     = 32
	maxForked   = 64
)

// speaksReports is the nonce of the PING that says "frames 14 and 15 are understood
// here": "report/1".
const speaksReports = 0x7265706f72742f31

type report struct {
	node        identity.NodeID
	incarnation [16]byte
	stamp       uint64 // only grows; shared with the stamps of cards
	wall        int64  // its clock, Unix milliseconds
	sure        bool   // something better than the board's memory set it
	near        []identity.NodeID
	forked      []oplog.LogID // logs it knows to have two histories
	sum         sum           // of all else it holds
	whole       bool          // marks are all it holds
	marks       []mark        // none in most reports
	raw         []byte
}

// stampOf is the newest report of a node that somebody has.
type stampOf struct {
	node  identity.NodeID
	stamp uint64
}

type (
	reports struct{ reports [][]byte }
	stamps  struct{ stamps []stampOf }
)

func (reports) kind() kind { return kindReports }
func (stamps) kind() kind  { return kindStamps }

func (r reports) append(b []byte) []byte {
	b = append(b, byte(len(r.reports)))
	for _, x := range r.reports {
		b = binary.BigEndian.AppendUint16(b, uint16(len(x)))
		b = append(b, x...)
	}
	return b
}

func (s stamps) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.stamps)))
	for _, x := range s.stamps {
		b = append(b, x.node[:]...)
		b = binary.BigEndian.AppendUint64(b, x.stamp)
	}
	return b
}

func (c *cursor) reports() (out reports) {
	for n := int(c.u8()); n > 0 && !c.bad; n-- {
		out.reports = append(out.reports, c.take(int(c.u16())))
	}
	return out
}

func (c *cursor) stamps() (out stamps) {
	n := int(c.u16())
	if n > len(c.b)/(10+8) {
		c.bad = true
	}
	for ; n > 0 && !c.bad; n-- {
		var s stampOf
		c.copy(s.node[:])
		s.stamp = c.u64()
		out.stamps = append(out.stamps, s)
	}
	return out
}

var errReport = errors.New("mesh: bad report")

func (r report) body() []byte {
	b := append([]byte{1}, r.node[:]...)
	b = append(b, r.incarnation[:]...)
	b = binary.BigEndian.AppendUint64(b, r.stamp)
	b = binary.BigEndian.AppendUint64(b, uint64(r.wall))
	sure := byte(0)
	if r.sure {
		sure = 1
	}
	b = append(b, sure, byte(len(r.near)))
	for _, id := range r.near {
		b = append(b, id[:]...)
	}
	b = append(b, byte(len(r.forked)))
	for _, log := range r.forked {
		b = append(b, log[:]...)
	}
	b = append(b, r.sum[:]...)
	if !r.whole {
		return append(b, 0)
	}
	return appendMarks(append(b, 1), r.marks)
}

// parseReport reads a report without verifying who made it.
func parseReport(raw []byte) (r report, err error) {
	if len(raw) > maxReport || len(raw) < ed25519.SignatureSize {
		return r, errReport
	}
	c := cursor{b: raw[:len(raw)-ed25519.SignatureSize]}
	version := c.u8()
	c.copy(r.node[:])
	c.copy(r.incarnation[:])
	r.stamp, r.wall = c.u64(), int64(c.u64())
	sure, near := c.u8(), int(c.u8())
	for i := 0; i < near && !c.bad; i++ {
		var id identity.NodeID
		c.copy(id[:])
		r.near = append(r.near, id)
	}
	forked := int(c.u8())
	for i := 0; i < forked && !c.bad; i++ {
		var log oplog.LogID
		c.copy(log[:])
		r.forked = append(r.forked, log)
	}
	c.copy(r.sum[:])
	whole := c.u8()
	if whole == 1 {
		r.marks = c.marks()
	}
	r.sure, r.whole = sure == 1, whole == 1
	if c.bad || len(c.b) > 0 || version != 1 || sure > 1 || whole > 1 || near > maxNear || forked > maxForked {
		return r, errReport
	}
	r.raw = append([]byte(nil), raw...)
	return r, nil
}

// makeReport says what is so now. Called with the lock held.
func (m *Mesh) makeReport() (report, error) {
	now := m.clock.Now()
	m.stamp = stampAt(m.stamp, now)
	r := report{node: m.self, incarnation: m.incarnation, stamp: m.stamp, wall: now.UnixMilli(), sure: m.clock.Sure()}
	for _, l := range m.links {
		if l.node != m.self && !l.suspect && len(r.near) < maxNear && !slices.Contains(r.near, l.node) {
			r.near = append(r.near, l.node)
		}
	}
	slices.SortFunc(r.near, compareNodes)
	for _, f := range m.forks {
		if len(r.forked) < maxForked && !slices.Contains(r.forked, f.Log) {
			r.forked = append(r.forked, f.Log)
		}
	}
	slices.SortFunc(r.forked, compareLogs)
	r.sum = m.past.now
	if !m.unlike() {
		m.unlikes = 0
	} else if m.unlikes++; m.unlikes%listEvery == unlikeFor && len(m.mine) <= maxReport/48 {
		r.whole = true
		for _, log := range sortedLogs(m.mine) {
			r.marks = append(r.marks, markOf(m.mine[log]))
		}
	}
	body := r.body()
	sig, err := signWith(m.keys, signed("waypost/report/1", m.keys.Deployment(), body))
	if err != nil {
		return r, err
	}
	r.raw = append(body, sig...)
	return r, nil
}

// unlike reports whether some node that is there holds something else than this one, by
// its newest report. Called with the lock held.
func (m *Mesh) unlike() bool {
	for _, p := range m.peers {
		if p.report != nil && !p.shut && m.sumFor(p.report) != m.past.now && !m.absent(p, m.clock.Now()) {
			return true
		}
	}
	return false
}

// reportSome makes a report when something is new and it is time, and passes on what has
// come, to whom it is new. Called with the lock held, every second.
func (m *Mesh) reportSome() {
	now := m.elapsed()
	t := m.timing()
	every := min(max(reportLeast, t.reportAPeer*time.Duration(len(m.peers))), t.reportMost)
	due := m.reported == 0 || now-m.reported >= every
	if due && len(m.links) > 0 && (m.news || m.unlikes < unlikeMost && m.unlike()) {
		r, err := m.makeReport()
		if err != nil {
			m.quiet.warn("mesh cannot sign its report", "err", err)
			return
		}
		m.news, m.reported, m.report = false, now, &r
		m.fresh = append(m.fresh, m.self)
		m.changed(slow)
	}
	for _, l := range m.links {
		var out reports
		size := 1
		for _, id := range m.fresh {
			r := m.report
			if id != m.self {
				r = m.peers[id].report
			}
			if !l.stamped || l.over || l.knows[id] >= r.stamp {
				continue
			}
			l.knows[id] = r.stamp
			if size+2+len(r.raw) > maxControl || len(out.reports) == 255 {
				l.out.send(out)
				out, size = reports{}, 1
			}
			out.reports = append(out.reports, r.raw)
			size += 2 + len(r.raw)
		}
		if len(out.reports) > 0 {
			l.out.send(out)
		}
	}
	m.fresh = nil
}

// sendStamps says which reports are known here. Called with the lock held.
func (m *Mesh) sendStamps(l *link) {
	var s stamps
	for _, id := range m.order() {
		if p := m.peers[id]; p.report != nil && id != l.node {
			s.stamps = append(s.stamps, stampOf{id, p.report.stamp})
		}
	}
	if m.report != nil {
		s.stamps = append(s.stamps, stampOf{m.self, m.report.stamp})
	}
	l.out.send(s)
}

// compareStamps gives a peer the reports that are newer here.
func (m *Mesh) compareStamps(l *link, s stamps) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.stamped = true
	for _, x := range s.stamps {
		l.knows[x.node] = max(l.knows[x.node], x.stamp)
	}
	for _, id := range m.order() { // what is newer here goes out with the next round
		if p := m.peers[id]; p.report != nil && !m.book.Shut(id) {
			m.fresh = append(m.fresh, id)
		}
	}
	if m.report != nil {
		m.fresh = append(m.fresh, m.self)
	}
}

// learnReports takes reports that came over l.
func (m *Mesh) learnReports(l *link, raw [][]byte) {
	for _, b := range raw {
		r, err := parseReport(b)
		if err != nil {
			continue
		}
		m.mu.Lock()
		p := m.peers[r.node]
		l.knows[r.node] = max(l.knows[r.node], r.stamp)
		if r.node == m.self {
			m.older(r, b)
			m.mu.Unlock()
			continue
		}
		if p == nil || p.cert == nil || m.book.Shut(r.node) || p.report != nil && p.report.stamp >= r.stamp {
			m.mu.Unlock()
			continue
		}
		key := p.cert.Public
		m.mu.Unlock()
		body := b[:len(b)-ed25519.SignatureSize]
		if !ed25519.Verify(key[:], signed("waypost/report/1", m.keys.Deployment(), body), b[len(body):]) {
			continue
		}
		m.believe(l, r, m.compare(r.marks))
	}
}

// believe takes over what a node without a link says of itself, and passes it on.
func (m *Mesh) believe(l *link, r report, checked []verdict) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[r.node]
	if p == nil || p.report != nil && p.report.stamp >= r.stamp {
		return
	}
	p.report, p.heard, p.via = &r, m.clock.Now(), l.node
	m.fresh = append(m.fresh, r.node)
	m.changed(slow)
	for i := range r.marks {
		if !checked[i].fork.Log.IsZero() {
			m.said(r.node, checked[i].fork)
		}
	}
	m.place(p, checked)
}

// place makes what a peer's report says what the peer holds. What it held may be more than
// is held here yet: then it is tried again when more has come. Called with the lock held.
func (m *Mesh) place(p *peer, checked []verdict) {
	r := p.report
	p.unplaced = false
	if len(p.links) > 0 || r.stamp < p.floor {
		return // its links have told more, or later
	}
	told := make(map[oplog.LogID]held, len(m.mine))
	for i, k := range r.marks {
		told[k.log] = held{seq: k.seq, hash: k.hash, forked: checked[i].forked}
	}
	if !r.whole {
		then, known := m.past.when(m.sumFor(r), m.mine)
		if !known {
			p.unplaced = true
			return
		}
		for log, k := range then {
			told[log] = held{seq: k.seq, hash: k.hash}
		}
	}
	if r.incarnation != p.told {
		clear(p.held)
		clear(p.points)
	}
	for log, k := range told {
		if old, ok := p.held[log]; !ok || k.seq >= old.seq {
			p.held[log] = k
		}
	}
	p.told = r.incarnation
	m.traceAll(p)
}

// placeLate tries again where a report said more than was known here. Called with the lock
// held.
func (m *Mesh) placeLate() {
	if m.placedAt == m.past.now {
		return
	}
	m.placedAt = m.past.now
	for _, p := range m.peers {
		if p.unplaced {
			m.place(p, nil)
		}
	}
}

// sumFor is what r's sum would be if it left out the logs that are left out here: of those
// only one of the two knows to have two histories it may hold what is held here. Called
// with the lock held.
func (m *Mesh) sumFor(r *report) sum {
	out := r.sum
	for _, log := range r.forked {
		if h, held := m.mine[log]; held && !m.forked(log) {
			out.toggle(markOf(h))
		}
	}
	for i, f := range m.forks {
		again := slices.ContainsFunc(m.forks[:i], func(o oplog.Fork) bool { return o.Log == f.Log })
		if h, held := m.mine[f.Log]; held && !again && !slices.Contains(r.forked, f.Log) {
			out.toggle(markOf(h))
		}
	}
	return out
}

// older takes a report of this very node that is newer than it remembers: its folder came
// out of a backup, or its clock was set back. Called with the lock held.
func (m *Mesh) older(r report, raw []byte) {
	body := raw[:len(raw)-ed25519.SignatureSize]
	key := m.keys.Cert().Public
	if r.stamp > m.stamp && ed25519.Verify(key[:], signed("waypost/report/1", m.keys.Deployment(), body), raw[len(body):]) {
		m.stamp, m.news = nextSession(r.stamp), true
	}
}
