package oplog

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// A log that was written by two boxes with one folder has two histories, and no node
// can hold both: an op is known by log and sequence. So whoever has the key writes the
// ops of both again under its new log, each as it was, inside an op of this kind
// (rejoin.go). Folds never see the kind: to them a carried op is the op that it holds,
// with its clock and under the name of its new place.
const (
	carriedKind    = "oplog.carried"
	carriedVersion = 1
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
	Kind       string
	Version    uint
	Body       cbor.RawMessage
}

// carriedIn opens the body; nil when the op is none or cannot be read.
func carriedIn(c *content) *carried {
	if c.Kind != carriedKind || c.Version != carriedVersion {
		return nil
	}
	var in carried
	if decMode.Unmarshal(c.Body, &in) != nil || len(in.Supersedes) > MaxSupersedes || in.Kind == carriedKind || in.Clock > maxClock {
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
	out.Kind, out.Version, out.Body = carriedKind, carriedVersion, body
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

// same reports whether two are one op.
func (m *moved) same(o *moved) bool {
	a, b := m.say, o.say
	return m.was == o.was && m.op.Clock == o.op.Clock && slices.Equal(m.op.Supersedes, o.op.Supersedes) &&
		a.Kind == b.Kind && a.Version == b.Version && bytes.Equal(a.Body, b.Body) &&
		bytes.Equal(a.By, b.By) && a.At == b.At && a.Unsure == b.Unsure && bytes.Equal(a.Once, b.Once)
}

// proven reports whether the node that carries an op is the one that wrote it: nobody
// else may move it. It depends on nothing but the op, so that all nodes judge alike,
// whichever logs they have met.
func (e *engine) proven(by LogID, in *carried) bool {
	was, now := e.birthOf(in.Log, in.Proof[0]), e.birthOf(by, in.Proof[1])
	return was != nil && was.Equal(now)
}

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
	e.births.Store(id, key)
	return key
}

// reunion leaves each op of a subject once. It is a function of those ops.
type reunion struct {
	kept  []moved      // carried, by their place
	plain map[Ref]bool // what was not
}

// reunite is open for ops of which some were carried: of an op and its carried copies
// the copy whose place comes first counts, and what names another of them names that
// one. Only the node that wrote an op can move it.
func (e *engine) reunite(ops []*stored) []Op {
	r := &reunion{plain: map[Ref]bool{}}
	var plain, copies []moved
	for _, s := range ops {
		if m, ok := e.moved(s); ok && m.in != nil {
			copies = append(copies, m)
		} else if ok {
			plain = append(plain, m)
		}
	}
	slices.SortFunc(copies, func(a, b moved) int { return compareRefs(a.op.Ref, b.op.Ref) })
	for _, m := range copies {
		if !r.known(&m) {
			r.kept = append(r.kept, m)
		}
	}
	all := r.kept
	for _, m := range plain {
		if !r.known(&m) {
			r.plain[m.op.Ref] = true
			all = append(all, m)
		}
	}
	out := make([]Op, len(all))
	for i := range all {
		out[i] = all[i].op
		out[i].Supersedes = r.names(&all[i])
	}
	return out
}

// known reports whether an op is kept in another place.
func (r *reunion) known(m *moved) bool {
	return slices.ContainsFunc(r.kept, func(k moved) bool { return k.same(m) })
}

// names are the references of an op, each to the place where what it names is kept. A
// carried op names what its own history had there. Another, whose writer had seen one
// history, names the only op about the subject that was there; where both had one it
// names none, and both stay beside it for a person to choose.
func (r *reunion) names(m *moved) []Ref {
	if len(m.op.Supersedes) == 0 {
		return m.op.Supersedes
	}
	out := make([]Ref, len(m.op.Supersedes))
	for i, ref := range m.op.Supersedes {
		out[i] = r.name(m, ref)
	}
	return out
}

func (r *reunion) name(m *moved, ref Ref) Ref {
	var here []Ref
	for i := range r.kept {
		k := &r.kept[i]
		if k.was != ref {
			continue
		}
		if m.in != nil && m.in.History == k.in.History {
			return k.op.Ref
		}
		here = append(here, k.op.Ref)
	}
	if !r.plain[ref] && len(here) == 1 {
		return here[0]
	}
	return ref
}
