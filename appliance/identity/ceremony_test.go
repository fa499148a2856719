package identity

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

func wantStep(t *testing.T, d *Desk, step string) Ceremony {
	t.Helper()
	c, err := d.Ceremony()
	must(t, err)
	if c.Step != step {
		t.Fatalf("at step %s, want %s", c.Step, step)
	}
	return c
}

// hold goes through a full ceremony at the founder and gives the second issuer and the
// papers.
func hold(t *testing.T, a post) (NewIssuer, []Share) {
	t.Helper()
	ctx := context.Background()
	must(t, a.desk.BeginCeremony(CeremonyFull))
	made, err := a.desk.MakeIssuer()
	must(t, err)
	must(t, a.desk.ReadBackIssuer(ctx, words(strings.Join(made.Words, " "))))
	papers, err := a.desk.Shares()
	must(t, err)
	for _, s := range papers {
		_, err := a.desk.ReadBackShare(s.Code())
		must(t, err)
	}
	must(t, a.desk.FinishCeremony(ctx, oplog.By{1}))
	return made, papers
}

func TestTheFullCeremony(t *testing.T) {
	ctx, c := context.Background(), clock.NewFake(noon())
	v, dir := founder(t, c)
	a := openPost(t, v)
	seed := bytes.Clone(v.s.RootSeed)
	wantStep(t, a.desk, StepChoose)
	wantFault(t, a.desk.BeginCeremony("grand"), fault.Invalid, "fault.identity.variant")
	_, err := a.desk.MakeIssuer()
	wantFault(t, err, fault.Conflict, "fault.identity.no_ceremony")
	must(t, a.desk.BeginCeremony(CeremonyFull))
	wantStep(t, a.desk, StepIssuer)
	made, err := a.desk.MakeIssuer()
	must(t, err)
	if len(made.Words) != 10 || made.Number != 2 || made.Cert.Verify(v.Root()) != nil || made.Cert == v.Cert().Issuer {
		t.Fatalf("%+v", made)
	}
	wantStep(t, a.desk, StepWords)
	wantFault(t, a.desk.ReadBackIssuer(ctx, words("no")), fault.Denied, "fault.identity.issuer_words")
	must(t, a.desk.ReadBackIssuer(ctx, words(" "+strings.ToUpper(strings.Join(made.Words, "\n")))))
	if _, file, err := a.desk.IssuerFile(); err != nil || !bytes.Equal(file, made.File) {
		t.Fatal(err)
	}
	wantStep(t, a.desk, StepShares)
	papers, err := a.desk.Shares()
	must(t, err)

	// Power goes: the box is opened again, in the middle, and not by the kit.
	kit, err := v.Recovery()
	must(t, err)
	byKit, err := Unlock(dir, c, words(kit))
	must(t, err)
	k := openPost(t, byKit)
	if got := wantStep(t, k.desk, StepGone); !got.Kit || !got.Shut || got.Root {
		t.Fatalf("%+v", got)
	}
	_, err = k.desk.Shares()
	wantFault(t, err, fault.Denied, "fault.identity.shut")
	v = unlock(t, dir, c)
	a = openPost(t, v)
	wantStep(t, a.desk, StepShares)
	again, err := a.desk.Shares()
	must(t, err)
	for i := range papers {
		if again[i] != papers[i] {
			t.Fatal("another printing after a power cut")
		}
	}

	for i, s := range papers {
		wantFault(t, a.desk.FinishCeremony(ctx, oplog.By{1}), fault.Conflict, "fault.identity.ceremony_open")
		bad := s
		bad.value[0] ^= 1
		if _, err := bad.scalar(); err == nil {
			_, err = a.desk.ReadBackShare(bad.Code())
			wantFault(t, err, fault.Invalid, "fault.identity.share_other")
		}
		n, err := a.desk.ReadBackShare(strings.Join(s.Lines(), "\n"))
		if err != nil || n != i+1 {
			t.Fatal(n, err)
		}
		_, err = a.desk.ReadBackShare(s.Code())
		wantFault(t, err, fault.Conflict, "fault.identity.share_again")
		left, err := a.desk.Shares()
		if err != nil || len(left) != 4-i {
			t.Fatal("a paper that was read back is still on the box", err)
		}
	}
	wantStep(t, a.desk, StepFinish)
	must(t, a.desk.FinishCeremony(ctx, oplog.By{1}))
	got := wantStep(t, a.desk, StepDone)
	if got.Root || v.RootOnBox() || !v.CanEnrol() || got.Variant != CeremonyFull || len(got.Held.Issuers) != 2 {
		t.Fatalf("%+v", got)
	}
	v = unlock(t, dir, c)
	if v.RootOnBox() || v.s.rite != nil || !v.CanEnrol() {
		t.Fatal("something of the root stayed")
	}
	sheet, err := JoinShares(papers[1:4])
	if err != nil || !bytes.Equal(sheet.Seed, seed) || !sheet.Root.Equal(v.Root()) {
		t.Fatal(err)
	}
	wantFault(t, a.desk.BeginCeremony(CeremonyFull), fault.Conflict, "fault.identity.root_gone")
	// The drill looks at one paper without bringing anything together.
	if n, err := a.desk.CheckShare(papers[2].Code()); err != nil || n != 3 {
		t.Fatal(n, err)
	}
	other, _ := someShares(t)
	_, err = a.desk.CheckShare(other[0].Code())
	wantFault(t, err, fault.Invalid, "fault.identity.share_other")
}

