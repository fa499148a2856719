//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/waypost/waypost/appliance/badgerstore"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/station"
)

// What a filled node costs, held against what cannot be done without: the same bytes sealed
// and opened once by a stream cipher, compressed, and a signature a batch. Both are
// measured in the same run, as time on a core, so that a slow or busy machine changes both.
const (
	gateBytes  = 64    // an op on the wire, made-up people with their households as an import writes them
	gateJSON   = 0.262 // of the same as JSON without who and when
	gateSealed = 26.0  // times the limit, until all is durable: hashes, the journal's own cipher, a flush a batch, and the views of the first; it was 16 when an op had 104 bytes to seal
)

// TestMeshGate is what make test holds of the figures of the mesh: bytes, and time on a core
// against a limit of the same run. WAYPOST_GATE_OPS asks for more ops than the 10,000 of a
// few seconds, and prints.
func TestMeshGate(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("WAYPOST_GATE_OPS"))
	f := fillerOf(t, max(n, 10000))
	each := float64(f.wire) / f.Ops
	t.Logf("%.1f B an op on the wire, %.3f of the JSON", each, float64(f.wire)/f.Bare)
	if each > gateBytes || float64(f.wire)/f.Bare > gateJSON {
		t.Errorf("an op takes %.1f bytes on the wire, %.3f of its JSON", each, float64(f.wire)/f.Bare)
	}
	least := 1e9
	for range 3 { // the best of three: others work on the machine too
		durable, whole := f.fill()
		limit := f.limit()
		t.Logf("on a core, an op: durable %v, with views %v, the limit %v", durable, whole, limit)
		least = min(least, float64(durable)/float64(limit))
	}
	if least > gateSealed {
		t.Errorf("until it is durable an op takes %.1f times what ciphers take for it", least)
	}
}

// filler is a journal with many people, as batches in the spelling a full node gets.
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
		raw, last, err := l.RangeIn(oplog.FormBare, l.Own(), after, 0, 0)
		f.check(err)
		if raw == nil {
			return f
		}
		f.batches, f.wire, after = append(f.batches, raw), f.wire+len(raw), last
	}
}

// onCore is how long this process was on a core.
func onCore() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fill has an empty node take everything, and says what that took of a core an op: until
// all was durable, and until it was in the views of the desks.
func (f *filler) fill() (durable, whole time.Duration) {
	dir := f.t.TempDir()
	store, err := badgerstore.Open(filepath.Join(dir, "views"), [32]byte{2}, nil)
	f.check(err)
	o := f.options(store, station.Views())
	o.Dir, o.Authority, o.Later = filepath.Join(dir, "journal"), oplogtest.Seeded([32]byte{7}).Peer(f.t), true
	l, err := oplog.Open(context.Background(), o)
	f.check(err)
	began, n := onCore(), 0
	for _, raw := range f.batches {
		r, err := l.Merge(context.Background(), raw)
		f.check(err)
		n += r.Ops
	}
	durable = (onCore() - began) / time.Duration(n)
	changed, stop := l.Watch()
	defer stop()
	for l.Late() {
		select {
		case <-changed:
		case <-time.After(time.Minute):
			f.t.Fatal("it is not folded")
		}
	}
	whole = (onCore() - began) / time.Duration(n)
	f.check(l.Close())
	return durable, whole
}

// limit seals, opens and packs the same bytes batch by batch and checks a signature for
// each: nothing that can be trusted and read costs less.
func (f *filler) limit() time.Duration {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	f.check(err)
	aead, err := chacha20poly1305.New(make([]byte, 32))
	f.check(err)
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	f.check(err)
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	f.check(err)
	defer dec.Close()
	nonce := make([]byte, aead.NonceSize())
	began, rounds := onCore(), 20 // short things are measured often
	for range rounds {
		for _, raw := range f.batches {
			packed, err := dec.DecodeAll(enc.EncodeAll(raw, nil), nil)
			f.check(err)
			opened, err := aead.Open(nil, nonce, aead.Seal(nil, nonce, packed, nil), nil)
			f.check(err)
			if !ed25519.Verify(public, opened[:64], ed25519.Sign(private, raw[:64])) || !bytes.Equal(opened, raw) {
				f.t.Fatal("that is not what was sealed")
			}
		}
	}
	return (onCore() - began) / time.Duration(rounds*int(f.Ops))
}
