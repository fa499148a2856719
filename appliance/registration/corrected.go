package registration

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// Corrected is the fact that some fields of a person were corrected. Its subject is
// the person; its header names the ops whose values of these fields its writer saw.
type Corrected struct {
	Fields []uint8 `cbor:"1,keyasint"` // registers it sets, in ascending order
	Person Person  `cbor:"2,keyasint"` // their new values; an empty one clears the field
}

func correctedKind() oplog.Kind {
	return oplog.NewKind[Corrected]("registration.corrected", 1, oplog.Register)
}

// Patch is a correction: field names of the contract with their new values in JSON,
// null to clear. A birth date replaces an age and the other way round, unless both
// are named.
type Patch struct {
	Fields map[string]json.RawMessage
	// Seen is Record.Version of what the person correcting had before their eyes.
	// With it, a field they left as they saw it is not touched, and one that somebody
	// else changed in between comes out as a conflict instead of being overwritten.
	// Empty means: whatever is there now.
	Seen string
	// Aside is what was said that is not for the register; it is passed on.
	Aside []Aside
}

// Correct changes the fields a patch names and returns the person as they stand.
// Naming a field that is in conflict settles it, also with the value shown. Nothing
// is written when nothing changes. Faults: Denied, Unauthenticated; NotFound
// "fault.registration.no_person"; Invalid "fault.registration.invalid" naming the
// fields; Conflict "fault.registration.key_reused"; those of the journal.
func (d *Desk) Correct(ctx context.Context, actor staff.Actor, id oplog.ID, patch Patch, req Request) (Record, error) {
	if err := actor.Must(staff.CorrectPeople); err != nil {
		return Record{}, err
	}
	patch, key, err := d.divertedPatch(actor, id, patch, req)
	if err != nil {
		return Record{}, err
	}
	seen, err := parseVersion(patch.Seen)
	if err != nil {
		return Record{}, err
	}
	patch, photo, err := d.takePhoto(patch)
	if err != nil {
		return Record{}, err
	}
	passedOn, err := d.passPatch(ctx, actor, id, patch, seen, key)
	if err != nil {
		return Record{}, err
	}
	err = d.write(ctx, actor, func(tx *oplog.Tx) error {
		if _, done, err := key.done(tx); err != nil || done {
			return err
		}
		ops, err := tx.Ops(id)
		if err != nil {
			return err
		}
		was := foldPerson(seen.of(ops))
		if !was.there {
			return errNoPerson()
		}
		fact, err := d.correction(was, patch, actor)
		if err != nil {
			return err
		}
		key.mark(tx)
		if len(fact.Fields) > 0 {
			if _, err := tx.Append(correctedKind(), id, &fact, was.refs(fact.registers()...)...); err != nil {
				return err
			}
		}
		if !photo.changes(&was) {
			return nil
		}
		return photo.apply(d, tx, id, &was)
	})
	if err != nil {
		return Record{}, err
	}
	d.settle(photo.upload)
	r, err := d.read(id)
	r.PassedOn = passedOn
	return r, err
}

// divertedPatch is a patch without what is not for the register, and the key of its
// request, which is made of the rest.
func (d *Desk) divertedPatch(actor staff.Actor, id oplog.ID, patch Patch, req Request) (Patch, once, error) {
	patch, err := divertPatch(patch)
	if err != nil {
		return patch, once{}, err
	}
	if len(patch.Aside) > 0 {
		req.Body = nil // see register
	}
	key, err := req.once(actor, "correct "+id.String(), patch.Fields)
	return patch, key, err
}

// divertPatch takes what names a sensitive code out of the fields of a patch. What
// cannot be read is left for applyPatch to refuse.
func divertPatch(patch Patch) (Patch, error) {
	out := Patch{Fields: maps.Clone(patch.Fields), Seen: patch.Seen, Aside: slices.Clone(patch.Aside)}
	var p Person
	before := map[string]string{}
	for _, name := range divertible {
		raw, named := patch.Fields[name]
		if !named || decodeField(&p, name, raw) != nil {
			continue
		}
		f, _ := fieldNamed(name)
		again, err := json.Marshal(f.value(&p))
		if err != nil {
			return Patch{}, fault.New(fault.Internal, "fault.internal")
		}
		before[name] = string(again)
	}
	p = p.clone()
	divert(&p, new(string), false)
	if len(p.Aside) == 0 {
		return out, nil
	}
	for name, was := range before {
		f, _ := fieldNamed(name)
		now, err := json.Marshal(f.value(&p))
		if err != nil {
			return Patch{}, fault.New(fault.Internal, "fault.internal")
		}
		if string(now) != was {
			out.Fields[name] = now
		}
	}
	out.Aside = append(out.Aside, p.Aside...)
	return out, nil
}

// divertible are the fields of a patch that can name a sensitive code; see divert.
var divertible = [...]string{"needs", "sex", "documents", "consent", "notes", "description"}

