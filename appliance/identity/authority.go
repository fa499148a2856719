package identity

import (
	"bytes"
	"crypto/ed25519"
	"slices"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

var _ oplog.Authority = (*Vault)(nil)

// LogBorn is the body of identity.log_born, the first op of every log: whose
// it is. The log's name is bound to both fields.
type LogBorn struct {
	Nonce [16]byte `cbor:"1,keyasint"`
	Cert  []byte   `cbor:"2,keyasint"` // node certificate
}

// logOf names a log: the first 16 bytes of SHA-256("waypost/log/1" ‖ node public
// key ‖ nonce).
func logOf(public [32]byte, nonce [16]byte) oplog.LogID {
	return oplog.LogID(hashed("waypost/log/1", public[:], nonce[:])[:16])
}

// Deployment is the id of the operation.
func (v *Vault) Deployment() [16]byte { return v.deployment }

// LogKey checks a log's birth against the root and returns the key its heads
// are signed with. It depends on nothing but its arguments and the root: a wrong
// clock must never make a node refuse records. Faults: Invalid
// "fault.identity.bad_certificate", Denied "fault.identity.not_ours".
func (v *Vault) LogKey(log oplog.LogID, birth []byte) (ed25519.PublicKey, error) {
	return LogKey(v.root, log, birth)
}

// LogKey is Vault.LogKey for whoever knows the root and nothing else: a locked box.
func LogKey(root ed25519.PublicKey, log oplog.LogID, birth []byte) (ed25519.PublicKey, error) {
	var b LogBorn
	if err := decode(birth, &b); err != nil || !bytes.Equal(encode(b), birth) {
		return nil, fault.New(fault.Invalid, "fault.identity.bad_certificate")
	}
	cert, err := ParseNodeCert(b.Cert)
	if err != nil {
		return nil, err
	}
	if err := cert.Verify(root); err != nil {
		return nil, err
	}
	if logOf(cert.Public, b.Nonce) != log {
		return nil, fault.New(fault.Denied, "fault.identity.not_ours")
	}
	return cert.Public[:], nil
}

// Birth is the body of the first op of an own new log.
func (v *Vault) Birth(nonce [16]byte) (log oplog.LogID, body []byte) {
	return logOf(v.cert.Public, nonce), encode(LogBorn{Nonce: nonce, Cert: v.Cert().Marshal()})
}

// CompartmentKey is the key of one area and epoch of the register; false when
// this node was not given it. No other compartment has keys yet.
func (v *Vault) CompartmentKey(c oplog.Compartment, area uint16, epoch uint32) (key [32]byte, ok bool) {
	if c != oplog.Register {
		return key, false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, k := range v.s.Registers {
		if k.Area == area && k.Epoch == epoch && !v.ended {
			return [32]byte(k.Key), true
		}
	}
	return key, false
}

// CurrentEpoch is what own payloads are sealed under: of the area this node's certificate
// names, the epoch the desk chose, and without a desk the newest that is held.
func (v *Vault) CurrentEpoch(c oplog.Compartment) (area uint16, epoch uint32) {
	if c != oplog.Register {
		return 0, 0
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	area = v.area()
	if epoch, chosen := v.writing[area]; chosen {
		return area, epoch
	}
	for _, k := range v.s.Registers {
		if k.Area == area && k.Epoch > epoch {
			epoch = k.Epoch
		}
	}
	return area, epoch
}

// area is the area this node writes: the first its certificate names that it has a key of.
func (v *Vault) area() uint16 {
	for _, a := range v.cert.Areas {
		if slices.ContainsFunc(v.s.Registers, func(k registerKey) bool { return k.Area == a }) {
			return a
		}
	}
	return v.s.Registers[0].Area
}

// SignHead is Ed25519 by the node key.
func (v *Vault) SignHead(msg []byte) []byte { return v.sign(msg) }
