package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

// Web is the certificate of this node's own pages: a CA that lives and dies with the
// data folder, a leaf for the addresses the machine has, and the public certificate when
// one was brought (webpublic.go).
//
// The leaf's key lies in the clear, because a locked box has pages too. The CA's key does
// only until a site is started or opened here, for before that there is nothing to seal it
// under; from then on it is there while the box is open (Unlock, Lock). A locked box so
// cannot make a leaf and serves the one it has; leaves are made early for that reason.
// Whatever holds the CA's key can vouch for nothing but private addresses and local names.
// Safe for concurrent use.
type Web struct {
	dir   string
	clock clock.Clock

	mu      sync.Mutex
	ca      *x509.Certificate // always set
	keys    *arena            // where key lies
	key     []byte            // the CA's, PKCS #8; nil while it is sealed
	sealed  *SealedFile       // where it goes; nil unless the box is open
	request *SealedFile       // the key of a public certificate that was asked for; nil likewise
	leaf    *tls.Certificate  // Leaf is always set
	public  *tls.Certificate  // nil without one
	looked  time.Time         // when the machine was last asked for its addresses
}

// Files in the folder. All but the key are kept twice.
const (
	caFile      = "ca.pem"
	caKeyFile   = "ca.key"    // in the clear: before the first start of a site
	caSealed    = "ca.sealed" // afterwards
	leafFile    = "leaf.pem"  // certificate and key, so that a power cut cannot part them
	leafKeyFile = "leaf.key"  // of older versions
)

// Lives of the certificates. Both begin a year back, because clocks lie. 397
// days ahead stays below the 398 some browsers allow (CA/Browser Forum Baseline
// Requirements 6.3.2) and, with the year back, below the 825 that iOS allows
// under a root a person installed. A leaf is renewed in the middle of its life: the box
// may be locked, and stay so, when it ends.
const (
	webBackdate = 365 * 24 * time.Hour
	caLife      = 10 * 365 * 24 * time.Hour
	leafLife    = 397 * 24 * time.Hour
	leafRenew   = 180 * 24 * time.Hour
)

// lookAgain is how long the machine's addresses are taken to stay as they are.
const lookAgain = 10 * time.Second

// errUnsound is a file of a certificate that does not parse.
var errUnsound = errors.New("identity: not a certificate")

// OpenWeb reads the CA and the leaf in dir, and makes what is missing or
// damaged. It works before anything else of the node exists. Fault: Unavailable
// "fault.identity.cannot_read" and "fault.identity.cannot_write".
func OpenWeb(dir string, c clock.Clock) (*Web, error) {
	if err := ownFolder(dir); err != nil {
		return nil, err
	}
	w := &Web{dir: dir, clock: c, keys: newArena()}
	if err := w.readCA(); err != nil {
		return nil, err
	}
	if w.ca == nil || w.key == nil && !anyCopy(dir, caSealed) || w.key != nil && w.outOfDate() {
		if err := w.makeCA(); err != nil {
			return nil, err
		}
	}
	if err := w.readLeaf(); err != nil {
		return nil, err
	}
	if err := w.readPublic(); err != nil {
		return nil, err
	}
	_, err := w.current(netip.Addr{})
	return w, err
}

// outOfDate reports a CA that no phone with the right time would take: one made
// while the clock was years ahead, or an old one. Only a clock that was set by
// something sure may say so.
func (w *Web) outOfDate() bool {
	now := w.clock.Now()
	return w.clock.Sure() && (now.Before(w.ca.NotBefore) || now.After(w.ca.NotAfter))
}

