package mesh

import (
	"cmp"
	"slices"

	"github.com/waypost/waypost/appliance/oplog"
)

// What a node holds is what its links have told. Of a node that runs twice each box is
// believed about itself.

// parts notes whether what l told of a log contradicts what is held here. Called with
// the lock held.
func (l *link) parts(log oplog.LogID, forked bool) {
	if !forked {
		delete(l.forked, log)
		return
	}
	if l.forked == nil {
		l.forked = map[oplog.LogID]bool{}
	}
	l.forked[log] = true
}

// says is what l told of a log. Called with the lock held.
func (l *link) says(log oplog.LogID) held {
	k := l.told[log]
	return held{seq: k.seq, hash: k.hash, forked: l.forked[log]}
}

// better reports whether a says more than b about what is held of our history of a log.
// Of a log with two histories a mark beyond our head may be of either, so it says least
// but one that is of the other for sure. Called with the lock held.
func (m *Mesh) better(log oplog.LogID, a, b held) bool {
	worth := func(h held) int {
		switch {
		case h.forked:
			return 0
		case h.seq > m.mine[log].Seq && m.forked(log):
			return 1
		}
		return 2
	}
	return cmp.Or(cmp.Compare(worth(a), worth(b)), cmp.Compare(a.seq, b.seq)) > 0
}

// outdated reports whether another link of the node has told more of the log than l: one
// of the running peer, or of its twin where the node runs twice, which are two boxes
// that each hold what they say. Called with the lock held.
func (l *link) outdated(log oplog.LogID) bool {
	return slices.ContainsFunc(l.peer.links, func(o *link) bool {
		_, told := o.told[log]
		return o != l && told && (l.peer.doubled || o.hello.incarnation == l.hello.incarnation) && l.m.better(log, o.says(log), l.says(log))
	})
}

// recount makes what a node holds what its links have told, when the last one to a
// running box ended and its twin is still there: what only that box said counts no more,
// or the remains of a dead connection would speak for a box that came back without its
// disk. Nothing happens while no vector has arrived: the next whole one settles it.
// Called with the lock held, after l was taken out of p.links.
func (p *peer) recount(l *link) {
	whole := false
	for _, o := range p.links {
		if o.hello.incarnation == l.hello.incarnation {
			return // a journal only grows while it runs
		}
		whole = whole || o.whole
	}
	if !whole {
		return
	}
	for log := range l.told {
		delete(p.held, log)
		p.settle(log)
	}
}

// settle makes what a node holds of one log the best that its links have told, if any
// did. Called with the lock held.
func (p *peer) settle(log oplog.LogID) {
	var best *link
	for _, o := range p.links {
		if _, told := o.told[log]; told && (best == nil || o.m.better(log, o.says(log), best.says(log))) {
			best = o
		}
	}
	if best != nil {
		p.held[log] = best.says(log)
		best.m.trace(p, log)
	} else if _, held := p.held[log]; !held {
		delete(p.points, log)
	}
}
