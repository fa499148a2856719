//go:build linux

package main

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/badgerstore"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/station"
)

// filler is a journal with many people, as batches, and an empty node that takes them.
type filler struct {
	*journalChild
	batches [][]byte
	wire    int
}

// fillerOf makes a journal of about n ops as an import does.
func fillerOf(t *testing.T, n int) *filler {
	f := &filler{journalChild: &journalChild{t: t, dir: t.TempDir(), ops: n, people: registration.MadeUp(2000, 11)}}
	f.makeMany()
	l, err := oplog.Open(context.Background(), f.options(forget{}, nil))
	f.check(err)
	defer func() { f.check(l.Close()) }()
	for after := uint64(0); ; {
		raw, last, err := l.Range(l.Own(), after, 0, 0)
		f.check(err)
		if raw == nil {
			return f
		}
		f.batches, f.wire, after = append(f.batches, raw), f.wire+len(raw), last
	}
}

func cpuHere() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fill has an empty node take everything, and says what that took of a core an op.
func (f *filler) fill(views bool, before, after func()) (each time.Duration) {
	dir := f.t.TempDir()
	o := f.options(forget{}, nil)
	if views {
		o = f.options(nil, station.Views())
		s, err := badgerstore.Open(filepath.Join(dir, "views"), [32]byte{2}, nil)
		f.check(err)
		o.Store = s
	}
	o.Dir, o.Authority = filepath.Join(dir, "journal"), oplogtest.Seeded([32]byte{7}).Peer(f.t)
	l, err := oplog.Open(context.Background(), o)
	f.check(err)
	before()
	began, n := cpuHere(), 0
	for _, raw := range f.batches {
		r, err := l.Merge(context.Background(), raw)
		f.check(err)
		n += r.Ops
	}
	each = (cpuHere() - began) / time.Duration(n)
	after()
	f.check(l.Close())
	return each
}

func TestMeshGate(t *testing.T) {
	n := 10000
	if os.Getenv("GATE_N") != "" {
		n = 60000
	}
	f := fillerOf(t, n)
	none := func() {}
	t.Log("bytes an op", float64(f.wire)/f.Ops, f.wire, f.JSON, f.Bare)
	for range 2 {
		t.Log("durable", f.fill(false, none, none))
	}
	t.Log("views", f.fill(true, none, none))
}
