package identity

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// post is a node with its journal and desk.
type post struct {
	vault *Vault
	log   *oplog.Log
	desk  *Desk
}

func openPost(t testing.TB, v *Vault) post {
	t.Helper()
	log, err := oplog.Open(context.Background(), oplog.Options{
		Dir: filepath.Join(t.TempDir(), "journal"), Store: oplogtest.MemStore(), Authority: v, StorageKey: v.Subkey("journal"),
		Clock: v.clock, Kinds: Kinds(), Views: Views(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, log.Close()) })
	return post{v, log, OpenDesk(log, v)}
}

// camp is a founder and two nodes it let in; nothing has been exchanged yet.
func camp(t testing.TB) (a, b, c post) {
	t.Helper()
	v, _ := founder(t, clock.NewFake(noon()))
	a = openPost(t, v)
	for i, site := range []string{"South gate", "Clinic"} {
		p := openPost(t, joined(t, v, site))
		must(t, a.desk.Enrolled(context.Background(), p.vault.Cert()))
		must(t, p.desk.NameSelf(context.Background()))
		if i == 0 {
			b = p
		} else {
			c = p
		}
	}
	must(t, a.desk.NameSelf(context.Background()))
	return a, b, c
}

func nodesOf(t testing.TB, p post) []Node {
	t.Helper()
	nodes, err := p.desk.Nodes()
	if err != nil {
		t.Fatal(err)
	}
	return nodes
}

func TestEverybodyKnowsEverybody(t *testing.T) {
	a, b, c := camp(t)
	if nodes := nodesOf(t, a); len(nodes) != 3 || nodes[1].Site != "" || nodes[1].EnrolledAt.IsZero() {
		t.Fatalf("the inviter knows at once: %+v", nodes)
	}
	oplogtest.Exchange(t, a.log, b.log, c.log)
	oplogtest.Same(t, a.log, b.log, c.log)
	for _, p := range []post{a, b, c} {
		nodes := nodesOf(t, p)
		if len(nodes) != 3 {
			t.Fatalf("%d nodes", len(nodes))
		}
		for i, site := range []string{"North gate", "South gate", "Clinic"} {
			n := nodes[i]
			if n.Site != site || int(n.Number) != i+1 || len(n.Logs) != 1 || n.Founder != (i == 0) || n.Confirmed != (i == 0) {
				t.Errorf("%+v", n)
			}
			if found, ok := p.desk.ByNumber(n.Number); !ok || found.ID != n.ID || found.Cert.ID() != n.ID || found.Confirmed != (i == 0) {
				t.Errorf("number %d is %+v", n.Number, found)
			}
			if found, ok := p.desk.Author(n.Logs[0]); !ok || found.ID != n.ID || found.Confirmed != (i == 0) {
				t.Errorf("the author of %s is %+v", n.Logs[0], found)
			}
		}
		if _, ok := p.desk.ByNumber(9); ok {
			t.Error("a node for no number")
		}
		if _, ok := p.desk.Author(oplog.LogID{9}); ok {
			t.Error("an author of no log")
		}
	}
}

func TestSayingThingsTwiceWritesThemOnce(t *testing.T) {
	a, b, _ := camp(t)
	before := a.log.Stats().Ops
	must(t, a.desk.NameSelf(context.Background()))
	must(t, a.desk.Enrolled(context.Background(), b.vault.Cert()))
	must(t, a.desk.Confirm(context.Background(), oplog.By{1}, b.vault.NodeID()))
	must(t, a.desk.Confirm(context.Background(), oplog.By{2}, b.vault.NodeID()))
	if n := a.log.Stats().Ops - before; n != 1 {
		t.Fatalf("%d ops", n)
	}
}

