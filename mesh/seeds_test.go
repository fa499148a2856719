package mesh

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
)

func TestAddressesAsPeopleTypeThem(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"10.0.0.4":                        "10.0.0.4:7946",
		" 10.0.0.4:1000 ":                 "10.0.0.4:1000",
		"10.0.0.4:1, 10.0.0.5\n[fd00::1]": "10.0.0.4:1 10.0.0.5:7946 [fd00::1]:7946",
		"fd00::1":                         "[fd00::1]:7946",
		"fe80::1%eth0":                    "[fe80::1%eth0]:7946",
		"post-two.local":                  "post-two.local:7946",
		"":                                "", " , ": "", "what is this?": "", "10.0.0.4:0": "", "0.0.0.0": "", "WPI1ABC/DEF": "",
		"http://10.0.0.4": "",
	} {
		got, ok := addressesIn(in)
		if strings.Join(got, " ") != want || ok != (want != "") {
			t.Errorf("%q reads as %v, want %q", in, got, want)
		}
	}
}

// silentAddr is a port of this machine where nobody listens.
func silentAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestLookSaysWhatIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.start(t), w.start(t)
	other := newWorld(t).start(t)
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	lost := w.start(t)
	a.book.shutOut(lost.keys.NodeID())
	refusing := w.start(t)
	refusing.book.shutOut(a.keys.NodeID())
	nobody := silentAddr(t)
	for _, c := range []struct{ text, key string }{
		{"what is this?", "fault.mesh.bad_address"},
		{nobody, "fault.mesh.no_answer"},
		{other.addr, "fault.mesh.other_deployment"},
		{web.Listener.Addr().String(), "fault.mesh.other_deployment"},
		{lost.addr, "fault.mesh.shut_out"},
		{refusing.addr, "fault.mesh.not_let_in"},
		{a.addr, "fault.mesh.is_this_box"},
	} {
		_, err := a.mesh.Look(context.Background(), c.text)
		if f := fault.Of(err); f == nil || f.Key != c.key {
			t.Errorf("%s: %v, want %s", c.text, err, c.key)
		}
	}
	if got := a.mesh.Seeds(); !slices.Equal(got, []string{nobody}) {
		t.Errorf("remembered: %v", got)
	}
	id, err := a.mesh.Look(context.Background(), nobody+" "+b.addr)
	if err != nil || id != b.keys.NodeID() || !a.linked(b) {
		t.Errorf("found %v, %v", id, err)
	}
	if id, err := a.mesh.Look(context.Background(), b.addr); err != nil || id != b.keys.NodeID() {
		t.Errorf("found again %v, %v", id, err)
	}
}

func TestSeedsAreKeptAndForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	nobody := silentAddr(t)
	if _, err := a.mesh.Look(context.Background(), nobody); err == nil {
		t.Fatal("nobody answered")
	}
	a.close()
	a.again()
	if got := a.mesh.Seeds(); !slices.Equal(got, []string{nobody}) {
		t.Fatalf("after a restart: %v", got)
	}
	b := w.start(t, listening(nobody)) // somebody comes to be there
	wait(t, "the seed was dialled again", func() bool { return a.linked(b) })
	if got := a.mesh.Seeds(); len(got) != 0 {
		t.Errorf("a seed that answered is a peer: %v", got)
	}
	if err := a.mesh.remember([]string{"127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	if err := a.mesh.ForgetSeed("127.0.0.1:1"); err != nil || len(a.mesh.Seeds()) != 0 {
		t.Errorf("%v, %v", err, a.mesh.Seeds())
	}
	if f := fault.Of(a.mesh.ForgetSeed("127.0.0.1:1")); f == nil || f.Key != "fault.mesh.no_seed" {
		t.Errorf("%v", f)
	}
	var many []string
	for i := range maxSeeds + 1 {
		many = append(many, fmt.Sprintf("127.0.0.1:%d", i+1))
	}
	if f := fault.Of(a.mesh.remember(many)); f == nil || f.Key != "fault.mesh.too_many_seeds" {
		t.Errorf("%v", f)
	}
}

// A thousand nodes that do not answer, as a cut network does not: whoever comes back is
// found within their number of tries, and whoever says where it is at once.
func TestDeadAddressesStarveNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hole, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never says a word
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	back := w.start(t)
	a := w.start(t)
	a.mesh.mu.Lock()
	for i := range 1000 {
		id := identity.NodeID{1, byte(i >> 8), byte(i)}
		p := a.mesh.peerFor(id)
		p.good = hole.Addr().String()
		p.dial.wait = a.mesh.timing().mostWait // away for long
	}
	a.mesh.poke()
	a.mesh.mu.Unlock()
	wait(t, "the dead ones fill every place", func() bool { return len(a.mesh.dialling) == cap(a.mesh.dialling) })
	began := clock.System().Now()
	a.mesh.mu.Lock()
	a.mesh.learnCard(back.mesh.card.raw, nil)
	a.mesh.mu.Unlock()
	wait(t, "the one that came back", func() bool { return a.linked(back) })
	if took := clock.System().Now().Sub(began); took > 3*dialTime {
		t.Errorf("after %v", took)
	}
}

// Whom to dial, and when, does not depend on what the wall clock said when the node was
// last seen: boards without a battery start in 1970.
func TestDiallingDoesNotAskTheDate(t *testing.T) {
	t.Parallel()
	for _, last := range []time.Time{time.Unix(0, 0), clock.System().Now().AddDate(70, 0, 0)} {
		w := newWorld(t)
		a := w.start(t)
		b := w.start(t, seeded(a.addr))
		wait(t, "linked", func() bool { return b.linked(a) && b.peer(a).Number != 0 })
		b.close()
		r, err := readPeers(b.dir)
		if err != nil || len(r.Peers) != 1 {
			t.Fatal(r, err)
		}
		r.Peers[0].Last = last
		r.Stamp = uint64(max(last.UnixMilli(), 0)) //nolint:gosec // a time after 1970
		if err := writePeers(b.dir, r); err != nil {
			t.Fatal(err)
		}
		b.again()
		wait(t, fmt.Sprint("linked again, last seen in ", last.Year()), func() bool { return b.linked(a) })
	}
}
