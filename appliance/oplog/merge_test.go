package oplog_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// pair is two nodes of one deployment with the same view.
func pair(t testing.TB) (a, b *oplog.Log, v *oplog.View) {
	t.Helper()
	v = notebook()
	auth := oplogtest.NewAuthority(t)
	return oplogtest.Node(t, auth, nil, []*oplog.View{v}), oplogtest.Node(t, auth.Peer(t), nil, []*oplog.View{v}), v
}

func rangeOf(t testing.TB, l *oplog.Log, log oplog.LogID, after uint64, maxOps int) ([]byte, uint64) {
	t.Helper()
	raw, last, err := l.Range(log, after, maxOps, 0)
	must(t, err)
	return raw, last
}

func TestRangesAreJoinedAndCutAtGroups(t *testing.T) {
	a, b, _ := pair(t)
	for i := range 10 {
		must(t, note(a, oplog.NewID(), fmt.Sprint(i), fmt.Sprint(i, "b"))) // 10 groups of 2 behind the birth
	}
	log := a.Own()
	for _, c := range []struct {
		after  uint64
		maxOps int
		last   uint64
	}{
		{0, 0, 21}, {0, 1, 1}, {0, 3, 3}, {0, 4, 3}, {1, 2, 3}, {1, 1, 3}, {2, 1, 3}, {2, 3, 5}, {2, 2, 3}, {20, 5, 21},
	} {
		raw, last := rangeOf(t, a, log, c.after, c.maxOps)
		if last != c.last || len(raw) == 0 {
			t.Errorf("after %d at most %d: up to %d instead of %d", c.after, c.maxOps, last, c.last)
		}
	}
	if raw, last := rangeOf(t, a, log, 21, 0); raw != nil || last != 21 {
		t.Errorf("behind the head: %d bytes, %d", len(raw), last)
	}
	_, _, err := a.Range(oplog.LogID{1}, 0, 0, 0)
	is(t, err, fault.NotFound, "fault.oplog.range")
	// One joined batch carries everything, byte-equal views included.
	raw, _ := rangeOf(t, a, log, 0, 0)
	r, err := b.Merge(context.Background(), raw)
	must(t, err)
	if r.Ops != 21 {
		t.Errorf("%d ops", r.Ops)
	}
	oplogtest.Exchange(t, a, b)
	oplogtest.Same(t, a, b)
}

func TestMergeSkipsWhatIsHeldAndRefusesGaps(t *testing.T) {
	a, b, _ := pair(t)
	for i := range 6 {
		must(t, note(a, oplog.NewID(), fmt.Sprint(i)))
	}
	log := a.Own()
	ctx := context.Background()
	first, _ := rangeOf(t, a, log, 0, 3)
	tail, _ := rangeOf(t, a, log, 5, 0)
	middle, _ := rangeOf(t, a, log, 1, 4)
	_, err := b.Merge(ctx, tail)
	is(t, err, fault.Conflict, "fault.oplog.gap")
	_, err = b.Merge(ctx, first, tail)
	is(t, err, fault.Conflict, "fault.oplog.gap")
	if len(b.Heads()) != 1 {
		t.Fatal("a refused call stored a part")
	}
	for i, step := range []struct {
		raw []byte
		ops int
	}{{first, 3}, {first, 0}, {middle, 2}, {middle, 0}, {tail, 2}, {first, 0}} {
		r, err := b.Merge(ctx, step.raw)
		if err != nil || r.Ops != step.ops || len(r.Forks) > 0 {
			t.Fatalf("step %d: %+v %v", i, r, err)
		}
	}
	oplogtest.Exchange(t, a, b)
	oplogtest.Same(t, a, b)
}

