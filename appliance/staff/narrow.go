package staff

import (
	"crypto/sha256"
	"slices"

	"github.com/waypost/waypost/appliance/oplog"
)

// Narrow is a compartment that only the people assigned to it read: not the site, not
// its lead, not whoever holds the box. Names cross the wire as text and are only added.
type Narrow string

// The narrow compartments.
const (
	NarrowProtection Narrow = "protection" // trafficking, torture, violence, detention, orientation
	NarrowChild      Narrow = "child"      // children without their adults
	NarrowMedical    Narrow = "medical"    // health, HIV, mental health
	NarrowTracing    Narrow = "tracing"    // the search for lost family
)

// Narrows lists every narrow compartment, in the order pages show them.
func Narrows() []Narrow {
	return []Narrow{NarrowProtection, NarrowChild, NarrowMedical, NarrowTracing}
}

// Subject is what facts about the compartment itself are about: SHA-256 of
// "waypost/sealed-compartment/1" and its name, cut to 10 bytes. Nobody can be erased under it.
func (n Narrow) Subject() oplog.ID {
	sum := sha256.Sum256([]byte("waypost/sealed-compartment/1" + n))
	return oplog.ID(sum[:len(oplog.ID{})])
}

// narrows are the compartments that people of a role may be given.
func (r Role) narrows() []Narrow {
	switch r {
	case Caseworker:
		return []Narrow{NarrowProtection, NarrowChild}
	case Medical:
		return []Narrow{NarrowMedical}
	case Tracing:
		return []Narrow{NarrowTracing}
	}
	return nil
}

// Opens reports whether the actor works in a narrow compartment at all: their role may,
// and their account was given it. It opens no file: that takes a key, which no role has.
// A bearer key and the operator never do.
func (a Actor) Opens(n Narrow) bool {
	return a.Can(WorkSealed) && !a.Key && !a.Operator && slices.Contains(a.Role.narrows(), n) &&
		(a.Narrow == nil || slices.Contains(a.Narrow, n))
}

// Opened lists the narrow compartments the actor works in.
func (a Actor) Opened() []Narrow {
	return slices.DeleteFunc(Narrows(), func(n Narrow) bool { return !a.Opens(n) })
}

// Narrows lists the narrow compartments that an account of the role may be given.
func (r Role) Narrows() []Narrow { return r.narrows() }
