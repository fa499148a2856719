package bundle

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// Keys is a node's identity as bundles need it; *identity.Vault is one.
type Keys interface {
	Deployment() [16]byte
	Root() ed25519.PublicKey
	Cert() identity.NodeCert
	Signer() crypto.Signer
	BundleSecrets() [][32]byte
	UnsealBundle(id [16]byte, sealed []byte) ([]byte, error)
}

// Source is the journal that is written from; *oplog.Log is one.
type Source interface {
	Heads() []oplog.Head
	HashAt(log oplog.LogID, seq uint64) ([32]byte, bool)
	Range(log oplog.LogID, after uint64, maxOps, maxBytes int) (batch []byte, last uint64, err error)
}

// Pieces is the store of photos that is written from; *chunks.Store is one.
type Pieces interface {
	IDs() [][32]byte
	Get(id [32]byte) ([]byte, error)
}

// Options say what is written, for whom.
type Options struct {
	Keys   Keys
	Source Source
	Pieces Pieces              // nil: none are written, and none are told of
	For    *identity.NodeCert  // the one node that shall read it; nil: any
	Nodes  []identity.NodeCert // for any: the nodes it is sealed to
	Common bool                // for any: and to whoever holds the common key (Desk.CommonKeySafe)
	Known  Known               // what the reader has; zero for any
	Bare   bool                // leave photos out
	Stamp  uint64              // see Memory.Stamp
	// Progress is told now and then, from the calling goroutine; nil: nobody.
	Progress func(Progress)
}

// Progress is how far a bundle is, written or read.
type Progress struct {
	Done  int64 // records and pieces written; bytes read
	Total int64 // 0 when not known
	Ops   uint64
}

// Info is what a bundle holds.
type Info struct {
	Ops    uint64
	Pieces uint64
	Bytes  int64
	Left   int // logs that could not be read to their end here
}

// span is what is written of one log.
type span struct {
	log   oplog.LogID
	after uint64
	to    uint64
}

// plan lists what the reader lacks, the smallest gaps first, as the exchange asks for
// them: a file that is cut then gives everybody's latest before somebody's whole history.
func (o Options) plan(heads []oplog.Head) (out []span, ops uint64) {
	for _, h := range heads {
		k := o.Known.Marks[h.Log]
		if k.Seq > 0 && k.Seq <= h.Seq {
			if mine, ok := o.Source.HashAt(h.Log, k.Seq); ok && [16]byte(mine[:16]) != k.Hash {
				k = Mark{} // it has another history: it shall see that there are two
			}
		}
		if k.Seq < h.Seq {
			out = append(out, span{h.Log, k.Seq, h.Seq})
			ops += h.Seq - k.Seq
		}
	}
	slices.SortStableFunc(out, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.to-a.after, b.to-b.after), bytes.Compare(a.log[:], b.log[:]))
	})
	return out, ops
}

// writer is one call of Write.
type writer struct {
	Options
	rec    recorder
	info   Info
	done   int64
	total  int64
	chosen [][32]byte
}

// Write writes a bundle to out as it goes; it takes about 2 MB of memory and what the ids
// of all pieces take. What an error leaves is no bundle, but a reader uses the parts of it
// that are whole. Faults: Unavailable "fault.bundle.stopped", those of out, Internal.
func Write(ctx context.Context, out io.Writer, o Options) (Info, error) {
	w := &writer{Options: o}
	if w.Progress == nil {
		w.Progress = func(Progress) {}
	}
	counted := &counter{out: out}
	var common *[32]byte
	to := w.Nodes
	if w.For != nil {
		to = []identity.NodeCert{*w.For}
	} else if secrets := w.Keys.BundleSecrets(); w.Common && len(secrets) > 0 {
		common = &secrets[0]
		defer func() { clear(secrets) }()
	}
	deployment := w.Keys.Deployment()
	front, id, key, err := newFront(deployment, common, to)
	defer func() { clear(key[:]) }()
	if err != nil {
		return w.info, fault.Of(err)
	}
	if _, err := counted.Write(front); err != nil {
		return w.info, err
	}
	chunks, err := newChunkWriter(counted, id, key)
	if err != nil {
		return w.info, fault.Of(err)
	}
	w.rec = recorder{out: chunks, sum: begin(deployment, front), deployment: deployment, signer: w.Keys.Signer()}
	if err = w.all(ctx); err == nil {
		err = chunks.Close()
	}
	w.info.Bytes = counted.n
	return w.info, err
}

// all writes every part.
func (w *writer) all(ctx context.Context) error {
	heads := w.Source.Heads()
	spans, ops := w.plan(heads)
	if err := w.first(heads, ops); err != nil {
		return err
	}
	w.total = int64(ops) + int64(len(w.chosen)) //nolint:gosec // counts of what fits on a disk
	for _, s := range spans {
		if err := w.log(ctx, s); err != nil {
			return err
		}
	}
	for _, id := range w.chosen {
		if ctx.Err() != nil {
			return stopped(ctx)
		}
		data, err := w.Pieces.Get(id)
		if err != nil || len(data) > maxPiece {
			continue // it rotted, or went with somebody's erasure: another post may have it
		}
		if err := w.add(recordPiece, data); err != nil {
			return err
		}
		w.info.Pieces++
		w.step(1)
	}
	return w.rec.seal(true)
}

