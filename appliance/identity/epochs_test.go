package identity

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// compared is a camp whose words were compared, everybody knowing everything.
func compared(t testing.TB) (a, b, c post) {
	t.Helper()
	a, b, c = camp(t)
	oplogtest.Exchange(t, a.log, b.log, c.log)
	must(t, a.desk.Confirm(ctx(), oplog.By{1}, b.vault.NodeID()))
	must(t, a.desk.Confirm(ctx(), oplog.By{1}, c.vault.NodeID()))
	settled(t, a, b, c)
	return a, b, c
}

func ctx() context.Context { return context.Background() }

// settled exchanges everything among posts, who follow it, until nobody has anything to say.
func settled(t testing.TB, posts ...post) {
	t.Helper()
	var logs []*oplog.Log
	for _, p := range posts {
		logs = append(logs, p.log)
	}
	for range 4 {
		oplogtest.Exchange(t, logs...)
		for _, p := range posts {
			must(t, p.desk.Follow(ctx()))
		}
	}
}

func (p post) rename(t testing.TB, site string) {
	t.Helper()
	must(t, p.log.Do(ctx(), oplog.By{}, func(tx *oplog.Tx) error {
		_, err := tx.Append(nodeNamed, p.vault.NodeID(), NodeNamed{Number: p.vault.Cert().Number, Site: site})
		return err
	}))
}

func (p post) site(t testing.TB, of post) string {
	t.Helper()
	n, _, err := p.desk.node(of.vault.NodeID())
	must(t, err)
	return n.Site
}

// TestAStolenBoxReadsNothingNew: suspended or revoked, a box gets none of the next keys,
// whatever its owner's passphrase opens.
func TestAStolenBoxReadsNothingNew(t *testing.T) {
	for i := range 20 {
		a, b, c := compared(t)
		switch i % 2 {
		case 0: // a lead anywhere
			must(t, b.desk.Suspend(ctx(), oplog.By{2}, c.vault.NodeID()))
		case 1:
			must(t, a.revoke(t, c, [2][]byte{{1}, {2}}))
		}
		settled(t, a, b)
		a.rename(t, "Planted gate")
		b.rename(t, "Planted clinic")
		settled(t, a, b)
		if a.site(t, b) != "Planted clinic" || b.site(t, a) != "Planted gate" {
			t.Fatal("the others do not read each other any more")
		}
		// The thief gets every op there is, opens the folder and follows all of it.
		before := c.log.Stats().Opaque
		oplogtest.Exchange(t, a.log, c.log)
		must(t, c.desk.Follow(ctx()))
		must(t, c.log.KeysChanged(ctx()))
		if c.site(t, a) == "Planted gate" || c.site(t, b) == "Planted clinic" || c.log.Stats().Opaque != before+2 {
			t.Fatalf("read: %q, %q; %d ops not read", c.site(t, a), c.site(t, b), c.log.Stats().Opaque-before)
		}
		for _, p := range []post{a, b} {
			if !p.desk.Shut(c.vault.NodeID()) || p.desk.Shut(a.vault.NodeID()) || p.desk.Shut(b.vault.NodeID()) {
				t.Fatal("the wrong box is shut out")
			}
			if keys := p.vault.GossipKeys(); len(keys) != 2 || keys[0] == c.vault.GossipKeys()[0] {
				t.Fatal("the membership traffic goes on under a key the thief has")
			}
		}
		if a.vault.GossipKeys()[0] != b.vault.GossipKeys()[0] {
			t.Fatal("two keys of the membership traffic")
		}
	}
}

// TestALiftGivesTheKeysBack: what was missed meanwhile is read, without a restart.
func TestALiftGivesTheKeysBack(t *testing.T) {
	a, b, c := compared(t)
	must(t, b.desk.Suspend(ctx(), oplog.By{2}, c.vault.NodeID()))
	settled(t, a, b)
	b.rename(t, "Written meanwhile")
	settled(t, a, b)
	wantFault(t, b.desk.Lift(ctx(), oplog.By{2}, c.vault.NodeID()), fault.Denied, "fault.identity.lift_issuer")
	must(t, a.desk.Lift(ctx(), oplog.By{1}, c.vault.NodeID()))
	wantFault(t, a.desk.Lift(ctx(), oplog.By{1}, c.vault.NodeID()), fault.NotFound, "fault.identity.not_suspended")
	settled(t, a, b, c)
	if a.desk.Shut(c.vault.NodeID()) || b.desk.Shut(c.vault.NodeID()) {
		t.Fatal("still shut out")
	}
	if got := c.site(t, b); got != "Written meanwhile" {
		t.Fatalf("c reads %q", got)
	}
	c.rename(t, "Back")
	settled(t, a, b, c)
	if a.site(t, c) != "Back" || a.log.Stats().Opaque+b.log.Stats().Opaque+c.log.Stats().Opaque > 0 {
		t.Fatal("not everybody reads everything")
	}
	oplogtest.Same(t, a.log, b.log, c.log)
	must(t, b.desk.Suspend(ctx(), oplog.By{2}, c.vault.NodeID()))
	settled(t, a, b)
	if !a.desk.Shut(c.vault.NodeID()) {
		t.Fatal("a lifted box cannot be suspended again")
	}
}

