package oplog

import (
	"bytes"
	"testing"
)

// The bytes of an op of the Narrow compartment: nothing in its header but what every op
// has, and the payload as it was given.
func TestGoldenNarrowOp(t *testing.T) {
	payload := bytes.Repeat([]byte{0x77}, sealedSizes[0])
	plain, err := narrowContent(payload)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "narrow", plain[:32])
	r := goldenRecord()
	r.comp, r.area, r.epoch, r.supersedes = Narrow, 0, 0, nil
	if err := sealPayload(fixedKeys{}, r, plain, false); err != nil || !bytes.Equal(r.payload, payload) {
		t.Fatalf("not stored as it was given: %v", err)
	}
	if back, err := openPayload(fixedKeys{}, r); err != nil || !bytes.Equal(back, plain) {
		t.Fatalf("cannot be read: %v", err)
	}
	r.link([32]byte(bytes.Repeat([]byte{0x33}, 32)), nil)
	golden(t, "narrow-op", append(append(append(r.appendHead(nil), r.prev[:]...), r.digest[:]...), r.hash[:]...))
	b := &batch{log: r.ref.Log, first: 7, prev: r.prev, ops: []record{*r}, sig: [64]byte(bytes.Repeat([]byte{0x44}, 64))}
	if back, err := parseBatch(b.encode(nil)); err != nil || !bytes.Equal(back.ops[0].payload, payload) {
		t.Fatalf("a batch with it: %v", err)
	}
}

// A header that says more than it may, or another size, is no sealed op; nor is a payload
// that says so in another compartment.
func TestWhatIsNoNarrowOp(t *testing.T) {
	e, err := newEngine([]Kind{Sealed}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &Log{auth: fixedKeys{}, engine: e}
	whole := func() *record {
		r := goldenRecord()
		r.comp, r.area, r.epoch, r.supersedes, r.payload = Narrow, 0, 0, nil, make([]byte, sealedSizes[1])
		return r
	}
	for name, change := range map[string]func(*record){
		"whole":         func(*record) {},
		"an area":       func(r *record) { r.area = 1 },
		"an epoch":      func(r *record) { r.epoch = 1 },
		"references":    func(r *record) { r.supersedes = []Ref{{Seq: 1}} },
		"a byte more":   func(r *record) { r.payload = make([]byte, sealedSizes[1]+1) },
		"nothing in it": func(r *record) { r.payload = nil },
		"in the open": func(r *record) {
			plain, _ := narrowContent(r.payload)
			r.comp = Deployment
			r.payload = compress(nil, plain, false)
		},
		"in the register": func(r *record) {
			plain, _ := narrowContent(r.payload)
			r.comp, r.area, r.epoch = Register, 1, 2
			if err := sealPayload(fixedKeys{}, r, plain, false); err != nil {
				t.Fatal(err)
			}
		},
	} {
		r := whole()
		change(r)
		s, _ := l.openRecord(r)
		if s.opaque != (name != "whole") {
			t.Errorf("%s: understood is %v", name, !s.opaque)
		}
	}
	if _, ok := ciphertextIn([]byte{0x80}); ok {
		t.Error("no content is a payload")
	}
}

func TestNarrowSurvivesTheViewStoreAndSalvage(t *testing.T) {
	plain, err := narrowContent(make([]byte, sealedSizes[3]))
	if err != nil {
		t.Fatal(err)
	}
	in := &stored{ref: Ref{Log: LogID{1}, Seq: 4}, clock: 9, subject: ID{3}, plain: plain, sealed: true, narrow: true}
	ops, err := parseSalvage(appendSalvage([]byte{frameSalvage}, in))
	if err != nil || len(ops) != 1 || !ops[0].narrow || compartmentOf(ops[0]) != Narrow || !ops[0].withoutPayload().narrow {
		t.Fatalf("%+v %v", ops, err)
	}
	if got, err := carriedOf(ops[0], carried{}); err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("put into something else: %v", err)
	}
}
