package oplog

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

// packable is a log to unpack in, and a batch with everything a header can say.
func packable(t testing.TB) (*Log, *batch) {
	t.Helper()
	l := &Log{auth: fixedKeys{}}
	b := &batch{log: LogID{9}, first: 7, prev: [32]byte{1}, sig: [64]byte{3}}
	people := SamplePeople(20, 1)
	for i := range 20 {
		r := record{ref: Ref{Log: b.log, Seq: b.first + uint64(i)}, clock: 100 + 3*uint64(i), subject: ID{byte(i), 5}, comp: Register, epoch: 2, salt: [16]byte{4}}
		switch i {
		case 3:
			r.supersedes = []Ref{{Log: b.log, Seq: 8}, {Log: LogID{2}, Seq: 70000}}
		case 5:
			r.comp, r.epoch, r.salt = Deployment, 0, [16]byte{}
		case 6:
			r.epoch, r.salt = 1, [16]byte{6}
		}
		if i < 3 { // the first are pinned by a golden
			key, _ := fixedKeys{}.CompartmentKey(r.comp, 0, r.epoch)
			aead, err := chacha20poly1305.NewX(key[:])
			if err != nil {
				t.Fatal(err)
			}
			r.payload = aead.Seal(nil, r.nonce(), compress(nil, bytes.Repeat([]byte{byte(i), 1, 2, 3}, 5+i), false), r.bound(fixedKeys{}.Deployment()))
		} else if body, err := encMode.Marshal(people[i]); err != nil {
			t.Fatal(err)
		} else if err := sealPayload(fixedKeys{}, &r, body, false); err != nil {
			t.Fatal(err)
		}
		if i == 8 {
			r.bare, r.digest, r.payload = true, [32]byte{8}, nil
		}
		b.ops = append(b.ops, r)
	}
	return l, b
}

// plainly gives the plain spelling of a batch.
func (l *Log) plainly(raw []byte) ([]byte, error) {
	b, _, err := l.readBatch(raw)
	if err != nil {
		return nil, err
	}
	return b.encode(nil), nil
}

// TestAPackedBatchComesBackAsItWas in both spellings, and is shorter.
func TestAPackedBatchComesBackAsItWas(t *testing.T) {
	l, b := packable(t)
	plain := b.encode(nil)
	for _, bare := range []bool{false, true} {
		packed := b.pack(nil, bare)
		got, err := l.plainly(packed)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, plain) {
			t.Fatalf("tags left out: %v: another batch came back", bare)
		}
		if len(packed) >= len(plain) {
			t.Errorf("%d bytes instead of %d", len(packed), len(plain))
		}
	}
	if got, err := l.plainly(plain); err != nil || !bytes.Equal(got, plain) {
		t.Error("a plain batch is not given as it is")
	}
}

// TestAPackedBatchOfAnotherKeyIsRefused: without the key the tags cannot be made.
func TestAPackedBatchOfAnotherKeyIsRefused(t *testing.T) {
	l, b := packable(t)
	l.auth = noKeys{}
	if _, err := l.plainly(b.pack(nil, true)); err != errNoKey { //nolint:errorlint // it is that one
		t.Error(err)
	}
	if _, err := l.plainly(b.pack(nil, false)); err != nil {
		t.Error(err)
	}
}

type noKeys struct{ fixedKeys }

func (noKeys) CompartmentKey(Compartment, uint16, uint32) ([32]byte, bool) { return [32]byte{}, false }