// TestWhatComesBeforeItsKeyIsReadWhenTheKeyComes: ops under a new epoch overtake the fact
// that brings its key.
func TestWhatComesBeforeItsKeyIsReadWhenTheKeyComes(t *testing.T) {
	a, b, c := compared(t)
	must(t, a.desk.Rotate(ctx(), oplog.By{1}))
	oplogtest.Exchange(t, a.log, b.log)
	must(t, b.desk.Follow(ctx()))
	b.rename(t, "Under the new key")
	only(t, b, c, b.log.Own()) // nothing of a's
	must(t, c.desk.Follow(ctx()))
	if c.log.Stats().Opaque != 1 {
		t.Fatalf("%d ops wait", c.log.Stats().Opaque)
	}
	events := 0
	stop := watch(c.log, &events)
	settled(t, a, b, c)
	stop()
	if c.site(t, b) != "Under the new key" || c.log.Stats().Opaque != 0 || events == 0 {
		t.Fatalf("c reads %q, %d wait, %d events", c.site(t, b), c.log.Stats().Opaque, events)
	}
	oplogtest.Same(t, a.log, b.log, c.log)
}

// meanwhile is a context that does something when somebody first waits for it.
type meanwhile struct {
	context.Context
	do func()
}

func (m *meanwhile) Done() <-chan struct{} {
	if do := m.do; do != nil {
		m.do = nil
		do()
	}
	return m.Context.Done()
}

// TestAKeyThatComesWhileOthersAreTaken is taken with the next look, though nothing has come
// since.
func TestAKeyThatComesWhileOthersAreTaken(t *testing.T) {
	a, b, c := compared(t)
	must(t, a.desk.Rotate(ctx(), oplog.By{1}))
	a.rename(t, "Under a new key")
	only(t, a, c, a.log.Own())
	must(t, a.desk.Rotate(ctx(), oplog.By{1}))
	a.rename(t, "Under the last key")
	late := &meanwhile{ctx(), func() { only(t, a, c, a.log.Own()) }}
	must(t, c.desk.Follow(late))
	if late.do != nil {
		t.Fatal("nothing came meanwhile")
	}
	for range 2 { // the first may begin to count what came
		must(t, c.desk.Follow(ctx()))
	}
	if c.site(t, a) != "Under the last key" || c.log.Stats().Opaque != 0 {
		t.Fatalf("c reads %q, %d wait", c.site(t, a), c.log.Stats().Opaque)
	}
	settled(t, a, b, c)
}

func watch(l *oplog.Log, n *int) (stop func()) {
	ch, end := l.Watch()
	return func() {
		select {
		case <-ch:
			*n++
		default:
		}
		end()
	}
}

// only hands over one log.
func only(t testing.TB, from, to post, log oplog.LogID) {
	t.Helper()
	after := uint64(0)
	for _, h := range to.log.Heads() {
		if h.Log == log {
			after = h.Seq
		}
	}
	raw, _, err := from.log.Range(log, after, 1000, 1<<20)
	must(t, err)
	_, err = to.log.Merge(ctx(), raw)
	must(t, err)
}

// TestTwoWhoRotateAtOnce: both keys are held by all, under two numbers, and all write
// under the same one afterwards.
func TestTwoWhoRotateAtOnce(t *testing.T) {
	a, b, c := compared(t)
	must(t, a.desk.Rotate(ctx(), oplog.By{1}))
	must(t, b.desk.Rotate(ctx(), oplog.By{1}))
	a.rename(t, "From a")
	b.rename(t, "From b")
	settled(t, a, b, c)
	epochs := map[uint32]bool{}
	for _, p := range []post{a, b, c} {
		if p.site(t, a) != "From a" || p.site(t, b) != "From b" {
			t.Error("not read")
		}
		_, e := p.vault.CurrentEpoch(oplog.Register)
		epochs[e] = true
	}
	if len(epochs) != 1 || !epochs[1<<16|2] {
		t.Errorf("they write under %v", epochs)
	}
	oplogtest.Same(t, a.log, b.log, c.log)
}

