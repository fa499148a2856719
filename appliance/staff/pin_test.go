package staff

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
)

var pin = []byte("482 915")

// phone signs somebody in on a device of theirs, with a PIN.
func (p *place) phone(t *testing.T, user string) (Session, context.Context) {
	t.Helper()
	s, err := p.from("10.42.0.7", Device{Agent: "Mozilla/5.0 (Linux; Android 14) Chrome/140"}, user, secret)
	must(t, err)
	on := OnDevice(identity.From(ctx, "10.42.0.7"), Device{Cookie: s.Device})
	must(t, p.SetPIN(on, s.Token, nil, pin))
	return s, on
}

func TestAPINWakesASession(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	s, on := p.phone(t, "mina")
	for range 3 {
		p.clock.Advance(sessionIdle + time.Second)
		if _, ok := p.Session(s.Token); ok {
			t.Fatal("still open")
		}
		if _, ok := s.Sign([]byte("x")); ok {
			t.Fatal("a session that rests signs")
		}
		r, ok := p.Resting(s.Token)
		if !ok || !r.PIN || !r.Rests || r.Actor.Name != "mina" || r.CSRF != s.CSRF {
			t.Fatalf("%+v %v", r, ok)
		}
		woken, err := p.Wake(on, s.Token, []byte("٤٨٢٩١٥"))
		must(t, err)
		if !woken.Narrow || woken.Token != s.Token {
			t.Fatalf("%+v", woken)
		}
		if _, ok := woken.Sign([]byte("x")); !ok {
			t.Fatal("woken without keys")
		}
	}
	p.clock.Advance(sessionLife)
	if _, err := p.Wake(on, s.Token, pin); fault.Of(err).Key != "fault.staff.sign_in" {
		t.Fatalf("after eight hours: %v", err)
	}
}

// After a minute what is sealed is closed; ordinary pages go on and do not open it again,
// and neither does a page that looks by itself.
func TestWhatIsSealedClosesAfterAMinute(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	s, on := p.phone(t, "mina")
	for range 5 {
		p.clock.Advance(narrowIdle)
		if got, _ := p.Session(s.Token); !got.Narrow {
			t.Fatal("closed under somebody's hands")
		}
	}
	p.clock.Advance(narrowIdle / 2)
	p.Glance(s.Token)
	p.clock.Advance(narrowIdle/2 + time.Second)
	for range 2 {
		if got, ok := p.Session(s.Token); !ok || got.Narrow {
			t.Fatalf("open after a quiet minute: %+v %v", got, ok)
		}
	}
	if r, ok := p.Resting(s.Token); !ok || r.Rests || !r.PIN {
		t.Fatalf("%+v %v", r, ok)
	}
	if got, err := p.Wake(on, s.Token, pin); err != nil || !got.Narrow {
		t.Fatal(err)
	}
	p.Rest(s.Token, false)
	if got, ok := p.Session(s.Token); !ok || got.Narrow {
		t.Fatal("a page said that nobody is there")
	}
	p.Rest(s.Token, true)
	if _, ok := p.Session(s.Token); ok {
		t.Fatal("the whole session should rest")
	}
}

func TestFiveWrongPINsEndTheSession(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	s, on := p.phone(t, "mina")
	p.Rest(s.Token, true)
	for left := maxWrong - 1; left > 0; left-- {
		_, err := p.Wake(on, s.Token, []byte("111112"))
		wantFault(t, err, fault.Denied, "fault.staff.wrong_pin")
		if n := fault.Of(err).Args["Count"]; n != left {
			t.Fatalf("%v left, not %d", n, left)
		}
	}
	_, err := p.Wake(on, s.Token, []byte("not even digits"))
	wantFault(t, err, fault.Denied, "fault.staff.pin_over")
	_, err = p.Wake(on, s.Token, pin)
	wantFault(t, err, fault.Unauthenticated, "fault.staff.sign_in")
	again, err := p.SignIn(on, "mina", secret)
	must(t, err)
	if p.HasPIN(again.Token) {
		t.Fatal("the PIN is still there")
	}
}

