package backup

import (
	"context"
	"errors"
	"time"

	"filippo.io/age"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// Info is what a backup file says about itself.
type Info struct {
	Deployment identity.DeploymentID
	Node       identity.NodeID
	Number     uint16
	Made       time.Time
	Sure       bool  // whether the clock of the box knew the time
	Bytes      int64 // of the file
	Opened     bool  // the rest was read with a passphrase
	Name       string
	Site       string
	Files      int
	Ops        uint64
	Heads      []oplog.Head
}

// Look reads the head of a file only: whose it is and of when. Faults as of Verify.
func Look(fsys files.FS, file string) (Info, error) {
	f, err := open(fsys, file)
	if err != nil {
		return Info{}, err
	}
	defer f.Close()
	h, err := readFront(f)
	if err != nil {
		return Info{}, err
	}
	info := h.info()
	if st, err := f.Stat(); err == nil {
		info.Bytes = st.Size()
	}
	return info, nil
}

func (f *front) info() Info {
	return Info{
		Deployment: f.deployment(), Node: f.cert.ID(), Number: f.cert.Number,
		Made: time.Unix(f.Made, 0).UTC(), Sure: f.Sure,
	}
}

func open(fsys files.FS, file string) (files.File, error) {
	f, err := files.Open(fsys, file)
	if err != nil {
		return nil, fault.New(fault.NotFound, "fault.backup.no_file", "File", file).Wrap(err)
	}
	return f, nil
}

// Verify checks every byte of a backup: checksums and the node's signature, and, with a
// passphrase, that every piece opens and that they add up. It takes about 8 MB of memory.
//
// Faults: NotFound "fault.backup.no_file"; Invalid "fault.backup.no_backup",
// "fault.backup.cut", "fault.backup.damaged"; Unsupported "fault.backup.newer"; Denied
// "fault.backup.forged" and "fault.identity.wrong_passphrase"; Unavailable
// "fault.backup.cannot_read", "fault.backup.stopped".
func Verify(ctx context.Context, fsys files.FS, file string, passphrase []byte, progress func(Progress)) (Info, error) {
	v := verifier{fs: fsys, step: Checking, progress: progress}
	if passphrase != nil {
		var err error
		if v.key, err = unlock(fsys, file, passphrase); err != nil {
			return Info{}, err
		}
	}
	return v.file(ctx, file)
}

// unlock opens the key of the pieces with a passphrase.
func unlock(fsys files.FS, file string, passphrase []byte) (*age.X25519Identity, error) {
	f, err := open(fsys, file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h, err := readFront(f)
	if err != nil {
		return nil, err
	}
	copied, err := identity.OpenCopied(h.Unlock, passphrase)
	if err != nil {
		return nil, err
	}
	defer copied.Forget()
	key, err := h.key(copied.Subkey(subkeyName))
	if err != nil {
		return nil, damaged(0, err)
	}
	return key, nil
}

// verifier reads a whole file.
type verifier struct {
	fs       files.FS
	key      *age.X25519Identity // nil: what is inside stays closed
	step     Step
	progress func(Progress)
	each     func(piece) error // called with every piece in turn; nil: nothing
	id       *[16]byte         // the backup that must be in the file; nil: any

	path   string // of the file under way
	offset int64
	count  uint64
	bytes  uint64
}

func (v *verifier) file(ctx context.Context, file string) (Info, error) {
	f, err := open(v.fs, file)
	if err != nil {
		return Info{}, err
	}
	defer f.Close()
	var size int64
	if st, err := f.Stat(); err == nil {
		size = st.Size()
	}
	r, err := newReader(f)
	if err != nil {
		return Info{}, err
	}
	if v.id != nil && *v.id != r.front.ID {
		return Info{}, damaged(0, errors.New("another file than the one that was checked"))
	}
	info := r.front.info()
	for {
		if ctx.Err() != nil {
			return Info{}, stopped(ctx)
		}
		at := r.at
		kind, body, err := r.next()
		if err != nil {
			return Info{}, err
		}
		switch kind {
		case recordPiece:
			if err := v.piece(body); err != nil {
				return Info{}, orDamaged(at, err)
			}
		case recordSummary:
			return v.end(r, body, info)
		default:
			return Info{}, damaged(at, errPiece)
		}
		if v.progress != nil {
			v.progress(Progress{v.step, r.at, size})
		}
	}
}

// orDamaged keeps faults; everything else says that the file is not what it was.
func orDamaged(at int64, err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	return damaged(at, err)
}

// piece opens one and sees that it follows the one before.
func (v *verifier) piece(body []byte) error {
	if v.key == nil {
		return nil
	}
	p, err := openPiece(v.key, body)
	if err != nil {
		return err
	}
	if p.Path != v.path && v.path != "" || p.Offset != v.offset {
		return errPiece
	}
	v.path, v.offset = p.Path, v.offset+int64(len(p.data))
	v.bytes += uint64(len(p.data))
	if p.Last {
		v.path, v.offset = "", 0
		v.count++
	}
	if v.each != nil {
		return v.each(p)
	}
	return nil
}

// end compares the summary with what came, and checks the seal.
func (v *verifier) end(r *reader, body []byte, info Info) (Info, error) {
	at, before := r.at, r.sum
	var s summary
	if v.key != nil {
		plain, err := unsealed(v.key, body)
		if err == nil {
			err = decMode.Unmarshal(plain, &s)
		}
		if err != nil || s.Bytes != v.bytes || s.Files != v.count || v.path != "" {
			return Info{}, damaged(at, errors.Join(errPiece, err))
		}
		info.Opened, info.Name, info.Site, info.Files, info.Ops = true, s.Deployment, s.Site, int(s.Files), s.Ops
		for _, h := range s.Heads {
			info.Heads = append(info.Heads, oplog.Head{Log: h.Log, Seq: h.Seq, Hash: h.Hash})
		}
	}
	kind, signature, err := r.next()
	if err != nil {
		return Info{}, err
	}
	if kind != recordSeal {
		return Info{}, damaged(at, errPiece)
	}
	if err := r.finish(before, signature); err != nil {
		return Info{}, err
	}
	info.Bytes = r.at
	return info, nil
}

// Try reports whether a passphrase opens a backup, without reading more than its head.
// Faults as of Verify.
func Try(fsys files.FS, file string, passphrase []byte) error {
	_, err := unlock(fsys, file, passphrase)
	return err
}
