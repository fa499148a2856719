package oplog_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// TestInspectNeedsNoKeys: with public keys alone it tells a batch from everything else.
func TestInspectNeedsNoKeys(t *testing.T) {
	type text struct {
		Text string `cbor:"1,keyasint"`
	}
	kind := oplog.NewKind[text]("test.inspected", 1, oplog.Register)
	auth := oplogtest.NewAuthority(t)
	l := oplogtest.Harness(t, []oplog.Kind{kind}, nil)
	foreign := oplogtest.NewAuthority(t)
	a := oplogtest.Node(t, auth, []oplog.Kind{kind}, nil)
	for _, log := range []*oplog.Log{l, a} {
		if err := log.Do(context.Background(), oplog.By{1}, func(tx *oplog.Tx) error {
			_, err := tx.Append(kind, oplog.NewID(), text{"hello"})
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	first, at, err := a.Range(a.Own(), 0, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	next, _, err := a.Range(a.Own(), at, 10, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	d := auth.Deployment()
	carrier := auth.Carrier(t)
	o, err := oplog.Inspect(d, carrier.LogKey, nil, first)
	if err != nil || o.Log != a.Own() || o.First != 1 || o.Last != at || o.Prev != [32]byte{} {
		t.Fatalf("%+v %v", o, err)
	}
	p, err := oplog.Inspect(d, carrier.LogKey, o.Key, next)
	if err != nil || p.Prev != o.Hash || p.First != at+1 {
		t.Fatalf("%+v %v", p, err)
	}
	head := a.Heads()[0]
	if h, ok := p.HashAt(head.Seq); !ok || h != head.Hash || p.Hash != head.Hash {
		t.Error("its last hash is not the head's")
	}
	if known := a.Known(); len(known) != 1 || known[0].Head != head || !known[0].Key.Equal(o.Key) {
		t.Errorf("%+v", known)
	}
	if log, ok := oplog.BatchLog(next); !ok || log != a.Own() {
		t.Error(log, ok)
	}
	other, _, _ := ed25519.GenerateKey(nil)
	for name, try := range map[string]func() error{
		"another key":        func() error { _, err := oplog.Inspect(d, carrier.LogKey, other, next); return err },
		"no key, the middle": func() error { _, err := oplog.Inspect(d, carrier.LogKey, nil, next); return err },
		"another deployment": func() error { _, err := oplog.Inspect(foreign.Deployment(), carrier.LogKey, o.Key, next); return err },
		"a foreign birth":    func() error { _, err := oplog.Inspect(d, foreign.LogKey, nil, first); return err },
		"a short key":        func() error { _, err := oplog.Inspect(d, carrier.LogKey, o.Key[:31], next); return err },
	} {
		if try() == nil {
			t.Error(name)
		}
	}
	for i := range next {
		bad := bytes.Clone(next)
		bad[i] ^= 1
		if _, err := oplog.Inspect(d, carrier.LogKey, o.Key, bad); err == nil {
			t.Fatalf("byte %d changed, and nobody sees it", i)
		} else if fault.ClassOf(err) == fault.Internal {
			t.Fatal(err)
		}
	}
}

func FuzzInspect(f *testing.F) {
	auth := oplogtest.Seeded([32]byte{1})
	f.Add([]byte("WPB\x01"), true)
	f.Fuzz(func(t *testing.T, raw []byte, known bool) {
		var key ed25519.PublicKey
		if known {
			key = make([]byte, ed25519.PublicKeySize)
		}
		if _, err := oplog.Inspect(auth.Deployment(), auth.LogKey, key, raw); err == nil {
			t.Error("a signature nobody made")
		}
	})
}