// TestTheKeysOutliveARestart: the card has them before anybody writes under them.
func TestTheKeysOutliveARestart(t *testing.T) {
	a, b, _ := compared(t)
	must(t, a.desk.Rotate(ctx(), oplog.By{1}))
	settled(t, a, b)
	b.rename(t, "After")
	_, want := b.vault.CurrentEpoch(oplog.Register)
	gossip := b.vault.GossipKeys()
	dir := b.vault.dir
	b.vault.Close()
	v := unlock(t, dir, clock.NewFake(noon()))
	if _, e := v.CurrentEpoch(oplog.Register); e != want {
		t.Errorf("writes under %x", e)
	}
	if got := v.GossipKeys(); !slices.Equal(got, gossip) {
		t.Error("other keys of the membership traffic")
	}
	v.Close()
}

// TestWhoeverPressedIsGone: the keys change also when the box where somebody was suspended
// dies before it made new ones.
func TestWhoeverPressedIsGone(t *testing.T) {
	c := clock.NewFake(noon())
	v, _ := founder(t, c)
	a := openPost(t, v)
	b, lost := openPost(t, joined(t, v, "b")), openPost(t, joined(t, v, "c"))
	for _, p := range []post{b, lost} {
		must(t, a.desk.Enrolled(ctx(), p.vault.Cert()))
		must(t, a.desk.Confirm(ctx(), oplog.By{1}, p.vault.NodeID()))
	}
	settled(t, a, b, lost)
	must(t, a.log.Do(ctx(), oplog.By{}, func(tx *oplog.Tx) error {
		_, err := tx.Append(suspended, lost.vault.NodeID(), Suspended{ID: [8]byte{1}, Seen: []logMark{}, Node: a.vault.NodeID()})
		return err
	}))
	oplogtest.Exchange(t, a.log, b.log)
	must(t, b.desk.Follow(ctx()))
	_, before := b.vault.CurrentEpoch(oplog.Register)
	if before != 1 {
		t.Fatal("it was not its turn")
	}
	b.vault.clock.(*clock.Fake).Advance(time.Minute)
	must(t, b.desk.Follow(ctx()))
	if _, e := b.vault.CurrentEpoch(oplog.Register); e != 1<<16|2 {
		t.Fatalf("still under %x", e)
	}
	n := b.log.Stats().Ops
	b.vault.clock.(*clock.Fake).Advance(time.Hour)
	must(t, b.desk.Follow(ctx()))
	if b.log.Stats().Ops != n {
		t.Fatal("it goes on and on")
	}
}

// TestBadEpochsCountForNothing: of a box nobody compared, under another's number, with a
// copy of another key, of a box that was suspended since.
func TestBadEpochsCountForNothing(t *testing.T) {
	a, b, c := compared(t)
	id := epochID{what: forRegister, epoch: 9<<16 | 2}
	key := random(32)
	bad, err := sealKey(DeploymentID(a.vault.Deployment()), id, a.vault.Cert(), random(32))
	must(t, err)
	write := func(by post, e EpochBegun) {
		t.Helper()
		must(t, by.log.Do(ctx(), oplog.By{}, func(tx *oplog.Tx) error {
			_, err := tx.Append(epochBegun, by.vault.NodeID(), e)
			return err
		}))
	}
	write(b, EpochBegun{What: forRegister, Epoch: id.epoch, Check: keyCheck(id, key), Shut: []NodeID{}, Copies: []sealedKey{bad}})
	write(b, EpochBegun{What: forRegister, Epoch: 99<<16 | 1, Check: [8]byte{1}, Shut: []NodeID{}, Copies: []sealedKey{}})
	settled(t, a, b, c)
	if _, e := a.vault.CurrentEpoch(oplog.Register); e != 1 {
		t.Fatalf("writes under %x", e)
	}
	// What a suspended box began is written under no more, however high its number.
	must(t, c.desk.Rotate(ctx(), oplog.By{3}))
	settled(t, a, b, c)
	_, thiefs := a.vault.CurrentEpoch(oplog.Register)
	must(t, a.desk.Suspend(ctx(), oplog.By{1}, c.vault.NodeID()))
	settled(t, a, b)
	if _, e := a.vault.CurrentEpoch(oplog.Register); e == thiefs || e == 1 || uint16(e) != 1 {
		t.Fatalf("writes under %x after %x", e, thiefs)
	}
}

