package bundle

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// Whatever the records of a file are, they are read to the end or refused, within the
// limits, and only what is signed comes out.
func FuzzRecords(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	var out bytes.Buffer
	w := recorder{out: &out, signer: key}
	for _, e := range []record1{{recordHead, []byte("x")}, {recordHas, []byte("12345678")}, {recordBatch, []byte("a batch")}, {recordPiece, []byte("a piece")}} {
		if err := w.record(e.kind, e.body); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.seal(false); err != nil {
		f.Fatal(err)
	}
	if err := w.seal(true); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Add(append(bytes.Clone(out.Bytes()), 0, 0, 0))
	f.Add([]byte{recordBatch, 255, 255, 255, 255})
	f.Add([]byte{recordSeal, 0, 0, 0, 65})
	f.Fuzz(func(t *testing.T, raw []byte) {
		p := &parts{in: bytes.NewReader(raw)}
		for {
			records, err := p.next(func([]record1) (ed25519.PublicKey, error) { return key.Public().(ed25519.PublicKey), nil })
			if err != nil {
				if f := (Result{}).partFault(err, true); !errors.Is(err, io.EOF) && (fault.Of(f).Key == "fault.internal" || fault.ClassOf(f) == fault.Internal) {
					t.Fatal(f)
				}
				return
			}
			_, _ = parseFirst(records)
		}
	})
}

// A head that is taken has one spelling.
func FuzzHead(f *testing.F) {
	cert := identity.NodeCert{Number: 3}
	h := head{Version: version, Cert: cert.Marshal(), For: []byte("0123456789"), Stamp: 9, Ops: 1, Marks: []mark{{Log: oplog.LogID{1}, Seq: 2, Hash: make([]byte, 16)}}}
	f.Add(encode(h))
	h.Version = 2
	f.Add(encode(h))
	f.Add([]byte{0x87, 0x01})
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, cert, err := parseHead(raw)
		if err == nil && (!bytes.Equal(encode(h), raw) || !bytes.Equal(cert.Marshal(), h.Cert)) {
			t.Fatalf("%x has another spelling", raw)
		}
	})
}

// A later version says so, whatever it is made of.
func TestALaterVersion(t *testing.T) {
	cert := identity.NodeCert{Number: 3}
	h := head{Version: 2, Cert: cert.Marshal(), For: []byte{}, Marks: []mark{}}
	for _, raw := range [][]byte{encode(h), encode([]any{7, "something else"})} {
		if _, _, err := parseHead(raw); !errors.Is(err, errVersion) {
			t.Fatal(err)
		}
	}
	h.Version = 1
	h.Marks = []mark{{Log: oplog.LogID{2}, Seq: 1, Hash: make([]byte, 16)}, {Log: oplog.LogID{1}, Seq: 1, Hash: make([]byte, 16)}}
	if _, _, err := parseHead(encode(h)); !errors.Is(err, errHead) {
		t.Fatal("marks in disorder are taken")
	}
	h.Marks = []mark{{Log: oplog.LogID{2}, Seq: 1, Hash: make([]byte, 15)}}
	if _, _, err := parseHead(encode(h)); !errors.Is(err, errHead) {
		t.Fatal("half a hash is taken")
	}
}

// Memory stays within bounds, whatever a file says of its lengths: a part is refused before
// more than maxPart of it is taken.
func TestLengthsAreCapped(t *testing.T) {
	for _, raw := range [][]byte{
		{recordHead, 0, 0x40, 0, 1}, {recordHas, 0, 0x10, 0, 1}, {recordBatch, 0, 0x10, 0, 1}, {recordPiece, 0, 4, 0, 17}, {recordSeal, 0, 0, 0, 66}, {recordSeal, 0, 0, 0, 2, 1, 1},
		{0, 0, 0, 0, 0}, {9, 0, 0, 0, 0}, {255, 255, 255, 255, 255},
	} {
		p := &parts{in: bytes.NewReader(append(raw, make([]byte, 100)...))}
		if _, err := p.next(nil); !errors.Is(err, errRecords) {
			t.Fatalf("%v: %v", raw, err)
		}
	}
	one := append([]byte{recordBatch, 0, 0x10, 0, 0}, make([]byte, 1<<20)...)
	p := &parts{in: bytes.NewReader(bytes.Repeat(one, 10))}
	if _, err := p.next(nil); !errors.Is(err, errRecords) {
		t.Fatal(err)
	}
}
