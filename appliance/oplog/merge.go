package oplog

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
)

// incoming is a batch that has been verified on its own: form, birth, chain and
// signature. How it fits to what is held is decided by the writer.
type incoming struct {
	*batch
	key ed25519.PublicKey
	ops []*stored // opened payloads; only while it is this batch's turn

	late bool // it is not opened: the views may wait (later.go)
}

// Merge takes batches another node sent. Form, limits, birth, hash chain and
// signature of all of them are verified before anything of any of them is
// stored; then, one after the other, the payloads of each are opened and it is
// appended, flushed and applied. Only one batch is open at a time, and a payload
// that opens to more than its size allows is refused with its batch, so that
// what a call takes in memory follows from what was sent. With Options.Later a batch of many
// ops may be in the views only a moment later (Late). Packed batches are read too (Form). Ops
// that are held already are skipped. MergeResult.Forks names logs of which a
// second, validly signed history arrived; its bytes are kept as evidence and
// none of its ops are applied (Rejoin is for that, where the log is this node's).
// When it is the own log, or the peer knows more of it than this node does, a new own
// log is opened.
//
// Faults: Invalid "fault.oplog.bad_batch", Denied "fault.oplog.stranger" (a log
// of no node of this deployment), Conflict "fault.oplog.gap" (ops in between
// are missing), and those of Do. After a fault nothing of the call was stored,
// except when a payload was refused or the disk failed on the way: then the
// batches before it may have been.
func (l *Log) Merge(ctx context.Context, batches ...[]byte) (MergeResult, error) {
	var sum MergeResult
	in := make([]*incoming, 0, len(batches))
	born := map[LogID]ed25519.PublicKey{}
	for _, raw := range batches {
		b, err := l.verify(raw, born)
		if err != nil {
			return sum, err
		}
		in = append(in, b)
	}
	if err := l.fits(in); err != nil {
		return sum, err
	}
	for i, b := range in {
		var err error
		if b.late = l.mayWait(b); b.late {
			err = l.swells(b)
		} else {
			err = l.openBatch(b)
		}
		if err != nil {
			return sum, err
		}
		in[i] = nil // its payloads go with it
		if err := l.rescueFrom(ctx, b); err != nil {
			return sum, err
		}
		// One at a time, so that people's commands get in between.
		err = l.submit(ctx, &job{answer: make(chan error, 1), late: true, exclusive: func() error {
			n, fork, err := l.merge1(b)
			sum.Ops += n
			if fork != nil {
				sum.Forks = append(sum.Forks, *fork)
			}
			return err
		}})
		if err != nil {
			return sum, err
		}
	}
	return sum, nil
}

// verify checks one batch on its own, without opening its payloads. born collects
// the keys of logs that begin in this call.
func (l *Log) verify(raw []byte, born map[LogID]ed25519.PublicKey) (*incoming, error) {
	b, packed, err := l.readBatch(raw)
	if errors.Is(err, errNoKey) {
		return nil, errBadBatch(ErrNeedsTags)
	} else if err != nil {
		return nil, errBadBatch(err)
	}
	key := l.keyOf(b.log)
	if key == nil {
		key = born[b.log]
	}
	if key == nil {
		if b.first != 1 {
			return nil, errGap(b.log, 0, b.first)
		}
		if key, err = birthKey(l.auth, b); err != nil {
			return nil, asBatchFault(err)
		}
		born[b.log] = key
	}
	b.link()
	if !ed25519.Verify(key, b.message(l.auth.Deployment()), b.sig[:]) {
		if packed {
			return nil, errBadBatch(ErrNeedsTags) // its writer may have signed others than those made here
		}
		return nil, errBadBatch(errors.New("signature does not match"))
	}
	return &incoming{batch: b, key: key}, nil
}

// openBatch opens the payloads of a batch that brings something new.
func (l *Log) openBatch(in *incoming) error {
	if in.last() <= l.headOf(in.log).Seq {
		return nil // heads only grow: it will be compared and nothing else
	}
	in.ops = make([]*stored, len(in.batch.ops))
	for i := range in.batch.ops {
		var err error
		if in.ops[i], err = l.openRecord(&in.batch.ops[i]); errors.Is(err, errSwells) {
			return errBadBatch(err)
		}
	}
	return nil
}

func (l *Log) headOf(log LogID) Head {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if c := l.chains[log]; c != nil {
		return c.head
	}
	return Head{}
}

// asBatchFault keeps faults and calls everything else a bad batch.
func asBatchFault(err error) error {
	if errors.Is(err, errBatch) || errors.Is(err, errPayload) || errors.Is(err, errNoKey) {
		return errBadBatch(err)
	}
	return errStranger(err)
}

func (l *Log) keyOf(log LogID) ed25519.PublicKey {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if c := l.chains[log]; c != nil {
		return c.key
	}
	return nil
}

// fits refuses a call with a hole before any of it is stored. Heads only grow,
// so what fits now still fits when its turn comes.
func (l *Log) fits(in []*incoming) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	heads := map[LogID]uint64{}
	for _, b := range in {
		have, seen := heads[b.log]
		if c := l.chains[b.log]; !seen && c != nil {
			have = c.head.Seq
		}
		if b.first > have+1 {
			return errGap(b.log, have, b.first)
		}
		heads[b.log] = max(have, b.last())
	}
	return nil
}

