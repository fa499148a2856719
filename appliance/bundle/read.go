package bundle

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"io"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// Sink takes in what a bundle carries. An open journal is one (*oplog.Log); for a locked
// node something may stand there that keeps the batches unopened.
type Sink interface {
	Merge(ctx context.Context, batches ...[]byte) (oplog.MergeResult, error)
}

// PieceSink takes in pieces of photos and files.
type PieceSink interface {
	Lacks(id [32]byte) bool // a record names it and it is not here
	Put(id [32]byte, sealed []byte) error
}

// Book tells who is shut out; *identity.Desk is one.
type Book interface {
	Outcast(cert identity.NodeCert) bool
}

// ReadOptions say what is read and where it goes.
type ReadOptions struct {
	Keys   Keys
	Book   Book
	Into   Sink
	Pieces PieceSink // nil: none are taken
	Memory *Memory   // remembers what the writer holds; nil: nothing does
	Now    time.Time // by this node's clock, for the memory
	Size   int64     // of the file, in bytes; 0 = not known
	// Progress is told now and then, from the calling goroutine; nil: nobody.
	Progress func(Progress)
}

// Result says what was in a bundle and what became of it. Whatever error goes with it,
// what it counts is durable.
type Result struct {
	From      identity.NodeID // zero until it was read
	Number    uint16          // of that node
	Ops       uint64          // read; those of logs in Missing and Refused are among them
	OpsOf     uint64          // that there are in it
	New       uint64          // that were not here
	Pieces    uint64          // read
	PiecesOf  uint64
	NewPieces uint64
	Missing   []oplog.LogID // it begins further on than they end here: records in between are missing
	Refused   []oplog.LogID // their batches were not what they should be
	Forks     []oplog.Fork
}

// reading is one call of Read.
type reading struct {
	ReadOptions
	in     *source
	result Result
}

// Read takes in a bundle, part by part: each is signed by its writer and checked whole
// before anything of it is merged, and merged before the next is read. It takes about 10 MB
// of memory, whatever the file is. Whatever stops it, what was merged stays, and reading
// again goes on from there; what is held already costs nothing but time.
//
// Faults: Invalid "fault.bundle.empty", "fault.bundle.short", "fault.bundle.not_ours" (of
// another operation, for another post, or no bundle: without a key they look alike),
// "fault.bundle.cut", "fault.bundle.cut_photos", "fault.bundle.damaged",
// "fault.bundle.damaged_photos" and "fault.bundle.damaged_whole"; Unsupported
// "fault.bundle.newer"; Denied "fault.bundle.forged", "fault.bundle.shut_out" and
// "fault.bundle.other_post"; Conflict "fault.bundle.gap" when all was read and records are
// missing before some of them; Unavailable "fault.bundle.cannot_read" and
// "fault.bundle.stopped"; those of Merge and Put when this node itself cannot store.
func Read(ctx context.Context, file io.Reader, o ReadOptions) (Result, error) {
	r := &reading{ReadOptions: o, in: &source{in: file}}
	if r.Progress == nil {
		r.Progress = func(Progress) {}
	}
	err := r.all(ctx)
	if err == nil && len(r.result.Missing) > 0 {
		err = fault.New(fault.Conflict, "fault.bundle.gap", "Logs", len(r.result.Missing))
	}
	return r.result, err
}

func (r *reading) all(ctx context.Context) error {
	if ctx.Err() != nil {
		return stopped(ctx)
	}
	front, id, key, err := readFront(r.in, r.Keys)
	defer func() { clear(key[:]) }()
	if err != nil {
		return frontFault(err, r.in.n)
	}
	opened, err := newChunkReader(r.in, id, key)
	if err != nil {
		return fault.Of(err)
	}
	deployment := r.Keys.Deployment()
	p := &parts{in: opened, sum: begin(deployment, front), deployment: deployment}
	f, err := r.first(p)
	if err != nil {
		return r.result.partFault(err, false)
	}
	key1 := func([]record1) (ed25519.PublicKey, error) { return f.cert.Public[:], nil }
	for {
		r.Progress(Progress{Done: r.in.n, Total: r.Size, Ops: r.result.Ops})
		if ctx.Err() != nil {
			return stopped(ctx)
		}
		records, err := p.next(key1)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return r.result.partFault(err, true)
		}
		if err := r.take(ctx, records); err != nil {
			if ctx.Err() != nil {
				return stopped(ctx)
			}
			return err
		}
	}
}

