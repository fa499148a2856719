package identity

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// In the cases below "A3>B1" is: A's issuer says at op 3 of its log that B is none any more
// behind op 1 of B's log; R is the root.
func issuerCasesOf(text string) (cases []*issuerCase) {
	for f := range strings.FieldsSeq(text) {
		r := []rune(f)
		cuts := []logMark{{Log: logNamed(r[3]), Seq: uint64(r[4] - '0')}}
		by := issuerNamed(r[0])
		if r[0] == 'R' {
			by = rootVoice
		}
		w := &issuerWord{by: by, at: oplog.Ref{Log: logNamed(r[0]), Seq: uint64(r[1] - '0')}}
		i := slices.IndexFunc(cases, func(c *issuerCase) bool { return c.issuer == issuerNamed(r[3]) && slices.Equal(c.cuts, cuts) })
		if i < 0 {
			cases = append(cases, &issuerCase{issuer: issuerNamed(r[3]), cuts: cuts})
			i = len(cases) - 1
		}
		cases[i].words = append(cases[i].words, w)
	}
	return cases
}

func TestWhichIssuersAreRevoked(t *testing.T) {
	for _, x := range []struct{ name, said, want string }{
		{"nobody", "", ""},
		{"one other is not enough", "A1>C1", ""},
		{"two are", "A1>C1 B1>C1", "C"},
		{"the same one twice is one", "A1>C1 A2>C1", ""},
		{"not for different cuts", "A1>C1 B1>C2", ""},
		{"the root alone", "R1>C1", "C"},
		{"a revoked one is no second voice", "A1>C1 D1>C1 B5>E1 C5>E1", "C"},
		{"what it said before is", "A1>C1 D1>C1 B5>E1 C1>E1", "CE"},
		{"two thieves who answer are not heard", "A1>C1 B1>C1 A2>D1 B2>D1 C5>A0 D5>A0 C6>B0 D6>B0", "ABCD"}, // nobody can tell who spoke first: all, and the root decides
		{"thieves whose cuts had seen it", "A1>C1 B1>C1 A2>D1 B2>D1 C5>A9 D5>A9 C6>B9 D6>B9", "CD"},
		{"the root ends it", "R1>C1 R2>D1 C5>A0 D5>A0", "CD"},
	} {
		t.Run(x.name, func(t *testing.T) {
			for range 8 {
				said := strings.Fields(x.said)
				rand.Shuffle(len(said), func(i, j int) { said[i], said[j] = said[j], said[i] })
				var got []rune
				for k := range decideIssuers(issuerCasesOf(strings.Join(said, " "))) {
					got = append(got, rune(k[0]))
				}
				slices.Sort(got)
				if string(got) != x.want {
					t.Fatalf("revoked: %q, not %q", string(got), x.want)
				}
			}
		})
	}
}

// threeIssuers are boxes with issuers 1, 2 and 3 and one without, who know each other, and
// the sheet of the root.
func threeIssuers(t *testing.T) (a, b, c, d post, sheet RootSheet) {
	t.Helper()
	a, b, c = compared(t)
	sheet, err := a.vault.rootSheet()
	must(t, err)
	for i, p := range []post{b, c} {
		made, err := NewIssuerFrom(sheet, 2+i, noon(), TestCost())
		must(t, err)
		_, err = p.desk.InstallIssuer(ctx(), made.File, words(strings.Join(made.Words, " ")))
		must(t, err)
	}
	d = openPost(t, joined(t, a.vault, "Clinic"))
	settled(t, a, b, c, d)
	must(t, a.desk.Confirm(ctx(), oplog.By{1}, d.vault.NodeID()))
	settled(t, a, b, c, d)
	return a, b, c, d, sheet
}

func (p post) issuer() IssuerID { return p.vault.Cert().Issuer.ID() }

func (p post) revokeIssuer(t *testing.T, of post) {
	t.Helper()
	cuts, err := p.desk.IssuerCutsFor(of.issuer())
	must(t, err)
	must(t, p.desk.RevokeIssuer(ctx(), oplog.By{1}, of.issuer(), cuts, nil, [2][]byte{{1}, {2}}))
}

