package mesh

import (
	"cmp"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// How records are pulled.
const (
	maxPulls     = 8   // questions under way over all links: bounds the memory batches take
	maxServes    = 8   // answers being read or written
	busyRetry    = 200 // ms a peer is asked to wait when it would be one more
	maxToldLogs  = 16384
	lazyALink    = 250 * time.Millisecond // what only matters for "held by" waits this long for each link, because it costs every node a frame to every other
	shunFirst    = 2 * time.Second
	shunMost     = 5 * time.Minute
	pauseOnFault = 5 * time.Second // when this node itself cannot store
	slowFrame    = 500 * time.Millisecond
	fastFrame    = 150 * time.Millisecond
)

// holds takes in what a peer said it holds durably; last ends a full vector. It
// may read the journal to compare hashes, so it is called without the lock.
//
// On one connection a journal only grows (sayAgain), but its marks may overtake each
// other: an acknowledgement leaves before a hint that has waited longer, and of two
// links to one peer either may be read first. The lower mark would stay for good,
// because the peer has said everything and has no reason to say it again.
func (m *Mesh) holds(l *link, marks []mark, last bool) error {
	if l.locked != nil {
		return m.lockedHolds(l, marks)
	}
	checked := m.compare(marks)
	m.mu.Lock()
	defer m.mu.Unlock()
	// Most of what is said is what is held here: an acknowledgement by everybody for every fact.
	news := last || len(m.lacking) > 0
	for i, k := range marks {
		news = news || k.seq > m.mine[k.log].Seq || m.forked(k.log)
		if _, known := l.told[k.log]; !known && len(l.told) >= maxToldLogs {
			return errTooMany
		}
		if !checked[i].fork.Log.IsZero() {
			m.said(l.node, checked[i].fork)
		}
		if k.seq < l.told[k.log].seq {
			continue
		}
		l.told[k.log] = k
		l.parts(k.log, checked[i].forked || m.still(l, k))
		delete(m.rumours, k.log)
		if !l.outdated(k.log) {
			l.note(k.log)
		}
	}
	if last && !l.whole {
		l.whole = true
		// What was remembered of this peer and is not so any more is forgotten: it
		// may have lost its disk. Unless it runs and has said so on another link, which
		// this vector was overtaken by.
		for log := range l.peer.held {
			if _, ok := l.told[log]; !ok && !l.outdated(log) {
				delete(l.peer.held, log)
			}
		}
		l.noteAll()
	}
	m.traceMarks(l.peer, marks, last)
	m.changed(slow)
	if news {
		m.schedule()
	}
	return nil
}

// verdict is the outcome of comparing one mark with the journal.
type verdict struct {
	forked bool
	fork   oplog.Fork
}

// compare finds marks that contradict what is held here.
func (m *Mesh) compare(marks []mark) []verdict {
	out := make([]verdict, len(marks))
	for i, k := range marks {
		m.mu.Lock()
		mine, ok := m.mine[k.log]
		m.mu.Unlock()
		if !ok || k.seq == 0 || k.seq > mine.Seq {
			continue
		}
		hash := mine.Hash
		if k.seq < mine.Seq {
			if hash, ok = m.records.HashAt(k.log, k.seq); !ok {
				continue
			}
		}
		if [16]byte(hash[:16]) != k.hash {
			out[i].forked = true
			out[i].fork = oplog.Fork{Log: k.log, Seq: k.seq, HashA: hash}
			copy(out[i].fork.HashB[:], k.hash[:])
		}
	}
	return out
}

// schedule asks whoever can answer for what is missing here: one question a link,
// one link a log. Called with the lock held.
func (m *Mesh) schedule() {
	now := m.clock.Now()
	if m.closing || now.Before(m.pauseTo) {
		return
	}
	links := m.links
	if len(links) > 1 {
		links = slices.Clone(links)
		m.stage.Rand().Shuffle(len(links), func(i, j int) { links[i], links[j] = links[j], links[i] })
	}
	defer m.schedulePieces(links, now)
	for _, l := range links {
		if m.pulling >= m.pulls() {
			return
		}
		if l.pending != nil || !l.whole || now.Before(l.busyTo) || l.over {
			continue
		}
		if asks, parted := m.missing(l, now); len(asks) > 0 {
			m.request(l, asks, parted, now)
		}
	}
}

// missing lists what l can give us and nobody is asked for yet, the smallest gaps
// first: a new node gets everybody's latest before somebody's whole history.
// parted are those that are another history of a log of ours.
func (m *Mesh) missing(l *link, now time.Time) (asks []ask, parted map[oplog.LogID]bool) {
	type gap struct {
		ask
		size uint64
	}
	var gaps []gap
	parted = map[oplog.LogID]bool{}
	for log, t := range l.told {
		if s := l.shun[log]; m.claimed(log, now) || s != nil && now.Before(s.until) {
			continue
		}
		mine := m.mine[log].Seq
		if r, ours := m.rejoins(l, log, t); r != nil {
			gaps = append(gaps, gap{ask{log, r.after}, batchOps})
			parted[log] = true
		} else if !ours && t.seq > mine {
			gaps = append(gaps, gap{ask{log, mine}, t.seq - mine})
		}
	}
	for log, after := range m.lacking {
		if s := l.bare[log]; parted[log] || l.told[log].seq <= after || m.mine[log].Seq < l.told[log].seq || m.claimed(log, now) || s != nil && now.Before(s.until) {
			continue
		}
		gaps = append(gaps, gap{ask{log, after}, batchOps}) // payloads that are gone here: it may have them
	}
	slices.SortFunc(gaps, func(a, b gap) int { return cmp.Or(cmp.Compare(a.size, b.size), compareLogs(a.log, b.log)) })
	if len(gaps) > maxAsks {
		gaps = gaps[:maxAsks]
	}
	asks = make([]ask, len(gaps))
	for i, g := range gaps {
		asks[i] = g.ask
	}
	return asks, parted
}

// claimed reports whether somebody is asked for a log already. Whoever does not begin to
// answer soon keeps nobody else from being asked. Called with the lock held.
func (m *Mesh) claimed(log oplog.LogID, now time.Time) bool {
	l := m.claims[log]
	return l != nil && (l.pending == nil || l.pending.begun || now.Sub(l.pending.since) < m.timing().claimTime)
}

func (m *Mesh) request(l *link, asks []ask, parted map[oplog.LogID]bool, now time.Time) {
	l.nextID++
	for _, a := range asks {
		m.claims[a.log] = l
	}
	l.pending = &pending{id: l.nextID, asks: asks, parted: parted, since: now}
	m.pulling++
	if !l.out.send(want{id: l.nextID, maxOps: batchOps | m.forms(l), maxBytes: uint32(m.mostPull(l.bytes)), asks: asks}) {
		l.end()
	}
}

// release forgets the question under way on l. Called with the lock held.
func (m *Mesh) release(l *link) {
	if l.pending == nil {
		return
	}
	for _, a := range l.pending.asks {
		if m.claims[a.log] == l {
			delete(m.claims, a.log)
		}
	}
	l.pending = nil
	m.pulling--
}

// answerBegins notes that records are arriving, so that a big batch on a slow
// link is not taken for silence.
func (m *Mesh) answerBegins(l *link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.pending != nil {
		l.pending.begun = true
	}
}

// answered takes the answer to the question under way, and nothing else: it is verified
// and flushed by the journal before it is acknowledged, and only then the next question
// is asked.
func (m *Mesh) answered(l *link, f opsFrame) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := l.pending
	if p == nil || p.answered || p.id != f.id || len(f.parts) != len(p.asks) {
		return errUnasked
	}
	for i, a := range p.asks {
		if f.parts[i].log != a.log {
			return errUnasked
		}
	}
	switch took := m.clock.Now().Sub(p.since); {
	case took > slowFrame:
		l.bytes = max(l.bytes/2, leastBytes)
	case took < fastFrame:
		l.bytes = min(l.bytes*2, batchBytes)
	}
	p.begun, p.answered = true, true
	m.stage.Work(func() { m.mergeParts(l, f) })
	return nil
}

