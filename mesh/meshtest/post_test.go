package meshtest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/station"
	"github.com/waypost/waypost/mesh"
)

var (
	ctx      = context.Background()
	operator = staff.Operator()
	secret   = []byte("five words make it long")
	silent   = slog.New(slog.DiscardHandler)
)

// post is a whole node without its surfaces, at a place of the camp.
type post struct {
	*Place
	*station.Station
	t     testing.TB
	dir   string // its data folder
	vault *identity.Vault
	log   *oplog.Log
	bent  func(mesh.Records) mesh.Records // a liar's journal
	wrote []oplog.ID                      // people it answered for
}

func (p *post) must(err error) {
	if err != nil {
		p.t.Helper()
		p.t.Fatalf("post %d: %v", p.n, err)
	}
}

// open opens the folder and puts the node into the camp.
func (p *post) open(newLog bool) {
	p.t.Helper()
	var err error
	if p.vault == nil {
		p.vault, err = identity.Unlock(p.dir, p.Clock(), secret)
		p.must(err)
	}
	p.log, err = oplog.Open(ctx, oplog.Options{
		Dir: filepath.Join(p.dir, "journal"), Store: oplogtest.MemStore(), Authority: p.vault, StorageKey: p.vault.Subkey("journal"),
		Clock: p.Clock(), Kinds: station.Kinds(), Views: station.Views(), NewLog: newLog,
	})
	p.must(err)
	p.Station, err = station.Open(ctx, station.Options{Log: p.log, Vault: p.vault, Dir: p.dir, Clock: p.Clock(), Logger: silent, Cost: identity.TestCost()})
	p.must(err)
	var records mesh.Records = p.log
	if p.bent != nil {
		records = p.bent(p.log)
	}
	p.must(p.Place.Start(mesh.Config{Vault: p.vault, Log: records, Desk: p.Identity}, p.Identity.Outcast))
}

// down ends the node without a word; what was flushed stays.
func (p *post) down() {
	if p.Mesh == nil {
		return
	}
	p.Place.Stop()
	next := p.fresh()
	copyFolder(p.t, p.dir, next) // before the journal is closed: as a power cut leaves it
	p.must(p.Station.Close())
	p.must(p.log.Close())
	p.vault.Close()
	p.must(os.RemoveAll(p.dir))
	p.dir, p.vault, p.Station, p.log = next, nil, nil, nil
}

// add registers a person here.
func (p *post) add() oplog.ID {
	p.t.Helper()
	a, err := p.Registration.Add(ctx, operator, registration.Person{GivenName: "Amal", FamilyName: "Haddad"}, registration.Request{})
	p.must(err)
	p.wrote = append(p.wrote, a.ID)
	p.Mesh.Changed()
	return a.ID
}

// has reports whether the person can be found here.
func (p *post) has(id oplog.ID) bool {
	_, err := p.Registration.Get(ctx, operator, id)
	if fault.ClassOf(err) == fault.NotFound {
		return false
	}
	p.must(err)
	return true
}

func copyFolder(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := os.OpenFile(filepath.Join(to, rel), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		return errors.Join(err, out.Close())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// found makes the posts of a deployment: the first is the founder, all are enrolled and
// compared, and know the founder's address.
func found(t testing.TB, c *Camp, n int) []*post {
	t.Helper()
	top := scratch(t)
	posts := make([]*post, n)
	for i := range posts {
		p := &post{Place: c.Add(), t: t, dir: filepath.Join(top, string(rune('a'+i%26))+time.Duration(i).String(), "life")}
		if err := os.MkdirAll(filepath.Dir(p.dir), 0o700); err != nil {
			t.Fatal(err)
		}
		posts[i] = p
		if i == 0 {
			v, _, err := identity.Start(p.dir, p.Clock(), identity.StartOptions{Deployment: "Coast", Site: "Post", Passphrase: secret, KeepRoot: true, Cost: identity.TestCost()})
			p.must(err)
			p.vault = v
			p.open(false)
			_, err = p.Staff.Add(ctx, operator, staff.NewAccount{User: "amal", Role: staff.Lead, Passphrase: secret})
			p.must(err)
			continue
		}
		first := posts[0]
		invitation, err := first.vault.Invite(time.Minute, nil)
		p.must(err)
		code, err := identity.ParseInvitation(invitation.Code)
		p.must(err)
		applicant, err := identity.NewApplicant(code)
		p.must(err)
		applicant.Cost = identity.TestCost()
		reply, cert, err := first.vault.Admit(applicant.Request())
		p.must(err)
		p.must(first.Identity.Enrolled(ctx, cert))
		p.vault, err = applicant.Accept(p.dir, p.Clock(), reply, "Post", secret)
		p.must(err)
		p.must(p.Know(first.Addr()))
		p.open(false)
	}
	t.Cleanup(func() {
		for _, p := range posts {
			p.end()
		}
	})
	return posts
}

func (p *post) end() {
	if p.Mesh == nil {
		return
	}
	p.Place.Stop()
	p.must(p.Station.Close())
	p.must(p.log.Close())
	p.vault.Close()
}

// scratch is a folder in memory where there is one.
func scratch(t testing.TB) string {
	if d, err := os.MkdirTemp("/dev/shm", "camp"); err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(d) })
		return d
	}
	return t.TempDir()
}

// same reports whether all hold the same ops. Of a log with two histories each may hold
// either: what they have in common is that its owner has written the rest again.
func same(posts []*post, forked map[oplog.LogID]bool) bool {
	for _, p := range posts[1:] {
		a, b := posts[0].log.Heads(), p.log.Heads()
		if len(a) != len(b) {
			return false
		}
		seqs := map[oplog.LogID]oplog.Head{}
		for _, h := range a {
			seqs[h.Log] = h
		}
		for _, h := range b {
			if seqs[h.Log] != h && !forked[h.Log] {
				return false
			}
		}
	}
	return true
}

// fresh is the name of a folder that is not there yet.
func (p *post) fresh() string {
	p.camp.count++
	return filepath.Join(filepath.Dir(p.dir), "life"+strconv.FormatUint(p.camp.count, 36))
}