func (p post) isRevokedIssuer(t *testing.T, of post) bool {
	t.Helper()
	all, err := p.desk.IssuerStandings()
	must(t, err)
	i := slices.IndexFunc(all, func(s IssuerStanding) bool { return s.Issuer.Cert.ID() == of.issuer() })
	if i < 0 {
		t.Fatal("not known")
	}
	return all[i].Revoked
}

// An issuer's key was stolen. Two other issuers revoke it: what it says from then on counts
// nowhere, with all the bytes of its box and after a rebuild, and what it had said before
// goes on counting.
func TestAStolenIssuersWordEndsWithItsRevocation(t *testing.T) {
	a, b, c, d, _ := threeIssuers(t)
	x := openPost(t, joined(t, a.vault, "Harbour"))
	settled(t, a, b, c, d, x)
	must(t, a.desk.Confirm(ctx(), oplog.By{1}, x.vault.NodeID()))
	settled(t, a, b, c, d, x)
	must(t, b.revoke(t, x, [2][]byte{{1}, {2}})) // before
	settled(t, a, b, c, d)

	a.revokeIssuer(t, b)
	settled(t, a, b, c, d)
	if a.isRevokedIssuer(t, b) || d.isRevokedIssuer(t, b) {
		t.Fatal("one issuer took another's word away")
	}
	a.revokeIssuer(t, b) // twice is once
	c.revokeIssuer(t, b)
	settled(t, a, c) // the thief has not heard, or says so
	must(t, b.revoke(t, d, [2][]byte{{1}, {2}}))
	must(t, b.desk.Suspend(ctx(), oplog.By{1}, c.vault.NodeID()))
	must(t, a.desk.Suspend(ctx(), oplog.By{1}, d.vault.NodeID())) // an honest one, which the thief lifts
	only(t, a, b, a.log.Own())
	_ = b.desk.Lift(ctx(), oplog.By{1}, d.vault.NodeID())
	settled(t, a, b, c, d)
	for name, p := range map[string]post{"a": a, "c": c, "d": d} {
		if !p.isRevokedIssuer(t, b) {
			t.Errorf("%s has not revoked it", name)
		}
		for at, want := range map[post]Standing{x: StandingRevoked, d: StandingSuspended, c: StandingGood} {
			if got := p.desk.StandingOf(at.vault.NodeID()); got != want {
				t.Errorf("%s: box %d stands %v, not %v", name, at.vault.Cert().Number, got, want)
			}
		}
	}
	wantFault(t, b.desk.Lift(ctx(), oplog.By{1}, d.vault.NodeID()), fault.Denied, "fault.identity.lift_issuer")
	wantFault(t, b.desk.RevokeIssuer(ctx(), oplog.By{1}, a.issuer(), IssuerCuts{}, nil, [2][]byte{}), fault.Denied, "fault.identity.revoke_issuer")
	oplogtest.Same(t, a.log, c.log)
	want := views(t, a)
	must(t, c.log.Rebuild(ctx()))
	if views(t, c) != want {
		t.Error("a rebuild sees something else")
	}
}

// Whoever repeats an issuer's old word elsewhere, with any clock, does not take it away.
func TestAnOldWordSaidAgainStillCounts(t *testing.T) {
	a, b, c, d, _ := threeIssuers(t)
	must(t, b.revoke(t, d, [2][]byte{{1}, {2}}))
	settled(t, a, b, c)
	a.revokeIssuer(t, b)
	settled(t, a, b, c)
	c.revokeIssuer(t, b)
	settled(t, a, b, c)
	var fact Revoked
	must(t, a.log.View(func(r oplog.Reader) error {
		return r.Rows(nodesView, revokedKey, nil, func(_ []byte, _ oplog.ID, value []byte) error {
			var row revokedRow
			err := decodeRow(value, &row)
			fact = row.Fact
			return err
		})
	}))
	early := openPost(t, joined(t, a.vault, "Elsewhere")) // a log nobody had seen, with a young clock
	must(t, early.log.Do(ctx(), oplog.By{}, func(tx *oplog.Tx) error {
		_, err := tx.Append(revoked, d.vault.NodeID(), fact)
		return err
	}))
	settled(t, a, b, c, early)
	if got := a.desk.StandingOf(d.vault.NodeID()); got != StandingRevoked {
		t.Errorf("stands %v", got)
	}
}

