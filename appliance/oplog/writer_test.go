package oplog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// noted is a small fact of these tests: a line about a subject.
type noted struct {
	Text string `cbor:"1,keyasint"`
	Fill []byte `cbor:"2,keyasint,omitempty"`
}

var (
	notedKind = oplog.NewKind[noted]("test.noted", 1, oplog.Register)
	openKind  = oplog.NewKind[noted]("test.announced", 1, oplog.Deployment)
)

// notebook shows the texts no later note supersedes.
func notebook() *oplog.View {
	return &oplog.View{Name: "Notebook", Version: 1, Kinds: []oplog.Kind{notedKind, openKind}, Fold: func(_ oplog.ID, ops []oplog.Op) []oplog.Row {
		gone := map[oplog.Ref]bool{}
		for _, op := range ops {
			for _, s := range op.Supersedes {
				gone[s] = true
			}
		}
		var rows []oplog.Row
		for _, op := range ops {
			if !gone[op.Ref] {
				rows = append(rows, oplog.Row{Key: []byte(oplog.Body[noted](op).Text), Value: fmt.Append(nil, len(ops))})
			}
		}
		return rows
	}}
}

func note(l *oplog.Log, who oplog.ID, lines ...string) error {
	return l.Do(context.Background(), oplog.By{1}, func(tx *oplog.Tx) error {
		for _, text := range lines {
			if _, err := tx.Append(notedKind, who, noted{Text: text}); err != nil {
				return err
			}
		}
		return nil
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// keysOf are the row keys of a view, in order.
func keysOf(t testing.TB, l *oplog.Log, v *oplog.View, prefix string) (out []string) {
	t.Helper()
	must(t, l.View(func(r oplog.Reader) error {
		return r.Rows(v, []byte(prefix), nil, func(key []byte, _ oplog.ID, _ []byte) error {
			out = append(out, string(key))
			return nil
		})
	}))
	return out
}

func is(t testing.TB, err error, class fault.Class, key string) {
	t.Helper()
	if !errors.Is(err, fault.New(class, key)) {
		t.Fatalf("got %v instead of %s", err, key)
	}
}

func sound(t testing.TB, l *oplog.Log) oplog.Report {
	t.Helper()
	r, err := l.Check(context.Background())
	must(t, err)
	if !r.Sound {
		t.Errorf("not sound: %v", r.Problems)
	}
	return r
}

func TestARefusedCommandLeavesNothing(t *testing.T) {
	v := notebook()
	l := oplogtest.Harness(t, nil, []*oplog.View{v})
	who := oplog.NewID()
	must(t, note(l, who, "first"))
	before := sound(t, l)
	no := errors.New("no")
	err := l.Do(context.Background(), oplog.By{}, func(tx *oplog.Tx) error {
		ref, err := tx.Append(notedKind, who, noted{Text: "second"})
		if err != nil {
			return err
		}
		if ref.Seq != before.Logs[0].Seq+1 {
			t.Errorf("the op got number %d", ref.Seq)
		}
		if _, ok, err := tx.Row(v, who, []byte("second")); !ok || err != nil {
			t.Errorf("a command does not see its own op: %v", err)
		}
		return no
	})
	if !errors.Is(err, no) {
		t.Fatal(err)
	}
	if after := sound(t, l); after.Views != before.Views || after.Ops != before.Ops {
		t.Error("the refused command left a trace")
	}
	must(t, note(l, who, "third"))
	if got := keysOf(t, l, v, ""); strings.Join(got, " ") != "first third" {
		t.Errorf("got %v", got)
	}
}

// Commands that wait together share a group; the one that refuses must not take
// its neighbours with it, nor see what it should not.
func TestARefusalInAGroupLeavesTheOthers(t *testing.T) {
	v := notebook()
	l := oplogtest.Harness(t, nil, []*oplog.View{v})
	hold := make(chan struct{})
	entered := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		must(t, l.Do(context.Background(), oplog.By{}, func(*oplog.Tx) error { close(entered); <-hold; return nil }))
	})
	<-entered
	who := oplog.NewID()
	errs := make([]error, 30)
	for i := range errs {
		wait.Go(func() {
			errs[i] = l.Do(context.Background(), oplog.By{}, func(tx *oplog.Tx) error {
				if _, err := tx.Append(notedKind, who, noted{Text: fmt.Sprintf("n%02d", i)}); err != nil {
					return err
				}
				switch i % 3 {
				case 1:
					return errors.New("refused")
				case 2:
					panic("broken")
				}
				return nil
			})
		})
	}
	close(hold)
	wait.Wait()
	for i, err := range errs {
		if (err == nil) != (i%3 == 0) || (i%3 == 2 && fault.ClassOf(err) != fault.Internal) {
			t.Errorf("command %d: %v", i, err)
		}
	}
	if got := keysOf(t, l, v, ""); len(got) != 10 {
		t.Errorf("%d notes instead of 10: %v", len(got), got)
	}
	if r := sound(t, l); r.Logs[0].Seq != 11 {
		t.Errorf("numbers were lost: head %d", r.Logs[0].Seq)
	}
}

func TestAGivenUpCommandIsNotWritten(t *testing.T) {
	v := notebook()
	l := oplogtest.Harness(t, nil, []*oplog.View{v})
	hold, entered := make(chan struct{}), make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		must(t, l.Do(context.Background(), oplog.By{}, func(*oplog.Tx) error { close(entered); <-hold; return nil }))
	})
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := l.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error {
		_, err := tx.Append(notedKind, oplog.NewID(), noted{Text: "late"})
		return err
	})
	is(t, err, fault.Unavailable, "fault.oplog.cancelled")
	close(hold)
	wait.Wait()
	must(t, note(l, oplog.NewID(), "next"))
	if got := keysOf(t, l, v, ""); len(got) != 1 || got[0] != "next" {
		t.Errorf("got %v", got)
	}
}

