package oplog

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// Check reads the whole journal again and verifies checksums, encryption, hash
// chains, births, signatures and clocks, then compares the views with it: op
// count, heads, and every subject folded anew. It runs beside commands.
func (l *Log) Check(ctx context.Context) (Report, error) {
	// Damage that a look finds is set aside at once, and the look begins anew. It was
	// found all the same: this check says so, the next one is content.
	keys := l.journal.checkKeys()
	l.mu.RLock()
	noted := l.noted
	l.mu.RUnlock()
	for range 5 {
		aheads := l.aheads.Load()
		if l.Late() { // what is durable is to be seen
			if err := l.exclusive(func() error { aheads = l.aheads.Load(); return nil }); err != nil {
				return Report{}, err
			}
		}
		epoch, moving := l.frameEpoch()
		if !moving {
			r, err := l.check(ctx)
			if now, _ := l.frameEpoch(); (now == epoch && l.aheads.Load() == aheads) || err != nil {
				r.settle(append(keys, l.notesSince(noted)...))
				return r, err
			}
		}
		if err := l.exclusive(func() error { return nil }); err != nil { // its turn is over
			return Report{}, err
		}
	}
	return Report{}, errFiles(errors.New("the journal changes under the check"))
}

// check is one try; it is worth nothing when frames moved meanwhile.
func (l *Log) check(ctx context.Context) (Report, error) {
	l.mu.RLock()
	_, parted := l.forkLines()
	r := Report{Problems: l.standing(), Notes: slices.Concat(l.notes, parted)}
	_, r.Lost = l.lossLines()
	l.mu.RUnlock()
	r.Notes = append(r.Notes, strays(l.journal.fs, l.journal.dir)...)
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
		c := &checker{l: l, chains: map[LogID]*checked{}, say: func(f string, a ...any) {
			if len(r.Problems) < maxProblems {
				r.Problems = append(r.Problems, fmt.Sprintf(f, a...))
			}
		}}
		c.lost = l.allLosses()
		if err := c.journal(ctx, st.At); err != nil {
			return err
		}
		before := len(r.Problems)
		c.compare(st, r.Logs)
		err = c.views(ctx, s)
		r.viewsRight = len(r.Problems) == before && before < maxProblems
		return err
	})
	if err != nil {
		return Report{}, err
	}
	return r, nil
}

// settle adds what was found and puts problems in order.
func (r *Report) settle(found []string) {
	r.Problems = append(r.Problems, found...)
	slices.Sort(r.Problems)
	r.Problems = slices.Compact(r.Problems)
	r.Sound = len(r.Problems) == 0
}

// checker follows every chain from its birth, trusting nothing of the index.
type checker struct {
	l      *Log
	chains map[LogID]*checked
	say    func(format string, args ...any)
	lost   []Loss // named already
}

// checked is a chain as the checker knows it. Batches that came before those they
// follow wait: frames that were fetched back lie behind younger ones.
type checked struct {
	chain
	waiting []link
}

// link is where a batch begins and ends. In between its hashes were computed.
type link struct {
	first, last           uint64
	prev, hash            [32]byte
	firstClock, lastClock uint64
}

