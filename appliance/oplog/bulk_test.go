package oplog_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/waypost/waypost/appliance/badgerstore"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// shelves are views whose names sort in another order than they are declared, with
// rows that are equal, empty or the beginning of one another.
func shelves() []*oplog.View {
	view := func(name string, rows func(id oplog.ID, ops []oplog.Op) []oplog.Row) *oplog.View {
		return &oplog.View{Name: name, Version: 1, Kinds: []oplog.Kind{notedKind, openKind}, Fold: rows}
	}
	return []*oplog.View{
		notebook(),
		view("Zed", func(id oplog.ID, ops []oplog.Op) []oplog.Row {
			return []oplog.Row{{Value: fmt.Append(nil, len(ops))}, {Key: id[:3], Value: []byte("one")}, {Key: id[:3], Value: []byte("the last one counts")}}
		}),
		view("A", func(_ oplog.ID, ops []oplog.Op) (rows []oplog.Row) {
			for i := range min(len(ops), 5) {
				rows = append(rows, oplog.Row{Key: []byte(strings.Repeat("a", i))})
			}
			return rows
		}),
		view("None", func(oplog.ID, []oplog.Op) []oplog.Row { return nil }),
	}
}

// scribble writes random notes about few people, in commands of random size, with
// idempotency keys that are used twice, and some that nobody here understands.
func scribble(t testing.TB, l *oplog.Log, rnd *rand.Rand, n int, people []oplog.ID) {
	t.Helper()
	for n > 0 {
		must(t, l.Do(context.Background(), oplog.By{1}, func(tx *oplog.Tx) error {
			var last oplog.Ref
			for range 1 + rnd.IntN(20) {
				if rnd.IntN(4) == 0 {
					tx.SetOnce([16]byte{byte(rnd.IntN(40))}, [8]byte{byte(rnd.IntN(3))})
				}
				var over []oplog.Ref
				if last.Seq > 0 && rnd.IntN(5) == 0 {
					over = []oplog.Ref{last}
				}
				var err error
				if last, err = tx.Append(notedKind, people[rnd.IntN(len(people))], noted{Text: fmt.Sprint(rnd.IntN(50))}, over...); err != nil {
					return err
				}
				n--
			}
			return nil
		}))
	}
}

