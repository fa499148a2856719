package ui

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
)

// linkState is what a test box keeps about its connection to others.
type linkState struct {
	now   control.Link
	seeds []string
}

func (b *apiBox) Link(context.Context) (control.Link, error) {
	if b.links.now.Profile == "" {
		b.links.now = control.Link{Profile: control.LinkUsual, Discover: true}
	}
	return b.links.now, nil
}

func (b *apiBox) SetLink(_ context.Context, a staff.Actor, l control.Link) (control.Link, error) {
	if err := a.Must(staff.ManageBox); err != nil {
		return control.Link{}, err
	}
	if l.Profile != control.LinkUsual && l.Profile != control.LinkLow {
		return control.Link{}, fault.New(fault.Invalid, "fault.node.link_profile", "Profile", l.Profile)
	}
	l.Restart = l.Profile == control.LinkLow
	b.links.now = l
	return l, nil
}

func (b *apiBox) Places(context.Context, staff.Actor) (control.Places, error) {
	return control.Places{Addresses: []string{"10.0.0.1:7946"}, Seeds: append([]string{}, b.links.seeds...), Discover: true}, nil
}

func (b *apiBox) LookAt(_ context.Context, a staff.Actor, addr string) (string, error) {
	if err := a.Must(staff.InviteNodes); err != nil {
		return "", err
	}
	if addr == "10.0.0.9" {
		return galleryID(21).String(), nil
	}
	b.links.seeds = append(b.links.seeds, addr)
	return "", fault.New(fault.Unavailable, "fault.mesh.no_answer", "Address", addr)
}

func (b *apiBox) ForgetPlace(_ context.Context, a staff.Actor, addr string) error {
	if !slices.Contains(b.links.seeds, addr) {
		return fault.New(fault.NotFound, "fault.mesh.no_seed", "Address", addr)
	}
	b.links.seeds = slices.DeleteFunc(b.links.seeds, func(s string) bool { return s == addr })
	return a.Must(staff.InviteNodes)
}

func TestAnotherPostIsFoundByHand(t *testing.T) {
	box, s := newPageServer(t)
	box.peers = []control.Peer{{Node: galleryID(21).String(), Site: "Quay", Number: 2}}
	lead := (&rig{t: t, box: box.apiBox, s: s}).session("amina", staff.Lead)
	b := newBrowser(t, s)
	b.cookies["waypost-8080"] = lead.Token
	b.get("/mesh").wants(200, "/mesh/find")
	b.get("/mesh/find").wants(200, "10.0.0.1:7946", "<svg", "looks for others")
	b.post("/mesh/find", url.Values{"address": {"10.0.0.7"}, "csrf": {lead.CSRF}}).wants(503, "Nobody answers at 10.0.0.7", "is kept and tried")
	b.post("/mesh/find", url.Values{"address": {"10.0.0.9"}, "csrf": {lead.CSRF}}).wants(200, "Found: Quay")
	b.get("/mesh/find").wants(200, "10.0.0.7")
	b.post("/mesh/find/forget", url.Values{"address": {"10.0.0.7"}, "csrf": {lead.CSRF}}).wants(200).lacks("10.0.0.7")
	box.links.seeds = []string{"10.0.0.6"}
	b.get("/mesh/find")
	box.links.seeds = nil // it has answered meanwhile
	b.post("/mesh/find/forget", url.Values{"address": {"10.0.0.6"}, "csrf": {lead.CSRF}}).wants(404, "not among the addresses")
}

func TestTheConnectionOnItsPage(t *testing.T) {
	box, s := newPageServer(t)
	lead := (&rig{t: t, box: box.apiBox, s: s}).session("amina", staff.Lead)
	b := newBrowser(t, s)
	b.cookies["waypost-8080"] = lead.Token
	b.get("/mesh/links").wants(200, "costs money", `value="usual" required checked`)
	b.post("/mesh/links", url.Values{"profile": {"low"}, "in": {"8"}, "out": {"0"}, "discover": {}, "csrf": {lead.CSRF}}).wants(200, "after the next start")
	if want := (control.Link{Profile: control.LinkLow, In: 8000, Restart: true}); box.links.now != want {
		t.Errorf("%+v", box.links.now)
	}
	b.post("/mesh/links", url.Values{"profile": {"usual"}, "photos": {"yes"}, "in": {"nonsense"}, "out": {"32"}, "discover": {"yes"}, "csrf": {lead.CSRF}}).wants(200)
	if want := (control.Link{Profile: control.LinkUsual, Photos: true, Out: 32000, Discover: true}); box.links.now != want {
		t.Errorf("%+v", box.links.now)
	}
	b.post("/mesh/links", url.Values{"profile": {"free"}, "csrf": {lead.CSRF}}).wants(400, "not a way to use")
	registrar := (&rig{t: t, box: box.apiBox, s: s}).session("omar", staff.Registrar)
	b = newBrowser(t, s)
	b.cookies["waypost-8080"] = registrar.Token
	b.get("/mesh/find").wants(200, "10.0.0.1:7946").lacks("/mesh/links", "<textarea", `name="address"`)
	b.get("/mesh/links").wants(403)
}