// TestTagIsThatOfTheCipher compares with the whole cipher, at lengths around its blocks.
func TestTagIsThatOfTheCipher(t *testing.T) {
	key := [32]byte{1, 2}
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		t.Fatal(err)
	}
	nonce := bytes.Repeat([]byte{7}, 24)
	for n := range 200 {
		bound := bytes.Repeat([]byte{9}, n/3)
		sealed := aead.Seal(nil, nonce, bytes.Repeat([]byte{5}, n), bound)
		var sub subkey
		if err := sub.of(oneKey(key), &record{comp: Register, salt: [16]byte(nonce)}); err != nil {
			t.Fatal(err)
		}
		tag, start, err := sub.tag(binary.BigEndian.Uint64(nonce[16:]), bound, sealed[:n])
		if plain := bytes.Repeat([]byte{5}, min(n, startSize)); !bytes.Equal(start[:len(plain)], plain) {
			t.Fatalf("%d bytes begin with %x", n, start)
		}
		if err != nil || !bytes.Equal(tag[:], sealed[n:]) {
			t.Fatalf("%d bytes: %x, %v", n, tag, err)
		}
	}
}

// oneKey is an authority with nothing but a key.
func oneKey(key [32]byte) Authority { return keyOnly{key: key} }

type keyOnly struct {
	Authority
	key [32]byte
}

func (k keyOnly) CompartmentKey(Compartment, uint16, uint32) ([32]byte, bool) { return k.key, true }

// TestGoldenPackedBatch pins the header of a packed batch; what zstd makes of the columns
// is pinned by what comes out of these bytes, not by making them again.
func TestGoldenPackedBatch(t *testing.T) {
	l, b := packable(t)
	raw, err := hex.DecodeString(goldenPacked)
	if err != nil {
		t.Fatal(err)
	}
	b.ops = b.ops[:2]
	got, err := l.plainly(raw)
	if err != nil || !bytes.Equal(got, b.encode(nil)) {
		t.Errorf("%v; now it would be %x", err, b.pack(nil, true))
	}
}

// goldenPacked are the first two ops of packable without tags.
const goldenPacked = "" +
	"575042020900000000000000000000000000000007010000000000000000000000000000000000000000000000000000000000000002012428b52ffd" +
	"0000d9000003001111000064030200020400000000000000000000000000000000050000000000000000010500000000000000001e5362c4aa384766" +
	"46c1af365b7a4912bd40057507e6f91a262a1ead07b17b3f038b03000000000000000000000000000000000000000000000000000000000000000000" +
	"000000000000000000000000000000000000000000000000000000000000"

// TestAnOpWithAWrongTagTravelsWithIt: what its writer signed is what everybody gets.
func TestAnOpWithAWrongTagTravelsWithIt(t *testing.T) {
	l, b := packable(t)
	b.ops[1].payload[len(b.ops[1].payload)-1] ^= 1
	plain := b.encode(nil)
	if got, err := l.plainly(b.pack(nil, true)); err != nil || bytes.Equal(got, plain) {
		t.Error("a wrong tag came back though it was left out", err)
	}
	if got, err := l.plainly(b.pack(nil, false)); err != nil || !bytes.Equal(got, plain) {
		t.Error("it did not travel", err)
	}
	b.ops[2].payload = b.ops[2].payload[:9] // no room for a tag
	plain = b.encode(nil)
	if got, err := l.plainly(b.pack(nil, true)); err != nil || !bytes.Equal(got, plain) {
		t.Error("a short payload did not travel", err)
	}
}

