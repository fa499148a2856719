package oplog_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/badgerstore"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// struck is an erasure of these tests: no signatures, the rule alone.
type struck struct {
	Signed bool `cbor:"1,keyasint"`
	Undone bool `cbor:"2,keyasint"`
	Final  bool `cbor:"3,keyasint"`
	Broken bool `cbor:"4,keyasint"`
}

var struckKind = oplog.NewKind[struck]("test.struck", 1, oplog.Deployment)

func strikes() *oplog.View {
	return &oplog.View{
		Name: "Strikes", Version: 1, Kinds: []oplog.Kind{struckKind},
		Fold: func(_ oplog.ID, ops []oplog.Op) []oplog.Row {
			return []oplog.Row{{Key: []byte("strikes"), Value: fmt.Append(nil, len(ops))}}
		},
		Erases: func(_ [16]byte, _ oplog.ID, ops []oplog.Op) oplog.Standing {
			var all struck
			for _, op := range ops {
				b := oplog.Body[struck](op)
				if b.Broken {
					panic("a rule that cannot be asked")
				}
				all.Signed, all.Undone, all.Final = all.Signed || b.Signed, all.Undone || b.Undone, all.Final || b.Final
			}
			return oplog.Standing{Erased: all.Signed && (all.Final || !all.Undone), Final: all.Final}
		},
	}
}

func strike(l *oplog.Log, who oplog.ID, s struck) error {
	return l.Do(context.Background(), oplog.By{}, func(tx *oplog.Tx) error {
		_, err := tx.Append(struckKind, who, s)
		return err
	})
}

func eraseViews() []*oplog.View { return []*oplog.View{notebook(), strikes()} }

// In whatever order the facts arrive, every node has the same rows.
func TestErasedInAnyOrder(t *testing.T) {
	views := eraseViews()
	a, b, c, d := oplog.ID{1}, oplog.ID{2}, oplog.ID{3}, oplog.ID{4}
	fact := func(node int, k oplog.Kind, who oplog.ID, body any, over ...int) oplogtest.Fact {
		return oplogtest.Fact{Node: node, Kind: k, Subject: who, Body: body, Supersedes: over}
	}
	oplogtest.CheckOrder(t, views,
		fact(0, notedKind, a, noted{Text: "stays"}), fact(1, notedKind, b, noted{Text: "goes"}), fact(0, notedKind, b, noted{Text: "goes too"}),
		fact(2, struckKind, b, struck{Signed: true}), fact(1, notedKind, c, noted{Text: "taken back"}), fact(0, struckKind, c, struck{Signed: true}),
		fact(2, struckKind, c, struck{Undone: true}), fact(2, notedKind, d, noted{Text: "final"}), fact(0, struckKind, d, struck{Undone: true}),
		fact(1, struckKind, d, struck{Signed: true}), fact(2, struckKind, d, struck{Final: true}), fact(1, openKind, a, noted{Text: "open"}),
		fact(0, struckKind, a, struck{Undone: true}),
	)
}

func TestAnErasedSubjectShowsNowhere(t *testing.T) {
	views := eraseViews()
	l := oplogtest.Harness(t, nil, views)
	who, other := oplog.NewID(), oplog.NewID()
	must(t, l.Do(context.Background(), oplog.By{1}, func(tx *oplog.Tx) error {
		tx.SetOnce([16]byte{7}, [8]byte{1})
		_, err := tx.Append(notedKind, who, noted{Text: "Rosa"})
		return err
	}))
	must(t, note(l, other, "Omar"))
	once := func() (known bool) {
		must(t, l.View(func(r oplog.Reader) (err error) {
			_, known, err = r.Once([16]byte{7})
			return err
		}))
		return known
	}
	ops := func() (n int) {
		must(t, l.View(func(r oplog.Reader) error {
			all, err := r.Ops(who)
			for _, op := range all {
				if notedKind.Is(op) {
					n++
				}
			}
			return err
		}))
		return n
	}
	if !once() || ops() != 1 {
		t.Fatal("nothing was written")
	}
	must(t, strike(l, who, struck{Signed: true}))
	if got := fmt.Sprint(keysOf(t, l, views[0], ""), ops(), once()); got != "[Omar] 0 false" {
		t.Error(got)
	}
	if g := l.Gone(); len(g) != 1 || g[0] != (oplog.Gone{Subject: who, Standing: oplog.Standing{Erased: true}, Kept: 1}) {
		t.Errorf("%+v", g)
	}
	must(t, note(l, who, "written afterwards"))
	if got := fmt.Sprint(keysOf(t, l, views[0], "")); got != "[Omar]" {
		t.Error(got)
	}
	sound(t, l)
	must(t, strike(l, who, struck{Undone: true}))
	if got := fmt.Sprint(keysOf(t, l, views[0], ""), ops(), once(), l.Gone()); got != "[Omar Rosa written afterwards] 2 true []" {
		t.Error(got)
	}
	must(t, strike(l, who, struck{Final: true}))
	if got := fmt.Sprint(keysOf(t, l, views[0], "")); got != "[Omar]" {
		t.Error("an issuer's word cannot be taken back:", got)
	}
	must(t, strike(l, other, struck{Broken: true}))
	if got := fmt.Sprint(keysOf(t, l, views[0], "")); got != "[Omar]" {
		t.Error("a rule that cannot be asked erased somebody:", got)
	}
}

