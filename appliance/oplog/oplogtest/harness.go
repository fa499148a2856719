package oplogtest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/oplog"
)

// Authority is a made-up node of a made-up deployment: its own root, one key a
// node and one register key for all of them. It implements oplog.Authority.
type Authority struct {
	root ed25519.PublicKey
	sign ed25519.PrivateKey // root's
	node ed25519.PrivateKey
	reg  map[uint32][32]byte
	now  uint32
}

// NewAuthority is the first node of a new deployment.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	root, sign := keyPair(t)
	_, node := keyPair(t)
	a := &Authority{root: root, sign: sign, node: node, reg: map[uint32][32]byte{}, now: 1}
	a.reg[1] = sha256.Sum256(append([]byte("register"), sign.Seed()...))
	return a
}

// Seeded is always the same node of always the same deployment, for golden
// files and for tests that reopen a folder in another process.
func Seeded(seed [32]byte) *Authority {
	sign := ed25519.NewKeyFromSeed(seed[:])
	node := sha256.Sum256(append([]byte("node"), seed[:]...))
	a := &Authority{root: sign.Public().(ed25519.PublicKey), sign: sign, node: ed25519.NewKeyFromSeed(node[:]), reg: map[uint32][32]byte{}, now: 1}
	a.reg[1] = sha256.Sum256(append([]byte("register"), seed[:]...))
	return a
}

func keyPair(t testing.TB) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pub, priv
}

// Peer is another node of the same deployment, with a key of its own.
func (a *Authority) Peer(t testing.TB) *Authority {
	t.Helper()
	_, node := keyPair(t)
	return &Authority{root: a.root, sign: a.sign, node: node, reg: a.reg, now: a.now}
}

// Carrier is another node that holds no register key: it stores and forwards.
func (a *Authority) Carrier(t testing.TB) *Authority {
	t.Helper()
	p := a.Peer(t)
	p.reg = nil
	return p
}

// Give hands over the register keys of another node.
func (a *Authority) Give(from *Authority) { a.reg = from.reg }

// Node is the id of this node, as identity would derive it.
func (a *Authority) Node() oplog.ID {
	sum := sha256.Sum256(append([]byte("waypost/node/1"), a.node.Public().(ed25519.PublicKey)...))
	return oplog.ID(sum[:10])
}

// Deployment is derived from the root.
func (a *Authority) Deployment() [16]byte {
	sum := sha256.Sum256(append([]byte("waypost/deployment/1"), a.root...))
	return [16]byte(sum[:16])
}

// birth is the body of a log's first op: the node's key signed by the root.
type birth struct {
	_     struct{} `cbor:",toarray"`
	Key   []byte
	Nonce []byte
	Sig   []byte
}

// Birth makes the first op's body of a new log.
func (a *Authority) Birth(nonce [16]byte) (oplog.LogID, []byte) {
	pub := a.node.Public().(ed25519.PublicKey)
	body, err := cbor.Marshal(birth{Key: pub, Nonce: nonce[:], Sig: ed25519.Sign(a.sign, pub)})
	if err != nil {
		panic(err) // byte strings always marshal
	}
	return logID(pub, nonce[:]), body
}

func logID(pub ed25519.PublicKey, nonce []byte) oplog.LogID {
	sum := sha256.Sum256(append(append([]byte("waypost/log/1"), pub...), nonce...))
	return oplog.LogID(sum[:16])
}

// LogKey accepts births signed by the same root.
func (a *Authority) LogKey(log oplog.LogID, body []byte) (ed25519.PublicKey, error) {
	var b birth
	if err := cbor.Unmarshal(body, &b); err != nil {
		return nil, err
	}
	if len(b.Key) != ed25519.PublicKeySize || !ed25519.Verify(a.root, b.Key, b.Sig) || logID(b.Key, b.Nonce) != log {
		return nil, errors.New("birth of a stranger")
	}
	return b.Key, nil
}

// CompartmentKey knows the register of area 0.
func (a *Authority) CompartmentKey(c oplog.Compartment, area uint16, epoch uint32) (key [32]byte, ok bool) {
	if c != oplog.Register || area != 0 {
		return key, false
	}
	key, ok = a.reg[epoch]
	return key, ok
}

// CurrentEpoch is area 0 and the newest epoch.
func (a *Authority) CurrentEpoch(c oplog.Compartment) (area uint16, epoch uint32) {
	if c != oplog.Register {
		panic("the journal asks for an epoch of what it does not seal")
	}
	return 0, a.now
}

// SignHead signs with the node's key.
func (a *Authority) SignHead(msg []byte) []byte { return ed25519.Sign(a.node, msg) }

// Noon is where the clock of a harness stands: 2026-06-01 12:00 UTC.
func Noon() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

// Harness opens a journal in a temporary folder with a store in memory, a
// made-up authority and a clock that stands at Noon. It is closed with the test.
func Harness(t testing.TB, kinds []oplog.Kind, views []*oplog.View) *oplog.Log {
	t.Helper()
	return Node(t, NewAuthority(t), kinds, views)
}

// Node is Harness for a given authority, for tests with several nodes.
func Node(t testing.TB, a *Authority, kinds []oplog.Kind, views []*oplog.View) *oplog.Log {
	t.Helper()
	l, err := oplog.Open(context.Background(), Options(t, a, kinds, views))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// Options are what Node opens, for tests that change something first.
func Options(t testing.TB, a *Authority, kinds []oplog.Kind, views []*oplog.View) oplog.Options {
	return oplog.Options{
		Dir: filepath.Join(t.TempDir(), "journal"), Store: MemStore(), Authority: a, StorageKey: [32]byte{1},
		Clock: clock.NewFake(Noon()), Kinds: kinds, Views: views,
	}
}
