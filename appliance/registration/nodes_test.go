package registration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// site is one box of a test with several.
type site struct {
	log  *oplog.Log
	desk *Desk
}

func sites(t testing.TB, n int) []site {
	t.Helper()
	first := oplogtest.NewAuthority(t)
	out := make([]site, n)
	for i := range out {
		a := first
		if i > 0 {
			a = first.Peer(t)
		}
		out[i].log = oplogtest.Node(t, a, Kinds(), Views())
		out[i].desk = deskOn(t, out[i].log)
	}
	return out
}

// pull brings everything from has that s does not have, in batches of at most ops.
func (s site) pull(t testing.TB, from site, ops int) {
	t.Helper()
	for _, head := range from.log.Heads() {
		for at := heldOf(s.log, head.Log); at < head.Seq; {
			batch, last, err := from.log.Range(head.Log, at, ops, 1<<20)
			if err != nil || last <= at {
				t.Fatal(last, err)
			}
			if _, err := s.log.Merge(context.Background(), batch); err != nil {
				t.Fatal(err)
			}
			at = last
		}
	}
}

func heldOf(log *oplog.Log, of oplog.LogID) uint64 {
	for _, h := range log.Heads() {
		if h.Log == of {
			return h.Seq
		}
	}
	return 0
}

// same fails when the sites do not hold the same facts and views.
func same(t testing.TB, s []site) {
	t.Helper()
	logs := make([]*oplog.Log, len(s))
	for i := range s {
		logs[i] = s[i].log
	}
	oplogtest.Same(t, logs...)
}

func TestTwoSitesCorrectTheSamePersonApart(t *testing.T) {
	s := sites(t, 2)
	ctx := context.Background()
	id := add(t, s[0].desk, Person{GivenName: "Ana", Phone: "111", FamilyName: "Lux"})
	s[1].pull(t, s[0], 100)
	for i, p := range []string{`{"phone":"222","given_name":"Anna"}`, `{"phone":"333","family_name":"Luz"}`} {
		if _, err := s[i].desk.Correct(ctx, clerk, id, patch(t, p), Request{}); err != nil {
			t.Fatal(err)
		}
	}
	s[0].pull(t, s[1], 100)
	s[1].pull(t, s[0], 100)
	a, b := get(t, s[0].desk, id), get(t, s[1].desk, id)
	if a.Phone != b.Phone || a.GivenName != "Anna" || b.FamilyName != "Luz" || a.Version != b.Version {
		t.Fatal(a.Phone, b.Phone, a.GivenName, b.FamilyName)
	}
	if len(a.Conflicts) != 1 || a.Conflicts[0].Field != "phone" || len(a.Conflicts[0].Versions) != 2 {
		t.Fatalf("%+v", a.Conflicts)
	}
	for _, q := range []string{a.Phone, "anna luz"} {
		for i := range s {
			if p, err := s[i].desk.Search(ctx, clerk, q, 0, ""); err != nil || len(p.Items) != 1 {
				t.Errorf("site %d does not find %q after the merge: %v", i, q, err)
			}
		}
	}
	if rec, err := s[1].desk.Correct(ctx, clerk, id, patch(t, `{"phone":"222"}`), Request{}); err != nil || rec.Phone != "222" || len(rec.Conflicts) != 0 {
		t.Fatal(rec.Conflicts, err)
	}
	s[0].pull(t, s[1], 100)
	if rec := get(t, s[0].desk, id); rec.Phone != "222" || len(rec.Conflicts) != 0 {
		t.Fatal("settled on one side only")
	}
	same(t, s)
}

