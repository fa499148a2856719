package identity

import (
	"crypto/ed25519"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/waypost/waypost/appliance/fault"
)

// The inner part is what the recovery kit must never give: the root's seed, the issuer's,
// and the ceremony under way. It lies in secrets, sealed once more under the inner key,
// which every way to open the box carries but the kit and other boxes.

// innerPart is its content, deterministic CBOR.
type innerPart struct {
	Root   []byte `cbor:"1,keyasint,omitempty"`
	Issuer []byte `cbor:"2,keyasint,omitempty"`
	Rite   *rite  `cbor:"3,keyasint,omitempty"`
}

// What Holds says of the inner part to those who cannot open it.
const (
	holdsRoot   = 1 << 0
	holdsIssuer = 1 << 1
)

const innerPurpose = "waypost/inner/1"

// errShut is for those who opened the box with its recovery kit, or by a way that was made
// before the inner part was last made anew.
func errShut() error { return fault.New(fault.Denied, "fault.identity.shut") }

// openInner takes the seeds out of the inner part; false when key does not open it, and
// also when there is none yet: then there is nothing the key would be for.
func (s *secrets) openInner(key []byte) bool {
	if s.Version == secretsUndivided || len(key) == 0 {
		return false
	}
	if len(s.Inner) == 0 {
		return true
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil || len(s.Inner) < aead.NonceSize() {
		return false
	}
	plain, err := aead.Open(nil, s.Inner[:aead.NonceSize()], s.Inner[aead.NonceSize():], s.innerBound())
	if err != nil {
		return false
	}
	defer clear(plain)
	var in innerPart
	optional := func(b []byte) bool { return len(b) == 0 || len(b) == ed25519.SeedSize }
	if decode(plain, &in) != nil || !optional(in.Root) || !optional(in.Issuer) || in.Rite != nil && !in.Rite.sound() {
		return false
	}
	s.RootSeed, s.IssuerSeed, s.rite = in.Root, in.Issuer, in.Rite
	return true
}

// outer is s as it is written: with the inner part sealed under key, or as it was when
// that is nil.
func (s *secrets) outer(key []byte) (*secrets, error) {
	if s.Version == secretsUndivided {
		return s, nil
	}
	out := *s
	out.RootSeed, out.IssuerSeed = nil, nil
	if key == nil {
		return &out, nil
	}
	plain := encode(innerPart{Root: s.RootSeed, Issuer: s.IssuerSeed, Rite: s.rite})
	defer clear(plain)
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	nonce := random(aead.NonceSize())
	out.Inner = aead.Seal(nonce, nonce, plain, s.innerBound())
	out.Holds = 0
	if len(s.RootSeed) > 0 {
		out.Holds |= holdsRoot
	}
	if len(s.IssuerSeed) > 0 {
		out.Holds |= holdsIssuer
	}
	return &out, nil
}

// innerBound binds the inner part to this very node.
func (s *secrets) innerBound() []byte {
	return slices.Concat([]byte(innerPurpose), s.Root, ed25519.NewKeyFromSeed(s.NodeSeed).Public().(ed25519.PublicKey))
}

// shut reports whether the inner part is closed to whoever opened the vault: by the kit,
// or by a way that does not carry its key. The caller holds mu.
func (v *Vault) shut() bool {
	if v.s.Version == secretsUndivided {
		return outerOnly(v.way) // the seeds lie open to it still; they are not used
	}
	return v.inner == nil
}

func (v *Vault) rootHere() bool { return len(v.s.RootSeed) > 0 && !v.shut() }

// Shut tells what the way the box was opened does not reach: whether it was the recovery
// kit, and whether the root and an issuer lie here, closed.
func (v *Vault) Shut() (kit, root, issuer bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	kit = v.way == SlotRecovery
	switch {
	case !v.shut():
		return kit, false, false
	case v.s.Version == secretsUndivided:
		return kit, len(v.s.RootSeed) > 0, len(v.s.IssuerSeed) > 0
	}
	return kit, v.s.Holds&holdsRoot != 0, v.s.Holds&holdsIssuer != 0
}

// divide sets root and issuer of an older folder apart, once, when it is opened with the
// lead's words, or with anything but the kit or another box where there are none. The other ways then
// open the records alone until they are made anew: nobody can write a key for words that
// nobody has typed.
func (v *Vault) divide() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.s.Version != secretsUndivided || outerOnly(v.way) {
		return nil
	}
	slots, err := readSlots(v.dir)
	if err != nil {
		return err
	}
	if v.way != SlotLead && slices.ContainsFunc(slots, func(s slot) bool { return s.Kind == SlotLead }) {
		return nil
	}
	return v.renewInner(slots)
}

// renewInner draws an inner key, writes it into the way the box was opened with, and seals
// what is in memory under it. In this order: a slot whose key opens nothing is a slot
// without one. The caller holds mu.
func (v *Vault) renewInner(slots []slot) error {
	i := slices.IndexFunc(slots, func(s slot) bool { return s.Kind == v.way })
	if outerOnly(v.way) || i < 0 {
		return errShut()
	}
	o, ok := slots[i].unwrap(*v.wrapped)
	if !ok { // the way was made anew meanwhile
		return errShut()
	}
	defer o.forget()
	key := random(32)
	if err := slots[i].wrap(&o.wrapping, &o.storage, key); err != nil {
		return err
	}
	if err := writeTwice(v.dir, unlockName, encodeSlots(slots)); err != nil {
		return err
	}
	held := v.keys.hold(key)
	next := v.s.clone()
	next.Version = secretsVersion
	old := v.inner
	v.inner = held
	if err := v.write(next); err != nil {
		v.inner = old
		return err
	}
	v.s = next
	return nil
}

// reach makes sure that something can be put into the inner part. Where the way the box was
// opened does not open it, and no other way does, it is begun anew, which loses what was
// in it. The caller holds mu. Fault: Denied "fault.identity.shut" when it was the kit or
// another box, or when another way opens it.
func (v *Vault) reach() error {
	switch {
	case v.ended:
		return errEnded()
	case v.s.Version == secretsUndivided: // the lead's words divide it
		return errShut()
	case !v.shut():
		return nil
	}
	slots, err := readSlots(v.dir)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(slots, func(s slot) bool { return s.inside() && s.Kind != v.way }) {
		return errShut()
	}
	return v.renewInner(slots)
}

// keepsInner refuses a change of the slots after which nothing opens the inner part any
// more while something is in it: no page would have said that the issuer went with the
// way that was taken away. The caller holds mu. Fault: Conflict "fault.identity.last_inner".
func (v *Vault) keepsInner(before, after []slot) error {
	if !slices.ContainsFunc(before, slot.inside) || slices.ContainsFunc(after, slot.inside) {
		return nil
	}
	holds := v.s.Holds != 0
	if !v.shut() {
		holds = len(v.s.RootSeed) > 0 || len(v.s.IssuerSeed) > 0 || v.s.rite != nil
	}
	if holds {
		return fault.New(fault.Conflict, "fault.identity.last_inner")
	}
	return nil
}
