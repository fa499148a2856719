package mesh

import (
	"crypto/tls"

	"github.com/waypost/waypost/appliance/oplog"
)

// This file is what an open node makes of a locked one. It is given whatever it asks for and
// asked for nothing: link.whole stays false, so no question goes out on such a link, no piece
// is asked for, and it is nobody who could tell that nothing is missing (Complete). What it
// says that it holds is shown apart, as waiting to be opened, and never counted among the
// copies: a node that needs somebody to open it, or whose card somebody stole, must not turn
// the red "only here" off.

// lockedLink notes whether l is to a locked node; false when it is this node itself, locked:
// a copy of its card, with which an open node has nothing to do.
func (m *Mesh) lockedLink(l *link, cs tls.ConnectionState) bool {
	cert, err := lockedPeer(cs, m.root)
	return err != nil || m.isLocked(l, cert)
}

// isLocked notes that l is to the locked node of cert.
func (m *Mesh) isLocked(l *link, cert LockedCert) bool {
	l.locked = &cert
	if l.node == m.self {
		m.quiet.warn("mesh met a locked copy of this node", "node", m.self, "address", l.line.Remote())
	}
	return l.node != m.self
}

// refusesLocked reports whether l is a locked node's link and not wanted: the node was opened
// since, or is open right now. The second keeps somebody with a copy of the card from
// pushing the node itself out. Called with the lock held.
func (m *Mesh) refusesLocked(l *link, p *peer) bool {
	if l.locked == nil {
		return false
	}
	if p.card != nil && p.card.stamp >= l.locked.Until {
		return true
	}
	locked := 0
	for _, o := range p.links {
		switch {
		case o.over:
		case o.locked == nil:
			return true
		default:
			locked++
		}
	}
	return locked >= maxLockedLinks
}

// maxLockedLinks is how many a locked node may have here: one dialled either way.
const maxLockedLinks = 2

// crowd counts the links of the peer that stand in the way of l: those of a locked copy of
// its card are none for the open node. Called with the lock held.
func (p *peer) crowd(l *link) (n int) {
	for _, o := range p.links {
		if l.locked != nil || o.locked == nil {
			n++
		}
	}
	return n
}

// meetLocked notes what an attached link says of the node: an open one ends those from when
// it was locked, whoever made them. Called with the lock held.
func (p *peer) meetLocked(l *link) {
	if p.sealed = nil; l.locked != nil {
		p.sealed = l.told
		return
	}
	for _, o := range p.links {
		if o.locked != nil {
			o.end()
		}
	}
}

// endLocked ends links with certificates that the peer's newest card ended. Called with the
// lock held.
func (p *peer) endLocked() {
	for _, l := range p.links {
		if l.locked != nil && p.card.stamp >= l.locked.Until {
			l.end()
		}
	}
}

// lockedHolds takes in what a locked node said it holds. Nothing of it is compared: it could
// make nobody believe in a second history.
func (m *Mesh) lockedHolds(l *link, marks []mark) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range marks {
		if _, known := l.told[k.log]; !known && len(l.told) >= maxToldLogs {
			return errTooMany
		}
		if k.seq >= l.told[k.log].seq {
			l.told[k.log] = k
		}
	}
	return nil
}

// waiting counts the ops held here that a locked node took in and cannot read yet. Called
// with the lock held.
func (p *peer) waiting(mine map[oplog.LogID]oplog.Head) (n uint64) {
	for log, k := range p.sealed {
		if here, open := mine[log].Seq, p.held[log].seq; min(k.seq, here) > open {
			n += min(k.seq, here) - open
		}
	}
	return n
}
