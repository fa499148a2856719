package backup

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// Keys is the open vault of the node; *identity.Vault is one.
type Keys interface {
	Root() ed25519.PublicKey
	Cert() identity.NodeCert
	Signer() crypto.Signer
	Subkey(label string) [32]byte
	CopyUnlock() ([]byte, error)
	DeploymentName() string
	SiteName() string
}

// Journal is the open journal of the node; *oplog.Log is one.
type Journal interface {
	Snapshot(ctx context.Context) (oplog.Snapshot, error)
}

// Options say what is backed up and where to.
type Options struct {
	Files   files.FS // of both folder and file; nil = files.OS()
	Dir     string   // the data folder
	File    string   // where the backup goes; FILE.part beside it while it is made
	Journal Journal
	Keys    Keys
	Made    time.Time // what the backup says of its date
	Sure    bool      // whether that clock knew
	// Room is how many bytes the file's medium has left; nil: not asked.
	Room func() (uint64, error)
	// Progress is told now and then, from the calling goroutine; nil: nobody.
	Progress func(Progress)
}

// Progress is how far a backup or a restore is.
type Progress struct {
	Step  Step
	Done  int64 // bytes of this step
	Total int64 // 0 while it is not known
}

// Step is what is being done.
type Step string

// The steps, in the order of a backup and of a restore.
const (
	Resuming  Step = "resuming"  // what an earlier try left is being looked at
	Writing   Step = "writing"   // onto the medium
	Verifying Step = "verifying" // reading back what was written
	Checking  Step = "checking"  // a restore looks at the whole file
	Restoring Step = "restoring" // and writes the folder
)

// PartName is the name of an unfinished backup.
func PartName(file string) string { return file + ".part" }

// syncEvery is how much is written before it is flushed: a stick that cannot take
// more says so then, and what progress shows is on it.
const syncEvery = 16 << 20

