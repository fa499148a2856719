package torture

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/badgerstore"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/station"
)

var (
	operator = staff.Operator()
	secret   = []byte("five plain words for torture")
	silent   = slog.New(slog.DiscardHandler)
)

// camp is a deployment of two nodes; the folders of their vaults are made once.
type camp struct {
	dirs    [2]string
	vaults  [2]*identity.Vault
	storage clock.Clock
}

// newCamp founds it. Keys are stretched cheaply: that is the one thing here that is
// not as in a camp.
func newCamp(t testing.TB, c clock.Clock) *camp {
	t.Helper()
	k := &camp{dirs: [2]string{scratch(t), scratch(t)}, storage: c}
	var err error
	k.vaults[0], _, err = identity.Start(k.dirs[0], c, identity.StartOptions{
		Deployment: "Coast", Site: "North gate", Passphrase: secret, KeepRoot: true, Cost: identity.TestCost(),
	})
	must(t, err)
	invitation, err := k.vaults[0].Invite(time.Minute, nil)
	must(t, err)
	code, err := identity.ParseInvitation(invitation.Code)
	must(t, err)
	applicant, err := identity.NewApplicant(code)
	must(t, err)
	applicant.Cost = identity.TestCost()
	reply, _, err := k.vaults[0].Admit(applicant.Request())
	must(t, err)
	k.vaults[1], err = applicant.Accept(k.dirs[1], c, reply, "South gate", secret)
	must(t, err)
	return k
}

// post is one node without its surfaces.
type post struct {
	*station.Station
	log   *oplog.Log
	vault *identity.Vault
	store oplog.Store
}

// openPost opens journal and desks of a vault. dir holds journal/ and the accounts.
func openPost(v *identity.Vault, dir string, c clock.Clock, fs files.FS, store oplog.Store) (*post, error) {
	return openPostAt(v, dir, dir, c, fs, store)
}

// openPostAt is openPost with the accounts in a folder of their own: they are not
// written through fs.
func openPostAt(v *identity.Vault, dir, accounts string, c clock.Clock, fs files.FS, store oplog.Store) (*post, error) {
	log, err := oplog.Open(ctx, oplog.Options{
		Dir: filepath.Join(dir, "journal"), Files: fs, Store: store, Authority: v, StorageKey: v.Subkey("journal"),
		Clock: c, Kinds: station.Kinds(), Views: station.Views(),
		FreeSpace: func() (uint64, error) { return 1 << 40, nil },
	})
	if err != nil {
		return nil, err
	}
	s, err := station.Open(ctx, station.Options{Log: log, Vault: v, Dir: accounts, Clock: c, Logger: silent, Cost: identity.TestCost()})
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return &post{Station: s, log: log, vault: v, store: store}, nil
}

func (p *post) close() error { return errors.Join(p.Station.Close(), p.log.Close()) }

// openFolder opens a whole data folder as the program does, but for the network.
func openFolder(dir string, c clock.Clock) (*post, error) {
	v, err := identity.Unlock(dir, c, secret)
	if err != nil {
		return nil, err
	}
	store, err := badgerstore.Open(filepath.Join(dir, "views"), v.Subkey("views"), nil)
	if err != nil {
		return nil, err
	}
	return openPost(v, dir, c, files.OS(), store)
}

// register writes one person and promises them.
func (p *post) register(m *model, name string) (oplog.ID, error) {
	m.send(name)
	a, err := p.Registration.Add(ctx, operator, registration.Person{GivenName: name, Notes: "note of " + name}, registration.Request{Key: name})
	if err == nil {
		m.ack(a.ID.String(), name)
	}
	return a.ID, err
}

// household writes several in one go.
func (p *post) household(m *model, names ...string) error {
	m.send(names...)
	var h registration.NewHousehold
	for i, name := range names {
		h.Members = append(h.Members, registration.Person{GivenName: name})
		if i > 0 {
			h.Relations = append(h.Relations, "son")
		} else {
			h.Relations = append(h.Relations, "")
		}
	}
	a, err := p.Registration.AddHousehold(ctx, operator, h, registration.Request{Key: names[0]})
	if err == nil {
		for i, member := range a.Members {
			m.ack(member.String(), names[i])
		}
	}
	return err
}

// imports writes a list; what was registered before an error is promised too.
func (p *post) imports(m *model, names ...string) error {
	var list []registration.ImportRow
	for i, name := range names {
		m.send(name)
		list = append(list, registration.ImportRow{Line: i + 1, SourceID: name, Person: registration.Person{GivenName: name}})
	}
	results, err := p.Registration.Import(ctx, operator, registration.Prepare(list))
	for i, r := range results {
		if r.ID != nil && (r.Status == registration.RowRegistered || r.Status == registration.RowThere) {
			m.ack(r.ID.String(), names[i])
		}
	}
	return err
}

// people is everybody a post shows, by page as anybody would list them.
func (p *post) people() (map[string]string, error) {
	out := map[string]string{}
	for cursor := ""; ; {
		page, err := p.Registration.Recent(ctx, operator, registration.MaxPage, cursor)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Items {
			out[r.ID.String()] = r.GivenName
		}
		if cursor = page.Next; cursor == "" {
			return out, nil
		}
	}
}

// judge compares a post with a model and has it checked.
func (p *post) judge(m *model) (tally, oplog.Report, error) {
	all, err := p.people()
	if err != nil {
		return tally{}, oplog.Report{}, err
	}
	y := m.compare(all)
	report, err := p.log.Check(ctx)
	return y, report, err
}

// neighbour is the camp's other node with n people, in memory but for its journal.
func (k *camp) neighbour(t testing.TB, n int) (*post, *model) {
	t.Helper()
	p, err := openPost(k.vaults[1], scratch(t), k.storage, files.OS(), oplogtest.MemStore())
	must(t, err)
	t.Cleanup(func() { _ = p.close() })
	m := newModel()
	for i := range n {
		_, err := p.register(m, fmt.Sprintf("Neighbour%03d", i))
		must(t, err)
	}
	return p, m
}

// batches is all a post has, as it goes over the network.
func batches(t testing.TB, p *post, maxOps int) (out [][]byte) {
	t.Helper()
	for _, h := range p.log.Heads() {
		for after := uint64(0); after < h.Seq; {
			raw, last, err := p.log.Range(h.Log, after, maxOps, 0)
			must(t, err)
			out = append(out, raw)
			after = last
		}
	}
	return out
}

func copyFolder(t testing.TB, to, from string) {
	t.Helper()
	must(t, os.CopyFS(to, os.DirFS(from)))
}

var systemClock = clock.System()
