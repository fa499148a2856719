package oplog

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// What was lost has to stay known until it is back, also when it was the end of a
// log, where no hole shows. Three things remember how far a log was held: the record
// every segment begins with, the closing record of a clean stop, and the head rows of
// the views. The furthest of them is expected of the log; what is below it and not
// held is lost, and waits for another node.

// Loss is a stretch of a log that was held here, is damaged or gone, and waits for
// a node that has it.
type Loss struct {
	Log      LogID
	From, To uint64 // sequences, both lost
}

// Ops is how many it is.
func (x Loss) Ops() uint64 { return x.To - x.From + 1 }

// String is how Check and Stats name it among the problems.
func (x Loss) String() string {
	return fmt.Sprintf("log %s: ops %d to %d are lost here and wait for another node", x.Log, x.From, x.To)
}

// expect notes that a log was held up to h. The caller holds l.mu.
func (l *Log) expect(h Head) {
	if h.Seq > l.expected[h.Log].Seq {
		l.expected[h.Log] = h
	}
}

// appendHeads writes heads as the records of frames have them.
func appendHeads(body []byte, heads []Head) []byte {
	for _, h := range heads {
		body = append(body, h.Log[:]...)
		body = binary.BigEndian.AppendUint64(body, h.Seq)
		body = append(body, h.Hash[:]...)
	}
	return body
}

// parseHeads reads what appendHeads wrote.
func parseHeads(body []byte) ([]Head, error) {
	const size = 16 + 8 + 32
	if len(body)%size != 0 {
		return nil, errBatch
	}
	heads := make([]Head, 0, len(body)/size)
	for ; len(body) > 0; body = body[size:] {
		h := Head{Log: LogID(body[:16]), Seq: binary.BigEndian.Uint64(body[16:]), Hash: [32]byte(body[24:size])}
		if h.Seq == 0 || h.Seq > maxClock {
			return nil, errBatch
		}
		heads = append(heads, h)
	}
	return heads, nil
}

// tops are the heads of all logs, or what is expected of them. The caller holds l.mu.
func (l *Log) tops() []Head {
	tops := l.headsLocked()
	for _, h := range l.expected {
		i := slices.IndexFunc(tops, func(t Head) bool { return t.Log == h.Log })
		switch {
		case i < 0:
			tops = append(tops, h)
		case tops[i].Seq < h.Seq:
			tops[i] = h
		}
	}
	slices.SortFunc(tops, func(a, b Head) int { return bytes.Compare(a.Log[:], b.Log[:]) })
	return tops
}

// headsRecord is what a segment begins with; nil while there is nothing to tell.
func (l *Log) headsRecord() []byte {
	l.mu.RLock()
	defer l.mu.RUnlock()
	tops := l.tops()
	if len(tops) == 0 {
		return nil
	}
	return appendHeads([]byte{frameHeads}, tops)
}

// expectRecord takes a heads or closing record into account. A record this program
// cannot read says nothing.
func (l *Log) expectRecord(body []byte) {
	heads, err := parseHeads(body[1:])
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range heads {
		l.expect(h)
	}
}

// expectViews takes the head rows of the views into account. Views of another
// deployment know nothing of us.
func (l *Log) expectViews() {
	var heads []Head
	err := l.store.View(func(r StoreReader) error {
		s, found, err := readState(r)
		if err != nil || !found || s.Deployment != l.auth.Deployment() {
			return err
		}
		heads, err = readHeads(r)
		return err
	})
	if err != nil {
		return // views that cannot be read are rebuilt, or fail below
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range heads {
		l.expect(h)
	}
}

// settleExpected forgets what is held again. The caller holds l.mu.
func (l *Log) settleExpected() {
	for log, h := range l.expected {
		if c := l.chains[log]; c != nil && c.head.Seq >= h.Seq {
			delete(l.expected, log)
		}
	}
}

// expects reports whether h is what is expected of a log that lost its end.
func (l *Log) expects(h Head) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.expected[h.Log] == h
}

// Losses lists what was lost and is neither back nor rescued, sorted by log and sequence.
func (l *Log) Losses() []Loss {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.missing()
}

// allLosses are the losses with what was rescued of them.
func (l *Log) allLosses() []Loss {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.losses()
}

// missing are the losses without what was rescued of them. The caller holds l.mu.
func (l *Log) missing() (out []Loss) {
	for _, x := range l.losses() {
		safe := l.rescued[x.Log]
		i, _ := slices.BinarySearchFunc(safe, x.From, func(s span, seq uint64) int { return cmp.Compare(s.to, seq) })
		for ; i < len(safe) && safe[i].from <= x.To; i++ {
			if safe[i].from > x.From {
				out = append(out, Loss{x.Log, x.From, safe[i].from - 1})
			}
			x.From = safe[i].to + 1
		}
		if x.From <= x.To {
			out = append(out, x)
		}
	}
	return out
}

// losses are the stretches of all logs that are not held. The caller holds l.mu.
func (l *Log) losses() []Loss {
	var out []Loss
	for log, c := range l.chains {
		if !c.hole && l.expected[log].Seq <= c.head.Seq {
			continue
		}
		end := c.head.Seq
		for _, r := range c.runs {
			if r.first > end+1 {
				out = append(out, Loss{log, end + 1, r.first - 1})
			}
			end = max(end, r.last)
		}
		if top := l.expected[log].Seq; top > end {
			out = append(out, Loss{log, end + 1, top})
		}
	}
	for log, h := range l.expected {
		if l.chains[log] == nil {
			out = append(out, Loss{log, 1, h.Seq})
		}
	}
	slices.SortFunc(out, func(a, b Loss) int {
		if c := bytes.Compare(a.Log[:], b.Log[:]); c != 0 {
			return c
		}
		return cmp.Compare(a.From, b.From)
	})
	return out
}

// lossLines says them. The caller holds l.mu.
func (l *Log) lossLines() (lines []string, ops uint64) {
	for _, x := range l.missing() {
		ops += x.Ops()
		lines = append(lines, x.String())
	}
	return lines, ops
}

// standing are the problems there are now. The caller holds l.mu.
func (l *Log) standing() []string {
	lines, _ := l.lossLines()
	parted, _ := l.forkLines()
	return slices.Concat(l.problems, parted, lines)
}