// With the key of an issuer that was revoked a thief makes boxes, issuers among them, that
// vouch for each other: none of them counts as compared.
func TestARevokedIssuerMakesNobody(t *testing.T) {
	a, b, c, d, sheet := threeIssuers(t)
	cuts, err := a.desk.IssuerCutsFor(b.issuer())
	must(t, err)
	wrong := sheet
	wrong.Root = b.vault.cert.Public[:]
	wantFault(t, a.desk.RevokeIssuer(ctx(), oplog.By{1}, b.issuer(), cuts, &wrong, [2][]byte{{1}, {2}}), fault.Denied, "fault.identity.not_ours")
	wantFault(t, a.desk.RevokeIssuer(ctx(), oplog.By{1}, IssuerID{9}, cuts, &sheet, [2][]byte{{1}, {2}}), fault.NotFound, "fault.identity.no_such_issuer")
	must(t, d.desk.RevokeIssuer(ctx(), oplog.By{1}, b.issuer(), cuts, &sheet, [2][]byte{{1}, {2}})) // where no issuer lives
	settled(t, a, c, d)
	rogue := openPost(t, joined(t, b.vault, "Rogue"))
	must(t, b.desk.Enrolled(ctx(), rogue.vault.Cert()))
	must(t, b.desk.Confirm(ctx(), oplog.By{1}, rogue.vault.NodeID()))
	settled(t, a, b, c, d, rogue)
	for name, p := range map[string]post{"a": a, "c": c, "d": d} {
		n, known, err := p.desk.node(rogue.vault.NodeID())
		must(t, err)
		if known && n.Confirmed || !p.desk.Outcast(rogue.vault.Cert()) {
			t.Errorf("%s believes in the thief's box", name)
		}
		if n, ok := p.desk.Author(d.log.Own()); !ok || !n.Confirmed {
			t.Errorf("%s believes in nobody else either", name)
		}
	}
}

func TestIssuersDoNotDependOnOrder(t *testing.T) {
	a, b, _, _, sheet := threeIssuers(t)
	dep := DeploymentID(a.vault.Deployment())
	fact := IssuerRevoked{Issuer: b.vault.Cert().Issuer.Public, Cuts: []logMark{{Log: oplog.LogID{1}, Seq: 2}}, Signed: [][]byte{{1}, {2}}}
	word, ok := a.vault.Countersign(fact.signed(dep))
	if !ok {
		t.Fatal("no word")
	}
	byRoot, other, long := fact, fact, fact
	fact.Word = word
	sig, _ := sheet.Sign(rootWordPurpose, byRoot.signed(dep))
	byRoot.Word = slices.Concat(sheet.Root, sig[:])
	other.Cuts = []logMark{}
	long.Signed = [][]byte{make([]byte, 600)}
	s := oplog.ID(b.issuer())
	oplogtest.CheckOrder(t, Views(),
		oplogtest.Fact{Node: 0, Kind: issuerRevoked, Subject: s, Body: fact},
		oplogtest.Fact{Node: 1, Kind: issuerRevoked, Subject: s, Body: fact},
		oplogtest.Fact{Node: 2, Kind: issuerRevoked, Subject: s, Body: byRoot, Seen: true},
		oplogtest.Fact{Node: 1, Kind: issuerRevoked, Subject: s, Body: other},
		oplogtest.Fact{Node: 1, Kind: issuerRevoked, Subject: s, Body: long},
		oplogtest.Fact{Node: 0, Kind: issuerRevoked, Subject: oplog.ID{1}, Body: fact}, // about somebody else
	)
}