// Whoever has the session cookie but not the device, or the device but not the session.
func TestAPINWorksOnItsDeviceOnly(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	p.add(t, "omar", Registrar)
	s, on := p.phone(t, "mina")
	other, err := p.from("10.42.0.8", Device{}, "mina", secret)
	must(t, err)
	elsewhere := OnDevice(ctx, Device{Cookie: other.Device})
	p.Rest(s.Token, true)
	for name, c := range map[string]context.Context{"another device": elsewhere, "no device": ctx} {
		if _, err := p.Wake(c, s.Token, pin); fault.Of(err).Key != "fault.staff.wrong_pin" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p.HasPIN(other.Token) {
		t.Error("a PIN on a device it was not set on")
	}
	// Somebody else on the same tablet has no PIN there.
	shared, err := p.SignIn(on, "omar", secret)
	must(t, err)
	if p.HasPIN(shared.Token) {
		t.Error("one person's PIN is another's")
	}
	// A cookie this node never gave is not taken over.
	planted := deviceText.EncodeToString(make([]byte, deviceNonce))
	made, err := p.from("10.42.0.9", Device{Cookie: planted}, "omar", secret)
	if err != nil || made.Device == planted || made.Device == "" {
		t.Fatal(made.Device, err)
	}
}

// Without a PIN the passphrase wakes a session, so that nothing typed is lost either way.
func TestThePassphraseWakesToo(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	s := p.signIn(t, "mina")
	p.clock.Advance(sessionIdle + time.Second)
	_, err := p.Wake(ctx, s.Token, []byte("a guess"))
	wantFault(t, err, fault.Denied, "fault.staff.wrong_sign_in")
	woken, err := p.Wake(ctx, s.Token, secret)
	must(t, err)
	if _, ok := woken.Sign(nil); !ok {
		t.Fatal("no keys")
	}
}

func TestSettingAPIN(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	s, err := p.from("10.42.0.7", Device{}, "mina", secret)
	must(t, err)
	on := OnDevice(identity.From(ctx, "10.42.0.7"), Device{Cookie: s.Device})
	for typed, key := range map[string]string{
		"": "pin_form", "12345": "pin_form", "1234567": "pin_form", "12a456": "pin_form", "123456": "pin_easy", "654321": "pin_easy",
		"777777": "pin_easy", "121212": "pin_easy", "123123": "pin_easy",
	} {
		wantFault(t, p.SetPIN(on, s.Token, nil, []byte(typed)), fault.Invalid, "fault.staff."+key)
	}
	wantFault(t, p.SetPIN(ctx, s.Token, nil, pin), fault.Conflict, "fault.staff.pin_device")
	wantFault(t, p.SetPIN(on, "x", nil, pin), fault.Unauthenticated, "fault.staff.sign_in")
	must(t, p.SetPIN(on, s.Token, nil, pin))
	wantFault(t, p.SetPIN(on, s.Token, nil, []byte("907351")), fault.Denied, "fault.staff.wrong_sign_in") // a thief changes it
	must(t, p.SetPIN(on, s.Token, secret, []byte("907351")))
	p.ForgetPIN(s.Token)
	if p.HasPIN(s.Token) {
		t.Fatal("still there")
	}
	p.clock.Advance(pinFresh + time.Second)
	wantFault(t, p.SetPIN(on, s.Token, nil, pin), fault.Denied, "fault.staff.wrong_sign_in")
	p.reopen(t) // a restart forgets devices, sessions and PINs
	if again, err := p.SignIn(on, "mina", secret); err != nil || p.HasPIN(again.Token) || again.Device != s.Device {
		t.Fatal(err)
	}
}

// TestAPINLeavesNothingOnDisk: setting and using one writes no byte anywhere, so there is
// nothing to guess it at.
func TestAPINLeavesNothingOnDisk(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	s, err := p.from("10.42.0.7", Device{}, "mina", secret)
	must(t, err)
	on := OnDevice(ctx, Device{Cookie: s.Device})
	image := func() map[string][]byte {
		out := map[string][]byte{}
		must(t, filepath.WalkDir(p.dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			out[path] = raw
			return err
		}))
		return out
	}
	before, ops := image(), p.log.Heads()
	must(t, p.SetPIN(on, s.Token, nil, pin))
	p.Rest(s.Token, true)
	_, err = p.Wake(on, s.Token, pin)
	must(t, err)
	after := image()
	if len(before) == 0 || len(before) != len(after) || !slices.Equal(ops, p.log.Heads()) {
		t.Fatalf("%d files became %d, or the journal grew", len(before), len(after))
	}
	for path, raw := range before {
		if !bytes.Equal(raw, after[path]) {
			t.Errorf("%s changed", path)
		}
	}
}

