package sealed

import (
	"context"
	"crypto/ecdh"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// Options are what the desk stands on. It owns none of it.
type Options struct {
	Dir         string // the data folder; the sealed lists lie in its folder "sealed"
	Deployment  [16]byte
	Clock       clock.Clock
	Logger      *slog.Logger
	Staff       *staff.Desk
	Authors     staff.Authors                   // which node writes a log
	Countersign func(msg []byte) ([]byte, bool) // the issuer's word; false where no issuer lives
}

// Desk works in sealed files. It keeps nothing of them: every question opens what it needs
// with the keys of whoever asks, and forgets it with the answer. Safe for concurrent use.
type Desk struct {
	log *oplog.Log
	o   Options
	dir string

	mu      sync.Mutex
	whole   map[staff.ID]time.Time // when an account's list was last compared with all there is, by the running clock
	erased  map[staff.ID]int       // how many were erased then
	writing map[staff.ID]*sync.Mutex
	parcels map[oplog.ID]*parcel     // by the act that waits, or was agreed to
	asked   map[staff.ID][]time.Time // when somebody asked to hand a file over, by the running clock

	wrapping sync.Mutex // one parcel at a time: stretching its passphrase takes 32 MB

	begun atomic.Bool // Opened said yes
}

// OpenDesk puts the desk on a log that was opened with this package's Kinds and Views.
func OpenDesk(log *oplog.Log, o Options) *Desk {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Desk{log: log, o: o, dir: filepath.Join(o.Dir, "sealed"), whole: map[staff.ID]time.Time{}, erased: map[staff.ID]int{}, writing: map[staff.ID]*sync.Mutex{},
		parcels: map[oplog.ID]*parcel{}, asked: map[staff.ID][]time.Time{}}
}

// counts reports whether a log is the word of a node that was compared. What a box said
// before it was lost still counts, or files would close with it; what a revoked one says
// behind its cut is held back by the journal, and nothing is sealed to people of a lost one.
func (d *Desk) counts(log oplog.LogID) bool {
	n, ok := d.o.Authors(log)
	return ok && n.Confirmed && !n.Carries()
}

// home reports whether a log is of the node where an account signs in.
func (d *Desk) home(log oplog.LogID, w staff.Worker) bool {
	n, ok := d.o.Authors(log)
	return ok && n.ID == w.Node
}

// may is the policy of everything that reads: the person's own session, and the
// compartment is theirs.
func may(s staff.Session, n staff.Narrow) error {
	if err := s.Actor.Must(staff.WorkSealed); err != nil {
		return err
	}
	if !s.Actor.Opens(n) {
		return fault.New(fault.Denied, "fault.staff.not_allowed")
	}
	return nil
}

// people is the directory by id.
type people map[staff.ID]staff.Worker

func (d *Desk) people() (people, error) {
	all, err := d.o.Staff.Directory()
	if err != nil {
		return nil, err
	}
	out := make(people, len(all))
	for _, w := range all {
		out[w.ID] = w
	}
	return out, nil
}

// append writes a payload; nil means that it is on the disk.
func (d *Desk) append(ctx context.Context, subject oplog.ID, payloads ...[]byte) error {
	return d.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error {
		for _, p := range payloads {
			if _, err := tx.AppendSealed(subject, p); err != nil {
				return err
			}
		}
		return nil
	})
}

// holding runs fn with the person's key and the seeds they were given.
func (d *Desk) holding(s staff.Session, fn func(mine *ecdh.PrivateKey, h held) error) error {
	return s.WithSealKey(func(mine *ecdh.PrivateKey) error {
		h, err := d.seeds(s.Actor, mine)
		if err != nil {
			return err
		}
		defer h.wipe()
		return fn(mine, h)
	})
}

// issuerSigned reports whether an issuer gave its word for an epoch.
func (d *Desk) issuerSigned(e epochBegun) bool {
	return identity.VerifyCountersign(d.o.Deployment, e.Word, e.message(d.o.Deployment))
}