func TestTheSmallTeamsCeremony(t *testing.T) {
	ctx := context.Background()
	v, _ := founder(t, clock.NewFake(noon()))
	a := openPost(t, v)
	must(t, a.desk.BeginCeremony(CeremonySmall))
	wantStep(t, a.desk, StepSheet)
	sheet, err := a.desk.Sheet()
	must(t, err)
	wantFault(t, a.desk.ReadBackSheet("five wrong words are here"), fault.Invalid, "fault.identity.sheet_words")
	wantFault(t, a.desk.FinishCeremony(ctx, oplog.By{1}), fault.Conflict, "fault.identity.ceremony_open")
	_, err = a.desk.ReadBackShare(markShare)
	wantFault(t, err, fault.Invalid, "fault.identity.paper_none")
	must(t, a.desk.ReadBackSheet(strings.Join(sheet.CheckWords(), "  ")))
	must(t, a.desk.FinishCeremony(ctx, oplog.By{1}))
	if got := wantStep(t, a.desk, StepDone); got.Variant != CeremonySmall || len(got.Held.Issuers) != 1 || v.RootOnBox() {
		t.Fatalf("%+v", got)
	}
	_, err = a.desk.CheckShare(Share{Number: 1}.Code())
	wantFault(t, err, fault.Conflict, "fault.identity.no_shares")
	// Later there are more people: the root comes back from its sheet for the full one.
	stranger := sheetOf(seeded(3).Seed())
	wantFault(t, a.desk.TakeRoot(stranger), fault.Denied, "fault.identity.sheet_elsewhere")
	wantFault(t, a.desk.TakeRoot(RootSheet{Root: v.Root()}), fault.Invalid, "fault.identity.sheet_verifies")
	typed, err := ParseRootSheet([]byte(strings.Join(sheet.Lines(), "\n")))
	must(t, err)
	must(t, a.desk.TakeRoot(typed))
	hold(t, a)
	if got := wantStep(t, a.desk, StepDone); got.Variant != CeremonyFull || got.Held.Serial != 2 {
		t.Fatalf("%+v", got)
	}
}

// Every node hears of it, and no node can pretend it.
func TestEverybodyKnowsThatItWasHeld(t *testing.T) {
	ctx := context.Background()
	a, b, c := camp(t)
	oplogtest.Exchange(t, a.log, b.log, c.log)
	forged := CeremonyHeld{Serial: 9, Variant: CeremonyFull}
	forged.sign(b.vault.deployment, b.vault.node)
	must(t, b.desk.sayHeld(ctx, oplog.By{}, forged))
	old := CeremonyHeld{Serial: 1, Variant: CeremonySmall}
	old.sign(a.vault.deployment, ed25519.NewKeyFromSeed(a.vault.s.RootSeed))
	must(t, c.desk.sayHeld(ctx, oplog.By{}, old)) // the root's, whoever writes it down
	oplogtest.Exchange(t, a.log, b.log, c.log)
	for _, p := range []post{a, b, c} {
		if h, ok, err := p.desk.Held(); err != nil || !ok || h.Variant != CeremonySmall {
			t.Fatalf("%+v %v %v", h, ok, err)
		}
	}
	made, _ := hold(t, a)
	oplogtest.Exchange(t, a.log, b.log, c.log)
	oplogtest.Same(t, a.log, b.log, c.log)
	for _, p := range []post{a, b, c} {
		h, ok, err := p.desk.Held()
		if err != nil || !ok || h.Variant != CeremonyFull || h.Serial != 2 {
			t.Fatalf("%+v %v %v", h, ok, err)
		}
		issuers, err := p.desk.Issuers()
		must(t, err)
		if len(issuers) != 2 {
			t.Fatalf("%+v", issuers)
		}
		for _, i := range issuers {
			if second := i.Cert == made.Cert; second && len(i.Nodes) != 0 || !second && len(i.Nodes) != 1 {
				t.Fatalf("%+v", i)
			}
		}
	}
}

