package oplog

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// A log that was written by two boxes with one folder has two histories, and no node
// can hold both: an op is known by log and sequence. So whoever has the key writes the
// ops of both again under its new log, each as it was, inside an op of this kind
// (rejoin.go). Folds never see the kind: to them a carried op is the op that it holds,
// with its clock and under the name of its new place.
const (
	carriedKind      = "oplog.carried"
	carriedVersion   = 1
	witnessedVersion = 2 // the same bytes, by another node than the one whose the op is: witness.go
)

// carried is the body. Who, when and the idempotency key are those of the op that
// holds it, and so are subject and compartment.
type carried struct {
	_          struct{} `cbor:",toarray"`
	Log        LogID    // where it was
	Seq        uint64
	History    [8]byte // which of the histories: the hash of its first op that is not in the other, cut
	Clock      uint64
	Supersedes []Ref
	Proof      [2][]byte // the births of that log and of the one that holds this: one node's
	Places     []place   // where it was carried to before, in logs that parted as well
	Kind       string
	Version    uint
	Body       cbor.RawMessage

	version uint // of the carrying kind; 0 is carriedVersion
}

// place is one in a history of a log of the same node.
type place struct {
	_       struct{} `cbor:",toarray"`
	Log     LogID
	Seq     uint64
	History [8]byte
	Birth   []byte // of that log
}

// maxPlaces bounds how often a log of carried ops may part and still be named.
const maxPlaces = 16

// carriedIn opens the body; nil when the op is none or cannot be read.
func carriedIn(c *content) *carried {
	if c.Kind != carriedKind || c.Version != carriedVersion && c.Version != witnessedVersion {
		return nil
	}
	in := carried{version: c.Version}
	if decMode.Unmarshal(c.Body, &in) != nil || len(in.Supersedes) > MaxSupersedes || len(in.Places) > maxPlaces || in.Kind == carriedKind || in.Clock > maxClock {
		return nil
	}
	return &in
}

// pack is the payload that carries an op with the content c.
func (in carried) pack(c *content) ([]byte, error) {
	in.Kind, in.Version, in.Body = c.Kind, c.Version, c.Body
	body, err := encMode.Marshal(in)
	if err != nil {
		return nil, errInternal("carried op")
	}
	out := *c
	out.Kind, out.Version, out.Body = carriedKind, max(in.version, carriedVersion), body
	plain, err := encMode.Marshal(out)
	if err != nil {
		return nil, errInternal("carried op")
	}
	if len(plain) > MaxPayload {
		return nil, errTooLarge(MaxPayload)
	}
	return plain, nil
}

// origin is the place a carried op had.
func (in *carried) origin() Ref { return Ref{Log: in.Log, Seq: in.Seq} }

// kind is what an op is about: of a carried one, what it holds.
func (c *content) kind() kindID {
	if in := carriedIn(c); in != nil {
		return kindID{in.Kind, in.Version}
	}
	return kindID{c.Kind, c.Version}
}

// moved is an op as folds see it, and what tells whether another is the same op: all
// of it but the name of its place.
type moved struct {
	op  Op
	in  *carried // nil where it was written first
	was Ref      // where that is
	say content  // its content, as it was written first
}

func (e *engine) moved(s *stored) (moved, bool) {
	op, ok := e.understand(s)
	if !ok {
		return moved{}, false
	}
	m := moved{op: op, was: op.Ref, say: *s.content(), in: carriedIn(s.content())}
	if m.in != nil {
		m.was, m.say.Kind, m.say.Version, m.say.Body = m.in.origin(), m.in.Kind, m.in.Version, m.in.Body
	}
	return m, true
}

// id is the same for two that are one op.
func (m *moved) id() [32]byte {
	n := binary.BigEndian.AppendUint64
	b := n(n(bytes.Clone(m.was.Log[:]), m.was.Seq), m.op.Clock)
	b = n(b, uint64(len(m.op.Supersedes)))
	for _, r := range m.op.Supersedes {
		b = n(append(b, r.Log[:]...), r.Seq)
	}
	b = n(n(b, uint64(m.say.Version)), uint64(m.say.At)) //nolint:gosec // told apart, not counted
	for _, part := range [][]byte{[]byte(m.say.Kind), m.say.By, m.say.Once, m.say.Body} {
		b = append(n(b, uint64(len(part))), part...)
	}
	if m.say.Unsure {
		b = append(b, 1)
	}
	return sha256.Sum256(b)
}

// proven reports whether an op may be carried by whoever carries it. The node that wrote
// it may move it anywhere; another one only in the register compartment, as a witness, and
// all logs it names must be of nodes of this deployment. It depends on nothing but the op,
// so that all nodes judge alike, whichever logs they have met.
func (e *engine) proven(s *stored, in *carried) bool {
	was, now := e.birthOf(in.Log, in.Proof[0]), e.birthOf(s.ref.Log, in.Proof[1])
	if was == nil || now == nil {
		return false
	}
	witness := in.version == witnessedVersion
	for _, p := range in.Places {
		if key := e.birthOf(p.Log, p.Birth); key == nil || !witness && !was.Equal(key) {
			return false
		}
	}
	if witness {
		return s.sealed && !s.narrow
	}
	return was.Equal(now)
}

// maxBirths bounds how many are remembered.
const maxBirths = 4096

