package oplog

import (
	"bytes"
	"errors"
	"slices"
	"time"
)

// Tx is a command's hold on the views while it checks and appends. It reads
// what the views hold, what earlier commands of its group wrote and what the
// command itself appended. It belongs to the goroutine of the command and ends
// with it.
type Tx struct {
	g        *group
	by       By
	at       time.Time
	sure     bool
	ops      int
	bytes    int
	once     []byte
	dirty    map[ID][]*stored // appended, not folded yet
	order    []ID             // of dirty
	subjects []ID             // folded
	err      error            // sticks: a command with a failed Append is refused
	over     bool
}

// Append adds one fact about subject and returns its place. supersedes names
// the ops it takes the place of (at most 255). The fact is in the views for
// every later read of this command. A fault (Internal for a wrong body type,
// TooLarge "fault.oplog.too_large" and "fault.oplog.too_many" for more than
// 64 KB an op, 1,000 ops or 900 KB a command) makes the whole command fail.
func (t *Tx) Append(k Kind, subject ID, body any, supersedes ...Ref) (Ref, error) {
	ref, err := t.append(k, subject, body, supersedes)
	if err != nil && t.err == nil {
		t.err = err
	}
	return ref, err
}

func (t *Tx) append(k Kind, subject ID, body any, supersedes []Ref) (Ref, error) {
	if t.over {
		return Ref{}, errInternal("a command's transaction was used after its end")
	}
	if _, known := t.g.l.engine.kinds[k.id()]; !known {
		return Ref{}, errInternal("kind " + k.name + " was not declared in Options")
	}
	if k.comp == Narrow {
		return Ref{}, errInternal("kind " + k.name + " goes through AppendSealed")
	}
	if len(supersedes) > MaxSupersedes {
		return Ref{}, errTooMany()
	}
	raw, err := k.encode(body)
	if err != nil {
		return Ref{}, err
	}
	c := content{Kind: k.name, Version: k.version, At: t.at.Unix(), Unsure: !t.sure, Once: t.once, Body: raw}
	if !t.by.IsZero() {
		c.By = t.by[:]
	}
	plain, err := encMode.Marshal(c)
	if err != nil {
		return Ref{}, errInternal("payload")
	}
	t.once = nil
	return t.place(k.comp, subject, plain, supersedes)
}

// place gives a payload the next place in the own log.
func (t *Tx) place(comp Compartment, subject ID, plain []byte, supersedes []Ref) (Ref, error) {
	if comp != Narrow && len(plain) > MaxPayload {
		return Ref{}, errTooLarge(MaxPayload)
	}
	if t.ops == MaxBatchOps {
		return Ref{}, errTooMany()
	}
	t.bytes += len(plain) + opOverhead + 25*len(supersedes)
	if t.bytes > commandBytes {
		return Ref{}, errTooLarge(commandBytes)
	}
	t.ops++
	d := t.g.stage(subject, comp, plain, supersedes)
	t.touch(&stored{ref: d.ref, clock: d.clock, subject: subject, supersedes: supersedes, plain: plain, sealed: comp != Deployment, narrow: comp == Narrow})
	return d.ref, nil
}

func (t *Tx) touch(s *stored) {
	if _, known := t.dirty[s.subject]; !known {
		t.order = append(t.order, s.subject)
	}
	t.dirty[s.subject] = append(t.dirty[s.subject], s)
}

// settle folds what was appended since the last read, each subject once.
func (t *Tx) settle() error {
	if t.over {
		return errInternal("a command's transaction was used after its end")
	}
	for _, id := range t.order {
		ops := t.dirty[id]
		if err := t.g.l.engine.apply(&t.g.space, id, ops); err != nil {
			return err
		}
		for _, o := range ops {
			if err := t.g.l.engine.noteOnce(&t.g.space, o); err != nil {
				return err
			}
		}
		t.subjects = append(t.subjects, id)
		delete(t.dirty, id)
	}
	t.order = t.order[:0]
	return nil
}

// SetOnce puts an idempotency key and the hash of the request's body into the
// payload of the next Append, so that Once finds it, also after a rebuild and
// on every node that reads the op. A zero bodyHash is for keys that are made of the
// body itself; it is not written. Of such a key whose last 8 bytes are zero, those are not
// written either.
func (t *Tx) SetOnce(hash [16]byte, bodyHash [8]byte) { t.once = onceOf(hash, bodyHash) }

// At is the wall time, in whole seconds UTC, that the ops of this command
// carry, and whether the clock had been set by something better than memory.
func (t *Tx) At() (at time.Time, sure bool) { return t.at, t.sure }

