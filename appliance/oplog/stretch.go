package oplog

import (
	"context"
	"slices"
	"time"
)

// What a person's record is made of, and what lies behind a place in a log: for the
// question which of it other nodes hold as well. Neither tells of the Narrow compartment.

// RefsOf lists the ops that a subject's record is made of, by log and number, under the
// names they have in folds: those that count, those that this program cannot read and
// those whose payload is gone here (bare tells how many). What is held back, sealed files
// and whoever was erased have none. It reads one subject of the view store.
func (l *Log) RefsOf(subject ID) (refs []Ref, bare int, err error) {
	filled := l.fills.Load()
	if filled%2 == 1 {
		return nil, 0, l.errPartial()
	}
	err = l.snapshot(func(r StoreReader) error {
		ops, _, _, err := loadOps(&space{base: r}, subject)
		if err != nil {
			return err
		}
		ops = l.engine.counting(*l.engine.hold.Load(), ops)
		if l.engine.standing(subject, ops).Erased {
			return nil
		}
		ops = slices.DeleteFunc(slices.Clone(ops), func(o *stored) bool { return o.narrow })
		for _, o := range ops {
			if o.bare {
				bare++
			}
			if o.bare || o.opaque {
				refs = append(refs, o.ref)
			}
		}
		for _, op := range l.engine.open(ops) {
			refs = append(refs, op.Ref)
		}
		return nil
	})
	slices.SortFunc(refs, compareRefs)
	return slices.Compact(refs), bare, err
}

// Entry is one op of a stretch of a log, as far as it can be read here.
type Entry struct {
	Ref
	Clock   uint64
	Subject ID
	Kind    string // of a carried op that of the op it carries; empty when it cannot be read here
	At      time.Time
	Unsure  bool
}

// Behind hands out the ops of a log after one place up to its head, in order, without those
// of the Narrow compartment, those that are held back and those about whoever was erased. It reads the journal and opens
// payloads, so it costs as much as there is behind that place. fn must not keep the writer
// waiting: no lock is held. Faults: those of Range; what fn answers; the context's.
func (l *Log) Behind(ctx context.Context, log LogID, after uint64, fn func(Entry) error) error {
	hold := *l.engine.hold.Load()
	for {
		runs, _, err := l.runsBehind(log, after, MaxBatchOps)
		if err != nil || len(runs) == 0 {
			return err
		}
		was := after
		for _, r := range runs {
			if err := ctx.Err(); err != nil {
				return err
			}
			b, err := l.held(r, log)
			if err != nil {
				return err
			}
			for i := range b.ops {
				op := &b.ops[i]
				if op.ref.Seq <= after {
					continue
				}
				after = op.ref.Seq
				if op.comp == Narrow || l.heldRecord(hold, op) || l.GoneOf(op.subject).Erased {
					continue
				}
				if err := fn(l.entry(op)); err != nil {
					return err
				}
			}
		}
		if after == was {
			return nil
		}
	}
}

// entry reads one op as far as it can be read.
func (l *Log) entry(r *record) Entry {
	e := Entry{Ref: r.ref, Clock: r.clock, Subject: r.subject}
	s, err := l.unseal(r)
	if err != nil || s.bare || s.opaque {
		return e
	}
	if c := s.content(); c != nil {
		e.Kind, e.At, e.Unsure = c.kind().name, time.Unix(c.At, 0).UTC(), c.Unsure
	}
	return e
}
