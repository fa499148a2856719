package bundle

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/sha256"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

var update = flag.Bool("update", false, "write the golden file")

// fixed is a node whose keys never change.
type fixed struct {
	node ed25519.PrivateKey
	root ed25519.PrivateKey
	seal *ecdh.PrivateKey
	cert identity.NodeCert
}

func seed(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

// newFixed signs its own certificates, byte by byte as package identity has them.
func newFixed(t *testing.T, n byte) *fixed {
	t.Helper()
	k := &fixed{node: ed25519.NewKeyFromSeed(seed(n)), root: ed25519.NewKeyFromSeed(seed(100))}
	issuer := ed25519.NewKeyFromSeed(seed(101))
	var err error
	if k.seal, err = ecdh.X25519().NewPrivateKey(seed(n + 50)); err != nil {
		t.Fatal(err)
	}
	dep := k.Deployment()
	o := cbor.CoreDetEncOptions()
	o.ByteArray = cbor.ByteArrayToByteSlice
	m, err := o.EncMode()
	if err != nil {
		t.Fatal(err)
	}
	enc := func(v any) []byte {
		b, err := m.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	c := identity.NodeCert{Number: uint16(n), Public: [32]byte(k.node.Public().(ed25519.PublicKey)), Seal: [32]byte(k.seal.PublicKey().Bytes()), Areas: []uint16{0}, NotAfter: 1 << 40}
	c.Issuer = identity.IssuerCert{Public: [32]byte(issuer.Public().(ed25519.PublicKey)), NotAfter: 1 << 40}
	i := c.Issuer
	c.Issuer.Sig = [64]byte(ed25519.Sign(k.root, slices.Concat([]byte("waypost/issuer/1"), dep[:], enc([]any{1, i.Public, i.NotBefore, i.NotAfter, i.Sig}))))
	i = c.Issuer
	c.Sig = [64]byte(ed25519.Sign(issuer, slices.Concat([]byte("waypost/node-cert/1"), dep[:], enc([]any{
		1, c.Number, c.Public, c.Seal, c.Areas, uint8(c.Caps), c.NotBefore, c.NotAfter, []any{1, i.Public, i.NotBefore, i.NotAfter, i.Sig}, c.Sig,
	}))))
	k.cert = c
	if err := c.Verify(k.Root()); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *fixed) Deployment() [16]byte           { return identity.DeploymentOf(k.Root()) }
func (k *fixed) Root() ed25519.PublicKey        { return k.root.Public().(ed25519.PublicKey) }
func (k *fixed) Cert() identity.NodeCert        { return k.cert }
func (k *fixed) Signer() crypto.Signer          { return k.node }
func (k *fixed) BundleSecrets() [][32]byte      { return [][32]byte{[32]byte(seed(200))} }
func (k *fixed) Outcast(identity.NodeCert) bool { return false }

func (k *fixed) UnsealBundle(id [16]byte, sealed []byte) ([]byte, error) {
	private, err := hpke.NewDHKEMPrivateKey(k.seal)
	if err != nil {
		return nil, err
	}
	return hpke.Open(private, kdf(), aead(), identity.BundleInfo(k.Deployment(), id), sealed)
}

// fixedLog has one log of which a bundle takes the end; its batch is not looked into.
type fixedLog struct{}

var goldenBatch = []byte("a batch of the journal")

func (fixedLog) Heads() []oplog.Head {
	return []oplog.Head{{Log: oplog.LogID{1}, Seq: 5, Hash: [32]byte(seed(9))}, {Log: oplog.LogID{2}, Seq: 3, Hash: [32]byte(seed(8))}}
}
func (fixedLog) HashAt(oplog.LogID, uint64) ([32]byte, bool) { return [32]byte(seed(7)), true }
func (fixedLog) Range(_ oplog.LogID, _ uint64, _, _ int) ([]byte, uint64, error) {
	return goldenBatch, 5, nil
}

type fixedPieces struct{}

var goldenPiece = []byte("a sealed piece of a photo")

func (fixedPieces) IDs() [][32]byte              { return [][32]byte{sha256.Sum256(goldenPiece)} }
func (fixedPieces) Get([32]byte) ([]byte, error) { return goldenPiece, nil }

// taken is where the golden bundle goes.
type taken struct {
	batches [][]byte
	pieces  [][]byte
}

func (s *taken) Merge(_ context.Context, b ...[]byte) (oplog.MergeResult, error) {
	for _, e := range b {
		s.batches = append(s.batches, bytes.Clone(e))
	}
	return oplog.MergeResult{Ops: 2 * len(b)}, nil
}
func (s *taken) Lacks([32]byte) bool { return true }
func (s *taken) Put(_ [32]byte, b []byte) error {
	s.pieces = append(s.pieces, bytes.Clone(b))
	return nil
}

// The files of this version are read by every later one: for any, by the common key and by
// the key of a certificate, and for one node.
func TestGolden(t *testing.T) {
	a, b, stranger := newFixed(t, 1), newFixed(t, 2), newFixed(t, 3)
	known := Known{Marks: map[oplog.LogID]Mark{{1}: {Seq: 3, Hash: [16]byte(seed(7))}, {2}: {Seq: 3, Hash: [16]byte(seed(7))}}}
	for name, o := range map[string]Options{
		"any.bin": {Nodes: []identity.NodeCert{a.cert, b.cert}, Common: true, Known: known},
		"one.bin": {For: &b.cert, Known: known},
	} {
		file := filepath.Join("testdata", name)
		if *update {
			o.Keys, o.Source, o.Pieces, o.Stamp = a, fixedLog{}, fixedPieces{}, 1234
			var out bytes.Buffer
			if _, err := Write(context.Background(), &out, o); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("%v (write it with -update)", err)
		}
		for reader, opens := range map[*fixed]bool{b: true, stranger: name == "any.bin"} {
			into := &taken{}
			r, err := Read(context.Background(), bytes.NewReader(raw), ReadOptions{Keys: reader, Book: reader, Into: into, Pieces: into})
			if !opens {
				if err == nil {
					t.Fatalf("%s opens for another node", name)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.From != a.cert.ID() || r.Number != 1 || r.OpsOf != 2 || r.PiecesOf != 1 || r.New != 2 || len(into.batches) != 1 || !bytes.Equal(into.batches[0], goldenBatch) || len(into.pieces) != 1 || !bytes.Equal(into.pieces[0], goldenPiece) {
				t.Fatalf("%+v %q %q", r, into.batches, into.pieces)
			}
		}
	}
}
