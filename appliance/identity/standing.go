package identity

import (
	"cmp"
	"slices"

	"github.com/waypost/waypost/appliance/oplog"
)

// Standing is whether the others deal with a node.
type Standing uint8

// The standings. Each is worse than the one before.
const (
	StandingGood      Standing = iota
	StandingSuspended          // somebody said that the box is lost; an issuer can lift it
	StandingRevoked            // shut out for good
)

// How many other nodes one node may shut out by itself. A lead who lost a lorry with more
// boxes needs an issuer; a thief with one open box cannot take a deployment apart.
const maxSuspends = 3

// Suspension is one fact that says that a node is lost.
type Suspension struct {
	Node NodeID
	ID   [8]byte
	By   NodeID // the node where it was said; zero when that one is not known here
	At   int64  // Unix milliseconds, as that node's clock was
	Who  oplog.By

	log        oplog.LogID
	seq, clock uint64
	seen       []logMark // how far the node's logs were known there
	word       [32]byte  // the issuer that says so too; zero = none
}

// lift is an issuer's word that suspensions of a node are over.
type lift struct {
	node NodeID
	ids  [][8]byte
	word [32]byte
	log  oplog.LogID
	seq  uint64
}

// revocation is an issuer's word that a node is shut out for good.
type revocation struct {
	node  NodeID
	cuts  []logMark
	heads []cut // the same, as they were said
	word  [32]byte
	at    int64 // Unix milliseconds
	who   oplog.By
	fact  oplog.Ref

	body   []byte   // what two people signed
	signed [][]byte // … and how
}

// release is what an issuer let count after all, of a node.
type release struct {
	node NodeID
	fact Released
}

// logMark is how far a log counts.
type logMark struct {
	_   struct{} `cbor:",toarray"`
	Log oplog.LogID
	Seq uint64
}

// covers reports whether an op lies within marks.
func covers(marks []logMark, log oplog.LogID, seq uint64) bool {
	return slices.ContainsFunc(marks, func(m logMark) bool { return m.Log == log && seq <= m.Seq })
}

// court judges all suspensions together, so that the same facts give the same answer
// whatever order they came in. Its rules:
//
//   - A box where no issuer lives is suspended by any other box that was compared, or by
//     an issuer's word. One box alone can shut out maxSuspends others, the first ones it
//     named; what is beyond waits for an issuer's word.
//   - A box where an issuer lives is suspended by another issuer's word, or when two boxes
//     say so (one, where there is only one besides). So one stolen box cannot cut off
//     those who could put things right.
//   - What a box says after it was itself suspended does not count. "After" is what the
//     one who suspended it had not seen of its log: no clock can be wrong about that. What
//     it had said before stays, or stealing a second box would set the first one free.
//   - Two boxes that suspend each other, neither having seen the other's word, are both
//     suspended until an issuer lifts one: nobody can tell which of them was stolen, and
//     being wrong the one way shows people to a thief.
//   - An issuer lifts every suspension but that of its own box. An issuer whose box is
//     suspended lifts none; what it had lifted before stays lifted. Its words for
//     suspensions stay in any case: shutting out wins.
//   - An issuer that was revoked says nothing more: of its words those count that lie
//     within the cuts of its revocation (issuerout.go).
type court struct {
	nodes    map[NodeID]*Node
	authors  map[oplog.LogID]NodeID
	said     []Suspension // sorted by (clock, log, seq)
	lifts    []lift
	revoked  []revocation
	released []release
	muted    muted // issuers that were revoked, and from where on
}

func newCourt(nodes map[NodeID]*Node) *court {
	c := &court{nodes: nodes, authors: map[oplog.LogID]NodeID{}}
	for id, n := range nodes {
		for _, l := range n.Logs {
			c.authors[l] = id
		}
	}
	return c
}

// issues reports whether an issuer lives at a node, and which.
func (c *court) issues(id NodeID) (issuer [32]byte, ok bool) {
	n := c.nodes[id]
	if n == nil || !n.Cert.Has(CapEnrol) {
		return issuer, false
	}
	return n.Cert.Issuer.Public, true
}

// heard keeps what may count at all: about a known node, by another node that was
// compared or with another issuer's word.
func (c *court) heard() (said []Suspension) {
	for _, s := range c.said {
		s.By = c.authors[s.log]
		by := c.nodes[s.By]
		if own, issues := c.issues(s.Node); issues && own == s.word {
			s.word = [32]byte{}
		}
		worded := s.word != [32]byte{} && c.muted.signs(s.word, s.log, s.seq)
		if !worded {
			s.word = [32]byte{}
		}
		if c.nodes[s.Node] != nil && by != nil && s.By != s.Node && (worded || by.Confirmed && !by.Carries()) {
			said = append(said, s)
		}
	}
	slices.SortFunc(said, func(a, b Suspension) int {
		return cmp.Or(cmp.Compare(a.clock, b.clock), cmp.Compare(string(a.log[:]), string(b.log[:])), cmp.Compare(a.seq, b.seq))
	})
	return said
}