func (m *Mesh) wasBusy(l *link, f busy) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.pending == nil || l.pending.id != f.id {
		return
	}
	m.release(l)
	wait := time.Duration(f.retry) * time.Millisecond
	l.busyTo = m.clock.Now().Add(wait)
	m.schedule() // somebody else may have it
	m.stage.After(wait, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.schedule()
	})
}

func (m *Mesh) mergeParts(l *link, f opsFrame) {
	var blobs [][]byte
	var err error
	taken := map[oplog.LogID]bool{} // of logs with two histories
	for _, p := range f.parts {
		switch {
		case m.rejoining(l, f.id, p.log):
			e := m.takeBranch(l, p.log, p.data)
			m.untagged(l, e)
			taken[p.log] = e == nil && len(p.data) > 0
			err = cmp.Or(err, e)
		case len(p.data) > 0:
			blobs = append(blobs, p.data)
		}
	}
	res, merr := m.store(blobs)
	err = cmp.Or(err, merr)
	if merr != nil && len(blobs) > 1 {
		// One bad log must not hold up the others.
		for _, b := range blobs {
			r, e := m.store([][]byte{b})
			res.Ops += r.Ops
			res.Forks = append(res.Forks, r.Forks...)
			err = cmp.Or(err, e)
			m.untagged(l, e)
		}
	}
	if err != nil && m.ctx.Err() == nil {
		m.quiet.warn("mesh could not merge a batch", "node", l.node, "err", err)
	}
	m.untagged(l, merr)
	m.refresh()
	m.settle(l, f, res, taken, err)
}

