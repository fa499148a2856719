package oplog

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Key spaces of the view store. doc.go describes their values.
const (
	spaceState = 'm' // one row: position, counters
	spaceHead  = 'h' // log -> sequence and hash applied
	spaceOps   = 'o' // subject ‖ chunk -> its ops, opened
	spaceOnce  = 'n' // idempotency hash -> what it wrote
	spaceRing  = 't' // transaction number modulo ringSize -> number
	spaceRow   = 'v' // length ‖ view name ‖ row key ‖ subject -> row
	spaceMoved = 'w' // log ‖ subject: a witness carries an op of the subject that was in that log
	spaceGone  = 'x' // subject -> how it stands when it was erased, or payloads of it are gone
)

// stored is one op as the view store keeps it: what of the header a fold needs,
// and the opened payload.
type stored struct {
	ref        Ref
	clock      uint64
	subject    ID
	supersedes []Ref
	plain      []byte // the payload's CBOR; empty when opaque
	read       *content
	op         *Op   // what understand made of it, once
	opaque     bool  // unknown kind, or a key this node lacks
	bare       bool  // its payload is gone
	sealed     bool  // of another compartment than the open one: an erasure takes it away
	narrow     bool  // of the Narrow compartment: its body is ciphertext
	hidden     bool  // its subject was erased when it was applied
	lacking    *lack // the key it lacks
}

// content reads plain once; nil when it cannot be read.
func (s *stored) content() *content {
	if s.read == nil && !s.opaque && !s.bare {
		c, err := decodeContent(s.plain)
		if err != nil {
			return nil
		}
		s.read = &c
	}
	return s.read
}

// wrote is the clock of an op when it was written first.
func (s *stored) wrote() uint64 {
	if c := s.content(); c != nil {
		if in := carriedIn(c); in != nil {
			return in.Clock
		}
	}
	return s.clock
}

// lack names a key that some payload here was sealed under and we do not hold.
type lack struct {
	_     struct{} `cbor:",toarray"`
	Comp  Compartment
	Area  uint16
	Epoch uint32
}

// engine turns ops into rows. It is immutable after Open except for problems.
type engine struct {
	kinds   map[kindID]Kind
	views   []*View
	prefix  map[*View][]byte
	byKind  map[kindID][]int // indexes into views
	erasing int              // index of the view that knows erasures; -1 without one
	home    [16]byte         // the deployment; set once, before the first fold
	schema  [8]byte          // changes when kinds, views or this layout do
	problem func(string)
	logKey  func(LogID, []byte) (ed25519.PublicKey, error) // Authority.LogKey
	births  sync.Map                                       // hash of log and birth -> ed25519.PublicKey
	born    atomic.Uint64                                  // how many were put there
	hold    atomic.Pointer[Holding]                        // what no fold sees
	author  func(LogID) (ID, bool)
	met     sync.Map // LogID -> ID: who writes a log
}

// storeLayout is raised whenever the meaning of a stored key changes.
const storeLayout = "waypost/views/2"

func newEngine(kinds []Kind, views []*View) (*engine, error) {
	e := &engine{kinds: map[kindID]Kind{}, views: views, prefix: map[*View][]byte{}, byKind: map[kindID][]int{}, erasing: -1}
	var none Holding = nothingHeld{}
	e.hold.Store(&none)
	add := func(k Kind) error {
		old, known := e.kinds[k.id()]
		if k.name == "" || k.version == 0 || k.comp == 0 || k.decode == nil || (known && (old.typ != k.typ || old.comp != k.comp || old.bound != k.bound)) {
			return errInternal(fmt.Sprintf("kind %q version %d is incomplete or declared twice", k.name, k.version))
		}
		e.kinds[k.id()] = k
		return nil
	}
	for _, k := range kinds {
		if err := add(k); err != nil {
			return nil, err
		}
	}
	names := map[string]bool{}
	for i, v := range views {
		if v.Name == "" || len(v.Name) > 255 || v.Fold == nil || names[v.Name] {
			return nil, errInternal(fmt.Sprintf("view %q is incomplete or declared twice", v.Name))
		}
		names[v.Name] = true
		e.prefix[v] = append([]byte{spaceRow, byte(len(v.Name))}, v.Name...)
		if v.Erases != nil {
			if e.erasing >= 0 || slices.ContainsFunc(v.Kinds, func(k Kind) bool { return k.comp != Deployment }) {
				return nil, errInternal(fmt.Sprintf("view %q cannot be the one that knows erasures", v.Name))
			}
			e.erasing = i
		}
		for _, k := range v.Kinds {
			if err := add(k); err != nil {
				return nil, err
			}
			e.byKind[k.id()] = append(e.byKind[k.id()], i)
		}
	}
	e.schema = e.digestSchema()
	return e, nil
}

