package registration

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/staff"
)

var testDay = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

// clerk registers; importer may also bring whole lists.
var (
	clerk    = staff.Actor{ID: oplog.By{1}, Name: "Rana", Role: staff.Registrar, Site: "North"}
	importer = staff.Actor{ID: oplog.By{2}, Name: "Omar", Role: staff.Lead, Site: "North"}
)

// openDesk is a desk on a fresh log; the returned log lets a test open it again.
func openDesk(t testing.TB) (*Desk, *oplog.Log) {
	t.Helper()
	log := oplogtest.Harness(t, Kinds(), Views())
	return deskOn(t, log), log
}

func deskOn(t testing.TB, log *oplog.Log) *Desk {
	t.Helper()
	d, err := Open(log, Options{
		Clock: clock.NewFake(testDay),
		Sites: func(oplog.LogID) string { return "North" },
		Names: func(by oplog.By) string {
			if by == clerk.ID {
				return clerk.Name
			}
			return ""
		},
		ByTyped: func(string) (oplog.ID, bool) { return oplog.ID{}, false },
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func add(t testing.TB, d *Desk, p Person) oplog.ID {
	t.Helper()
	a, err := d.Add(context.Background(), clerk, p, Request{})
	if err != nil {
		t.Fatal(err)
	}
	return a.ID
}

func get(t testing.TB, d *Desk, id oplog.ID) Record {
	t.Helper()
	r, err := d.Get(context.Background(), clerk, id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func patch(t testing.TB, js string) Patch {
	t.Helper()
	p, err := DecodePatch(strings.NewReader(js))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wantFault fails unless err is a fault of this class and key.
func wantFault(t testing.TB, err error, class fault.Class, key string) {
	t.Helper()
	if f := fault.Of(err); f == nil || f.Class != class || f.Key != key {
		t.Fatalf("want %s %s, got %v", class, key, err)
	}
}

func TestAddAndGetKeepEveryFieldOfTheContract(t *testing.T) {
	d, log := openDesk(t)
	const in = `{"given_name":"  فاطمة ","family_name":"الحسن","other_names":"Fatima  Al Hasan","sex":"Female","birth_date":"19840521",
		"precision":"day","nationality":"syr","languages":["AR","en-gb","ar"],"phone":"+٩٦٣ 11 123","documents":[{"type":"Passport","number":"N 123","issuer":"SYR"}],
		"father_name":"أحمد","mother_name":"هدى","origin":"حلب","destination":"—","arrived_at":"2026-11-23","needs":["diet","pregnant"],
		"consent":[{"purpose":"registration","given":true}],"notes":"a\r\nb","site":"South"}`
	p, err := DecodePerson(strings.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	id := add(t, d, p)
	want := `{"id":"` + id.String() + `","household":null,"given_name":"فاطمة","family_name":"الحسن","other_names":"Fatima Al Hasan","sex":"female",
		"birth_date":"1984-05-21","precision":"day","nationality":"SYR","languages":["ar","en-GB"],"phone":"+963 11 123",
		"documents":[{"type":"passport","number":"N 123","issuer":"SYR"}],"father_name":"أحمد","mother_name":"هدى","origin":"حلب","destination":"—",
		"arrived_at":"2026-11-23","needs":["pregnant","diet"],"consent":[{"purpose":"registration","given":true,"at":"2026-11-24T10:00:00Z","by":"Rana"}],
		"notes":"a\nb","site":"South","registered_by":"Rana","conflicts":[]}`
	for _, desk := range []*Desk{d, deskOn(t, log)} {
		rec := get(t, desk, id)
		if rec.Version == "" || rec.RegisteredAt.IsZero() {
			t.Fatal("no version or time")
		}
		sameJSON(t, rec, want, "version", "registered_at")
	}
}

// sameJSON compares the JSON of got with want, apart from some fields.
func sameJSON(t testing.TB, got any, want string, except ...string) {
	t.Helper()
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var g, w map[string]any
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	for _, k := range except {
		delete(g, k)
	}
	gb, _ := json.Marshal(g)
	wb, _ := json.Marshal(w)
	if string(gb) != string(wb) {
		t.Fatalf("\n got %s\nwant %s", gb, wb)
	}
}

func TestNobodyElseMay(t *testing.T) {
	d, _ := openDesk(t)
	id := add(t, d, Person{GivenName: "Ana"})
	ctx, nobody := context.Background(), staff.Actor{}
	calls := map[string]func() error{
		"add":       func() error { _, err := d.Add(ctx, nobody, Person{GivenName: "X"}, Request{}); return err },
		"household": func() error { _, err := d.AddHousehold(ctx, nobody, NewHousehold{}, Request{}); return err },
		"member":    func() error { _, err := d.AddMember(ctx, nobody, id, Person{}, "", Request{}); return err },
		"correct":   func() error { _, err := d.Correct(ctx, nobody, id, Patch{}, Request{}); return err },
		"move":      func() error { _, err := d.Move(ctx, nobody, id, id, "", Request{}); return err },
		"get":       func() error { _, err := d.Get(ctx, nobody, id); return err },
		"read":      func() error { _, err := d.Household(ctx, nobody, id); return err },
		"search":    func() error { _, err := d.Search(ctx, nobody, "a", 1, ""); return err },
		"recent":    func() error { _, err := d.Recent(ctx, nobody, 1, ""); return err },
		"import":    func() error { _, err := d.Import(ctx, nobody, []ImportRow{{}}); return err },
	}
	for name, call := range calls {
		if c := fault.ClassOf(call()); c != fault.Unauthenticated && c != fault.Denied {
			t.Errorf("%s: answered %q to nobody", name, c)
		}
	}
	if c, _ := d.Counts(t.Context()); c.People != 1 {
		t.Errorf("%d people", c.People)
	}
}

func TestHouseholdIsAllOrNothing(t *testing.T) {
	d, _ := openDesk(t)
	ctx := context.Background()
	_, err := d.AddHousehold(ctx, clerk, NewHousehold{Members: []Person{{GivenName: "A"}, {Sex: "f"}, {GivenName: "C", Nationality: "XYZ"}}}, Request{})
	wantFault(t, err, fault.Invalid, "fault.registration.invalid")
	got := map[string]string{}
	for _, f := range fault.Of(err).Fields {
		got[f.Name] = f.Key
	}
	for name, key := range map[string]string{
		"members.1.sex": "registration.problem.sex", "members.1.given_name": "registration.problem.name_required",
		"members.2.nationality": "registration.problem.nationality",
	} {
		if got[name] != key {
			t.Errorf("%s: %q, want %q", name, got[name], key)
		}
	}
	if c, _ := d.Counts(t.Context()); c != (Counts{}) {
		t.Fatalf("something was written: %+v", c)
	}
	made, err := d.AddHousehold(ctx, clerk, NewHousehold{
		Members: []Person{{GivenName: "Ali", FamilyName: "Nur"}, {GivenName: "Caasha"}, {GivenName: "Hodan"}}, Head: 1, Relations: []string{"husband", "whatever", "daughter"},
	}, Request{})
	if err != nil {
		t.Fatal(err)
	}
	h, err := d.Household(ctx, clerk, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Members) != 3 || *h.Head != made.Members[1] || h.Site != "North" || h.FormedBy != "Rana" {
		t.Fatalf("%+v", h)
	}
	for i, want := range []string{"spouse", "head", "daughter"} {
		if m := h.Members[i]; m.ID != made.Members[i] || m.Relation != want || *m.Household != made.ID {
			t.Errorf("member %d: %v %q", i, m.ID, m.Relation)
		}
	}
	if c, _ := d.Counts(t.Context()); c.People != 3 || c.Households != 1 {
		t.Errorf("%+v", c)
	}
}

func TestHouseholdShape(t *testing.T) {
	d, _ := openDesk(t)
	one := []Person{{GivenName: "A"}}
	for name, h := range map[string]NewHousehold{
		"members":   {},
		"head":      {Members: one, Head: 1},
		"relations": {Members: one, Relations: []string{"head", "son"}},
	} {
		_, err := d.AddHousehold(context.Background(), clerk, h, Request{})
		if f := fault.Of(err); f == nil || len(f.Fields) != 1 || f.Fields[0].Name != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	many := NewHousehold{Members: make([]Person, MaxHousehold+1)}
	if _, err := d.AddHousehold(context.Background(), clerk, many, Request{}); fault.ClassOf(err) != fault.Invalid {
		t.Error(err)
	}
}

func TestMembersJoinAndMove(t *testing.T) {
	d, _ := openDesk(t)
	ctx := context.Background()
	home, err := d.AddHousehold(ctx, clerk, NewHousehold{Members: []Person{{GivenName: "A"}, {GivenName: "B"}}}, Request{})
	if err != nil {
		t.Fatal(err)
	}
	added, err := d.AddMember(ctx, clerk, home.ID, Person{GivenName: "C"}, "Sister", Request{})
	if err != nil || *added.Household != home.ID || added.Duplicates == nil {
		t.Fatal(added, err)
	}
	if get(t, d, added.ID).Relation != "sister" {
		t.Error("relation lost")
	}
	if _, err := d.AddMember(ctx, clerk, oplog.NewID(), Person{GivenName: "C"}, "", Request{}); err == nil {
		t.Error("joined a household that is not there")
	}
	rec, err := d.Move(ctx, clerk, home.Members[0], oplog.ID{}, "", Request{})
	if err != nil || rec.Household != nil || len(rec.Conflicts) != 0 {
		t.Fatal(rec.Household, err)
	}
	h, err := d.Household(ctx, clerk, home.ID)
	if err != nil || len(h.Members) != 2 || h.Head != nil {
		t.Fatal(len(h.Members), h.Head, err)
	}
	_, err = d.Move(ctx, clerk, oplog.NewID(), home.ID, "", Request{})
	wantFault(t, err, fault.NotFound, "fault.registration.no_person")
	_, err = d.Move(ctx, clerk, home.Members[0], home.Members[0], "", Request{})
	wantFault(t, err, fault.NotFound, "fault.registration.no_household")
	if rec, err = d.Move(ctx, clerk, home.Members[0], home.ID, "head", Request{}); err != nil || *rec.Household != home.ID {
		t.Fatal(err)
	}
	if h, _ = d.Household(ctx, clerk, home.ID); len(h.Members) != 3 || h.Head == nil {
		t.Fatal("did not come back")
	}
}

func TestSameKeySameBodyWritesOnce(t *testing.T) {
	d, log := openDesk(t)
	ctx := context.Background()
	req := Request{Key: "k1", Body: []byte(`{"given_name":"Ana"}`)}
	first, err := d.Add(ctx, clerk, Person{GivenName: "Ana"}, req)
	if err != nil {
		t.Fatal(err)
	}
	home, err := d.AddHousehold(ctx, clerk, NewHousehold{Members: []Person{{GivenName: "B"}, {GivenName: "C"}}}, Request{Key: "k2"})
	if err != nil {
		t.Fatal(err)
	}
	d = deskOn(t, log) // as after a restart
	again, err := d.Add(ctx, clerk, Person{GivenName: "Ana"}, req)
	if err != nil || again.ID != first.ID {
		t.Fatal("a second Ana", err)
	}
	homeAgain, err := d.AddHousehold(ctx, clerk, NewHousehold{Members: []Person{{GivenName: "B"}, {GivenName: "C"}}}, Request{Key: "k2"})
	if err != nil || homeAgain.ID != home.ID || len(homeAgain.Members) != 2 || homeAgain.Members[1] != home.Members[1] {
		t.Fatal(homeAgain, err)
	}
	_, err = d.Add(ctx, clerk, Person{GivenName: "Eva"}, Request{Key: "k1", Body: []byte(`{"given_name":"Eva"}`)})
	wantFault(t, err, fault.Conflict, "fault.registration.key_reused")
	_, err = d.Correct(ctx, clerk, first.ID, patch(t, `{"sex":"female"}`), Request{Key: "k1", Body: req.Body})
	wantFault(t, err, fault.Conflict, "fault.registration.key_reused")
	other := clerk
	other.ID = oplog.By{9}
	if a, err := d.Add(ctx, other, Person{GivenName: "Ana"}, req); err != nil || a.ID == first.ID {
		t.Fatal("keys of two people met", err)
	}
	if c, _ := d.Counts(t.Context()); c.People != 4 {
		t.Fatalf("%d people", c.People)
	}
	_, err = d.Add(ctx, clerk, Person{GivenName: "Ana"}, Request{Key: strings.Repeat("x", 201)})
	wantFault(t, err, fault.Invalid, "fault.registration.key_long")
}

func TestCountsKnowToday(t *testing.T) {
	x := newIndex()
	day := dayOf(testDay)
	a, b := oplog.ID{1}, oplog.ID{2}
	x.put(entry{id: a, day: day})
	x.put(entry{id: b, day: day - 1})
	x.put(entry{id: b, day: day}) // a merge moved the registration
	x.households[oplog.ID{3}] = struct{}{}
	if c := x.counts(day); c != (Counts{People: 2, Households: 1, Today: 2}) {
		t.Errorf("%+v", c)
	}
	x.drop(a)
	x.drop(a)
	if c := x.counts(day); c != (Counts{People: 1, Households: 1, Today: 1}) || x.has(a) || !x.has(b) {
		t.Errorf("%+v", c)
	}
	x.put(entry{id: a, day: day - 1})
	if c := x.counts(day); c.People != 2 || c.Today != 1 || x.days[day-1] != 1 {
		t.Errorf("%+v", c)
	}
}

// dim is a store whose snapshots end in a fault, after they showed something else.
type dim struct {
	oplog.Store
	dark atomic.Bool
}

func (d *dim) View(fn func(oplog.StoreReader) error) error {
	if !d.dark.Load() {
		return d.Store.View(fn)
	}
	_ = oplogtest.MemStore().View(fn) // zeros, where a page could not be had
	return fault.New(fault.Unavailable, "fault.oplog.store")
}

// A page of the views could not be had while the index was brought up to date: nobody is
// taken out of it, and who was missed is there as soon as the views can be read.
func TestTheIndexOutlivesViewsThatCannotBeRead(t *testing.T) {
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), Kinds(), Views())
	s := &dim{Store: o.Store}
	o.Store = s
	log, err := oplog.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	d := deskOn(t, log)
	if err := d.Filled(t.Context()); err != nil { // a filling that comes later would find who was missed
		t.Fatal(err)
	}
	id := add(t, d, Person{GivenName: "Layla"})
	people := func() int {
		c, err := d.Counts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c.People
	}
	s.dark.Store(true)
	add(t, d, Person{GivenName: "Karim"})
	_, _ = d.Correct(context.Background(), importer, id, patch(t, `{"given_name":"Leila"}`), Request{}) // is written, and cannot be shown
	s.dark.Store(false)
	if n := people(); n != 1 {
		t.Errorf("%d people while one could not be read and one was missed", n)
	}
	add(t, d, Person{GivenName: "Salma"})
	if n := people(); n != 3 {
		t.Errorf("%d people of 3", n)
	}
}