// TestWhatIsNoPackedBatch: limits hold before anything is taken for granted, and what the
// plain spelling may not say the packed one may not say either.
func TestWhatIsNoPackedBatch(t *testing.T) {
	l, b := packable(t)
	change := func(fn func(*batch)) []byte {
		c := *b
		c.ops = slices.Clone(b.ops)
		fn(&c)
		return c.pack(nil, false)
	}
	good := b.pack(nil, true)
	for name, raw := range map[string][]byte{
		"no ops": change(func(c *batch) { c.ops = nil }), "number 0": change(func(c *batch) { c.first = 0 }), "a first op behind another": change(func(c *batch) { c.first = 1 }),
		"no hash before": change(func(c *batch) { c.prev = [32]byte{} }), "a clock that stands": change(func(c *batch) { c.ops[4].clock = c.ops[3].clock }),
		"a clock over the limit": change(func(c *batch) { c.ops[19].clock = 1 << 63 }), "an open op without payload": change(func(c *batch) { c.ops[5].bare = true }),
		"an open op with salt": change(func(c *batch) { c.ops[5].salt = [16]byte{1} }), "no compartment": change(func(c *batch) { c.ops[0].comp = 0 }),
		"a payload over the limit": change(func(c *batch) { c.ops[4].payload = make([]byte, maxSealed+1) }),
		"more than a batch": change(func(c *batch) {
			for i := range 18 {
				c.ops[i%3].payload, c.ops[10+i%10].payload = make([]byte, maxSealed), make([]byte, maxSealed)
			}
			c.ops[3].payload, c.ops[4].payload, c.ops[7].payload, c.ops[9].payload = make([]byte, maxSealed), make([]byte, maxSealed), make([]byte, maxSealed), make([]byte, maxSealed)
		}),
		"more behind it": append(bytes.Clone(good), 0), "cut": good[:len(good)-1], "another flag": func() []byte {
			raw := bytes.Clone(good)
			raw[len(packedMagic)+16+1+32+1] |= 2
			return raw
		}(),
	} {
		if _, _, err := l.readBatch(raw); !errors.Is(err, errBatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestColumnsThatSwell: a few bytes that open to megabytes of columns are refused, and take
// no more memory than a batch may have.
func TestColumnsThatSwell(t *testing.T) {
	l, b := packable(t)
	raw := append([]byte(packedMagic), b.log[:]...)
	raw = append(append(binary.AppendUvarint(raw, 7), b.prev[:]...), 20, 0)
	columns := columnPacker().EncodeAll(make([]byte, 64<<20), nil)
	raw = append(append(binary.AppendUvarint(raw, uint64(len(columns))), columns...), make([]byte, 20*10+64)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := l.readBatch(raw)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, errBatch) || took > 8*MaxBatchBytes {
		t.Errorf("%d bytes took %d: %v", len(raw), took, err)
	}
}

// TestASwollenPayloadIsSeenUnderItsTag: what a payload says of its length is seen while its
// tag is made, in every form.
func TestASwollenPayloadIsSeenUnderItsTag(t *testing.T) {
	l, b := packable(t)
	aead, err := chacha20poly1305.NewX(bytes.Repeat([]byte{0x22}, 32))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		packed []byte
		swells bool
	}{
		"model":      {append(binary.AppendUvarint([]byte{formModel2, longSize}, 60000), 1, 2, 3), true},
		"zstd":       {[]byte{formZstd1, 0xa1, 0xff, 0xff, 0, 0, 1, 2, 3}, true},
		"stored":     {[]byte{formStored, 9, 9, 9}, false},
		"sound":      {pack(nil, bytes.Repeat([]byte{7}, 30), false), false},
		"nothing":    {nil, false},
		"cut":        {[]byte{formModel2, longSize}, false},
		"zstd, cut":  {[]byte{formZstd1, 0xa1, 0xff}, false},
		"of no form": {[]byte{77, 255, 255, 255}, false},
	} {
		r := &b.ops[10]
		r.payload = aead.Seal(nil, r.nonce(), c.packed, r.bound(fixedKeys{}.Deployment()))
		got, _, err := l.readBatch(b.pack(nil, true))
		if err != nil || !got.peeked || got.swells != c.swells {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// FuzzUnpackBatch: whatever comes, what is given is a batch that reads the same from its
// plain spelling, or nothing.
func FuzzUnpackBatch(f *testing.F) {
	l, b := packable(f)
	f.Add(b.pack(nil, true))
	f.Add(b.pack(nil, false))
	f.Add([]byte(packedMagic))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, packed, err := l.readBatch(raw)
		if err != nil || !packed {
			return
		}
		out := b.encode(nil)
		back, err := parseBatch(out)
		if err != nil || !bytes.Equal(back.encode(nil), out) || len(out) > MaxBatchBytes {
			t.Fatalf("%d bytes of %d: %v", len(out), len(raw), err)
		}
		b.link()
		back.link()
		if b.ops[len(b.ops)-1].hash != back.ops[len(b.ops)-1].hash {
			t.Fatal("another chain")
		}
	})
}
