package meshtest

import (
	"context"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

func (p *play) suspend() {
	first := p.posts[0]
	o := p.some(func(o *post) bool { return p.honest(o) && o.n > 0 && !p.twins(o) })
	if o == nil || !on(first) || len(p.shut)*3 > len(p.posts) {
		return
	}
	err := first.Identity.Suspend(ctx, oplog.By{1}, o.id)
	if fault.ClassOf(err) == fault.Conflict || fault.ClassOf(err) == fault.NotFound {
		return
	}
	first.must(err)
	first.Mesh.Changed()
	p.say("%d is suspended", o.n)
	p.shut[o] = true
	for _, id := range p.onlyAt(o) {
		p.people[id].open = true
	}
}

func (p *play) lift() {
	first := p.posts[0]
	o := p.some(func(o *post) bool { return p.shut[o] && !p.gone[o] })
	if o == nil || !on(first) {
		return
	}
	err := first.Identity.Lift(ctx, oplog.By{1}, o.id)
	if fault.ClassOf(err) == fault.NotFound {
		return
	}
	first.must(err)
	first.Mesh.Changed()
	p.say("%d is given back", o.n)
	delete(p.shut, o)
	for _, id := range p.order {
		if f := p.people[id]; f.by == o && !f.erased && on(o) && o.has(id) {
			f.open = false
		}
	}
}

// revoke shuts a node out for good: what the issuer's box has of it counts.
func (p *play) revoke() {
	first := p.posts[0]
	o := p.some(func(o *post) bool { return !p.gone[o] && !p.liars[o] && o.n > 0 && !p.twins(o) })
	if o == nil || !on(first) || len(p.shut)*3 > len(p.posts) {
		return
	}
	if !p.shutOut(o) {
		return
	}
	p.say("%d is revoked", o.n)
	p.shut[o], p.gone[o] = true, true
	for _, id := range p.order {
		if f := p.people[id]; f.by == o && !f.erased {
			f.held = !first.has(id)
			f.open = false
		}
	}
}

// shutOut has two people and the issuer's box revoke a node; false when that box does not
// know it.
func (p *play) shutOut(o *post) bool {
	first := p.posts[0]
	cuts, err := first.Identity.RevokeCutsFor(o.id)
	if fault.ClassOf(err) == fault.NotFound {
		return false
	}
	first.must(err)
	act := staff.Act{Purpose: identity.PurposeRevoke, Action: staff.RevokeNodes, Body: identity.RevokeBody(o.id, cuts), Key: "lost.act.revoke", Args: []any{"Site", "x"}}
	one, two := p.sign("amal"), p.sign("bea")
	ask, err := first.Staff.AskAct(one, act, func(ctx context.Context, by staff.ID, a, b staff.Hand) error {
		return first.Identity.Revoke(ctx, by, o.id, cuts, [2][]byte{a, b})
	})
	first.must(err)
	first.must(first.Staff.ConfirmAct(ctx, two, ask))
	p.out(one, two)
	first.Mesh.Changed()
	return true
}

func (p *play) sign(user string) staff.Session {
	s, err := p.posts[0].Staff.SignIn(ctx, user, secret)
	p.posts[0].must(err)
	return s
}

func (p *play) out(sessions ...staff.Session) {
	for _, s := range sessions {
		p.posts[0].Staff.SignOut(s.Token)
	}
}

// erase erases somebody whom the first post knows.
func (p *play) erase() {
	first := p.posts[0]
	if !on(first) {
		return
	}
	var known []oplog.ID
	for _, id := range p.order {
		if f := p.people[id]; !f.erased && !f.held && !f.open && first.has(id) {
			known = append(known, id)
		}
	}
	if len(known) == 0 {
		return
	}
	id := known[p.rnd.IntN(len(known))]
	one, two := p.sign("amal"), p.sign("bea")
	ask, err := first.Registration.Erase(ctx, one, id, "own_wish", "")
	if fault.ClassOf(err) == fault.Busy {
		p.out(one, two)
		return
	}
	first.must(err)
	_, err = first.Staff.ConfirmErasure(ctx, two, ask)
	first.must(err)
	p.out(one, two)
	first.Mesh.Changed()
	p.say("somebody is erased")
	p.people[id].erased = true
}