// A node's own births cannot be erased: every check of its log hangs on them.
func TestANodeCannotBeErased(t *testing.T) {
	a := oplogtest.NewAuthority(t)
	l := oplogtest.Node(t, a, nil, eraseViews())
	must(t, strike(l, a.Node(), struck{Signed: true, Final: true}))
	if g := l.Gone(); len(g) != 0 {
		t.Errorf("%+v", g)
	}
}

// planted writes a person whose words can be looked for, in two segments and with a
// fork's evidence beside, and others around.
func planted(t *testing.T, store oplog.Store) (oplog.Options, *oplog.Log, *oplog.Log, oplog.ID) {
	t.Helper()
	views := eraseViews()
	a := oplogtest.NewAuthority(t)
	o := oplogtest.Options(t, a, nil, views)
	peer := oplogtest.Node(t, a.Peer(t), nil, views)
	who := oplog.NewID()
	l := reopen(t, o, oplogtest.MemStore())
	must(t, note(l, who, "Rosalia Planted", "passport X777"))
	must(t, note(l, oplog.NewID(), "Omar Stays"))
	must(t, note(peer, who, "seen at the Harbour Planted"))
	oplogtest.Exchange(t, l, peer)
	must(t, l.Close())
	l = reopen(t, o, store)
	must(t, note(l, who, "second visit Planted"))
	oplogtest.Exchange(t, l, peer)
	return o, l, peer, who
}

var plantedWords = []string{"Planted", "X777", "Harbour"}

func hits(raw []byte) (n int) {
	for _, w := range plantedWords {
		n += bytes.Count(raw, []byte(w))
	}
	return n
}

func TestErasingLeavesNothingInAnyFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "views")
	key := [32]byte{9}
	store, err := badgerstore.Open(dir, key, nil)
	must(t, err)
	o, l, peer, who := planted(t, store)
	if n := hits(oplog.Plaintexts(t, o)); n < 4 {
		t.Fatalf("%d hits before: the search finds nothing", n)
	}
	heads := fmt.Sprint(l.Heads())
	oldKeys := oplog.RingKeys(t, o, "keys")
	oldTables := tables(t, dir)
	must(t, strike(l, who, struck{Signed: true}))
	must(t, l.Erase(context.Background(), []oplog.ID{who}))
	if n := hits(oplog.Plaintexts(t, o)); n != 0 {
		t.Errorf("%d hits in the journal, opened with every key there is", n)
	}
	if !bytes.Contains(oplog.Plaintexts(t, o), []byte("Omar Stays")) {
		t.Error("somebody else went too")
	}
	for _, name := range []string{"keys", "keys.2", "keys.3"} {
		for _, k := range oplog.RingKeys(t, o, name) {
			if i := slices.Index(oldKeys, k); i >= 0 && i < 2 {
				t.Errorf("%s keeps an old key", name)
			}
		}
	}
	for _, f := range tables(t, dir) {
		if slices.Contains(oldTables, f) {
			t.Errorf("the view store kept %s", f)
		}
	}
	if g := l.GoneOf(who); g.Kept != 0 || g.Bare != 4 {
		t.Errorf("%+v", g)
	}
	sound(t, l)
	if got := fmt.Sprint(keysOf(t, l, o.Views[0], "")); got != "[Omar Stays]" {
		t.Error(got)
	}
	// The chains hold as they were, and travel on.
	oplogtest.Exchange(t, l, peer)
	if !strings.HasPrefix(fmt.Sprint(l.Heads()), heads[:20]) {
		t.Error("the heads changed")
	}
	oplogtest.Same(t, l, peer)
	must(t, l.Close())
	store, err = badgerstore.Open(dir, key, nil)
	must(t, err)
	must(t, store.View(func(r oplog.StoreReader) error {
		return r.Scan(nil, nil, func(k, v []byte) error {
			if hits(k)+hits(v) > 0 {
				t.Errorf("the views hold it under %q", k[:1])
			}
			return nil
		})
	}))
	again := reopen(t, o, store)
	if again.Own() != l.Own() {
		t.Error("an erasure is no reason for a new log")
	}
	sound(t, again)
	if n := hits(oplog.Plaintexts(t, o)); n != 0 {
		t.Errorf("%d hits after opening again", n)
	}
}

