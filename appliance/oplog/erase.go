package oplog

import (
	"bytes"
	"errors"
	"slices"
)

// Standing is what the facts about one subject say of its erasure.
type Standing struct {
	Erased bool // two people signed it and nobody took it back: it shows nowhere
	Final  bool // an issuer signed it too: it cannot be taken back, payloads go as soon as may be
}

// Gone is a subject that was erased, or of which payloads are gone.
type Gone struct {
	Subject ID
	Standing
	Kept int // sealed ops of it whose payload still lies here
	Bare int // ops of it whose payload is gone
}

// goneRow is Gone as the view store keeps it. It is of this node and not in the
// digest: what is destroyed here may still lie elsewhere.
type goneRow struct {
	_      struct{} `cbor:",toarray"`
	Erased bool
	Final  bool
	Kept   uint32
	Bare   uint32
}

// refuses reports whether payloads of the subject are not stored any more: when
// an issuer has signed, or when all that is held of it was destroyed already.
// Until then they are kept, so that taking an erasure back loses nothing.
func (r goneRow) refuses() bool { return r.Erased && (r.Final || r.Kept == 0 && r.Bare > 0) }

// stands reports whether there is something to remember.
func (r goneRow) stands() bool { return r.Erased || r.Bare > 0 }

// goneRowOf counts what is left of a subject's ops.
func goneRowOf(st Standing, ops []*stored) goneRow {
	row := goneRow{Erased: st.Erased, Final: st.Final}
	for _, o := range ops {
		switch {
		case o.bare:
			row.Bare++
		case o.sealed:
			row.Kept++
		}
	}
	return row
}

func goneKey(subject ID) []byte { return append([]byte{spaceGone}, subject[:]...) }

// standing asks the view that knows erasures. The birth of a log is about its
// node, and no node can be erased: everything it wrote hangs on it.
func (e *engine) standing(subject ID, ops []*stored) Standing {
	var facts []*stored
	for _, o := range ops {
		if !o.sealed && o.ref.Seq == 1 && isBirth(o) {
			return Standing{}
		}
		if e.isErasing(o) {
			facts = append(facts, o)
		}
	}
	known := e.open(facts)
	if len(known) == 0 {
		return Standing{}
	}
	st := e.asked(subject, known)
	st.Final = st.Final && st.Erased
	return st
}

// asked guards the rule as rows guards a fold: one that panics erases nobody.
func (e *engine) asked(subject ID, facts []Op) (st Standing) {
	defer func() {
		if r := recover(); r != nil {
			st = Standing{}
			e.problem("the erasure of subject " + subject.String() + " cannot be judged")
		}
	}()
	return e.views[e.erasing].Erases(e.home, subject, facts)
}

// isErasing reports whether an op is one of the facts that erasures are made of.
// A fact that came sealed is none: others could not judge it.
func (e *engine) isErasing(o *stored) bool {
	if e.erasing < 0 || o.sealed {
		return false
	}
	c := o.content()
	return c != nil && slices.Contains(e.byKind[c.kind()], e.erasing)
}

