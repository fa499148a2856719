package identity

import (
	"bytes"
	"slices"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// signedBy stands for the hand of somebody: staff has real ones.
func signedBy(who byte, purpose string, body []byte) []byte {
	return hashed("test/hand", []byte{who}, []byte(purpose), body)
}

func bothHands(purpose string, body []byte) [2][]byte {
	return [2][]byte{signedBy(1, purpose, body), signedBy(2, purpose, body)}
}

func checkSigned(_ []Node, purpose string, body, first, second []byte) bool {
	return bytes.Equal(first, signedBy(1, purpose, body)) && bytes.Equal(second, signedBy(2, purpose, body))
}

// An issuer alone shuts nobody out, and the hands of two people fit the cuts they agreed to
// and no others: whoever runs a tampered box with the issuer's key cannot cut off a year of
// records in their names.
func TestARevocationCountsWithBothHandsForItsCuts(t *testing.T) {
	a, b, c := compared(t)
	for _, p := range []post{a, b, c} {
		p.desk.SetHands(checkSigned)
	}
	c.rename(t, "Before")
	settled(t, a, b, c)
	node := c.vault.NodeID()
	cuts, err := a.desk.RevokeCutsFor(node)
	must(t, err)
	body := RevokeBody(node, cuts)
	if !IsRevokeBody(body, node) || IsRevokeBody(body, b.vault.NodeID()) {
		t.Fatal("what it is about does not show")
	}
	agreed := bothHands(PurposeRevoke, body)
	dep := DeploymentID(a.vault.Deployment())
	write := func(kind oplog.Kind, body any) {
		must(t, a.log.Do(ctx(), oplog.By{1}, func(tx *oplog.Tx) error {
			_, err := tx.Append(kind, node, body)
			return err
		}))
	}
	forge := func(version uint, cuts []cut, hands [][]byte) Revoked {
		f := Revoked{Cuts: cuts, Signed: hands}
		f.Word, _ = a.vault.Countersign(f.signed(dep, node, version))
		return f
	}
	for name, hands := range map[string][][]byte{
		"nobody's": {}, "one": {agreed[0]}, "the same twice": {agreed[0], agreed[0]}, "made up": {{1}, {2}},
		"for a node": {signedBy(1, PurposeRevoke, slices.Concat([]byte("revoke"), node[:])), signedBy(2, PurposeRevoke, slices.Concat([]byte("revoke"), node[:]))},
		"to open it": func() [][]byte { h := bothHands(PurposeOpen, body); return h[:] }(),
	} {
		write(revoked, forge(2, cuts.cuts, hands))
		settled(t, a, b, c)
		if got := b.desk.StandingOf(node); got != StandingGood {
			t.Errorf("hands %s: stands %v", name, got)
		}
	}
	write(revoked, forge(2, []cut{}, agreed[:])) // hides all it ever wrote
	write(revokedFirst, revokedFirstBody(forge(1, []cut{}, agreed[:])))
	write(revoked, forge(1, cuts.cuts, agreed[:])) // the word of the other version
	settled(t, a, b, c)
	if got := b.desk.StandingOf(node); got != StandingGood {
		t.Errorf("with other cuts: stands %v", got)
	}
	must(t, a.desk.Revoke(ctx(), oplog.By{1}, node, cuts, agreed))
	settled(t, a, b)
	for name, p := range map[string]post{"a": a, "b": b} {
		if got := p.desk.StandingOf(node); got != StandingRevoked || p.site(t, c) != "Before" {
			t.Errorf("%s: stands %v, called %q", name, got, p.site(t, c))
		}
	}
}

// What an earlier version wrote counts, with its hands for the node.
func TestARevocationOfVersionOneStillCounts(t *testing.T) {
	a, b, c := compared(t)
	a.desk.SetHands(checkSigned)
	b.desk.SetHands(checkSigned)
	node := c.vault.NodeID()
	hands := bothHands(PurposeRevoke, slices.Concat([]byte("revoke"), node[:]))
	f := Revoked{Cuts: []cut{{Log: c.log.Own(), Seq: 1}}, Signed: hands[:]}
	f.Word, _ = a.vault.Countersign(f.signed(DeploymentID(a.vault.Deployment()), node, 1))
	must(t, a.log.Do(ctx(), oplog.By{1}, func(tx *oplog.Tx) error {
		_, err := tx.Append(revokedFirst, node, revokedFirstBody(f))
		return err
	}))
	settled(t, a, b)
	if got := b.desk.StandingOf(node); got != StandingRevoked {
		t.Errorf("stands %v", got)
	}
	oplogtest.CheckOrder(t, Views(),
		oplogtest.Fact{Node: 0, Kind: revokedFirst, Subject: node, Body: revokedFirstBody(f)},
		oplogtest.Fact{Node: 1, Kind: revoked, Subject: node, Body: f}, // of version 1 in the clothes of version 2
		oplogtest.Fact{Node: 2, Kind: revokedFirst, Subject: node, Body: revokedFirstBody(f), Seen: true},
	)
}

// An issuer is revoked by two people at each box, and nobody opened a box who did not sign.
func TestOtherFactsOfTwoPeopleTakeBothHands(t *testing.T) {
	a, b, c, d, sheet := threeIssuers(t)
	for _, p := range []post{a, b, c, d} {
		p.desk.SetHands(checkSigned)
	}
	cuts, err := a.desk.IssuerCutsFor(b.issuer())
	must(t, err)
	must(t, a.desk.RevokeIssuer(ctx(), oplog.By{1}, b.issuer(), cuts, &sheet, [2][]byte{{1}, {2}}))
	settled(t, a, b, c, d)
	if c.isRevokedIssuer(t, b) {
		t.Error("nobody agreed to it")
	}
	must(t, c.desk.RevokeIssuer(ctx(), oplog.By{1}, b.issuer(), cuts, &sheet, bothHands(PurposeRevokeIssuer, RevokeIssuerBody(b.issuer(), cuts))))
	settled(t, a, b, c, d)
	if !a.isRevokedIssuer(t, b) {
		t.Error("two agreed to it")
	}

	request := OpenRequest{Deployment: a.vault.Deployment(), Node: d.vault.NodeID(), Nonce: [16]byte{1}}
	good := bothHands(PurposeOpen, request.Bytes())
	for _, f := range []struct {
		box  NodeID
		fact OpenedBy
	}{
		{d.vault.NodeID(), OpenedBy{Request: request.Bytes(), First: []byte{1}, Second: []byte{2}}},
		{c.vault.NodeID(), OpenedBy{Request: request.Bytes(), First: good[0], Second: good[1]}}, // another box
		{d.vault.NodeID(), OpenedBy{Request: []byte("x"), First: good[0], Second: good[1]}},
	} {
		must(t, a.log.Do(ctx(), oplog.By{1}, func(tx *oplog.Tx) error {
			_, err := tx.Append(openedBy, f.box, f.fact)
			return err
		}))
	}
	settled(t, a, b, c, d)
	if got, err := c.desk.Openings(); err != nil || len(got) != 0 {
		t.Fatalf("%+v %v", got, err)
	}
	must(t, a.log.Do(ctx(), oplog.By{1}, func(tx *oplog.Tx) error {
		_, err := tx.Append(openedBy, d.vault.NodeID(), OpenedBy{Request: request.Bytes(), First: good[0], Second: good[1]})
		return err
	}))
	settled(t, a, b, c, d)
	if got, err := c.desk.Openings(); err != nil || len(got) != 1 || got[0].Box != d.vault.NodeID() {
		t.Fatalf("%+v %v", got, err)
	}
}