func TestConfirming(t *testing.T) {
	ctx := context.Background()
	a, b, c := camp(t)
	wantFault(t, a.desk.Confirm(ctx, oplog.By{1}, a.vault.NodeID()), fault.Conflict, "fault.identity.confirm_self")
	wantFault(t, a.desk.Confirm(ctx, oplog.By{1}, NodeID{1}), fault.NotFound, "fault.identity.no_such_node")
	oplogtest.Exchange(t, a.log, b.log, c.log)
	if !a.desk.SelfConfirmed() || !a.desk.MayIssue() || b.desk.SelfConfirmed() || b.desk.MayIssue() {
		t.Fatal("only the founder needs nobody")
	}
	// Two nodes nobody compared cannot vouch for each other, nor for themselves
	// by confirming the founder.
	must(t, c.desk.Confirm(ctx, oplog.By{1}, b.vault.NodeID()))
	must(t, b.desk.Confirm(ctx, oplog.By{1}, c.vault.NodeID()))
	must(t, b.desk.Confirm(ctx, oplog.By{1}, a.vault.NodeID()))
	oplogtest.Exchange(t, a.log, b.log, c.log)
	for _, n := range nodesOf(t, a)[1:] {
		if n.Confirmed {
			t.Fatalf("%d counts as confirmed", n.Number)
		}
	}
	// The founder vouches for b, and with it for what b said about c.
	must(t, a.desk.Confirm(ctx, oplog.By{1}, b.vault.NodeID()))
	oplogtest.Exchange(t, a.log, b.log, c.log)
	for _, p := range []post{a, b, c} {
		for _, n := range nodesOf(t, p) {
			if !n.Confirmed {
				t.Errorf("%d is not confirmed", n.Number)
			}
		}
		if n, ok := p.desk.Author(c.log.Own()); !ok || !n.Confirmed || !p.desk.MayIssue() {
			t.Errorf("a confirmed node may issue: %+v", n)
		}
	}
}

func TestOnlyAnOwnLogNamesANode(t *testing.T) {
	ctx := context.Background()
	a, b, c := camp(t)
	oplogtest.Exchange(t, a.log, b.log, c.log)
	must(t, b.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error {
		_, err := tx.Append(nodeNamed, a.vault.NodeID(), NodeNamed{Number: 1, Site: "Ours now"})
		if err != nil {
			return err
		}
		_, err = tx.Append(invitationRefused, a.vault.NodeID(), InvitationRefused{Reason: reasonUsed})
		return err
	}))
	oplogtest.Exchange(t, a.log, b.log, c.log)
	if site := nodesOf(t, a)[0].Site; site != "North gate" {
		t.Fatalf("renamed to %q", site)
	}
	if n, err := a.desk.Refusals(); err != nil || n != 0 {
		t.Fatal(n, err)
	}
}

// A node nobody compared runs a program of its own: whatever it writes, it is not
// confirmed by it, and nobody is hidden or unmade.
func TestWhatANodeNobodyComparedMayNotDo(t *testing.T) {
	ctx := context.Background()
	a, b, _ := camp(t)
	late := joined(t, a.vault, "Late") // admitted, and not heard of yet
	stranger, _ := founder(t, clock.NewFake(noon()))
	forged := late.cert
	forged.Issuer, forged.Sig = stranger.cert.Issuer, [64]byte{1}
	oplogtest.Exchange(t, a.log, b.log)
	for _, l := range []*oplog.Log{b.log, openPost(t, b.vault).log} { // also in a log of its own making
		must(t, l.Do(ctx, oplog.By{1}, func(tx *oplog.Tx) error {
			for _, f := range []struct {
				kind    oplog.Kind
				subject oplog.ID
				body    any
			}{
				{confirmed, b.vault.NodeID(), Confirmed{}},
				{confirmed, late.NodeID(), Confirmed{}},
				{logBorn, a.vault.NodeID(), LogBorn{Cert: a.vault.cert.Marshal()}}, // as if this were the founder's log
				{enrolled, late.NodeID(), Enrolled{Cert: forged.Marshal()}},
				{enrolled, a.vault.NodeID(), Enrolled{Cert: stranger.cert.Marshal()}},
				{nodeNamed, a.vault.NodeID(), NodeNamed{Number: 1, Site: "Elsewhere"}},
			} {
				if _, err := tx.Append(f.kind, f.subject, f.body); err != nil {
					return err
				}
			}
			return nil
		}))
		oplogtest.Exchange(t, a.log, l)
	}
	must(t, a.desk.Enrolled(ctx, late.cert)) // the rogue's word did not take its place
	nodes := nodesOf(t, a)
	if len(nodes) != 4 {
		t.Fatalf("%d nodes: %+v", len(nodes), nodes)
	}
	for i, n := range nodes {
		if n.Confirmed != (i == 0) || n.Founder != (i == 0) || (i == 0 && (n.Site != "North gate" || len(n.Logs) != 1)) {
			t.Errorf("%+v", n)
		}
	}
	must(t, a.desk.Confirm(ctx, oplog.By{1}, late.NodeID()))
}