// crowd writes n notes, each about somebody else, in few commands.
func crowd(t testing.TB, l *oplog.Log, n int) {
	t.Helper()
	for at := 0; at < n; {
		must(t, l.Do(context.Background(), oplog.By{1}, func(tx *oplog.Tx) error {
			for end := min(at+500, n); at < end; at++ {
				if _, err := tx.Append(notedKind, oplog.NewID(), noted{Text: fmt.Sprint(at)}); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

func dump(t testing.TB, l *oplog.Log) (lines []string) {
	t.Helper()
	must(t, l.Stored(func(k, v []byte) { lines = append(lines, fmt.Sprintf("%q=%q", k, v)) }))
	slices.Sort(lines)
	return lines
}

// byTransactions hides that a store can be filled in one go.
type byTransactions struct{ oplog.Store }

// Sorted with small buffers or large ones, by transactions, in memory or in Badger: a
// rebuild makes byte for byte what was there, everything the store keeps.
func TestRebuildIsEqualHoweverItIsDone(t *testing.T) {
	stores := map[string]func(t *testing.T) oplog.Store{
		"memory":       func(*testing.T) oplog.Store { return oplogtest.MemStore() },
		"transactions": func(*testing.T) oplog.Store { return byTransactions{oplogtest.MemStore()} },
		"badger": func(t *testing.T) oplog.Store {
			s, err := badgerstore.Open(filepath.Join(t.TempDir(), "views"), [32]byte{3}, nil)
			must(t, err)
			return s
		},
	}
	for name, store := range stores {
		for seed := range uint64(3) {
			t.Run(fmt.Sprint(name, " ", seed), func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 4))
				a := oplogtest.NewAuthority(t)
				views := append(shelves(), strikes())
				o := oplogtest.Options(t, a, nil, views)
				o.Store = store(t)
				l, err := oplog.Open(context.Background(), o)
				must(t, err)
				defer func() { must(t, l.Close()) }()
				people := make([]oplog.ID, 30)
				for i := range people {
					people[i] = oplog.NewID()
				}
				scribble(t, l, rnd, 600, people)
				peer := oplogtest.Node(t, a.Peer(t), []oplog.Kind{otherKind()}, views)
				scribble(t, peer, rnd, 100, people[:10])
				strikeSome(t, l)
				must(t, peer.Do(context.Background(), oplog.By{2}, func(tx *oplog.Tx) error { // not understood here
					_, err := tx.Append(otherKind(), people[3], noted{Text: "later"})
					return err
				}))
				oplogtest.Exchange(t, l, peer)
				before, stats, struck := dump(t, l), l.Stats(), l.Gone()
				// Erasing has rebuilt once already, so the same may be missing before and after.
				if i, _ := slices.BinarySearch(before, `"x`); len(before)-i != 2 {
					t.Fatalf("%d rows of who was erased", len(before)-i)
				}
				for _, buffer := range []int{200, 5000, 1 << 20} {
					l.SortIn(buffer)
					must(t, l.Rebuild(context.Background()))
					if after := dump(t, l); !slices.Equal(before, after) {
						t.Fatalf("in buffers of %d: %d entries instead of %d, or others", buffer, len(after), len(before))
					}
					if now := l.Gone(); len(now) != 2 || !slices.Equal(now, struck) {
						t.Fatalf("erased: %v became %v", struck, now)
					}
					if now := l.Stats(); now.Ops != stats.Ops || now.Opaque != stats.Opaque || stats.Opaque == 0 || now.ReadOnly {
						t.Fatalf("%+v became %+v", stats, now)
					}
				}
				r, err := l.Check(context.Background())
				if err != nil || !r.Sound {
					t.Errorf("%+v %v", r, err)
				}
				must(t, note(l, people[0], "and on it goes"))
				oplogtest.Exchange(t, l, peer)
				oplogtest.Same(t, l, peer)
			})
		}
	}
}

// strikeSome erases people: hidden, taken back, and destroyed.
func strikeSome(t testing.TB, l *oplog.Log) {
	t.Helper()
	var who [3]oplog.ID
	for i := range who {
		who[i] = oplog.NewID()
		must(t, l.Do(context.Background(), oplog.By{1}, func(tx *oplog.Tx) error {
			tx.SetOnce([16]byte{200, byte(i)}, [8]byte{})
			_, err := tx.Append(notedKind, who[i], noted{Text: "struck"})
			return err
		}))
		must(t, strike(l, who[i], struck{Signed: true}))
	}
	must(t, strike(l, who[1], struck{Undone: true}))
	must(t, strike(l, who[2], struck{Final: true}))
	must(t, l.Erase(context.Background(), who[2:]))
	if hidden, destroyed := l.GoneOf(who[0]), l.GoneOf(who[2]); !hidden.Erased || hidden.Kept != 1 || destroyed.Bare != 1 || destroyed.Kept != 0 {
		t.Fatalf("%+v %+v", hidden, destroyed)
	}
	for i, stays := range []bool{false, true, false} {
		must(t, l.View(func(r oplog.Reader) error {
			if _, known, err := r.Once([16]byte{200, byte(i)}); err != nil || known != stays {
				t.Errorf("idempotency key of %d: %v %v", i, known, err)
			}
			return nil
		}))
	}
}

func otherKind() oplog.Kind { return oplog.NewKind[noted]("test.other", 1, oplog.Register) }

// hooked calls before in front of every put of a filling.
type hooked struct {
	oplog.BulkStore
	before func(n int)
}

func (h *hooked) Bulk(fill func(put func(k, v []byte) error) error) error {
	n := 0
	return h.BulkStore.Bulk(func(put func(k, v []byte) error) error {
		return fill(func(k, v []byte) error { n++; h.before(n); return put(k, v) })
	})
}

// A rebuild that is given up, wherever that is, leaves the views and a node that saves.
func TestRebuildGivenUp(t *testing.T) {
	store := &hooked{BulkStore: oplogtest.MemStore().(oplog.BulkStore), before: func(int) {}}
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, shelves())
	o.Store = store
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	defer func() { must(t, l.Close()) }()
	crowd(t, l, 2000)
	before := dump(t, l)
	for _, at := range []int{0, 1, 600, 2000, 4000} {
		ctx, cancel := context.WithCancel(context.Background())
		store.before = func(n int) {
			if n == at {
				cancel()
			}
		}
		if at == 0 {
			cancel()
		}
		if err := l.Rebuild(ctx); fault.Of(err).Key != "fault.oplog.cancelled" {
			t.Errorf("given up at %d: %v", at, err)
		}
		cancel()
		if !slices.Equal(before, dump(t, l)) {
			t.Errorf("given up at %d: the views are others", at)
		}
		if s := l.Stats(); s.ReadOnly {
			t.Errorf("given up at %d: %s", at, s.Reason)
		}
		if _, on := l.Rebuilding(); on {
			t.Errorf("given up at %d: it says that it goes on", at)
		}
	}
	must(t, note(l, oplog.NewID(), "after"))
}

// Readers see the old views until the new ones are there, and Rebuilding says how far
// it is, never back; commands wait and are answered.
func TestReadersDuringARebuild(t *testing.T) {
	v := notebook()
	store := &hooked{BulkStore: oplogtest.MemStore().(oplog.BulkStore), before: func(int) {}}
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{v})
	o.Store = store
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	defer func() { must(t, l.Close()) }()
	for i := range 50 {
		must(t, note(l, oplog.NewID(), fmt.Sprint("n", i)))
	}
	saved := make(chan error, 1)
	last := 0
	store.before = func(n int) {
		if n == 1 {
			go func() { saved <- note(l, oplog.NewID(), "meanwhile") }()
		}
		if got := len(keysOf(t, l, v, "")); got != 50 {
			t.Errorf("%d rows are seen at %d", got, n)
		}
		p, on := l.Rebuilding()
		if !on || p.Percent < last || p.Percent > 100 {
			t.Errorf("at %d: %+v after %d %%", n, p, last)
		}
		last = p.Percent
	}
	must(t, l.Rebuild(context.Background()))
	must(t, <-saved)
	if got := len(keysOf(t, l, v, "")); got != 51 {
		t.Errorf("%d rows after it", got)
	}
}

// Opening without views tells how far it is: forward only, through all phases, to the
// end.
func TestProgressOfOpening(t *testing.T) {
	for name, store := range map[string]oplog.Store{"sorted": oplogtest.MemStore(), "transactions": byTransactions{oplogtest.MemStore()}} {
		t.Run(name, func(t *testing.T) {
			o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{notebook()})
			l := opened(t, o, oplogtest.MemStore())
			crowd(t, l, 3000)
			l.Kill()
			var mu sync.Mutex
			var told []oplog.Progress
			o.Progress = func(p oplog.Progress) { mu.Lock(); defer mu.Unlock(); told = append(told, p) }
			reopen(t, o, store)
			if len(told) == 0 {
				t.Fatal("nothing is told")
			}
			phases := []oplog.Phase{}
			for i, p := range told {
				if i > 0 && (p.Percent < told[i-1].Percent || p.Phase == told[i-1].Phase && p.Done < told[i-1].Done) {
					t.Errorf("%+v after %+v", p, told[i-1])
				}
				if !slices.Contains(phases, p.Phase) {
					phases = append(phases, p.Phase)
				}
			}
			want := []oplog.Phase{oplog.Reading, oplog.Folding, oplog.Writing}
			if name == "transactions" {
				want = want[1:2]
			}
			if end := told[len(told)-1]; !slices.Equal(phases, want) || end.Percent < 90 {
				t.Errorf("%v, at last %+v", phases, end)
			}
		})
	}
}

