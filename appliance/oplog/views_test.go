package oplog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/badgerstore"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// lossy is a store that can forget, as a crash makes one forget.
type lossy struct {
	oplog.Store
	commits  int
	lose     func(n int) bool // true: this commit never reaches the disk
	maxPuts  int              // a transaction with more is too big
	failWith error
}

func (s *lossy) Close() error { return nil }

func (s *lossy) Begin() (oplog.StoreTx, error) {
	if s.failWith != nil {
		return nil, s.failWith
	}
	tx, err := s.Store.Begin()
	return &lossyTx{StoreTx: tx, s: s}, err
}

type lossyTx struct {
	oplog.StoreTx
	s    *lossy
	puts int
}

func (t *lossyTx) Put(k, v []byte) error {
	if t.puts++; t.s.maxPuts > 0 && t.puts > t.s.maxPuts {
		return fmt.Errorf("put: %w", oplog.ErrTxTooBig)
	}
	return t.StoreTx.Put(k, v)
}

func (t *lossyTx) Commit() error {
	t.s.commits++
	if t.s.lose != nil && t.s.lose(t.s.commits) {
		return nil
	}
	return t.StoreTx.Commit()
}

func opened(t testing.TB, o oplog.Options, s oplog.Store) *oplog.Log {
	t.Helper()
	o.Store = s
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	return l
}

func TestViewsThatAreBehindAreCaughtUp(t *testing.T) {
	v := notebook()
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{v})
	s := &lossy{Store: oplogtest.MemStore()}
	l := opened(t, o, s)
	who := oplog.NewID()
	must(t, note(l, who, "a"))
	s.lose = func(int) bool { return true } // from here on the store forgets
	must(t, note(l, who, "b"))
	must(t, note(l, oplog.NewID(), "c"))
	l.Kill()
	s.lose = nil
	commits := s.commits
	l = opened(t, o, s)
	if got := strings.Join(keysOf(t, l, v, ""), ""); got != "abc" {
		t.Errorf("got %s", got)
	}
	if n := s.commits - commits; n != 1 {
		t.Errorf("%d commits to catch up: was it rebuilt?", n)
	}
	sound(t, l)
	must(t, l.Close())
}

func TestViewsWithAHoleAreRebuilt(t *testing.T) {
	v := notebook()
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{v})
	s := &lossy{Store: oplogtest.MemStore()}
	l := opened(t, o, s)
	must(t, note(l, oplog.NewID(), "a"))
	at := s.commits + 1
	s.lose = func(n int) bool { return n == at } // one in the middle
	must(t, note(l, oplog.NewID(), "b"))
	must(t, note(l, oplog.NewID(), "c"))
	must(t, l.Close())
	s.lose = nil
	l = opened(t, o, s)
	if got := strings.Join(keysOf(t, l, v, ""), ""); got != "abc" {
		t.Errorf("got %s", got)
	}
	sound(t, l)
	must(t, l.Close())
}

func TestViewsOfElsewhereAreRebuilt(t *testing.T) {
	v := notebook()
	// A store of another deployment, further on than ours.
	other := &lossy{Store: oplogtest.MemStore()}
	l := opened(t, oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{v}), other)
	for i := range 9 {
		must(t, note(l, oplog.NewID(), fmt.Sprint("foreign", i)))
	}
	must(t, l.Close())
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{v})
	l = opened(t, o, oplogtest.MemStore())
	must(t, note(l, oplog.NewID(), "ours"))
	own := l.Own()
	must(t, l.Close())
	l = opened(t, o, other)
	if got := keysOf(t, l, v, ""); !slices.Equal(got, []string{"ours"}) || l.Own() != own {
		t.Errorf("got %v", got)
	}
	sound(t, l)
	must(t, l.Close())
}