// Two issuers that cannot hear each other let nodes in, and no number is given twice.
func TestTwoIssuersApart(t *testing.T) {
	ctx := context.Background()
	a, b, c := camp(t)
	oplogtest.Exchange(t, a.log, b.log, c.log)
	made, _ := hold(t, a)
	secret := words(strings.Join(made.Words, " "))
	_, err := b.desk.InstallIssuer(ctx, made.File, secret)
	wantFault(t, err, fault.Denied, "fault.identity.install_unconfirmed")
	must(t, a.desk.Confirm(ctx, oplog.By{1}, b.vault.NodeID()))
	oplogtest.Exchange(t, a.log, b.log, c.log)
	_, err = b.desk.InstallIssuer(ctx, made.File, words("other words"))
	wantFault(t, err, fault.Denied, "fault.identity.issuer_words")
	elsewhere, err := NewIssuerFrom(sheetOf(seeded(3).Seed()), 2, noon(), TestCost())
	must(t, err)
	_, err = b.desk.InstallIssuer(ctx, elsewhere.File, words(strings.Join(elsewhere.Words, " ")))
	wantFault(t, err, fault.Denied, "fault.identity.issuer_elsewhere")
	cert, err := b.desk.InstallIssuer(ctx, made.File, secret)
	must(t, err)
	if cert.ID() != b.vault.NodeID() || cert.Number != 2 || !cert.Has(CapEnrol|CapTokens) || cert.Issuer != made.Cert || b.vault.Cert().Sig != cert.Sig {
		t.Fatalf("%+v", cert)
	}
	_, err = b.desk.InstallIssuer(ctx, made.File, secret)
	wantFault(t, err, fault.Conflict, "fault.identity.issuer_here")

	numbers := map[uint16]bool{}
	var logs []*oplog.Log
	for range 5 { // neither hears the other
		for _, issuer := range []post{a, b} {
			n := joined(t, issuer.vault, "New")
			if n.Cert().Verify(a.vault.Root()) != nil || numbers[n.Cert().Number] {
				t.Fatalf("number %d again", n.Cert().Number)
			}
			numbers[n.Cert().Number] = true
			must(t, issuer.desk.Enrolled(ctx, n.Cert()))
		}
	}
	logs = append(logs, a.log, b.log, c.log)
	oplogtest.Exchange(t, logs...)
	oplogtest.Same(t, logs...)
	for _, p := range []post{a, b, c} {
		nodes := nodesOf(t, p)
		if len(nodes) != 13 {
			t.Fatalf("%d nodes", len(nodes))
		}
		for _, n := range nodes {
			if n.ID == b.vault.NodeID() && (!n.Founder || !n.Confirmed || n.Number != 2 || n.Cert.Issuer != made.Cert) {
				t.Fatalf("%+v", n)
			}
		}
		if n, ok := p.desk.Author(b.log.Own()); !ok || !n.Founder {
			t.Fatalf("%+v", n)
		}
	}
	// The word of the second issuer counts as the first's does.
	word, ok := b.vault.Countersign([]byte("x"))
	if !ok || !VerifyCountersign(a.vault.Deployment(), word, []byte("x")) {
		t.Fatal("the second issuer's word")
	}
}

// A file that gives the numbers of an issuer that is at work is refused.
func TestABlockIsGivenOnce(t *testing.T) {
	ctx := context.Background()
	a, b, c := camp(t)
	root, err := a.desk.Sheet()
	must(t, err)
	for _, p := range []post{b, c} {
		must(t, a.desk.Confirm(ctx, oplog.By{1}, p.vault.NodeID()))
	}
	oplogtest.Exchange(t, a.log, b.log, c.log)
	one, err := NewIssuerFrom(root, 2, noon(), TestCost())
	must(t, err)
	two, err := NewIssuerFrom(root, 2, noon(), TestCost())
	must(t, err)
	_, err = b.desk.InstallIssuer(ctx, one.File, words(strings.Join(one.Words, " ")))
	must(t, err)
	must(t, b.desk.Enrolled(ctx, joined(t, b.vault, "New").Cert()))
	oplogtest.Exchange(t, a.log, b.log, c.log)
	_, err = c.desk.InstallIssuer(ctx, two.File, words(strings.Join(two.Words, " ")))
	wantFault(t, err, fault.Conflict, "fault.identity.block_taken")
	for _, n := range []int{0, 1, 17} {
		_, err := NewIssuerFrom(root, n, noon(), TestCost())
		wantFault(t, err, fault.Invalid, "fault.identity.issuer_number")
	}
}

// The power goes after the issuer was installed and before the others heard of it.
func TestAnInstalledIssuerIsToldLater(t *testing.T) {
	ctx := context.Background()
	a, b, _ := camp(t)
	root, err := a.desk.Sheet()
	must(t, err)
	made, err := NewIssuerFrom(root, 2, noon(), TestCost())
	must(t, err)
	o, err := openIssuerFile(ctx, made.File, words(strings.Join(made.Words, " ")), b.vault.root)
	must(t, err)
	_, err = b.vault.install(o)
	must(t, err)
	must(t, b.desk.NameSelf(ctx))
	must(t, b.desk.NameSelf(ctx))
	oplogtest.Exchange(t, a.log, b.log)
	if n, ok := a.desk.ByNumber(2); !ok || !n.Founder || n.Cert.Issuer != made.Cert {
		t.Fatalf("%+v", n)
	}
}