// noteStanding keeps the row of a subject that was erased or lacks payloads, and
// takes its idempotency keys away or brings them back: they tell what a request
// was made of.
func (e *engine) noteStanding(s *space, subject ID, was, now Standing, all []*stored, filled bool) error {
	row := goneRowOf(now, all)
	switch {
	case row.stands():
		raw, err := encMode.Marshal(row)
		if err != nil {
			return errInternal("erasure row")
		}
		s.put(goneKey(subject), raw)
	case was.Erased || filled:
		s.delete(goneKey(subject))
	}
	for _, o := range all {
		var err error
		switch {
		case now.Erased:
			err = e.forgetOnce(s, o)
		case was.Erased:
			err = e.noteOnce(s, o)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// forgetOnce takes an op's idempotency key out, when it is that op's.
func (e *engine) forgetOnce(s *space, o *stored) error {
	c := o.content()
	if c == nil || c.Once == nil {
		return nil
	}
	once, _ := c.onceIs()
	key := append([]byte{spaceOnce}, once[:]...)
	raw, err := s.get(key)
	if errors.Is(err, ErrNoKey) {
		return nil
	}
	if err != nil {
		return errStore(err)
	}
	var w onceRow
	if decMode.Unmarshal(raw, &w) == nil && w.Ref == o.ref {
		s.delete(key)
	}
	return nil
}

// loadGone reads the rows at open.
func (l *Log) loadGone() error {
	return errStore(l.store.View(func(r StoreReader) error {
		return r.Scan([]byte{spaceGone}, nil, func(k, v []byte) error {
			var row goneRow
			if len(k) == 1+len(ID{}) && decMode.Unmarshal(v, &row) == nil {
				l.gone[ID(k[1:])] = row
			}
			return nil
		})
	}))
}

// noteGone follows what a commit changed. The caller holds l.mu.
func (l *Log) noteGone(over *overlay) {
	over.tree.AscendGreaterOrEqual(entry{key: []byte{spaceGone}}, func(e entry) bool {
		if len(e.key) != 1+len(ID{}) || e.key[0] != spaceGone {
			return false
		}
		var row goneRow
		if id := ID(e.key[1:]); e.deleted || decMode.Unmarshal(e.value, &row) != nil {
			delete(l.gone, id)
		} else {
			l.gone[id] = row
		}
		return true
	})
}

// Gone lists the subjects that were erased and those of which payloads are gone,
// by subject. Those that are not Erased wait for an erasure or for a peer that
// has the payload: see Wanting.
func (l *Log) Gone() []Gone {
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := make([]Gone, 0, len(l.gone))
	for id, row := range l.gone {
		out = append(out, row.public(id))
	}
	slices.SortFunc(out, func(a, b Gone) int { return bytes.Compare(a.Subject[:], b.Subject[:]) })
	return out
}

func (r goneRow) public(id ID) Gone {
	return Gone{Subject: id, Standing: Standing{Erased: r.Erased, Final: r.Final}, Kept: int(r.Kept), Bare: int(r.Bare)}
}

// GoneOf is how one subject stands; the zero Gone when nothing of it is gone.
func (l *Log) GoneOf(subject ID) Gone {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.gone[subject].public(subject)
}

// refuses reports whether payloads of a subject are stored no more.
func (l *Log) refuses(subject ID) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.gone[subject].refuses()
}

// Wanting are the ops, of subjects that were not erased as far as is known here,
// whose payload is gone: another node destroyed it and its erasure has not arrived
// yet, or that node lies. A batch that brings the payload fills it, also below
// the head.
func (l *Log) Wanting() ([]Ref, error) {
	var subjects []ID
	for _, g := range l.Gone() {
		if !g.Erased {
			subjects = append(subjects, g.Subject)
		}
	}
	if len(subjects) == 0 {
		return nil, nil
	}
	var out []Ref
	err := l.snapshot(func(r StoreReader) error {
		for _, id := range subjects {
			ops, _, _, err := loadOps(&space{base: r}, id)
			if err != nil {
				return err
			}
			for _, o := range ops {
				if o.bare {
					out = append(out, o.ref)
				}
			}
		}
		return nil
	})
	slices.SortFunc(out, func(a, b Ref) int { return compareRefs(a, b) })
	return out, err
}

func compareRefs(a, b Ref) int {
	if c := bytes.Compare(a.Log[:], b.Log[:]); c != 0 {
		return c
	}
	switch {
	case a.Seq < b.Seq:
		return -1
	case a.Seq > b.Seq:
		return 1
	}
	return 0
}

// OnlyNarrow reports whether all that a subject has beside open facts lies in the Narrow
// compartment, and there is some: it is a sealed file and nobody's record. It is so also
// while it is hidden, and after its payloads are gone.
func (l *Log) OnlyNarrow(subject ID) (only bool, err error) {
	err = l.snapshot(func(r StoreReader) error {
		ops, _, _, err := loadOps(&space{base: r}, subject)
		for _, o := range ops {
			if o.sealed && !o.narrow {
				only = false
				return err
			}
			only = only || o.narrow
		}
		return err
	})
	return only, err
}