// merge1 stores what is new of one batch. It runs in the writer.
func (l *Log) merge1(in *incoming) (added int, fork *Fork, err error) {
	if in.late {
		if done, n, err := l.merge1Later(in); done || err != nil {
			return n, nil, err
		}
	} else {
		l.foldBefore(in)
	}
	if err := l.writable(); err != nil {
		return 0, nil, err
	}
	l.mu.RLock()
	c := l.chains[in.log]
	own := l.own
	l.mu.RUnlock()
	if c == nil {
		c = &chain{key: in.key}
	}
	if c.head.Seq+1 < in.first {
		return 0, nil, errGap(in.log, c.head.Seq, in.first)
	}
	if fork, err = l.compare(c, in); err != nil {
		return 0, nil, err
	}
	if fork != nil {
		return 0, fork, l.keepFork(in, *fork, own)
	}
	if err := l.fill(c, in); err != nil {
		return 0, nil, err
	}
	if in.last() <= c.head.Seq {
		return 0, nil, nil
	}
	if in.log == own {
		// A peer has ops of ours that this folder lost. Going on with this log
		// would give their numbers out a second time.
		l.problem(fmt.Sprintf("own log %s was longer on another node; its ops were fetched back and a new log was opened", own))
		if err := l.bear(); err != nil {
			return 0, nil, err
		}
	}
	added, err = l.keep(c, in)
	return added, nil, err
}

// keep appends, flushes and applies the ops of a batch behind the head.
func (l *Log) keep(c *chain, in *incoming) (int, error) {
	fresh := in.from(c.head.Seq + 1)
	if c.head.Seq > 0 && fresh.ops[0].clock <= c.clock {
		return 0, errBadBatch(errors.New("logical clock went back"))
	}
	if err := l.freshSalt(); err != nil {
		return 0, err
	}
	g, err := l.begin()
	if err != nil {
		return 0, err
	}
	defer func() { g.tx.Discard() }()
	l.engine.meet(in.log, in.key)
	fresh, ops := l.keepOut(fresh, in.ops[len(in.ops)-len(fresh.ops):])
	if g.events, err = l.engine.applyAll(&g.space, ops); err != nil {
		return 0, err
	}
	g.records = ops
	g.heads[in.log] = Head{Log: in.log, Seq: in.last(), Hash: in.batch.ops[len(in.batch.ops)-1].hash}
	l.mu.Lock()
	if l.chains[in.log] == nil {
		l.chains[in.log] = c
	} else if l.chains[in.log].key == nil {
		l.chains[in.log].key = in.key
	}
	l.mu.Unlock()
	if err := l.store1(g, []*batch{fresh}); err != nil {
		return 0, err
	}
	return len(fresh.ops), nil
}

// compare looks where a batch overlaps with what is held, or should join it. A
// fork is the first op of the batch that differs.
func (l *Log) compare(c *chain, in *incoming) (*Fork, error) {
	if c.head.Seq == 0 {
		return nil, nil
	}
	if in.first == c.head.Seq+1 {
		if in.prev == c.head.Hash {
			return nil, nil
		}
		return &Fork{Log: in.log, Seq: c.head.Seq, HashA: c.head.Hash, HashB: in.prev}, nil
	}
	last := min(in.last(), c.head.Seq)
	if h, ok := l.hashAt(in.log, last); !ok {
		return nil, errFiles(errors.New("what is held cannot be read"))
	} else if h == in.batch.ops[last-in.first].hash {
		return nil, nil // equal here, so equal in everything before
	}
	if h, ok := l.hashAt(in.log, in.first-1); ok && in.first > 1 && h != in.prev {
		return &Fork{Log: in.log, Seq: in.first - 1, HashA: h, HashB: in.prev}, nil
	}
	for seq := in.first; seq <= last; seq++ {
		if h, ok := l.hashAt(in.log, seq); ok && h != in.batch.ops[seq-in.first].hash {
			return &Fork{Log: in.log, Seq: seq, HashA: h, HashB: in.batch.ops[seq-in.first].hash}, nil
		}
	}
	return nil, errFiles(errors.New("what is held cannot be read"))
}

// How much evidence is kept: one pair proves a log's fork.
const (
	maxForks    = 64
	maxForksLog = 4 // of one log: it is met anew after each start
)

// keepFork writes the other history down as evidence and, when the log is the
// own one, opens a new one.
func (l *Log) keepFork(in *incoming, f Fork, own LogID) error {
	l.mu.RLock()
	known, of := false, 0
	for _, k := range l.forks {
		if k.Log == f.Log {
			of++
			known = known || (k.Seq == f.Seq && k.HashB == f.HashB)
		}
	}
	many := len(l.forks) >= maxForks || of >= maxForksLog
	l.mu.RUnlock()
	if !known && !many {
		if err := l.freshSalt(); err != nil {
			return err
		}
		body := append([]byte{frameEvidence}, f.HashA[:]...)
		if _, _, err := l.journal.append(in.stripped(l.refuses).encode(body)); err != nil {
			return err
		}
		if err := l.journal.flush(); err != nil {
			l.stop(err)
			return err
		}
		l.noteFork(f)
	}
	if in.log != own {
		return nil
	}
	return l.bear()
}

func (l *Log) noteFork(f Fork) {
	l.mu.Lock()
	l.forks = append(l.forks, f)
	l.mu.Unlock()
	l.logger.Warn("a log has two histories: its box was copied or restored", "log", f.Log, "op", f.Seq)
}

// recallFork reads evidence back at open. What it forks from is not known yet,
// so only the other side is noted.
func (l *Log) recallFork(body []byte) error {
	if len(body) < 32 {
		return errBatch
	}
	b, err := parseBatch(body[32:])
	if err != nil {
		return err
	}
	b.link()
	l.recallProof(b)
	l.noteFork(Fork{Log: b.log, Seq: b.last(), HashA: [32]byte(body[:32]), HashB: b.ops[len(b.ops)-1].hash})
	return nil
}
