package torture

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// TestRefillInPieces loses the middle or the beginning of a log and gets it back in
// pieces of every size, so that what survived behind the hole joins at any point.
func TestRefillInPieces(t *testing.T) {
	auth, m := oplogtest.NewAuthority(t), newModel()
	peer, err := oplog.Open(ctx, options(t, auth.Peer(t), filepath.Join(scratch(t), "journal"), oplogtest.MemStore()))
	must(t, err)
	defer peer.Close()
	dir := scratch(t)
	store := oplogtest.MemStore()
	for life := range 4 {
		l, err := oplog.Open(ctx, options(t, auth, filepath.Join(dir, "journal"), store))
		must(t, err)
		for i := range 6 {
			must(t, write(l, m, nil, fmt.Sprintf("n%d-%d", life, i)))
		}
		_, err = pull(peer, l, 100)
		must(t, err)
		must(t, l.Close())
	}
	for lost := 1; lost <= 4; lost++ {
		for pieces := 1; pieces <= 13; pieces++ {
			for _, old := range []bool{false, true} {
				refill(t, m, auth, peer, dir, store, lost, pieces, old)
			}
		}
	}
}

// refill loses one segment and gets it back.
func refill(t *testing.T, m *model, auth *oplogtest.Authority, peer *oplog.Log, dir string, store oplog.Store, lost, pieces int, old bool) {
	t.Helper()
	ill := filepath.Join(scratch(t), "ill")
	copyFolder(t, ill, dir)
	must(t, os.Remove(filepath.Join(ill, "journal", fmt.Sprintf("%08d.wpj", lost))))
	views, err := oplogtest.MemStore(), error(nil)
	if old {
		views, err = copyStore(store)
		must(t, err)
	}
	l, err := oplog.Open(ctx, options(t, auth, filepath.Join(ill, "journal"), views))
	must(t, err)
	defer l.Close()
	_, err = pull(l, peer, pieces)
	must(t, err)
	all, err := served(l)
	must(t, err)
	report, err := l.Check(ctx)
	must(t, err)
	if y := m.compare(all); y.bad() || !report.Sound {
		t.Errorf("segment %d lost, %d ops at once, views kept %v: %s %v", lost, pieces, old, y.detail(), report.Problems)
	}
}
