package bundle_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/waypost/waypost/appliance/bundle"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/files/filestest"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// Two nodes that never hear each other become equal by one stick, both ways, and the
// answer has only what is missing.
func TestOneStickBothWays(t *testing.T) {
	a := founder(t)
	b := a.join("South")
	a.write(30)
	b.write(20)
	a.pieces.take(1, b)
	a.pieces.take(2, b)
	b.pieces.take(3, a)
	raw, info := a.any()
	if info.Ops != a.log.Stats().Ops || info.Pieces != 2 || info.Left != 0 {
		t.Fatalf("%+v of %d ops", info, a.log.Stats().Ops)
	}
	r := b.gets(raw)
	if r.Ops != info.Ops || r.OpsOf != info.Ops || r.New != info.Ops || r.Pieces != 2 || r.NewPieces != 2 || r.From != a.vault.NodeID() || r.Number != 1 {
		t.Fatalf("%+v", r)
	}
	answer, info := b.forNode(a)
	if info.Ops != b.heads()[b.log.Own()].Seq || info.Pieces != 1 {
		t.Fatalf("the answer has %+v", info)
	}
	if r := a.gets(answer); r.New != info.Ops || r.NewPieces != 1 {
		t.Fatalf("%+v", r)
	}
	oplogtest.Same(t, a.log, b.log)
	if len(a.pieces.held) != 3 || len(b.pieces.held) != 3 {
		t.Fatal("photos are missing")
	}
	// Nothing is left to say, and saying all again changes nothing.
	if _, info := a.forNode(b); info.Ops != 0 || info.Pieces != 0 {
		t.Fatalf("%+v for one who has all", info)
	}
	if r := b.gets(raw); r.New != 0 || r.NewPieces != 0 || r.Ops != r.OpsOf {
		t.Fatalf("read twice: %+v", r)
	}
	// A node reads its own.
	if r := a.gets(raw); r.New != 0 {
		t.Fatalf("%+v", r)
	}
}

// An older bundle that comes again brings nothing and does not make the writer forget what
// a newer one said.
func TestAnOldBundleIsHarmless(t *testing.T) {
	a := founder(t)
	b := a.join("South")
	old, _ := a.any()
	a.write(5)
	fresh, _ := a.any()
	b.gets(fresh)
	known, _ := b.memory.Of(a.vault.NodeID())
	if r := b.gets(old); r.New != 0 {
		t.Fatalf("%+v", r)
	}
	if again, _ := b.memory.Of(a.vault.NodeID()); again.Stamp != known.Stamp || again.Marks[a.log.Own()] != known.Marks[a.log.Own()] {
		t.Fatalf("%+v instead of %+v", again, known)
	}
}

// Without photos the file is small, and a later one brings them.
func TestPhotosCanBeLeftOut(t *testing.T) {
	a := founder(t)
	b := a.join("South")
	a.pieces.take(1, b)
	o := a.options()
	o.Bare = true
	raw, info := a.bytes(o)
	if info.Pieces != 0 || len(raw) > 100<<10 {
		t.Fatalf("%+v, %d bytes", info, len(raw))
	}
	b.gets(raw)
	raw, _ = b.forNode(a)
	a.gets(raw)
	raw, info = a.forNode(b)
	if info.Pieces != 1 {
		t.Fatalf("%+v", info)
	}
	if r := b.gets(raw); r.NewPieces != 1 {
		t.Fatalf("%+v", r)
	}
}

// Pieces nobody here asked for are not kept: they may be of somebody who was erased.
func TestPiecesOfNobodyAreNotKept(t *testing.T) {
	a := founder(t)
	b := a.join("South")
	a.pieces.take(1)
	raw, _ := a.any()
	if r := b.gets(raw); r.Pieces != 1 || r.NewPieces != 0 || len(b.pieces.held) != 0 {
		t.Fatalf("%+v", r)
	}
}

