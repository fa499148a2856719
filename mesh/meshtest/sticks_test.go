package meshtest

import (
	"bytes"
	"path/filepath"
	"slices"

	"github.com/waypost/waypost/appliance/bundle"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

func (p *post) memory() *bundle.Memory {
	return bundle.NewMemory(files.OS(), filepath.Join(p.dir, "bundles"))
}

// writes is a bundle for one node, or for any when to is nil; nil where the node may have none.
func (p *post) writes(to *post) []byte {
	p.t.Helper()
	o := bundle.Options{Keys: p.vault, Source: p.log}
	nodes, err := p.Identity.Nodes()
	p.must(err)
	for _, n := range nodes {
		switch {
		case p.Identity.Outcast(n.Cert):
		case to == nil:
			o.Nodes = append(o.Nodes, n.Cert)
		case n.ID == to.id && n.ID != p.id:
			o.For, o.Known = &n.Cert, p.known(n.ID)
		}
	}
	if to != nil && o.For == nil {
		return nil
	}
	if to == nil {
		o.Common, err = p.Identity.CommonKeySafe()
		p.must(err)
	}
	o.Stamp, err = p.memory().Stamp(p.Clock().Now())
	p.must(err)
	var b bytes.Buffer
	_, err = bundle.Write(ctx, &b, o)
	p.must(err)
	return b.Bytes()
}

// known is what another node is known to hold.
func (p *post) known(id identity.NodeID) bundle.Known {
	k, read := p.memory().Of(id)
	if k.Marks == nil {
		k.Marks = map[oplog.LogID]bundle.Mark{}
	}
	said, last := p.Mesh.MarksOf(id)
	if read && !last.After(k.Read) {
		return k
	}
	for log, e := range said {
		if e.Seq > k.Marks[log].Seq {
			k.Marks[log] = bundle.Mark(e)
		}
	}
	return k
}

// reads takes a bundle in. What is refused is refused in a sentence.
func (p *post) reads(b []byte) (new uint64, refused string) {
	p.t.Helper()
	p.must(p.Identity.Follow(ctx))
	r, err := bundle.Read(ctx, bytes.NewReader(b), bundle.ReadOptions{
		Keys: p.vault, Book: p.Identity, Into: p.log, Memory: p.memory(), Now: p.Clock().Now(), Size: int64(len(b)),
	})
	if p.dead() {
		p.look()
		return r.New, "the power went"
	}
	switch fault.ClassOf(err) {
	case fault.Invalid, fault.Denied, fault.Conflict:
		refused = fault.Of(err).Key
	default:
		p.must(err)
	}
	p.must(p.Identity.Follow(ctx))
	p.Mesh.Changed()
	return r.New, refused
}

// stick is what somebody wrote on one of two islands.
type stick struct {
	b    []byte
	side int
}

// stick has somebody write a stick, and somebody read one: a new one or an old one, whole or
// not.
func (p *play) stick() {
	if p.rnd.IntN(3) > 0 && !p.writeStick() || len(p.sticks) == 0 {
		return
	}
	s := p.sticks[len(p.sticks)-1]
	if p.rnd.IntN(2) == 0 {
		s = p.sticks[p.rnd.IntN(len(p.sticks))]
	}
	far := p.rnd.IntN(4) > 0
	r := p.some(func(o *post) bool { return on(o) && (!p.apart || !far || o.side != s.side) })
	if r == nil {
		return
	}
	b := slices.Clone(s.b)
	switch p.rnd.IntN(8) {
	case 0:
		b = b[:p.rnd.IntN(len(b))]
	case 1:
		b[p.rnd.IntN(len(b))] ^= byte(1 + p.rnd.IntN(255))
	}
	n, refused := r.reads(b)
	p.say("%d reads a stick: %d new %s", r.n, n, refused)
	p.harm["sticks read"]++
	if refused != "" {
		p.harm["sticks refused"]++
	}
	if n > 0 {
		p.harm["sticks that brought something"]++
	}
}

// writeStick has somebody write one; false where nobody could.
func (p *play) writeStick() bool {
	a := p.some(func(o *post) bool { return on(o) && o.bent == nil })
	if a == nil {
		return false
	}
	var to *post
	if p.rnd.IntN(3) == 0 {
		to = p.some(func(o *post) bool { return o.id != a.id })
	}
	b := a.writes(to)
	p.say("%d writes a stick of %d bytes", a.n, len(b))
	if b != nil {
		p.harm["sticks written"]++
		p.sticks = append(p.sticks, stick{b, a.side})
	}
	if len(p.sticks) > 5 {
		p.sticks = slices.Delete(p.sticks, 0, 1)
	}
	return true
}

// islands parts the posts in two groups that never meet by air, for good. Between them may
// stand a carrier, which hears one of them at a time.
func (p *play) islands() {
	p.apart = true
	p.harm["camps of two islands"]++
	for i, o := range p.posts {
		o.side = 1 + i%2
	}
	p.say("two islands")
	p.heal()
}

// shore cuts the islands from each other.
func (p *play) shore() {
	if !p.apart {
		return
	}
	var side [3][]*Place
	for _, o := range p.posts {
		side[o.side] = append(side[o.side], o.Place)
	}
	p.Cut(side[1], side[2])
}

// sail takes a carrier to the other island.
func (p *play) sail() {
	o := p.some(func(o *post) bool { return o.carrier })
	if !p.apart || o == nil {
		return
	}
	o.side = 3 - o.side
	p.harm["carriers sailed"]++
	p.say("%d sails to island %d", o.n, o.side)
	p.heal()
}

// ferry has sticks go between two islands that are each of one mind, until both are. One
// stick there and one back are enough.
func (p *play) ferry() {
	within := func() bool {
		for side := 1; side <= 2; side++ {
			var all []*post
			for _, o := range p.counting() {
				if o.side == side {
					all = append(all, o)
				}
			}
			// That somebody was given back is known where the lead is, and not yet here.
			here := slices.Clone(all)
			all = slices.DeleteFunc(all, func(o *post) bool {
				return slices.ContainsFunc(here, func(x *post) bool { return x.Identity.Shut(o.id) })
			})
			if len(all) > 0 && !same(all, p.forked) {
				return false
			}
		}
		return true
	}
	for range 6 {
		if _, ok := p.within(within); !ok {
			p.fail("an island never holds the same:\n%s%s", p.heads(), p.links())
		}
		if same(p.counting(), p.forked) {
			p.harm["islands made equal by sticks alone"]++
			return
		}
		a := p.some(func(o *post) bool { return on(o) && p.honest(o) && o.side == 1 })
		b := p.some(func(o *post) bool { return on(o) && p.honest(o) && o.side == 2 })
		if a == nil || b == nil {
			return
		}
		n, no := b.reads(a.writes(nil))
		p.say("ferry %d>%d: %d new %s", a.n, b.n, n, no)
		p.Run(3e9)
		if back := b.writes(a); back != nil && on(a) {
			n, no = a.reads(back)
			p.say("ferry %d>%d: %d new %s", b.n, a.n, n, no)
		}
	}
	p.fail("sticks do not make two islands equal:\n%s", p.heads())
}
