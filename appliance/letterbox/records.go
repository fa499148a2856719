package letterbox

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/oplog"
)

// How many records of neighbours wait at most.
const (
	MaxRecords     = 20000
	MaxRecordBytes = 256 << 20
)

const recordsFolder = "records"

// Born checks the birth of a log nobody here has seen, as oplog.Authority's LogKey does.
type Born = func(log oplog.LogID, birth []byte) (ed25519.PublicKey, error)

// RecordsOptions are what Records needs besides its folder.
type RecordsOptions struct {
	Born      Born
	FreeSpace func() (uint64, error) // bytes left on the disk; nil: nobody asks
	MinFree   uint64                 // below this nothing more is taken in
	Most      int                    // files; 0 = MaxRecords
	MostBytes int64                  // 0 = MaxRecordBytes
}

// Records is the part of the letterbox of a locked box that neighbours fill: batches of the
// journal, each checked with public keys, sealed to the box and flushed before Put returns.
// Safe for concurrent use; there is one for a folder at a time.
type Records struct {
	fsys files.FS
	dir  string
	to   Address
	o    RecordsOptions

	mu    sync.Mutex
	logs  map[oplog.LogID]oplog.Known // as far as they are held, in the journal or here
	files int
	ops   uint64 // in files
	last  uint64 // highest number that was used
	bytes int64
	full  bool
}

// OpenRecords readies it. What an interrupted write left is removed; files that are not
// whole are set aside, and what they held is asked for again. Faults: those of Open.
func OpenRecords(fsys files.FS, data string, o RecordsOptions) (*Records, error) {
	if o.Most == 0 {
		o.Most = MaxRecords
	}
	if o.MostBytes == 0 {
		o.MostBytes = MaxRecordBytes
	}
	box := filepath.Join(data, Folder)
	r := &Records{fsys: fsys, dir: filepath.Join(box, recordsFolder), o: o, logs: map[oplog.LogID]oplog.Known{}}
	var err error
	if r.to, err = readAddress(fsys, box); err != nil {
		return nil, err
	}
	for _, k := range readKnown(fsys, box).Logs {
		r.logs[k.Log] = k
	}
	if err := errors.Join(fsys.MkdirAll(r.dir, 0o700), fsys.SyncDir(box)); err != nil {
		return nil, cannotWrite(err)
	}
	entries, err := fsys.ReadDir(r.dir)
	if err != nil {
		return nil, cannotWrite(err)
	}
	for _, e := range entries {
		if err := r.found(e.Name()); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// found takes one file of the folder into account.
func (r *Records) found(name string) error {
	path := filepath.Join(r.dir, name)
	number, ok := parseRecordName(name)
	if !ok {
		if half, cut := strings.CutSuffix(name, ".new"); cut {
			if _, ours := parseRecordName(half); ours {
				_ = r.fsys.Remove(path) // it takes room and nothing else
			}
		}
		return nil
	}
	r.last = max(r.last, number)
	raw, err := files.Read(r.fsys, path, int64(maxRecord))
	var o outline
	if err == nil {
		o, err = parseOutline(raw)
	}
	if err != nil || o.number != number {
		return setAside(r.fsys, r.dir, name)
	}
	r.files++
	r.bytes += int64(len(raw))
	if at := r.logs[o.log]; o.first <= at.Seq+1 && o.last > at.Seq {
		r.ops += o.last - at.Seq
		r.logs[o.log] = o.known()
	}
	return nil
}

// Heads say how far each log is held durably, in the journal as it was when the box was
// locked or here, sorted by log.
func (r *Records) Heads() []oplog.Head {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]oplog.Head, 0, len(r.logs))
	for _, k := range r.logs {
		out = append(out, k.Head)
	}
	slices.SortFunc(out, func(a, b oplog.Head) int { return bytes.Compare(a.Log[:], b.Log[:]) })
	return out
}

// Waiting is how many facts wait to be read.
func (r *Records) Waiting() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ops
}

// Full reports whether nothing more is taken in.
func (r *Records) Full() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.full {
		return false
	}
	// Somebody may have made room on the disk.
	r.full = r.files >= r.o.Most || r.bytes >= r.o.MostBytes || !r.roomFor(0)
	return r.full
}

func (r *Records) roomFor(n int) bool {
	if r.o.FreeSpace == nil {
		return true
	}
	free, err := r.o.FreeSpace()
	return err != nil || free >= r.o.MinFree+uint64(n) //nolint:gosec // a length
}