// passPatch passes on what a correction said aside, after the rest of it was found
// right and before it is written.
func (d *Desk) passPatch(ctx context.Context, actor staff.Actor, id oplog.ID, patch Patch, seen version, key once) (int, error) {
	if len(patch.Aside) == 0 {
		return 0, nil
	}
	c := checker{at: d.now()}
	if err := d.mayPass(&c, actor, patch.Aside); err != nil {
		return 0, err
	}
	asides := c.asides(patch.Aside)
	if err := c.err(); err != nil {
		return 0, err
	}
	err := d.log.View(func(r oplog.Reader) error {
		if _, done, err := key.done(r); err != nil || done {
			return err
		}
		ops, err := r.Ops(id)
		if err != nil {
			return err
		}
		was := foldPerson(seen.of(ops))
		if !was.there {
			return errNoPerson()
		}
		_, err = d.correction(was, patch, actor)
		return err
	})
	if err != nil {
		return 0, err
	}
	return d.passOn(ctx, actor, id, asides, key)
}

// correction works out what a patch changes in a person.
func (d *Desk) correction(was folded, patch Patch, actor staff.Actor) (Corrected, error) {
	p := was.person.clone()
	named, err := applyPatch(&p, patch.Fields)
	if err != nil {
		return Corrected{}, err
	}
	c := checker{at: d.now()}
	next := c.person(p)
	c.faults = slices.DeleteFunc(c.faults, func(f fault.Field) bool { return !named[registerOf(f.Name)] })
	if err := c.err(); err != nil {
		return Corrected{}, err
	}
	if named[regConsent] {
		signConsent(&next, actor, c.at)
	}
	var fact Corrected
	for r := regGiven; r < regHousehold; r++ {
		if named[r] && (!sameRegister(&was.person, &next, r) || was.inConflict(r)) {
			fact.Fields = append(fact.Fields, uint8(r))
			copyRegister(&fact.Person, &next, r)
		}
	}
	return fact, nil
}

// applyPatch sets the named fields in p and tells which registers they belong to.
// All wrong fields are named at once.
func applyPatch(p *Person, patch map[string]json.RawMessage) (map[register]bool, error) {
	named, all := map[register]bool{}, fault.New(fault.Invalid, "fault.registration.invalid")
	names := make([]string, 0, len(patch))
	for name := range patch {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := decodeField(p, name, patch[name]); err != nil {
			f := fault.Of(err)
			if len(f.Fields) == 0 {
				f = f.With(clip(name, maxShort), "registration.problem.type")
			}
			all.Fields = append(all.Fields, f.Fields...)
			continue
		}
		f, _ := fieldNamed(name)
		named[f.reg] = true
	}
	if len(all.Fields) > 0 {
		return nil, all
	}
	oneOfDateAndAge(p, patch)
	if named[regGiven] || named[regFamily] || named[regOther] || named[regDescription] || named[regUnknown] {
		// Whether somebody is unnamed hangs on these together; see checker.named.
		named[regUnknown] = true
		if p.NameUnknown && p.Description == "" {
			named[regDescription] = true
		}
	}
	return named, nil
}

// oneOfDateAndAge drops the birth date that a new age replaces, or the age that a
// new birth date replaces, and the precision that went with it.
func oneOfDateAndAge(p *Person, patch map[string]json.RawMessage) {
	says := func(name string) bool {
		raw, ok := patch[name]
		return ok && !bytes.Equal(bytes.TrimSpace(raw), []byte("null"))
	}
	date, age := says("birth_date"), says("age")
	if date && !age {
		p.Age, p.AgeAt = nil, ""
	}
	if age && !date {
		p.BirthDate = ""
	}
	if _, kept := patch["age_at"]; age && !kept {
		p.AgeAt = ""
	}
	if _, kept := patch["precision"]; !kept && (date || age || p.BirthDate == "" && p.Age == nil) {
		p.Precision = ""
	}
}

// registerOf is the register a field of a fault belongs to: "documents.0.number" is
// of the documents.
func registerOf(name string) register {
	name, _, _ = strings.Cut(name, ".")
	f, _ := fieldNamed(name)
	if f.name == "given_name" {
		return regUnknown // "name_required" stands beside the given name; see applyPatch
	}
	return f.reg
}

func (c Corrected) registers() []register {
	out := make([]register, len(c.Fields))
	for i, n := range c.Fields {
		out[i] = register(n)
	}
	return out
}

// version says which ops of a person somebody had seen: the last one of each log.
// The nil version has seen everything.
type version []oplog.Ref

func versionOf(ops []oplog.Op) version {
	var v version
	for _, op := range ops {
		i := slices.IndexFunc(v, func(r oplog.Ref) bool { return r.Log == op.Log })
		if i < 0 {
			v = append(v, op.Ref)
		} else if op.Seq > v[i].Seq {
			v[i] = op.Ref
		}
	}
	slices.SortFunc(v, func(a, b oplog.Ref) int { return bytes.Compare(a.Log[:], b.Log[:]) })
	return v
}

func (v version) String() string {
	b, err := encoding.Marshal([]oplog.Ref(v))
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseVersion(s string) (version, error) {
	if s == "" {
		return nil, nil
	}
	var v []oplog.Ref
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = decoding.Unmarshal(b, &v)
	}
	if err != nil || len(v) == 0 {
		return nil, fault.New(fault.Invalid, "fault.registration.version")
	}
	return v, nil
}

// of leaves the ops that had been seen.
func (v version) of(ops []oplog.Op) []oplog.Op {
	if v == nil {
		return ops
	}
	var out []oplog.Op
	for _, op := range ops {
		if slices.ContainsFunc(v, func(r oplog.Ref) bool { return r.Log == op.Log && op.Seq <= r.Seq }) {
			out = append(out, op)
		}
	}
	return out
}
