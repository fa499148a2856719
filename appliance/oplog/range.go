package oplog

import (
	"maps"
	"slices"

	"github.com/waypost/waypost/appliance/fault"
)

// Range makes one batch of the ops of log behind after, up to a signature:
// batches that were saved in small groups are joined under the last of their
// signatures, within maxOps and maxBytes (0 or too large = the format's own
// limits). A single saved batch is never cut at its end, so the result may
// exceed the limits by one. It is empty when nothing is behind after.
//
// Faults: NotFound "fault.oplog.range" for a log or a start that is not held,
// "fault.oplog.files" when the journal cannot be read there.
func (l *Log) Range(log LogID, after uint64, maxOps, maxBytes int) (raw []byte, last uint64, err error) {
	return l.RangeIn(FormPlain, log, after, maxOps, maxBytes)
}

// gather is the batch of a Range, an upper bound of its size and its last op; no batch
// when nothing is behind after.
func (l *Log) gather(log LogID, after uint64, maxOps, maxBytes int) (out *batch, size int, last uint64, err error) {
	if maxOps <= 0 || maxOps > MaxBatchOps {
		maxOps = MaxBatchOps
	}
	if maxBytes <= 0 || maxBytes > MaxBatchBytes {
		maxBytes = MaxBatchBytes
	}
	runs, head, err := l.runsBehind(log, after, maxOps)
	if err != nil || len(runs) == 0 {
		return nil, 0, head, err
	}
	for _, r := range runs {
		b, err := l.held(r, log)
		if err != nil && out != nil {
			break // what is sound is served
		}
		if err != nil {
			return nil, 0, after, err
		}
		next := after + 1
		if out != nil {
			next = out.last() + 1
		}
		if next > b.last() {
			continue
		}
		b = b.from(next)
		n := b.bytes()
		if out == nil {
			out, size = b, n
			continue
		}
		if len(out.ops)+len(b.ops) > maxOps || size+n > maxBytes || b.prev != out.ops[len(out.ops)-1].hash {
			break
		}
		out.ops = append(slices.Clip(out.ops), b.ops...)
		out.sig = b.sig
		size += n
	}
	if out == nil {
		return nil, 0, after, nil
	}
	return out, size, out.last(), nil
}

// bytes is an upper bound of what encode makes.
func (b *batch) bytes() int {
	n := 160
	for i := range b.ops {
		n += 64 + 25*len(b.ops[i].supersedes) + len(b.ops[i].payload)
	}
	return n
}

// runsBehind lists the runs that hold the ops after `after`, up to the head.
func (l *Log) runsBehind(log LogID, after uint64, maxOps int) ([]run, uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	c := l.chains[log]
	if c == nil {
		return nil, after, fault.New(fault.NotFound, "fault.oplog.range", "Log", log.String())
	}
	if after >= c.head.Seq {
		return nil, after, nil
	}
	i, ok := c.find(after + 1)
	if !ok {
		return nil, after, fault.New(fault.NotFound, "fault.oplog.range", "Log", log.String())
	}
	var out []run
	for ; i < len(c.runs) && c.runs[i].last <= c.head.Seq && c.runs[i].first <= after+uint64(maxOps); i++ {
		out = append(out, c.runs[i])
	}
	return out, after, nil
}

// Own is the log this node writes now. It changes when a fork of it is found.
func (l *Log) Own() LogID {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.own
}

// Heads are the durable heads of all logs, sorted by log: up to the first hole.
func (l *Log) Heads() []Head {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.headsLocked()
}

// HashAt is the header hash of one op, for finding where two histories part.
// It reads the journal unless the op is a head.
func (l *Log) HashAt(log LogID, seq uint64) ([32]byte, bool) {
	if seq == 0 {
		return [32]byte{}, false
	}
	return l.hashAt(log, seq)
}

// OnCommit registers fn to be called in the writer after each commit and before
// its answers go out, with the subjects touched by own or merged ops. It must be
// quick, must not call Do or Merge, and must be registered before the log is used.
// When the views could not be saved, or fn faults because it cannot read them, it is
// called with these subjects again as soon as they are mended. With nil anybody may have
// changed: so many did at once that they are not listed.
func (l *Log) OnCommit(fn func(subjects []ID) error) { l.hooks = append(l.hooks, fn) }