// Put takes in one batch and returns when it is on the card: checked with the log's key,
// continuing what is held, sealed to the box. What is held already is passed over. Faults:
// those of oplog.Inspect, Conflict "fault.oplog.gap" and "fault.letterbox.parts" (another
// history of the log), Full "fault.letterbox.records_full" and
// "fault.letterbox.disk_full", Unavailable "fault.letterbox.cannot_write".
func (r *Records) Put(batch []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	o, err := r.inspect(batch)
	if err != nil {
		return err
	}
	at := r.logs[o.Log]
	switch hash, inside := o.HashAt(at.Seq); {
	case o.First > at.Seq+1:
		return fault.New(fault.Conflict, "fault.oplog.gap", "Log", o.Log.String(), "Have", at.Seq, "First", o.First)
	case o.First == at.Seq+1 && o.Prev != at.Hash, inside && hash != at.Hash:
		return fault.New(fault.Conflict, "fault.letterbox.parts")
	case o.Last <= at.Seq:
		return nil
	}
	// Padding and the head are small beside MaxBatchBytes, so this bounds the file.
	if r.files >= r.o.Most || r.bytes+int64(len(batch)) > r.o.MostBytes || !r.roomFor(maxRecord) {
		r.full = true
		return fault.New(fault.Full, "fault.letterbox.records_full")
	}
	return r.write(o, at.Seq, batch)
}

func (r *Records) inspect(batch []byte) (oplog.Outline, error) {
	log, ok := oplog.BatchLog(batch)
	if !ok {
		return oplog.Outline{}, fault.New(fault.Invalid, "fault.oplog.bad_batch")
	}
	return oplog.Inspect(r.to.Deployment, r.o.Born, r.logs[log].Key, batch)
}

func (r *Records) write(o oplog.Outline, had uint64, batch []byte) error {
	file := outline{number: r.last + 1, log: o.Log, first: o.First, last: o.Last, hash: o.Hash, key: [32]byte(o.Key)}
	sealed, err := sealRecord(r.to, file, batch)
	if err != nil {
		return fault.New(fault.Internal, "fault.internal").Wrap(err)
	}
	r.last++ // it may lie there all the same: the next one must not take its number
	if err := files.WriteAtomic(r.fsys, filepath.Join(r.dir, recordName(file.number)), sealed, 0o600); err != nil {
		err = cannotWrite(err)
		r.full = r.full || fault.ClassOf(err) == fault.Full
		return err
	}
	r.files++
	r.ops += o.Last - had
	r.bytes += int64(len(sealed))
	r.logs[o.Log] = file.known()
	return nil
}

// RecordPile is what waits in Records, of an opened box. It belongs to one goroutine.
type RecordPile struct {
	fsys files.FS
	dir  string
	key  Key
}

// EmptyRecords readies the reading. The files stay until Done.
func EmptyRecords(fsys files.FS, data string, k Key) *RecordPile {
	return &RecordPile{fsys: fsys, dir: filepath.Join(data, Folder, recordsFolder), key: k}
}

// Names are the files that wait, in their order.
func (p *RecordPile) Names() (out []string, err error) {
	entries, err := p.fsys.ReadDir(p.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, cannotWrite(err)
	}
	for _, e := range entries {
		if _, ok := parseRecordName(e.Name()); ok {
			out = append(out, e.Name())
		}
	}
	slices.Sort(out)
	return out, nil
}

// Read opens one: the batch, to be verified again by whoever merges it. Fault: Invalid
// "fault.letterbox.broken".
func (p *RecordPile) Read(name string) ([]byte, error) {
	raw, err := files.Read(p.fsys, filepath.Join(p.dir, name), int64(maxRecord))
	if err != nil {
		return nil, fault.New(fault.Invalid, "fault.letterbox.broken").Wrap(err)
	}
	o, batch, err := openRecord(p.key, raw)
	if err != nil || recordName(o.number) != name {
		return nil, fault.New(fault.Invalid, "fault.letterbox.broken").Wrap(errors.Join(err, errRecord))
	}
	return batch, nil
}

// Done destroys one whose facts are in the journal, as Pile.Done does.
func (p *RecordPile) Done(name string) error {
	path := filepath.Join(p.dir, name)
	if err := overwrite(p.fsys, path, int64(maxRecord)); err != nil {
		return cannotWrite(err)
	}
	if err := p.fsys.Remove(path); err != nil {
		return cannotWrite(err)
	}
	return cannotWrite(p.fsys.SyncDir(p.dir))
}

// SetAside keeps one that could not be merged, whole, and out of the way.
func (p *RecordPile) SetAside(name string) error { return setAside(p.fsys, p.dir, name) }

// AsideRecords counts what was set aside.
func AsideRecords(fsys files.FS, data string) (n int) {
	entries, err := fsys.ReadDir(filepath.Join(data, Folder, recordsFolder, asideName))
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if _, ok := parseRecordName(e.Name()); ok {
			n++
		}
	}
	return n
}
