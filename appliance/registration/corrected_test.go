package registration

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

func TestCorrectChangesOnlyWhatIsNamed(t *testing.T) {
	d, _ := openDesk(t)
	ctx := context.Background()
	age := 30
	id := add(t, d, Person{GivenName: "Ana", FamilyName: "Lux", Age: &age, Needs: []string{"diet"}, Phone: "123"})
	for _, step := range []struct{ patch, want string }{
		{`{"given_name":"Anna"}`, `{"given_name":"Anna","family_name":"Lux","age":30,"age_at":"2026-11-24","precision":"year","needs":["diet"],"phone":"123"}`},
		{`{"phone":null,"needs":[]}`, `{"given_name":"Anna","family_name":"Lux","age":30,"age_at":"2026-11-24","precision":"year"}`},
		{`{"birth_date":"1990-05"}`, `{"given_name":"Anna","family_name":"Lux","birth_date":"1990-05","precision":"month"}`},
		{`{"age":36,"precision":"estimated"}`, `{"given_name":"Anna","family_name":"Lux","age":36,"age_at":"2026-11-24","precision":"estimated"}`},
		{`{"age":null}`, `{"given_name":"Anna","family_name":"Lux"}`},
		{`{"given_name":null}`, `{"family_name":"Lux"}`},
		{`{"family_name":null,"name_unknown":true,"description":"blue coat"}`, `{"name_unknown":true,"description":"blue coat"}`},
		{`{"given_name":"Ana"}`, `{"given_name":"Ana","description":"blue coat"}`},
	} {
		rec, err := d.Correct(ctx, clerk, id, patch(t, step.patch), Request{})
		if err != nil {
			t.Fatalf("%s: %v", step.patch, err)
		}
		if len(rec.Conflicts) > 0 {
			t.Fatalf("%s: in conflict with itself", step.patch)
		}
		sameJSON(t, rec.Person, step.want)
		sameJSON(t, get(t, d, id).Person, step.want)
	}
}

func TestCorrectRefuses(t *testing.T) {
	d, log := openDesk(t)
	ctx := context.Background()
	id := add(t, d, Person{GivenName: "Ana"})
	before := opCount(t, log, id)
	for _, c := range []struct{ patch, field, problem string }{
		{`{"portrait":"x"}`, "portrait", "unknown_field"},
		{`{"household":"x"}`, "household", "unknown_field"},
		{`{"sex":1}`, "sex", "type"},
		{`{"sex":"x"}`, "sex", "sex"},
		{`{"given_name":null}`, "given_name", "name_required"},
		{`{"given_name":null,"name_unknown":true}`, "description", "description_required"},
		{`{"documents":[{"number":"1","x":2}]}`, "x", "unknown_field"},
		{`{"birth_date":"1984","age":5}`, "age", "age_birth"},
	} {
		_, err := d.Correct(ctx, clerk, id, patch(t, c.patch), Request{})
		f := fault.Of(err)
		if f == nil || f.Class != fault.Invalid || len(f.Fields) != 1 || f.Fields[0].Name != c.field || f.Fields[0].Key != "registration.problem."+c.problem {
			t.Errorf("%s: %v", c.patch, err)
		}
	}
	_, err := d.Correct(ctx, clerk, oplog.NewID(), patch(t, `{"sex":"male"}`), Request{})
	wantFault(t, err, fault.NotFound, "fault.registration.no_person")
	_, err = d.Correct(ctx, clerk, id, Patch{Fields: patch(t, `{"sex":"male"}`).Fields, Seen: "!"}, Request{})
	wantFault(t, err, fault.Invalid, "fault.registration.version")
	if rec, err := d.Correct(ctx, clerk, id, patch(t, `{"given_name":" Ana"}`), Request{}); err != nil || rec.GivenName != "Ana" {
		t.Fatal(err)
	}
	if n := opCount(t, log, id); n != before {
		t.Errorf("%d facts were written for nothing", n-before)
	}
}