// A bundle for one node is read by that one, and says nothing to another.
func TestForOneNode(t *testing.T) {
	a := founder(t)
	b, c := a.join("South"), a.join("Clinic")
	raw, _ := a.forNode(b)
	_, err := c.read(raw)
	is(t, err, fault.Invalid, "fault.bundle.not_ours")
	if len(c.heads()) != 1 {
		t.Fatal("something was taken")
	}
	b.gets(raw)
}

// A node that is written to leaves nothing out that it lacks, also when what it said is
// not so any more: it is told what to ask for.
func TestAGapIsSaid(t *testing.T) {
	a := founder(t)
	b, c := a.join("South"), a.join("Clinic")
	c.write(3)
	raw, _ := c.any()
	a.gets(raw)
	a.write(5)
	o := a.options()
	o.Known.Marks = map[oplog.LogID]bundle.Mark{}
	h := a.heads()[a.log.Own()]
	o.Known.Marks[a.log.Own()] = bundle.Mark{Seq: h.Seq - 2, Hash: hash16(t, a, h.Seq-2)}
	raw, _ = a.bytes(o)
	r, err := b.read(raw)
	is(t, err, fault.Conflict, "fault.bundle.gap")
	if len(r.Missing) != 1 || r.Missing[0] != a.log.Own() || b.heads()[c.log.Own()].Seq == 0 {
		t.Fatalf("%+v: the other log has to be there", r)
	}
}

func hash16(t *testing.T, p *post, seq uint64) [16]byte {
	h, ok := p.log.HashAt(p.log.Own(), seq)
	if !ok {
		t.Fatal("no hash")
	}
	return [16]byte(h[:16])
}

// Who is shut out is not heard, and is not written to.
func TestAShutOutNodeIsRefusedWhole(t *testing.T) {
	a := founder(t)
	b, c := a.join("South"), a.join("Clinic")
	for _, p := range []*post{b, c} {
		must(t, a.desk.Confirm(context.Background(), oplog.By{1}, p.vault.NodeID()))
	}
	raw, _ := a.any()
	b.gets(raw)
	c.gets(raw)
	c.write(5)
	theirs, _ := c.any()
	must(t, a.desk.Suspend(context.Background(), oplog.By{2}, c.vault.NodeID()))
	must(t, a.desk.Follow(context.Background()))
	before := a.log.Stats().Ops
	_, err := a.read(theirs)
	is(t, err, fault.Denied, "fault.bundle.shut_out")
	if a.log.Stats().Ops != before {
		t.Fatal("something of it was taken")
	}
	if _, remembered := a.memory.Of(c.vault.NodeID()); remembered {
		t.Fatal("it was remembered")
	}
	// b has not heard of it, and reads what is written since although the keys changed.
	a.write(3)
	raw, _ = a.any()
	if r := b.gets(raw); r.New == 0 {
		t.Fatalf("%+v", r)
	}
	_, err = b.read(theirs)
	is(t, err, fault.Denied, "fault.bundle.shut_out")
	// The thief has every key it ever had, and no slot.
	_, err = c.read(raw)
	is(t, err, fault.Invalid, "fault.bundle.not_ours")
}

// A node that joined elsewhere, which the writer has not heard of, reads by the common key.
func TestANodeTheWriterHasNotHeardOf(t *testing.T) {
	a := founder(t)
	b := a.join("South")
	raw, _ := a.any()
	b.gets(raw)
	c := a.join("Clinic")
	if len(b.nodes()) != 2 {
		t.Fatalf("b knows %d nodes", len(b.nodes()))
	}
	raw, _ = b.any()
	if r := c.gets(raw); r.New == 0 {
		t.Fatalf("%+v", r)
	}
}

// From outside a file says how long it is, in steps of 64 KB.
func TestABundleShowsNothingFromOutside(t *testing.T) {
	a := founder(t)
	b := a.join("South")
	a.write(10)
	for _, raw := range [][]byte{first(a.any()), first(a.forNode(b))} {
		if n := len(raw) - 16 - 8*81; n%(64<<10+16) != 0 {
			t.Fatalf("%d bytes", len(raw))
		}
		id, cert := a.vault.NodeID(), a.vault.Cert()
		log, dep := a.log.Own(), a.vault.Deployment()
		for _, secret := range [][]byte{[]byte("WPB"), []byte("North"), []byte("waypost"), []byte("Waypost"), id[:], cert.Public[:], cert.Seal[:], log[:], dep[:]} {
			if bytes.Contains(raw, secret) {
				t.Fatalf("%q can be read", secret)
			}
		}
	}
	x, y := first(a.any()), first(a.any())
	if bytes.Equal(x[:100], y[:100]) {
		t.Fatal("two bundles begin alike")
	}
}

