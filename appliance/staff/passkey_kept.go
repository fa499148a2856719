package staff

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
)

// Bounds of what is kept. An id is at most 1,023 bytes (Web Authentication, section 4); the
// largest key that is taken is RSA of 4,096 bits.
const (
	passkeysEach  = 8         // of one account
	passkeysBytes = 256 << 10 // of all: a thousand and more
	maxCredential = 1023
	maxPasskey    = 1024 // bytes of a public key
	maxLabel      = 64
)

// passkeys are the passkeys of this node's accounts, in the sealed file "passkeys". What is
// kept of one is public, so nothing can be guessed at by it; it stays at this node all the
// same, because an account does. Its own lock is the last one taken.
type passkeys struct {
	file *identity.SealedFile

	mu      sync.Mutex
	all     []keptPasskey
	changed bool // a counter went up since the file was written
}

// keptPasskeys is the sealed file. Losing it means setting them up anew.
type keptPasskeys struct {
	Version uint          `cbor:"1,keyasint"`
	All     []keptPasskey `cbor:"2,keyasint"`
}

// keptPasskey is one passkey: of an account, on the device it was made on.
type keptPasskey struct {
	Of         ID       `cbor:"1,keyasint"`
	Device     [32]byte `cbor:"2,keyasint"` // as session.device
	Credential []byte   `cbor:"3,keyasint"` // the id that the phone gave it
	Public     []byte   `cbor:"4,keyasint"` // COSE_Key
	Count      uint32   `cbor:"5,keyasint"` // how often it has signed, by its own word; 0 where it does not count
	Synced     bool     `cbor:"6,keyasint"` // its maker may copy it to other devices of the same person
	Made       int64    `cbor:"7,keyasint"` // Unix seconds
	Label      string   `cbor:"8,keyasint"` // kind of device
	Copied     bool     `cbor:"9,keyasint"` // its count went back: never taken again
}

// id is what lists and forms call it. Credential ids stay between the box and the phone.
func (k keptPasskey) id() string {
	sum := sha256.Sum256(k.Credential)
	return hex.EncodeToString(sum[:8])
}

func (k keptPasskey) sound() bool {
	return len(k.Credential) > 0 && len(k.Credential) <= maxCredential && len(k.Public) > 0 && len(k.Public) <= maxPasskey && len(k.Label) <= maxLabel
}

func openPasskeys(file *identity.SealedFile) *passkeys {
	p := &passkeys{file: file}
	// A file that cannot be read is as good as none: passphrase and PIN open what a passkey does.
	if raw, err := file.Read(); err == nil {
		p.all, _ = parsePasskeys(raw)
	}
	return p
}

var errPasskeys = errors.New("staff: not a list of passkeys")

func parsePasskeys(raw []byte) ([]keptPasskey, error) {
	var kept keptPasskeys
	if len(raw) > passkeysBytes || decode(raw, &kept) != nil || kept.Version != 1 || slices.ContainsFunc(kept.All, func(k keptPasskey) bool { return !k.sound() }) {
		return nil, errPasskeys
	}
	return kept.All, nil
}

// saveLocked writes all and takes it, or neither.
func (p *passkeys) saveLocked(all []keptPasskey) error {
	raw := encode(keptPasskeys{Version: 1, All: all})
	if len(raw) > passkeysBytes {
		return fault.New(fault.Conflict, "fault.staff.passkey_many", "Count", passkeysEach)
	}
	if err := p.file.Write(raw); err != nil {
		return err
	}
	p.all, p.changed = all, false
	return nil
}

// add keeps a new one. Faults: Conflict "fault.staff.passkey_many", Invalid
// "fault.staff.passkey_failed" for one that is there already, those of writing.
func (p *passkeys) add(k keptPasskey) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := 0
	for _, o := range p.all {
		if bytes.Equal(o.Credential, k.Credential) {
			return fault.New(fault.Invalid, "fault.staff.passkey_failed")
		}
		if o.Of == k.Of {
			own++
		}
	}
	if own >= passkeysEach {
		return fault.New(fault.Conflict, "fault.staff.passkey_many", "Count", passkeysEach)
	}
	if !k.sound() {
		return fault.New(fault.Invalid, "fault.staff.passkey_failed")
	}
	return p.saveLocked(append(slices.Clone(p.all), k))
}