// fullFor has no room for files that match.
type fullFor struct {
	files.FS
	pattern string
	refused int
}

func (f *fullFor) OpenFile(name string, flag int, perm fs.FileMode) (files.File, error) {
	if ok, _ := filepath.Match(f.pattern, filepath.Base(name)); ok {
		f.refused++
		return nil, syscall.ENOSPC
	}
	return f.FS.OpenFile(name, flag, perm)
}

// Without room for a temporary file the views are made by transactions.
func TestRebuildWithoutATemporaryFile(t *testing.T) {
	disk := &fullFor{FS: files.OS(), pattern: "rebuild-*.tmp"}
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, shelves())
	o.Files = disk
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	defer func() { must(t, l.Close()) }()
	scribble(t, l, rand.New(rand.NewPCG(2, 2)), 500, []oplog.ID{{1}, {2}, {3}})
	before := dump(t, l)
	l.SortIn(300)
	must(t, l.Rebuild(context.Background()))
	if disk.refused == 0 {
		t.Fatal("no file was asked for")
	}
	if !slices.Equal(before, dump(t, l)) {
		t.Error("the views are others")
	}
	left, err := filepath.Glob(filepath.Join(o.Dir, "rebuild-*"))
	if err != nil || len(left) > 0 {
		t.Error(left, err)
	}
}

// broken fails in the middle of a filling.
type broken struct{ oplog.BulkStore }

func (b broken) Bulk(fill func(put func(k, v []byte) error) error) error {
	n := 0
	return b.BulkStore.Bulk(func(put func(k, v []byte) error) error {
		return fill(func(k, v []byte) error {
			if n++; n > 3 {
				return errors.New("the store has a fault")
			}
			return put(k, v)
		})
	})
}

// Where the store cannot be filled in one go after all, transactions do it.
func TestRebuildWhereFillingFails(t *testing.T) {
	o, v := journalOf(t, 40)
	l := reopen(t, o, broken{oplogtest.MemStore().(oplog.BulkStore)})
	if got := len(keysOf(t, l, v, "")); got != 40 {
		t.Errorf("%d rows", got)
	}
}
