package sealed

import (
	"context"
	"crypto/ecdh"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// GlassPurpose is the purpose of the acts by which two officers open files.
const GlassPurpose = "break-glass"

// What officers ask for.
const (
	GlassFile   = "file"   // the file with an id, or the files about a person of the register
	GlassAccess = "access" // what is passed on to the compartment, from its first day on
)

// glassRequest is what two officers sign, behind its hash: the hash is in the open, this is
// inside the files.
type glassRequest struct {
	What   string       `cbor:"1,keyasint"`
	Narrow staff.Narrow `cbor:"2,keyasint"`
	Which  oplog.ID     `cbor:"3,keyasint"` // of a file, or of a person
	To     staff.ID     `cbor:"4,keyasint"` // who reads it from then on
	Reason string       `cbor:"5,keyasint"`
	Nonce  [16]byte     `cbor:"6,keyasint"` // so that nobody finds out what was asked by trying
}

func (g glassRequest) hash() [32]byte { return sha256.Sum256(encode(g)) }

func (g glassRequest) act() staff.Act {
	h := g.hash()
	return staff.Act{Purpose: GlassPurpose, Action: staff.BreakGlass, Body: h[:]}
}

// glass reports whether two people agreed to what a mark says, and its author was one.
func (d *Desk) glass(m marked, by staff.ID) bool {
	return by == m.Second.Signer() && d.o.Staff.CheckHands(m.Request.act(), m.First, m.Second) == nil
}

// Emergency is a request to open files.
type Emergency struct {
	What   string // GlassFile or GlassAccess
	Narrow staff.Narrow
	Which  oplog.ID // of a file or of a person; not for GlassAccess
	To     staff.ID // the caseworker who is to read it
	Reason string   // 10 to 400 characters; it stays in the file
}

const minReason = 10

// AskGlass is an officer asking for it. A second officer has to agree at this node while
// both are signed in: only then is the officers' key whole, in memory, for as long as it
// takes. Faults: those of staff.AskAct; Denied "fault.sealed.no_share"; Invalid
// "fault.sealed.reason"; NotFound "fault.sealed.no_worker"; Conflict "fault.sealed.not_open".
func (d *Desk) AskGlass(s staff.Session, e Emergency) (oplog.ID, error) {
	if err := s.Actor.Must(staff.BreakGlass); err != nil {
		return oplog.ID{}, err
	}
	e.Reason = strings.TrimSpace(e.Reason)
	if n := len([]rune(e.Reason)); n < minReason || n > maxReason {
		return oplog.ID{}, fault.New(fault.Invalid, "fault.sealed.reason", "Least", minReason, "Most", maxReason).
			With("reason", "fault.sealed.reason", "Least", minReason, "Most", maxReason)
	}
	who, err := d.people()
	if err != nil {
		return oplog.ID{}, err
	}
	to, known := who[e.To]
	if !known || to.Off || !to.Opens(e.Narrow) {
		return oplog.ID{}, fault.New(fault.NotFound, "fault.sealed.no_worker")
	}
	c, err := d.opened(e.Narrow, who)
	if err != nil {
		return oplog.ID{}, err
	}
	if _, err := d.share(s, c.current.Officers, who); err != nil {
		return oplog.ID{}, err
	}
	g := glassRequest{What: e.What, Narrow: e.Narrow, Which: e.Which, To: e.To, Reason: e.Reason, Nonce: nonce()}
	if g.What != GlassAccess {
		g.What = GlassFile
	}
	act := g.act()
	// The second officer agrees to what stands there: which desk, and whether it is one file
	// or all that was ever passed on.
	act.Key, act.Args = "sealed.act.glass_all", []any{"Name", nameOf(to, who), "Desk", g.Narrow, "Reason", e.Reason}
	if g.What == GlassFile {
		act.Key, act.Args = "sealed.act.glass", append(act.Args, "Which", g.Which.String())
	}
	return d.o.Staff.AskAct(s, act, func(ctx context.Context, by staff.ID, first, second staff.Hand) error {
		return d.breakGlass(ctx, g, by, first, second)
	})
}

// share is the person's part of the officers' key. Fault: Denied "fault.sealed.no_share".
func (d *Desk) share(s staff.Session, public [32]byte, who people) (out share, err error) {
	none := fault.New(fault.Denied, "fault.sealed.no_share")
	me, known := who[s.Actor.ID]
	if !known || public == [32]byte{} {
		return out, none
	}
	turned, err := d.turnedShares(public, who)
	if err != nil {
		return out, err
	}
	found := false
	err = s.WithSealKey(func(mine *ecdh.PrivateKey) error {
		return d.log.View(func(r oplog.Reader) error {
			return r.Rows(keysView, append([]byte{'s'}, public[:]...), nil, func(_ []byte, subject oplog.ID, value []byte) error {
				var g shareGiven
				if subject != me.Subject || decode(value, &g) != nil ||
					!turned[sha256.Sum256(g.Sealed)] && !identity.VerifyCountersign(d.o.Deployment, g.Word, g.message(d.o.Deployment, subject)) {
					return nil
				}
				raw, err := unwrap(mine, d.shareInfo(public, subject), g.Sealed)
				if err != nil || decode(raw, &out) != nil {
					return nil //nolint:nilerr // nothing that was sealed to this person
				}
				clear(raw)
				found = true
				return oplog.ErrStop
			})
		})
	})
	if err == nil && !found {
		err = none
	}
	return out, err
}

// breakGlass is the second officer's part: it runs once, with both signed in.
func (d *Desk) breakGlass(ctx context.Context, g glassRequest, by staff.ID, first, second staff.Hand) error {
	s1, ok1 := d.o.Staff.OpenSession(first.Signer())
	s2, ok2 := d.o.Staff.OpenSession(by)
	if !ok1 || !ok2 {
		return fault.New(fault.Conflict, "fault.sealed.both_here")
	}
	who, err := d.people()
	if err != nil {
		return err
	}
	// Whoever is to read may have gone, or their box been lost, since it was asked.
	if to, known := who[g.To]; !known || to.Off || !to.Opens(g.Narrow) {
		return fault.New(fault.NotFound, "fault.sealed.no_worker")
	}
	c, err := d.opened(g.Narrow, who)
	if err != nil {
		return err
	}
	a, err := d.share(s1, c.current.Officers, who)
	if err != nil {
		return err
	}
	b, err := d.share(s2, c.current.Officers, who)
	if err != nil {
		return err
	}
	defer clear(a.Value)
	defer clear(b.Value)
	officers, err := join(c.current.Officers, a, b)
	if err != nil {
		return fault.New(fault.Denied, "fault.sealed.no_share").Wrap(err)
	}
	all, err := d.chain(officers, who)
	if err != nil {
		return err
	}
	if g.What == GlassAccess {
		return d.glassAccess(ctx, g, c, all, by, first, second, who)
	}
	return d.glassFiles(ctx, g, all, s2, first, second, who)
}

// broken is the fact that everybody sees.
func broken(g glassRequest, first, second staff.Hand) func(*oplog.Tx) error {
	return func(tx *oplog.Tx) error {
		_, err := tx.Append(glassBrokenKind, oplog.NewID(), glassBroken{Request: g.hash(), First: first, Second: second})
		return err
	}
}

// glassAccess gives somebody the seeds of a compartment.
func (d *Desk) glassAccess(ctx context.Context, g glassRequest, c compartment, officers []*ecdh.PrivateKey, by staff.ID, first, second staff.Hand, who people) error {
	to := who[g.To]
	var give []seedGiven
	for _, e := range c.epochs {
		i := slices.IndexFunc(officers, func(k *ecdh.PrivateKey) bool { return [32]byte(k.PublicKey().Bytes()) == e.Officers })
		if i < 0 {
			continue // of other officers
		}
		seed, err := unwrap(officers[i], d.officersInfo(e.Seal), e.ForOfficers)
		if err != nil || len(seed) != 32 || pairOf(key(seed)).publicSeal() != e.Seal {
			continue
		}
		one, err := d.give(e.epochBegun, key(seed), to)
		clear(seed)
		if err != nil {
			return err
		}
		give = append(give, one)
	}
	if len(give) == 0 {
		return fault.New(fault.NotFound, "fault.sealed.no_file")
	}
	return d.log.Do(ctx, by, func(tx *oplog.Tx) error {
		for _, one := range give {
			if _, err := tx.Append(seedGivenKind, to.Subject, one); err != nil {
				return err
			}
		}
		return broken(g, first, second)(tx)
	})
}

// glassFiles finds the files and lets somebody into them. That it was tried is written down
// before anything is looked for.
func (d *Desk) glassFiles(ctx context.Context, g glassRequest, officers []*ecdh.PrivateKey, s staff.Session, first, second staff.Hand, who people) error {
	if err := d.log.Do(ctx, s.Actor.ID, broken(g, first, second)); err != nil {
		return err
	}
	found := 0
	for _, id := range d.candidates(g) {
		payloads, err := d.payloads(id)
		if err != nil {
			return err
		}
		f := d.fold(binder{d.o.Deployment, id}, payloads, officers, nil, who)
		if f == nil || f.narrow != g.Narrow || g.Which != id && (g.Which != f.about || g.Which.IsZero()) {
			continue
		}
		m := marked{Request: g, First: first, Second: second}
		if err := d.write(ctx, s, f, who, kindMarked, m, func(m map[staff.ID]bool) { m[g.To] = true }); err != nil {
			return err
		}
		found++
	}
	if found == 0 {
		return fault.New(fault.NotFound, "fault.sealed.no_file")
	}
	return nil
}

// candidates are the subjects that may be meant: the file itself, or all there are.
func (d *Desk) candidates(g glassRequest) (out []oplog.ID) {
	seen := map[oplog.ID]bool{}
	err := d.log.View(func(r oplog.Reader) error {
		return r.Rows(entriesView, []byte{'c'}, nil, func(_ []byte, subject oplog.ID, _ []byte) error {
			if !seen[subject] {
				seen[subject] = true
				out = append(out, subject)
			}
			return nil
		})
	})
	d.told("looking for files", err)
	if seen[g.Which] {
		return []oplog.ID{g.Which}
	}
	return out
}

// Broken is one emergency opening, as everybody may know it.
type Broken struct {
	At            time.Time // wall time its node claims
	First, Second string    // user names; empty for somebody not known here
	Parcel        string    // of a hand-over: SHA-256 of what left, in hex
}

// Officers is how the officers stand.
type Officers struct {
	Officers []staff.Worker
	Share    bool // the one who asks has a part of the key that opens
	Broken   []Broken
	Out      []Broken // files that were handed over; Parcel says which receipt is whose
}

// Officers lists the officers and every emergency opening, the newest first, and tries the
// share of the one who asks. The person needs BreakGlass. Faults: those of Actor.Must and
// the log's own.
func (d *Desk) Officers(s staff.Session) (out Officers, err error) {
	if err := s.Actor.Must(staff.BreakGlass); err != nil {
		return out, err
	}
	who, err := d.people()
	if err != nil {
		return out, err
	}
	public := [32]byte{}
	for _, n := range staff.Narrows() {
		if c, err := d.opened(n, who); err == nil {
			public = c.current.Officers
			out.Officers = nil
			for _, id := range c.current.Staff {
				w, known := who[id]
				if !known {
					w.ID = id
				}
				out.Officers = append(out.Officers, w)
			}
		}
	}
	_, err = d.share(s, public, who)
	switch fault.ClassOf(err) {
	case "":
		out.Share = true
	case fault.Denied:
	default:
		return out, err
	}
	if out.Broken, err = d.broken(who); err == nil {
		out.Out, err = d.out(who)
	}
	return out, err
}

// broken lists the emergency openings that two people signed.
func (d *Desk) broken(who people) ([]Broken, error) {
	return d.signed('b', func(body []byte) ([32]byte, Broken, bool) {
		var g glassBroken
		if decode(body, &g) != nil {
			return g.Request, Broken{}, false
		}
		act := staff.Act{Purpose: GlassPurpose, Action: staff.BreakGlass, Body: g.Request[:]}
		return g.Request, Broken{First: who[g.First.Signer()].User, Second: who[g.Second.Signer()].User}, d.o.Staff.CheckHands(act, g.First, g.Second) == nil
	})
}

// signed lists what two people signed for, the newest first, each request once. read says
// which request a row is of and whether the hands are right. Any node can write down again
// what others signed, at another time: the latest time counts, so that nobody makes an old
// thing out of a new one.
func (d *Desk) signed(kind byte, read func(body []byte) (request [32]byte, b Broken, ok bool)) (out []Broken, err error) {
	told := map[[32]byte]int{}
	err = d.log.View(func(r oplog.Reader) error {
		return r.Rows(keysView, []byte{kind}, nil, func(_ []byte, _ oplog.ID, value []byte) error {
			var row brokenRow
			if decode(value, &row) != nil {
				return nil
			}
			request, b, ok := read(row.Body)
			b.At = at(row.At)
			switch i, known := told[request]; {
			case !ok:
			case !known:
				told[request] = len(out)
				out = append(out, b)
			case b.At.After(out[i].At):
				out[i] = b
			}
			return nil
		})
	})
	slices.SortFunc(out, cmpBroken)
	return out, err
}

// Alerts is how many emergency openings and hand-overs there were in the last week, by this
// node's clock.
func (d *Desk) Alerts(a staff.Actor) (opened, out int, err error) {
	if !a.Can(staff.BreakGlass) || a.Key || a.Operator {
		return 0, 0, nil
	}
	who, err := d.people()
	if err != nil {
		return 0, 0, err
	}
	lately := func(all []Broken, err error) (n int, _ error) {
		for _, b := range all {
			if age := d.o.Clock.Now().Sub(b.At); age < 7*24*time.Hour {
				n++
			}
		}
		return n, err
	}
	if opened, err = lately(d.broken(who)); err == nil {
		out, err = lately(d.out(who))
	}
	return opened, out, err
}
