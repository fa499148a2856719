package oplog

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
)

// Check reads the whole journal again and verifies checksums, encryption, hash
// chains, births, signatures and clocks, then compares the views with it: op
// count, heads, and every subject folded anew. It runs beside commands.
func (l *Log) Check(ctx context.Context) (Report, error) {
	l.mu.RLock()
	r := Report{Problems: slices.Clone(l.problems)}
	l.mu.RUnlock()
	err := l.snapshot(func(s StoreReader) error {
		st, found, err := readState(s)
		if err != nil {
			return err
		}
		if !found {
			return errInternal("views without a state")
		}
		if r.Logs, err = readHeads(s); err != nil {
			return err
		}
		r.Ops = st.Ops
		if r.Views, err = l.engine.viewsDigest(s); err != nil {
			return errStore(err)
		}
		c := &checker{l: l, chains: map[LogID]*chain{}, say: func(f string, a ...any) {
			if len(r.Problems) < maxProblems {
				r.Problems = append(r.Problems, fmt.Sprintf(f, a...))
			}
		}}
		if err := c.journal(ctx, st.At); err != nil {
			return err
		}
		c.compare(st, r.Logs)
		return c.views(ctx, s)
	})
	if err != nil {
		return Report{}, err
	}
	slices.Sort(r.Problems)
	r.Problems = slices.Compact(r.Problems)
	r.Sound = len(r.Problems) == 0
	return r, nil
}

// checker follows every chain from its birth, trusting nothing of the index.
type checker struct {
	l      *Log
	chains map[LogID]*chain
	say    func(format string, args ...any)
}

// journal walks all segments up to the position of the snapshot.
func (c *checker) journal(ctx context.Context, upTo position) error {
	c.l.journal.mu.RLock()
	segs := slices.Clone(c.l.journal.segs)
	c.l.journal.mu.RUnlock()
	for _, s := range segs {
		if ctx.Err() != nil {
			return errCancelled(ctx)
		}
		if s.number > upTo.Segment || s.aead == nil {
			continue
		}
		raw, err := c.l.journal.load(s)
		if err != nil {
			c.say("journal segment %d: %v", s.number, err)
			continue
		}
		if err := checkSegmentHeader(raw, c.l.journal.deployment, s.number); err != nil {
			c.say("segment %d: %v", s.number, err)
		}
		last := s.number == upTo.Segment
		_ = walkFrames(raw, func(f found) error {
			if last && f.index > upTo.Index {
				return ErrStop // written after the snapshot
			}
			if f.why != "" {
				c.say("journal segment %d: %s at byte %d", s.number, f.why, f.off)
				return nil
			}
			body, err := c.l.journal.open(s, f.index, f.cipher)
			if err != nil {
				c.say("journal segment %d: damaged frame at byte %d", s.number, f.off)
				return nil
			}
			return eachBatch(body, func(raw []byte) error { c.batch(raw, s.number); return nil })
		})
	}
	return nil
}

// batch verifies one batch as if it came from a stranger.
func (c *checker) batch(raw []byte, segment uint64) {
	b, err := parseBatch(raw)
	if err != nil {
		c.say("journal segment %d: a batch cannot be read", segment)
		return
	}
	b.link()
	ch := c.chains[b.log]
	if ch == nil {
		ch = &chain{}
		c.chains[b.log] = ch
	}
	if b.first == 1 && ch.key == nil {
		if ch.key, err = c.l.birthKey(b); err != nil {
			c.say("log %s: its birth is not of this deployment", b.log)
		}
	}
	if ch.key == nil {
		ch.key = c.l.keyOf(b.log)
	}
	if len(ch.key) != ed25519.PublicKeySize || !ed25519.Verify(ch.key, b.message(c.l.auth.Deployment()), b.sig[:]) {
		c.say("log %s: the signature at op %d does not match", b.log, b.last())
		return
	}
	ch.add(run{first: b.first, last: b.last()})
	for i := range b.ops {
		r := &b.ops[i]
		if r.ref.Seq == ch.head.Seq+1 {
			if r.prev != ch.head.Hash || r.clock <= ch.clock {
				c.say("log %s: op %d does not continue the chain", b.log, r.ref.Seq)
			}
			ch.head, ch.clock = Head{Log: b.log, Seq: r.ref.Seq, Hash: r.hash}, r.clock
		}
	}
}

// compare holds the views' counters against the journal.
func (c *checker) compare(st state, heads []Head) {
	var count uint64
	for _, ch := range c.chains {
		count += ch.covered
	}
	if st.Ops != count {
		c.say("the journal holds %d ops and the views %d", count, st.Ops)
	}
	for _, h := range heads {
		if ch := c.chains[h.Log]; ch == nil || ch.head != h {
			c.say("log %s: the views have another head than the journal", h.Log)
		}
	}
	for log := range c.chains {
		if !slices.ContainsFunc(heads, func(h Head) bool { return h.Log == log }) {
			c.say("log %s: the views do not know it", log)
		}
	}
}

// views folds every subject again and compares the rows, then their number, so
// that neither a wrong, a missing nor a surplus row stays unseen.
func (c *checker) views(ctx context.Context, s StoreReader) error {
	var want, have int
	var subject ID
	var ops []*stored
	flush := func() error {
		rows, err := c.subject(s, subject, ops)
		want += rows
		ops = nil
		return err
	}
	err := s.Scan([]byte{spaceOps}, nil, func(k, v []byte) error {
		if ctx.Err() != nil {
			return errCancelled(ctx)
		}
		if id := ID(k[1 : 1+len(subject)]); id != subject {
			if err := flush(); err != nil {
				return err
			}
			subject = id
		}
		var err error
		ops, err = appendStored(ops, subject, bytes.Clone(v))
		return err
	})
	if err == nil {
		err = flush()
	}
	if err == nil {
		err = s.Scan([]byte{spaceRow}, nil, func(_, _ []byte) error { have++; return nil })
	}
	if err == nil && want != have {
		c.say("the views hold %d rows instead of %d", have, want)
	}
	return errStore(err)
}

func (c *checker) subject(s StoreReader, subject ID, ops []*stored) (int, error) {
	for _, o := range ops {
		if ch := c.chains[o.ref.Log]; ch == nil {
			c.say("op %s is in the views only", o.ref)
		} else if _, ok := ch.find(o.ref.Seq); !ok {
			c.say("op %s is in the views only", o.ref)
		}
	}
	n, known := 0, c.l.engine.open(ops)
	for i, v := range c.l.engine.views {
		rows := map[string][]byte{}
		for _, r := range c.l.engine.rows(i, subject, known) {
			rows[string(r.Key)] = r.Value // the last of equal keys wins, as in the store
		}
		n += len(rows)
		for key, value := range rows {
			got, err := s.Get(c.l.engine.rowKey(v, []byte(key), subject))
			if err != nil && !errors.Is(err, ErrNoKey) {
				return n, err
			}
			if err != nil || !bytes.Equal(got, value) {
				c.say("view %s: a row of subject %s differs from its ops", v.Name, subject)
			}
		}
	}
	return n, nil
}