// digestSchema covers everything a change of which makes stored views wrong.
func (e *engine) digestSchema() (d [8]byte) {
	lines := []string{fmt.Sprintf("kind %s %d", carriedKind, carriedVersion), fmt.Sprintf("kind %s %d", carriedKind, witnessedVersion), fmt.Sprintf("kind %s %d", sealedAgainKind, sealedAgainVersion)}
	for id := range e.kinds {
		line := fmt.Sprintf("kind %s %d", id.name, id.version)
		if e.kinds[id].bound {
			line += " bound"
		}
		lines = append(lines, line)
	}
	for _, v := range e.views {
		lines = append(lines, fmt.Sprintf("view %s %d %d", v.Name, v.Version, len(v.Kinds)))
	}
	slices.Sort(lines)
	h := sha256.New()
	fmt.Fprintln(h, storeLayout)
	for _, l := range lines {
		fmt.Fprintln(h, l)
	}
	copy(d[:], h.Sum(nil))
	return d
}

// understand opens what is known about an op's payload; ok is false when this
// node has to leave it unapplied.
func (e *engine) understand(s *stored) (Op, bool) {
	if s.op != nil {
		return *s.op, true
	}
	c := s.content()
	if c == nil {
		return Op{}, false
	}
	op := Op{Ref: s.ref, Clock: s.clock, Subject: s.subject, Supersedes: s.supersedes, Kind: c.Kind, Version: c.Version}
	raw := c.Body
	if in := carriedIn(c); in != nil {
		if !e.proven(s, in) {
			return Op{}, false
		}
		op.Clock, op.Supersedes, op.Kind, op.Version, raw = in.Clock, in.Supersedes, in.Kind, in.Version, in.Body
	}
	k, known := e.kinds[kindID{op.Kind, op.Version}]
	if c.Kind == carriedKind && c.Version == witnessedVersion && (k.comp != Register || k.bound) {
		return Op{}, false // what rests on who says it stays theirs
	}
	if !known || (k.comp == Narrow) != s.narrow { // nobody says in the open that something is sealed
		return Op{}, false
	}
	body, err := k.decode(raw)
	if err != nil {
		return Op{}, false
	}
	op.Body = body
	copy(op.By[:], c.By)
	op.At, op.Unsure = c.when()
	s.op = &op
	return op, true
}

// apply adds ops of one subject and folds it again. Ops that are already there
// are skipped, so replaying is harmless; one whose payload was gone, or that could not be
// opened before, is filled.
func (e *engine) apply(s *space, subject ID, news []*stored) error {
	old, chunk, tail, err := loadOps(s, subject)
	if err != nil {
		return err
	}
	all, filled := old, false
	for _, n := range news {
		i := slices.IndexFunc(all, func(o *stored) bool { return o.ref == n.ref })
		switch {
		case i < 0:
			all = append(all, n)
		case all[i].bare && !n.bare, all[i].opaque && !n.opaque:
			all = slices.Clone(all) // old stays what it was
			all[i], filled = n, true
		}
	}
	// Folded also when nothing is new: a crash may have cut a large commit
	// after the ops and before the rows.
	was, now := e.seen(subject, old), e.seen(subject, all)
	e.refold(s, subject, was, now)
	if filled {
		forgetOps(s, subject, chunk)
		storeOps(s, subject, 0, nil, all)
	} else {
		storeOps(s, subject, chunk, tail, all[len(old):])
	}
	noteMoved(s, news)
	for _, n := range news {
		n.hidden = now.standing.Erased
	}
	return e.noteStanding(s, subject, was.standing, now.standing, all, filled)
}

// open sorts the ops a fold may see.
func (e *engine) open(ops []*stored) []Op {
	out := make([]Op, 0, len(ops))
	for _, s := range ops {
		if op, ok := e.understand(s); ok {
			if s.content().Kind == carriedKind {
				return sortOps(e.reunite(ops))
			}
			out = append(out, op)
		}
	}
	return sortOps(out)
}

func sortOps(ops []Op) []Op {
	slices.SortFunc(ops, func(a, b Op) int {
		if a.Ref == b.Ref {
			return 0
		}
		if before(a.Clock, a.Ref, b.Clock, b.Ref) {
			return -1
		}
		return 1
	})
	return ops
}

// seen is what a fold may see of a subject: its known ops in order, and whether
// it was erased.
type seen struct {
	ops      []Op
	standing Standing
}

func (e *engine) seen(subject ID, ops []*stored) seen {
	return e.seenUnder(*e.hold.Load(), subject, ops)
}

func (e *engine) seenUnder(h Holding, subject ID, ops []*stored) seen {
	ops = e.counting(h, ops)
	return seen{ops: e.open(ops), standing: e.standing(subject, ops)}
}