// readCA reads the certificate, and the key where it lies in the clear and fits.
func (w *Web) readCA() error {
	raw, err := w.read(caFile, func(b []byte) error {
		_, err := parseCA(b)
		return err
	})
	if raw == nil || err != nil {
		return err
	}
	if w.ca, err = parseCA(raw); err != nil {
		return fault.Of(err)
	}
	key, err := readSmall(filepath.Join(w.dir, caKeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fault.New(fault.Unavailable, "fault.identity.cannot_read").Wrap(err)
	}
	defer clear(key)
	if block, _ := pem.Decode(key); block != nil {
		defer clear(block.Bytes)
		if signer, err := keyOf(block.Bytes); err == nil && signer.PublicKey.Equal(w.ca.PublicKey) {
			w.key = w.keys.hold(block.Bytes)
		}
	}
	return nil
}

// read gives one of the two copies of a file that sound accepts; nil when there is none.
// A file that cannot be read is an error: a new CA would make every phone ask again.
func (w *Web) read(name string, sound func([]byte) error) ([]byte, error) {
	raw, _, err := readTwice(w.dir, name, sound)
	if err == nil {
		return raw, nil
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errUnsound) {
		return nil, nil
	}
	return nil, fault.New(fault.Unavailable, "fault.identity.cannot_read").Wrap(err)
}

// readLeaf reads the leaf, if it is one of this CA. Older versions kept its key apart.
func (w *Web) readLeaf() error {
	raw, err := w.read(leafFile, func(b []byte) error {
		_, err := pairOf(b)
		return err
	})
	if err != nil {
		return err
	}
	if raw == nil {
		cert, certErr := readSmall(filepath.Join(w.dir, leafFile))
		key, keyErr := readSmall(filepath.Join(w.dir, leafKeyFile))
		if certErr != nil || keyErr != nil {
			return nil
		}
		raw = append(cert, key...)
	}
	if leaf, err := pairOf(raw); err == nil && leaf.Leaf.CheckSignatureFrom(w.ca) == nil {
		w.leaf = leaf
	}
	return nil
}

// pairOf reads a certificate, what follows it in its chain, and its key from one text.
func pairOf(raw []byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(raw, raw)
	if err != nil || pair.Leaf == nil {
		return nil, errUnsound
	}
	return &pair, nil
}

func parseCA(raw []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errUnsound
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !c.IsCA {
		return nil, errUnsound
	}
	return c, nil
}

func keyOf(pkcs8 []byte) (*ecdsa.PrivateKey, error) {
	k, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if key, ok := k.(*ecdsa.PrivateKey); ok && err == nil {
		return key, nil
	}
	return nil, errUnsound
}

// signer is the CA's key for as long as a certificate is made; nil while it is sealed.
func (w *Web) signer() (crypto.Signer, error) {
	if w.key == nil {
		return nil, errEnded()
	}
	return keyOf(w.key)
}

// CA is the CA's certificate as PEM, for phones to install.
func (w *Web) CA() []byte { return certPEM(w.authority().Raw) }

// CANotAfter is when the CA ends.
func (w *Web) CANotAfter() time.Time { return w.authority().NotAfter }

func (w *Web) authority() *x509.Certificate {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ca
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// Fingerprint is the SHA-256 of the CA's certificate in pairs of digits, as
// browsers show it.
func (w *Web) Fingerprint() string {
	sum := sha256.Sum256(w.authority().Raw)
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = strings.ToUpper(hex.EncodeToString([]byte{b}))
	}
	return strings.Join(pairs, ":")
}

// Words is the fingerprint in five words, to compare with the box's label.
func (w *Web) Words() []string {
	sum := sha256.Sum256(w.authority().Raw)
	return wordsOf(sum[:], compareLength)
}

// Certificate is what a connection gets, for tls.Config.GetCertificate: the public
// certificate where it is asked for by one of its names, and the leaf otherwise. While the
// CA's key is there, a leaf that lacks an address of the machine or is past the middle of
// its life is replaced.
func (w *Web) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	var local netip.Addr
	if hello != nil && hello.Conn != nil {
		if a, err := netip.ParseAddrPort(hello.Conn.LocalAddr().String()); err == nil {
			local = a.Addr().WithZone("").Unmap()
		}
	}
	if hello != nil && hello.ServerName != "" {
		if c := w.publicFor(hello.ServerName); c != nil {
			return c, nil
		}
	}
	return w.current(local)
}

// current is the leaf, remade when it does not fit any more and can be. A leaf that
// cannot be written to the card is served all the same.
func (w *Web) current(local netip.Addr) (*tls.Certificate, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.currentLocked(local)
}

func (w *Web) currentLocked(local netip.Addr) (*tls.Certificate, error) {
	if w.leaf != nil && (w.key == nil || w.fits(local)) {
		return w.leaf, nil
	}
	var leaf *tls.Certificate
	var err error
	if w.key == nil { // the leaf was lost while the box is locked: its pages must answer all the same
		leaf, err = w.makeStopgap(local)
	} else {
		leaf, err = w.makeLeaf(local)
	}
	if leaf != nil {
		w.leaf = leaf
	}
	if err != nil && w.leaf != nil && leaf == nil {
		return w.leaf, nil
	}
	return leaf, err
}

// fits reports whether the leaf covers the address, and those the machine has, and is
// still in the first half of its life.
func (w *Web) fits(local netip.Addr) bool {
	leaf, now := w.leaf.Leaf, w.clock.Now()
	if at := dated(now); at.Before(leaf.NotBefore) || at.Add(leafRenew).After(leaf.NotAfter) {
		return false
	}
	if !leafCovers(leaf, local) {
		return false
	}
	if since := now.Sub(w.looked); since >= 0 && since < lookAgain {
		return true
	}
	w.looked = now
	return !slices.ContainsFunc(present(), func(a netip.Addr) bool { return !leafCovers(leaf, a) })
}

// leafCovers reports whether a leaf is good for an address, or need not be.
func leafCovers(leaf *x509.Certificate, a netip.Addr) bool {
	return !mayVouch(a) || slices.ContainsFunc(leaf.IPAddresses, func(ip net.IP) bool { return ip.Equal(a.AsSlice()) })
}

// remove takes a file away that is not needed any more; one that is not there is fine.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
