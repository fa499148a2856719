package meshtest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/files/filestest"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/letterbox"
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

	carrier bool
	side    int              // of two islands, 1 or 2; 0 = both hear it
	disk    *filestest.Lossy // what a power cut may take; nil: nothing that was written
	fuse    bool             // the power may go between two writes
	armed   bool             // everything it needs when it is locked lies on its card
	letters *letterbox.Records
}

// fs is the file system of its journal and its letterbox.
func (p *post) fs() files.FS {
	if p.disk == nil {
		return files.OS()
	}
	return p.disk
}

// wet gives it a disk that loses what was not flushed, now and then.
func (p *post) wet() {
	p.disk, p.fuse = nil, false
	if p.camp.torn && p.camp.rnd.IntN(3) == 0 {
		var err error
		p.disk, err = filestest.NewLossy(p.dir)
		p.must(err)
	}
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
	p.wet()
	p.log, err = oplog.Open(ctx, oplog.Options{
		Dir: filepath.Join(p.dir, "journal"), Files: p.fs(), Store: oplogtest.MemStore(), Authority: p.vault, StorageKey: p.vault.Subkey("journal"),
		Clock: p.Clock(), Kinds: station.Kinds(), Views: station.Views(), NewLog: newLog,
	})
	p.must(err)
	p.Station, err = station.Open(ctx, station.Options{Log: p.log, Vault: p.vault, Dir: p.dir, Clock: p.Clock(), Logger: silent, Cost: identity.TestCost()})
	p.must(err)
	var records mesh.Records = p.log
	if p.bent != nil {
		records = p.bent(p.log)
	}
	p.kept(p.log.Heads(), p.said)
	p.must(p.Place.Start(mesh.Config{Vault: p.vault, Log: records, Desk: p.Identity}, p.Identity.Outcast))
	p.after, p.armed = p.look, false
	if p.sealed != nil {
		p.mergePile()
	}
}

// kept looks whether everything is there that others were told is there.
func (p *post) kept(heads []oplog.Head, said map[oplog.LogID]uint64) {
	p.t.Helper()
	have := map[oplog.LogID]uint64{}
	for _, h := range heads {
		have[h.Log] = h.Seq
	}
	for log, seq := range said {
		if have[log] < seq && p.bent == nil && !p.camp.parted[log] {
			p.t.Fatalf("post %d said that it holds %s up to %d, and has %d on its disk", p.n, log, seq, have[log])
		}
	}
}

// look is called after each turn: when its power went, it is down.
func (p *post) look() {
	if p.dead() {
		p.camp.note("power", p.n, p.n, 0)
		p.camp.harm["power cuts between two writes"]++
		p.down()
	}
}

func (p *post) dead() bool {
	if !p.fuse || p.disk == nil {
		return false
	}
	_, err := p.disk.Stat(p.dir)
	return errors.Is(err, filestest.ErrPower)
}

// down ends the node without a word; what was flushed stays.
func (p *post) down() {
	if !p.Up() {
		return
	}
	asleep := p.Asleep != nil
	p.Place.Stop()
	next := p.fresh()
	p.powerCut(next) // before the journal is closed
	if !asleep {
		errs := errors.Join(p.Station.Close(), p.log.Close())
		if p.disk == nil {
			p.must(errs)
		}
		p.vault.Close()
	}
	p.must(os.RemoveAll(p.dir))
	p.dir, p.vault, p.Station, p.log, p.letters = next, nil, nil, nil, nil
	p.disk, p.fuse = nil, false
}

// powerCut leaves in the folder to what a power cut leaves of its own: of journal and
// letterbox what was flushed, and of the rest anything.
func (p *post) powerCut(to string) {
	torn := []string{"journal", letterbox.Folder}
	if p.disk == nil {
		torn = nil
	}
	copyFolder(p.t, p.dir, to, torn...)
	if p.disk == nil {
		return
	}
	p.camp.harm["disks that lost what was not flushed"]++
	left := p.fresh()
	p.must(p.disk.Crash(p.camp.rnd.Uint64(), left))
	for _, name := range torn {
		err := os.Rename(filepath.Join(left, name), filepath.Join(to, name))
		if !errors.Is(err, fs.ErrNotExist) {
			p.must(err)
		}
	}
	p.must(os.RemoveAll(left))
}

// add registers a person here; false when the power went before it was answered.
func (p *post) add() (oplog.ID, bool) {
	p.t.Helper()
	a, err := p.Registration.Add(ctx, operator, registration.Person{GivenName: "Amal", FamilyName: "Haddad"}, registration.Request{})
	if err != nil && p.dead() {
		p.look()
		return oplog.ID{}, false
	}
	p.must(err)
	p.wrote = append(p.wrote, a.ID)
	for _, h := range p.log.Heads() {
		if h.Log == p.log.Own() {
			p.said[h.Log] = max(p.said[h.Log], h.Seq) // somebody was answered
		}
	}
	p.Mesh.Changed()
	return a.ID, true
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

func copyFolder(t testing.TB, from, to string, but ...string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		if slices.Contains(but, rel) {
			return fs.SkipDir
		}
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
	return foundWith(t, c, n, func(int) bool { return false })
}

// foundWith is found with carriers among the posts.
func foundWith(t testing.TB, c *Camp, n int, carries func(i int) bool) []*post {
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
		p.carrier = carries(i)
		invitation, err := first.vault.InviteTo(identity.Place{Carrier: p.carrier}, time.Minute, nil)
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
	asleep := p.Asleep != nil
	if !p.Up() {
		return
	}
	p.Place.Stop()
	if asleep {
		return
	}
	if err := errors.Join(p.Station.Close(), p.log.Close()); p.disk == nil {
		p.must(err)
	}
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