// first is the head with what this node holds, a part of its own.
func (w *writer) first(heads []oplog.Head, ops uint64) error {
	cert := w.Keys.Cert()
	h := head{Version: version, Cert: cert.Marshal(), For: []byte{}, Stamp: w.Stamp, Ops: ops, Marks: []mark{}}
	if w.For != nil {
		id := w.For.ID()
		h.For = id[:]
	}
	for _, m := range heads {
		if m.Seq > 0 && len(h.Marks) < maxMarks {
			h.Marks = append(h.Marks, mark{Log: m.Log, Seq: m.Seq, Hash: m.Hash[:16]})
		}
	}
	slices.SortFunc(h.Marks, func(a, b mark) int { return bytes.Compare(a.Log[:], b.Log[:]) })
	var has []byte
	if w.Pieces != nil {
		ids := w.Pieces.IDs()
		for _, id := range ids[:min(len(ids), maxPieces)] {
			has = append(has, id[:prefixSize]...)
		}
		if !w.Bare {
			w.chosen = slices.DeleteFunc(ids, w.Known.has)
		}
	}
	h.Pieces = uint64(len(w.chosen))
	if err := w.rec.record(recordHead, encode(h)); err != nil {
		return err
	}
	for part := range slices.Chunk(has, maxHas) {
		if err := w.rec.record(recordHas, part); err != nil {
			return err
		}
	}
	return w.rec.seal(false)
}

// log writes what the reader lacks of one log, as far as it can be read.
func (w *writer) log(ctx context.Context, s span) error {
	for after := s.after; after < s.to; {
		if ctx.Err() != nil {
			return stopped(ctx)
		}
		raw, last, err := w.Source.Range(s.log, after, 0, 0)
		if err != nil || len(raw) == 0 || last <= after {
			w.info.Left++ // damage here: what is sound of other logs is written
			return nil
		}
		if err := w.add(recordBatch, raw); err != nil {
			return err
		}
		w.info.Ops += last - after
		w.step(int64(last - after)) //nolint:gosec // at most a batch
		after = last
	}
	return nil
}

// add writes a record and closes the part when it is long enough.
func (w *writer) add(kind byte, body []byte) error {
	if err := w.rec.record(kind, body); err != nil {
		return err
	}
	if w.rec.size < fullPart {
		return nil
	}
	return w.rec.seal(false)
}

func (w *writer) step(n int64) {
	w.done += n
	w.Progress(Progress{Done: min(w.done, w.total), Total: w.total, Ops: w.info.Ops})
}

// counter counts what is written.
type counter struct {
	out io.Writer
	n   int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.out.Write(b)
	c.n += int64(n)
	return n, err
}

// NewName is a name that says nothing: "data-7f3a91.bin", drawn anew each time.
func NewName() string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return "data-" + hex.EncodeToString(b[:]) + ".bin"
}

// syncEvery is how much is written before it is flushed: a stick that cannot take more
// says so then, and what progress shows is on it.
const syncEvery = 16 << 20

// WriteFile writes a bundle so that file is there whole or not at all. While it is made it
// is called file.part, and what is left of that after an error is removed.
//
// Faults: Conflict "fault.bundle.exists" when something has that name; Full
// "fault.bundle.full"; TooLarge "fault.bundle.too_large_here" for a medium that takes no
// files of this size; Unavailable "fault.bundle.gone" when the medium does not answer,
// "fault.bundle.cannot_write", "fault.bundle.stopped".
func WriteFile(ctx context.Context, fsys files.FS, file string, o Options) (Info, error) {
	if _, err := fsys.Stat(file); err == nil {
		return Info{}, fault.New(fault.Conflict, "fault.bundle.exists", "File", file)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return Info{}, writeFault(err, file)
	}
	part := file + ".part"
	out, err := fsys.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return Info{}, writeFault(err, file)
	}
	info, err := Write(ctx, &flushed{File: out}, o)
	if err == nil {
		err = out.Sync()
	}
	err = errors.Join(err, out.Close())
	if err == nil {
		err = fsys.Rename(part, file)
	}
	if err != nil {
		_ = fsys.Remove(part) // what is left of it is not missed
		return Info{}, writeFault(err, file)
	}
	if err := fsys.SyncDir(filepath.Dir(file)); err != nil {
		return Info{}, writeFault(err, file)
	}
	return info, nil
}

// flushed flushes a file as it grows.
type flushed struct {
	files.File
	since int
}

func (f *flushed) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	if f.since += n; err == nil && f.since >= syncEvery {
		f.since = 0
		err = f.Sync()
	}
	return n, err
}
