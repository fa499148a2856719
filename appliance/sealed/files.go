package sealed

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// TakeIn passes something on to a compartment: about somebody in the register (zero: about
// nobody there), at most 40 codes of code lists, and at most 8,000 characters. It is sealed to the compartment's key and
// looks like any other entry; nobody at this desk reads it again, not even who wrote it.
// The actor needs SealIntake. Faults: those of Actor.Must; Invalid "fault.sealed.too_long"
// and "fault.sealed.nothing_said"; Conflict "fault.sealed.not_open"; the log's own.
func (d *Desk) TakeIn(ctx context.Context, actor staff.Actor, n staff.Narrow, about oplog.ID, codes []string, note string) error {
	if err := actor.Must(staff.SealIntake); err != nil {
		return err
	}
	body := takenIn{About: about, Codes: codes, Note: strings.TrimSpace(note)}
	switch {
	case len(codes) > maxCodes || slices.ContainsFunc(codes, func(c string) bool { return len(c) > maxCode }) || tooLong(body.Note, maxNote):
		return fault.New(fault.Invalid, "fault.sealed.too_long")
	case len(codes) == 0 && body.Note == "":
		return fault.New(fault.Invalid, "fault.sealed.nothing_said").With("note", "fault.sealed.nothing_said")
	}
	who, err := d.people()
	if err != nil {
		return err
	}
	c, err := d.opened(n, who)
	if err != nil {
		return err
	}
	b := binder{d.o.Deployment, oplog.NewID()}
	k := newKey()
	payload, err := d.compose(b, k, record{Narrow: n, Kind: kindTakenIn, By: actor.ID, Clock: 1, Wrapped: c.wrapped(), Body: encode(body)}, nil, c.pool())
	if err != nil {
		return err
	}
	return d.append(ctx, b.file, payload)
}

func tooLong(s string, runes int) bool {
	return !utf8.ValidString(s) || utf8.RuneCountInString(s) > runes
}

// opened is a compartment that has keys. Fault: Conflict "fault.sealed.not_open".
func (d *Desk) opened(n staff.Narrow, who people) (c compartment, err error) {
	err = d.log.View(func(r oplog.Reader) (err error) {
		c, err = d.compartment(r, n, who)
		return err
	})
	if err == nil && c.current == nil {
		err = notOpen()
	}
	return c, err
}

// pool are the keys of what nobody in particular works in.
func (c compartment) pool() [][32]byte { return c.with(c.current.Seal) }

// wrapped says of a key to which officers it is wrapped; empty for none.
func (c compartment) wrapped() []byte {
	if c.current.Officers == [32]byte{} {
		return []byte{}
	}
	return bytes.Clone(c.current.Officers[:8])
}

// with adds the officers' key.
func (c compartment) with(to ...[32]byte) [][32]byte {
	if c.current.Officers != [32]byte{} {
		to = append(to, c.current.Officers)
	}
	return to
}

// compose makes the payload of one entry: the rest of the record is filled in, it is signed
// and sealed.
func (d *Desk) compose(b binder, k key, r record, sign func([]byte) ([]byte, bool), to [][32]byte) ([]byte, error) {
	now := d.o.Clock.Now()
	r.Version, r.At, r.Key = entryVersion, now.Unix(), b.keyID(k)
	r.Unsure = !d.o.Clock.Sure()
	if r.Seen == nil {
		r.Seen = [][16]byte{}
	}
	content, ok := b.sign(r, sign)
	if !ok {
		return nil, fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	}
	return b.seal(k, content, to)
}

