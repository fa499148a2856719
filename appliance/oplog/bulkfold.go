package oplog

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"
)

// onePart is some subjects with their ops, and what folding them made.
type onePart struct {
	raw      []byte // all ops, as stored
	subjects []ID
	ends     []int // of each subject in raw
	ops      int
	err      error
	chunks   []entry  // in the order of their keys
	gone     []gone   // likewise
	moved    [][]byte // keys under spaceMoved
	done     chan struct{}
}

// fill writes the ops by subject while folding them, then the idempotency keys, the
// rows, and who was erased.
func (b *bulk) fill(put func(key, value []byte) error) error {
	if err := b.fold(put); err != nil {
		return err
	}
	if err := b.ops.close(); err != nil {
		return err
	}
	if err := b.fillOnce(put); err != nil {
		return err
	}
	if err := b.fillRows(put); err != nil {
		return err
	}
	if err := b.fillMoved(put); err != nil {
		return err
	}
	return b.fillGone(put)
}

// fold folds parts in several goroutines and writes the ops in order.
func (b *bulk) fold(put func(key, value []byte) error) error {
	b.done.Store(0)
	work := make(chan *onePart)
	order := make(chan *onePart, 2*b.workers)
	var workers sync.WaitGroup
	defer workers.Wait()
	for range b.workers {
		rows, once := b.rows.buffer(), b.once.buffer()
		workers.Go(func() {
			for p := range work {
				p.err = b.foldPart(p, rows, once)
				p.raw = nil
				close(p.done)
			}
		})
	}
	quit := make(chan struct{})
	failed := make(chan error, 1)
	go func() {
		defer close(order)
		defer close(work)
		failed <- b.parts(func(p *onePart) error {
			select {
			case order <- p:
			case <-quit:
				return errAgain
			}
			work <- p // the workers never wait for anybody
			return nil
		})
	}()
	var err error
	for p := range order {
		if err != nil {
			continue // so that everybody ends
		}
		<-p.done
		if err = p.err; err == nil {
			err = b.putChunks(p, put)
		}
		if err != nil {
			close(quit)
		}
	}
	if perr := <-failed; err == nil {
		err = perr
	}
	return err
}

func (b *bulk) putChunks(p *onePart, put func(key, value []byte) error) error {
	if b.ctx.Err() != nil {
		return b.fail(errCancelled(b.ctx))
	}
	for _, c := range p.chunks {
		if err := put(c.key, c.value); err != nil {
			return err
		}
	}
	b.gone = append(b.gone, p.gone...)
	b.moved = append(b.moved, p.moved...)
	b.l.phase(Folding, b.done.Add(uint64(p.ops)), b.total) //nolint:gosec // a count
	return nil
}

// parts cuts the sorted ops into parts of whole subjects.
func (b *bulk) parts(emit func(*onePart) error) error {
	p := &onePart{done: make(chan struct{})}
	end := func() {
		if n := len(p.subjects); n > len(p.ends) {
			p.ends = append(p.ends, len(p.raw))
		}
	}
	err := b.ops.each(func(key, value []byte) error {
		id := ID(key[:len(ID{})])
		if n := len(p.subjects); n == 0 || p.subjects[n-1] != id {
			end()
			if p.ops >= foldOps {
				if err := emit(p); err != nil {
					return err
				}
				p = &onePart{done: make(chan struct{})}
			}
			p.subjects = append(p.subjects, id)
		}
		p.raw = append(p.raw, value...)
		p.ops++
		return nil
	})
	if err != nil || len(p.subjects) == 0 {
		return err
	}
	end()
	return emit(p)
}

// foldPart folds the subjects of a part, each once.
func (b *bulk) foldPart(p *onePart, rows, once *sortBuffer) error {
	start := 0
	for i, id := range p.subjects {
		ops, err := appendStored(nil, id, p.raw[start:p.ends[i]])
		if err != nil {
			return err
		}
		start = p.ends[i]
		if err := b.subject(p, id, eachOnce(ops), rows, once); err != nil {
			return err
		}
	}
	return nil
}