// birthOf is LogKey, remembered: one proof serves all ops of a parting.
func (e *engine) birthOf(log LogID, birth []byte) ed25519.PublicKey {
	if e.logKey == nil {
		return nil
	}
	id := sha256.Sum256(append(log[:], birth...))
	if key, known := e.births.Load(id); known {
		return key.(ed25519.PublicKey)
	}
	key, err := e.logKey(log, birth)
	if err != nil {
		return nil // not remembered: strangers could send any number of them
	}
	if e.births.Store(id, key); e.born.Add(1)%maxBirths == 0 {
		e.births.Clear() // a node can make up any number of logs; this is only faster
	}
	return key
}

// reunion leaves each op of a subject once. It is a function of those ops.
type reunion struct {
	kept   []moved
	ids    map[[32]byte]int     // of a carried one -> its index in kept
	names  map[int][][8]byte    // index in kept -> the histories its copies name, by their place
	places map[Ref]Ref          // of any copy -> where its op is kept
	left   map[Ref]Ref          // of what was written first and is kept elsewhere
	plain  map[Ref]bool         // of what is kept where it was written first
	in     map[inHistory]Ref    // of any copy -> where its op is kept
	was    map[Ref]map[Ref]bool // place in any history -> where what was there is kept
}

// inHistory is the place an op had in one of the histories of its log.
type inHistory struct {
	ref  Ref
	name [8]byte
}

// reunite is open for ops of which some were carried: of an op and its carried copies
// the copy whose place comes first counts, and what names another of them names that
// one. Only the node that wrote an op can move it.
func (e *engine) reunite(ops []*stored) []Op {
	r := e.reunion(ops)
	out := make([]Op, len(r.kept))
	for i := range r.kept {
		out[i] = r.kept[i].op
		out[i].Supersedes = r.refs(i)
	}
	return out
}

func (e *engine) reunion(ops []*stored) *reunion {
	r := &reunion{
		ids: map[[32]byte]int{}, names: map[int][][8]byte{}, places: map[Ref]Ref{}, left: map[Ref]Ref{},
		plain: map[Ref]bool{}, in: map[inHistory]Ref{}, was: map[Ref]map[Ref]bool{},
	}
	var plain, copies []moved
	for _, s := range ops {
		if m, ok := e.moved(s); ok && m.in != nil {
			copies = append(copies, m)
		} else if ok {
			plain = append(plain, m)
		}
	}
	// A copy that was carried once more, because its log parted, gives way like what was
	// written first: not every node holds it.
	type copied struct {
		id  [32]byte
		ref Ref
	}
	again := map[copied]bool{}
	for _, m := range copies {
		for _, p := range m.in.Places {
			again[copied{m.id(), Ref{Log: p.Log, Seq: p.Seq}}] = true
		}
	}
	slices.SortFunc(copies, func(a, b moved) int { return compareRefs(a.op.Ref, b.op.Ref) })
	for _, late := range []bool{false, true} {
		for _, m := range copies {
			if (len(again) > 0 && again[copied{m.id(), m.op.Ref}]) == late {
				r.copied(m)
			}
		}
	}
	for _, m := range plain {
		if i, moved := r.ids[m.id()]; moved {
			r.left[m.op.Ref] = r.kept[i].op.Ref
			continue
		}
		r.plain[m.op.Ref] = true
		r.kept = append(r.kept, m)
	}
	return r
}

// copied takes in a carried copy; the first one of an op is where it is kept.
func (r *reunion) copied(m moved) {
	id := m.id()
	i, known := r.ids[id]
	if !known {
		i = len(r.kept)
		r.ids[id], r.kept = i, append(r.kept, m)
	}
	at := r.kept[i].op.Ref
	r.places[m.op.Ref] = at
	r.names[i] = append(r.names[i], m.in.History)
	r.stood(inHistory{m.was, m.in.History}, at)
	for _, p := range m.in.Places {
		r.stood(inHistory{Ref{Log: p.Log, Seq: p.Seq}, p.History}, at)
	}
}

// stood notes that what is kept at a place was at another one, in a history of its log.
func (r *reunion) stood(where inHistory, at Ref) {
	if r.in[where] == (Ref{}) {
		r.in[where] = at
	}
	if r.was[where.ref] == nil {
		r.was[where.ref] = map[Ref]bool{}
	}
	r.was[where.ref][at] = true
}

// refs are the references of an op, each to the place where what it names is kept. A
// carried op names what its own history had there. Another, whose writer had seen one
// history, names the only op about the subject that was there; where both had one it
// names none, and both stay beside it for a person to choose.
func (r *reunion) refs(i int) []Ref {
	m := &r.kept[i]
	if len(m.op.Supersedes) == 0 {
		return m.op.Supersedes
	}
	out := make([]Ref, len(m.op.Supersedes))
	for j, ref := range m.op.Supersedes {
		out[j] = r.name(i, ref)
	}
	return out
}

func (r *reunion) name(i int, ref Ref) Ref {
	here := r.was[ref]
	if len(here) > 0 {
		for _, h := range r.names[i] {
			if at, ok := r.in[inHistory{ref, h}]; ok {
				return at
			}
		}
	}
	at, copied := r.places[ref]
	switch {
	case copied && (len(here) == 0 || len(here) == 1 && here[at]):
		return at
	case copied:
		return Ref{} // kept there or not: it could be another that was meant
	case !r.plain[ref] && len(here) == 1:
		for at := range here {
			return at
		}
	}
	return ref
}

// keptAt is where folds see the op that has a place.
func (e *engine) keptAt(ops []*stored, ref Ref) Ref {
	r := e.reunion(ops)
	if at, ok := r.places[ref]; ok {
		return at
	}
	if at, ok := r.left[ref]; ok {
		return at
	}
	return ref
}