// Views ahead of the journal prove that a flush was lost: the numbers behind it
// may be known elsewhere and are not used again. What only the views have stays.
func TestViewsAheadOfTheJournal(t *testing.T) {
	v := notebook()
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{v})
	s := &lossy{Store: oplogtest.MemStore()}
	l := opened(t, o, s)
	must(t, note(l, oplog.NewID(), "a"))
	past := cloneDir(t, o.Dir)
	must(t, note(l, oplog.NewID(), "b"))
	own := l.Own()
	l.Kill()
	o.Dir = past
	l = opened(t, o, s)
	if got := keysOf(t, l, v, ""); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %v", got)
	}
	if l.Own() == own || l.Stats().Salvaged != 1 || l.Stats().Lost != 1 || len(l.Stats().Problems) == 0 {
		t.Errorf("own %v, %+v", l.Own() == own, l.Stats())
	}
	must(t, l.Close())
}

func TestANewViewVersionIsRebuilt(t *testing.T) {
	v := notebook()
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{v})
	s := &lossy{Store: oplogtest.MemStore()}
	l := opened(t, o, s)
	must(t, note(l, oplog.NewID(), "a"))
	before := sound(t, l).Views
	must(t, l.Close())
	v2 := notebook()
	v2.Version = 2
	fold := v2.Fold
	v2.Fold = func(id oplog.ID, ops []oplog.Op) []oplog.Row {
		return append(fold(id, ops), oplog.Row{Key: []byte("z")})
	}
	o.Views = []*oplog.View{v2}
	l = opened(t, o, s)
	if got := strings.Join(keysOf(t, l, v2, ""), ""); got != "az" {
		t.Errorf("got %s", got)
	}
	if sound(t, l).Views == before {
		t.Error("the digest does not tell versions apart")
	}
	must(t, l.Close())
}

// A store that takes only small transactions gets a group in parts; a crash
// between any two of them is mended from the journal.
func TestCommitsInPartsAndACrashBetweenThem(t *testing.T) {
	v := notebook()
	run := func(lose func(int) bool) (*oplog.Log, oplog.Options, *lossy, int) {
		o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{v})
		s := &lossy{Store: oplogtest.MemStore(), maxPuts: 7}
		l := opened(t, o, s)
		who := oplog.NewID()
		var refs []oplog.Ref
		must(t, l.Do(context.Background(), oplog.By{}, func(tx *oplog.Tx) error {
			for i := range 10 {
				ref, err := tx.Append(notedKind, who, noted{Text: fmt.Sprintf("old%02d", i)})
				if err != nil {
					return err
				}
				refs = append(refs, ref)
			}
			return nil
		}))
		before := s.commits
		if lose != nil {
			s.lose = func(n int) bool { return lose(n - before) }
		}
		must(t, l.Do(context.Background(), oplog.By{}, func(tx *oplog.Tx) error {
			for i := range 30 {
				id, over := oplog.NewID(), []oplog.Ref(nil)
				if i < 10 {
					id, over = who, refs[i:i+1]
				}
				if _, err := tx.Append(notedKind, id, noted{Text: fmt.Sprintf("new%02d", i)}, over...); err != nil {
					return err
				}
			}
			return nil
		}))
		return l, o, s, s.commits - before
	}
	l, _, _, parts := run(nil)
	if parts < 8 {
		t.Fatalf("only %d transactions", parts)
	}
	if got := keysOf(t, l, v, ""); len(got) != 30 || got[0] != "new00" {
		t.Errorf("got %v", got)
	}
	sound(t, l)
	must(t, l.Close())
	for lost := 1; lost <= parts; lost++ {
		l, o, s, _ := run(func(n int) bool { return n >= lost }) // the power went
		l.Kill()
		s.lose = nil
		l = opened(t, o, s)
		if got := keysOf(t, l, v, ""); len(got) != 30 || got[0] != "new00" {
			t.Errorf("lost from part %d on: %v", lost, got)
		}
		sound(t, l)
		must(t, l.Close())
	}
}