// first reads the first part: who wrote it, whether that counts here, and what they hold.
func (r *reading) first(p *parts) (f firstPart, err error) {
	_, err = p.next(func(records []record1) (ed25519.PublicKey, error) {
		if f, err = parseFirst(records); err != nil {
			return nil, err
		}
		if err := f.cert.Verify(r.Keys.Root()); err != nil {
			return nil, errSigned
		}
		return f.cert.Public[:], nil
	})
	if err != nil {
		return f, err
	}
	cert := r.Keys.Cert()
	if f.reader() != (identity.NodeID{}) && f.reader() != cert.ID() {
		return f, fault.New(fault.Denied, "fault.bundle.other_post")
	}
	if r.Book.Outcast(f.cert) {
		return f, fault.New(fault.Denied, "fault.bundle.shut_out", "Number", f.cert.Number)
	}
	r.result.From, r.result.Number = f.cert.ID(), f.cert.Number
	r.result.OpsOf, r.result.PiecesOf = f.Ops, f.head.Pieces
	return f, r.remember(f)
}

// remember keeps what the writer holds, so that the answer has only what it lacks.
func (r *reading) remember(f firstPart) error {
	cert := r.Keys.Cert()
	if r.Memory == nil || f.cert.ID() == cert.ID() {
		return nil
	}
	k := Known{Stamp: f.Stamp, Read: r.Now, Marks: make(map[oplog.LogID]Mark, len(f.Marks)), Pieces: sorted(f.has)}
	for _, m := range f.Marks {
		k.Marks[m.Log] = Mark{m.Seq, [16]byte(m.Hash)}
	}
	return r.Memory.Keep(f.cert.ID(), k)
}

// take stores a part, records before pieces.
func (r *reading) take(ctx context.Context, records []record1) error {
	var batches, pieces [][]byte
	for _, e := range records {
		switch e.kind {
		case recordBatch:
			batches = append(batches, e.body)
		case recordPiece:
			pieces = append(pieces, e.body)
		default:
			return r.result.partFault(errRecords, true)
		}
	}
	if err := r.merge(ctx, batches); err != nil {
		return err
	}
	for _, p := range pieces {
		if err := r.piece(p); err != nil {
			return err
		}
	}
	return nil
}

// merge hands batches on: all at once, and where that does not work one by one, so that one
// bad log does not hold up the others.
func (r *reading) merge(ctx context.Context, batches [][]byte) error {
	if len(batches) == 0 {
		return nil
	}
	res, err := r.Into.Merge(ctx, batches...)
	r.merged(res)
	for i := 0; err != nil && i < len(batches); i++ {
		res, e := r.Into.Merge(ctx, batches[i])
		r.merged(res)
		log, _, _, bad := oplog.Span(batches[i])
		switch {
		case e == nil:
		case bad != nil || fault.ClassOf(e) == fault.Invalid || fault.Of(e).Key == "fault.oplog.stranger":
			r.result.Refused = noted(r.result.Refused, log)
		case fault.Of(e).Key == "fault.oplog.gap":
			r.result.Missing = noted(r.result.Missing, log)
		default:
			return e // this node cannot store
		}
	}
	for _, b := range batches {
		if _, first, last, err := oplog.Span(b); err == nil {
			r.result.Ops += last - first + 1
		}
	}
	return nil
}

func (r *reading) merged(res oplog.MergeResult) {
	r.result.New += uint64(max(0, res.Ops)) //nolint:gosec // not negative
	r.result.Forks = append(r.result.Forks, res.Forks...)
}

// piece stores a piece that is missing here. Others belong to somebody who was erased, or
// to records that have not come: they are not kept for nobody.
func (r *reading) piece(data []byte) error {
	id := sha256.Sum256(data)
	if r.Pieces != nil && r.Pieces.Lacks(id) {
		if err := r.Pieces.Put(id, data); err != nil {
			return err
		}
		r.result.NewPieces++
	}
	r.result.Pieces++
	return nil
}

func noted(logs []oplog.LogID, log oplog.LogID) []oplog.LogID {
	for _, l := range logs {
		if l == log {
			return logs
		}
	}
	return append(logs, log)
}

// source counts what is read of a file.
type source struct {
	in io.Reader
	n  int64
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.in.Read(b)
	s.n += int64(n)
	return n, err
}
