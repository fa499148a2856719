package mesh

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// TestARunningBoxGetsBackWhatRotted: a journal that loses ops while its node runs tells
// everybody, gets them back without a restart, and is believed to hold no more than it
// does in between.
func TestARunningBoxGetsBackWhatRotted(t *testing.T) {
	t.Parallel()
	w, d := newWorld(t), newDesk()
	auth := oplogtest.NewAuthority(t)
	o := oplogtest.Options(t, auth, nil, []*oplog.View{d.view})
	la, err := oplog.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = la.Close() })
	lb := oplogtest.Node(t, auth.Peer(t), nil, []*oplog.View{d.view})
	d.write(t, la, 40, 1)
	a := w.with(t, la)
	b := w.with(t, lb, seeded(a.addr))
	d.write(t, lb, 40, 1)
	wait(t, "equal", func() bool { return opsOf(la) == opsOf(lb) && a.mesh.OnlyHere() == 0 && b.mesh.OnlyHere() == 0 })
	want := views(t, lb)

	segments, err := filepath.Glob(filepath.Join(o.Dir, "*.wpj"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(segments)
	last := segments[len(segments)-1]
	raw, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{len(raw) / 4, len(raw) / 2, len(raw) - 3} {
		raw[at] ^= 4
	}
	if err := os.WriteFile(last, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := la.Scrub(context.Background()); err != nil {
		t.Fatal(err)
	}
	if la.Stats().SetAside != 1 {
		t.Fatalf("%+v", la.Stats())
	}
	wait(t, "all back", func() bool { return la.Stats().Lost == 0 && opsOf(la) == opsOf(lb) })
	r, err := la.Check(context.Background())
	if err != nil || !r.Sound {
		t.Fatalf("%+v %v", r, err)
	}
	wait(t, "equal views", func() bool { return views(t, la) == views(t, lb) })
	if want == "" {
		t.Error("no views")
	}
	wait(t, "held by both", func() bool { return a.mesh.OnlyHere() == 0 && b.mesh.OnlyHere() == 0 })
}
