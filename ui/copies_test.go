package ui

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// copyDouble is what a test says other posts hold; the facts are those of the journal.
type copyDouble struct {
	safe  map[string]int // posts and how many facts of anybody each of them holds, at most
	apart []control.CopyAt
	posts []control.CopyAt
	gone  control.Gone
	who   []control.GonePerson
	asked []oplog.ID
}

func (b *apiBox) Copies(_ context.Context, subjects ...oplog.ID) (control.Copies, error) {
	out := control.Copies{Whole: []control.CopyAt{}, Part: []control.CopyAt{}, Apart: []control.CopyAt{}, Posts: []control.CopyAt{}, Partners: []control.CopyAt{}}
	b.copied.asked = append(b.copied.asked, subjects...)
	for _, id := range subjects {
		refs, bare, err := b.log.RefsOf(id)
		if err != nil {
			return out, err
		}
		out.Facts, out.Gone = out.Facts+len(refs), out.Gone+bare
	}
	out.OnlyHere = out.Facts
	since := time.Unix(1700000000, 0).UTC()
	for _, site := range []string{"Clinic", "Harbour"} {
		n := min(b.copied.safe[site], out.Facts)
		if n == 0 {
			continue
		}
		out.OnlyHere = min(out.OnlyHere, out.Facts-n)
		at := control.CopyAt{Node: site, Number: 7, Site: site, Facts: n, Since: &since, Sure: true, Heard: &since, Reads: site == "Clinic"}
		if n == out.Facts {
			out.Whole = append(out.Whole, at)
		} else {
			out.Part = append(out.Part, at)
		}
	}
	out.Apart = append(out.Apart, b.copied.apart...)
	out.Posts = append(out.Posts, b.copied.posts...)
	return out, nil
}

func (b *apiBox) Gone(context.Context) (control.Gone, error) {
	g := b.copied.gone
	if g.Logs == nil {
		g.Logs = []control.LogCopies{}
	}
	return g, nil
}

func (b *apiBox) GonePeople(_ context.Context, after string, most int) ([]control.GonePerson, string, error) {
	who := b.copied.who
	for len(who) > 0 && after != "" && who[0].ID <= after {
		who = who[1:]
	}
	if len(who) > most {
		return who[:most], who[most-1].ID, nil
	}
	return who, "", nil
}

// copying makes the calls about copies, for the contract.
func (c *contract) copying(key, person string) {
	c.t.Helper()
	const v1 = "/api/v1"
	at := control.CopyAt{Node: "n2", Site: "Clinic", Apart: "shut"}
	c.box.copied = copyDouble{safe: map[string]int{"Clinic": 1000, "Harbour": 1}, apart: []control.CopyAt{at}, posts: []control.CopyAt{{Node: "n3"}}}
	c.try(key, "GET", v1+"/people/:id/copies", v1+"/people/"+person+"/copies", "", 200)
	c.try(key, "GET", v1+"/mesh/gone", v1+"/mesh/gone", "", 200)
	now := time.Unix(1700000000, 0)
	c.box.copied.gone = control.Gone{
		Facts: 3, People: 1, Oldest: &now, Newest: &now, Closest: &control.CopyAt{Node: "n2", Heard: &now}, Backup: &control.LastBackup{Made: now, Ops: 5, Since: 3},
		Logs: []control.LogCopies{{Log: "l", Facts: 9, OnlyHere: 3, Copies: []control.CopyAt{{Node: "n2", Since: &now}}}},
	}
	c.box.copied.who = []control.GonePerson{{ID: person, Whole: true}}
	c.try(key, "GET", v1+"/mesh/gone", v1+"/mesh/gone", "", 200)
	c.try(key, "GET", v1+"/mesh/gone/people", v1+"/mesh/gone/people", "", 200)
	c.box.copied = copyDouble{}
}