// Once a command has run, giving up can only be answered with the truth.
func TestACommandCancelledWhileItRunsIsAnsweredAfterTheFlush(t *testing.T) {
	v := notebook()
	l := oplogtest.Harness(t, nil, []*oplog.View{v})
	ctx, cancel := context.WithCancel(context.Background())
	must(t, l.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error {
		cancel()
		_, err := tx.Append(notedKind, oplog.NewID(), noted{Text: "written"})
		return err
	}))
	if got := keysOf(t, l, v, ""); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

func TestLimitsOfACommand(t *testing.T) {
	v := notebook()
	l := oplogtest.Harness(t, nil, []*oplog.View{v})
	many := func(n, size int) error {
		return l.Do(context.Background(), oplog.By{}, func(tx *oplog.Tx) error {
			who := oplog.NewID()
			for i := range n {
				// A caller that does not look at the error must not get away with half.
				_, _ = tx.Append(notedKind, who, noted{Text: fmt.Sprint(i), Fill: make([]byte, size)})
			}
			return nil
		})
	}
	must(t, many(1000, 10))
	is(t, many(1001, 10), fault.TooLarge, "fault.oplog.too_many")
	is(t, many(1, 70<<10), fault.TooLarge, "fault.oplog.too_large")
	is(t, many(20, 60<<10), fault.TooLarge, "fault.oplog.too_large")
	must(t, many(14, 60<<10))
	if r := sound(t, l); r.Ops != 1+1000+14 {
		t.Errorf("%d ops", r.Ops)
	}
}

