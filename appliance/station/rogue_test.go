package station_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/station"
	"github.com/waypost/waypost/appliance/tokens"
)

var (
	ctx      = context.Background()
	operator = staff.Operator()
	secret   = []byte("five words make it long")
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// post is a whole node without its surfaces.
type post struct {
	*station.Station
	log   *oplog.Log
	vault *identity.Vault
	lead  staff.Account
}

func openLog(t testing.TB, v *identity.Vault, c clock.Clock) *oplog.Log {
	t.Helper()
	log, err := oplog.Open(ctx, oplog.Options{
		Dir: filepath.Join(t.TempDir(), "journal"), Store: oplogtest.MemStore(), Authority: v, StorageKey: v.Subkey("journal"),
		Clock: c, Kinds: station.Kinds(), Views: station.Views(),
	})
	must(t, err)
	t.Cleanup(func() { must(t, log.Close()) })
	return log
}

func openPost(t testing.TB, v *identity.Vault, dir string, c clock.Clock, lead string) post {
	t.Helper()
	log := openLog(t, v, c)
	s, err := station.Open(ctx, station.Options{Log: log, Vault: v, Dir: dir, Clock: c, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	p := post{Station: s, log: log, vault: v}
	p.lead, err = s.Staff.Add(ctx, operator, staff.NewAccount{User: lead, Role: staff.Lead, Passphrase: secret})
	must(t, err)
	return p
}

// two is a founder's post and one that joined by code; nobody compared its words.
func two(t testing.TB) (a, b post) {
	t.Helper()
	c := clock.NewFake(oplogtest.Noon())
	dirs := [2]string{t.TempDir(), t.TempDir()}
	v, _, err := identity.Start(dirs[0], c, identity.StartOptions{
		Deployment: "Coast", Site: "North gate", Passphrase: secret, KeepRoot: true, Cost: identity.TestCost(),
	})
	must(t, err)
	a = openPost(t, v, dirs[0], c, "amal")
	invitation, err := v.Invite(time.Minute, nil)
	must(t, err)
	code, err := identity.ParseInvitation(invitation.Code)
	must(t, err)
	applicant, err := identity.NewApplicant(code)
	must(t, err)
	applicant.Cost = identity.TestCost()
	reply, cert, err := v.Admit(applicant.Request())
	must(t, err)
	must(t, a.Identity.Enrolled(ctx, cert))
	joined, err := applicant.Accept(dirs[1], c, reply, "South gate", secret)
	must(t, err)
	return a, openPost(t, joined, dirs[1], c, "bea")
}

func (p post) verdict(t *testing.T, text string) tokens.Verdict {
	t.Helper()
	r, err := p.Tokens.Verify(ctx, operator, text)
	must(t, err)
	return r.Verdict
}

// The words of what the staff desk writes, for a node that writes them itself.
type (
	enrolled struct {
		Sign [32]byte   `cbor:"1,keyasint"`
		Seal [32]byte   `cbor:"2,keyasint"`
		Role staff.Role `cbor:"3,keyasint"`
		Node oplog.ID   `cbor:"4,keyasint"`
	}
	proof struct {
		Proof [16]byte `cbor:"1,keyasint"`
	}
)

// accounts are the subjects of the staff desk's rows that begin with kind.
func (p post) subjects(t testing.TB, kind byte) (found []oplog.ID) {
	t.Helper()
	must(t, p.log.View(func(r oplog.Reader) error {
		return r.Rows(staff.Views()[0], []byte{kind}, nil, func(_ []byte, s oplog.ID, _ []byte) error {
			found = append(found, s)
			return nil
		})
	}))
	return found
}

// TestANodeNobodyComparedHarmsNobody: a node joined by code, its words were not
// compared, and it runs a program of its own. People, keys and cards of the
// others are what they were.
func TestANodeNobodyComparedHarmsNobody(t *testing.T) {
	a, b := two(t)
	person, err := a.Registration.Add(ctx, operator, registration.Person{GivenName: "Amina"}, registration.Request{})
	must(t, err)
	card, err := a.Tokens.Issue(ctx, operator, person.ID, tokens.IssueOptions{})
	must(t, err)
	key, err := a.Staff.IssueKey(ctx, operator, staff.Registrar, "kiosk", 0)
	must(t, err)

	// A fresh log has the lowest clock of all.
	kinds := []oplog.Kind{
		oplog.NewKind[enrolled]("staff.enrolled", 1, oplog.Deployment), oplog.NewKind[proof]("staff.disabled", 1, oplog.Deployment),
		oplog.NewKind[proof]("staff.key_revoked", 1, oplog.Deployment), tokens.Kinds()[0],
	}
	dir := t.TempDir()
	rogue, err := oplog.Open(ctx, oplog.Options{
		Dir: dir, Store: oplogtest.MemStore(), Authority: b.vault, StorageKey: b.vault.Subkey("journal"), Clock: clock.NewFake(oplogtest.Noon()), Kinds: kinds,
	})
	must(t, err)
	defer func() { must(t, rogue.Close()) }()
	must(t, rogue.Do(ctx, oplog.By{}, func(tx *oplog.Tx) (err error) {
		say := func(k oplog.Kind, subject oplog.ID, body any) {
			if err == nil {
				_, err = tx.Append(k, subject, body)
			}
		}
		for _, s := range a.subjects(t, 'a') {
			say(kinds[0], s, enrolled{Sign: [32]byte{66}, Seal: [32]byte{66}, Role: staff.Lead, Node: a.vault.NodeID()})
			say(kinds[1], s, proof{})
		}
		for _, s := range a.subjects(t, 'k') {
			say(kinds[2], s, proof{})
		}
		for _, node := range []uint16{1, 2} {
			say(kinds[3], person.ID, tokens.Issued{Kind: tokens.Individual, Node: node, Holder: card.Token.Holder, Generation: 255, Expiry: 9999})
		}
		return err
	}))
	oplogtest.Exchange(t, a.log, rogue)

	if _, err := a.Staff.SignIn(ctx, "amal", secret); err != nil {
		t.Error("locked out:", err)
	}
	if list, err := a.Staff.List(ctx, operator); err != nil || len(list) != 1 || list[0].Disabled {
		t.Error(list, err)
	}
	if _, err := a.Staff.KeyActor(key.Secret); err != nil {
		t.Error("a program is locked out:", err)
	}
	if v := a.verdict(t, card.Text); v != tokens.Genuine {
		t.Error("a real card is", v)
	}
	if again, err := a.Tokens.Issue(ctx, operator, person.ID, tokens.IssueOptions{}); err != nil || again.Generation != 1 {
		t.Error(again, err)
	}
}

// TestAPostWorksBeforeItsWordsAreCompared: people sign in there from the first
// minute, the others do not believe it yet, and the comparison makes what it said
// before count.
func TestAPostWorksBeforeItsWordsAreCompared(t *testing.T) {
	a, b := two(t)
	lead, err := b.Staff.SignIn(ctx, "bea", secret)
	must(t, err)
	person, err := b.Registration.Add(ctx, lead.Actor, registration.Person{GivenName: "Omar"}, registration.Request{})
	must(t, err)
	if _, err := b.Tokens.Issue(ctx, lead.Actor, person.ID, tokens.IssueOptions{}); !errors.Is(err, fault.New(fault.Denied, "fault.tokens.not_confirmed")) {
		t.Error(err)
	}
	forged := tokens.Sign(tokens.Token{Kind: tokens.Individual, Node: 2, Holder: [10]byte{1}, Expiry: 5000}, b.vault.Deployment(), b.vault.SignToken).String()
	oplogtest.Exchange(t, a.log, b.log)
	for _, p := range []post{a, b} {
		if v := p.verdict(t, forged); v != tokens.UnknownIssuer {
			t.Error("a card of a node nobody compared is", v)
		}
	}
	if name := a.Staff.NameOf(b.lead.ID); name != "" {
		t.Errorf("%q is believed", name)
	}
	if name := b.Staff.NameOf(a.lead.ID); name != "amal" {
		t.Errorf("the founder's lead is %q", name)
	}

	must(t, a.Identity.Confirm(ctx, a.lead.ID, b.vault.NodeID()))
	if name := a.Staff.NameOf(b.lead.ID); name != "bea" {
		t.Errorf("the lead there is %q", name)
	}
	oplogtest.Exchange(t, a.log, b.log)
	card, err := b.Tokens.Issue(ctx, lead.Actor, person.ID, tokens.IssueOptions{})
	must(t, err)
	oplogtest.Exchange(t, a.log, b.log)
	oplogtest.Same(t, a.log, b.log)
	for _, p := range []post{a, b} {
		if v := p.verdict(t, card.Text); v != tokens.Genuine {
			t.Error("a card of a compared node is", v)
		}
	}
}
