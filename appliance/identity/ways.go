package identity

import (
	"bytes"
	"slices"
	"strings"

	"github.com/waypost/waypost/appliance/fault"
)

// Ways lists the kinds of ways to open the box in dir, in the order they were made. It
// needs no passphrase: the unlock file says so to everybody who can read it. Faults:
// Internal "fault.identity.damaged".
func Ways(dir string) ([]string, error) {
	slots, err := readSlots(dir)
	if err != nil {
		return nil, err
	}
	var kinds []string
	for _, s := range slots {
		kinds = append(kinds, s.Kind)
	}
	return kinds, nil
}

// slotsNow are the slots, while nobody is writing them.
func (v *Vault) slotsNow() ([]slot, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return readSlots(v.dir)
}

// AddSlot adds one more way to open the box; a slot of the same kind is
// replaced. Faults: Invalid "fault.identity.empty_passphrase" and
// "fault.identity.slot_kind" (1-32 bytes, not one that nobody types), Conflict
// "fault.identity.slots_full" after eight, Unavailable "fault.identity.cannot_write".
func (v *Vault) AddSlot(kind string, passphrase []byte) error {
	if len(CanonicalPassphrase(passphrase)) == 0 {
		return fault.New(fault.Invalid, "fault.identity.empty_passphrase")
	}
	if kind == "" || len(kind) > maxSlotKind || kind == SlotStick || kind == SlotPeers {
		return fault.New(fault.Invalid, "fault.identity.slot_kind")
	}
	added, wrapping, err := stretched(kind, passphrase, v.cost) // takes a second: not under the lock
	if err != nil {
		return err
	}
	return v.wrapSlot(added, wrapping)
}

// wrapSlot puts the keys into a slot and the slot into its place. The keys are taken under
// the lock the slot is written under: while somebody's words were stretched the inner part
// may have been begun anew, and words that carry its old key would reach nothing.
func (v *Vault) wrapSlot(added slot, wrapping [32]byte) error {
	defer clear(wrapping[:])
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return errEnded()
	}
	v.using.RLock()
	err := added.wrap(&wrapping, v.storage, v.inner)
	v.using.RUnlock()
	if err != nil {
		return err
	}
	return v.putSlot(added)
}

// keysCopy is the storage key and the inner key, nil where that is not open, for the time
// of wrapping them; the caller overwrites both.
func (v *Vault) keysCopy() (storage [32]byte, inner []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.using.RLock()
	defer v.using.RUnlock()
	return *v.storage, bytes.Clone(v.inner)
}

// setSlot puts a slot of the kind peers, which carries the storage key alone, into its place.
func (v *Vault) setSlot(added slot) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return errEnded()
	}
	return v.putSlot(added)
}

// putSlot writes a slot over the one of its kind. The caller holds mu.
func (v *Vault) putSlot(added slot) error {
	slots, err := readSlots(v.dir)
	if err != nil {
		return err
	}
	next := append(slices.DeleteFunc(slices.Clone(slots), func(s slot) bool { return s.Kind == added.Kind }), added)
	if len(next) > maxSlots {
		return fault.New(fault.Conflict, "fault.identity.slots_full")
	}
	if err := v.keepsInner(slots, next); err != nil {
		return err
	}
	return writeTwice(v.dir, unlockName, encodeSlots(next))
}

// RemoveSlot takes one way to open the box away, never the last. Flash memory may keep
// old cells: whoever lost words or a stick should also make new ones. Faults: NotFound
// "fault.identity.no_such_slot", Conflict "fault.identity.last_slot" and, for the last
// one that reaches the issuer or the root, "fault.identity.last_inner" where that can still
// be given to another; Unavailable
// "fault.identity.cannot_write".
func (v *Vault) RemoveSlot(kind string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return errEnded()
	}
	slots, err := readSlots(v.dir)
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(slots), func(s slot) bool { return s.Kind == kind })
	switch len(left) {
	case len(slots):
		return fault.New(fault.NotFound, "fault.identity.no_such_slot")
	case 0:
		return fault.New(fault.Conflict, "fault.identity.last_slot")
	}
	if !v.shut() { // whoever has only the kit left begins anew by taking the lost words away
		if err := v.keepsInner(slots, left); err != nil {
			return err
		}
	}
	return writeTwice(v.dir, unlockName, encodeSlots(left))
}

// How many words each has. Five are 64 bits; the kit's 129 are for a paper that lies
// in a drawer for years.
const (
	wordsLength    = 5
	recoveryLength = 10
)

// Recovery makes the recovery kit of this one site: ten words on one line that
// open it like a passphrase. An earlier kit stops working. Faults as AddSlot.
func (v *Vault) Recovery() (code string, err error) { return v.newWords(SlotRecovery, recoveryLength) }

// MoreWords makes five more words that open the box, for somebody else than who has the
// first; earlier ones stop working. Faults as AddSlot.
func (v *Vault) MoreWords() (words string, err error) { return v.newWords(SlotWords, wordsLength) }

func (v *Vault) newWords(kind string, n int) (string, error) {
	words, err := GenerateWords(n)
	if err != nil {
		return "", fault.Of(err)
	}
	text := strings.Join(words, " ")
	return text, v.AddSlot(kind, []byte(text))
}

// KeyStick makes the file of a key stick; an earlier one stops working. Faults as
// AddSlot.
func (v *Vault) KeyStick() (KeyFile, error) {
	k := KeyFile{Node: v.NodeID(), Key: [32]byte(random(32))}
	added, wrapping := emptyStick(k.Key)
	return k, v.wrapSlot(added, wrapping)
}