func opCount(t testing.TB, log *oplog.Log, id oplog.ID) int {
	t.Helper()
	n := 0
	err := log.View(func(r oplog.Reader) error {
		ops, err := r.Ops(id)
		n = len(ops)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Two clerks at one box open the same page; the second to save must not overwrite
// what the first one wrote without anybody knowing.
func TestSeenTurnsAnOverwriteIntoAConflict(t *testing.T) {
	d, _ := openDesk(t)
	ctx := context.Background()
	id := add(t, d, Person{GivenName: "Ana", Phone: "111"})
	page := get(t, d, id).Version
	if _, err := d.Correct(ctx, clerk, id, patch(t, `{"phone":"222"}`), Request{}); err != nil {
		t.Fatal(err)
	}
	second := patch(t, `{"phone":"111","given_name":"Anna"}`) // a whole form, the phone untouched
	second.Seen = page
	rec, err := d.Correct(ctx, clerk, id, second, Request{})
	if err != nil || rec.Phone != "222" || rec.GivenName != "Anna" || len(rec.Conflicts) != 0 {
		t.Fatal(rec.Phone, rec.GivenName, rec.Conflicts, err)
	}
	third := patch(t, `{"phone":"333"}`)
	third.Seen = page
	rec, err = d.Correct(ctx, clerk, id, third, Request{})
	if err != nil || rec.Phone != "333" || len(rec.Conflicts) != 1 {
		t.Fatal(rec.Phone, rec.Conflicts, err)
	}
	c := rec.Conflicts[0]
	if c.Field != "phone" || len(c.Versions) != 2 || c.Versions[0].Value != "222" || c.Versions[1].Value != "333" || c.Versions[1].By != "Rana" || c.Versions[1].Site != "North" {
		t.Fatalf("%+v", c)
	}
	rec, err = d.Correct(ctx, clerk, id, patch(t, `{"phone":"333"}`), Request{}) // the value shown, chosen
	if err != nil || rec.Phone != "333" || len(rec.Conflicts) != 0 {
		t.Fatal(rec.Conflicts, err)
	}
}

// facts builds ops by hand, as several nodes would write them.
type facts struct {
	subject oplog.ID
	ops     []oplog.Op
}

func (f *facts) op(log byte, seq, clock uint64, kind oplog.Kind, body any, supersedes ...oplog.Ref) oplog.Ref {
	ref := oplog.Ref{Log: oplog.LogID{log}, Seq: seq}
	f.ops = append(f.ops, oplog.Op{Ref: ref, Clock: clock, Subject: f.subject, Supersedes: supersedes, Kind: kind.Name(),
		Version: kind.Version(), By: oplog.By{log}, At: time.Unix(int64(clock), 0), Body: body})
	return ref
}

func set(p Person, rs ...register) *Corrected {
	c := &Corrected{Person: p}
	for _, r := range rs {
		c.Fields = append(c.Fields, uint8(r))
	}
	return c
}

// inOrder sorts ops as the engine does.
func inOrder(ops []oplog.Op) []oplog.Op {
	ops = slices.Clone(ops)
	slices.SortFunc(ops, func(a, b oplog.Op) int {
		if a.Clock != b.Clock {
			return int(int64(a.Clock) - int64(b.Clock))
		}
		if c := bytes.Compare(a.Log[:], b.Log[:]); c != 0 {
			return c
		}
		return int(int64(a.Seq) - int64(b.Seq))
	})
	return ops
}

func TestConcurrentCorrectionsBothStand(t *testing.T) {
	f := facts{subject: oplog.ID{7}}
	home, other := oplog.ID{50}, oplog.ID{51}
	reg := f.op(1, 1, 1, registeredKind(), &Registered{Person: Person{GivenName: "Ana", Sex: "female", BirthDate: "1990", Precision: "year"}, Household: home, Relation: "child"})
	a := f.op(1, 2, 2, correctedKind(), set(Person{GivenName: "Anna", Sex: "female"}, regGiven, regSex), reg)
	f.op(2, 1, 2, correctedKind(), set(Person{GivenName: "Hanna", BirthDate: "1990-05", Precision: "month"}, regGiven, regBirth), reg)
	f.op(3, 1, 2, correctedKind(), set(Person{BirthDate: "1991", Precision: "year"}, regBirth), reg)
	f.op(3, 2, 3, joinedKind(), &Joined{Household: other, Relation: "child"}, reg)
	f.op(2, 2, 3, joinedKind(), &Joined{Household: home, Relation: "daughter"}, reg)

	got := foldPerson(inOrder(f.ops))
	if got.person.GivenName != "Hanna" || got.person.BirthDate != "1991" || got.person.Sex != "female" || got.membership.Household != other {
		t.Fatalf("shown: %#v %v", got.person.GivenName, got.membership)
	}
	d := &Desk{}
	rec := d.record(f.subject, got.row())
	var names []string
	for _, c := range rec.Conflicts {
		names = append(names, fmt.Sprintf("%s×%d", c.Field, len(c.Versions)))
	}
	if want := "[given_name×2 birth_date×2 precision×2 household×2 relation×2]"; fmt.Sprint(names) != want {
		t.Fatalf("conflicts %v, want %s", names, want)
	}
	if v := rec.Conflicts[0].Versions; v[0].Value != "Anna" || v[1].Value != "Hanna" || v[0].By != (oplog.By{1}).String() {
		t.Fatalf("%+v", v)
	}

	// Somebody who saw both chooses; somebody who saw one of them only does not settle it.
	b := f.ops[2].Ref
	f.op(4, 1, 9, correctedKind(), set(Person{GivenName: "Anna"}, regGiven), a)
	if got := foldPerson(inOrder(f.ops)); !got.inConflict(regGiven) || got.person.GivenName != "Anna" {
		t.Fatal("half seen, wholly settled")
	}
	f.op(1, 3, 10, correctedKind(), set(Person{GivenName: "Hannah"}, regGiven), b, oplog.Ref{Log: oplog.LogID{4}, Seq: 1})
	if got := foldPerson(inOrder(f.ops)); got.inConflict(regGiven) || got.person.GivenName != "Hannah" || !got.inConflict(regBirth) {
		t.Fatal("not settled")
	}
}

func TestEqualValuesAreNoConflict(t *testing.T) {
	f := facts{subject: oplog.ID{7}}
	reg := f.op(1, 1, 1, registeredKind(), &Registered{Person: Person{GivenName: "Ana"}})
	f.op(1, 2, 2, correctedKind(), set(Person{Needs: []string{"diet"}}, regNeeds), reg)
	f.op(2, 1, 2, correctedKind(), set(Person{Needs: []string{"diet"}}, regNeeds), reg)
	if got := foldPerson(inOrder(f.ops)); got.inConflict(regNeeds) || len(got.row().Conflicts) != 0 {
		t.Fatal("two clerks who agree are in conflict")
	}
}

func TestCorrectionsWaitForTheRegistration(t *testing.T) {
	f := facts{subject: oplog.ID{7}}
	f.op(2, 1, 5, correctedKind(), set(Person{GivenName: "Anna"}, regGiven), oplog.Ref{Log: oplog.LogID{1}, Seq: 1})
	f.op(2, 2, 6, joinedKind(), &Joined{Household: oplog.ID{1}}, oplog.Ref{Log: oplog.LogID{1}, Seq: 1})
	if rows := foldSubject(f.subject, inOrder(f.ops)); rows != nil {
		t.Fatal("somebody who is not registered is shown")
	}
	f.op(1, 1, 1, registeredKind(), &Registered{Person: Person{GivenName: "Ana"}})
	got := foldPerson(inOrder(f.ops))
	if got.person.GivenName != "Anna" || got.inConflict(regGiven) || len(foldSubject(f.subject, inOrder(f.ops))) != 2 {
		t.Fatal("the correction is lost")
	}
}

func TestHouseholdFold(t *testing.T) {
	f := facts{subject: oplog.ID{8}}
	f.op(1, 1, 1, formedKind(), &Formed{Head: oplog.ID{1}})
	f.op(2, 1, 2, formedKind(), &Formed{Head: oplog.ID{2}})
	rows := foldSubject(f.subject, inOrder(f.ops))
	var row householdRow
	if len(rows) != 1 || decodeRow(rows[0].Value, &row) != nil || row.Head != (oplog.ID{2}) {
		t.Fatal(rows)
	}
}

// A fold must give the same rows for the same set of ops, whatever was folded before.
func TestFoldIsPure(t *testing.T) {
	f := facts{subject: oplog.ID{7}}
	reg := f.op(1, 1, 1, registeredKind(), &Registered{Person: Person{GivenName: "Ana", Needs: []string{"diet"}}, Household: oplog.ID{3}})
	f.op(2, 1, 2, correctedKind(), set(Person{Needs: []string{"wheelchair"}}, regNeeds), reg)
	first := foldSubject(f.subject, inOrder(f.ops))
	for range 3 {
		if again := foldSubject(f.subject, inOrder(f.ops)); !slices.EqualFunc(first, again, func(a, b oplog.Row) bool {
			return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value)
		}) {
			t.Fatal("another result")
		}
	}
}

// Every field of Person belongs to a register under its JSON name, so no field can be
// added that corrections forget. The last two are the photo, which has a fact of its
// own, and what is passed on, which has none and stands in no JSON either.
func TestFieldTableCoversPerson(t *testing.T) {
	typ := personType()
	if photo := typ.Field(typ.NumField() - 2); photo.Tag.Get("json") != fieldPhoto+",omitempty" || photo.Tag.Get("cbor") != "-" {
		t.Fatalf("%s is not the photo, or is stored twice", photo.Name)
	}
	if aside := typ.Field(typ.NumField() - 1); aside.Name != "Aside" || aside.Tag.Get("json") != "-" || aside.Tag.Get("cbor") != "-" {
		t.Fatalf("%s is not what is passed on, or it is stored", aside.Name)
	}
	if typ.NumField()-2 != len(fieldTable) {
		t.Fatalf("%d fields, %d in the table", typ.NumField(), len(fieldTable))
	}
	for i, f := range fieldTable {
		tag := typ.Field(i).Tag.Get("json")
		if f.index != i || tag != f.name+",omitempty" || f.reg == 0 || f.reg >= regHousehold {
			t.Errorf("%d: %s is not %s", i, f.name, tag)
		}
	}
}
