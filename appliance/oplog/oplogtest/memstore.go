package oplogtest

import (
	"bytes"
	"errors"
	"sync"

	"github.com/google/btree"

	"github.com/waypost/waypost/appliance/oplog"
)

type pair struct{ k, v []byte }

// memStore is a sorted map whose snapshots are cheap copies of a B-tree.
type memStore struct {
	mu   sync.Mutex
	tree *btree.BTreeG[pair]
}

// MemStore is a view store in memory. It keeps nothing when it is closed.
func MemStore() oplog.Store {
	return &memStore{tree: newTree()}
}

func newTree() *btree.BTreeG[pair] {
	return btree.NewG(32, func(a, b pair) bool { return bytes.Compare(a.k, b.k) < 0 })
}

func (m *memStore) clone() *btree.BTreeG[pair] {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tree.Clone()
}

func (m *memStore) View(fn func(oplog.StoreReader) error) error {
	return fn(memReader{m.clone()})
}

func (m *memStore) Begin() (oplog.StoreTx, error) {
	return &memTx{memReader{m.clone()}, m}, nil
}

func (m *memStore) DropAll() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tree = newTree()
	return nil
}

// Bulk fills a new tree and puts it in the place of the old one. It faults when the
// keys do not come as promised.
func (m *memStore) Bulk(fill func(put func(key, value []byte) error) error) error {
	fresh := newTree()
	var last []byte
	seen := map[byte]bool{}
	err := fill(func(k, v []byte) error {
		switch {
		case len(k) == 0:
			return errors.New("an empty key")
		case last != nil && last[0] == k[0] && bytes.Compare(last, k) >= 0:
			return errors.New("keys do not ascend")
		case (last == nil || last[0] != k[0]) && seen[k[0]]:
			return errors.New("a first byte comes again")
		}
		seen[k[0]], last = true, bytes.Clone(k)
		fresh.ReplaceOrInsert(pair{last, bytes.Clone(v)})
		return nil
	})
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tree = fresh
	return nil
}

func (m *memStore) Close() error { return nil }

type memReader struct{ tree *btree.BTreeG[pair] }

func (r memReader) Get(key []byte) ([]byte, error) {
	p, ok := r.tree.Get(pair{k: key})
	if !ok {
		return nil, oplog.ErrNoKey
	}
	return bytes.Clone(p.v), nil
}

func (r memReader) Scan(prefix, from []byte, fn func(k, v []byte) error) (err error) {
	start := prefix
	if bytes.Compare(from, prefix) > 0 {
		start = from
	}
	r.tree.AscendGreaterOrEqual(pair{k: start}, func(p pair) bool {
		if !bytes.HasPrefix(p.k, prefix) {
			return false
		}
		err = fn(p.k, p.v)
		return err == nil
	})
	if errors.Is(err, oplog.ErrStop) {
		return nil
	}
	return err
}

type memTx struct {
	memReader
	store *memStore
}

func (t *memTx) Put(key, value []byte) error {
	t.tree.ReplaceOrInsert(pair{key, value})
	return nil
}

func (t *memTx) Delete(key []byte) error {
	t.tree.Delete(pair{k: key})
	return nil
}

func (t *memTx) Commit() error {
	t.store.mu.Lock()
	defer t.store.mu.Unlock()
	t.store.tree = t.tree
	return nil
}

func (t *memTx) Discard() {}
