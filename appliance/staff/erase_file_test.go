package staff

import (
	"errors"
	"slices"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// What was signed about a sealed file destroys no record of a person, not after the wait and
// not with an issuer's word; and two who are neither lead nor coordinator destroy nothing.
func TestAFileErasureDestroysNobody(t *testing.T) {
	c := newCamp(t, 1)
	p := c.nodes[0]
	p.add(t, "ana", Lead)
	p.add(t, "cas", Caseworker)
	p.add(t, "cy", Caseworker)
	who := p.person(t, "Rosa")
	for i, users := range [][]string{{"cas", "ana"}, {"cas", "cy"}} {
		st := statement{Nonce: [16]byte{byte(i + 1)}, Subjects: []oplog.ID{who}, File: true}
		fact := erased{Statement: st, By: halves(t, p, users, st, p.issuer.Deployment)}
		if got := p.trustsFileErasure(fact); got != (i == 0) {
			t.Errorf("%v: trusted %v", users, got)
		}
		must(t, p.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error { _, err := tx.Append(erasedKind, who, fact); return err }))
	}
	_, err := p.Add(ctx, p.signIn(t, "ana").Actor, NewAccount{User: "puppet", Role: Caseworker, Passphrase: secret})
	must(t, err)
	made := statement{Nonce: [16]byte{7}, Subjects: []oplog.ID{who}, File: true}
	if p.trustsFileErasure(erased{Statement: made, By: halves(t, p, []string{"puppet", "ana"}, made, p.issuer.Deployment)}) {
		t.Error("a lead and the account she made are two people")
	}
	p.eraseDue(ctx)
	p.keeper.ran(EraseWait)
	p.eraseDue(ctx)
	if g := p.log.GoneOf(who); g.Kept == 0 {
		t.Fatalf("%+v: destroyed", g)
	}
	if err := p.FinishErasure(ctx, p.signIn(t, "ana"), who); !errors.Is(err, fault.New(fault.NotFound, "fault.staff.no_erasure")) {
		t.Error("an issuer makes it final:", err)
	}
	must(t, p.UndoErasure(ctx, p.signIn(t, "ana"), who)) // hidden, as any two can, and back
	if got := p.names(t); !slices.Equal(got, []string{"Rosa"}) {
		t.Error(got)
	}
	// Hands for a file are none for a person, and the other way round.
	file := statement{Nonce: [16]byte{9}, Subjects: []oplog.ID{who}, File: true}
	plain := file
	plain.File = false
	for _, e := range []erased{
		{Statement: plain, By: halves(t, p, []string{"cas", "ana"}, file, p.issuer.Deployment)},
		{Statement: file, By: halves(t, p, []string{"cas", "ana"}, plain, p.issuer.Deployment)},
	} {
		if e.valid(p.issuer.Deployment, who) {
			t.Errorf("valid: %+v", e.Statement)
		}
	}
}

// Hands for a file beside those for a person keep an issuer from nothing.
func TestAFileErasureStopsNoOther(t *testing.T) {
	c := newCamp(t, 1)
	p := c.nodes[0]
	p.add(t, "ana", Lead)
	p.add(t, "bo", Lead)
	p.add(t, "cas", Caseworker)
	who := p.person(t, "Rosa")
	for i, users := range [][]string{{"cas", "ana"}, {"bo", "ana"}} {
		st := statement{Nonce: [16]byte{byte(i + 1)}, Subjects: []oplog.ID{who}, File: i == 0}
		fact := erased{Statement: st, By: halves(t, p, users, st, p.issuer.Deployment)}
		must(t, p.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error { _, err := tx.Append(erasedKind, who, fact); return err }))
	}
	signed := 0
	p.issuer.Countersign = func([]byte) ([]byte, bool) { signed++; return []byte{1}, true }
	if err := p.FinishErasure(ctx, p.signIn(t, "ana"), who); err != nil || signed != 1 {
		t.Errorf("the issuer signed %d: %v", signed, err)
	}
}

// Who is not meant hears of nothing and settles nothing.
func TestAnActForAFew(t *testing.T) {
	c := newCamp(t, 1)
	p := c.nodes[0]
	ana, bo, cy := worker(t, p, "ana", Lead), worker(t, p, "bo", Lead), worker(t, p, "cy", Lead)
	id, told := askAndTell(t, p, ana, Act{Purpose: "x", Action: SignForFiles, Only: []ID{bo.Actor.ID}})
	if len(p.Acts(ana.Actor)) != 1 || len(p.Acts(bo.Actor)) != 1 || len(p.Acts(cy.Actor)) != 0 || !p.Waits(id) {
		t.Error("the wrong people hear of it")
	}
	for name, err := range map[string]error{"agrees": p.ConfirmAct(ctx, cy, id), "declines": p.DeclineAct(cy.Actor, id)} {
		if fault.ClassOf(err) != fault.NotFound {
			t.Errorf("cy %s: %v", name, err)
		}
	}
	must(t, p.ConfirmAct(ctx, bo, id))
	if told[1].Signer() != bo.Actor.ID || p.Waits(id) {
		t.Error("not done")
	}
}
