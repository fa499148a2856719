//go:build linux

package main

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// The wire as mesh/doc.go has it. Nothing of package mesh is used, so that an attack is one
// that anybody could write who has the description and the keys of a node.
const (
	wireExchange = "waypost-exchange/1"
	wireGossip   = "waypost-gossip/1"
	wireJoin     = "waypost-join/1"

	frameHello  = 1
	frameVector = 2
	frameHint   = 3
	frameAck    = 4
	frameWant   = 5
	frameOps    = 6
	frameBusy   = 7
	framePing   = 8
	framePong   = 9
	frameCards  = 10
	frameBye    = 11
	frameFetch  = 12
	framePiece  = 13

	gossipPing    = 0
	gossipSuspect = 3
	gossipAlive   = 4
	gossipDead    = 5
	gossipState   = 6
	gossipUser    = 8
	gossipSealed  = 10
)

// rogue has the keys of one node, and does with them what it likes.
type rogue struct {
	cert       []byte // node certificate, marshalled
	signer     crypto.Signer
	deployment [16]byte
	gossip     [32]byte // the newest gossip key it knows
	start      [16]byte // incarnation; in hexadecimal the member name
	log        oplog.LogID
	head       oplog.Head
	batch      []byte // all of its own log
}

// rogueOf opens the vault of a folder whose node does not run.
func rogueOf(t *testing.T, dir string, secret []byte) *rogue {
	t.Helper()
	v, err := identity.Unlock(dir, clock.System(), secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	r := &rogue{cert: v.Cert().Marshal(), signer: v.Signer(), deployment: v.Deployment(), gossip: v.GossipKey()}
	_, _ = rand.Read(r.start[:])
	_, _ = rand.Read(r.log[:])
	return r
}

// name is the rogue as a member of the gossip.
func (r *rogue) name() string { return hex.EncodeToString(r.start[:]) }

func (r *rogue) signed(purpose string, b []byte) []byte {
	sig, err := r.signer.Sign(nil, slices.Concat([]byte(purpose), r.deployment[:], b), crypto.Hash(0))
	if err != nil {
		panic(err)
	}
	return sig
}

// card is an address card.
func (r *rogue) card(stamp uint64, addrs ...string) []byte {
	b := append(binary.BigEndian.AppendUint16([]byte{1}, uint16(len(r.cert))), r.cert...)
	b = append(binary.BigEndian.AppendUint64(b, stamp), byte(len(addrs)))
	for _, a := range addrs {
		b = append(append(b, byte(len(a))), a...)
	}
	return append(b, r.signed("waypost/card/1", b)...)
}

// member is a member card for a name.
func (r *rogue) member(name string) []byte {
	b := append(binary.BigEndian.AppendUint16([]byte{1}, uint16(len(r.cert))), r.cert...)
	return append(b, r.signed("waypost/member/1", []byte(name))...)
}

// shows is the client side of TLS with a node certificate of somebody's around the rogue's key.
func (r *rogue) shows(proto string, cert []byte) *tls.Config {
	sum := sha256.Sum256([]byte("waypost/node-cert/1"))
	oid := asn1.ObjectIdentifier{2, 25, int(binary.BigEndian.Uint32(sum[:4]) & 0x7fffffff)}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: oid, Value: cert}}}
	der, err := x509.CreateCertificate(rand.Reader, t, t, r.signer.Public(), r.signer)
	if err != nil {
		panic(err)
	}
	own := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: r.signer}
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{proto}, InsecureSkipVerify: true, //nolint:gosec // an attacker does not care
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }}
}

func (r *rogue) tls(proto string) *tls.Config { return r.shows(proto, r.cert) }

// session is an exchange connection on which both have greeted.
type session struct {
	*tls.Conn
	in    *bufio.Reader
	hello []byte // theirs
}

func frameOf(kind byte, payload ...[]byte) []byte {
	b := slices.Concat(payload...)
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(b))), b...)
}

func (r *rogue) helloOf(own oplog.LogID, card []byte) []byte {
	b := append(append([]byte{1}, r.start[:]...), own[:]...)
	b = binary.BigEndian.AppendUint16(b, 9)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(card))), card...)
}

// greet is an honest greeting; wrap stands between TLS and the network.
func (r *rogue) greet(c net.Conn, own oplog.LogID, card []byte) (*session, error) {
	s := &session{Conn: tls.Client(c, r.tls(wireExchange))}
	s.in = bufio.NewReaderSize(s.Conn, 32<<10)
	if _, err := s.Write(frameOf(frameHello, r.helloOf(own, card))); err != nil {
		return nil, err
	}
	kind, b, err := s.hear()
	if err != nil || kind != frameHello {
		return nil, io.ErrUnexpectedEOF
	}
	s.hello = b
	return s, nil
}

func (s *session) say(kind byte, payload ...[]byte) error {
	_, err := s.Write(frameOf(kind, payload...))
	return err
}

func (s *session) hear() (kind byte, payload []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(s.in, head[:]); err != nil {
		return 0, nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[1:]))
	_, err = io.ReadFull(s.in, b)
	return head[0], b, err
}

// incarnation is that of the other side: its name among the members.
func (s *session) incarnation() string { return hex.EncodeToString(s.hello[1:17]) }

func (s *session) ownLog() oplog.LogID { return oplog.LogID(s.hello[17:33]) }

// mark is what is said of one log.
func markOf(log oplog.LogID, seq uint64, hash []byte) []byte {
	return slices.Concat(log[:], binary.AppendUvarint(nil, seq), hash[:16])
}

func marksOf(marks ...[]byte) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(marks))), bytes.Join(marks, nil)...)
}

// seal frames what memberlist sends, under a key.
func gossipSeal(key [32]byte, plain, bound []byte) []byte {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	out := make([]byte, 13, 13+len(plain)+16)
	out[0] = 1
	_, _ = rand.Read(out[1:])
	return aead.Seal(out, out[1:13], plain, bound)
}

func gossipOpen(key [32]byte, sealed, bound []byte) ([]byte, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil || len(sealed) < 29 {
		return nil, io.ErrUnexpectedEOF
	}
	return aead.Open(nil, sealed[1:13], sealed[13:], bound)
}

func gossipStreamOf(key [32]byte, plain []byte) []byte {
	head := binary.BigEndian.AppendUint32([]byte{gossipSealed}, uint32(29+len(plain)))
	return append(head, gossipSeal(key, plain, head)...)
}

// told is one of memberlist's messages: a kind, then names and values in turn.
func toldBy(kind byte, kv ...any) []byte {
	return append([]byte{kind}, packedOf(kv...)...)
}

func packedOf(kv ...any) []byte {
	b := []byte{0x80 | byte(len(kv)/2)}
	for _, v := range kv {
		switch v := v.(type) {
		case int:
			b = binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(v)) //nolint:gosec // not negative
		case bool:
			b = append(b, map[bool]byte{false: 0xc2, true: 0xc3}[v])
		case string:
			b = append(binary.BigEndian.AppendUint16(append(b, 0xda), uint16(len(v))), v...)
		case []byte:
			b = append(binary.BigEndian.AppendUint16(append(b, 0xda), uint16(len(v))), v...)
		}
	}
	return b
}

// alive says that a member with this card is here, at a port of this machine.
func aliveAs(name string, card []byte, incarnation, port int) []byte {
	return toldBy(gossipAlive, "Incarnation", incarnation, "Node", name, "Addr", []byte{127, 0, 0, 1}, "Port", port, "Meta", card, "Vsn", []byte{1, 5, 2, 0, 0, 0})
}
