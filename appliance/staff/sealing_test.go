package staff

import (
	"crypto/ecdh"
	"errors"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
)

// The directory has the accounts of every node whose words were compared, with the keys
// they have, and says who left; nobody puts an account into another node's mouth.
func TestTheDirectory(t *testing.T) {
	c := newCamp(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	worker(t, a, "amina", Lead)
	mina := worker(t, b, "mina", Caseworker)
	worker(t, b, "noor", Medical)
	c.exchange()
	see := func(p *place) map[string]Worker {
		all, err := p.Directory()
		must(t, err)
		out := map[string]Worker{}
		for _, w := range all {
			out[w.User] = w
		}
		return out
	}
	for _, p := range c.nodes {
		got := see(p)
		if len(got) != 3 || got["mina"].ID != mina.Actor.ID || got["mina"].Node != b.node || got["mina"].Off || !got["mina"].Opens(NarrowChild) || got["mina"].Opens(NarrowMedical) || got["amina"].Opens(NarrowChild) {
			t.Fatalf("%+v", got)
		}
	}
	sig, ok := mina.Sign([]byte("words"))
	w := see(a)["mina"]
	if !ok || !Signed(w.Sign, []byte("words"), sig) || Signed(w.Sign, []byte("other words"), sig) || Signed(see(a)["noor"].Sign, []byte("words"), sig) || Signed(w.Sign, []byte("words"), nil) {
		t.Error("signatures are not told apart")
	}
	c.known[1].Confirmed = false
	if got := see(a); len(got) != 1 {
		t.Errorf("a node nobody compared names %+v", got)
	}
	c.known[1].Confirmed = true
	must(t, b.Disable(ctx, Operator(), "mina"))
	if got := see(b)["mina"]; !got.Off || got.OffAt == 0 {
		t.Errorf("%+v", got)
	}
	c.exchange()
	if got := see(a)["mina"]; !got.Off || got.OffAt != see(b)["mina"].OffAt {
		t.Errorf("%+v", got)
	}
}

func TestASealKeyEndsWithItsSession(t *testing.T) {
	c := newCamp(t, 1)
	p := c.nodes[0]
	s := worker(t, p, "mina", Caseworker)
	all, err := p.Directory()
	must(t, err)
	must(t, s.WithSealKey(func(k *ecdh.PrivateKey) error {
		if [32]byte(k.PublicKey().Bytes()) != all[0].Seal {
			t.Error("another key")
		}
		return nil
	}))
	open, ok := p.OpenSession(s.Actor.ID)
	if !ok || open.Token != "" || open.Actor.ID != s.Actor.ID {
		t.Fatalf("%+v %v", open, ok)
	}
	p.SignOut(s.Token)
	if _, ok := p.OpenSession(s.Actor.ID); ok {
		t.Error("a session that ended is open")
	}
	for _, s := range []Session{s, open, {}} {
		if err := s.WithSealKey(func(*ecdh.PrivateKey) error { t.Error("opened"); return nil }); !errors.Is(err, fault.New(fault.Unauthenticated, "fault.staff.sign_in")) {
			t.Error(err)
		}
	}
}
