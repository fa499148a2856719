package sealed

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdh"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// A list says which files are a person's, so that nobody has to try every file of the
// deployment at every sign-in. It lies on the disk sealed to that person: its name and its
// key are made of their private key, its size is one of few. It is never needed: one that
// is gone, or damaged, is made anew from the ops.

// listVersion is the version of the file.
const listVersion = 1

type list struct {
	Version uint       `cbor:"1,keyasint"`
	Logs    []progress `cbor:"2,keyasint"` // by log
	Files   []listed   `cbor:"3,keyasint"` // by id
}

// progress is how far a log was looked through: up to a sequence, and how many sealed ops
// there were. Another number means that some came later.
type progress struct {
	_     struct{} `cbor:",toarray"`
	Log   oplog.LogID
	Seq   uint64
	Count uint64
}

func byLog(a, b progress) int { return bytes.Compare(a.Log[:], b.Log[:]) }

// of is how far a log was looked through.
func (l *list) of(log oplog.LogID) progress {
	i, known := slices.BinarySearchFunc(l.Logs, progress{Log: log}, byLog)
	if !known {
		return progress{Log: log}
	}
	return l.Logs[i]
}

func (l *list) note(p progress) {
	i, known := slices.BinarySearchFunc(l.Logs, p, byLog)
	if known {
		l.Logs[i] = p
		return
	}
	l.Logs = slices.Insert(l.Logs, i, p)
}

// listed is a file in the list.
type listed struct {
	ID      oplog.ID     `cbor:"1,keyasint"`
	Keys    []key        `cbor:"2,keyasint"`
	Narrow  staff.Narrow `cbor:"3,keyasint"`
	State   uint8        `cbor:"4,keyasint"`
	Began   int64        `cbor:"5,keyasint"`
	Due     int64        `cbor:"6,keyasint,omitempty"`
	About   oplog.ID     `cbor:"7,keyasint"`
	Marked  bool         `cbor:"8,keyasint,omitempty"`  // opened in an emergency …
	Seen    bool         `cbor:"9,keyasint,omitempty"`  // … and this person looked since
	Exposed bool         `cbor:"10,keyasint,omitempty"` // may have been readable by somebody who left
	Dropped uint         `cbor:"11,keyasint,omitempty"`
	Intake  bool         `cbor:"12,keyasint,omitempty"`
	To      [32]byte     `cbor:"13,keyasint"`           // of what waits: the epoch it is sealed to; zeros when not known
	Epoch   uint32       `cbor:"14,keyasint,omitempty"` // … and its number
	Group   []staff.ID   `cbor:"15,keyasint,omitempty"` // who works in it
}

// States of a listed file.
const (
	stateWaiting = 1 // passed on, nobody works in it
	stateMine    = 2
	stateClosed  = 3
	stateNot     = 4 // no longer this person's
	stateErased  = 5 // two people erased it: hidden, and its payloads not destroyed here yet
)

// listSizes are the sizes of what is sealed: 4 KB doubled until it fits.
const listSmallest = 4 << 10

func pad(b []byte) []byte {
	out := append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) //nolint:gosec // below 4 GB
	size := listSmallest
	for size < len(out) {
		size *= 2
	}
	return append(out, make([]byte, size-len(out))...)
}

func unpad(b []byte) ([]byte, bool) {
	if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
		return nil, false
	}
	return b[4:][:binary.BigEndian.Uint32(b)], true
}

// listFile is where the person's list lies.
func (d *Desk) listFile(mine *ecdh.PrivateKey) *identity.SealedFile {
	raw := mine.Bytes()
	defer clear(raw)
	name := derive(raw, "waypost/sealed-list-name/1", d.o.Deployment[:])
	return identity.NewSealedFile(d.dir, hex.EncodeToString(name[:8]), derive(raw, "waypost/sealed-list/1", d.o.Deployment[:]))
}

func newList() *list { return &list{Version: listVersion, Logs: []progress{}, Files: []listed{}} }

// readList opens the list; a new one where there is none that opens.
func readList(f *identity.SealedFile) *list {
	raw, err := f.Read()
	if err != nil {
		return newList()
	}
	defer clear(raw)
	plain, ok := unpad(raw)
	l := newList()
	if !ok || decode(plain, l) != nil || l.Version != listVersion || !slices.IsSortedFunc(l.Logs, byLog) {
		return newList()
	}
	return l
}