// load reads a file with everything the person has. Fault: NotFound "fault.sealed.no_file"
// for what is none, or is not theirs: the two look alike.
func (d *Desk) load(s staff.Session, id oplog.ID) (*file, people, error) {
	who, err := d.people()
	if err != nil {
		return nil, nil, err
	}
	var f *file
	err = d.holding(s, func(mine *ecdh.PrivateKey, h held) error {
		payloads, err := d.payloads(id)
		if err != nil {
			return err
		}
		f = d.read(id, payloads, s.Actor, mine, h, nil, who)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if f == nil || may(s, f.narrow) != nil || !f.readable(s.Actor.ID) {
		return nil, nil, fault.New(fault.NotFound, "fault.sealed.no_file")
	}
	return f, who, nil
}

// readable reports whether somebody works in the file, or nobody does yet.
func (f *file) readable(id staff.ID) bool { return f.members[id] || len(groupOf(f.members)) == 0 }

// payloads are the ciphertexts of a file.
func (d *Desk) payloads(id oplog.ID) (out [][]byte, err error) {
	err = d.log.View(func(r oplog.Reader) error {
		out, err = payloadsOf(r, id)
		return err
	})
	return out, err
}

func payloadsOf(r oplog.Reader, id oplog.ID) ([][]byte, error) {
	ops, err := r.Ops(id)
	var out [][]byte
	for _, op := range ops {
		if p := oplog.Body[[]byte](op); p != nil && oplog.Sealed.Is(op) {
			out = append(out, *p)
		}
	}
	return out, err
}

// read folds a file with what the person has; nil when nothing opens.
func (d *Desk) read(id oplog.ID, payloads [][]byte, a staff.Actor, mine *ecdh.PrivateKey, h held, keys []key, who people) *file {
	privs := []*ecdh.PrivateKey{mine}
	for _, n := range staff.Narrows() {
		if a.Opens(n) {
			privs = append(privs, h.of(n)...)
		}
	}
	return d.fold(binder{d.o.Deployment, id}, payloads, privs, keys, who)
}

func (d *Desk) fold(b binder, payloads [][]byte, privs []*ecdh.PrivateKey, keys []key, who people) *file {
	in, all, shut := b.openAll(payloads, privs, keys)
	if len(in) == 0 {
		return nil
	}
	f := b.fold(in, who, judge{d.glass, d.handed})
	if !f.first {
		return nil
	}
	f.keys, f.shut = all, shut
	return f
}

// write adds an entry to a file. change says who works in it once the entry is there.
func (d *Desk) write(ctx context.Context, s staff.Session, f *file, who people, kind string, body any, change func(map[staff.ID]bool)) error {
	payloads, err := d.next(s, f, who, kind, body, change)
	if err != nil {
		return err
	}
	return d.append(ctx, f.bind.file, payloads...)
}

// group is who works in a file and can: whose account ended is none of them, also before
// somebody takes them off.
func (f *file) group(who people, change func(map[staff.ID]bool)) []staff.ID {
	members := map[staff.ID]bool{}
	for id, in := range f.members {
		members[id] = in && !who[id].Off
	}
	if change != nil {
		change(members)
	}
	return groupOf(members)
}

// next are the payloads of a file's next entry: the entry itself, under the key that is in
// use, and where who works in the file has changed one more that begins a key. So whoever
// was taken off, or could have taken what waited, still learns that, and nothing after it.
func (d *Desk) next(s staff.Session, f *file, who people, kind string, body any, change func(map[staff.ID]bool)) ([][]byte, error) {
	c, err := d.opened(f.narrow, who)
	if err != nil {
		return nil, err
	}
	r := record{Narrow: f.narrow, Kind: kind, By: s.Actor.ID, Clock: f.clock(), Seen: f.heads(), Body: encode(body)}
	k, ok := f.key(f.group(who, nil), c.wrapped())
	switch {
	case !ok || kind == kindResealed:
		p, err := d.rekey(c, f, r, s.Sign, f.group(who, change), who)
		return [][]byte{p}, err
	case change == nil:
		p, err := d.compose(f.bind, k, r, s.Sign, nil)
		return [][]byte{p}, err
	}
	told, err := d.compose(f.bind, k, r, s.Sign, nil)
	if err != nil {
		return nil, err
	}
	r = record{Narrow: f.narrow, Kind: kindKeyed, By: s.Actor.ID, Clock: r.Clock + 1, Seen: r.Seen, Body: encode(struct{}{})}
	keyed, err := d.rekey(c, f, r, s.Sign, f.group(who, change), who)
	return [][]byte{told, keyed}, err
}

// rekey makes an entry under a new key, wrapped to a group and the officers; to the
// compartment where nobody is in the group.
func (d *Desk) rekey(c compartment, f *file, r record, sign func([]byte) ([]byte, bool), group []staff.ID, who people) ([]byte, error) {
	r.Group, r.Wrapped, r.Older = group, c.wrapped(), f.keys[max(0, len(f.keys)-maxOlder):]
	var to [][32]byte
	for _, id := range group {
		if w, known := who[id]; known {
			to = append(to, w.Seal)
		}
	}
	if len(to) == 0 {
		return d.compose(f.bind, newKey(), r, sign, c.pool())
	}
	return d.compose(f.bind, newKey(), r, sign, c.with(to...))
}

// Open begins a file about a person and returns its id; the one who opens it works in it.
// The person needs WorkSealed and the compartment. Faults: those of Actor.Must, Conflict
// "fault.sealed.not_open", Invalid "fault.sealed.too_long", the log's own.
func (d *Desk) Open(ctx context.Context, s staff.Session, n staff.Narrow, about oplog.ID, text string, due time.Time) (oplog.ID, error) {
	if err := may(s, n); err != nil {
		return oplog.ID{}, err
	}
	text = strings.TrimSpace(text)
	if tooLong(text, maxNote) {
		return oplog.ID{}, fault.New(fault.Invalid, "fault.sealed.too_long").With("note", "fault.sealed.too_long")
	}
	who, err := d.people()
	if err != nil {
		return oplog.ID{}, err
	}
	c, err := d.opened(n, who)
	if err != nil {
		return oplog.ID{}, err
	}
	me, known := who[s.Actor.ID]
	if !known {
		return oplog.ID{}, fault.New(fault.Denied, "fault.staff.not_allowed")
	}
	b := binder{d.o.Deployment, oplog.NewID()}
	k := newKey()
	first := record{
		Narrow: n, Kind: kindOpened, By: me.ID, Clock: 1, Group: []staff.ID{me.ID}, Wrapped: c.wrapped(), Older: nil,
		Body: encode(opened{About: about, Due: seconds(due)}),
	}
	payloads := make([][]byte, 0, 2)
	p, err := d.compose(b, k, first, s.Sign, c.with(me.Seal))
	if err != nil {
		return oplog.ID{}, err
	}
	payloads = append(payloads, p)
	if text != "" {
		note := record{Narrow: n, Kind: kindNoted, By: me.ID, Clock: 2, Body: encode(noted{Text: text})}
		if p, err = d.compose(b, k, note, s.Sign, nil); err != nil {
			return oplog.ID{}, err
		}
		payloads = append(payloads, p)
	}
	return b.file, d.append(ctx, b.file, payloads...)
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// Note writes a note, and with due a day by which something has to be done. Faults as Read,
// and Invalid "fault.sealed.too_long" and "fault.sealed.nothing_said".
func (d *Desk) Note(ctx context.Context, s staff.Session, id oplog.ID, text string, due time.Time) error {
	text = strings.TrimSpace(text)
	switch {
	case tooLong(text, maxNote):
		return fault.New(fault.Invalid, "fault.sealed.too_long").With("note", "fault.sealed.too_long")
	case text == "" && due.IsZero():
		return fault.New(fault.Invalid, "fault.sealed.nothing_said").With("note", "fault.sealed.nothing_said")
	}
	f, who, err := d.load(s, id)
	if err != nil {
		return err
	}
	return d.write(ctx, s, f, who, kindNoted, noted{Text: text, Due: seconds(due)}, nil)
}

// Assign lets somebody work in the file: they read all of it. Also oneself, in what was
// passed on. Faults as Read; NotFound "fault.sealed.no_worker" for an account that may not
// have the compartment, or is off; Invalid "fault.sealed.too_many".
func (d *Desk) Assign(ctx context.Context, s staff.Session, id oplog.ID, to staff.ID) error {
	f, who, err := d.load(s, id)
	if err != nil {
		return err
	}
	w, known := who[to]
	if !known || w.Off || !w.Opens(f.narrow) {
		return fault.New(fault.NotFound, "fault.sealed.no_worker")
	}
	if f.members[to] {
		return nil
	}
	return d.write(ctx, s, f, who, kindAssigned, assigned{Who: to}, func(m map[staff.ID]bool) { m[to] = true })
}

// Unassign takes somebody off the file. What is written from then on is under a key they do
// not have; what they could read before, they could read. Faults as Read.
func (d *Desk) Unassign(ctx context.Context, s staff.Session, id oplog.ID, from staff.ID) error {
	f, who, err := d.load(s, id)
	if err != nil || !f.members[from] {
		return err
	}
	return d.write(ctx, s, f, who, kindUnassigned, assigned{Who: from}, func(m map[staff.ID]bool) { delete(m, from) })
}

// Close says that a file is done. It stays readable to who worked in it. Faults as Read.
func (d *Desk) Close(ctx context.Context, s staff.Session, id oplog.ID, why string) error {
	why = strings.TrimSpace(why)
	if tooLong(why, maxReason) {
		return fault.New(fault.Invalid, "fault.sealed.too_long").With("why", "fault.sealed.too_long")
	}
	f, who, err := d.load(s, id)
	if err != nil {
		return err
	}
	return d.write(ctx, s, f, who, kindClosed, closed{Why: why}, nil)
}

// Link puts what was passed on into a file the person works in: a copy of it there, and off
// the list of what waits. Faults as Read for either; Conflict "fault.sealed.no_intake".
func (d *Desk) Link(ctx context.Context, s staff.Session, intake, into oplog.ID) error {
	from, who, err := d.load(s, intake)
	if err != nil {
		return err
	}
	to, _, err := d.load(s, into)
	if err != nil {
		return err
	}
	if !from.intake || from.linked || intake == into || from.narrow != to.narrow {
		return fault.New(fault.Conflict, "fault.sealed.no_intake")
	}
	e := from.entries[0]
	said, _ := e.body.(*takenIn)
	if err := d.write(ctx, s, to, who, kindLinked, linked{File: intake, Intake: said, By: e.By, At: e.At}, nil); err != nil {
		return err
	}
	return d.write(ctx, s, from, who, kindLinked, linked{File: into}, nil)
}
