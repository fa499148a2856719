package oplog

import (
	"bytes"
	"errors"

	"github.com/google/btree"
)

// overlay holds what a group has written and the store does not know yet. Each
// command's changes can be taken back, so a command that refuses leaves no
// trace while the earlier ones of its group stay.
type overlay struct {
	tree  *btree.BTreeG[entry]
	undo  []undo
	bytes int
}

type entry struct {
	key, value []byte
	deleted    bool
}

type undo struct {
	entry
	existed bool
}

func newOverlay() *overlay {
	return &overlay{tree: btree.NewG(32, func(a, b entry) bool { return bytes.Compare(a.key, b.key) < 0 })}
}

func (o *overlay) set(e entry) {
	old, existed := o.tree.ReplaceOrInsert(e)
	if !existed {
		old.key = e.key
	}
	o.bytes += len(e.key) + len(e.value) - len(old.value)
	if existed {
		o.bytes -= len(old.key)
	}
	o.undo = append(o.undo, undo{old, existed})
}

// settle forgets how to take back what was written so far.
func (o *overlay) settle() { o.undo = o.undo[:0] }

// revert takes back everything since settle, last change first.
func (o *overlay) revert() {
	for i := len(o.undo) - 1; i >= 0; i-- {
		u := o.undo[i]
		var now entry
		if u.existed {
			now, _ = o.tree.ReplaceOrInsert(u.entry)
			o.bytes += len(u.key) + len(u.value)
		} else {
			now, _ = o.tree.Delete(u.entry)
		}
		o.bytes -= len(now.key) + len(now.value)
	}
	o.undo = o.undo[:0]
}

// space is one place to read and write: the overlay over a snapshot of the store.
type space struct {
	base StoreReader
	over *overlay // nil when reading only
}

func (s *space) get(key []byte) ([]byte, error) {
	if s.over != nil {
		if e, ok := s.over.tree.Get(entry{key: key}); ok {
			if e.deleted {
				return nil, ErrNoKey
			}
			return e.value, nil
		}
	}
	return s.base.Get(key)
}

func (s *space) put(key, value []byte) { s.over.set(entry{key: key, value: value}) }
func (s *space) delete(key []byte)     { s.over.set(entry{key: key, deleted: true}) }

// scan walks both layers in key order; the overlay wins. fn must not write.
func (s *space) scan(prefix, from []byte, fn func(k, v []byte) error) error {
	if s.over == nil || s.over.tree.Len() == 0 {
		return s.base.Scan(prefix, from, fn)
	}
	start := prefix
	if bytes.Compare(from, start) > 0 {
		start = from
	}
	next := s.over.after(start, false, prefix)
	// upTo emits the overlay's entries below limit, or all that are left.
	upTo := func(limit []byte) (replaced bool, err error) {
		for next != nil && (limit == nil || bytes.Compare(next.key, limit) <= 0) {
			e := *next
			next = s.over.after(e.key, true, prefix)
			replaced = replaced || (limit != nil && bytes.Equal(e.key, limit))
			if e.deleted {
				continue
			}
			if err := fn(e.key, e.value); err != nil {
				return replaced, err
			}
		}
		return replaced, nil
	}
	stopped := false
	err := s.base.Scan(prefix, from, func(k, v []byte) error {
		replaced, err := upTo(k)
		if err == nil && !replaced {
			err = fn(k, v)
		}
		stopped = stopped || errors.Is(err, ErrStop)
		return err
	})
	if err != nil || stopped {
		return err
	}
	if _, err = upTo(nil); errors.Is(err, ErrStop) {
		return nil
	}
	return err
}

// after is the first entry at key, or behind it, inside prefix.
func (o *overlay) after(key []byte, strictly bool, prefix []byte) *entry {
	var found *entry
	o.tree.AscendGreaterOrEqual(entry{key: key}, func(e entry) bool {
		if strictly && bytes.Equal(e.key, key) {
			return true
		}
		if bytes.HasPrefix(e.key, prefix) {
			found = &e
		}
		return false
	})
	return found
}
