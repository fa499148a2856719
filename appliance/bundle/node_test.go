package bundle_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/bundle"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

var passphrase = []byte("five words nobody would guess")

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t testing.TB, err error, class fault.Class, key string) {
	t.Helper()
	if f := fault.Of(err); err == nil || f.Key != key || f.Class != class {
		t.Fatalf("got %v, want %s %s", err, class, key)
	}
}

// note is a fact of the register.
type note struct {
	Text string `cbor:"1,keyasint"`
}

var noted = oplog.NewKind[note]("bundletest.noted", 1, oplog.Register)

var notes = &oplog.View{Name: "notes", Version: 1, Kinds: []oplog.Kind{noted}, Fold: func(_ oplog.ID, ops []oplog.Op) []oplog.Row {
	var rows []oplog.Row
	for _, op := range ops {
		if b := oplog.Body[note](op); b != nil {
			rows = []oplog.Row{{Key: []byte("n"), Value: []byte(b.Text)}}
		}
	}
	return rows
}}

// pieces is a store of photos in memory.
type pieces struct {
	held  map[[32]byte][]byte
	lacks map[[32]byte]bool
	put   func() error // nil: nothing fails
}

func (p *pieces) IDs() [][32]byte {
	return slices.SortedFunc(maps.Keys(p.held), func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
}

func (p *pieces) Get(id [32]byte) ([]byte, error) {
	if b := p.held[id]; b != nil {
		return b, nil
	}
	return nil, fault.New(fault.NotFound, "fault.chunks.not_here")
}

func (p *pieces) Lacks(id [32]byte) bool { return p.lacks[id] && p.held[id] == nil }

func (p *pieces) Put(id [32]byte, b []byte) error {
	if p.put != nil {
		if err := p.put(); err != nil {
			return err
		}
	}
	if sha256.Sum256(b) != id {
		panic("a piece under a wrong id")
	}
	p.held[id] = bytes.Clone(b)
	return nil
}

// take makes a piece that this node has and others want.
func (p *pieces) take(seed byte, others ...*post) {
	b := bytes.Repeat([]byte{seed}, 200<<10)
	id := sha256.Sum256(b)
	p.held[id] = b
	for _, o := range others {
		o.pieces.lacks[id] = true
	}
}

// post is a node with a real vault and a real journal.
type post struct {
	t      testing.TB
	vault  *identity.Vault
	log    *oplog.Log
	desk   *identity.Desk
	pieces *pieces
	memory *bundle.Memory
	clock  *clock.Fake
}

func openPost(t testing.TB, v *identity.Vault, c *clock.Fake) *post {
	t.Helper()
	log, err := oplog.Open(context.Background(), oplog.Options{
		Dir: filepath.Join(t.TempDir(), "journal"), Store: oplogtest.MemStore(), Authority: v, StorageKey: v.Subkey("journal"),
		Clock: c, Kinds: append(identity.Kinds(), noted), Views: append(identity.Views(), notes),
	})
	must(t, err)
	t.Cleanup(func() { must(t, log.Close()) })
	p := &post{t: t, vault: v, log: log, desk: identity.OpenDesk(log, v), pieces: &pieces{held: map[[32]byte][]byte{}, lacks: map[[32]byte]bool{}}, clock: c}
	p.memory = bundle.NewMemory(files.OS(), filepath.Join(t.TempDir(), "bundles"))
	must(t, p.desk.NameSelf(context.Background()))
	return p
}

func founder(t testing.TB) *post {
	t.Helper()
	c := clock.NewFake(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC))
	v, _, err := identity.Start(filepath.Join(t.TempDir(), "data"), c, identity.StartOptions{
		Deployment: "Relief", Site: "North", Passphrase: passphrase, KeepRoot: true, Cost: identity.TestCost(),
	})
	must(t, err)
	return openPost(t, v, c)
}

// join lets a new node in; it has heard of nothing but its keys.
func (p *post) join(site string) *post {
	p.t.Helper()
	inv, err := p.vault.InviteTo(identity.Place{}, 0, []string{"192.0.2.1:7946"})
	must(p.t, err)
	code, err := identity.ParseInvitation(inv.Code)
	must(p.t, err)
	a, err := identity.NewApplicant(code)
	must(p.t, err)
	reply, cert, err := p.vault.Admit(a.Request())
	must(p.t, err)
	must(p.t, p.desk.Enrolled(context.Background(), cert))
	v, err := a.Accept(filepath.Join(p.t.TempDir(), "data"), p.clock, reply, site, passphrase)
	must(p.t, err)
	return openPost(p.t, v, p.clock)
}