// TestCampDaysConverge lets several sites register, correct, move and exchange in a
// random order, and asks that all hold equal views and counts in the end.
func TestCampDaysConverge(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { campDay(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func campDay(t *testing.T, r *rand.Rand) {
	s := sites(t, 3)
	ctx := context.Background()
	homes := MadeUp(12, r.Uint64())
	var people, households []oplog.ID
	for range 60 {
		here := s[r.IntN(len(s))]
		switch r.IntN(5) {
		case 0:
			if len(homes) > 0 {
				h, err := here.desk.AddHousehold(ctx, clerk, homes[0], Request{})
				if err != nil {
					t.Fatal(err)
				}
				homes, people, households = homes[1:], append(people, h.Members...), append(households, h.ID)
			}
		case 1, 2:
			if len(people) > 0 && exists(t, here.desk, people[0]) {
				p := fmt.Sprintf(`{"phone":"%d","notes":"%d"}`, 1000+r.IntN(9), r.IntN(3))
				if id := people[r.IntN(len(people))]; exists(t, here.desk, id) {
					if _, err := here.desk.Correct(ctx, clerk, id, patch(t, p), Request{}); err != nil {
						t.Fatal(err)
					}
				}
			}
		case 3:
			if len(people) > 0 && exists(t, here.desk, people[0]) {
				id, to := people[r.IntN(len(people))], households[r.IntN(len(households))]
				_, err := here.desk.Move(ctx, clerk, id, to, "other", Request{})
				if err != nil && exists(t, here.desk, id) && here.knows(to) {
					t.Fatal(err)
				}
			}
		case 4:
			here.pull(t, s[r.IntN(len(s))], 1+r.IntN(5))
		}
	}
	for range len(s) {
		for i := range s {
			for j := range s {
				s[i].pull(t, s[j], 1+r.IntN(40))
			}
		}
	}
	same(t, s)
	wantCounts, _ := s[0].desk.Counts(t.Context())
	if wantCounts.People != len(people) || wantCounts.Households != len(households) {
		t.Fatalf("%+v of %d people in %d households", wantCounts, len(people), len(households))
	}
	for i := range s {
		reopened := deskOn(t, s[i].log)
		for _, d := range []*Desk{s[i].desk, reopened} {
			if c, _ := d.Counts(t.Context()); c != wantCounts {
				t.Errorf("site %d counts %+v, not %+v", i, c, wantCounts)
			}
		}
	}
}

func (s site) knows(household oplog.ID) bool {
	_, err := s.desk.Household(context.Background(), clerk, household)
	return err == nil
}

// TestOrderDoesNotMatter has corrections and moves of one person from three logs that
// did not see each other, some that did, and some that arrive before their person.
func TestOrderDoesNotMatter(t *testing.T) {
	ana, ben := oplog.ID{1}, oplog.ID{2}
	home, other := oplog.ID{50}, oplog.ID{51}
	oplogtest.CheckOrder(t, Views(),
		oplogtest.Fact{Node: 0, Kind: formedKind(), Subject: home, Body: &Formed{Head: ana, Members: []oplog.ID{ana, ben}}},
		oplogtest.Fact{Node: 0, Kind: registeredKind(), Subject: ana, Body: &Registered{Person: Person{GivenName: "Ana", Phone: "111"}, Household: home, Relation: "head"}},
		oplogtest.Fact{Node: 0, Kind: registeredKind(), Subject: ben, Body: &Registered{Person: Person{GivenName: "Ben", Needs: []string{"diet"}}, Household: home, Relation: "son"}},
		oplogtest.Fact{Node: 1, Kind: correctedKind(), Subject: ana, Body: set(Person{Phone: "222"}, regPhone), Supersedes: []int{1}, Seen: true},
		oplogtest.Fact{Node: 2, Kind: correctedKind(), Subject: ana, Body: set(Person{Phone: "333", GivenName: "Anna"}, regGiven, regPhone), Supersedes: []int{1}},
		oplogtest.Fact{Node: 0, Kind: correctedKind(), Subject: ana, Body: set(Person{GivenName: "Hanna"}, regGiven), Supersedes: []int{1}},
		oplogtest.Fact{Node: 1, Kind: joinedKind(), Subject: ben, Body: &Joined{Household: other, Relation: "head"}, Supersedes: []int{2}},
		oplogtest.Fact{Node: 2, Kind: joinedKind(), Subject: ben, Body: &Joined{}, Supersedes: []int{2}},
		oplogtest.Fact{Node: 2, Kind: formedKind(), Subject: other, Body: &Formed{Head: ben}},
		oplogtest.Fact{Node: 1, Kind: correctedKind(), Subject: ana, Body: set(Person{Phone: "222"}, regPhone), Supersedes: []int{3, 4}, Seen: true},
		oplogtest.Fact{Node: 2, Kind: correctedKind(), Subject: ana, Body: set(Person{Notes: "x"}, regNotes), Supersedes: []int{1}},
		oplogtest.Fact{Node: 0, Kind: correctedKind(), Subject: ana, Body: set(Person{Notes: "y"}, regNotes), Supersedes: []int{1}},
		oplogtest.Fact{Node: 0, Kind: photographedKind(), Subject: ana, Body: someFile("a", 1)},
		oplogtest.Fact{Node: 1, Kind: photographedKind(), Subject: ana, Body: someFile("b", 2)},
		oplogtest.Fact{Node: 2, Kind: photographedKind(), Subject: ana, Body: &Photographed{}, Supersedes: []int{12}},
		oplogtest.Fact{Node: 2, Kind: photographedKind(), Subject: ben, Body: &Photographed{Photo: "no pieces"}},
		oplogtest.Fact{Node: 0, Kind: drawnKind(), Subject: oplog.ID{52}, Body: &Drawn{Seed: []byte{1, 2, 3, 4, 5, 6, 7, 8}, Count: 3, Head: 1}},
		oplogtest.Fact{Node: 1, Kind: drawnKind(), Subject: other, Body: &Drawn{Count: 1 << 40, Head: 1 << 50}},
	)
}

// TestNobodyIsBuriedInCorrections: a node writes far more corrections of somebody
// than a row can hold, naming none of those before. The person stays in every
// register, and can be put right.
func TestNobodyIsBuriedInCorrections(t *testing.T) {
	for name, c := range map[string]struct{ facts, size int }{"large": {12, 60000}, "many": {400, 10}} {
		t.Run(name, func(t *testing.T) {
			s := sites(t, 2)
			ctx := context.Background()
			id := add(t, s[0].desk, Person{GivenName: "Ana", Notes: "diabetic"})
			for i := range c.facts {
				err := s[1].log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error {
					fact := Corrected{Fields: []uint8{uint8(regNotes)}, Person: Person{Notes: fmt.Sprint(i, strings.Repeat("x", c.size))}}
					_, err := tx.Append(correctedKind(), id, &fact)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			s[0].pull(t, s[1], 1000)
			if rec := get(t, s[0].desk, id); rec.GivenName != "Ana" {
				t.Fatalf("%+v", rec.Person.GivenName)
			}
			for range 3 { // an op takes the place of 255 others at most
				if rec, err := s[0].desk.Correct(ctx, clerk, id, patch(t, `{"notes":"insulin"}`), Request{}); err != nil || rec.Notes != "insulin" {
					t.Fatal(rec.Notes, err)
				}
			}
			if rec := get(t, s[0].desk, id); len(rec.Conflicts) != 0 {
				t.Errorf("%d conflicts are left", len(rec.Conflicts))
			}
			s[1].pull(t, s[0], 1000)
			same(t, s)
		})
	}
}
