package staff

import (
	"crypto/ed25519"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
)

func TestWrongSignInsLookAlike(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	for _, c := range [][2]string{{"mina", "not the passphrase"}, {"mina", ""}, {"nobody", string(secret)}, {"", ""}, {"nobody", ""}, {"operator", "x"}, {"mina", string(make([]byte, 5000))}} {
		_, err := p.SignIn(ctx, c[0], []byte(c[1]))
		wantFault(t, err, fault.Denied, "fault.staff.wrong_sign_in")
		if f := fault.Of(err); len(f.Args) != 0 || len(f.Fields) != 0 {
			t.Fatalf("%+v says more", f)
		}
	}
}

func TestTenWrongTriesAnHour(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	p.add(t, "omar", Lead)
	for _, user := range []string{"mina", "nobody"} { // somebody unknown is treated alike
		for range maxTries {
			_, err := p.SignIn(ctx, user, []byte("a guess"))
			wantFault(t, err, fault.Denied, "fault.staff.wrong_sign_in")
			p.clock.Advance(time.Minute)
		}
		_, err := p.SignIn(ctx, user, secret)
		wantFault(t, err, fault.Busy, "fault.staff.too_many_tries")
		if n := fault.Of(err).Args["Count"]; n != 51 {
			t.Fatalf("%v minutes", n)
		}
	}
	p.signIn(t, "omar") // nobody else is locked out
	p.clock.Advance(time.Hour)
	p.signIn(t, "MINA")
	p.clock.Advance(time.Hour)
	p.signIn(t, "omar")
	if len(p.tries) != 0 {
		t.Fatalf("%d names are remembered for ever", len(p.tries))
	}
}

func TestTheRightPassphraseForgivesTheWrongOnes(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	for range 3 {
		for range maxTries - 1 {
			_, err := p.SignIn(ctx, "mina", []byte("a guess"))
			wantFault(t, err, fault.Denied, "fault.staff.wrong_sign_in")
		}
		p.signIn(t, "mina")
	}
}

// Many guesses at once are not more than many in a row.
func TestGuessesAtOnceAreCounted(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	var wg sync.WaitGroup
	classes := make(chan string, 40)
	for range 40 {
		wg.Go(func() {
			_, err := p.SignIn(ctx, "mina", []byte("a guess"))
			classes <- fault.Of(err).Key
		})
	}
	wg.Wait()
	close(classes)
	compared := 0
	for key := range classes {
		if key == "fault.staff.wrong_sign_in" {
			compared++
		}
	}
	if compared == 0 || compared > maxTries {
		t.Fatalf("%d passphrases were compared", compared)
	}
}

func TestSessions(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	s := p.signIn(t, "mina")
	if len(s.Token) < 40 || len(s.CSRF) < 40 || s.Token == s.CSRF {
		t.Fatalf("%+v", s)
	}
	for h := range p.sessions {
		if string(h[:]) == s.Token {
			t.Fatal("the token itself is kept")
		}
	}
	got, ok := p.Session(s.Token)
	if !ok || got.Actor.ID != s.Actor.ID || got.CSRF != s.CSRF || got.Token != s.Token {
		t.Fatalf("%+v", got)
	}
	for _, bad := range []string{"", "x", s.CSRF, s.Token + "x", string(make([]byte, 10000))} {
		if _, ok := p.Session(bad); ok {
			t.Fatalf("%q is a session", bad)
		}
	}
	other := p.signIn(t, "mina")
	p.SignOut(s.Token)
	p.SignOut(s.Token)
	p.SignOut("")
	if _, ok := p.Session(s.Token); ok {
		t.Fatal("signed out")
	}
	if _, ok := p.Session(other.Token); !ok {
		t.Fatal("the other one goes on")
	}
	p.Close()
	if _, ok := p.Session(other.Token); ok {
		t.Fatal("closed")
	}
}

func TestSessionsEnd(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	idle := p.signIn(t, "mina")
	busy := p.signIn(t, "mina")
	for range 25 { // 8 h 20 min, never idle for long
		p.clock.Advance(20 * time.Minute)
		_, ok := p.Session(busy.Token)
		if want := !p.clock.Now().After(busyEnd(p)); ok != want {
			t.Fatalf("at %v: %v", p.clock.Now(), ok)
		}
	}
	if _, ok := p.Session(idle.Token); ok || len(p.sessions) != 0 {
		t.Fatal("idle for hours")
	}
	if _, ok := busy.Sign(nil); ok {
		t.Fatal("a session that ended still signs")
	}
}

func busyEnd(p *place) time.Time { return time.Date(2026, 6, 1, 20, 0, 0, 0, time.UTC) }

func TestADisabledAccountIsOutAtOnce(t *testing.T) {
	p := openPlace(t)
	p.add(t, "lead", Lead)
	p.add(t, "mina", Registrar)
	s, lead := p.signIn(t, "mina"), p.signIn(t, "lead")
	must(t, p.Disable(ctx, lead.Actor, "mina"))
	if _, ok := p.Session(s.Token); ok {
		t.Fatal("still in")
	}
	if _, ok := p.Session(lead.Token); !ok {
		t.Fatal("the lead too")
	}
}

func TestAPersonSignsWithTheirOwnKey(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	s := p.signIn(t, "mina")
	sig, ok := s.Sign([]byte("erase it"))
	public := p.snapshot()[0].Sign
	if !ok || !ed25519.Verify(public[:], []byte(signPurpose+"erase it"), sig) {
		t.Fatal("not the account's signature")
	}
	again, _ := p.Session(s.Token)
	p.SignOut(s.Token)
	for _, ended := range []Session{s, again, {}} {
		if _, ok := ended.Sign([]byte("erase it")); ok {
			t.Fatal("a session that ended still signs")
		}
	}
}

func TestSessionsAreNotWithoutEnd(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	a := p.snapshot()[0]
	private, ok, err := a.unwrap(ctx, secret)
	if err != nil || !ok {
		t.Fatal(err)
	}
	begin := func() Session {
		t.Helper()
		s, err := p.begin(a, private, Device{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := begin()
	for range maxSessions {
		p.clock.Advance(time.Second / 10)
		begin()
	}
	if _, ok := p.Session(first.Token); ok || len(p.sessions) != maxSessions {
		t.Fatalf("%d sessions", len(p.sessions))
	}
}

// Somebody whose passphrase was being compared when the box was locked stays outside, and
// nothing is written under a key that was forgotten.
func TestNobodySignsInAfterTheEnd(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	s := p.signIn(t, "mina")
	p.Close()
	if _, ok := p.Session(s.Token); ok {
		t.Fatal("a session goes on")
	}
	if _, ok := s.Sign([]byte("x")); ok {
		t.Fatal("a key is still there")
	}
	if _, err := p.SignIn(ctx, "mina", secret); fault.Of(err).Key != "fault.oplog.closed" {
		t.Fatal(err)
	}
	if _, err := p.Add(ctx, Operator(), NewAccount{User: "omar", Role: Registrar, Passphrase: secret}); fault.Of(err).Key != "fault.identity.closed" {
		t.Fatal(err)
	}
}

func BenchmarkSession(b *testing.B) {
	p := openPlace(b)
	p.add(b, "mina", Lead)
	s := p.signIn(b, "mina")
	for b.Loop() {
		if _, ok := p.Session(s.Token); !ok {
			b.Fatal("gone")
		}
	}
}
