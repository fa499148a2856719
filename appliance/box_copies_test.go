package main

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/tokens"
)

// What is only here is counted for what it is, what came since is added to what was found
// before, and a box that starts again finds the same.
func TestWhatIsOnlyHereIsCounted(t *testing.T) {
	t.Parallel()
	b, words := startedBox(t)
	ctx, me := t.Context(), staff.Operator()
	b.peopleNow(t)
	gone := func() control.Gone {
		t.Helper()
		g, err := b.Gone(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	if g := gone(); g.People+g.Changed+g.Households+g.Cards+g.Photos+g.Letters != 0 || g.Facts == 0 || g.Oldest != nil || g.Closest != nil || len(g.Logs) != 1 || g.Logs[0].OnlyHere != g.Facts {
		t.Errorf("an empty box: %+v", g)
	}
	home, err := b.Desks().Registration.AddHousehold(ctx, me, familyOf("Ana", "Ben", "Cy"), registration.Request{})
	if err != nil {
		t.Fatal(err)
	}
	if g := gone(); g.People != 3 || g.Households != 1 || g.Cards != 0 || g.Oldest == nil || g.Newest == nil {
		t.Errorf("%+v", g)
	}
	if _, err := b.Desks().Registration.Correct(ctx, me, home.Members[0], registration.Patch{Fields: map[string]json.RawMessage{"phone": []byte(`"+5021234"`)}}, registration.Request{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Desks().Tokens.Issue(ctx, me, home.Members[1], tokens.IssueOptions{}); err != nil {
		t.Fatal(err)
	}
	once := gone()
	if once.People != 3 || once.Changed != 0 || once.Households != 1 || once.Cards != 1 {
		t.Errorf("%+v", once)
	}
	c, err := b.Copies(ctx, home.Members[0], home.ID)
	if err != nil || c.Facts != 3 || c.OnlyHere != 3 || len(c.Whole)+len(c.Part)+len(c.Apart)+len(c.Posts) != 0 {
		t.Errorf("%+v %v", c, err)
	}

	var all []string
	for after := ""; ; {
		people, next, err := b.GonePeople(ctx, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range people {
			if !p.Whole {
				t.Errorf("%s was registered here and nowhere else", p.ID)
			}
			all = append(all, p.ID)
		}
		if after = next; after == "" {
			break
		}
	}
	if slices.Sort(all); len(slices.Compact(all)) != 3 {
		t.Errorf("%v", all)
	}

	if err := b.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Gone(ctx); fault.ClassOf(err) != fault.Locked {
		t.Errorf("of a locked box: %v", err)
	}
	if _, err := b.Copies(ctx, home.ID); fault.ClassOf(err) != fault.Locked {
		t.Errorf("of a locked box: %v", err)
	}
	b.unlocked(t, words)
	b.peopleNow(t)
	if g := gone(); g.People != once.People || g.Cards != once.Cards || g.Households != once.Households || !g.Oldest.Equal(*once.Oldest) {
		t.Errorf("before %+v, after %+v", once, g)
	}
}

// Two logs may tell of one person: they are counted once, and as wholly here if either says so.
func TestPeopleOfSeveralLogsAreCountedOnce(t *testing.T) {
	t.Parallel()
	b, _ := startedBox(t)
	b.peopleNow(t)
	home, err := b.Desks().Registration.AddHousehold(t.Context(), staff.Operator(), familyOf("Ana", "Ben"), registration.Request{})
	if err != nil {
		t.Fatal(err)
	}
	ana, ben := home.Members[0], home.Members[1]
	now := lonelyNow{logs: []stretch{
		{other: []oplog.ID{ben, ana, ben, oplog.NewID()}, cards: 2, oldest: 50, newest: 70, newestUnsure: true},
		{new: []oplog.ID{ana}, households: 1, oldest: 20, newest: 60},
	}}
	now.all = together(now.logs)
	g := control.Gone{Sure: true}
	now.count(b.open(), &g)
	if g.People != 1 || g.Changed != 1 || g.Cards != 2 || g.Households != 1 || g.Oldest.Unix() != 20 || g.Newest.Unix() != 70 || g.Sure {
		t.Errorf("%+v", g)
	}
}
