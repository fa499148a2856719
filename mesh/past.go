package mesh

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/waypost/waypost/appliance/oplog"
)

// A sum names everything a node holds in 16 bytes: the exclusive or of a hash of each mark.
// Nodes that hold the same have the same sum, and because what is written reaches them in
// about the same order, the sum of one is mostly a sum that the other had a moment ago. So
// a report needs no list. Whoever makes up a sum lies about itself only.
type sum [16]byte

func (s *sum) toggle(k mark) {
	h := sha256.New()
	h.Write([]byte("waypost/sum/1"))
	h.Write(k.log[:])
	h.Write(binary.BigEndian.AppendUint64(nil, k.seq))
	h.Write(k.hash[:])
	for i, b := range h.Sum(nil)[:16] {
		s[i] ^= b
	}
}

// past is what this node held before, newest last: enough to know a sum that is a little
// old.
type past struct {
	now   sum
	steps []step
}

// step is one change: the sum before it, and the marks of before; seq 0 was not held.
type step struct {
	before sum
	was    []mark
}

const maxSteps = 512

// begin makes sums of mine anew, and forgets what was before. Logs with two histories are
// left out: each node may hold either.
func (p *past) begin(mine map[oplog.LogID]oplog.Head, forked func(oplog.LogID) bool) {
	*p = past{}
	for log, h := range mine {
		if !forked(log) {
			p.now.toggle(markOf(h))
		}
	}
}

// changed notes that heads took the place of was.
func (p *past) changed(was, is []mark) {
	if len(is) == 0 {
		return
	}
	p.steps = append(p.steps, step{p.now, was})
	if len(p.steps) > 2*maxSteps {
		p.steps = append([]step(nil), p.steps[maxSteps:]...)
	}
	for _, k := range was {
		if k.seq > 0 {
			p.now.toggle(k)
		}
	}
	for _, k := range is {
		p.now.toggle(k)
	}
}

// when is what was held when the sum was s; false when it never was, lately.
func (p *past) when(s sum, mine map[oplog.LogID]oplog.Head) (map[oplog.LogID]mark, bool) {
	at := len(p.steps)
	if s != p.now {
		for at--; at >= 0 && p.steps[at].before != s; at-- {
		}
		if at < 0 {
			return nil, false
		}
	}
	out := make(map[oplog.LogID]mark, len(mine))
	for log, h := range mine {
		out[log] = markOf(h)
	}
	for i := len(p.steps) - 1; i >= at; i-- {
		for _, k := range p.steps[i].was {
			if k.seq == 0 {
				delete(out, k.log)
			} else {
				out[k.log] = k
			}
		}
	}
	return out, true
}