func first(raw []byte, _ bundle.Info) []byte { return raw }

func TestNamesSayNothing(t *testing.T) {
	if n := bundle.NewName(); !regexp.MustCompile(`^data-[0-9a-f]{6}\.bin$`).MatchString(n) || n == bundle.NewName() {
		t.Fatal(n)
	}
}

// What is no bundle for this node is refused in one sentence, and nothing is taken.
func TestWhatIsNoBundle(t *testing.T) {
	a := founder(t)
	b := a.join("South")
	a.write(1500)
	a.pieces.take(1)
	raw, _ := a.any()
	foreign, _ := founder(t).any()
	random := make([]byte, 1<<20)
	_, _ = rand.Read(random)
	flip := func(at int) []byte {
		out := bytes.Clone(raw)
		out[at] ^= 1
		return out
	}
	for _, c := range []struct {
		name string
		raw  []byte
		key  string
		some bool // parts before it are taken
	}{
		{"nothing", nil, "fault.bundle.empty", false},
		{"one byte", raw[:1], "fault.bundle.short", false},
		{"a slot", raw[:500], "fault.bundle.short", false},
		{"the front alone", raw[:16+8*81], "fault.bundle.short", false},
		{"half a chunk", raw[:30000], "fault.bundle.short", false},
		{"random bytes", random, "fault.bundle.not_ours", false},
		{"zeros", make([]byte, 1<<20), "fault.bundle.not_ours", false},
		{"all ones", bytes.Repeat([]byte{255}, 1<<20), "fault.bundle.not_ours", false},
		{"another operation", foreign, "fault.bundle.not_ours", false},
		{"another id", flip(3), "fault.bundle.not_ours", false},
		{"somebody else's slot", flip(16 + 7*81 + 40), "fault.bundle.forged", false},
		{"the first chunk", flip(16 + 8*81 + 100), "fault.bundle.damaged_whole", false},
		{"the last byte", flip(len(raw) - 1), "fault.bundle.damaged_photos", true},
		{"a byte more", append(bytes.Clone(raw), 0), "fault.bundle.damaged_photos", true},
		{"a chunk less", raw[:len(raw)-(64<<10+16)], "fault.bundle.cut_photos", true},
		{"half", raw[:len(raw)/2], "fault.bundle.cut", true},
		{"twice", append(bytes.Clone(raw), raw...), "fault.bundle.damaged_photos", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := b
			if c.some {
				n = a.join("Elsewhere")
			}
			before := n.log.Stats().Ops
			r, err := n.read(c.raw)
			class := fault.Invalid
			if c.key == "fault.bundle.forged" {
				class = fault.Denied
			}
			is(t, err, class, c.key)
			if !c.some && (n.log.Stats().Ops != before || r.Ops != 0) {
				t.Fatalf("%+v was taken", r)
			}
			n.within(a)
		})
	}
}

// Wherever a file is cut, all whole parts before that are used, it is said how many, and
// the whole file brings the rest.
func TestAnyCutGivesWhatIsWhole(t *testing.T) {
	a := founder(t)
	a.write(3000)
	helper := a.join("South")
	a.pieces.take(1, helper)
	raw, info := a.any()
	want := a.heads()[a.log.Own()]
	rnd := mrand.New(mrand.NewPCG(7, 8))
	most := uint64(0)
	for range 8 {
		b := a.join("South")
		b.pieces.lacks = helper.pieces.lacks
		at := rnd.IntN(len(raw))
		r, err := b.read(raw[:at])
		if err == nil {
			t.Fatalf("cut at %d of %d is taken as whole", at, len(raw))
		}
		b.within(a)
		if got := b.log.Stats().Ops - b.heads()[b.log.Own()].Seq; r.New > got {
			t.Fatalf("%d are said to be new, there are %d", r.New, got)
		}
		most = max(most, r.Ops)
		r, err = b.read(raw)
		must(t, err)
		if r.Ops != info.Ops || b.heads()[a.log.Own()] != want {
			t.Fatalf("%+v after a cut at %d", r, at)
		}
		if len(b.pieces.held) != 1 {
			t.Fatal("the photo did not come")
		}
	}
	if most == 0 {
		t.Fatal("no cut gave anything")
	}
}

