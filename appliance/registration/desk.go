package registration

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/waypost/waypost/appliance/chunks"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// Desk is the registration desk of one node. All methods are safe for concurrent
// use. Commands return only after what they wrote is on disk and can be searched.
type Desk struct {
	log     *oplog.Log
	clock   clock.Clock
	logger  *slog.Logger
	sites   func(oplog.LogID) string
	names   func(oplog.By) string
	byTyped func(string) (oplog.ID, bool)
	index   *index
	chunks  *chunks.Store
	line    *chunks.Line
	erasing Erasing
	intake  Intake
	passed  *passed
	stop    context.CancelFunc
	ended   chan struct{} // closed when nobody fills the index any more
	anew    chan struct{} // anybody in the views may have changed
}

// Options is what the desk asks of its surroundings. Every function may be called
// from several goroutines and must not call back into a command of this desk.
type Options struct {
	Clock   clock.Clock                                  // nil = clock.System()
	Logger  *slog.Logger                                 // nil = silent
	Sites   func(log oplog.LogID) string                 // name of the site a log is written at; nil or "" = not known
	Names   func(by oplog.By) string                     // name of a member of staff; nil or "" = their id
	ByTyped func(code string) (person oplog.ID, ok bool) // whose card carries this typed code; nil = nobody's
	Chunks  *chunks.Store                                // where photos lie; nil = there are none
	Line    *chunks.Line                                 // where images wait to be decoded; nil = one of its own
}

// Kinds are the facts this desk writes and reads.
func Kinds() []oplog.Kind {
	return append(peopleKinds(), gateKinds()...)
}

func peopleKinds() []oplog.Kind {
	return []oplog.Kind{registeredKind(), formedKind(), correctedKind(), joinedKind(), photographedKind(), drawnKind()}
}

// Views are the shared views of this desk.
func Views() []*oplog.View { return []*oplog.View{registerView, gateView} }

// Open readies the desk on an open log, and begins to fill the search index from the
// view: about 200 bytes of memory and ten microseconds a person. Call it before the log
// is used by others, or commits in between are missed, and Close before the log's.
func Open(log *oplog.Log, o Options) (*Desk, error) {
	d := &Desk{log: log, clock: o.Clock, logger: o.Logger, sites: o.Sites, names: o.Names, byTyped: o.ByTyped, index: newIndex(), ended: make(chan struct{}), anew: make(chan struct{}, 1), chunks: o.Chunks, line: o.Line, passed: newPassed()}
	if d.clock == nil {
		d.clock = clock.System()
	}
	if d.logger == nil {
		d.logger = slog.New(slog.DiscardHandler)
	}
	if d.line == nil {
		d.line = chunks.NewLine(d.clock)
	}
	log.OnCommit(d.committed)
	if err := d.needPhotos(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	go d.keepFilled(ctx)
	return d, nil
}

// Request makes a command safe to repeat. With a Key, the same key and the same body
// write once, also after a restart; the same key with another body is refused with
// Conflict "fault.registration.key_reused". Keys of different actors never meet.
type Request struct {
	Key  string // at most 200 bytes; empty = every call writes
	Body []byte // what was sent; nil = the command's own input stands for it
}

const maxKey = 200

// once is a Request turned into what the log keeps.
type once struct {
	used bool
	hash [16]byte
	body [8]byte
	row  bool // of an import: the first half of the hash is the key
}

// once hashes the key together with the actor, and the body together with the
// command, so that a key used for another command counts as reused.
func (r Request) once(actor staff.Actor, command string, input any) (once, error) {
	if r.Key == "" {
		return once{}, nil
	}
	if len(r.Key) > maxKey {
		return once{}, fault.New(fault.Invalid, "fault.registration.key_long", "Max", maxKey)
	}
	body := r.Body
	if body == nil {
		b, err := json.Marshal(input)
		if err != nil {
			return once{}, fault.New(fault.Internal, "fault.internal").Wrap(err)
		}
		body = b
	}
	return onceOf("waypost/registration/once/1\x00"+string(actor.ID[:])+r.Key, append([]byte(command+"\x00"), body...)), nil
}

func onceOf(key string, body []byte) once {
	h, b := sha256.Sum256([]byte(key)), sha256.Sum256(body)
	o := once{used: true}
	copy(o.hash[:], h[:])
	copy(o.body[:], b[:])
	return o
}

// done looks up whether the request was carried out before, and as which subject.
func (o once) done(r oplog.Reader) (oplog.ID, bool, error) {
	if !o.used {
		return oplog.ID{}, false, nil
	}
	w, ok, err := r.Once(o.key())
	if err == nil && !ok && o.row {
		w, ok, err = r.Once(o.hash) // imports wrote all of it once
	}
	if err != nil || !ok {
		return oplog.ID{}, false, err
	}
	if w.BodyHash != o.body {
		return oplog.ID{}, false, fault.New(fault.Conflict, "fault.registration.key_reused")
	}
	return w.Subject, true, nil
}

// mark lets the next Append carry the request's key.
func (o once) mark(tx *oplog.Tx) {
	if o.used {
		tx.SetOnce(o.key(), o.body)
	}
}

// key is what the log keeps.
func (o once) key() (key [16]byte) {
	if !o.row {
		return o.hash
	}
	copy(key[:8], o.hash[:])
	return key
}

// write runs a command in the log's writer.
func (d *Desk) write(ctx context.Context, actor staff.Actor, fn func(*oplog.Tx) error) error {
	return d.log.Do(ctx, actor.ID, fn)
}

// now is the moment a value is checked against.
func (d *Desk) now() moment { return moment{at: d.clock.Now(), sure: d.clock.Sure()} }

// moment is a wall time with its quality. The zero moment knows nothing.
type moment struct {
	at   time.Time
	sure bool
}

// earliest is before the first Waypost node ever ran: a clock below it was never set.
const earliest = 2020

func (m moment) plausible() bool { return m.at.Year() >= earliest }

// today is the local date, empty when the clock was clearly never set.
func (m moment) today() string {
	if !m.plausible() {
		return ""
	}
	return m.at.Format(time.DateOnly)
}