func TestAppendRefusesWhatIsWronglyBuilt(t *testing.T) {
	l := oplogtest.Harness(t, nil, []*oplog.View{notebook()})
	other := oplog.NewKind[noted]("test.other", 1, oplog.Register)
	for name, fn := range map[string]func(*oplog.Tx) error{
		"wrong type":      func(tx *oplog.Tx) error { _, err := tx.Append(notedKind, oplog.ID{}, "text"); return err },
		"nil body":        func(tx *oplog.Tx) error { _, err := tx.Append(notedKind, oplog.ID{}, nil); return err },
		"undeclared kind": func(tx *oplog.Tx) error { _, err := tx.Append(other, oplog.ID{}, noted{}); return err },
		"undeclared view": func(tx *oplog.Tx) error { _, _, err := tx.Row(notebook(), oplog.ID{}, nil); return err },
	} {
		if err := l.Do(context.Background(), oplog.By{}, fn); fault.ClassOf(err) != fault.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
	var kept *oplog.Tx
	must(t, l.Do(context.Background(), oplog.By{}, func(tx *oplog.Tx) error { kept = tx; return nil }))
	if _, err := kept.Append(notedKind, oplog.ID{}, noted{}); fault.ClassOf(err) != fault.Internal {
		t.Errorf("a transaction lived on: %v", err)
	}
}

func TestHooksAndWatchersHearEveryChange(t *testing.T) {
	l := oplogtest.Harness(t, nil, []*oplog.View{notebook()})
	var heard []oplog.ID
	l.OnCommit(func(subjects []oplog.ID) error { heard = append(heard, subjects...); return nil })
	notify, stop := l.Watch()
	defer stop()
	a, b := oplog.NewID(), oplog.NewID()
	must(t, note(l, a, "1", "2"))
	must(t, note(l, b, "3"))
	if len(heard) != 2 || heard[0] != a || heard[1] != b {
		t.Errorf("heard %v", heard)
	}
	<-notify
	select {
	case <-notify:
		t.Error("signals pile up")
	default:
	}
	must(t, note(l, b, "4"))
	<-notify
}

func TestRowsPageThroughPrefixes(t *testing.T) {
	v := notebook()
	l := oplogtest.Harness(t, nil, []*oplog.View{v})
	// A subject that looks like the rest of a longer key must not be found under it.
	trap := oplog.ID{'b', 'c', 'd'}
	must(t, note(l, trap, "a"))
	for i, s := range []string{"abc", "abd", "ab", "b", "abc"} {
		must(t, note(l, oplog.ID{byte(i)}, s))
	}
	if got := keysOf(t, l, v, "ab"); strings.Join(got, " ") != "ab abc abc abd" {
		t.Errorf("got %v", got)
	}
	var pages []string
	var after []byte
	for {
		n := 0
		must(t, l.View(func(r oplog.Reader) error {
			return r.Rows(v, []byte("ab"), after, func(key []byte, subject oplog.ID, _ []byte) error {
				pages = append(pages, string(key))
				after = append(bytes.Clone(key), subject[:]...)
				n++
				return oplog.ErrStop
			})
		}))
		if n == 0 {
			break
		}
	}
	if strings.Join(pages, " ") != "ab abc abc abd" {
		t.Errorf("paged %v", pages)
	}
}

// Inside a command, rows come from the store and from what the group wrote,
// in one order, with what was superseded gone.
func TestACommandReadsThroughItsOwnWrites(t *testing.T) {
	v := notebook()
	l := oplogtest.Harness(t, nil, []*oplog.View{v})
	who := oplog.NewID()
	var c oplog.Ref
	must(t, l.Do(context.Background(), oplog.By{}, func(tx *oplog.Tx) (err error) {
		for _, s := range []string{"a", "e"} {
			if _, err = tx.Append(notedKind, oplog.NewID(), noted{Text: s}); err != nil {
				return err
			}
		}
		c, err = tx.Append(notedKind, who, noted{Text: "c"})
		return err
	}))
	must(t, l.Do(context.Background(), oplog.By{}, func(tx *oplog.Tx) error {
		if _, err := tx.Append(notedKind, who, noted{Text: "d"}, c); err != nil {
			return err
		}
		if _, err := tx.Append(notedKind, oplog.NewID(), noted{Text: "f"}); err != nil {
			return err
		}
		var got []string
		err := tx.Rows(v, nil, nil, func(key []byte, _ oplog.ID, _ []byte) error { got = append(got, string(key)); return nil })
		if strings.Join(got, "") != "adef" {
			t.Errorf("got %v", got)
		}
		for n := 1; n <= 4; n++ {
			seen := 0
			err := tx.Rows(v, nil, nil, func([]byte, oplog.ID, []byte) error {
				if seen++; seen == n {
					return oplog.ErrStop
				}
				return nil
			})
			if err != nil || seen != n {
				t.Errorf("stopping after %d saw %d: %v", n, seen, err)
			}
		}
		ops, err2 := tx.Ops(who)
		if err2 != nil || len(ops) != 2 || oplog.Body[noted](ops[1]).Text != "d" {
			t.Errorf("ops %v %v", ops, err2)
		}
		return err
	}))
}

func TestIdempotencyKeysSurviveARebuildAndTravel(t *testing.T) {
	v := notebook()
	a := oplogtest.NewAuthority(t)
	one, two := oplogtest.Node(t, a, nil, []*oplog.View{v}), oplogtest.Node(t, a.Peer(t), nil, []*oplog.View{v})
	key, body := [16]byte{1}, [8]byte{2}
	who := oplog.NewID()
	var ref oplog.Ref
	must(t, one.Do(context.Background(), oplog.By{}, func(tx *oplog.Tx) (err error) {
		tx.SetOnce(key, body)
		if ref, err = tx.Append(notedKind, who, noted{Text: "once"}); err != nil {
			return err
		}
		_, err = tx.Append(notedKind, who, noted{Text: "not this one"})
		if w, ok, oerr := tx.Once(key); oerr != nil || !ok || w.Ref != ref {
			t.Errorf("inside the command: %v %v %v", w, ok, oerr)
		}
		return err
	}))
	look := func(l *oplog.Log) {
		t.Helper()
		must(t, l.View(func(r oplog.Reader) error {
			w, ok, err := r.Once(key)
			if !ok || w != (oplog.Written{Ref: ref, Subject: who, BodyHash: body}) {
				t.Errorf("got %+v %v", w, ok)
			}
			if _, ok, _ := r.Once([16]byte{9}); ok {
				t.Error("found a key nobody used")
			}
			return err
		}))
	}
	look(one)
	must(t, one.Rebuild(context.Background()))
	look(one)
	oplogtest.Exchange(t, one, two)
	look(two)
}

func TestManyWritersAtOnce(t *testing.T) {
	v := notebook()
	l := oplogtest.Harness(t, nil, []*oplog.View{v})
	const writers, each = 16, 40
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			for i := range each {
				if err := note(l, oplog.NewID(), fmt.Sprintf("%02d-%03d", w, i)); err != nil {
					t.Error(err)
				}
				_ = l.View(func(r oplog.Reader) error { _, err := r.Ops(oplog.ID{}); return err })
				_ = l.Stats()
			}
		})
	}
	wait.Wait()
	if got := keysOf(t, l, v, ""); len(got) != writers*each {
		t.Errorf("%d notes", len(got))
	}
	if r := sound(t, l); r.Ops != writers*each+1 {
		t.Errorf("%d ops", r.Ops)
	}
}

func TestClosedLogsSaySo(t *testing.T) {
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{notebook()})
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	must(t, l.Close())
	must(t, l.Close())
	is(t, note(l, oplog.NewID(), "x"), fault.Unavailable, "fault.oplog.closed")
}

func TestADiskThatFillsUpIsSaidBeforeAnythingIsWritten(t *testing.T) {
	v := notebook()
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{v})
	var free atomic.Uint64
	free.Store(1 << 30)
	o.FreeSpace = func() (uint64, error) { return free.Load(), nil }
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	defer l.Close()
	free.Store(47 << 20)
	ran := false
	err = l.Do(context.Background(), oplog.By{}, func(*oplog.Tx) error { ran = true; return nil })
	is(t, err, fault.Full, "fault.oplog.disk_nearly_full")
	if ran {
		t.Error("the command ran although nothing can be saved")
	}
	free.Store(49 << 20)
	must(t, note(l, oplog.NewID(), "again"))
	if l.Stats().ReadOnly {
		t.Error("a full disk is no reason to stay read-only")
	}
}
