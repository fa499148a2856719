package oplog_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// allocated is how much fn takes from the heap, freed or not.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// One node of the deployment sends a few kilobytes that open to hundreds of
// megabytes. They are refused before that, and nothing of them is kept.
func TestABatchThatSwellsIsRefused(t *testing.T) {
	for name, kind := range map[string]oplog.Kind{"open": openKind, "sealed": notedKind} {
		t.Run(name, func(t *testing.T) {
			v := notebook()
			auth := oplogtest.NewAuthority(t)
			l := oplogtest.Node(t, auth, nil, []*oplog.View{v})
			peer := auth.Peer(t)
			var blobs [][]byte
			size := 0
			for range 6 {
				blobs = append(blobs, oplog.Swollen(peer, peer.Node(), kind, noted{Text: strings.Repeat("a", 63000)}, 999))
				size += len(blobs[len(blobs)-1])
			}
			took := allocated(func() {
				r, err := l.Merge(context.Background(), blobs...)
				is(t, err, fault.Invalid, "fault.oplog.bad_batch")
				if r.Ops != 0 {
					t.Errorf("%d ops were taken over", r.Ops)
				}
			})
			if limit := uint64(20 * size); took > limit {
				t.Errorf("%d bytes on the wire took %d, more than %d", size, took, limit)
			}
			if len(l.Heads()) != 1 || len(keysOf(t, l, v, "")) != 0 {
				t.Error("something was kept")
			}
		})
	}
}

// The batches before a refused one stay, as each is whole by itself.
func TestWhatCameBeforeARefusedBatchStays(t *testing.T) {
	v, auth := notebook(), oplogtest.NewAuthority(t)
	one, two := oplogtest.Node(t, auth, nil, []*oplog.View{v}), oplogtest.Node(t, auth.Peer(t), nil, []*oplog.View{v})
	must(t, note(one, oplog.NewID(), "good"))
	good, _ := rangeOf(t, one, one.Own(), 0, 0)
	peer := auth.Peer(t)
	r, err := two.Merge(context.Background(), good, oplog.Swollen(peer, peer.Node(), openKind, noted{Text: strings.Repeat("a", 63000)}, 3))
	is(t, err, fault.Invalid, "fault.oplog.bad_batch")
	if got := keysOf(t, two, v, ""); r.Ops != 2 || len(got) != 1 {
		t.Errorf("%+v %v", r, got)
	}
}

// A carrier cannot see how large a sealed payload opens. When it is given the
// key, what swells is not understood there, and everything else is.
func TestACarrierThatIsGivenTheKeyDoesNotSwell(t *testing.T) {
	v := notebook()
	auth := oplogtest.NewAuthority(t)
	carrier := auth.Carrier(t)
	o := oplogtest.Options(t, carrier, nil, []*oplog.View{v})
	store := &keptStore{oplogtest.MemStore()}
	o.Store = store
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	peer := auth.Peer(t)
	_, err = l.Merge(context.Background(), oplog.Swollen(peer, peer.Node(), notedKind, noted{Text: strings.Repeat("a", 63000)}, 999))
	must(t, err)
	must(t, l.Close())
	carrier.Give(auth)
	took := allocated(func() {
		l = reopen(t, o, store)
	})
	if s := l.Stats(); s.Opaque != 999 || took > 16<<20 {
		t.Errorf("%d ops are not understood; opening took %d bytes", s.Opaque, took)
	}
}

// Whatever somebody writes is packed so that every other node takes it over, also
// joined with its neighbours under one signature.
func TestWhatIsWrittenIsNeverRefused(t *testing.T) {
	a, b, _ := pair(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, unit := range []string{"a", "family ", "needs: water; needs: shelter; "} {
		for _, n := range []int{1, 900, 1100, 5000, 60000} {
			text := strings.Repeat(unit, n/len(unit)+1)
			must(t, note(a, oplog.NewID(), text))
			must(t, note(a, oplog.NewID(), text[:len(text)/2]+string(rune('a'+rnd.IntN(26)))+text[len(text)/2:]))
		}
	}
	oplogtest.Exchange(t, a, b)
	oplogtest.Same(t, a, b)
	if s := b.Stats(); s.Opaque != 0 {
		t.Errorf("%d ops are not understood", s.Opaque)
	}
}

// A payload is bounded by its packed size, to the byte.
func TestHowFarAPayloadOpens(t *testing.T) {
	for n := range 3000 {
		plain := bytes.Repeat([]byte{'x'}, n)
		packed := oplog.Compress(nil, plain, n%2 == 1)
		if back, err := oplog.Expand(packed); err != nil || !bytes.Equal(back, plain) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if n > 1<<10+4*len(packed) {
			t.Fatalf("%d bytes open from %d", n, len(packed))
		}
	}
}

// countingStore tells how much was written between two states of the journal:
// what a group held in memory.
type countingStore struct {
	oplog.Store
	now, most int
}

func (s *countingStore) Begin() (oplog.StoreTx, error) {
	tx, err := s.Store.Begin()
	return &countingTx{tx, s}, err
}

type countingTx struct {
	oplog.StoreTx
	s *countingStore
}

func (t *countingTx) Put(key, value []byte) error {
	t.s.now += len(key) + len(value)
	if key[0] == 'm' { // the state row is the last of a group
		t.s.most, t.s.now = max(t.s.most, t.s.now), 0
	}
	return t.StoreTx.Put(key, value)
}

// A rebuild holds a few megabytes of opened ops at a time, however well they packed.
func TestARebuildTakesOpenedBytes(t *testing.T) {
	v := &oplog.View{Name: "none", Version: 1, Kinds: []oplog.Kind{notedKind}, Fold: func(oplog.ID, []oplog.Op) []oplog.Row { return nil }}
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{v})
	store := &countingStore{Store: oplogtest.MemStore()}
	o.Store = store
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	defer l.Close()
	text := make([]byte, 4000) // packs to a little more than a quarter
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range text {
		text[i] = "acgt"[rnd.IntN(4)]
	}
	for range 25 {
		must(t, l.Do(context.Background(), oplog.By{}, func(tx *oplog.Tx) error {
			for range 200 {
				if _, err := tx.Append(notedKind, oplog.NewID(), noted{Text: string(text)}); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	opened := 25 * 200 * len(text)
	store.most = 0
	must(t, l.Rebuild(context.Background()))
	if limit := 6 << 20; store.most > limit || store.most == 0 {
		t.Errorf("%d of %d opened bytes at once, more than %d; %d on the disk", store.most, opened, limit, l.Stats().JournalBytes)
	}
}