// TestManyNodesAreGivenOneKey: the copies are cut into facts, each within its limit.
func TestManyNodesAreGivenOneKey(t *testing.T) {
	v, _ := founder(t, clock.NewFake(noon()))
	a := openPost(t, v)
	seed := [32]byte{}
	var many []Node
	for i := range 600 {
		seed[0], seed[1] = byte(i), byte(i>>8)
		_, public, err := newSealPair()
		must(t, err)
		many = append(many, Node{Cert: NodeCert{Public: seed, Seal: public}})
	}
	before := a.log.Stats().Ops
	must(t, a.desk.writeEpoch(ctx(), oplog.By{}, EpochBegun{What: forRegister, Epoch: 1<<16 | 1, Shut: []NodeID{}}, many, random(32)))
	if n := a.log.Stats().Ops - before; n != 3 {
		t.Errorf("%d facts", n)
	}
	l, err := a.desk.ledger()
	must(t, err)
	if e := l.epochs[epochID{forRegister, 0, 1<<16 | 1}]; e == nil || len(e.has) != 600 {
		t.Error("copies are missing")
	}
}

func TestWhoMaySuspend(t *testing.T) {
	a, b, c := camp(t)
	oplogtest.Exchange(t, a.log, b.log, c.log)
	wantFault(t, b.desk.Suspend(ctx(), oplog.By{2}, c.vault.NodeID()), fault.Denied, "fault.identity.suspend_not_confirmed")
	wantFault(t, b.desk.Rotate(ctx(), oplog.By{2}), fault.Denied, "fault.identity.suspend_not_confirmed")
	wantFault(t, a.desk.Suspend(ctx(), oplog.By{1}, a.vault.NodeID()), fault.Conflict, "fault.identity.suspend_self")
	wantFault(t, a.desk.Suspend(ctx(), oplog.By{1}, NodeID{9}), fault.NotFound, "fault.identity.no_such_node")
	must(t, a.desk.Confirm(ctx(), oplog.By{1}, b.vault.NodeID()))
	must(t, a.desk.Suspend(ctx(), oplog.By{1}, b.vault.NodeID()))
	n := a.log.Stats().Ops
	must(t, a.desk.Suspend(ctx(), oplog.By{1}, b.vault.NodeID()))
	if a.log.Stats().Ops != n {
		t.Error("said twice")
	}
	// It hears of it: from its own log's point of view it is shut out, and says no more.
	oplogtest.Exchange(t, a.log, b.log)
	must(t, b.desk.Follow(ctx()))
	wantFault(t, b.desk.Suspend(ctx(), oplog.By{2}, c.vault.NodeID()), fault.Denied, "fault.identity.suspend_shut")
	if b.desk.Shut(b.vault.NodeID()) {
		t.Error("a box refuses itself")
	}
	wantFault(t, a.revoke(t, a, [2][]byte{}), fault.Conflict, "fault.identity.suspend_self")
	must(t, a.revoke(t, b, [2][]byte{{1}, {2}}))
	wantFault(t, a.desk.Lift(ctx(), oplog.By{1}, b.vault.NodeID()), fault.Conflict, "fault.identity.revoked")
	wantFault(t, b.revoke(t, c, [2][]byte{}), fault.Denied, "fault.identity.revoke_issuer")
}

// TestSuspensionsDoNotDependOnOrder: the rows, whoever hears what first.
func TestSuspensionsDoNotDependOnOrder(t *testing.T) {
	n := NodeID{7}
	oplogtest.CheckOrder(t, Views(),
		oplogtest.Fact{Kind: suspended, Subject: n, Body: Suspended{ID: [8]byte{1}, Seen: []logMark{{Seq: 3}}}},
		oplogtest.Fact{Kind: suspended, Subject: n, Body: Suspended{ID: [8]byte{2}, Seen: []logMark{}}},
		oplogtest.Fact{Kind: suspensionLifted, Subject: n, Body: SuspensionLifted{IDs: [][8]byte{{1}}, Word: []byte{1}}},
		oplogtest.Fact{Kind: suspensionLifted, Subject: n, Body: SuspensionLifted{IDs: [][8]byte{{1}}, Word: []byte{1}}},
		oplogtest.Fact{Kind: revoked, Subject: n, Body: Revoked{Cuts: []cut{}, Signed: [][]byte{}, Word: []byte{2}}},
		oplogtest.Fact{Kind: released, Subject: n, Body: Released{Ops: []oplog.Ref{}, Word: []byte{2}}},
		oplogtest.Fact{Kind: epochBegun, Subject: n, Body: EpochBegun{What: forRegister, Epoch: 9, Shut: []NodeID{}, Copies: []sealedKey{}}},
	)
}