// store merges blobs unless there are none.
func (m *Mesh) store(blobs [][]byte) (oplog.MergeResult, error) {
	if len(blobs) == 0 {
		return oplog.MergeResult{}, nil
	}
	return m.records.Merge(m.ctx, blobs...)
}

// settle ends a question: acknowledges what is durable, sets aside what made no
// progress, asks on.
func (m *Mesh) settle(l *link, f opsFrame, res oplog.MergeResult, taken map[oplog.LogID]bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock.Now()
	for _, k := range res.Forks {
		m.another(l, k)
	}
	if c := fault.ClassOf(err); c == fault.ReadOnly || c == fault.Full || c == fault.Busy {
		m.pauseTo = now.Add(pauseOnFault) // our own trouble, not this peer's
	}
	p := l.pending
	m.release(l)
	if l.over {
		m.schedule() // what was asked for may be had elsewhere now
		return
	}
	reply := ack{id: f.id}
	full := false // an earlier log used up what was asked for
	for i, a := range p.asks {
		mine, ok := m.mine[a.log]
		if ok {
			k := markOf(mine)
			reply.marks = append(reply.marks, k)
			l.sent[a.log] = k.seq
		}
		after, still := m.lacking[a.log]
		got, parted := taken[a.log]
		switch {
		case l.again && !got:
		case parted:
			m.settleBranch(l, a.log, got, now)
		case still && after == a.after && mine.Seq > a.after:
			m.shunIn(l.bare, a.log, now) // its copy lacks them too
		case m.forked(a.log) && (m.records.Ours(a.log) || m.unproved(l, a.log)): // met just now: rejoins goes on
		case mine.Seq > a.after:
			delete(l.shun, a.log)
		case now.Before(m.pauseTo), full && len(f.parts[i].data) == 0:
		default:
			m.shun(l, a.log, now)
		}
		full = full || len(f.parts[i].data) > 0
	}
	l.again = false
	if !l.out.send(reply) {
		l.end()
	}
	m.schedule()
}

// shun leaves one log of one peer alone for a while, longer each time.
func (m *Mesh) shun(l *link, log oplog.LogID, now time.Time) { m.shunIn(l.shun, log, now) }

func (m *Mesh) shunIn(list map[oplog.LogID]*shunned, log oplog.LogID, now time.Time) {
	s := list[log]
	if s == nil {
		s = &shunned{}
		list[log] = s
	}
	wait := min(shunFirst<<min(s.fails, 10), shunMost)
	if m.forked(log) {
		wait = shunMost
	}
	s.fails++
	s.until = now.Add(wait)
}

// watchLoop announces what changed in the journal.
func (m *Mesh) watchLoop(notify <-chan struct{}) {
	for {
		select {
		case <-notify:
			m.refresh()
		case <-m.ctx.Done():
			return
		}
	}
}

// refresh reads the durable heads and tells who should know: the own log to all
// at once, logs of others after relayAfter to those who lack them.
func (m *Mesh) refresh() {
	m.refreshing.Lock()
	defer m.refreshing.Unlock()
	heads := m.records.Heads()
	own := m.records.Own()
	lacking := m.lacks()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.own, m.lacking = own, lacking
	if m.shrunk(heads) {
		m.past.begin(m.mine, m.forked)
		m.sayAgain()
	}
	var was, is []mark
	var gossip []mark
	for _, h := range heads {
		old, known := m.mine[h.Log]
		if known && old.Seq >= h.Seq {
			continue
		}
		m.mine[h.Log] = h
		m.news = true
		k := markOf(h)
		if !m.forked(h.Log) {
			was, is = append(was, mark{log: h.Log, seq: old.Seq, hash: [16]byte(old.Hash[:16])}), append(is, k)
		}
		if h.Log == own {
			gossip = append(gossip, k)
			for _, l := range m.links {
				m.tell(l, k)
			}
		} else if !m.relayDue {
			m.relayDue = true
			m.stage.After(m.timing().relayAfter, m.relay)
		}
	}
	m.past.changed(was, is)
	for _, k := range gossip {
		m.member.Announce(k.log, appendHint([]byte{hintVersion}, k))
	}
}