// The store fails behind a flushed journal: the op is saved, so it is answered
// as saved; the node stops, and the next start shows it.
func TestAStoreThatFailsLosesNothing(t *testing.T) {
	v := notebook()
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{v})
	s := &commitFails{Store: oplogtest.MemStore()}
	l := opened(t, o, s)
	s.fail = true
	must(t, note(l, oplog.NewID(), "saved"))
	if !l.Stats().ReadOnly {
		t.Error("goes on with a broken store")
	}
	l.Kill()
	s.fail = false
	l = opened(t, o, s)
	if got := keysOf(t, l, v, ""); !slices.Equal(got, []string{"saved"}) {
		t.Errorf("got %v", got)
	}
	must(t, l.Close())
}

type commitFails struct {
	oplog.Store
	fail bool
}

func (s *commitFails) Close() error { return nil }
func (s *commitFails) Begin() (oplog.StoreTx, error) {
	tx, err := s.Store.Begin()
	return &failingTx{tx, s}, err
}

type failingTx struct {
	oplog.StoreTx
	s *commitFails
}

func (t *failingTx) Commit() error {
	if t.s.fail {
		return errors.New("no room in the store")
	}
	return t.StoreTx.Commit()
}

func TestAFoldThatPanicsHarmsNobodyElse(t *testing.T) {
	v := notebook()
	fold := v.Fold
	v.Fold = func(id oplog.ID, ops []oplog.Op) []oplog.Row {
		if oplog.Body[noted](ops[len(ops)-1]).Text == "bomb" {
			panic("hostile")
		}
		return fold(id, ops)
	}
	l := oplogtest.Harness(t, nil, []*oplog.View{v})
	must(t, note(l, oplog.NewID(), "good"))
	must(t, note(l, oplog.NewID(), "bomb"))
	must(t, note(l, oplog.NewID(), "more"))
	if got := keysOf(t, l, v, ""); !slices.Equal(got, []string{"good", "more"}) {
		t.Errorf("got %v", got)
	}
	if len(l.Stats().Problems) != 1 {
		t.Errorf("%+v", l.Stats())
	}
}

// A subject whose ops fill several chunks folds like any other.
func TestASubjectWithManyOps(t *testing.T) {
	v := notebook()
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{v})
	l := opened(t, o, oplogtest.MemStore())
	who := oplog.NewID()
	for i := range 60 {
		must(t, l.Do(context.Background(), oplog.By{}, func(tx *oplog.Tx) error {
			_, err := tx.Append(notedKind, who, noted{Text: fmt.Sprintf("%03d", i), Fill: make([]byte, 5000)})
			return err
		}))
	}
	must(t, l.View(func(r oplog.Reader) error {
		ops, err := r.Ops(who)
		if len(ops) != 60 {
			t.Errorf("%d ops", len(ops))
		}
		return err
	}))
	want := sound(t, l).Views
	must(t, l.Rebuild(context.Background()))
	if sound(t, l).Views != want {
		t.Error("a rebuild gives other views")
	}
	must(t, l.Close())
}

// The same with Badger: its transactions are small, its closing is real.
func TestOnBadger(t *testing.T) {
	dir := t.TempDir()
	v := notebook()
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{v})
	open := func() *oplog.Log {
		s, err := badgerstore.Open(dir, [32]byte{3}, nil)
		must(t, err)
		return opened(t, o, s)
	}
	l := open()
	must(t, l.Do(context.Background(), oplog.By{}, func(tx *oplog.Tx) error {
		for i := range 1000 { // some 900 KB of ops and rows: more than one transaction
			if _, err := tx.Append(notedKind, oplog.NewID(), noted{Text: fmt.Sprintf("%04d", i), Fill: make([]byte, 780)}); err != nil {
				return err
			}
		}
		return nil
	}))
	for i := range 50 {
		must(t, note(l, oplog.NewID(), fmt.Sprint("single", i)))
	}
	want := sound(t, l)
	must(t, l.Close())
	l = open()
	if got := sound(t, l); got.Views != want.Views || got.Ops != 1051 {
		t.Errorf("after a reopen: %+v", got)
	}
	must(t, l.Rebuild(context.Background()))
	if got := sound(t, l); got.Views != want.Views {
		t.Error("a rebuild gives other views")
	}
	must(t, l.Close())
}