// TestAStolenIssuerMakesNobodyWhoIsGivenKeys: the thief lets boxes of their own in, issuers
// even, and has the stolen box say that their words were compared.
func TestAStolenIssuerMakesNobodyWhoIsGivenKeys(t *testing.T) {
	a, b, c := compared(t)
	late := openPost(t, joined(t, a.vault, "Joined before")) // nobody compared it yet
	must(t, a.desk.Enrolled(ctx(), late.vault.Cert()))
	settled(t, a, b, c, late)
	for _, p := range []post{b, c} { // the founder's box is gone
		must(t, p.desk.Suspend(ctx(), oplog.By{2}, a.vault.NodeID()))
		settled(t, b, c)
	}
	if !b.desk.Shut(a.vault.NodeID()) {
		t.Fatal("two boxes did not shut it out")
	}
	rogue := openPost(t, joined(t, a.vault, "Rogue"))
	must(t, a.desk.Enrolled(ctx(), rogue.vault.Cert()))
	must(t, a.desk.Confirm(ctx(), oplog.By{9}, rogue.vault.NodeID()))
	must(t, rogue.desk.NameSelf(ctx()))
	oplogtest.Exchange(t, a.log, rogue.log)
	oplogtest.Exchange(t, rogue.log, b.log) // by a stick, say
	settled(t, b, c)
	b.rename(t, "Planted")
	settled(t, b, c)
	oplogtest.Exchange(t, b.log, rogue.log, a.log, late.log)
	for name, p := range map[string]post{"the rogue": rogue, "the stolen box": a, "one nobody compared": late} {
		must(t, p.desk.Follow(ctx()))
		if got := p.site(t, b); got == "Planted" {
			t.Errorf("%s reads what is new", name)
		}
		if !b.desk.Outcast(p.vault.Cert()) {
			t.Errorf("%s is let in", name)
		}
	}
	// Nor is it believed in anything else: cards, second people, keepers, names.
	for name, p := range map[string]post{"the rogue": rogue, "the stolen box": a} {
		id := p.vault.NodeID()
		n, known, err := b.desk.node(id)
		must(t, err)
		byNumber, _ := b.desk.ByNumber(p.vault.Cert().Number)
		author, _ := b.desk.Author(p.log.Own())
		for where, n := range map[string]Node{"the list": n, "its number": byNumber, "its log": author} {
			if n.ID != id || n.Confirmed && name == "the rogue" || n.Standing == StandingGood && name == "the stolen box" {
				t.Errorf("%s by %s: known %v, compared %v, %v", name, where, known, n.Confirmed, n.Standing)
			}
		}
		keepers, err := b.desk.Keepers()
		must(t, err)
		if slices.ContainsFunc(keepers, func(n Node) bool { return n.ID == id }) {
			t.Errorf("%s could open others at night", name)
		}
	}
	if b.desk.Outcast(c.vault.Cert()) || c.desk.Outcast(b.vault.Cert()) || c.site(t, b) != "Planted" {
		t.Error("those who were compared before are not among themselves any more")
	}
	again := OpenDesk(b.log, b.vault) // started anew, and no mesh runs yet
	for name, p := range map[string]post{"the rogue": rogue, "the stolen box": a} {
		if n, _, err := again.node(p.vault.NodeID()); err != nil || n.Confirmed && n.Standing == StandingGood {
			t.Errorf("after a start %s is believed: %v", name, err)
		}
	}
	// Compared by one of them, it belongs again.
	must(t, b.desk.Confirm(ctx(), oplog.By{2}, late.vault.NodeID()))
	settled(t, b, c, late)
	if n, _, err := b.desk.node(late.vault.NodeID()); err != nil || !n.Confirmed || b.desk.Outcast(late.vault.Cert()) || late.site(t, b) != "Planted" {
		t.Error("the one that was compared now is not let in")
	}
}
