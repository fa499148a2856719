package oplog

import "slices"

// bare reports whether payloads of the batch are gone.
func (b *batch) bare() bool {
	return slices.ContainsFunc(b.ops, func(r record) bool { return r.bare })
}

// stripped is the batch without the payloads of subjects that gone names; the
// batch itself when it has none. link was called before: the hashes stay, so the
// chain and the signature hold as they did.
func (b *batch) stripped(gone func(ID) bool) *batch {
	out := b
	for i := range b.ops {
		r := &b.ops[i]
		if r.bare || r.comp == Deployment || !gone(r.subject) {
			continue
		}
		if out == b {
			out = &batch{log: b.log, first: b.first, prev: b.prev, ops: slices.Clone(b.ops), sig: b.sig}
		}
		out.ops[i].bare, out.ops[i].payload = true, nil
	}
	return out
}

// filled is the batch with payloads that another copy of the same ops has and
// wanted allows; the batch itself when the other has nothing for it. Both were
// linked and their hashes are equal, so whatever payload the other has is the one
// that was signed.
func (b *batch) filled(other *batch, wanted func(ID) bool) *batch {
	out := b
	for i := range b.ops {
		r := &b.ops[i]
		if !r.bare || r.ref.Seq < other.first || r.ref.Seq > other.last() {
			continue
		}
		o := &other.ops[r.ref.Seq-other.first]
		if o.bare || o.hash != r.hash || !wanted(r.subject) {
			continue
		}
		if out == b {
			out = &batch{log: b.log, first: b.first, prev: b.prev, ops: slices.Clone(b.ops), sig: b.sig}
		}
		out.ops[i] = *o
	}
	return out
}

// withoutPayload is an opened op as it is kept when its payload is not.
func (s *stored) withoutPayload() *stored {
	return &stored{ref: s.ref, clock: s.clock, subject: s.subject, supersedes: s.supersedes, bare: true, sealed: s.sealed, narrow: s.narrow}
}

// keepOut takes the payloads out of a batch that arrived, and of its opened ops,
// whose subjects were erased here for good. It runs before anything is stored.
func (l *Log) keepOut(b *batch, ops []*stored) (*batch, []*stored) {
	out := b.stripped(l.refuses)
	if out == b {
		return b, ops
	}
	ops = slices.Clone(ops)
	for i := range ops {
		if out.ops[i].bare && !ops[i].bare {
			ops[i] = ops[i].withoutPayload()
		}
	}
	return out, ops
}

// fill puts payloads that a batch brings in the place of those that are gone
// here, for subjects that were not erased. What lies in the journal as bare is
// written again, whole; the later frame wins. It runs in the writer.
func (l *Log) fill(c *chain, in *incoming) error {
	l.mu.RLock()
	var runs []run
	for _, r := range c.runs {
		if r.bare && r.first <= in.last() && r.last >= in.first {
			runs = append(runs, r)
		}
	}
	l.mu.RUnlock()
	for _, r := range runs {
		b, err := l.held(r, in.log)
		if err != nil {
			return err
		}
		full := b.filled(in.batch, func(id ID) bool { return !l.refuses(id) })
		if full == b {
			continue
		}
		if err := l.keepFilled(b, full); err != nil {
			return err
		}
	}
	return nil
}

// keepFilled appends, flushes and applies a batch that was bare before.
func (l *Log) keepFilled(was, full *batch) error {
	if err := l.freshSalt(); err != nil {
		return err
	}
	g, err := l.begin()
	if err != nil {
		return err
	}
	defer func() { g.tx.Discard() }()
	var ops []*stored
	for i := range full.ops {
		if was.ops[i].bare && !full.ops[i].bare {
			// A payload that cannot be opened here is kept like any other; one that swells
			// was refused when its batch came the first time, or would be understood nowhere.
			s, _ := l.openRecord(&full.ops[i])
			ops = append(ops, s)
		}
	}
	if g.events, err = l.engine.applyAll(&g.space, ops); err != nil {
		return err
	}
	g.records = ops
	return l.store1(g, []*batch{full})
}