// lacks says of which logs payloads are gone here without anybody having been erased,
// and behind which op. A journal that cannot be read says so elsewhere.
func (m *Mesh) lacks() map[oplog.LogID]uint64 {
	refs, err := m.records.Wanting()
	if err != nil || len(refs) == 0 {
		return nil
	}
	out := map[oplog.LogID]uint64{}
	for _, r := range refs {
		if after, known := out[r.Log]; !known || r.Seq-1 < after {
			out[r.Log] = r.Seq - 1
		}
	}
	return out
}

// shrunk takes heads that went back into m.mine: damage in the journal took what was
// held. Called with the lock held.
func (m *Mesh) shrunk(heads []oplog.Head) (shrunk bool) {
	now := make(map[oplog.LogID]oplog.Head, len(heads))
	for _, h := range heads {
		now[h.Log] = h
	}
	for log, old := range m.mine {
		switch h, held := now[log]; {
		case !held:
			delete(m.mine, log)
			shrunk = true
		case h.Seq < old.Seq:
			m.mine[log] = h
			shrunk = true
		}
	}
	return shrunk
}

// sayAgain ends all links and dials anew. A peer believes marks that grow and nothing
// else on one connection, but a new one begins with everything that is held: then it
// knows what is missing here, and gives it. Called with the lock held.
func (m *Mesh) sayAgain() {
	m.log.Warn("the journal holds less than before; other nodes are told and asked")
	for _, l := range m.links {
		l.end()
		l.peer.dial.now()
	}
	m.pauseTo = time.Time{}
	m.changed(soon)
	m.poke()
}

// Ask makes this node look for everybody now and ask again what they could not give
// before, without the waiting that failed tries have added up. Safe for concurrent use.
func (m *Mesh) Ask() {
	m.refresh()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pauseTo = time.Time{}
	for _, p := range m.peers {
		if !p.linked() {
			p.lost = false
			p.dial.now()
		}
	}
	for _, l := range m.links {
		clear(l.shun)
		l.busyTo = time.Time{}
	}
	m.schedule()
	m.poke()
}

// tell hints at k on l. Called with the lock held.
func (m *Mesh) tell(l *link, k mark) {
	if l.attached && l.sent[k.log] < k.seq {
		l.sent[k.log] = k.seq
		l.out.tell(k)
	}
}

// relay tells of what came from others.
func (m *Mesh) relay() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.relayDue = false
	for _, l := range m.links {
		for log, h := range m.mine {
			if l.told[log].seq < h.Seq || l.hello.own == log {
				m.tell(l, markOf(h))
			}
		}
	}
}

// tellAll hints at everything a peer has not heard of, so that every node can say
// who holds what. Called with the lock held.
func (m *Mesh) tellAll() {
	for _, l := range m.links {
		for _, h := range m.mine {
			m.tell(l, markOf(h))
		}
	}
}

// sendVector tells l everything held here. Called with the lock held.
func (m *Mesh) sendVector(l *link) {
	v := vector{}
	for _, log := range sortedLogs(m.mine) {
		h := m.mine[log]
		if len(v.marks) == marksAFrame {
			v.more = true
			l.out.send(v)
			v = vector{}
		}
		v.marks = append(v.marks, markOf(h))
		l.sent[h.Log] = h.Seq
	}
	l.out.send(v)
}

// stuck cancels links whose peer answers pings but no questions. Called with the
// lock held.
func (m *Mesh) stuck(now time.Time) {
	for _, l := range m.links {
		if p := l.pending; p != nil && !p.begun && now.Sub(p.since) > answerTime {
			m.quiet.debug("mesh link stuck", "node", l.node, "err", errNoAnswer)
			l.end()
		}
	}
}

// noteFork remembers proof or suspicion that a log has two histories, once.
// Called with the lock held.
func (m *Mesh) noteFork(f oplog.Fork) {
	if m.forked(f.Log) || len(m.forks) >= 1000 {
		return
	}
	m.forks = append(m.forks, f)
	m.past.begin(m.mine, m.forked)
	m.news = true
	m.foundFork(f.Log)
	m.doubted(f.Log)
	m.recallParting(f.Log)
	for _, p := range m.peers {
		if p.doubled {
			p.settle(f.Log) // its two boxes may have told one history each
		}
	}
	m.log.Warn("mesh found a log with two histories", "log", f.Log, "seq", f.Seq)
}

func (m *Mesh) forked(log oplog.LogID) bool {
	return slices.ContainsFunc(m.forks, func(f oplog.Fork) bool { return f.Log == log })
}

// sleep waits for d; false when the mesh closes meanwhile.
func (m *Mesh) sleep(d time.Duration) bool {
	select {
	case <-m.clock.After(d):
		return true
	case <-m.ctx.Done():
		return false
	}
}