// refold writes the rows of now and deletes those only before had. Folds are
// pure, so what before had need not be remembered: it is folded again.
func (e *engine) refold(s *space, subject ID, before, now seen) {
	for i, v := range e.views {
		had := e.rows(i, subject, before)
		has := e.rows(i, subject, now)
		for _, r := range had {
			if !slices.ContainsFunc(has, func(n Row) bool { return bytes.Equal(n.Key, r.Key) }) {
				s.delete(e.rowKey(v, r.Key, subject))
			}
		}
		for _, r := range has {
			s.put(e.rowKey(v, r.Key, subject), r.Value)
		}
	}
}

// rows runs one fold over the ops it asked for. Of a subject that was erased only
// the view that knows erasures says anything.
func (e *engine) rows(view int, subject ID, of seen) (rows []Row) {
	if of.standing.Erased && view != e.erasing {
		return nil
	}
	v := e.views[view]
	mine := make([]Op, 0, len(of.ops))
	for _, op := range of.ops {
		if slices.Contains(e.byKind[kindID{op.Kind, op.Version}], view) {
			mine = append(mine, op)
		}
	}
	if len(mine) == 0 {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			rows = nil
			e.problem(fmt.Sprintf("view %s cannot fold subject %s", v.Name, subject))
		}
	}()
	rows = v.Fold(subject, mine)
	return slices.DeleteFunc(rows, func(r Row) bool { return len(r.Key) > MaxRowKey || len(r.Value) > MaxRowValue })
}

func (e *engine) rowKey(v *View, key []byte, subject ID) []byte {
	p := e.prefix[v]
	k := make([]byte, 0, len(p)+len(key)+len(subject))
	k = append(k, p...)
	k = append(k, key...)
	return append(k, subject[:]...)
}

// applyAll groups ops by subject and applies them; it keeps the order of first
// appearance so that work is repeatable.
func (e *engine) applyAll(s *space, ops []*stored) ([]ID, error) {
	groups := make(map[ID][]*stored, len(ops))
	subjects := make([]ID, 0, len(ops))
	for _, o := range ops {
		if _, seen := groups[o.subject]; !seen {
			subjects = append(subjects, o.subject)
		}
		groups[o.subject] = append(groups[o.subject], o)
	}
	for _, id := range subjects {
		if err := e.apply(s, id, groups[id]); err != nil {
			return subjects, err
		}
	}
	for _, o := range ops {
		if err := e.noteOnce(s, o); err != nil {
			return subjects, err
		}
	}
	return subjects, nil
}

// noteOnce remembers an idempotency key. When two nodes used one key the
// smallest op keeps it, on every node alike.
func (e *engine) noteOnce(s *space, o *stored) error {
	if h := *e.hold.Load(); o.hidden || e.isHeld(h, o.ref) || e.heldAsCopy(h, o) {
		return nil
	}
	return e.claimOnce(s, o)
}

func (e *engine) claimOnce(s *space, o *stored) error {
	key, row, err := onceEntry(o)
	if err != nil || key == nil {
		return err
	}
	if raw, err := s.get(key); err == nil {
		var w onceRow
		if decMode.Unmarshal(raw, &w) == nil && before(w.Clock, w.Ref, o.wrote(), o.ref) {
			return nil
		}
	} else if !errors.Is(err, ErrNoKey) {
		return errStore(err)
	}
	s.put(key, row)
	return nil
}

// onceEntry is what an op's idempotency key says; no key when it has none.
func onceEntry(o *stored) (key, row []byte, err error) {
	c := o.content()
	if c == nil || c.Once == nil {
		return nil, nil, nil
	}
	once, hash := c.onceIs()
	row, err = encMode.Marshal(onceRow{Clock: o.wrote(), Ref: o.ref, Subject: o.subject, BodyHash: hash})
	if err != nil {
		return nil, nil, errInternal("idempotency row")
	}
	return append([]byte{spaceOnce}, once[:]...), row, nil
}

type onceRow struct {
	_        struct{} `cbor:",toarray"`
	Clock    uint64
	Ref      Ref
	Subject  ID
	BodyHash [8]byte
}

// viewsDigest hashes view versions and all rows of a snapshot, length before
// content, so equal digests mean equal views.
func (e *engine) viewsDigest(r StoreReader) (string, error) {
	h := sha256.New()
	views := slices.Clone(e.views)
	slices.SortFunc(views, func(a, b *View) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	for _, v := range views {
		fmt.Fprintf(h, "%d %s %d\n", len(v.Name), v.Name, v.Version)
	}
	var n [16]byte
	err := r.Scan([]byte{spaceRow}, nil, func(k, v []byte) error {
		binary.BigEndian.PutUint64(n[:8], uint64(len(k)))
		binary.BigEndian.PutUint64(n[8:], uint64(len(v)))
		h.Write(n[:])
		h.Write(k)
		h.Write(v)
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)), err
}
