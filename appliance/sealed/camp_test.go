package sealed_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/sealed"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/station"
)

var (
	ctx      = context.Background()
	operator = staff.Operator()
	secret   = []byte("harbor anchor basket candle eagle")
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused fails unless err is the fault with that key.
func refused(t testing.TB, err error, key string) {
	t.Helper()
	if err == nil || fault.Of(err).Key != key {
		t.Errorf("%v instead of %s", err, key)
	}
}

// post is a whole node without its surfaces, and the people who work there.
type post struct {
	*station.Station
	log    *oplog.Log
	vault  *identity.Vault
	dir    string
	clock  *clock.Fake
	said   *bytes.Buffer // what it logged
	ids    map[string]staff.ID
	tokens map[string][]string // of open sessions
}

func openPost(t testing.TB, v *identity.Vault, dir string, c *clock.Fake) *post {
	t.Helper()
	p := &post{vault: v, dir: dir, clock: c, said: &bytes.Buffer{}, ids: map[string]staff.ID{}, tokens: map[string][]string{}}
	var err error
	p.log, err = oplog.Open(ctx, oplog.Options{
		Dir: filepath.Join(dir, "journal"), Store: oplogtest.MemStore(), Authority: v, StorageKey: v.Subkey("journal"),
		Clock: c, Kinds: station.Kinds(), Views: station.Views(),
	})
	must(t, err)
	t.Cleanup(func() { must(t, p.log.Close()) })
	p.Station, err = station.Open(ctx, station.Options{
		Log: p.log, Vault: v, Dir: dir, Clock: c, Logger: slog.New(slog.NewTextHandler(p.said, nil)), Cost: identity.TestCost(),
	})
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

func (p *post) hire(t testing.TB, role staff.Role, users ...string) {
	t.Helper()
	for _, u := range users {
		a, err := p.Staff.Add(ctx, operator, staff.NewAccount{User: u, Role: role, Passphrase: secret})
		must(t, err)
		p.ids[u] = a.ID
	}
}

func (p *post) as(t testing.TB, user string) staff.Session {
	t.Helper()
	s, err := p.Staff.SignIn(ctx, user, secret)
	must(t, err)
	p.tokens[user] = append(p.tokens[user], s.Token)
	return s
}

// out signs somebody out everywhere.
func (p *post) out(user string) {
	for _, token := range p.tokens[user] {
		p.Staff.SignOut(token)
	}
}

// camp is a founder's post and one that joined and was compared.
type camp struct {
	north, south *post
	clock        *clock.Fake
}

// admit lets another node into the deployment; nobody compared its words yet.
func (p *post) admit(t testing.TB, site string) *post {
	t.Helper()
	dir := t.TempDir()
	invitation, err := p.vault.Invite(time.Minute, nil)
	must(t, err)
	code, err := identity.ParseInvitation(invitation.Code)
	must(t, err)
	applicant, err := identity.NewApplicant(code)
	must(t, err)
	applicant.Cost = identity.TestCost()
	reply, cert, err := p.vault.Admit(applicant.Request())
	must(t, err)
	must(t, p.Identity.Enrolled(ctx, cert))
	joined, err := applicant.Accept(dir, p.clock, reply, site, secret)
	must(t, err)
	return openPost(t, joined, dir, p.clock)
}

func newPost(t testing.TB) *post {
	t.Helper()
	c := clock.NewFake(oplogtest.Noon())
	dir := t.TempDir()
	v, _, err := identity.Start(dir, c, identity.StartOptions{
		Deployment: "Coast", Site: "North gate", Passphrase: secret, KeepRoot: true, Cost: identity.TestCost(),
	})
	must(t, err)
	p := openPost(t, v, dir, c)
	p.hire(t, staff.Lead, "amal")
	p.hire(t, staff.Coordinator, "cora")
	p.hire(t, staff.Caseworker, "mina", "noor")
	p.hire(t, staff.Medical, "sami")
	p.hire(t, staff.Registrar, "rana")
	return p
}

func newCamp(t testing.TB) *camp {
	t.Helper()
	n := newPost(t)
	s := n.admit(t, "South gate")
	s.hire(t, staff.Lead, "bea")
	s.hire(t, staff.Caseworker, "bilal")
	s.hire(t, staff.Registrar, "rami")
	must(t, n.Identity.Confirm(ctx, n.ids["amal"], s.vault.NodeID()))
	c := &camp{north: n, south: s, clock: n.clock}
	c.meet(t)
	return c
}

func (c *camp) meet(t testing.TB) {
	t.Helper()
	oplogtest.Exchange(t, c.north.log, c.south.log)
}

// begin opens the desks: two officers, and mina, sami and bilal read what is passed on.
func (c *camp) begin(t testing.TB) {
	t.Helper()
	n := c.north
	must(t, n.Sealed.Begin(ctx, n.as(t, "amal").Actor, sealed.Setup{
		Officers: []staff.ID{n.ids["amal"], n.ids["cora"]}, Workers: []staff.ID{n.ids["mina"], n.ids["sami"], c.south.ids["bilal"]},
	}))
	c.meet(t)
}

func (p *post) pass(t testing.TB, by string, n staff.Narrow, note string) {
	t.Helper()
	must(t, p.Sealed.TakeIn(ctx, p.as(t, by).Actor, n, oplog.NewID(), []string{"threatened"}, note))
}

func (p *post) list(t testing.TB, s staff.Session) sealed.List {
	t.Helper()
	l, err := p.Sealed.List(ctx, s)
	must(t, err)
	return l
}

// texts are all texts a person can read in a file; empty when they cannot open it.
func (p *post) texts(t testing.TB, s staff.Session, id oplog.ID) string {
	t.Helper()
	f, err := p.Sealed.Read(ctx, s, id)
	if errors.Is(err, fault.New(fault.NotFound, "fault.sealed.no_file")) {
		return ""
	}
	must(t, err)
	var out []string
	for _, l := range f.Lines {
		if l.Text != "" {
			out = append(out, l.Text)
		}
	}
	return strings.Join(out, "|")
}

func (p *post) open(t testing.TB, s staff.Session, text string) oplog.ID {
	t.Helper()
	id, err := p.Sealed.Open(ctx, s, staff.NarrowProtection, oplog.NewID(), text, time.Time{})
	must(t, err)
	return id
}

// files are the sealed lists that lie on the disk.
func (p *post) files(t testing.TB) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(p.dir, "sealed"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, filepath.Join(p.dir, "sealed", e.Name()))
	}
	return out
}
