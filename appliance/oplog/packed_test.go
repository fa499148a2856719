package oplog

import (
	"bytes"
	"encoding/hex"
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

// TestAPackedBatchComesBackAsItWas in both spellings, and is shorter.
func TestAPackedBatchComesBackAsItWas(t *testing.T) {
	l, b := packable(t)
	plain := b.encode(nil)
	for _, bare := range []bool{false, true} {
		packed := b.pack(nil, bare)
		got, err := l.unpackBatch(packed)
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
	if got, err := l.unpackBatch(plain); err != nil || !bytes.Equal(got, plain) {
		t.Error("a plain batch is not given as it is")
	}
}

// TestAPackedBatchOfAnotherKeyIsRefused: without the key the tags cannot be made.
func TestAPackedBatchOfAnotherKeyIsRefused(t *testing.T) {
	l, b := packable(t)
	l.auth = noKeys{}
	if _, err := l.unpackBatch(b.pack(nil, true)); err != errNoKey { //nolint:errorlint // it is that one
		t.Error(err)
	}
	if _, err := l.unpackBatch(b.pack(nil, false)); err != nil {
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
		tag, err := tagOf(key, nonce, bound, sealed[:n])
		if err != nil || !bytes.Equal(tag[:], sealed[n:]) {
			t.Fatalf("%d bytes: %x, %v", n, tag, err)
		}
	}
}

// TestGoldenPackedBatch pins the header of a packed batch; what zstd makes of the columns
// is pinned by what comes out of these bytes, not by making them again.
func TestGoldenPackedBatch(t *testing.T) {
	l, b := packable(t)
	raw, err := hex.DecodeString(goldenPacked)
	if err != nil {
		t.Fatal(err)
	}
	b.ops = b.ops[:2]
	got, err := l.unpackBatch(raw)
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
	if got, err := l.unpackBatch(b.pack(nil, true)); err != nil || bytes.Equal(got, plain) {
		t.Error("a wrong tag came back though it was left out", err)
	}
	if got, err := l.unpackBatch(b.pack(nil, false)); err != nil || !bytes.Equal(got, plain) {
		t.Error("it did not travel", err)
	}
	b.ops[2].payload = b.ops[2].payload[:9] // no room for a tag
	plain = b.encode(nil)
	if got, err := l.unpackBatch(b.pack(nil, true)); err != nil || !bytes.Equal(got, plain) {
		t.Error("a short payload did not travel", err)
	}
}

// FuzzUnpackBatch: whatever comes, what is given is a batch that reads as plain or nothing.
func FuzzUnpackBatch(f *testing.F) {
	l, b := packable(f)
	f.Add(b.pack(nil, true))
	f.Add(b.pack(nil, false))
	f.Add([]byte(packedMagic))
	f.Fuzz(func(t *testing.T, raw []byte) {
		out, err := l.unpackBatch(raw)
		if err == nil && len(out) > max(MaxBatchBytes, len(raw)) {
			t.Fatalf("%d bytes of %d", len(out), len(raw))
		}
	})
}