// Every single flipped bit of a batch is refused, and nothing of it stored.
func TestNoFlippedBitIsTakenOver(t *testing.T) {
	a, b, v := pair(t)
	must(t, note(a, oplog.NewID(), "x", "y"))
	raw, _ := rangeOf(t, a, a.Own(), 0, 0)
	for i := range raw {
		for bit := range 8 {
			bad := slices.Clone(raw)
			bad[i] ^= 1 << bit
			if r, err := b.Merge(context.Background(), bad); err == nil {
				t.Fatalf("byte %d bit %d: taken over: %+v", i, bit, r)
			}
		}
	}
	for cut := range raw {
		if _, err := b.Merge(context.Background(), raw[:cut]); err == nil {
			t.Fatalf("cut at %d: taken over", cut)
		}
	}
	if _, err := b.Merge(context.Background(), append(slices.Clone(raw), 0)); err == nil {
		t.Fatal("trailing byte: taken over")
	}
	if len(b.Heads()) != 1 || len(keysOf(t, b, v, "")) != 0 {
		t.Fatal("something was stored")
	}
	if r, err := b.Merge(context.Background(), raw); err != nil || r.Ops != 3 {
		t.Fatalf("the good one: %+v %v", r, err)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	a, _, _ := pair(t)
	c, _, _ := pair(t)
	raw, _ := rangeOf(t, c, c.Own(), 0, 0)
	_, err := a.Merge(context.Background(), raw)
	// Another deployment's signature covers its own id, so either check may hit first.
	if c := fault.ClassOf(err); c != fault.Denied && c != fault.Invalid {
		t.Fatal(err)
	}
	if len(a.Heads()) != 1 {
		t.Fatal("stored")
	}
}

// A carrier keeps and forwards what it cannot read; with the key it reads all.
func TestWhatCannotBeReadIsKeptAndForwarded(t *testing.T) {
	v := notebook()
	auth := oplogtest.NewAuthority(t)
	a := oplogtest.Node(t, auth, nil, []*oplog.View{v})
	must(t, note(a, oplog.NewID(), "sealed"))
	must(t, a.Do(context.Background(), oplog.By{}, func(tx *oplog.Tx) error {
		_, err := tx.Append(openKind, oplog.NewID(), noted{Text: "open"})
		return err
	}))
	carrier := auth.Carrier(t)
	o := oplogtest.Options(t, carrier, nil, []*oplog.View{v})
	store := &keptStore{oplogtest.MemStore()}
	o.Store = store
	mid, err := oplog.Open(context.Background(), o)
	must(t, err)
	oplogtest.Exchange(t, a, mid)
	if got := keysOf(t, mid, v, ""); !slices.Equal(got, []string{"open"}) {
		t.Errorf("a carrier shows %v", got)
	}
	if s := mid.Stats(); s.Opaque != 1 || s.Ops != 4 {
		t.Errorf("%+v", s)
	}
	sound(t, mid)
	b := oplogtest.Node(t, auth.Peer(t), nil, []*oplog.View{v})
	oplogtest.Exchange(t, mid, b)
	if got := keysOf(t, b, v, ""); !slices.Equal(got, []string{"open", "sealed"}) {
		t.Errorf("behind the carrier: %v", got)
	}
	must(t, mid.Close())
	carrier.Give(auth)
	again := reopen(t, o, store)
	if got := keysOf(t, again, v, ""); !slices.Equal(got, []string{"open", "sealed"}) || again.Stats().Opaque != 0 {
		t.Errorf("after the key arrived: %v %+v", got, again.Stats())
	}
}

// keptStore survives Close, as a folder does.
type keptStore struct{ oplog.Store }

func (keptStore) Close() error { return nil }

// An older program keeps what it does not know; a newer one reads it.
func TestUnknownKindsWaitForTheUpgrade(t *testing.T) {
	v := notebook()
	auth := oplogtest.NewAuthority(t)
	a := oplogtest.Node(t, auth, nil, []*oplog.View{v})
	must(t, note(a, oplog.NewID(), "new"))
	o := oplogtest.Options(t, auth.Peer(t), nil, nil) // knows no kinds
	store := &keptStore{oplogtest.MemStore()}
	o.Store = store
	old, err := oplog.Open(context.Background(), o)
	must(t, err)
	oplogtest.Exchange(t, a, old)
	if s := old.Stats(); s.Opaque != 1 {
		t.Errorf("%+v", s)
	}
	sound(t, old)
	must(t, old.Close())
	o.Views = []*oplog.View{v}
	upgraded := reopen(t, o, store)
	if got := keysOf(t, upgraded, v, ""); !slices.Equal(got, []string{"new"}) || upgraded.Stats().Opaque != 0 {
		t.Errorf("%v %+v", got, upgraded.Stats())
	}
}

// A cloned folder: two boxes write the same numbers. Everybody sees it, both
// boxes go on in logs of their own, and later ops reach everybody.
func TestAClonedFolderIsFoundAndHealed(t *testing.T) {
	v := notebook()
	auth := oplogtest.NewAuthority(t)
	o := oplogtest.Options(t, auth, nil, []*oplog.View{v})
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	must(t, note(l, oplog.NewID(), "before"))
	must(t, l.Close())
	c := o
	c.Dir = cloneDir(t, o.Dir)
	one, two := reopen(t, o, oplogtest.MemStore()), reopen(t, c, oplogtest.MemStore())
	peer := oplogtest.Node(t, auth.Peer(t), nil, []*oplog.View{v})
	log := one.Own()
	must(t, note(one, oplog.NewID(), "one"))
	must(t, note(two, oplog.NewID(), "two"))
	must(t, note(two, oplog.NewID(), "two more"))

	// The bystander holds one's history and is shown two's.
	oplogtest.Exchange(t, one, peer)
	raw, _ := rangeOf(t, two, log, 2, 0)
	r, err := peer.Merge(context.Background(), raw)
	must(t, err)
	if len(r.Forks) != 1 || r.Forks[0].Log != log || r.Forks[0].Seq != 3 || r.Ops != 0 || r.Forks[0].HashA == r.Forks[0].HashB {
		t.Fatalf("%+v", r)
	}
	if kept := peer.Forks(); len(kept) != 1 || kept[0] != r.Forks[0] {
		t.Errorf("%+v is kept of %+v", kept, r.Forks)
	}
	if h, ok := peer.HashAt(log, 3); !ok || h != r.Forks[0].HashA {
		t.Error("HashA is not ours")
	}
	if c, err := peer.Check(context.Background()); err != nil || !c.Sound || len(c.Notes) != 1 {
		t.Errorf("another's log is no fault of this folder, and is noted: %+v %v", c, err)
	}
	if again, err := peer.Merge(context.Background(), raw); err != nil || len(again.Forks) != 1 || len(peer.Forks()) != 1 {
		t.Errorf("the same proof twice: %+v %v", again, err)
	}

	// The clone is shown its own log: it opens another one.
	mine, _ := rangeOf(t, peer, log, 0, 0)
	if r, err := two.Merge(context.Background(), mine); err != nil || len(r.Forks) != 1 {
		t.Fatalf("%+v %v", r, err)
	}
	if two.Own() == log || len(two.Stats().Problems) == 0 {
		t.Fatal("the clone goes on in the forked log")
	}
	must(t, note(two, oplog.NewID(), "healed"))
	raw, _ = rangeOf(t, two, two.Own(), 0, 0)
	_, err = peer.Merge(context.Background(), raw)
	must(t, err)
	if got := keysOf(t, peer, v, "healed"); len(got) != 1 {
		t.Error("what came after the fork does not arrive")
	}
}

// A restored folder is behind its own log: the ops come back, the numbers are
// not used again.
func TestARestoredFolderOpensANewLog(t *testing.T) {
	v := notebook()
	auth := oplogtest.NewAuthority(t)
	o := oplogtest.Options(t, auth, nil, []*oplog.View{v})
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	must(t, note(l, oplog.NewID(), "n000"))
	must(t, l.Close())
	backup := o
	backup.Dir = cloneDir(t, o.Dir)
	l = reopen(t, o, oplogtest.MemStore())
	must(t, note(l, oplog.NewID(), "n001"))
	peer := oplogtest.Node(t, auth.Peer(t), nil, []*oplog.View{v})
	oplogtest.Exchange(t, l, peer)
	log := l.Own()

	restored := reopen(t, backup, oplogtest.MemStore())
	raw, _ := rangeOf(t, peer, log, 2, 0)
	r, err := restored.Merge(context.Background(), raw)
	if err != nil || r.Ops != 1 || len(r.Forks) > 0 {
		t.Fatalf("%+v %v", r, err)
	}
	if restored.Own() == log {
		t.Fatal("the old numbers are used again")
	}
	must(t, note(restored, oplog.NewID(), "n002"))
	oplogtest.Exchange(t, restored, peer)
	oplogtest.Exchange(t, restored, l)
	for i, n := range []*oplog.Log{restored, peer, l} {
		if got := keysOf(t, n, v, ""); !slices.Equal(got, []string{"n000", "n001", "n002"}) {
			t.Errorf("node %d: %v", i, got)
		}
	}
}

func TestForksAreRememberedAcrossAStart(t *testing.T) {
	v := notebook()
	auth := oplogtest.NewAuthority(t)
	o := oplogtest.Options(t, auth, nil, []*oplog.View{v})
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	must(t, l.Close())
	c := o
	c.Dir = cloneDir(t, o.Dir)
	one, two := reopen(t, o, oplogtest.MemStore()), reopen(t, c, oplogtest.MemStore())
	must(t, note(one, oplog.NewID(), "one"))
	must(t, note(two, oplog.NewID(), "two"))
	po := oplogtest.Options(t, auth.Peer(t), nil, []*oplog.View{v})
	peer, err := oplog.Open(context.Background(), po)
	must(t, err)
	raw, _ := rangeOf(t, one, one.Own(), 0, 0)
	_, err = peer.Merge(context.Background(), raw)
	must(t, err)
	raw, _ = rangeOf(t, two, two.Own(), 0, 0)
	_, err = peer.Merge(context.Background(), raw)
	must(t, err)
	must(t, peer.Close())
	again := reopen(t, po, oplogtest.MemStore())
	if len(again.Forks()) != 1 || len(again.Stats().Problems) != 0 {
		t.Errorf("%+v", again.Stats())
	}
	if got := keysOf(t, again, v, ""); !slices.Equal(got, []string{"one"}) {
		t.Errorf("got %v", got)
	}
}

// Commands stay possible, and correct, while another node's ops pour in.
func TestMergeBesideCommands(t *testing.T) {
	a, b, _ := pair(t)
	for i := range 300 {
		must(t, note(a, oplog.NewID(), fmt.Sprint("a", i)))
	}
	done := make(chan error, 1)
	go func() {
		var after uint64
		for {
			raw, last, err := a.Range(a.Own(), after, 20, 0)
			if err != nil || raw == nil {
				done <- err
				return
			}
			if _, err := b.Merge(context.Background(), raw); err != nil {
				done <- err
				return
			}
			after = last
		}
	}()
	for i := range 100 {
		must(t, note(b, oplog.NewID(), fmt.Sprint("b", i)))
	}
	must(t, <-done)
	oplogtest.Exchange(t, a, b)
	oplogtest.Same(t, a, b)
}

func TestTheLogicalClockFollows(t *testing.T) {
	a, b, _ := pair(t)
	for i := range 50 {
		must(t, note(a, oplog.NewID(), fmt.Sprint(i)))
	}
	oplogtest.Exchange(t, a, b)
	who := oplog.NewID()
	must(t, note(b, who, "after"))
	must(t, b.View(func(r oplog.Reader) error {
		ops, err := r.Ops(who)
		if err == nil && (len(ops) != 1 || ops[0].Clock <= 51) {
			t.Errorf("clock %d", ops[0].Clock)
		}
		return err
	}))
}

// No name may lie readable in any file of a journal.
func TestNothingReadableOnTheDisk(t *testing.T) {
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{notebook()})
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	must(t, note(l, oplog.NewID(), "Zulaikha-Readable-Name"))
	raw, _ := rangeOf(t, l, l.Own(), 0, 0)
	if bytes.Contains(raw, []byte("Zulaikha")) {
		t.Error("a name travels readable")
	}
	must(t, l.Close())
	files, err := os.ReadDir(o.Dir)
	must(t, err)
	for _, f := range files {
		b, err := os.ReadFile(o.Dir + "/" + f.Name())
		must(t, err)
		if bytes.Contains(b, []byte("Zulaikha")) || bytes.Contains(b, []byte("test.noted")) {
			t.Errorf("readable in %s", f.Name())
		}
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v", f.Name(), info.Mode())
		}
	}
}