// on are the passkeys of an account that a device may be asked for.
func (p *passkeys) on(of ID, device [32]byte) []keptPasskey {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []keptPasskey
	for _, k := range p.all {
		if k.Of == of && k.Device == device && !k.Copied {
			out = append(out, k)
		}
	}
	return out
}

// of are all passkeys of an account.
func (p *passkeys) of(of ID) []keptPasskey {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.all), func(k keptPasskey) bool { return k.Of != of })
}

// used notes how often a passkey has signed; false when that is not more than before, which
// says that there are two of it. It is judged here, so that of two answers at once only one
// counts. The number is written with the next change or at the end: after a power cut an
// older one only notices a copy later.
func (p *passkeys) used(credential []byte, count uint32) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.all {
		k := &p.all[i]
		if !bytes.Equal(k.Credential, credential) {
			continue
		}
		if k.Copied {
			return false
		}
		if count <= k.Count && (count != 0 || k.Count != 0) {
			k.Copied, p.changed = true, true
			p.flushLocked()
			return false
		}
		if k.Count != count {
			k.Count, p.changed = count, true
		}
		return true
	}
	return false // taken away in between
}

// forget takes away what gone names, at once in memory and then in the file. Where the
// file cannot be written it may be there again after a restart, and opens nothing before the
// passphrase was typed on that device.
func (p *passkeys) forget(gone func(keptPasskey) bool) (found bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(p.all), gone)
	if len(left) == len(p.all) {
		return false, nil
	}
	p.all, p.changed = left, true
	return true, p.saveLocked(left)
}

func (p *passkeys) flushLocked() {
	if p.changed {
		_ = p.saveLocked(p.all) // tried again with the next change
	}
}

// close writes what is not written and forgets the key of the file.
func (p *passkeys) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flushLocked()
	p.file.Forget()
}

// Passkey is one passkey in a list.
type Passkey struct {
	ID     string // for RemovePasskey
	Made   time.Time
	Label  string // kind of device; empty where it did not say
	Here   bool   // on the device of the session that asks
	Copied bool   // refused for ever: there seem to be two of it
}

// Passkeys lists those of the person of a session, the latest first.
func (d *Desk) Passkeys(token string) []Passkey {
	d.mu.Lock()
	s := d.sessionLocked(token, d.clock.Now())
	d.mu.Unlock()
	if s == nil {
		return nil
	}
	var out []Passkey
	for _, k := range d.passkeys.of(s.actor.ID) {
		out = append(out, Passkey{ID: k.id(), Made: time.Unix(k.Made, 0), Label: k.Label, Here: k.Device == s.device, Copied: k.Copied})
	}
	slices.SortStableFunc(out, func(a, b Passkey) int { return b.Made.Compare(a.Made) })
	return out
}

// RemovePasskey takes away one of the actor's own. The phone keeps its half, which opens
// nothing any more. Faults: NotFound "fault.staff.no_passkey", those of writing.
func (d *Desk) RemovePasskey(actor Actor, id string) error {
	found, err := d.passkeys.forget(func(k keptPasskey) bool { return k.Of == actor.ID && k.id() == id })
	if err == nil && !found {
		return fault.New(fault.NotFound, "fault.staff.no_passkey")
	}
	return err
}

// forgetPasskeys takes away an account's passkeys on all devices, on one, or on all but one.
func (d *Desk) forgetPasskeys(of ID, on func(device [32]byte) bool) {
	_, _ = d.passkeys.forget(func(k keptPasskey) bool { return k.Of == of && (on == nil || on(k.Device)) })
}