// Whatever bit is flipped: no panic, and nothing is stored that was not written.
func TestAnyFlippedBit(t *testing.T) {
	a := founder(t)
	b := a.join("South")
	a.write(200)
	a.pieces.take(1, b)
	a.pieces.take(2, b)
	raw, _ := a.any()
	rnd := mrand.New(mrand.NewPCG(1, 2))
	for i := range 300 {
		at := rnd.IntN(len(raw))
		if i < 100 {
			at = rnd.IntN(16 + 8*81 + 200)
		}
		bad := bytes.Clone(raw)
		bad[at] ^= 1 << rnd.IntN(8)
		if rnd.IntN(3) == 0 {
			bad = bad[:rnd.IntN(len(bad))]
		}
		r, err := b.read(bad)
		if err == nil {
			t.Fatalf("byte %d: %+v", at, r)
		}
		if k := fault.Of(err).Key; k == "fault.internal" {
			t.Fatal(err)
		}
		b.within(a)
	}
	b.gets(raw)
}

// Chunks of a file in another order, or left out, are refused.
func TestChunksKeepTheirPlaces(t *testing.T) {
	a := founder(t)
	a.write(1500)
	raw, _ := a.any()
	const front, chunk = 16 + 8*81, 64<<10 + 16
	n := (len(raw) - front) / chunk
	if n < 4 {
		t.Fatalf("%d chunks", n)
	}
	at := func(i int) []byte { return raw[front+i*chunk : front+(i+1)*chunk] }
	swapped := bytes.Clone(raw)
	copy(swapped[front+chunk:], at(2))
	copy(swapped[front+2*chunk:], at(1))
	without := append(bytes.Clone(raw[:front+chunk]), raw[front+2*chunk:]...)
	for _, bad := range [][]byte{swapped, without} {
		b := a.join("South")
		_, err := b.read(bad)
		if k := fault.Of(err).Key; err == nil || k != "fault.bundle.damaged" && k != "fault.bundle.damaged_whole" {
			t.Fatal(err)
		}
		b.within(a)
	}
}

// A medium that does not answer, and a person who stops, are no fault of the file.
func TestReadingStops(t *testing.T) {
	a := founder(t)
	b := a.join("South")
	a.write(600)
	raw, _ := a.any()
	_, err := bundle.Read(context.Background(), io.MultiReader(bytes.NewReader(raw[:70000]), iotest.ErrReader(syscall.EIO)), b.readOptions())
	is(t, err, fault.Unavailable, "fault.bundle.cannot_read")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = bundle.Read(ctx, bytes.NewReader(raw), b.readOptions())
	is(t, err, fault.Unavailable, "fault.bundle.stopped")
	b.pieces.put = func() error { return fault.New(fault.Full, "fault.chunks.no_room") }
	a.pieces.take(1, b)
	raw, _ = a.any()
	_, err = b.read(raw)
	is(t, err, fault.Full, "fault.chunks.no_room")
	if b.heads()[a.log.Own()] != a.heads()[a.log.Own()] {
		t.Fatal("records come before photos")
	}
}

