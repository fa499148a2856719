package mesh

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// box is a node of real parts: vault, journal, register of nodes, mesh.
type box struct {
	vault *identity.Vault
	log   *oplog.Log
	desk  *identity.Desk
	mesh  *Mesh
}

func (d desk) box(t testing.TB, dir string, v *identity.Vault) *box {
	t.Helper()
	l, err := oplog.Open(context.Background(), oplog.Options{
		Dir: filepath.Join(dir, "journal"), Store: oplogtest.MemStore(), Authority: v, StorageKey: v.Subkey("journal"),
		Clock: clock.System(), Kinds: identity.Kinds(), Views: append(identity.Views(), d.view),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &box{vault: v, log: l, desk: identity.OpenDesk(l, v)}
	if err := b.desk.NameSelf(context.Background()); err != nil {
		t.Fatal(err)
	}
	b.mesh, err = Start(context.Background(), Config{
		Vault: v, Log: l, Desk: b.desk, Clock: clock.System(), Logger: testLogger().With("at", v.Cert().Number), Listen: "127.0.0.1:0", Dir: dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.mesh.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// join enrols a new box with an invitation of b.
func (d desk) join(t testing.TB, b *box, site string) *box {
	t.Helper()
	inv, err := b.mesh.Invite(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	code, err := identity.ParseInvitation(inv.Code)
	if err != nil {
		t.Fatal(err)
	}
	app, err := identity.NewApplicant(code)
	if err != nil {
		t.Fatal(err)
	}
	app.Cost = identity.TestCost()
	reply, err := Join(context.Background(), code, app)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	v, err := app.Accept(dir, clock.System(), reply, site, passphrase())
	if err != nil {
		t.Fatal(err)
	}
	if err := Remember(dir, code.Addrs...); err != nil {
		t.Fatal(err)
	}
	return d.box(t, dir, v)
}

// TestThreeBoxes is the story of issue 2 without its pages: a founder, two boxes
// that joined it, records of each on all, names and words on every screen.
func TestThreeBoxes(t *testing.T) {
	t.Parallel()
	d := newDesk()
	dir := t.TempDir()
	v, _, err := identity.Start(dir, clock.System(), identity.StartOptions{
		Deployment: "River", Site: "Bridge", Passphrase: passphrase(), Cost: identity.TestCost(),
	})
	if err != nil {
		t.Fatal(err)
	}
	a := d.box(t, dir, v)
	d.write(t, a.log, 100, 5)
	b := d.join(t, a, "Harbour")
	c := d.join(t, a, "School")
	boxes := []*box{a, b, c}
	d.write(t, b.log, 20, 1)
	d.write(t, c.log, 20, 1)
	wait(t, "every box holds everything", func() bool {
		n := opsOf(a.log)
		return n > 140 && opsOf(b.log) == n && opsOf(c.log) == n
	})
	for _, x := range boxes[1:] {
		wait(t, "equal views", func() bool { return views(t, x.log) == views(t, a.log) })
	}
	wait(t, "nothing is only on one box", func() bool {
		return a.mesh.OnlyHere() == 0 && b.mesh.OnlyHere() == 0 && c.mesh.OnlyHere() == 0
	})
	for _, x := range boxes {
		wait(t, "every screen shows the other two", func() bool {
			peers := x.mesh.Peers()
			sites := map[string]bool{}
			for _, p := range peers {
				if p.State == Connected && p.Behind == 0 && len(p.Words) == 5 {
					sites[p.Site] = true
				}
			}
			return len(peers) == 2 && len(sites) == 2
		})
	}
	if err := b.desk.Confirm(context.Background(), oplog.By{1}, a.vault.NodeID()); err != nil {
		t.Fatal(err)
	}
	for log, nodes := range a.mesh.Holders() {
		if len(nodes) > 3 {
			t.Errorf("%v held by %v", log, nodes)
		}
	}
}