// The page of a person is red when their record, or the newest of it, is only here, and
// quiet otherwise; the page behind it names who holds what.
func TestAPersonsPageSaysWhereTheyAreKept(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Lead)
	var p struct{ ID string }
	r.call(key, "POST", "/api/v1/people", `{"given_name":"Rosa","phone":"+5021234"}`).into(t, &p)
	r.call(key, "PATCH", "/api/v1/people/"+p.ID, `{"phone":"+5029999"}`)
	lead := r.session("lead", staff.Lead)
	for name, tt := range map[string]struct {
		safe        map[string]int
		page        []string
		not         []string
		copies      []string
		copiesLacks []string
	}{
		"nobody":  {nil, []string{"Only on this box"}, nil, []string{"Only on this box", "Bring a second box"}, []string{"Clinic"}},
		"a part":  {map[string]int{"Clinic": 1}, []string{"The latest is only on this box"}, nil, []string{"1 of 2 entries", "Clinic"}, nil},
		"one":     {map[string]int{"Clinic": 9}, []string{"Kept on 2 posts"}, []string{"pill bad"}, []string{"Clinic", "since \u20682023", "Kept on 2 posts"}, []string{"Bring a second box"}},
		"two":     {map[string]int{"Clinic": 9, "Harbour": 9}, []string{"Kept on 3 posts"}, []string{"pill bad"}, []string{"Harbour"}, []string{"Bring a second box"}},
		"carried": {map[string]int{"Harbour": 9}, []string{"Kept on 2 posts"}, []string{"pill bad"}, []string{"cannot read it"}, nil},
	} {
		r.box.copied = copyDouble{safe: tt.safe}
		page, copies := r.seen(lead, "/people/"+p.ID), r.seen(lead, "/people/"+p.ID+"/copies")
		for _, want := range tt.page {
			if !strings.Contains(page, want) {
				t.Errorf("%s: the page lacks %q", name, want)
			}
		}
		for _, bad := range tt.not {
			if strings.Contains(page, bad) {
				t.Errorf("%s: the page has %q", name, bad)
			}
		}
		for _, want := range tt.copies {
			if !strings.Contains(copies, want) {
				t.Errorf("%s: copies lacks %q: %s", name, want, copies)
			}
		}
		for _, bad := range tt.copiesLacks {
			if strings.Contains(copies, bad) {
				t.Errorf("%s: copies has %q", name, bad)
			}
		}
	}
}

// seen is what somebody sees of a page.
func (r *rig) seen(s staff.Session, path string) string {
	r.t.Helper()
	a := r.ask(Network, "GET", path, "", "Host", "localhost", "Accept", "text/html", "Cookie", "__Host-waypost="+s.Token+"; "+trusting(r.s))
	if a.status != 200 {
		r.t.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	return string(a.body)
}

// Every role reads what it may: whoever may not read people gets neither page nor call nor
// the list, whoever may not list staff reads counts and no names.
func TestWhoSeesWhereRecordsAre(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Lead)
	var p struct{ ID string }
	r.call(key, "POST", "/api/v1/people", `{"given_name":"Qvzkrosa"}`).into(t, &p)
	r.session("zelda-lead", staff.Lead)
	r.box.copied = copyDouble{gone: control.Gone{Facts: 4, People: 1}, who: []control.GonePerson{{ID: p.ID, Whole: true}}}
	for _, role := range staff.Roles() {
		k := r.key(role)
		may, mesh, names := staff.Actor{ID: staff.ID{1}, Role: role}.Can(staff.ReadPeople), staff.Actor{ID: staff.ID{1}, Role: role}.Can(staff.SeeMesh), role == staff.Lead
		for path, allowed := range map[string]bool{"/api/v1/people/" + p.ID + "/copies": may, "/api/v1/mesh/gone": mesh, "/api/v1/mesh/gone/people": may} {
			if a := r.call(k, "GET", path, ""); (a.status == 200) != allowed || !allowed && a.status != 403 || bytes.Contains(a.body, []byte("zelda")) || bytes.Contains(a.body, []byte("Qvzkrosa")) {
				t.Errorf("%s %s: %d %s", role, path, a.status, a.body)
			}
		}
		s := r.session("one-"+string(role), role)
		ask := func(path string) answer {
			return r.ask(Network, "GET", path, "", "Host", "localhost", "Accept", "text/html", "Cookie", "__Host-waypost="+s.Token+"; "+trusting(r.s))
		}
		a := ask("/people/" + p.ID + "/copies")
		if (a.status == 200) != may || bytes.Contains(a.body, []byte("zelda-lead")) != names {
			t.Errorf("%s: copies %d, names %v", role, a.status, !names)
		}
		a = ask("/mesh/gone")
		if (a.status == 200) != mesh || bytes.Contains(a.body, []byte("Qvzkrosa")) != (may && mesh) {
			t.Errorf("%s: gone %d %s", role, a.status, a.body)
		}
	}
}