// Write makes a backup of an open node, or goes on with the one that FILE.part holds,
// then reads it back and checks every byte of it, and only then gives it its name. It
// takes about 8 MB of memory. What an error leaves is continued by the next call.
//
// Faults: Conflict "fault.backup.other_file" when FILE is there and is no backup,
// "fault.backup.part_of_other" when FILE.part belongs to another node; Full
// "fault.backup.full"; TooLarge "fault.backup.too_large_here" for a medium that takes
// no files of this size; Unavailable "fault.backup.gone" when the medium does not
// answer, "fault.backup.cannot_write"; Internal "fault.backup.not_read_back";
//
// Unavailable "fault.backup.source" when the folder cannot be read; Busy
// "fault.backup.changing" when the journal is rewritten all the time; "fault.backup.stopped".
func Write(ctx context.Context, o Options) (Info, error) {
	if o.Files == nil {
		o.Files = files.OS()
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if err := o.replaceable(); err != nil {
		return Info{}, err
	}
	w := &writer{Options: o}
	defer w.close()
	snap, err := o.Journal.Snapshot(ctx)
	for range mostTries {
		if err == nil {
			err = w.run(ctx, snap)
		}
		if err != nil && fault.Of(err).Key != "fault.backup.source" {
			return Info{}, err
		}
		now, serr := o.Journal.Snapshot(ctx)
		switch {
		case serr != nil:
			return Info{}, serr
		case now.Keeps(snap) && err != nil:
			return Info{}, err
		case now.Keeps(snap):
			return w.seal(ctx)
		}
		// A segment was rewritten meanwhile: somebody was erased, or damage was mended.
		// What was copied before it stays, the rest is copied again.
		snap, err = now, nil
	}
	return Info{}, fault.New(fault.Busy, "fault.backup.changing")
}

// replaceable refuses to write over something that is no backup.
func (o Options) replaceable() error {
	f, err := files.Open(o.Files, o.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return o.writeFault(err, 0)
	}
	defer f.Close()
	if _, err := readFront(f); err != nil {
		return fault.New(fault.Conflict, "fault.backup.other_file", "File", o.File).Wrap(err)
	}
	return nil
}

// writer is one call of Write.
type writer struct {
	Options
	items []item
	snap  oplog.Snapshot
	total int64

	front  front
	key    *age.X25519Identity
	sum    chain
	out    files.File
	at     int64 // bytes of the file that count
	synced int64
	done   int64 // bytes of the folder that are in it
	files  uint64
	item   int // where in items the next piece begins
	offset int64
	source files.File // of items[item]
}

func (w *writer) close() {
	if w.out != nil {
		_ = w.out.Close()
		w.out = nil
	}
	w.closeSource()
}

func (w *writer) closeSource() {
	if w.source != nil {
		_ = w.source.Close()
		w.source = nil
	}
}

// mostTries is how often a backup follows a journal that is being rewritten.
const mostTries = 5

// run brings everything that the snapshot says into FILE.part.
func (w *writer) run(ctx context.Context, snap oplog.Snapshot) (err error) {
	w.snap, w.total = snap, 0
	if w.items, err = collect(w.Files, w.Dir, snap); err != nil {
		return fault.New(fault.Unavailable, "fault.backup.source").Wrap(err)
	}
	for _, it := range w.items {
		w.total += it.size
	}
	again, err := w.resume(ctx)
	if err != nil {
		return err
	}
	if !again {
		if err := w.begin(); err != nil {
			return err
		}
	}
	if err := w.roomy(); err != nil {
		return err
	}
	for w.item < len(w.items) {
		if ctx.Err() != nil {
			return stopped(ctx)
		}
		if err := w.piece(); err != nil {
			return err
		}
	}
	return nil
}

// seal ends FILE.part, flushes it, and makes it a backup.
func (w *writer) seal(ctx context.Context) (Info, error) {
	// A vault that was closed meanwhile gives keys that open nothing.
	if _, err := w.front.key(w.Keys.Subkey(subkeyName)); err != nil {
		return Info{}, fault.New(fault.Unavailable, "fault.backup.stopped").Wrap(err)
	}
	if err := w.finish(); err != nil {
		return Info{}, err
	}
	if err := w.sync(); err != nil {
		return Info{}, err
	}
	return w.confirm(ctx)
}

// begin starts FILE.part anew.
func (w *writer) begin() error {
	var raw []byte
	var err error
	if w.front, raw, w.key, err = newFront(w.Keys, w.Made, w.Sure); err != nil {
		return err
	}
	w.sum = w.front.sum
	w.at, w.synced, w.done, w.item, w.offset, w.files = 0, 0, 0, 0, 0, 0
	w.close()
	w.out, err = w.Files.OpenFile(PartName(w.File), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		w.out = nil
		return w.writeFault(err, 0)
	}
	return w.write(raw)
}

// roomy asks the medium before an hour of writing does.
func (w *writer) roomy() error {
	if w.Room == nil {
		return nil
	}
	need := uint64(w.total-w.done) + uint64(w.total-w.done)/500 + 1<<20
	if free, err := w.Room(); err == nil && free < need {
		return full(w.File, need, nil)
	}
	return nil
}

// piece writes the next piece of the folder.
func (w *writer) piece() error {
	p, err := w.take(pieceSize)
	if errors.Is(err, fs.ErrNotExist) && p.Offset == 0 && w.items[w.item].held == nil && !segmentName(p.Path) {
		w.item++ // erased since it was listed
		return nil
	}
	if err != nil {
		return fault.New(fault.Unavailable, "fault.backup.source").Wrap(err)
	}
	body, err := sealPiece(w.key.Recipient(), p)
	if err != nil {
		return fault.Of(err)
	}
	if err := w.write(w.sum.appendRecord(nil, recordPiece, body)); err != nil {
		return err
	}
	w.advance(p)
	w.Progress(Progress{Writing, w.done, w.total})
	if w.at-w.synced >= syncEvery {
		return w.sync()
	}
	return nil
}

// take reads up to n bytes of the folder from where the writer stands.
func (w *writer) take(n int64) (p piece, err error) {
	it := w.items[w.item]
	p.Path, p.Offset = it.path, w.offset
	n = min(n, it.size-w.offset)
	p.Last = w.offset+n == it.size
	if it.held != nil {
		p.data = it.held[w.offset : w.offset+n]
		return p, nil
	}
	if w.source == nil {
		if w.source, err = files.Open(w.Files, filepath.Join(w.Dir, filepath.FromSlash(it.path))); err != nil {
			w.source = nil
			return p, err
		}
	}
	p.data = make([]byte, n)
	if got, err := w.source.ReadAt(p.data, w.offset); got < len(p.data) {
		return p, fmt.Errorf("%s: %d bytes at %d: %w", it.path, got, w.offset, err)
	}
	return p, nil
}

// advance moves on behind a piece that is in the file.
func (w *writer) advance(p piece) {
	w.done += int64(len(p.data))
	w.offset += int64(len(p.data))
	if p.Last {
		w.closeSource()
		w.item++
		w.offset = 0
		w.files++
	}
}

// finish writes the summary and the node's signature over everything.
func (w *writer) finish() error {
	s := summary{Deployment: w.Keys.DeploymentName(), Site: w.Keys.SiteName(), Files: w.files, Bytes: uint64(w.done), Ops: w.snap.Ops, Heads: []head{}}
	for _, h := range w.snap.Heads {
		s.Heads = append(s.Heads, head{Log: h.Log, Seq: h.Seq, Hash: h.Hash})
	}
	body, err := sealed(w.key.Recipient(), encode(s))
	if err != nil {
		return fault.Of(err)
	}
	raw := w.sum.appendRecord(nil, recordSummary, body)
	signature, err := w.Keys.Signer().Sign(nil, w.sum.seal(w.front.deployment()), crypto.Hash(0))
	if err != nil {
		return fault.Of(err)
	}
	return w.write(w.sum.appendRecord(raw, recordSeal, signature))
}

// write appends to the file.
func (w *writer) write(b []byte) error {
	if n, err := w.out.WriteAt(b, w.at); err != nil || n < len(b) {
		return w.writeFault(err, w.total-w.done)
	}
	w.at += int64(len(b))
	return nil
}

func (w *writer) sync() error {
	if err := w.out.Sync(); err != nil {
		return w.writeFault(err, w.total-w.done)
	}
	w.synced = w.at
	return nil
}

// confirm reads the file back from the medium, gives it its name and says what it is.
func (w *writer) confirm(ctx context.Context) (Info, error) {
	part := PartName(w.File)
	forget(w.out) // so that what is read is what lies on the medium
	err := w.out.Close()
	w.out = nil
	if err != nil {
		return Info{}, w.writeFault(err, 0)
	}
	v := verifier{fs: w.Files, key: w.key, step: Verifying, progress: w.Progress}
	info, err := v.file(ctx, part)
	if err != nil {
		if ctx.Err() != nil {
			return Info{}, stopped(ctx)
		}
		_ = w.Files.Remove(part) // it would be wrong the next time too
		return Info{}, fault.New(fault.Internal, "fault.backup.not_read_back", "File", w.File).Wrap(err)
	}
	if err := w.Files.Rename(part, w.File); err != nil {
		return Info{}, w.writeFault(err, 0)
	}
	if err := w.Files.SyncDir(filepath.Dir(w.File)); err != nil {
		return Info{}, w.writeFault(err, 0)
	}
	return info, nil
}

// resume looks at what an earlier call left and stands behind the last piece that is
// whole and still what the folder holds. False: there is nothing to go on with.
func (w *writer) resume(ctx context.Context) (again bool, err error) {
	w.done, w.item, w.offset, w.files = 0, 0, 0, 0
	w.close()
	f, err := w.Files.OpenFile(PartName(w.File), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, w.writeFault(err, 0)
	}
	w.out = f
	r, err := newReader(io.NewSectionReader(f, 0, 1<<62))
	if err != nil {
		return false, nil //nolint:nilerr // it broke off in its head, or is no backup at all
	}
	cert := w.Keys.Cert()
	if !bytes.Equal(r.front.Cert, cert.Marshal()) {
		return false, fault.New(fault.Conflict, "fault.backup.part_of_other", "File", PartName(w.File))
	}
	unlock, err := w.Keys.CopyUnlock()
	if err != nil {
		return false, err
	}
	key, err := r.front.key(w.Keys.Subkey(subkeyName))
	if err != nil || !bytes.Equal(unlock, r.front.Unlock) {
		return false, nil //nolint:nilerr // the words were changed since: begun anew with these
	}
	w.front, w.key, w.sum, w.at = r.front, key, r.sum, r.at
	for w.item < len(w.items) {
		if ctx.Err() != nil {
			return false, stopped(ctx)
		}
		same, err := w.same(r)
		if err != nil || !same {
			break //nolint:nilerr // from here on it is written again
		}
		w.sum, w.at = r.sum, r.at
		w.Progress(Progress{Resuming, w.done, w.total})
	}
	if err := f.Truncate(w.at); err != nil {
		return false, w.writeFault(err, 0)
	}
	return true, nil
}

// same reads the next piece and reports whether the folder still holds it.
func (w *writer) same(r *reader) (bool, error) {
	kind, body, err := r.next()
	if err != nil || kind != recordPiece {
		return false, err
	}
	p, err := openPiece(w.key, body)
	if err != nil {
		return false, err
	}
	mine, err := w.take(pieceSize)
	if err != nil || p.meta != mine.meta || !bytes.Equal(p.data, mine.data) {
		w.closeSource()
		return false, err
	}
	w.advance(mine)
	return true, nil
}