// A node can open as many logs as it likes; what they say about another node must
// not make its row so long that it is left out.
func TestNoRowGrowsWithWhatOthersSay(t *testing.T) {
	v, _ := founder(t, clock.NewFake(noon()))
	log, body := v.Birth([16]byte{1})
	var born LogBorn
	must(t, decode(body, &born))
	ops := []oplog.Op{{Ref: oplog.Ref{Log: log, Seq: 1}, Body: &born}}
	for i := range 20000 {
		ops = append(ops, oplog.Op{Ref: oplog.Ref{Log: oplog.LogID{9, byte(i >> 8), byte(i)}, Seq: 2}, Body: &Confirmed{}})
	}
	rows := foldNode(v.NodeID(), ops)
	for _, r := range rows {
		if len(r.Value) > 1<<10 {
			t.Fatalf("row %q has %d bytes", r.Key, len(r.Value))
		}
	}
	if len(rows) != 20001 {
		t.Fatalf("%d rows", len(rows))
	}
}

// A certificate that another root signed, or that is about another node, is
// stored with everything else but never listed.
func TestForgedNodesAreNotListed(t *testing.T) {
	ctx := context.Background()
	a, b, c := camp(t)
	stranger, _ := founder(t, clock.NewFake(noon()))
	wantFault(t, b.desk.Enrolled(ctx, stranger.Cert()), fault.Denied, "fault.identity.not_ours")
	must(t, b.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error {
		for _, subject := range []oplog.ID{stranger.NodeID(), {7}} {
			if _, err := tx.Append(enrolled, subject, Enrolled{Cert: stranger.cert.Marshal()}); err != nil {
				return err
			}
		}
		_, err := tx.Append(logBorn, stranger.NodeID(), LogBorn{Cert: stranger.cert.Marshal()})
		return err
	}))
	oplogtest.Exchange(t, a.log, b.log, c.log)
	if nodes := nodesOf(t, c); len(nodes) != 3 {
		t.Fatalf("%d nodes", len(nodes))
	}
	wantFault(t, a.desk.Confirm(ctx, oplog.By{1}, stranger.NodeID()), fault.NotFound, "fault.identity.no_such_node")
}

func TestRefusedInvitationsAreSeenEverywhere(t *testing.T) {
	ctx := context.Background()
	a, b, c := camp(t)
	inv, err := a.vault.Invite(0, nil)
	must(t, err)
	_, _, err = a.vault.Admit(applicantFor(t, inv.Code).Request())
	must(t, err)
	_, _, used := a.vault.Admit(applicantFor(t, inv.Code).Request())
	wantFault(t, used, fault.Conflict, "fault.identity.invitation_used")
	_, _, junk := a.vault.Admit([]byte("junk"))
	for _, refusal := range []error{used, used, junk, nil, fault.New(fault.Gone, "fault.identity.invitation_expired")} {
		must(t, a.desk.Refused(ctx, refusal))
	}
	oplogtest.Exchange(t, a.log, b.log, c.log)
	for _, p := range []post{a, b, c} {
		if n, err := p.desk.Refusals(); err != nil || n != 1 {
			t.Fatalf("%d refusals, %v", n, err)
		}
	}
}

// A folder that was restored opens a new log; the node stays the same one.
func TestANodeMayHaveTwoLogs(t *testing.T) {
	a, b, c := camp(t)
	again := openPost(t, b.vault)
	oplogtest.Exchange(t, a.log, b.log, c.log, again.log)
	nodes := nodesOf(t, a)
	if len(nodes) != 3 || len(nodes[1].Logs) != 2 || nodes[1].Logs[0] == nodes[1].Logs[1] {
		t.Fatalf("%+v", nodes)
	}
}

