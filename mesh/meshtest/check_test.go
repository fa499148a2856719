package meshtest

import (
	"fmt"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/mesh"
)

// mend ends all harm.
func (p *play) mend() {
	p.Loss, p.Twice = 0, 0
	for _, o := range p.posts {
		if o.fuse {
			o.fuse = false
			o.disk.CutAfter(-1)
		}
		if o.Asleep != nil {
			p.say("%d is opened, with %d facts in its letterbox", o.n, o.letters.Waiting())
			o.wake()
		}
		if !on(o) {
			o.SetClock(0, 0, true)
			o.open(false)
		}
	}
	p.heal()
	if p.apart {
		p.ferry()
	}
	p.apart = false
	p.Heal()
}

// settle ends all harm and waits until everybody who counts holds the same.
func (p *play) settle() {
	p.mend()
	// What two boxes wrote into one log is written again by either of them when they have met:
	// until then all may hold the same without it.
	took, ok := p.within(func() bool {
		return same(p.counting(), p.forked) && (len(p.forked) == 0 || p.allThere()) && !slices.ContainsFunc(p.posts, func(o *post) bool { return o.sealed != nil })
	})
	p.say("settled after %v: %v", took, ok)
	if !ok {
		p.fail("they never hold the same:\n%s%s", p.heads(), p.links())
	}
	p.Run(6 * time.Second) // what is said about nodes is acted on
}

// within plays until ok, as long as it may take.
func (p *play) within(ok func() bool) (time.Duration, bool) {
	return p.Until(p.patience(), time.Second, ok)
}

// allThere reports whether everybody who was answered for is found everywhere.
func (p *play) allThere() bool {
	for _, o := range p.counting() {
		for _, id := range p.order {
			if f := p.people[id]; !f.erased && !f.open && !f.held && !o.carrier && !o.has(id) {
				return false
			}
		}
	}
	return true
}

func (p *play) counting() (out []*post) {
	for _, o := range p.posts {
		if p.honest(o) {
			out = append(out, o)
		}
	}
	return out
}

func (p *play) heads() (out string) {
	all := map[oplog.LogID]map[uint64][]int{}
	for _, o := range p.counting() {
		for _, h := range o.log.Heads() {
			if all[h.Log] == nil {
				all[h.Log] = map[uint64][]int{}
			}
			all[h.Log][h.Seq] = append(all[h.Log][h.Seq], o.n)
		}
	}
	for log, seqs := range all {
		n := 0
		for _, who := range seqs {
			n += len(who)
		}
		if len(seqs) > 1 || n < len(p.counting()) {
			out += fmt.Sprintf("%s: %v\n", log, seqs)
		}
	}
	return out
}

func (p *play) fail(format string, args ...any) {
	p.t.Helper()
	p.t.Errorf(format, args...)
	for _, d := range p.did {
		p.t.Log(d)
	}
	p.t.FailNow()
}

// check looks at everybody who counts.
func (p *play) check() {
	digests := map[string][]int{}
	for _, w := range p.wrong {
		p.fail("%s", w)
	}
	for _, o := range p.counting() {
		if o.carrier {
			p.opensNothing(o)
			continue
		}
		r, err := o.log.Check(ctx)
		o.must(err)
		for _, id := range p.order {
			f := p.people[id]
			switch has := o.has(id); {
			case f.erased && has:
				p.fail("post %d shows somebody who was erased", o.n)
			case f.erased || f.open:
			case f.held && has:
				p.fail("post %d shows what a revoked post (%d) wrote after its cut", o.n, f.by.n)
			case !f.held && !has:
				p.fail("post %d lacks a person that post %d answered for", o.n, f.by.n)
			}
		}
		digests[r.Views] = append(digests[r.Views], o.n)
	}
	if len(digests) > 1 {
		p.fail("views differ: %v", digests)
	}
	p.copiesKnown()
}

// copiesKnown: every node knows of every other one that it holds everything.
func (p *play) copiesKnown() {
	all := p.counting()
	took, ok := p.Until(15*time.Minute, 10*time.Second, func() bool { return p.unknown(all) == nil })
	p.say("copies known after %v: %v", took, ok)
	if !ok {
		p.fail("%s", p.unknown(all)())
	}
}

// unknown says what somebody does not know yet, nil when nothing: it is worked out for people
// only.
func (p *play) unknown(all []*post) func() string {
	ids := map[identity.NodeID]bool{}
	for _, o := range all {
		ids[o.id] = true
	}
	for _, o := range all {
		if n := o.Mesh.OnlyHere(); n > 0 && len(ids) > 1 && len(p.forked) == 0 {
			return func() string { return fmt.Sprintf("post %d says that %d ops are only there", o.n, n) }
		}
		for log, nodes := range o.Mesh.Holders() {
			if p.forked[log] {
				continue
			}
			n := 0
			for _, id := range nodes {
				if ids[id] {
					n++
				}
			}
			if n < len(ids) && (p.boxes(o) <= 3 || n < 2) { // see mostBoxes
				return func() string {
					return fmt.Sprintf("post %d knows %d of %d holders of %s, not %v\n%s", o.n, n, len(ids), log, p.others(ids, nodes), p.links())
				}
			}
		}
	}
	return nil
}

// others are the posts of those in ids that are not in nodes.
func (p *play) others(ids map[identity.NodeID]bool, nodes []identity.NodeID) (out []int) {
	for _, o := range p.posts {
		if ids[o.id] && !slices.Contains(nodes, o.id) {
			out = append(out, o.n)
		}
	}
	return out
}

// links is who sees whom.
func (p *play) links() (out string) {
	number := map[identity.NodeID]int{}
	for _, o := range p.posts {
		if _, seen := number[o.id]; !seen {
			number[o.id] = o.n
		}
	}
	for _, o := range p.posts {
		out += fmt.Sprintf("post %d (node %d, shut %v):", o.n, number[o.id], p.shut[o])
		for _, x := range o.Mesh.Peers() {
			out += fmt.Sprintf(" %d %s", number[x.Node], x.State)
			if x.State == mesh.Connected {
				out += fmt.Sprintf(" %d/%d", x.Behind, x.Ahead)
			}
		}
		for _, l := range o.lines {
			out += fmt.Sprintf(" [to %d]", l.to.n)
		}
		out += "\n"

	}
	return out
}