// tables are the view store's files with their inode: a name may be used again.
func tables(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		if st, err := os.Stat(filepath.Join(dir, e.Name())); err == nil && (strings.HasSuffix(e.Name(), ".sst") || strings.HasSuffix(e.Name(), ".mem")) {
			out = append(out, fmt.Sprintf("%s %v", e.Name(), st.Sys()))
		}
	}
	return out
}

// Nobody is destroyed whom nobody erased.
func TestOnlyTheErasedAreDestroyed(t *testing.T) {
	o, l, _, who := planted(t, oplogtest.MemStore())
	must(t, l.Erase(context.Background(), []oplog.ID{who, oplog.NewID()}))
	if n := hits(oplog.Plaintexts(t, o)); n < 4 || len(l.Gone()) != 0 {
		t.Errorf("%d hits, %+v", n, l.Gone())
	}
}

func TestDestroyingMayBeCutAtEveryFileOperation(t *testing.T) {
	o, l, _, who := planted(t, oplogtest.MemStore())
	must(t, strike(l, who, struck{Signed: true}))
	must(t, l.Close())
	for k := 0; ; k++ {
		c := o
		c.Dir = cloneDir(t, o.Dir)
		left := 1 << 30
		c.Files = crashing{files.OS(), &left}
		store := oplogtest.MemStore()
		l := reopen(t, c, store)
		left = k
		err := l.Erase(context.Background(), []oplog.ID{who})
		l.Kill()
		c.Files = nil
		// The views survive one cut of two.
		if k%2 == 0 {
			store = oplogtest.MemStore()
		}
		again := reopen(t, c, store)
		if got := fmt.Sprint(keysOf(t, again, o.Views[0], "")); got != "[Omar Stays]" {
			t.Fatalf("cut at operation %d: %s", k, got)
		}
		if g := again.GoneOf(who); g.Kept > 0 {
			must(t, again.Erase(context.Background(), []oplog.ID{who}))
		}
		if n := hits(oplog.Plaintexts(t, c)); n != 0 {
			t.Fatalf("cut at operation %d: %d hits after it was done again", k, n)
		}
		if g := again.GoneOf(who); g.Kept != 0 || g.Bare != 4 {
			t.Fatalf("cut at operation %d: %+v", k, g)
		}
		if r, cerr := again.Check(context.Background()); cerr != nil || !r.Sound {
			t.Fatalf("cut at operation %d: %v %v", k, cerr, r.Problems)
		}
		if again.Own() != l.Own() {
			t.Fatalf("cut at operation %d: a new log", k)
		}
		must(t, again.Close())
		if err == nil {
			if k < 15 {
				t.Fatalf("only %d operations", k)
			}
			return
		}
	}
}

