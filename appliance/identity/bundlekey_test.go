package identity

import (
	"bytes"
	"testing"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// What opens bundles opens nothing else, comes with the keys of the membership traffic and
// goes with the vault.
func TestKeysOfBundles(t *testing.T) {
	v, _ := founder(t, clock.NewFake(noon()))
	n := joined(t, v, "South gate")
	one, two := v.BundleSecrets(), n.BundleSecrets()
	if len(one) != 1 || len(two) != 1 || one[0] != two[0] {
		t.Fatal("nodes have no secret in common")
	}
	if one[0] == v.GossipKey() {
		t.Fatal("it is the key of the membership traffic itself")
	}
	id := [16]byte{7}
	seal := func(info []byte) []byte {
		box, err := sealTo(n.Cert().Seal, info, []byte("x"))
		must(t, err)
		return box
	}
	good := seal(BundleInfo(v.deployment, id))
	if plain, err := n.UnsealBundle(id, good); err != nil || !bytes.Equal(plain, []byte("x")) {
		t.Fatal(err)
	}
	if _, err := v.UnsealBundle(id, good); err == nil {
		t.Fatal("another node opens it")
	}
	if _, err := n.UnsealBundle([16]byte{8}, good); err == nil {
		t.Fatal("it opens under another id")
	}
	epoch := epochID{what: forGossip, epoch: 1 << 16}
	for _, info := range [][]byte{sealInfo(v.deployment, epoch, n.NodeID()), openerInfo(v.deployment, n.NodeID(), v.NodeID(), [8]byte{}), BundleInfo(DeploymentID{1}, id)} {
		if _, err := n.UnsealBundle(id, seal(info)); err == nil {
			t.Fatalf("it opens what was sealed for %q", info)
		}
	}
	// A rotation gives everybody who is told another one, and the old ones stay.
	must(t, v.addEpoch(epoch, bytes.Repeat([]byte{5}, 32)))
	must(t, v.useEpoch(epoch, keyCheck(epoch, bytes.Repeat([]byte{5}, 32))))
	if s := v.BundleSecrets(); len(s) != 2 || s[0] == one[0] || s[1] != one[0] {
		t.Fatalf("%d secrets after a rotation", len(s))
	}
	n.Close()
	if _, err := n.UnsealBundle(id, good); err == nil || n.BundleSecrets() != nil {
		t.Fatal("a closed vault opens bundles")
	}
}

// A node that has heard of a loss and has not the new keys yet knows that.
func TestTheCommonKeyIsNotSafeBeforeItChanges(t *testing.T) {
	a, b, c := compared(t)
	safe := func(p post, want bool) {
		t.Helper()
		if got, err := p.desk.CommonKeySafe(); err != nil || got != want {
			t.Fatalf("%v %v", got, err)
		}
	}
	safe(a, true)
	must(t, b.desk.Suspend(ctx(), oplog.By{2}, c.vault.NodeID()))
	oplogtest.Exchange(t, a.log, b.log)
	safe(b, false) // it leaves the new keys to the one before it
	safe(a, false)
	must(t, a.desk.Follow(ctx()))
	safe(a, true)
	oplogtest.Exchange(t, a.log, b.log)
	safe(b, false) // they are here, and not in use
	must(t, b.desk.Follow(ctx()))
	safe(b, true)
	a.vault.Close()
	safe(a, false)
}