// The calls are made by the client that the verbs use.
func TestOperatorLinks(t *testing.T) {
	r := newRig(t)
	c := r.operator()
	ctx := t.Context()
	l, err := c.LinkState(ctx)
	if err != nil || l.Profile != control.LinkUsual || !l.Discover {
		t.Fatalf("%+v %v", l, err)
	}
	if l, err = c.SetLink(ctx, control.Link{Profile: control.LinkLow, Out: 9000}); err != nil || !l.Restart || l.Out != 9000 {
		t.Fatalf("%+v %v", l, err)
	}
	if _, err := c.SetLink(ctx, control.Link{Profile: "free"}); fault.Of(err).Key != "fault.node.link_profile" {
		t.Fatal(err)
	}
	if node, err := c.LookAt(ctx, "10.0.0.9"); err != nil || node != galleryID(21).String() {
		t.Fatal(node, err)
	}
	if _, err := c.LookAt(ctx, "10.0.0.8"); fault.Of(err).Key != "fault.mesh.no_answer" {
		t.Fatal(err)
	}
	p, err := c.Places(ctx)
	if err != nil || strings.Join(p.Seeds, " ") != "10.0.0.8" || len(p.Addresses) != 1 {
		t.Fatalf("%+v %v", p, err)
	}
	must(t, c.ForgetPlace(ctx, "10.0.0.8"))
	if err := c.ForgetPlace(ctx, "10.0.0.8"); fault.Of(err).Key != "fault.mesh.no_seed" {
		t.Fatal(err)
	}
}

// operator is the client of the verbs, over a real socket.
func (r *rig) operator() *control.Client {
	t := r.t
	dir, err := os.MkdirTemp("/tmp", "wp")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ln, err := net.Listen("unix", filepath.Join(dir, "control.sock"))
	must(t, err)
	done := make(chan struct{})
	go func() { defer close(done); _ = r.s.Serve(Control, ln) }()
	t.Cleanup(func() {
		shut, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = r.s.Shutdown(shut)
		<-done
	})
	return control.New(dir)
}

// linkPictures are the pages about reaching others.
func linkPictures() []picture {
	links := func(l control.Link, restart bool) picture {
		return picture{page: "mesh/links", data: func(speaker) any { return linksPage{Restart: restart, Rates: rates} }, form: func(*view) *form { return linksForm(l) }}
	}
	find := func(m findPage) func(speaker) any {
		return func(speaker) any {
			m.Own = []string{"10.42.0.1:7946", "[fd00:42::1]:7946"}
			m.QR = svg(strings.Join(m.Own, " "))
			return m
		}
	}
	usual, low := links(control.Link{Profile: control.LinkUsual, Discover: true}, false), links(control.Link{Profile: control.LinkLow, In: 8000, Out: 5000}, true)
	usual.name, low.name = "links", "links-low"
	return []picture{
		usual, low,
		{name: "find", page: "mesh/find", data: find(findPage{Discover: true, MayAdd: true, MaySet: true})},
		{name: "find-found", page: "mesh/find", data: find(findPage{Discover: true, MayAdd: true, MaySet: true, Found: "رصيف"})},
		{name: "find-nobody", page: "mesh/find", data: find(findPage{MayAdd: true, MaySet: true, Seeds: []string{"10.0.0.5:7946", "[fe80::1%eth0]:7946"}}), form: func(v *view) *form {
			f := newForm()
			f.set("address", "10.0.0.5:7946")
			f.top, f.hint = v.T("fault.mesh.no_answer", "Address", "10.0.0.5:7946"), v.T("fault.mesh.no_answer.hint")
			return f
		}},
		{name: "find-only-look", page: "mesh/find", data: find(findPage{Seeds: []string{"10.0.0.5:7946"}})},
	}
}
