package oplog

import (
	"bytes"
	"crypto/ed25519"
	"slices"
)

// run is where one batch lies: the ops first..last of a log, in one frame.
type run struct {
	first, last uint64
	frame       uint32 // index into Log.frames
	bare        bool   // payloads of it are gone
}

// chain is what is known of one log. The runs up to head are contiguous; runs
// behind a hole (damage) wait in the same list until the hole is filled.
type chain struct {
	key   ed25519.PublicKey
	runs  []run // by first
	head  Head
	clock uint64 // of the head
	hole  bool   // runs exist behind the head

	covered uint64 // ops in runs, each counted once
}

// add notes a batch.
func (c *chain) add(r run) {
	if n := len(c.runs); n == 0 || c.runs[n-1].last < r.first {
		c.runs = append(c.runs, r)
		c.covered += r.last - r.first + 1
		return
	}
	i, _ := slices.BinarySearchFunc(c.runs, r.first, func(a run, first uint64) int {
		switch {
		case a.first < first:
			return -1
		case a.first > first:
			return 1
		}
		return 0
	})
	if i < len(c.runs) && r.bare && !c.runs[i].bare && c.runs[i].first == r.first && c.runs[i].last == r.last {
		return // the same ops, with their payloads
	}
	// What r covers completely it replaces: after damage, refetched ops may
	// overlap those that survived behind the hole.
	end := i
	for end < len(c.runs) && c.runs[end].last <= r.last {
		end++
	}
	c.runs = slices.Replace(c.runs, i, end, r)
	c.count()
}

// count computes covered again; runs may overlap after damage.
func (c *chain) count() {
	c.covered = 0
	end := uint64(0)
	for _, r := range c.runs {
		if r.last > end {
			c.covered += r.last - max(end, r.first-1)
			end = r.last
		}
	}
}

// find is the run that holds seq.
func (c *chain) find(seq uint64) (int, bool) {
	i, _ := slices.BinarySearchFunc(c.runs, seq, func(a run, seq uint64) int {
		if a.last < seq {
			return -1
		}
		return 1
	})
	if i < len(c.runs) && c.runs[i].first <= seq {
		return i, true
	}
	return 0, false
}

// contiguous is the last sequence without a hole before it.
func (c *chain) contiguous(from uint64) uint64 {
	last := from
	for _, r := range c.runs {
		if r.first > last+1 {
			break
		}
		last = max(last, r.last)
	}
	return last
}

// heads are the heads of all logs that hold something, sorted by log. The
// caller holds l.mu.
func (l *Log) headsLocked() []Head {
	heads := make([]Head, 0, len(l.chains))
	for _, c := range l.chains {
		if c.head.Seq > 0 {
			heads = append(heads, c.head)
		}
	}
	slices.SortFunc(heads, func(a, b Head) int { return bytes.Compare(a.Log[:], b.Log[:]) })
	return heads
}

// held is a batch read back from the journal, linked. What cannot be read is looked
// at by and by.
func (l *Log) held(r run, log LogID) (*batch, error) { return l.reheld(r, log) }

func (l *Log) heldAt(pos framePos, log LogID, first uint64) (*batch, error) {
	body, err := l.journal.read(pos)
	if err != nil {
		return nil, err
	}
	var found *batch
	err = eachBatch(body, func(raw []byte) error {
		b, err := parseBatch(raw)
		if err == nil && b.log == log && b.first == first {
			found = b
		}
		return err
	})
	if err != nil || found == nil {
		return nil, errFiles(errBatch)
	}
	found.link()
	return found, nil
}

// eachBatch splits the body of an ops frame.
func eachBatch(body []byte, fn func(raw []byte) error) error {
	if len(body) == 0 || body[0] != frameOps {
		return nil
	}
	c := &cursor{body[1:], true}
	for len(c.b) > 0 {
		raw := c.take(int(c.uvarint(MaxBatchBytes)))
		if !c.ok {
			return errBatch
		}
		if err := fn(raw); err != nil {
			return err
		}
	}
	return nil
}

// hashAt is the header hash of one op; zero sequence is the start of the log.
func (l *Log) hashAt(log LogID, seq uint64) ([32]byte, bool) {
	if seq == 0 {
		return [32]byte{}, true
	}
	l.mu.RLock()
	c := l.chains[log]
	if c == nil {
		l.mu.RUnlock()
		return [32]byte{}, false
	}
	if c.head.Seq == seq {
		h := c.head.Hash
		l.mu.RUnlock()
		return h, true
	}
	i, ok := c.find(seq)
	var r run
	if ok {
		r = c.runs[i]
	}
	l.mu.RUnlock()
	if !ok {
		return [32]byte{}, false
	}
	b, err := l.held(r, log)
	if err != nil {
		return [32]byte{}, false
	}
	return b.ops[seq-b.first].hash, true
}

// extend moves the head of a log forward over runs that were waiting behind a
// hole, as long as they continue the very chain that is held. The head's own
// hash is right; runs that belong to another history are dropped from the index.
func (l *Log) extend(log LogID) {
	for {
		l.mu.RLock()
		c := l.chains[log]
		head := c.head
		i := slices.IndexFunc(c.runs, func(r run) bool { return r.last > head.Seq })
		var r run
		if i >= 0 {
			r = c.runs[i]
		}
		l.mu.RUnlock()
		if i < 0 || r.first > head.Seq+1 {
			l.mu.Lock()
			c.hole = i >= 0
			l.mu.Unlock()
			return
		}
		b, err := l.held(r, log)
		joins := err == nil
		if joins {
			at := b.prev
			if r.first <= head.Seq {
				at = b.ops[head.Seq-b.first].hash
			}
			joins = at == head.Hash
		}
		l.mu.Lock()
		if joins {
			c.head = Head{Log: log, Seq: b.last(), Hash: b.ops[len(b.ops)-1].hash}
			c.clock = b.ops[len(b.ops)-1].clock
			l.settleExpected()
		} else {
			c.runs = slices.Delete(c.runs, i, i+1)
			c.count()
		}
		l.mu.Unlock()
	}
}
