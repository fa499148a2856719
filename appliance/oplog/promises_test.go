package oplog_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

type remark struct {
	Text string `cbor:"1,keyasint"`
}

var remarked = oplog.NewKind[remark]("test.remarked", 1, oplog.Register)

// remarks shows every text a subject was given, so that a lost op shows as a lost row.
func remarks() *oplog.View {
	return &oplog.View{Name: "Remarks", Version: 1, Kinds: []oplog.Kind{remarked}, Fold: func(_ oplog.ID, ops []oplog.Op) []oplog.Row {
		rows := make([]oplog.Row, 0, len(ops))
		for _, op := range ops {
			rows = append(rows, oplog.Row{Key: []byte(oplog.Body[remark](op).Text), Value: []byte{1}})
		}
		return rows
	}}
}

func say(t *testing.T, l *oplog.Log, who oplog.ID, text string) {
	t.Helper()
	err := l.Do(context.Background(), oplog.By{1}, func(tx *oplog.Tx) error {
		_, err := tx.Append(remarked, who, remark{text})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func texts(t *testing.T, l *oplog.Log, v *oplog.View) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	if err := l.View(func(r oplog.Reader) error {
		return r.Rows(v, nil, nil, func(key []byte, _ oplog.ID, _ []byte) error {
			out[string(key)] = true
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// pull brings to everything from has.
func pull(t *testing.T, to, from *oplog.Log) {
	t.Helper()
	held := map[oplog.LogID]uint64{}
	for _, h := range to.Heads() {
		held[h.Log] = h.Seq
	}
	for _, h := range from.Heads() {
		for after := held[h.Log]; after < h.Seq; {
			raw, last, err := from.Range(h.Log, after, 7, 1<<20)
			if err != nil || last <= after {
				t.Fatalf("range after %d of %d: %d %v", after, h.Seq, last, err)
			}
			if _, err := to.Merge(context.Background(), raw); err != nil {
				t.Fatal(err)
			}
			after = last
		}
	}
}

func views(t *testing.T, l *oplog.Log) string {
	t.Helper()
	r, err := l.Check(context.Background())
	if err != nil || !r.Sound {
		t.Fatalf("%+v %v", r, err)
	}
	return r.Views
}

func TestWhatWasAnsweredIsThereAfterAReopenWithoutItsViews(t *testing.T) {
	v := remarks()
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{v})
	l, err := oplog.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	who := oplog.NewID()
	var wait sync.WaitGroup
	for i := range 40 {
		wait.Go(func() { say(t, l, who, fmt.Sprint("n", i)) })
	}
	wait.Wait()
	before := views(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	o.Store = oplogtest.MemStore() // the views are lost: the journal is the truth
	again, err := oplog.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got := texts(t, again, v); len(got) != 40 {
		t.Fatalf("%d of 40 are there", len(got))
	}
	if after := views(t, again); after != before {
		t.Fatal("rebuilt views differ")
	}
}

// A power cut leaves the last frame half written, at any byte of it: everything
// before stays, and the half is never served.
func TestATornTailTakesNothingElse(t *testing.T) {
	v := remarks()
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{v})
	l, err := oplog.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	who := oplog.NewID()
	say(t, l, who, "first")
	size := func() (string, int64) {
		names, err := filepath.Glob(filepath.Join(o.Dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		var last string
		var n int64
		for _, name := range names {
			if i, err := os.Stat(name); err == nil && i.Mode().IsRegular() && i.Size() > n && filepath.Base(name)[:4] != "keys" {
				last, n = name, i.Size()
			}
		}
		return last, n
	}
	file, whole := size()
	say(t, l, who, "second")
	_, longer := size()
	raw, err := os.ReadFile(file)
	if err != nil || longer <= whole {
		t.Fatalf("%s %d %d %v", file, whole, longer, err)
	}
	raw = raw[:longer]
	for cut := whole + 1; cut < longer; cut += 3 {
		p := o
		p.Dir, p.Store = filepath.Join(t.TempDir(), "journal"), oplogtest.MemStore()
		if err := os.CopyFS(p.Dir, os.DirFS(o.Dir)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(p.Dir, filepath.Base(file)), raw[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		torn, err := oplog.Open(context.Background(), p)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if got := texts(t, torn, v); !got["first"] || got["second"] {
			t.Errorf("cut at %d: %v", cut, got)
		}
		if err := torn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestARefusingCommandLeavesNothing(t *testing.T) {
	v := remarks()
	l := oplogtest.Harness(t, nil, []*oplog.View{v})
	who := oplog.NewID()
	say(t, l, who, "kept")
	no := errors.New("no")
	for _, end := range []func() error{func() error { return no }, func() error { panic("a fault of ours") }} {
		err := l.Do(context.Background(), oplog.By{1}, func(tx *oplog.Tx) error {
			if _, err := tx.Append(remarked, who, remark{"never"}); err != nil {
				return err
			}
			return end()
		})
		if err == nil {
			t.Fatal("a refusal was answered as done")
		}
	}
	if got := texts(t, l, v); len(got) != 1 || !got["kept"] {
		t.Fatal(got)
	}
}

func TestThreeNodesAgreeInAnyOrder(t *testing.T) {
	v := remarks()
	a := oplogtest.NewAuthority(t)
	var nodes []*oplog.Log
	for range 3 {
		nodes = append(nodes, oplogtest.Node(t, a, nil, []*oplog.View{v}))
		a = a.Peer(t)
	}
	who := oplog.NewID()
	for i, n := range nodes {
		for j := range 20 {
			say(t, n, who, fmt.Sprintf("node %d says %d", i, j))
		}
	}
	pull(t, nodes[0], nodes[1])
	pull(t, nodes[2], nodes[0])
	pull(t, nodes[1], nodes[2])
	pull(t, nodes[0], nodes[2])
	pull(t, nodes[0], nodes[2]) // twice changes nothing
	want := views(t, nodes[0])
	for i, n := range nodes {
		if got := texts(t, n, v); len(got) != 60 || views(t, n) != want {
			t.Fatalf("node %d holds %d of 60", i, len(got))
		}
	}
}

func TestAForgedRangeIsRefusedWhole(t *testing.T) {
	v := remarks()
	a := oplogtest.NewAuthority(t)
	from, to := oplogtest.Node(t, a, nil, []*oplog.View{v}), oplogtest.Node(t, a.Peer(t), nil, []*oplog.View{v})
	say(t, from, oplog.NewID(), "true")
	own := from.Own()
	raw, _, err := from.Range(own, 0, 1000, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		bad := append([]byte(nil), raw...)
		bad[i] ^= 0x40
		if r, err := to.Merge(context.Background(), bad); err == nil && r.Ops > 0 {
			t.Fatalf("byte %d changed and %d ops taken", i, r.Ops)
		}
	}
	if got := texts(t, to, v); len(got) != 0 {
		t.Fatal(got)
	}
	if _, err := to.Merge(context.Background(), raw); err != nil || !texts(t, to, v)["true"] {
		t.Fatal("the true range is taken", err)
	}
}