// A file is there whole or not at all, whatever operation fails.
func TestAFileIsWholeOrNotThere(t *testing.T) {
	a := founder(t)
	b := a.join("South")
	a.write(10)
	for k := 1; ; k++ {
		dir := t.TempDir()
		fsys := filestest.NewFailing(files.OS())
		fsys.Arm(k, filestest.Fault{Err: syscall.ENOSPC, Short: true})
		file := filepath.Join(dir, bundle.NewName())
		_, err := bundle.WriteFile(context.Background(), fsys, file, a.options())
		raw, rerr := os.ReadFile(file)
		left, _ := os.ReadDir(dir)
		if err == nil {
			if k < 4 {
				t.Fatalf("only %d operations", k)
			}
			b.gets(raw)
			break
		}
		is(t, err, fault.Full, "fault.bundle.full")
		if rerr == nil {
			b.gets(raw) // only the folder was not flushed
		} else if len(left) != 0 {
			t.Fatalf("operation %d leaves %v", k, left)
		}
	}
	file := filepath.Join(t.TempDir(), "photo.jpg")
	must(t, os.WriteFile(file, []byte("somebody's photo"), 0o600))
	_, err := bundle.WriteFile(context.Background(), files.OS(), file, a.options())
	is(t, err, fault.Conflict, "fault.bundle.exists")
	_, err = bundle.WriteFile(context.Background(), files.OS(), filepath.Join(t.TempDir(), "not", "there"), a.options())
	is(t, err, fault.Unavailable, "fault.bundle.gone")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir := t.TempDir()
	_, err = bundle.WriteFile(ctx, files.OS(), filepath.Join(dir, "x"), a.options())
	is(t, err, fault.Unavailable, "fault.bundle.stopped")
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Fatal("something is left")
	}
}

// What was remembered of a node can be unreadable: then everything is written.
func TestMemory(t *testing.T) {
	dir := t.TempDir()
	m := bundle.NewMemory(files.OS(), dir)
	id := oplog.ID{7}
	if _, ok := m.Of(id); ok {
		t.Fatal("something of nobody")
	}
	k := bundle.Known{Stamp: 5, Marks: map[oplog.LogID]bundle.Mark{{1}: {Seq: 3, Hash: [16]byte{9}}}, Pieces: []byte("aaaaaaaabbbbbbbb")}
	must(t, m.Keep(id, k))
	k.Stamp = 4
	k.Marks = nil
	must(t, m.Keep(id, k))
	got, ok := m.Of(id)
	if !ok || got.Stamp != 5 || got.Marks[oplog.LogID{1}].Seq != 3 || string(got.Pieces) != "aaaaaaaabbbbbbbb" {
		t.Fatalf("%+v", got)
	}
	must(t, os.WriteFile(filepath.Join(dir, id.String()), []byte("{"), 0o600))
	if _, ok := m.Of(id); ok {
		t.Fatal("half a file is believed")
	}
	must(t, m.Forget(id))
	must(t, m.Forget(id))
	now := founder(t).clock.Now()
	one, err := m.Stamp(now)
	must(t, err)
	two, err := m.Stamp(now.AddDate(-50, 0, 0))
	must(t, err)
	if two <= one {
		t.Fatalf("%d after %d", two, one)
	}
	fsys := filestest.NewFailing(files.OS())
	fsys.Arm(1, filestest.Fault{Err: syscall.EROFS, Lasting: true})
	_, err = bundle.NewMemory(fsys, filepath.Join(dir, "x")).Stamp(now)
	if fault.ClassOf(err) != fault.Unavailable || !errors.Is(err, syscall.EROFS) {
		t.Fatal(err)
	}
}

// Whatever a file holds, it is taken as what it is or refused with a fault of ours, and
// nothing is stored that was not written.
func FuzzRead(f *testing.F) {
	a := founder(f)
	b := a.join("South")
	a.write(20)
	a.pieces.take(1, b)
	raw, _ := a.any()
	small, _ := a.forNode(b)
	f.Add(raw)
	f.Add(small[:1000])
	f.Add(raw[:len(raw)/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		a.t, b.t = t, t
		_, err := bundle.Read(context.Background(), bytes.NewReader(content), b.readOptions())
		if err != nil && (fault.Of(err).Key == "fault.internal" || fault.ClassOf(err) == fault.Internal) {
			t.Fatal(err)
		}
		b.within(a)
	})
}