// Three nodes; one was away and has the old copy. What it brings is taken without the
// person, and it learns of the erasure by the same exchange.
func TestAnOldPeerBringsNobodyBack(t *testing.T) {
	views := eraseViews()
	a := oplogtest.NewAuthority(t)
	o := oplogtest.Options(t, a, nil, views)
	away := oplogtest.Node(t, a.Peer(t), nil, views)
	third := oplogtest.Options(t, a.Peer(t), nil, views)
	first := reopen(t, o, oplogtest.MemStore())
	who := oplog.NewID()
	must(t, note(away, who, "Rosalia Planted"))
	must(t, note(away, oplog.NewID(), "Omar Stays"))
	oplogtest.Exchange(t, first, away)
	must(t, note(away, who, "passport X777")) // while the others were out of reach

	must(t, strike(first, who, struck{Signed: true, Final: true}))
	must(t, first.Erase(context.Background(), []oplog.ID{who}))
	late := reopen(t, third, oplogtest.MemStore())
	oplogtest.Exchange(t, first, late) // knows the erasure, and never held the person
	oplogtest.Exchange(t, first, late, away)
	for i, c := range []oplog.Options{o, third} {
		if n := hits(oplog.Plaintexts(t, c)); n != 0 {
			t.Errorf("node %d: %d hits", i, n)
		}
	}
	oplogtest.Same(t, first, late, away)
	if g := away.GoneOf(who); g.Kept != 2 || !g.Final {
		t.Errorf("the node that was away: %+v", g)
	}
	must(t, away.Erase(context.Background(), []oplog.ID{who}))
	oplogtest.Same(t, first, late, away)
	if w, err := late.Wanting(); err != nil || len(w) != 0 {
		t.Error(w, err)
	}
}

// A payload that is gone without an erasure is said, wanted, and filled by any copy.
func TestAPayloadThatIsGoneIsWanted(t *testing.T) {
	views := eraseViews()
	a := oplogtest.NewAuthority(t)
	from := oplogtest.Node(t, a.Peer(t), nil, views)
	o := oplogtest.Options(t, a, nil, views)
	l := reopen(t, o, oplogtest.MemStore())
	who := oplog.NewID()
	must(t, note(from, who, "Rosalia Planted"))
	must(t, note(from, oplog.NewID(), "Omar Stays"))
	must(t, note(from, who, "passport X777"))
	raw, _, err := from.Range(from.Own(), 0, 0, 0)
	must(t, err)
	_, err = l.Merge(context.Background(), oplog.Bared(raw, who))
	must(t, err)
	want, err := l.Wanting()
	must(t, err)
	if len(want) != 2 || want[0].Log != from.Own() {
		t.Fatalf("%v", want)
	}
	if r, _ := l.Check(context.Background()); r.Sound || !strings.Contains(fmt.Sprint(r.Problems), want[0].String()) {
		t.Errorf("check says %v", r.Problems)
	}
	if got := fmt.Sprint(keysOf(t, l, views[0], "")); got != "[Omar Stays]" {
		t.Error(got)
	}
	// It serves what it has, and the hashes hold.
	third := oplogtest.Node(t, a.Peer(t), nil, views)
	oplogtest.Exchange(t, l, third)
	for range 2 {
		_, err = l.Merge(context.Background(), raw)
		must(t, err)
		if want, err = l.Wanting(); err != nil || len(want) != 0 || len(l.Gone()) != 0 {
			t.Errorf("%v %v %v", want, err, l.Gone())
		}
		oplogtest.Exchange(t, l, from)
		oplogtest.Same(t, l, from)
		must(t, l.Close())
		l = reopen(t, o, oplogtest.MemStore())
	}
	must(t, strike(l, who, struck{Signed: true, Final: true}))
	must(t, l.Erase(context.Background(), []oplog.ID{who}))
	_, err = l.Merge(context.Background(), raw)
	must(t, err)
	if n := hits(oplog.Plaintexts(t, o)); n != 0 {
		t.Errorf("%d hits: a copy filled what was erased", n)
	}
	sound(t, l)
}

func TestWhatLiesOpenIsNeverTakenAway(t *testing.T) {
	a := oplogtest.NewAuthority(t)
	l := oplogtest.Node(t, a, nil, eraseViews())
	who := oplog.NewID()
	must(t, l.Do(context.Background(), oplog.By{}, func(tx *oplog.Tx) error {
		_, err := tx.Append(openKind, who, noted{Text: "for carriers"})
		return err
	}))
	raw, _, err := l.Range(l.Own(), 0, 0, 0)
	must(t, err)
	if !bytes.Equal(oplog.Bared(raw, who), raw) {
		t.Error("an open payload was taken")
	}
	two := &oplog.View{Name: "Other", Version: 1, Kinds: []oplog.Kind{notedKind}, Fold: strikes().Fold, Erases: strikes().Erases}
	o := oplogtest.Options(t, a, nil, []*oplog.View{two})
	if _, err := oplog.Open(context.Background(), o); fault.ClassOf(err) != fault.Internal {
		t.Error("a rule over sealed facts was taken:", err)
	}
}