// hookPart is how many subjects hooks are told of at once.
const hookPart = 2000

// tellHooks tells of a commit, and of those before that could not be told of. It runs in
// the writer.
func (l *Log) tellHooks(subjects []ID) {
	l.miss(subjects)
	if l.unheard {
		if l.tellPart(nil) {
			l.unheard = false
		}
		return
	}
	if len(l.missed) == 0 {
		return
	}
	if len(l.missed) > len(subjects) { // otherwise in the order they came
		subjects = slices.Collect(maps.Keys(l.missed))
	}
	for part := range slices.Chunk(subjects, hookPart) {
		if !l.tellPart(part) {
			return
		}
	}
	l.missed = map[ID]bool{} // not cleared: it may have been large
}

// tellPart tells every hook; false when one could not follow.
func (l *Log) tellPart(part []ID) bool {
	for _, hook := range l.hooks {
		if err := hook(part); err != nil {
			l.logger.Warn("what follows the views could not be brought up to date", "subjects", len(l.missed), "all", l.unheard, "err", err)
			return false
		}
	}
	return true
}

// miss remembers subjects that hooks have to be told of.
func (l *Log) miss(subjects []ID) {
	for _, id := range subjects {
		if len(l.missed) >= l.missedMost {
			l.missAll()
		}
		if l.unheard {
			return
		}
		l.missed[id] = true
	}
}

// missAll has hooks be told that it may be anybody.
func (l *Log) missAll() { l.unheard, l.missed = true, map[ID]bool{} }

// Watch signals changes: at least one signal follows every change; several
// changes may share one. stop ends it; the channel is never closed.
func (l *Log) Watch() (notify <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	l.watchMu.Lock()
	l.watchers[ch] = struct{}{}
	l.watchMu.Unlock()
	return ch, func() {
		l.watchMu.Lock()
		delete(l.watchers, ch)
		l.watchMu.Unlock()
	}
}

// Stats is the state of the journal.
func (l *Log) Stats() Stats {
	size, files := l.journal.bytes()
	aside := l.journal.asideCount()
	l.mu.RLock()
	defer l.mu.RUnlock()
	s := Stats{
		Ops: l.state.Ops, Segments: files, JournalBytes: size, Late: l.later.Load(), Opaque: int(l.state.Opaque),
		ReadOnly: l.readOnly != nil, OpenUnclean: l.unclean, Problems: l.standing(), Notes: slices.Clone(l.notes),
		Salvaged: len(l.salvaged), SetAside: aside, Scrubs: l.scrubs, Scrubbed: l.scrubbed,
	}
	_, s.Lost = l.lossLines()
	if l.readOnly != nil {
		s.Reason = l.readOnly.Error()
	}
	return s
}

// Close waits for the group under way, writes the closing record and closes the
// store. Commands that were waiting get "fault.oplog.closed". Later calls
// return what the first did.
func (l *Log) Close() error {
	l.closing.Do(func() {
		close(l.quit)
		<-l.done
		l.tended.Wait()
		l.closed = l.shut()
	})
	return l.closed
}

func (l *Log) shut() error {
	err := l.writeClosing()
	l.mu.RLock()
	stopped := l.readOnly != nil
	l.mu.RUnlock()
	seal := l.journal.seal
	if stopped || err != nil {
		seal = l.journal.finish
	}
	if cerr := seal(); err == nil {
		err = cerr
	}
	if cerr := l.store.Close(); err == nil {
		err = errStore(cerr)
	}
	return err
}

// writeClosing ends the run with the heads, unless the disk failed before or
// nothing was written since a clean stop.
func (l *Log) writeClosing() error {
	l.mu.RLock()
	stopped := l.readOnly != nil
	heads := l.tops()
	l.mu.RUnlock()
	if stopped || (l.journal.out == nil && !l.unclean) {
		return nil
	}
	body := appendHeads([]byte{frameClose}, heads)
	if _, _, err := l.journal.append(body); err != nil {
		return err
	}
	return l.journal.flush()
}
