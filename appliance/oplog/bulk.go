package oplog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/waypost/waypost/appliance/files"
)

// BulkStore is a Store that can be filled anew in one go, which is how views are
// rebuilt where it can be done: the ops are sorted by subject, each subject is folded
// once, and the rows are written in the order of their keys. It costs half of what
// transactions cost, and its memory does not follow the number of ops.
type BulkStore interface {
	Store
	// Bulk replaces everything the store holds by what fill puts. Keys with the same
	// first byte come together and in ascending order, each once; key and value may be
	// changed once put has returned. Readers see what was there until Bulk returns.
	// When fill or the store fails everything stays as it was; when the process dies
	// the next start finds an empty store.
	Bulk(fill func(put func(key, value []byte) error) error) error
}

// Sizes of a rebuild.
const (
	sortBytes = 4 << 20          // one buffer of a sorter; there are five of them at once on two cores
	readBytes = 512 << 10        // of the journal, at once
	foldOps   = 512              // of a part that is folded by one goroutine
	spillName = "rebuild-%s.tmp" // in the journal's folder
)

// bulk is one rebuild by sorting.
type bulk struct {
	l       *Log
	ctx     context.Context
	frames  []framePos // what is read
	total   uint64
	workers int
	done    atomic.Uint64
	ops     *sorter // subject ‖ frame ‖ place -> op
	once    *sorter // idempotency key ‖ clock ‖ op -> row
	rows    *sorter // place of the view ‖ row key ‖ subject -> row
	ranks   [][]byte
	spare   chan []byte
	rank    []byte   // view -> place of its prefix in ranks
	gone    []gone   // subjects that were erased or lack payloads, ascending
	moved   [][]byte // keys under spaceMoved

	mu     sync.Mutex
	state  state // what is noted of ops that are not understood
	broken error // no other way of rebuilding would do better: the journal, or cancelled
}

// gone is a row under spaceGone.
type gone struct {
	subject ID
	row     goneRow
}

// rebuildBulk fills the store anew from frames of the journal. It reports what state
// its ops make, and which subjects were erased or lack payloads. When errors.Is(err, errAgain) nothing has changed and transactions
// may still do it. filled is called before the store is put in the place of the old one; its error leaves everything as it was.
func (l *Log) rebuildBulk(ctx context.Context, store BulkStore, from state, frames []framePos, filled func() error) (state, map[ID]goneRow, error) {
	b := &bulk{l: l, ctx: ctx, frames: frames, state: from, workers: min(runtime.GOMAXPROCS(0), 4), spare: make(chan []byte, 4)}
	l.mu.RLock()
	for _, c := range l.chains {
		b.total += c.covered
	}
	l.mu.RUnlock()
	if err := b.sorters(); err != nil {
		return from, nil, err
	}
	defer b.close()
	b.rankViews()
	defer l.strain()()
	l.streaming.Store(true)
	defer l.streaming.Store(false)
	// Read when the store has said that it can be filled.
	err := store.Bulk(func(put func(key, value []byte) error) error {
		if err := b.read(); err != nil {
			return err
		}
		if err := b.fill(put); err != nil {
			return err
		}
		return filled()
	})
	switch {
	case b.broken != nil:
		return from, nil, b.broken
	case err != nil:
		return from, nil, fmt.Errorf("%w: %w", errAgain, err)
	}
	rows := make(map[ID]goneRow, len(b.gone))
	for _, g := range b.gone {
		rows[g.subject] = g.row
	}
	return b.state, rows, nil
}

// errAgain is a rebuild that failed for want of something transactions do not need.
var errAgain = errors.New("rebuild by sorting")

func (b *bulk) sorters() error {
	for _, s := range []struct {
		to    **sorter
		what  string
		limit int
	}{{&b.ops, "ops", b.l.sortBytes}, {&b.once, "keys", b.l.sortBytes / 4}, {&b.rows, "rows", b.l.sortBytes}} {
		path := filepath.Join(b.l.journal.dir, fmt.Sprintf(spillName, s.what))
		one, err := newSorter(b.l.journal.fs, path, s.limit, b.l.roomy)
		if err != nil {
			return errInternal(err.Error())
		}
		*s.to = one
	}
	return nil
}

func (b *bulk) close() {
	for _, s := range []*sorter{b.ops, b.once, b.rows} {
		if err := s.close(); err != nil {
			b.l.logger.Warn("the temporary file of a rebuild", "err", err)
		}
	}
}

// rankViews numbers the views in the order of their keys in the store, so that rows
// are sorted by one byte instead of a name.
func (b *bulk) rankViews() {
	e := b.l.engine
	for _, v := range e.views {
		b.ranks = append(b.ranks, e.prefix[v])
	}
	slices.SortFunc(b.ranks, slices.Compare)
	for _, v := range e.views {
		i, _ := slices.BinarySearchFunc(b.ranks, e.prefix[v], slices.Compare)
		b.rank = append(b.rank, byte(i)) //nolint:gosec // a program has a handful of views
	}
}

// fail keeps the first reason for which no other way would do better.
func (b *bulk) fail(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken == nil {
		b.broken = err
	}
	return err
}