// The founder's folder is restored from before it let anybody in: its next
// certificate has a new number as soon as it has heard of the others.
func TestARestoredIssuerGivesNoNumberTwice(t *testing.T) {
	ctx := context.Background()
	v, dir := founder(t, clock.NewFake(noon()))
	old := read(t, filepath.Join(dir, "secrets"))
	a := openPost(t, v)
	b := openPost(t, joined(t, v, "South gate"))
	must(t, a.desk.Enrolled(ctx, b.vault.Cert()))
	oplogtest.Exchange(t, a.log, b.log)

	for _, s := range []string{"", ".2"} {
		must(t, os.WriteFile(filepath.Join(dir, "secrets"+s), old, 0o600))
	}
	restored := openPost(t, unlock(t, dir, clock.NewFake(noon())))
	oplogtest.Exchange(t, b.log, restored.log)
	if n := joined(t, restored.vault, "Clinic"); n.Cert().Number != 3 {
		t.Fatalf("number %d", n.Cert().Number)
	}
}

func TestNodesDoNotDependOnOrder(t *testing.T) {
	v, _ := founder(t, clock.NewFake(noon()))
	n := joined(t, v, "South gate").Cert()
	other := joined(t, v, "Clinic").Cert()
	forged := other
	forged.Sig = [64]byte{1}
	oplogtest.CheckOrder(t, Views(),
		oplogtest.Fact{Node: 0, Kind: enrolled, Subject: n.ID(), Body: Enrolled{Cert: n.Marshal()}},
		oplogtest.Fact{Node: 1, Kind: enrolled, Subject: n.ID(), Body: Enrolled{Cert: other.Marshal()}},
		oplogtest.Fact{Node: 2, Kind: enrolled, Subject: n.ID(), Body: Enrolled{Cert: n.Marshal()}},
		oplogtest.Fact{Node: 1, Kind: nodeNamed, Subject: n.ID(), Body: NodeNamed{Number: 2, Site: "South gate"}},
		oplogtest.Fact{Node: 2, Kind: nodeNamed, Subject: n.ID(), Body: NodeNamed{Number: 2, Site: "Elsewhere"}, Seen: true},
		oplogtest.Fact{Node: 0, Kind: confirmed, Subject: n.ID(), Body: Confirmed{}},
		oplogtest.Fact{Node: 2, Kind: confirmed, Subject: n.ID(), Body: Confirmed{}},
		oplogtest.Fact{Node: 0, Kind: invitationRefused, Subject: n.ID(), Body: InvitationRefused{Invitation: [8]byte{1}, Reason: reasonUsed}},
		oplogtest.Fact{Node: 0, Kind: enrolled, Subject: other.ID(), Body: Enrolled{Cert: other.Marshal()}, Seen: true},
		oplogtest.Fact{Node: 1, Kind: confirmed, Subject: other.ID(), Body: Confirmed{}},
		// What a rogue adds: a forged certificate, a birth that is none, words about anybody.
		oplogtest.Fact{Node: 2, Kind: enrolled, Subject: other.ID(), Body: Enrolled{Cert: forged.Marshal()}},
		oplogtest.Fact{Node: 2, Kind: logBorn, Subject: v.NodeID(), Body: LogBorn{Cert: v.cert.Marshal()}},
		oplogtest.Fact{Node: 2, Kind: confirmed, Subject: v.NodeID(), Body: Confirmed{}, Seen: true},
		oplogtest.Fact{Node: 2, Kind: enrolled, Subject: n.ID(), Body: Enrolled{Cert: []byte{1}}},
	)
}

// The same, with births in it: a fold is a function of the set.
func TestFoldWithBirths(t *testing.T) {
	a, b, c := camp(t)
	again := openPost(t, a.vault)
	must(t, again.desk.NameSelf(context.Background()))
	oplogtest.Exchange(t, a.log, b.log)
	must(t, b.desk.Confirm(context.Background(), oplog.By{1}, b.vault.inviter.ID()))
	oplogtest.Exchange(t, c.log, b.log)
	oplogtest.Exchange(t, again.log, c.log)
	oplogtest.Exchange(t, a.log, b.log, again.log, c.log)
	oplogtest.Same(t, a.log, b.log, c.log, again.log)
	for _, p := range []post{a, c} {
		must(t, p.log.Rebuild(context.Background()))
	}
	oplogtest.Same(t, a.log, b.log, c.log, again.log)
}
