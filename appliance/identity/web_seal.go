package identity

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/waypost/waypost/appliance/fault"
)

// Labels of the subkeys that the CA's key and the key of a request are sealed under.
const (
	webSubkey     = "web"
	requestSubkey = "web.request"
)

// Unlock gives the CA its key back while the box is open, sealed under a subkey of the
// storage key (Vault.Subkey). Where the key still lies in the clear, in a folder that was
// just started, joined or made by an older version, it is sealed first, and only when both
// sealed copies are on the card is the clear one overwritten and removed. What was sealed
// counts: should another CA lie in the folder, because a file was lost while the box was
// locked or because a backup was brought back, it is the sealed one that goes on.
//
// After a fault the pages go on with what there is: Internal "fault.identity.damaged" when
// the sealed key did not open and a new CA was made, Unavailable
// "fault.identity.cannot_write" and Full "fault.oplog.disk_full" when the key stays in the
// clear until the next time.
func (w *Web) Unlock(subkey func(label string) [32]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget()
	w.keys = newArena()
	w.sealed = NewSealedFile(w.dir, caSealed, subkey(webSubkey))
	w.request = NewSealedFile(w.dir, requestSealed, subkey(requestSubkey))
	err := w.unseal()
	if w.key != nil && w.outOfDate() {
		err = errors.Join(err, w.makeCA())
	}
	if w.holds() {
		err = errors.Join(err, w.dropClear())
	}
	if e := w.readLeaf(); w.leaf == nil || w.leaf.Leaf.CheckSignatureFrom(w.ca) != nil {
		w.leaf, err = nil, errors.Join(err, e)
	}
	err = errors.Join(err, w.readPublic())
	w.looked = time.Time{} // ask for the addresses now
	_, made := w.currentLocked(netip.Addr{})
	return errors.Join(err, made)
}

// holds reads back what was sealed: whether it is the key that is used.
func (w *Web) holds() bool {
	content, err := w.sealed.Read()
	if err != nil {
		return false
	}
	defer clear(content)
	_, key, err := sealedPair(content)
	defer clear(key)
	return err == nil && bytes.Equal(key, w.key)
}

// unseal finds the key: sealed, or else in the clear, and then it is sealed.
func (w *Web) unseal() error {
	content, err := w.sealed.Read()
	defer clear(content)
	if err == nil {
		if err = w.adopt(content); err == nil {
			return nil
		}
	}
	if old := w.readCA(); old != nil {
		return errors.Join(err, old)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if w.key == nil {
		return errors.Join(err, w.makeCA())
	}
	return errors.Join(err, w.keepCA(w.ca, bytes.Clone(w.key)))
}

// adopt takes what was sealed: certificate and key.
func (w *Web) adopt(content []byte) error {
	ca, key, err := sealedPair(content)
	if err != nil {
		return fault.New(fault.Internal, "fault.identity.damaged").Wrap(err)
	}
	w.ca, w.key = ca, w.keys.hold(key)
	want := certPEM(ca.Raw)
	if onDisk, err := readSmall(filepath.Join(w.dir, caFile)); err != nil || !bytes.Equal(onDisk, want) {
		_ = writeTwice(w.dir, caFile, want) // or at the next opening
	}
	return nil
}

// sealedPair reads a CA's certificate and key (PKCS #8), which belong together.
func sealedPair(content []byte) (*x509.Certificate, []byte, error) {
	ca, err := parseCA(content)
	if err != nil {
		return nil, nil, err
	}
	_, rest := pem.Decode(content)
	block, _ := pem.Decode(rest)
	if block == nil {
		return nil, nil, errUnsound
	}
	key, err := keyOf(block.Bytes)
	if err != nil || !key.PublicKey.Equal(ca.PublicKey) {
		clear(block.Bytes)
		return nil, nil, errUnsound
	}
	return ca, block.Bytes, nil
}

// dropClear overwrites and removes the key in the clear, and what a power cut left of
// writing it. The sealed copies are on the card.
func (w *Web) dropClear() error {
	return cannotWrite(destroyAll(w.dir, caKeyFile), destroyAll(w.dir, "."+caKeyFile+".*"), syncDir(w.dir))
}

// Lock overwrites the CA's key in memory; the leaf goes on being served. Safe to call at
// any time.
func (w *Web) Lock() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sealed != nil { // never unlocked: the key lies in the clear, and without it a new address gets no leaf
		w.forget()
	}
}

func (w *Web) forget() {
	w.keys.wipe()
	w.key = nil
	if w.sealed != nil {
		w.sealed.Forget()
		w.request.Forget()
		w.sealed, w.request = nil, nil
	}
}

// Sealed reports whether the CA's key lies under the storage key, and there alone.
func (w *Web) Sealed() bool {
	_, err := readSmall(filepath.Join(w.dir, caKeyFile))
	return errors.Is(err, fs.ErrNotExist) && anyCopy(w.dir, caSealed)
}

// Reset makes everything anew, for a box whose keys were destroyed: its CA's key is gone,
// so no phone can trust it again without installing the new one.
func (w *Web) Reset() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget()
	w.keys = newArena()
	w.ca, w.leaf, w.public = nil, nil, nil
	if err := w.makeCA(); err != nil {
		return err
	}
	_, err := w.currentLocked(netip.Addr{})
	return err
}

// destroyWeb overwrites and removes the keys of dir's certificates.
func destroyWeb(dir string) []error {
	web := filepath.Join(dir, "web")
	var errs []error
	for _, name := range []string{caKeyFile, caSealed, requestSealed, publicFile, leafFile, leafKeyFile} {
		for _, pattern := range []string{name, name + ".2", "." + name + ".*"} {
			errs = append(errs, destroyAll(web, pattern))
		}
	}
	return errs
}