// join takes a batch into the chain, and then those that waited for it. It reports
// the first op that does not continue the chain.
func (ch *checked) join(n link) (broken uint64) {
	ch.waiting = append(ch.waiting, n)
	for i := 0; i < len(ch.waiting); i++ {
		n := ch.waiting[i]
		if n.first > ch.head.Seq+1 {
			continue
		}
		ch.waiting = slices.Delete(ch.waiting, i, i+1)
		i = -1
		if n.last <= ch.head.Seq {
			continue
		}
		if n.first == ch.head.Seq+1 && (n.prev != ch.head.Hash || n.firstClock <= ch.clock) {
			broken = n.first
		}
		ch.head, ch.clock = Head{Log: ch.head.Log, Seq: n.last, Hash: n.hash}, n.lastClock
	}
	return broken
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
		if s.number > upTo.Segment || s.aead == nil || s.gone {
			continue
		}
		raw, err := c.l.journal.load(s)
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("the file is missing")
		}
		if err != nil {
			c.wrong(s, "%v", err)
			continue
		}
		if err := checkSegmentHeader(raw, c.l.journal.deployment, s.number); err != nil {
			c.wrong(s, "%v", err)
		}
		c.l.journal.mu.RLock()
		size := cmp.Or(s.final, s.sound)
		c.l.journal.mu.RUnlock()
		if int64(len(raw)) < size {
			c.wrong(s, "its size is %d bytes instead of %d", len(raw), size)
		}
		last := s.number == upTo.Segment
		_ = walkFrames(raw, func(f found) error {
			if last && f.index > upTo.Index {
				return ErrStop // written after the snapshot
			}
			if f.why != "" {
				c.wrong(s, "%s at byte %d", f.why, f.off)
				return nil
			}
			body, err := c.l.journal.open(s, f.index, f.cipher)
			if err != nil {
				c.wrong(s, "damaged frame at byte %d", f.off)
				return nil
			}
			return eachBatch(body, func(raw []byte) error { c.batch(raw, s.number); return nil })
		})
	}
	return nil
}

// wrong says what is wrong with a segment and has it set aside by and by.
func (c *checker) wrong(s *segment, format string, args ...any) {
	c.say("journal segment %d: %s", s.number, fmt.Sprintf(format, args...))
	c.l.suspect(s.number)
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
		ch = &checked{chain: chain{head: Head{Log: b.log}}}
		c.chains[b.log] = ch
	}
	if b.first == 1 && ch.key == nil {
		if ch.key, err = birthKey(c.l.auth, b); err != nil {
			c.say("log %s: its birth is not of this deployment", b.log)
		}
	}
	if ch.key == nil {
		ch.key = c.l.keyOf(b.log)
	}
	// Without its birth a log has no key here; that loss is named.
	if len(ch.key) > 0 && !ed25519.Verify(ch.key, b.message(c.l.auth.Deployment()), b.sig[:]) {
		c.say("log %s: the signature at op %d does not match", b.log, b.last())
		return
	}
	ch.add(run{first: b.first, last: b.last()})
	first, end := &b.ops[0], &b.ops[len(b.ops)-1]
	n := link{first: b.first, last: b.last(), prev: b.prev, hash: end.hash, firstClock: first.clock, lastClock: end.clock}
	for i := 1; i < len(b.ops); i++ {
		if b.ops[i].clock <= b.ops[i-1].clock {
			c.say("log %s: op %d does not continue the chain", b.log, b.ops[i].ref.Seq)
		}
	}
	if seq := ch.join(n); seq > 0 {
		c.say("log %s: op %d does not continue the chain", b.log, seq)
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
		if ch := c.chains[h.Log]; (ch == nil || ch.head != h) && !c.l.expects(h) {
			c.say("log %s: the views have another head than the journal", h.Log)
		}
	}
	for log, ch := range c.chains { // one without its beginning has no head
		if ch.head.Seq > 0 && !slices.ContainsFunc(heads, func(h Head) bool { return h.Log == log }) {
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
		if ch := c.chains[o.ref.Log]; ch != nil {
			if _, ok := ch.find(o.ref.Seq); ok {
				continue
			}
		}
		if !slices.ContainsFunc(c.lost, func(x Loss) bool { return x.Log == o.ref.Log && x.From <= o.ref.Seq && o.ref.Seq <= x.To }) {
			c.say("op %s is in the views only", o.ref)
		}
	}
	n, known := 0, c.l.engine.seen(subject, ops)
	for _, o := range ops {
		if o.bare && !known.standing.Erased {
			c.say("op %s: its payload is gone and no erasure of it is known", o.ref)
		}
	}
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