func TestStatementsDoNotDependOnOrder(t *testing.T) {
	v, _ := founder(t, clock.NewFake(noon()))
	subject := SubjectOf(v.deployment)
	said := func(serial uint32) CeremonyHeld {
		h := CeremonyHeld{Serial: serial, Variant: CeremonySmall, Issuers: [][]byte{encode(v.cert.Issuer.wire())}, At: 5}
		h.sign(v.deployment, ed25519.NewKeyFromSeed(v.s.RootSeed))
		return h
	}
	oplogtest.CheckOrder(t, Views(),
		oplogtest.Fact{Node: 0, Kind: ceremonyHeld, Subject: subject, Body: said(1)},
		oplogtest.Fact{Node: 1, Kind: ceremonyHeld, Subject: subject, Body: said(1)},
		oplogtest.Fact{Node: 2, Kind: ceremonyHeld, Subject: subject, Body: said(2), Seen: true},
		oplogtest.Fact{Node: 2, Kind: ceremonyHeld, Subject: subject, Body: CeremonyHeld{Serial: 7}},
		oplogtest.Fact{Node: 0, Kind: drilled, Subject: v.NodeID(), Body: Drilled{What: DrillKit, Good: true}},
		oplogtest.Fact{Node: 1, Kind: drilled, Subject: v.NodeID(), Body: Drilled{What: DrillKit}},
		oplogtest.Fact{Node: 2, Kind: drilled, Subject: v.NodeID(), Body: Drilled{What: DrillStick, Good: true}, Seen: true},
		oplogtest.Fact{Node: 0, Kind: drilled, Subject: v.NodeID(), Body: Drilled{What: "unheard of"}},
	)
}

func TestDrills(t *testing.T) {
	ctx := context.Background()
	v, _ := founder(t, clock.NewFake(noon()))
	a := openPost(t, v)
	list, err := a.desk.Drilled()
	must(t, err)
	if len(list) != len(Drills())-2 {
		t.Fatalf("there is no stick and no share: %+v", list)
	}
	stick, err := v.KeyStick()
	must(t, err)
	kit, err := v.Recovery()
	must(t, err)
	for secret, want := range map[string]string{kit: SlotRecovery, string(stick.Text()): SlotStick, open5: SlotLead} {
		if kind, err := a.desk.TryWay(words(secret)); err != nil || kind != want {
			t.Fatal(kind, err)
		}
	}
	_, err = a.desk.TryWay(words("other words"))
	wantFault(t, err, fault.Denied, "fault.identity.wrong_passphrase")
	hold(t, a)
	list, err = a.desk.Drilled()
	must(t, err)
	if len(list) != len(Drills()) || !DrillDue(list).IsZero() {
		t.Fatalf("%+v", list)
	}
	since := noon()
	if DrillOverdue(list, noon().Add(DrillEvery), true, since) || !DrillOverdue(list, noon().Add(DrillEvery+time.Hour), true, since) {
		t.Fatal("a quarter after the start, and not before")
	}
	if DrillOverdue(list, noon().Add(9*DrillEvery), false, since) {
		t.Fatal("a clock nobody set must not nag")
	}
	wantFault(t, a.desk.Drill(ctx, oplog.By{1}, "dance", true), fault.Invalid, "fault.identity.drill")
	for _, what := range Drills() {
		must(t, a.desk.Drill(ctx, oplog.By{1}, what, what != DrillStick))
	}
	list, err = a.desk.Drilled()
	must(t, err)
	if !DrillDue(list).IsZero() || list[2].Good || list[0].By != (oplog.By{1}) || list[0].At.IsZero() {
		t.Fatalf("%+v", list)
	}
	must(t, a.desk.Drill(ctx, oplog.By{2}, DrillStick, true))
	list, err = a.desk.Drilled()
	must(t, err)
	if due := DrillDue(list); !due.Equal(list[0].At.Add(DrillEvery)) {
		t.Fatal(due)
	}
	at := list[0].At
	if DrillOverdue(list, at.Add(DrillEvery), true, since) || !DrillOverdue(list, at.Add(DrillEvery+time.Hour), true, since) {
		t.Fatal("a quarter after the oldest")
	}
	list[0].Unsure = true
	if !DrillDue(list).IsZero() || DrillOverdue(list[:1], at.Add(9*DrillEvery), true, since) {
		t.Fatal("a day nobody knew")
	}
}