// eachOnce leaves out ops that lie in the journal twice; a copy whose payload is gone
// gives way to one that has it.
func eachOnce(ops []*stored) []*stored {
	if len(ops) < 2 {
		return ops
	}
	place := make(map[Ref]int, len(ops))
	kept := ops[:0]
	for _, o := range ops {
		i, again := place[o.ref]
		switch {
		case !again:
			place[o.ref] = len(kept)
			kept = append(kept, o)
		case kept[i].bare && !o.bare:
			kept[i] = o
		}
	}
	return kept
}

// subject makes what the store holds of one subject: its ops, idempotency keys, rows.
func (b *bulk) subject(p *onePart, id ID, ops []*stored, rows, once *sortBuffer) error {
	e := b.l.engine
	for _, o := range ops {
		if !o.opaque && !o.bare {
			e.judge(o)
			b.note(o)
		}
	}
	over := space{base: nothing{}, over: newOverlay()}
	storeOps(&over, id, 0, nil, ops)
	p.moved = append(p.moved, movedKeys(ops)...)
	over.over.tree.Ascend(func(c entry) bool { p.chunks = append(p.chunks, c); return true })
	known := e.seen(id, ops)
	if row := goneRowOf(known.standing, ops); row.stands() {
		p.gone = append(p.gone, gone{id, row})
	}
	for v := range e.views {
		for _, r := range lastOfEach(e.rows(v, id, known)) {
			key := append(append([]byte{b.rank[v]}, r.Key...), id[:]...)
			if err := rows.add(key, r.Value); err != nil {
				return err
			}
		}
	}
	if known.standing.Erased {
		return nil // its idempotency keys tell what a request was made of
	}
	for _, o := range e.counting(*e.hold.Load(), ops) {
		key, row, err := onceEntry(o)
		if err != nil {
			return err
		}
		if key != nil {
			if err := once.add(onceOrder(key, o), row); err != nil {
				return err
			}
		}
	}
	return nil
}

// lastOfEach leaves out rows whose key comes again: the last one wins, as in a store.
func lastOfEach(rows []Row) []Row {
	place := make(map[string]int, len(rows))
	kept := rows[:0]
	for _, r := range rows {
		if i, again := place[string(r.Key)]; again {
			kept[i] = r
			continue
		}
		place[string(r.Key)] = len(kept)
		kept = append(kept, r)
	}
	return kept
}

// nothing is a store without content.
type nothing struct{}

func (nothing) Get([]byte) ([]byte, error)                        { return nil, ErrNoKey }
func (nothing) Scan(_, _ []byte, _ func(k, v []byte) error) error { return nil }

// onceOrder sorts the claims to one idempotency key: the smallest op keeps it.
func onceOrder(key []byte, o *stored) []byte {
	k := binary.BigEndian.AppendUint64(bytes.Clone(key), o.wrote())
	k = append(k, o.ref.Log[:]...)
	return binary.BigEndian.AppendUint64(k, o.ref.Seq)
}

func (b *bulk) fillOnce(put func(key, value []byte) error) error {
	var last []byte
	return b.once.each(func(key, value []byte) error {
		if key = key[:1+onceKey]; bytes.Equal(key, last) {
			return nil
		}
		last = append(last[:0], key...)
		return put(key, value)
	})
}

func (b *bulk) fillRows(put func(key, value []byte) error) error {
	total, done := b.rowCount(), uint64(0)
	var full []byte
	return b.rows.each(func(key, value []byte) error {
		if done++; done%1024 == 0 {
			if b.ctx.Err() != nil {
				return b.fail(errCancelled(b.ctx))
			}
			b.l.phase(Writing, done, total)
		}
		full = append(append(full[:0], b.ranks[key[0]]...), key[1:]...)
		return put(full, value)
	})
}

func (b *bulk) fillMoved(put func(key, value []byte) error) error {
	slices.SortFunc(b.moved, slices.Compare)
	for i, key := range b.moved {
		if i > 0 && bytes.Equal(key, b.moved[i-1]) {
			continue
		}
		if err := put(key, []byte{1}); err != nil {
			return err
		}
	}
	return nil
}

func (b *bulk) fillGone(put func(key, value []byte) error) error {
	for _, g := range b.gone {
		raw, err := encMode.Marshal(g.row)
		if err != nil {
			return errInternal("erasure row")
		}
		if err := put(goneKey(g.subject), raw); err != nil {
			return err
		}
	}
	return nil
}

func (b *bulk) rowCount() (n uint64) {
	for _, buf := range b.rows.buffers {
		n += buf.added
	}
	return n
}
