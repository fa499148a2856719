package oplogtest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
)

// StoreSuite is what every view store has to do. open makes a fresh, empty
// store each time; the suite closes it.
func StoreSuite(t *testing.T, open func() oplog.Store) {
	t.Helper()
	run := func(name string, fn func(*testing.T, oplog.Store)) {
		t.Run(name, func(t *testing.T) {
			s := open()
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			fn(t, s)
		})
	}
	run("put get delete", suiteBasics)
	run("discard leaves nothing", suiteDiscard)
	run("snapshots stay", suiteSnapshot)
	run("scan is ordered and bounded", suiteScan)
	run("scan sees own writes", suiteScanOwn)
	run("drop all", suiteDrop)
	run("like a sorted map", suiteModel)
}

func update(t *testing.T, s oplog.Store, fn func(oplog.StoreTx)) {
	t.Helper()
	tx, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Discard()
	fn(tx)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, tx oplog.StoreTx, k, v string) {
	t.Helper()
	if err := tx.Put([]byte(k), []byte(v)); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, r oplog.StoreReader, k, v string) {
	t.Helper()
	got, err := r.Get([]byte(k))
	if v == "" {
		if !errors.Is(err, oplog.ErrNoKey) {
			t.Errorf("%s: got %q, %v instead of nothing", k, got, err)
		}
		return
	}
	if err != nil || string(got) != v {
		t.Errorf("%s: got %q, %v instead of %q", k, got, err, v)
	}
}

func view(t *testing.T, s oplog.Store, fn func(oplog.StoreReader)) {
	t.Helper()
	if err := s.View(func(r oplog.StoreReader) error { fn(r); return nil }); err != nil {
		t.Fatal(err)
	}
}

func suiteBasics(t *testing.T, s oplog.Store) {
	update(t, s, func(tx oplog.StoreTx) {
		put(t, tx, "a", "1")
		want(t, tx, "a", "1")
		want(t, tx, "b", "")
	})
	update(t, s, func(tx oplog.StoreTx) {
		put(t, tx, "a", "2")
		put(t, tx, "b", "3")
		if err := tx.Delete([]byte("a")); err != nil {
			t.Fatal(err)
		}
		want(t, tx, "a", "")
	})
	view(t, s, func(r oplog.StoreReader) { want(t, r, "a", ""); want(t, r, "b", "3") })
}

func suiteDiscard(t *testing.T, s oplog.Store) {
	tx, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	put(t, tx, "a", "1")
	tx.Discard()
	view(t, s, func(r oplog.StoreReader) { want(t, r, "a", "") })
}

func suiteSnapshot(t *testing.T, s oplog.Store) {
	update(t, s, func(tx oplog.StoreTx) { put(t, tx, "a", "1") })
	view(t, s, func(r oplog.StoreReader) {
		update(t, s, func(tx oplog.StoreTx) { put(t, tx, "a", "2"); put(t, tx, "b", "2") })
		want(t, r, "a", "1")
		want(t, r, "b", "")
		if keys := scan(t, r, "", ""); !slices.Equal(keys, []string{"a"}) {
			t.Errorf("a snapshot saw %v", keys)
		}
	})
}

func scan(t *testing.T, r oplog.StoreReader, prefix, from string) (keys []string) {
	t.Helper()
	if err := r.Scan([]byte(prefix), []byte(from), func(k, _ []byte) error { keys = append(keys, string(k)); return nil }); err != nil {
		t.Fatal(err)
	}
	return keys
}

func suiteScan(t *testing.T, s oplog.Store) {
	update(t, s, func(tx oplog.StoreTx) {
		for _, k := range []string{"b\xff", "a", "b", "b\x00", "ba", "c", "\xff\xff"} {
			put(t, tx, k, "v"+k)
		}
	})
	view(t, s, func(r oplog.StoreReader) {
		for _, c := range []struct {
			prefix, from string
			want         []string
		}{
			{"", "", []string{"a", "b", "b\x00", "ba", "b\xff", "c", "\xff\xff"}},
			{"b", "", []string{"b", "b\x00", "ba", "b\xff"}},
			{"b", "ba", []string{"ba", "b\xff"}},
			{"b", "a", []string{"b", "b\x00", "ba", "b\xff"}},
			{"b", "c", nil},
			{"\xff", "", []string{"\xff\xff"}},
			{"d", "", nil},
		} {
			if got := scan(t, r, c.prefix, c.from); !slices.Equal(got, c.want) {
				t.Errorf("scan %q from %q: %q", c.prefix, c.from, got)
			}
		}
		n := 0
		if err := r.Scan(nil, nil, func(_, _ []byte) error { n++; return oplog.ErrStop }); err != nil || n != 1 {
			t.Errorf("stop after one: %d, %v", n, err)
		}
		bad := errors.New("bad")
		if err := r.Scan(nil, nil, func(_, _ []byte) error { return bad }); !errors.Is(err, bad) {
			t.Errorf("an error is passed on: %v", err)
		}
	})
}

func suiteScanOwn(t *testing.T, s oplog.Store) {
	update(t, s, func(tx oplog.StoreTx) { put(t, tx, "a", "1"); put(t, tx, "c", "1") })
	update(t, s, func(tx oplog.StoreTx) {
		put(t, tx, "b", "2")
		if err := tx.Delete([]byte("a")); err != nil {
			t.Fatal(err)
		}
		if got := scan(t, tx, "", ""); !slices.Equal(got, []string{"b", "c"}) {
			t.Errorf("got %q", got)
		}
	})
}

func suiteDrop(t *testing.T, s oplog.Store) {
	update(t, s, func(tx oplog.StoreTx) { put(t, tx, "a", "1") })
	if err := s.DropAll(); err != nil {
		t.Fatal(err)
	}
	view(t, s, func(r oplog.StoreReader) { want(t, r, "a", "") })
	update(t, s, func(tx oplog.StoreTx) { put(t, tx, "b", "1") })
	view(t, s, func(r oplog.StoreReader) { want(t, r, "b", "1") })
}

// suiteModel compares with a map over random transactions, some too big.
func suiteModel(t *testing.T, s oplog.Store) {
	model := map[string]string{}
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 40 {
		next := map[string]string{}
		for k, v := range model {
			next[k] = v
		}
		tx, err := s.Begin()
		if err != nil {
			t.Fatal(err)
		}
		for range rnd.IntN(60) {
			k := fmt.Sprintf("k%02d", rnd.IntN(80))
			if rnd.IntN(4) == 0 {
				err = tx.Delete([]byte(k))
				delete(next, k)
			} else {
				v := fmt.Sprint(round, rnd.Uint64())
				err = tx.Put([]byte(k), []byte(v))
				next[k] = v
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if rnd.IntN(4) == 0 {
			tx.Discard()
		} else if err := tx.Commit(); err != nil {
			t.Fatal(err)
		} else {
			model = next
		}
		view(t, s, func(r oplog.StoreReader) {
			n := 0
			var before []byte
			if err := r.Scan(nil, nil, func(k, v []byte) error {
				if model[string(k)] != string(v) || bytes.Compare(before, k) >= 0 {
					t.Errorf("round %d: %q = %q", round, k, v)
				}
				before = bytes.Clone(k)
				n++
				return nil
			}); err != nil || n != len(model) {
				t.Fatalf("round %d: %d keys instead of %d, %v", round, n, len(model), err)
			}
		})
	}
}