// writeList puts it on the disk. It is a help and nothing else: what cannot be written is
// found again the next time.
func (d *Desk) writeList(f *identity.SealedFile, l *list) {
	err := os.MkdirAll(d.dir, 0o700)
	if err == nil || errors.Is(err, fs.ErrExist) {
		plain := encode(l)
		err = f.Write(pad(plain))
		clear(plain)
	}
	if err != nil {
		d.o.Logger.Warn("a list could not be written", "err", err)
	}
}

// lock keeps two questions of one person from writing their list at once.
func (d *Desk) lock(id staff.ID) *sync.Mutex {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.writing[id] == nil {
		d.writing[id] = &sync.Mutex{}
	}
	return d.writing[id]
}

// wholeEvery is how often a list is compared with all there is, and not only with what is
// new: a payload that was gone may have come back.
const wholeEvery = 10 * time.Minute

// refresh brings a list up to date. It opens every file that is new or changed, and no
// other.
func (d *Desk) refresh(s staff.Session, mine *ecdh.PrivateKey, h held, who people) (*list, error) {
	f := d.listFile(mine)
	defer f.Forget()
	l := readList(f)
	d.mu.Lock()
	last, looked := d.whole[s.Actor.ID]
	now := d.o.Clock.Now()
	erased := countErased(d.log.Gone())
	whole := !looked || now.Sub(last) > wholeEvery || len(l.Logs) == 0 || d.erased[s.Actor.ID] != erased
	d.mu.Unlock()
	before, back := encode(l), d.takenBack(l)
	err := d.log.View(func(r oplog.Reader) error {
		changed, err := changedSince(r, l, whole)
		if err != nil {
			return err
		}
		for _, id := range back {
			changed[id] = true
		}
		for id := range changed {
			payloads, err := payloadsOf(r, id)
			if err != nil {
				return err
			}
			d.relist(l, id, payloads, s.Actor, mine, h, who)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if whole {
		d.mu.Lock()
		d.whole[s.Actor.ID], d.erased[s.Actor.ID] = now, erased
		d.mu.Unlock()
	}
	d.dropErased(l)
	slices.SortFunc(l.Files, func(a, b listed) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	if !bytes.Equal(before, encode(l)) {
		d.writeList(f, l)
	}
	return l, nil
}

func countErased(all []oplog.Gone) (n int) {
	for _, g := range all {
		if g.Erased {
			n++
		}
	}
	return n
}

// dropErased takes the keys of what was erased out of a list, and all of it once its
// payloads are gone. Taken back, it is found again as any file is.
func (d *Desk) dropErased(l *list) {
	l.Files = slices.DeleteFunc(l.Files, func(x listed) bool {
		g := d.log.GoneOf(x.ID)
		return g.Erased && (g.Final || g.Kept == 0)
	})
	for i, x := range l.Files {
		if x.State != stateNot && d.log.GoneOf(x.ID).Erased { // whoever is off hears nothing new of it
			l.Files[i] = listed{ID: x.ID, Keys: []key{}, Narrow: x.Narrow, State: stateErased, Began: x.Began}
		}
	}
}

// takenBack are files whose erasure was taken back since the list was written. Counts do not
// tell: a log that has no other files had none to count meanwhile.
func (d *Desk) takenBack(l *list) (out []oplog.ID) {
	for _, x := range l.Files {
		if x.State == stateErased && !d.log.GoneOf(x.ID).Erased {
			out = append(out, x.ID)
		}
	}
	return out
}

// changedSince are the files with ops that the list has not seen; it has seen them then.
func changedSince(r oplog.Reader, l *list, whole bool) (map[oplog.ID]bool, error) {
	rows := map[oplog.LogID][]entryAt{}
	note := func(k []byte, subject oplog.ID) {
		log := oplog.LogID(k[1:17])
		rows[log] = append(rows[log], entryAt{binary.BigEndian.Uint64(k[17:]), subject})
	}
	var err error
	if whole {
		err = r.Rows(entriesView, []byte{'c'}, nil, func(k []byte, subject oplog.ID, _ []byte) error {
			note(k, subject)
			return nil
		})
	} else {
		err = newRows(r, slices.Clone(l.Logs), note)
	}
	if err != nil {
		return nil, err
	}
	changed := map[oplog.ID]bool{}
	for log, all := range rows {
		was := l.of(log)
		now, fresh := was, uint64(0)
		for _, e := range all {
			if now.Seq = max(now.Seq, e.seq); e.seq > was.Seq {
				fresh++
			}
		}
		// Fewer or more below where it had stopped: all of that log is looked at again.
		again := whole && uint64(len(all))-fresh != was.Count
		if now.Count = was.Count + fresh; whole {
			now.Count = uint64(len(all))
		}
		for _, e := range all {
			if again || e.seq > was.Seq {
				changed[e.subject] = true
			}
		}
		l.note(now)
	}
	return changed, nil
}

// entryAt is where a sealed op stands in its log.
type entryAt struct {
	seq     uint64
	subject oplog.ID
}

// newRows walks what is behind the last sequence of every log.
func newRows(r oplog.Reader, known []progress, note func([]byte, oplog.ID)) error {
	for _, p := range known {
		after := slices.Concat(entryKey(oplog.Ref{Log: p.Log, Seq: p.Seq}), bytes.Repeat([]byte{0xFF}, 10))
		err := r.Rows(entriesView, append([]byte{'c'}, p.Log[:]...), after, func(k []byte, subject oplog.ID, _ []byte) error {
			note(k, subject)
			return nil
		})
		if err != nil {
			return err
		}
	}
	// Logs the list does not know: in the gaps between those it does.
	after := []byte{'c'}
	for i := 0; i <= len(known); i++ {
		err := r.Rows(entriesView, []byte{'c'}, after, func(k []byte, subject oplog.ID, _ []byte) error {
			if i < len(known) && bytes.Compare(k[1:17], known[i].Log[:]) >= 0 {
				return oplog.ErrStop
			}
			note(k, subject)
			return nil
		})
		if err != nil {
			return err
		}
		if i < len(known) {
			after = slices.Concat([]byte{'c'}, known[i].Log[:], bytes.Repeat([]byte{0xFF}, 18))
		}
	}
	return nil
}

// relist opens one file and says in the list how it stands.
func (d *Desk) relist(l *list, id oplog.ID, payloads [][]byte, a staff.Actor, mine *ecdh.PrivateKey, h held, who people) {
	i := slices.IndexFunc(l.Files, func(x listed) bool { return x.ID == id })
	var keys []key
	if i >= 0 {
		keys = l.Files[i].Keys
	}
	f := d.read(id, payloads, a, mine, h, keys, who)
	if f == nil || !a.Opens(f.narrow) {
		return
	}
	x := listed{
		ID: id, Keys: f.keys, Narrow: f.narrow, Began: f.began, Due: f.due, About: f.about, Marked: f.marked, Exposed: f.exposed,
		Dropped: uint(f.dropped), Intake: f.intake, Group: groupOf(f.members), //nolint:gosec // a count
	}
	group := x.Group
	switch {
	case len(group) > 0 && !f.members[a.ID]:
		x.State, x.Keys = stateNot, []key{}
	case f.closed || f.linked:
		x.State = stateClosed
	case len(group) == 0:
		x.State = stateWaiting
		x.To, x.Epoch = sealedTo(payloads, binder{d.o.Deployment, id}, h, f)
	default:
		x.State = stateMine
	}
	for j := range f.entries { // whoever looked after it was marked knows of it
		if e := &f.entries[j]; e.Kind == kindMarked {
			x.Seen = false
		} else if e.Kind == kindLooked && e.By == a.ID {
			x.Seen = true
		}
	}
	if i >= 0 {
		l.Files[i] = x
	} else {
		l.Files = append(l.Files, x)
	}
}

// sealedTo is the epoch that the newest key of what waits was sealed to; zeros when that is
// none this person holds.
func sealedTo(payloads [][]byte, b binder, h held, f *file) (name [32]byte, newest uint32) {
	k, ok := f.key([]staff.ID{}, nil)
	if !ok {
		return name, 0
	}
	for _, p := range payloads {
		e, ok := parseEntry(p)
		if !ok {
			continue
		}
		for n, s := range h {
			if got, ok := b.given(e, s.seal); ok && got == k && s.narrow == f.narrow && s.epoch >= newest {
				name, newest = n, s.epoch
			}
		}
	}
	return name, newest
}

// Item is a file in somebody's list.
type Item struct {
	ID      oplog.ID
	Narrow  staff.Narrow
	About   oplog.ID
	Began   time.Time
	Due     time.Time
	Waiting bool // passed on, and nobody works in it
	Closed  bool
	Marked  bool // opened in an emergency, and this person has not looked since
	Exposed bool
	Dropped int
	Erased  bool // it opens no more; a lead can take that back until its payloads are destroyed
}

// List is what a person has to do.
type List struct {
	Items     []Item       // what is due first comes first
	Narrows   []NarrowInfo // the compartments of the person
	Contested bool         // two key changes crossed: somebody has to change them once more
}

// NarrowInfo is how a compartment stands for somebody.
type NarrowInfo struct {
	Narrow staff.Narrow
	Open   bool // it has keys
	Mine   bool // and the person has the current ones
}

// List brings the person's list up to date and gives it. What was passed on under keys that
// have ended is sealed anew on the way, and whoever's account ended is taken off the files.
// Faults: those of Actor.Must and the log's own, Unauthenticated "fault.staff.sign_in".
func (d *Desk) List(ctx context.Context, s staff.Session) (List, error) {
	if err := s.Actor.Must(staff.WorkSealed); err != nil {
		return List{}, err
	}
	m := d.lock(s.Actor.ID)
	m.Lock()
	defer m.Unlock()
	who, err := d.people()
	if err != nil {
		return List{}, err
	}
	l, out, current, err := d.look(s, who)
	if err == nil && d.tidy(ctx, s, l, who, current) {
		l, out, _, err = d.look(s, who)
	}
	if err != nil {
		return List{}, err
	}
	for _, x := range l.Files {
		if x.State != stateNot && s.Actor.Opens(x.Narrow) {
			out.Items = append(out.Items, x.item())
		}
	}
	slices.SortFunc(out.Items, func(a, b Item) int {
		return cmp.Or(order(a.Closed, b.Closed), order(!a.Waiting, !b.Waiting), order(a.Due.IsZero(), b.Due.IsZero()), a.Due.Compare(b.Due),
			b.Began.Compare(a.Began), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return out, nil
}

// look brings the list up to date and says how the person's compartments stand.
func (d *Desk) look(s staff.Session, who people) (l *list, out List, current map[staff.Narrow][32]byte, err error) {
	current = map[staff.Narrow][32]byte{}
	err = d.holding(s, func(mine *ecdh.PrivateKey, h held) error {
		if l, err = d.refresh(s, mine, h, who); err != nil {
			return err
		}
		return d.log.View(func(r oplog.Reader) error {
			for _, n := range staff.Narrows() {
				if !s.Actor.Opens(n) {
					continue
				}
				c, err := d.compartment(r, n, who)
				if err != nil {
					return err
				}
				i := NarrowInfo{Narrow: n, Open: c.current != nil}
				if i.Open {
					_, i.Mine = h[c.current.name]
					current[n] = c.current.name
				}
				out.Narrows, out.Contested = append(out.Narrows, i), out.Contested || c.contested
			}
			return nil
		})
	})
	return l, out, current, err
}

func (x listed) item() Item {
	return Item{
		ID: x.ID, Narrow: x.Narrow, About: x.About, Began: at(x.Began), Due: at(x.Due), Waiting: x.State == stateWaiting,
		Closed: x.State == stateClosed, Marked: x.Marked && !x.Seen, Exposed: x.Exposed, Dropped: int(x.Dropped), Erased: x.State == stateErased, //nolint:gosec // a count
	}
}

// tidy does what a person with the keys owes: it seals anew what is sealed to an epoch that
// ended, and takes people off files whose accounts ended. It reports whether it did anything.
func (d *Desk) tidy(ctx context.Context, s staff.Session, l *list, who people, current map[staff.Narrow][32]byte) (done bool) {
	for _, x := range l.Files {
		switch {
		case x.State == stateWaiting && x.To != [32]byte{} && current[x.Narrow] != [32]byte{} && x.To != current[x.Narrow]:
			err := d.reseal(ctx, s, x)
			done = done || err == nil
			d.told("sealing anew", err)
		case x.State == stateMine:
			for _, id := range x.Group {
				if !who[id].Off {
					continue
				}
				err := d.Unassign(ctx, s, x.ID, id)
				done = done || err == nil
				d.told("taking off", err)
			}
		}
	}
	return done
}

// told notes that something waits for the next time. It says neither what nor whose.
func (d *Desk) told(what string, err error) {
	if err != nil {
		d.o.Logger.Warn("sealed work waits", "what", what, "class", fault.ClassOf(err))
	}
}

func (d *Desk) reseal(ctx context.Context, s staff.Session, x listed) error {
	f, who, err := d.load(s, x.ID)
	if err != nil {
		return err
	}
	return d.write(ctx, s, f, who, kindResealed, resealed{Epoch: x.Epoch}, nil)
}