// liftedBy leaves out what an issuer that may has lifted.
func (c *court) liftedBy(said []Suspension, may func(lift) bool) []Suspension {
	return slices.DeleteFunc(slices.Clone(said), func(s Suspension) bool {
		own, issues := c.issues(s.Node)
		return slices.ContainsFunc(c.lifts, func(l lift) bool {
			return l.node == s.Node && slices.Contains(l.ids, s.ID) && (!issues || own != l.word) && c.muted.signs(l.word, l.log, l.seq) && may(l)
		})
	})
}

// judge is the list of suspensions that count.
func (c *court) judge() []Suspension {
	said := c.heard()
	// What has been lifted and which boxes of issuers are out hang on each other. More
	// lifts never shut out another issuer's box, and more issuers never take a lift away;
	// so this ends, and ends the same way everywhere.
	left, out := said, map[NodeID]bool{}
	for _, n := range c.nodes {
		if _, issues := c.issues(n.ID); issues {
			out[n.ID] = true
		}
	}
	for {
		next := c.liftedBy(said, func(l lift) bool { return c.inOffice(l, left, out) })
		nextOut := c.issuersOut(next)
		done := len(next) == len(left) && len(nextOut) == len(out)
		if left, out = next, nextOut; done {
			break
		}
	}
	var all []Suspension
	for _, s := range left { // whether an issuer's box is out is settled
		if _, issues := c.issues(s.Node); issues && out[s.Node] && (s.word != [32]byte{} || !c.silenced(s)) {
			all = append(all, s)
		}
	}
	for _, s := range c.standing(left) {
		if _, issues := c.issues(s.Node); !issues {
			all = append(all, s)
		}
	}
	return all
}

// inOffice reports whether the issuer of a lift could still lift when it did: its box is
// not out, or those who shut it out had seen the lift.
func (c *court) inOffice(l lift, said []Suspension, out map[NodeID]bool) bool {
	for id := range out {
		if k, _ := c.issues(id); k != l.word {
			continue
		}
		for _, s := range said {
			if s.Node == id && !covers(s.seen, l.log, l.seq) {
				return false
			}
		}
	}
	return true
}

// issuersOut are the boxes with an issuer that are suspended.
func (c *court) issuersOut(said []Suspension) map[NodeID]bool {
	quorum := 0
	for id, n := range c.nodes {
		if _, issues := c.issues(id); !issues && n.Confirmed && !n.Carries() {
			quorum = min(quorum+1, 2)
		}
	}
	out := map[NodeID]bool{}
	by := map[NodeID]map[NodeID]bool{}
	for _, s := range said {
		if _, issues := c.issues(s.Node); !issues {
			continue
		}
		if s.word != [32]byte{} {
			out[s.Node] = true
			continue
		}
		if c.silenced(s) {
			continue
		}
		if by[s.Node] == nil {
			by[s.Node] = map[NodeID]bool{}
		}
		by[s.Node][s.By] = true
	}
	for id, who := range by {
		if len(who) >= max(quorum, 1) {
			out[id] = true
		}
	}
	return out
}

// silenced reports whether an issuer had shut the writer of s out before it wrote it.
func (c *court) silenced(s Suspension) bool {
	for _, r := range c.revoked {
		if r.node == s.By && !covers(r.cuts, s.log, s.seq) {
			return true
		}
	}
	// Lifted by whomever: a box that was given back may speak again.
	lifted := c.liftedBy(c.heard(), func(lift) bool { return true })
	return slices.ContainsFunc(lifted, func(o Suspension) bool {
		return o.Node == s.By && o.word != [32]byte{} && !covers(o.seen, s.log, s.seq)
	})
}

// standing leaves out what was said by boxes that had been suspended, and what one box
// said beyond its limit. Where that goes round in a circle all of it counts.
func (c *court) standing(said []Suspension) []Suspension {
	said = c.withinLimit(said)
	const (
		unsure = iota
		counts
		out
	)
	state := make([]int, len(said))
	for i, s := range said {
		switch {
		case s.word != [32]byte{}:
			state[i] = counts
		case slices.ContainsFunc(c.revoked, func(r revocation) bool { return r.node == s.By && !covers(r.cuts, s.log, s.seq) }):
			state[i] = out
		}
	}
	for changed := true; changed; {
		changed = false
		for i, s := range said {
			if state[i] != unsure {
				continue
			}
			verdict := counts
			for j, o := range said {
				if o.Node != s.By || covers(o.seen, s.log, s.seq) || state[j] == out {
					continue
				}
				if _, issues := c.issues(o.Node); issues && o.word == [32]byte{} {
					continue // one box cannot silence an issuer's
				}
				if verdict = state[j]; verdict == counts {
					verdict = out
					break
				}
			}
			if verdict != unsure {
				state[i], changed = verdict, true
			}
		}
	}
	var left []Suspension
	for i, s := range said {
		if state[i] != out {
			left = append(left, s)
		}
	}
	return left
}

// withinLimit keeps of each box's own word the first nodes it named.
func (c *court) withinLimit(said []Suspension) []Suspension {
	named := map[NodeID][]NodeID{}
	return slices.DeleteFunc(slices.Clone(said), func(s Suspension) bool {
		if s.word != [32]byte{} {
			return false
		}
		if !slices.Contains(named[s.By], s.Node) {
			if len(named[s.By]) >= maxSuspends {
				return true
			}
			named[s.By] = append(named[s.By], s.Node)
		}
		return false
	})
}