// A sealed file about somebody changes nothing of what is said about their copies, to the
// byte, for anybody.
func TestASealedFileDoesNotShowInCopies(t *testing.T) {
	f := newForeign(t)
	key := f.key(staff.Lead)
	var other struct{ ID string }
	f.call(key, "POST", "/api/v1/people", `{"given_name":"`+foreignName+`"}`).into(t, &other)
	f.box.copied = copyDouble{safe: map[string]int{"Clinic": 9}}
	for name, s := range map[string]staff.Session{"the lead": f.lead, "a colleague": f.noor, "its own worker": f.mina} {
		with, without := f.seen(s, "/people/"+f.person+"/copies"), f.seen(s, "/people/"+other.ID+"/copies")
		if strings.ReplaceAll(with, f.person, "") != strings.ReplaceAll(without, other.ID, "") {
			t.Errorf("%s can tell that there is a file", name)
		}
	}
	with, without := f.call(key, "GET", "/api/v1/people/"+f.person+"/copies", ""), f.call(key, "GET", "/api/v1/people/"+other.ID+"/copies", "")
	if !bytes.Equal(with.body, without.body) || with.status != 200 {
		t.Errorf("%s\n%s", with.body, without.body)
	}
	for _, id := range f.box.copied.asked {
		if id.String() == f.file {
			t.Error("the file was asked about")
		}
	}
}

// The page of what would be lost: nothing, something without people, people in parts, and
// the letters of locked hours.
func TestWhatIsLostWithTheBox(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Lead)
	lead := r.session("lead", staff.Lead)
	if page := r.seen(lead, "/mesh/gone"); !strings.Contains(page, "Nothing: other posts hold every record") || !strings.Contains(page, "no backup") {
		t.Errorf("%s", page)
	}
	r.box.copied.gone = control.Gone{Letters: 2}
	if page := r.seen(lead, "/mesh/gone"); strings.Contains(page, "Nothing: other posts") || !strings.Contains(page, "set aside") {
		t.Errorf("%s", page)
	}
	r.box.copied.gone = control.Gone{Facts: 2}
	if page := r.seen(lead, "/mesh/gone"); !strings.Contains(page, "No person") || !strings.Contains(page, "Invite a second box") {
		t.Errorf("%s", page)
	}
	heard := time.Now().Add(-3 * time.Hour)
	r.box.copied.gone = control.Gone{Facts: 40, People: 35, Changed: 1, Closest: &control.CopyAt{Node: "x", Site: "Harbour", Number: 3, Heard: &heard}, Backup: &control.LastBackup{Made: heard, Since: 17}}
	for range 36 {
		var p struct{ ID string }
		r.call(key, "POST", "/api/v1/people", `{"given_name":"Someone"}`).into(t, &p)
		r.box.copied.who = append(r.box.copied.who, control.GonePerson{ID: p.ID, Whole: len(r.box.copied.who) > 0})
	}
	slices.SortFunc(r.box.copied.who, func(a, b control.GonePerson) int { return strings.Compare(a.ID, b.ID) })
	r.box.copied.who = append(r.box.copied.who, control.GonePerson{ID: "zzzzzzzzzzzzzzzz"}) // erased a moment ago
	page := r.seen(lead, "/mesh/gone")
	for _, want := range []string{"Harbour", "3 hours", "17 entries came since", "after=", ">35<"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if n := strings.Count(page, "Someone"); n != pageSize {
		t.Errorf("%d people on the first part", n)
	}
	_, rest, _ := strings.Cut(page, "/mesh/gone?after=")
	next, _, _ := strings.Cut(rest, `"`)
	if n := strings.Count(r.seen(lead, "/mesh/gone?after="+next), "Someone"); n != 36-pageSize {
		t.Errorf("%d people on the second part", n)
	}
}