// stretch is neighbouring frames of one segment.
type stretch struct {
	first  int // of Log.frames
	frames []framePos
	raw    []byte
}

// read opens every op of the journal and sorts them by subject, in the order of
// arrival.
func (b *bulk) read() error {
	work := make(chan stretch)
	errs := make(chan error, b.workers)
	ctx, stop := context.WithCancel(b.ctx)
	defer stop()
	for range b.workers {
		buf := b.ops.buffer()
		go func() {
			var err error
			for s := range work {
				if err == nil {
					if err = b.stretch(buf, s); err != nil {
						stop()
					}
				}
				select {
				case b.spare <- s.raw:
				default:
				}
			}
			errs <- err
		}()
	}
	err := b.stretches(ctx, work)
	close(work)
	for range b.workers {
		if werr := <-errs; werr != nil {
			err = werr // the reason the reading was stopped
		}
	}
	b.spare = nil
	if b.ctx.Err() != nil {
		return b.fail(errCancelled(b.ctx))
	}
	return err
}

// stretches reads the segments, a megabyte at a time.
func (b *bulk) stretches(ctx context.Context, work chan<- stretch) (err error) {
	frames := b.frames
	var f files.File
	open := uint32(0)
	defer func() {
		if f != nil {
			_ = f.Close()
		}
	}()
	for i := 0; i < len(frames); {
		if f == nil || frames[i].seg != open {
			if f != nil {
				_ = f.Close()
			}
			open = frames[i].seg
			if f, err = files.Open(b.l.journal.fs, b.l.journal.segment(open).path); err != nil {
				b.l.suspect(b.l.journal.number(open))
				return b.fail(errFiles(err))
			}
		}
		s := stretch{first: i}
		from := frames[i].off
		end := from
		for ; i < len(frames) && frames[i].seg == open && (i == s.first || frames[i].end()-from <= readBytes); i++ {
			end = frames[i].end()
		}
		s.frames = frames[s.first:i]
		s.raw = b.memory(int(end - from))
		if _, err := f.ReadAt(s.raw, from); err != nil {
			b.l.suspect(b.l.journal.number(open))
			return b.fail(errFiles(err))
		}
		select {
		case work <- s:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// memory is what is read into: that of a stretch which is done, when there is one.
func (b *bulk) memory(n int) []byte {
	select {
	case raw := <-b.spare:
		return slices.Grow(raw[:0], n)[:n]
	default:
		return make([]byte, n)
	}
}

func (p framePos) end() int64 { return p.off + frameHeader + int64(p.n) }

// stretch opens frames and adds their ops.
func (b *bulk) stretch(buf *sortBuffer, s stretch) error {
	seg := b.l.journal.segment(s.frames[0].seg)
	for i, p := range s.frames {
		raw := s.raw[p.off-s.frames[0].off : p.end()-s.frames[0].off]
		n, index, _, ok := parseFrameHeader(raw)
		if !ok || n != p.n || index != p.index {
			b.l.suspect(seg.number)
			return b.fail(errFiles(fmt.Errorf("segment %d: frame %d is damaged", seg.number, p.index)))
		}
		body, err := b.l.journal.open(seg, index, raw[frameHeader:])
		if err != nil {
			b.l.suspect(seg.number)
			return b.fail(err)
		}
		place := uint32(0)
		err = eachBatch(body, func(raw []byte) error {
			batch, err := parseBatch(raw)
			if err != nil {
				return b.fail(errFiles(err))
			}
			for j := range batch.ops {
				if err := b.op(buf, &batch.ops[j], uint32(s.first+i), place); err != nil { //nolint:gosec // counts of frames
					return err
				}
				place++
			}
			b.l.phase(Reading, b.done.Add(uint64(len(batch.ops))), b.total)
			return nil
		})
		if err == nil {
			err = b.salvaged(buf, body, uint32(s.first+i)) //nolint:gosec // counts of frames
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// salvaged adds the ops of a salvage frame that are not held otherwise.
func (b *bulk) salvaged(buf *sortBuffer, body []byte, frame uint32) error {
	ops, err := parseSalvage(body)
	if err != nil {
		return b.fail(errFiles(err))
	}
	for i, s := range ops {
		b.l.mu.RLock()
		held := b.l.holds(s.ref)
		b.l.mu.RUnlock()
		if held {
			continue
		}
		if err := b.add(buf, s, frame, uint32(i)); err != nil { //nolint:gosec // ops of one frame
			return err
		}
	}
	return nil
}

// op opens one op and adds it.
func (b *bulk) op(buf *sortBuffer, r *record, frame, place uint32) error {
	s, _ := b.l.unseal(r) // what cannot be read is opaque
	b.note(s)
	return b.add(buf, s, frame, place)
}

// add sorts an op by subject and arrival.
func (b *bulk) add(buf *sortBuffer, s *stored, frame, place uint32) error {
	key := binary.BigEndian.AppendUint32(append(make([]byte, 0, 18), s.subject[:]...), frame)
	return buf.add(binary.BigEndian.AppendUint32(key, place), s.append(nil))
}

// note counts an op that is not understood.
func (b *bulk) note(s *stored) {
	if s.opaque {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.state.note(s)
	}
}