// Row reads one row; see Reader.
func (t *Tx) Row(v *View, subject ID, key []byte) (value []byte, ok bool, err error) {
	if err := t.settle(); err != nil {
		return nil, false, err
	}
	return t.reader().Row(v, subject, key)
}

// Rows walks rows; see Reader.
func (t *Tx) Rows(v *View, prefix, after []byte, fn func(key []byte, subject ID, value []byte) error) error {
	if err := t.settle(); err != nil {
		return err
	}
	return t.reader().Rows(v, prefix, after, fn)
}

// Ops are the known ops of a subject; see Reader.
func (t *Tx) Ops(subject ID) ([]Op, error) {
	if err := t.settle(); err != nil {
		return nil, err
	}
	return t.reader().Ops(subject)
}

// Once tells what an idempotency key wrote; see Reader.
func (t *Tx) Once(hash [16]byte) (Written, bool, error) {
	if err := t.settle(); err != nil {
		return Written{}, false, err
	}
	return t.reader().Once(hash)
}

func (t *Tx) reader() *reader { return &reader{t.g.l.engine, &t.g.space} }

// reader answers questions over one space.
type reader struct {
	e *engine
	s *space
}

func (r *reader) Row(v *View, subject ID, key []byte) ([]byte, bool, error) {
	if _, known := r.e.prefix[v]; !known {
		return nil, false, errInternal("view was not declared in Options")
	}
	value, err := r.s.get(r.e.rowKey(v, key, subject))
	switch {
	case errors.Is(err, ErrNoKey):
		return nil, false, nil
	case err != nil:
		return nil, false, errStore(err)
	}
	return bytes.Clone(value), true, nil
}

func (r *reader) Rows(v *View, prefix, after []byte, fn func(key []byte, subject ID, value []byte) error) error {
	p, known := r.e.prefix[v]
	if !known {
		return errInternal("view was not declared in Options")
	}
	var from []byte
	if after != nil {
		from = append(append(bytes.Clone(p), after...), 0) // the smallest key behind it
	}
	full := append(bytes.Clone(p), prefix...)
	err := r.s.scan(full, from, func(k, value []byte) error {
		k = k[len(p):]
		n := len(k) - len(ID{})
		if n < len(prefix) {
			return nil // a shorter key whose subject happens to continue the prefix
		}
		return fn(k[:n:n], ID(k[n:]), value)
	})
	if errors.Is(err, ErrStop) {
		return nil
	}
	return err
}

func (r *reader) Ops(subject ID) ([]Op, error) {
	ops, _, _, err := loadOps(r.s, subject)
	if err != nil {
		return nil, err
	}
	ops = r.e.counting(*r.e.hold.Load(), ops)
	if r.e.standing(subject, ops).Erased {
		ops = slices.DeleteFunc(ops, func(o *stored) bool { return !r.e.isErasing(o) })
	}
	return r.e.open(ops), nil
}

func (r *reader) Once(hash [16]byte) (Written, bool, error) {
	raw, err := r.s.get(append([]byte{spaceOnce}, hash[:]...))
	if errors.Is(err, ErrNoKey) {
		return Written{}, false, nil
	}
	if err != nil {
		return Written{}, false, errStore(err)
	}
	var row onceRow
	if err := decMode.Unmarshal(raw, &row); err != nil {
		return Written{}, false, errStore(err)
	}
	ops, _, _, err := loadOps(r.s, row.Subject)
	if err != nil {
		return Written{}, false, err
	}
	return Written{Ref: r.e.keptAt(ops, row.Ref), Subject: row.Subject, BodyHash: row.BodyHash}, true, nil
}

// View answers questions on one consistent snapshot. What fn is given ends with
// fn; rendering belongs behind it. Faults: Unavailable "fault.oplog.rebuilding" while the
// views are filled anew, or are about to be because they cannot be read, and those of the
// store.
func (l *Log) View(fn func(Reader) error) error {
	filled := l.fills.Load()
	if filled%2 == 1 {
		return l.errPartial()
	}
	err := l.snapshot(func(r StoreReader) error {
		if l.fills.Load() != filled { // what was opened may be a part
			return l.errPartial()
		}
		return fn(&reader{l.engine, &space{base: r}})
	})
	if err != nil && l.viewsLost() { // watchRoom has them made anew: nobody is to restart the box for that
		return l.errPartial()
	}
	return err
}

// snapshot opens a store snapshot while no commit is half done.
func (l *Log) snapshot(fn func(StoreReader) error) error {
	l.halves.RLock()
	waiting := true
	release := func() {
		if waiting {
			waiting = false
			l.halves.RUnlock()
		}
	}
	defer release()
	return l.store.View(func(r StoreReader) error {
		release()
		return fn(r)
	})
}