func TestAFormIsHeldWhileItsSessionRests(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	s, on := p.phone(t, "mina")
	form := Held{Path: "/people", Focus: "notes", Sent: true, Fields: map[string][]string{"notes": {"half a sen"}}}
	p.Rest(s.Token, true)
	if !p.Hold(s.Token, form) || p.Hold("x", form) {
		t.Fatal("not held, or held for nobody")
	}
	if _, ok := p.Unhold(s.Token, "/people", true); ok {
		t.Fatal("given back before it was woken")
	}
	_, err := p.Wake(on, s.Token, pin)
	must(t, err)
	if _, ok := p.Unhold(s.Token, "/elsewhere", true); ok {
		t.Fatal("given to another page")
	}
	got, ok := p.Unhold(s.Token, "/people", true)
	if !ok || got.Fields["notes"][0] != "half a sen" || got.Focus != "notes" {
		t.Fatalf("%+v %v", got, ok)
	}
	if _, ok := p.Unhold(s.Token, "/people", true); ok {
		t.Fatal("given twice")
	}
	if p.Hold(s.Token, Held{Fields: map[string][]string{"x": {string(make([]byte, maxHeld+1))}}}) {
		t.Fatal("without end")
	}
	p.SignOut(s.Token)
	if p.Hold(s.Token, form) {
		t.Fatal("held for a session that is over")
	}
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	p.add(t, "omar", Registrar)
	mina, _ := p.phone(t, "mina")
	omar, err := p.from("10.42.0.8", Device{Agent: "Mozilla/5.0 (Windows NT 10.0) Firefox/140"}, "omar", secret)
	must(t, err)
	second, err := p.from("10.42.0.9", Device{}, "omar", secret)
	must(t, err)
	own, err := p.Sessions(omar.Actor, omar.Token, false)
	if err != nil || len(own) != 2 {
		t.Fatal(own, err)
	}
	_, err = p.Sessions(omar.Actor, omar.Token, true)
	wantFault(t, err, fault.Denied, "fault.staff.not_allowed")
	all, err := p.Sessions(mina.Actor, mina.Token, true)
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	labels := map[string]bool{}
	for _, s := range all {
		labels[s.Label] = true
		if s.This != (s.User == "mina") || s.PIN != (s.User == "mina") {
			t.Errorf("%+v", s)
		}
		if s.User == "mina" {
			wantFault(t, p.EndSession(omar.Actor, s.ID), fault.NotFound, "fault.staff.no_session")
		}
	}
	if !labels["Android · Chrome"] || !labels["Windows · Firefox"] {
		t.Errorf("%v", labels)
	}
	p.EndOthers(omar.Actor, omar.Token)
	if _, ok := p.Session(second.Token); ok {
		t.Fatal("still in")
	}
	own, _ = p.Sessions(omar.Actor, omar.Token, false)
	if len(own) != 1 || !own[0].This {
		t.Fatalf("%+v", own)
	}
	must(t, p.EndSession(mina.Actor, own[0].ID))
	if _, ok := p.Session(omar.Token); ok {
		t.Fatal("a lead ends it")
	}
}
