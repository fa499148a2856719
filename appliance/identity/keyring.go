package identity

import (
	"bytes"
	"slices"
)

// maxGossip is how many keys of the membership traffic are kept; two are in use.
const maxGossip = 8

// holdsEpoch reports whether the key of an epoch is here.
func (v *Vault) holdsEpoch(id epochID, check [8]byte) bool {
	key, ok := v.epochKey(id, check)
	clear(key[:])
	return ok
}

// epochKey is the key of an epoch.
func (v *Vault) epochKey(id epochID, check [8]byte) (key [32]byte, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return key, false
	}
	if id.what == forGossip {
		if i := v.gossipAt(id, check); i >= 0 {
			return [32]byte(v.s.Gossip[i]), true
		}
		return key, false
	}
	for _, k := range v.s.Registers {
		if k.Area == id.area && k.Epoch == id.epoch && keyCheck(id, k.Key) == check {
			return [32]byte(k.Key), true
		}
	}
	return key, false
}

// gossipAt finds a key of the membership traffic by its check: keys of epochs that this
// node was given when it joined come without their numbers.
func (v *Vault) gossipAt(id epochID, check [8]byte) int {
	return slices.IndexFunc(v.s.Gossip, func(k []byte) bool { return keyCheck(id, k) == check })
}

// addEpoch keeps a key, on the card first. It takes key over.
func (v *Vault) addEpoch(id epochID, key []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return errEnded()
	}
	held := v.keys.hold(key)
	return v.updateLocked(func(s *secrets) error {
		if id.what == forGossip {
			s.Gossip = append(slices.Clone(s.Gossip), held)
			if len(s.Gossip) > maxGossip { // the first is in use, the last is new
				s.Gossip = slices.Delete(s.Gossip, maxGossip-2, maxGossip-1)
			}
			return nil
		}
		s.Registers = slices.DeleteFunc(slices.Clone(s.Registers), func(k registerKey) bool { return k.Area == id.area && k.Epoch == id.epoch })
		s.Registers = append(s.Registers, registerKey{Area: id.area, Epoch: id.epoch, Key: held})
		return nil
	})
}

// useEpoch makes a held key the one that is written under, or spoken under.
func (v *Vault) useEpoch(id epochID, check [8]byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if id.what == forRegister {
		if v.writing == nil {
			v.writing = map[uint16]uint32{}
		}
		v.writing[id.area] = id.epoch
		return nil
	}
	i := v.gossipAt(id, check)
	if i <= 0 {
		return nil // it is not here, or it is in use
	}
	return v.updateLocked(func(s *secrets) error {
		k := s.Gossip[i]
		s.Gossip = slices.Insert(slices.Delete(slices.Clone(s.Gossip), i, i+1), 0, k)
		return nil
	})
}

// GossipKeys are the key the membership traffic is sealed under now and the one before
// it, if there is one: what arrives under either counts.
func (v *Vault) GossipKeys() [][32]byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out [][32]byte
	for _, k := range v.s.Gossip[:min(2, len(v.s.Gossip))] {
		out = append(out, [32]byte(bytes.Clone(k)))
	}
	return out
}