// write notes n facts that do not pack, 50 in a group.
func (p *post) write(n int) {
	p.t.Helper()
	for n > 0 {
		group := min(n, 50)
		n -= group
		must(p.t, p.log.Do(context.Background(), oplog.By{1}, func(tx *oplog.Tx) error {
			for range group {
				if _, err := tx.Append(noted, oplog.NewID(), note{rand.Text() + rand.Text() + rand.Text() + rand.Text() + rand.Text() + rand.Text()}); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// nodes are the certificates of everybody in good standing that p knows.
func (p *post) nodes() (out []identity.NodeCert) {
	p.t.Helper()
	nodes, err := p.desk.Nodes()
	must(p.t, err)
	for _, n := range nodes {
		if n.Standing == identity.StandingGood {
			out = append(out, n.Cert)
		}
	}
	return out
}

// options are those of a bundle for everybody.
func (p *post) options() bundle.Options {
	p.t.Helper()
	stamp, err := p.memory.Stamp(p.clock.Now())
	must(p.t, err)
	safe, err := p.desk.CommonKeySafe()
	must(p.t, err)
	return bundle.Options{Common: safe, Keys: p.vault, Source: p.log, Pieces: p.pieces, Nodes: p.nodes(), Stamp: stamp}
}

// any is a bundle for everybody; for is one for a node, by what its last bundle said.
func (p *post) any() ([]byte, bundle.Info) { return p.bytes(p.options()) }

func (p *post) forNode(o *post) ([]byte, bundle.Info) {
	p.t.Helper()
	opts := p.options()
	cert := o.vault.Cert()
	opts.For, opts.Nodes = &cert, nil
	opts.Known, _ = p.memory.Of(o.vault.NodeID())
	return p.bytes(opts)
}

func (p *post) bytes(o bundle.Options) ([]byte, bundle.Info) {
	p.t.Helper()
	var out bytes.Buffer
	info, err := bundle.Write(context.Background(), &out, o)
	must(p.t, err)
	if info.Bytes != int64(out.Len()) {
		p.t.Fatalf("%d bytes are said to be %d", out.Len(), info.Bytes)
	}
	return out.Bytes(), info
}

func (p *post) readOptions() bundle.ReadOptions {
	return bundle.ReadOptions{Keys: p.vault, Book: p.desk, Into: p.log, Pieces: p.pieces, Memory: p.memory, Now: p.clock.Now()}
}

func (p *post) read(raw []byte) (bundle.Result, error) {
	p.t.Helper()
	r, err := bundle.Read(context.Background(), bytes.NewReader(raw), p.readOptions())
	must(p.t, p.desk.Follow(context.Background()))
	return r, err
}

// gets reads a bundle that has to be good.
func (p *post) gets(raw []byte) bundle.Result {
	p.t.Helper()
	r, err := p.read(raw)
	must(p.t, err)
	return r
}

// heads are what a node holds, to compare.
func (p *post) heads() map[oplog.LogID]oplog.Head {
	out := map[oplog.LogID]oplog.Head{}
	for _, h := range p.log.Heads() {
		out[h.Log] = h
	}
	return out
}

// within fails when p holds something that o does not hold just so.
func (p *post) within(o *post) {
	p.t.Helper()
	theirs := o.heads()
	for log, h := range p.heads() {
		t, ok := theirs[log]
		if log == p.log.Own() {
			continue
		}
		if !ok || t.Seq < h.Seq {
			p.t.Fatalf("%s is held up to %d, and was never written so far", log, h.Seq)
		}
		if hash, ok := o.log.HashAt(log, h.Seq); !ok || hash != h.Hash {
			p.t.Fatalf("%s has another history", log)
		}
	}
	for id, b := range p.pieces.held {
		if !bytes.Equal(o.pieces.held[id], b) {
			p.t.Fatal("a piece that was never written")
		}
	}
}
