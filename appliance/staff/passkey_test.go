package staff

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/staff/stafftest"
)

const boxPage = "https://waypost.internal:8443"

// passkey signs somebody in on a phone of theirs, without a PIN, and sets a passkey up.
func (p *place) passkey(t *testing.T, user string, phone *stafftest.Phone) (Session, context.Context) {
	t.Helper()
	s, err := p.from("10.42.0.7", Device{Agent: "Mozilla/5.0 (Linux; Android 14) Chrome/140"}, user, secret)
	must(t, err)
	on := OnDevice(identity.From(ctx, "10.42.0.7"), Device{Cookie: s.Device, Agent: "Android Chrome"})
	must(t, p.makes(on, s, phone))
	return s, on
}

// makes sets a passkey up.
func (p *place) makes(on context.Context, s Session, phone *stafftest.Phone) error {
	options, err := p.AskPasskey(on, s.Token, boxPage, nil)
	if err != nil {
		return err
	}
	return p.AddPasskey(on, s.Token, phone.Make(boxPage, options))
}

// wakes uses it.
func (p *place) wakes(on context.Context, s Session, phone *stafftest.Phone) (Session, error) {
	options, err := p.AskWake(s.Token, boxPage)
	if err != nil {
		return Session{}, err
	}
	return p.WakeByPasskey(on, s.Token, phone.Use(boxPage, options))
}

func TestAPasskeyWakesASession(t *testing.T) {
	for name, alg := range map[string]int{"ES256": -7, "EdDSA": -8, "RS256": -257} {
		t.Run(name, func(t *testing.T) {
			p := openPlace(t)
			p.add(t, "mina", Lead)
			phone := stafftest.NewAlg(alg)
			s, on := p.passkey(t, "mina", phone)
			for range 3 {
				p.clock.Advance(sessionIdle + time.Second)
				r, ok := p.Resting(s.Token)
				if !ok || r.PIN || !r.Passkey || !r.Rests {
					t.Fatalf("%+v %v", r, ok)
				}
				woken, err := p.wakes(on, s, phone)
				must(t, err)
				if !woken.Narrow || woken.Token != s.Token || woken.CSRF != s.CSRF {
					t.Fatalf("%+v", woken)
				}
				if _, ok := woken.Sign([]byte("x")); !ok {
					t.Fatal("woken without keys")
				}
				p.clock.Advance(narrowIdle + time.Second)
				if got, ok := p.Session(s.Token); !ok || got.Narrow {
					t.Fatal("what is sealed stays open")
				}
				woken, err = p.wakes(on, s, phone)
				if err != nil || !woken.Narrow {
					t.Fatalf("%+v %v", woken, err)
				}
			}
			list := p.Passkeys(s.Token)
			if len(list) != 1 || !list[0].Here || list[0].Copied || list[0].Label != "Android · Chrome" || list[0].Made.IsZero() {
				t.Fatalf("%+v", list)
			}
			p.clock.Advance(sessionLife)
			if _, err := p.wakes(on, s, phone); fault.Of(err).Key != "fault.staff.sign_in" {
				t.Fatalf("after eight hours: %v", err)
			}
		})
	}
}

// What goes to the phone asks for nothing about the phone and says no name.
func TestWhatAPhoneIsAsked(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	phone := stafftest.New()
	s, on := p.passkey(t, "mina", phone)
	raw, err := p.AskPasskey(on, s.Token, boxPage, nil)
	must(t, err)
	o := stafftest.Read(raw).PublicKey
	if o.RP.ID != PasskeyDomain || o.Selection.UserVerification != "required" || o.Selection.ResidentKey != "discouraged" || o.Attestation != "none" || o.Timeout != 120_000 {
		t.Errorf("%s", raw)
	}
	if len(o.Exclude) != 1 || o.Exclude[0].ID != base64.RawURLEncoding.EncodeToString(phone.ID) || len(o.Params) != 3 {
		t.Errorf("%s", raw)
	}
	if bytes.Contains(raw, []byte("mina")) || o.User.Name != s.Actor.ID.String() {
		t.Errorf("a name goes to the phone: %s", raw)
	}
	raw, err = p.AskWake(s.Token, boxPage)
	must(t, err)
	if u := stafftest.Read(raw).PublicKey; u.RPID != PasskeyDomain || u.Verify != "required" || len(u.Allow) != 1 || len(u.Challenge) < 43 || u.Challenge == o.Challenge {
		t.Errorf("%s", raw)
	}
}

// TestWrongAnswersMakeNoPasskey gives the box everything but the right answer.
func TestWrongAnswersMakeNoPasskey(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	old := stafftest.New()
	s, on := p.passkey(t, "mina", old)
	for name, spoil := range map[string]func(*stafftest.Phone){
		"another party":        func(f *stafftest.Phone) { f.RP = "bank.example" },
		"the party of a child": func(f *stafftest.Phone) { f.RP = "n1.waypost.internal" },
		"another page":         func(f *stafftest.Phone) { f.Origin = "https://evil.example" },
		"a page over http":     func(f *stafftest.Phone) { f.Origin = "http://waypost.internal:8443" },
		"another port":         func(f *stafftest.Phone) { f.Origin = "https://waypost.internal" },
		"another box's name":   func(f *stafftest.Phone) { f.Origin = "https://n1.waypost.internal:8443" },
		"an older question":    func(f *stafftest.Phone) { f.Challenge = base64.RawURLEncoding.EncodeToString(make([]byte, 32)) },
		"the other ceremony":   func(f *stafftest.Phone) { f.Type = "webauthn.get" },
		"nobody verified":      func(f *stafftest.Phone) { f.Flags = stafftest.Present },
		"nobody there":         func(f *stafftest.Phone) { f.Flags = stafftest.Verified },
		"backed but not so":    func(f *stafftest.Phone) { f.Flags |= stafftest.Backed },
		"inside a page":        func(f *stafftest.Phone) { f.Top = "https://evil.example" },
		"a TPM's word":         func(f *stafftest.Phone) { f.Format = "tpm" },
		"packed, unsigned":     func(f *stafftest.Phone) { f.Format = "packed" },
		"one that is there":    func(f *stafftest.Phone) { f.ID = old.ID },
		"an endless id":        func(f *stafftest.Phone) { f.ID = make([]byte, 1024) },
		"no id":                func(f *stafftest.Phone) { f.ID = nil },
		"another algorithm":    func(f *stafftest.Phone) { f.Alg = -35 },
	} {
		options, err := p.AskPasskey(on, s.Token, boxPage, nil)
		must(t, err)
		phone := stafftest.New()
		spoil(phone)
		if err := p.AddPasskey(on, s.Token, phone.Make(boxPage, options)); fault.Of(err) == nil || fault.Of(err).Key != "fault.staff.passkey_failed" {
			t.Errorf("%s: %v", name, err)
		}
	}
	options, err := p.AskPasskey(on, s.Token, boxPage, nil)
	must(t, err)
	answer := stafftest.New().Make(boxPage, options)
	for name, a := range map[string][]byte{"nothing": nil, "no JSON": []byte("{"), "two": append(bytes.Clone(answer), answer...), "too long": append(bytes.Clone(answer), bytes.Repeat([]byte(" "), MaxPasskeyAnswer)...)} {
		wantFault(t, p.AddPasskey(on, s.Token, a), fault.Invalid, "fault.staff.passkey_failed")
		_ = name
	}
	wantFault(t, p.AddPasskey(on, s.Token, answer), fault.Invalid, "fault.staff.passkey_failed") // the question was used up
	options, err = p.AskPasskey(on, s.Token, boxPage, nil)
	must(t, err)
	p.clock.Advance(passkeyWait + time.Second)
	wantFault(t, p.AddPasskey(on, s.Token, stafftest.New().Make(boxPage, options)), fault.Invalid, "fault.staff.passkey_failed")
	if n := len(p.Passkeys(s.Token)); n != 1 {
		t.Fatalf("%d passkeys", n)
	}
}

// TestWrongAnswersWakeNothing: every wrong answer is answered alike and is one of five tries.
func TestWrongAnswersWakeNothing(t *testing.T) {
	other := stafftest.New()
	for name, spoil := range map[string]func(*stafftest.Phone){
		"another phone":      func(f *stafftest.Phone) { id := f.ID; *f = *stafftest.New(); f.ID = id },
		"an unknown passkey": func(f *stafftest.Phone) { *f = *other },
		"another party":      func(f *stafftest.Phone) { f.RP = "bank.example" },
		"another page":       func(f *stafftest.Phone) { f.Origin = "https://evil.waypost.internal.example" },
		"another box's name": func(f *stafftest.Phone) { f.Origin = "https://n1.waypost.internal:8443" },
		"an older question":  func(f *stafftest.Phone) { f.Challenge = base64.RawURLEncoding.EncodeToString(make([]byte, 32)) },
		"the other ceremony": func(f *stafftest.Phone) { f.Type = "webauthn.create" },
		"nobody verified":    func(f *stafftest.Phone) { f.Flags = stafftest.Present },
		"nobody there":       func(f *stafftest.Phone) { f.Flags = stafftest.Verified },
		"synced all at once": func(f *stafftest.Phone) { f.Flags |= stafftest.Synced },
		"inside a page":      func(f *stafftest.Phone) { f.Top = "https://evil.example" },
		"another user":       func(f *stafftest.Phone) { f.User = make([]byte, 8) },
	} {
		t.Run(name, func(t *testing.T) {
			p := openPlace(t)
			p.add(t, "mina", Lead)
			phone := stafftest.New()
			s, on := p.passkey(t, "mina", phone)
			p.Rest(s.Token, true)
			bad := *phone
			spoil(&bad)
			_, err := p.wakes(on, s, &bad)
			wantFault(t, err, fault.Denied, "fault.staff.wrong_passkey")
			if n := fault.Of(err).Args["Count"]; n != maxWrong-1 {
				t.Errorf("%v left", n)
			}
			if _, ok := p.Session(s.Token); ok {
				t.Fatal("it is open")
			}
			good := *phone
			good.Count += 5
			if _, err := p.wakes(on, s, &good); err != nil {
				t.Fatalf("afterwards: %v", err)
			}
		})
	}
}

// An answer is taken once, and in time.
func TestAnAnswerIsTakenOnce(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	phone := stafftest.New()
	phone.Counts = false // as most phones: the counter does not notice
	s, on := p.passkey(t, "mina", phone)
	p.Rest(s.Token, true)
	options, err := p.AskWake(s.Token, boxPage)
	must(t, err)
	answer := phone.Use(boxPage, options)
	_, err = p.WakeByPasskey(on, s.Token, answer)
	must(t, err)
	if _, err = p.WakeByPasskey(on, s.Token, []byte("nonsense")); err != nil {
		t.Fatalf("another page was quicker, and that is no wrong try: %v", err)
	}
	p.Rest(s.Token, true)
	_, err = p.WakeByPasskey(on, s.Token, answer)
	wantFault(t, err, fault.Denied, "fault.staff.wrong_passkey")
	options, err = p.AskWake(s.Token, boxPage)
	must(t, err)
	p.clock.Advance(passkeyWait + time.Second)
	_, err = p.WakeByPasskey(on, s.Token, phone.Use(boxPage, options))
	wantFault(t, err, fault.Denied, "fault.staff.wrong_passkey")
	// The last question counts, and one for setting up is none for waking.
	first, err := p.AskWake(s.Token, boxPage)
	must(t, err)
	second, err := p.AskWake(s.Token, boxPage)
	must(t, err)
	_, err = p.WakeByPasskey(on, s.Token, phone.Use(boxPage, first))
	wantFault(t, err, fault.Denied, "fault.staff.wrong_passkey")
	_, err = p.WakeByPasskey(on, s.Token, phone.Use(boxPage, second))
	wantFault(t, err, fault.Denied, "fault.staff.wrong_passkey") // it went with the wrong answer
	_, err = p.AskPasskey(on, s.Token, boxPage, secret)
	wantFault(t, err, fault.Unauthenticated, "fault.staff.sign_in") // one that rests makes none
	_, err = p.WakeByPasskey(on, s.Token, nil)
	wantFault(t, err, fault.Denied, "fault.staff.passkey_over")
	_, err = p.AskWake(s.Token, boxPage)
	wantFault(t, err, fault.Unauthenticated, "fault.staff.sign_in")
}

// Wrong PINs and wrong passkeys are counted together.
func TestTriesAreCountedTogether(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	s, on := p.passkey(t, "mina", stafftest.New())
	must(t, p.SetPIN(on, s.Token, nil, pin))
	p.Rest(s.Token, true)
	for range 4 {
		_, err := p.Wake(on, s.Token, []byte("111112"))
		wantFault(t, err, fault.Denied, "fault.staff.wrong_pin")
	}
	_, err := p.wakes(on, s, stafftest.New())
	wantFault(t, err, fault.Denied, "fault.staff.passkey_over")
	again, err := p.SignIn(on, "mina", secret)
	must(t, err)
	if p.HasPIN(again.Token) {
		t.Error("the PIN is still there")
	}
}

// A passkey that signed less often than before is refused, then and for ever.
func TestACounterThatWentBack(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	phone := stafftest.New()
	s, on := p.passkey(t, "mina", phone)
	p.Rest(s.Token, true)
	copied := *phone
	_, err := p.wakes(on, s, phone)
	must(t, err)
	p.Rest(s.Token, true)
	_, err = p.wakes(on, s, &copied)
	wantFault(t, err, fault.Denied, "fault.staff.passkey_copied")
	_, err = p.wakes(on, s, phone)
	wantFault(t, err, fault.NotFound, "fault.staff.no_passkey")
	if list := p.Passkeys(s.Token); len(list) != 1 || !list[0].Copied {
		t.Fatalf("%+v", list)
	}
	if r, _ := p.Resting(s.Token); r.Passkey {
		t.Error("it is offered")
	}
	p.reopen(t)
	s, err = p.SignIn(on, "mina", secret)
	must(t, err)
	if list := p.Passkeys(s.Token); len(list) != 1 || !list[0].Copied || !list[0].Here {
		t.Fatalf("after a restart: %+v", list)
	}
}

// Whoever has the session but not the device, or a passkey of somebody else.
func TestAPasskeyWorksOnItsDeviceOnly(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	p.add(t, "omar", Registrar)
	phone := stafftest.New()
	s, on := p.passkey(t, "mina", phone)
	other, err := p.from("10.42.0.8", Device{}, "mina", secret)
	must(t, err)
	elsewhere := OnDevice(ctx, Device{Cookie: other.Device})
	for name, c := range map[string]context.Context{"another device": elsewhere, "no device": ctx} {
		_, err := p.AskPasskey(c, s.Token, boxPage, nil)
		wantFault(t, err, fault.Conflict, "fault.staff.passkey_device")
		p.Rest(s.Token, false)
		if _, err := p.wakes(c, s, phone); fault.Of(err).Key != "fault.staff.wrong_passkey" {
			t.Errorf("%s: %v", name, err)
		}
		p.Rest(s.Token, true)
		if _, err := p.wakes(c, s, phone); fault.Of(err).Key != "fault.staff.wrong_passkey" {
			t.Errorf("%s, at rest: %v", name, err)
		}
		if _, err := p.wakes(on, s, phone); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.AskWake(other.Token, boxPage); fault.Of(err).Key != "fault.staff.no_passkey" {
		t.Errorf("a passkey on a device it was not made on: %v", err)
	}
	shared, err := p.SignIn(on, "omar", secret)
	must(t, err)
	if _, err := p.AskWake(shared.Token, boxPage); fault.Of(err).Key != "fault.staff.no_passkey" {
		t.Errorf("one person's passkey is another's: %v", err)
	}
	if err := p.RemovePasskey(shared.Actor, p.Passkeys(s.Token)[0].ID); fault.Of(err).Key != "fault.staff.no_passkey" {
		t.Errorf("somebody else takes it away: %v", err)
	}
}

// A passkey outlives a restart of the box, and opens nothing there before the passphrase.
func TestAPasskeyAfterARestart(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	phone := stafftest.New()
	s, on := p.passkey(t, "mina", phone)
	p.reopen(t)
	if _, err := p.AskWake(s.Token, boxPage); fault.Of(err).Key != "fault.staff.sign_in" {
		t.Fatalf("%v", err)
	}
	again, err := p.SignIn(on, "mina", secret)
	must(t, err)
	p.Rest(again.Token, true)
	_, err = p.wakes(on, again, phone)
	must(t, err)
	p.Close() // the count is written
	p.reopen(t)
	again, err = p.SignIn(on, "mina", secret)
	must(t, err)
	p.Rest(again.Token, true)
	old := *phone
	old.Count = 1
	_, err = p.wakes(on, again, &old)
	wantFault(t, err, fault.Denied, "fault.staff.passkey_copied")
}

// As for a PIN: long after signing in a phone that lies about gets no passkey.
func TestALatePasskeyTakesThePassphrase(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	s, on := p.passkey(t, "mina", stafftest.New())
	p.clock.Advance(pinFresh + time.Second)
	_, err := p.AskPasskey(on, s.Token, boxPage, []byte("wrong words"))
	wantFault(t, err, fault.Denied, "fault.staff.wrong_sign_in")
	_, err = p.AskPasskey(on, s.Token, boxPage, secret)
	must(t, err)
}

// TestWhatEndsAPasskey is every way in which one ends.
func TestWhatEndsAPasskey(t *testing.T) {
	for name, end := range map[string]func(p *place, lead Actor, s Session, on context.Context) error{
		"its person": func(p *place, _ Actor, s Session, _ context.Context) error {
			return p.RemovePasskey(s.Actor, p.Passkeys(s.Token)[0].ID)
		},
		"a lead, for a lost phone": func(p *place, lead Actor, s Session, _ context.Context) error {
			all, err := p.Sessions(lead, "", true)
			for _, l := range all {
				if l.Of == s.Actor.ID {
					return p.EndSession(lead, l.ID)
				}
			}
			return err
		},
		"its person, from elsewhere": func(p *place, _ Actor, s Session, _ context.Context) error {
			other, err := p.from("10.42.0.9", Device{}, "mina", secret)
			p.EndOthers(s.Actor, other.Token)
			return err
		},
		"a new passphrase": func(p *place, _ Actor, s Session, on context.Context) error {
			err := p.ChangePassphrase(on, s, secret, []byte("another long one"))
			if err == nil {
				err = p.ChangePassphrase(on, s, []byte("another long one"), secret)
			}
			return err
		},
		"an account that ends": func(p *place, lead Actor, _ Session, _ context.Context) error { return p.Disable(ctx, lead, "mina") },
		"an account that is reset": func(p *place, lead Actor, _ Session, _ context.Context) error {
			_, err := p.Reset(ctx, lead, "mina", secret)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := openPlace(t)
			p.add(t, "mina", Registrar)
			p.add(t, "lena", Lead)
			lead, err := p.SignIn(ctx, "lena", secret)
			must(t, err)
			phone := stafftest.New()
			s, on := p.passkey(t, "mina", phone)
			must(t, end(p, lead.Actor, s, on))
			for range 2 {
				if n := len(p.passkeys.of(s.Actor.ID)); n != 0 {
					t.Fatalf("%d passkeys are left", n)
				}
				if again, err := p.SignIn(on, "mina", secret); err == nil {
					if _, err := p.AskWake(again.Token, boxPage); fault.Of(err).Key != "fault.staff.no_passkey" {
						t.Errorf("%v", err)
					}
				}
				p.reopen(t)
			}
		})
	}
}

func TestPasskeysAreFewAndPublic(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	phone := stafftest.New()
	s, on := p.passkey(t, "mina", phone)
	for range passkeysEach - 1 {
		must(t, p.makes(on, s, stafftest.New()))
	}
	wantFault(t, p.makes(on, s, stafftest.New()), fault.Conflict, "fault.staff.passkey_many")
	// Sealed at rest, and nothing of a passkey is in a fact.
	found := 0
	must(t, filepath.WalkDir(p.dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if strings.HasPrefix(e.Name(), "passkeys") {
			found++
		}
		if bytes.Contains(raw, phone.ID) {
			t.Errorf("%s has the id of a passkey", path)
		}
		return err
	}))
	if found != 2 {
		t.Errorf("%d copies of the file", found)
	}
	for _, origin := range []string{"", "http://waypost.internal", "https://10.42.0.1:8443", "https://waypost.local", "https://evilwaypost.internal", "https://waypost.internal.evil.example", "https://.waypost.internal", "https://waypost.internal/x", "https://u@waypost.internal", "https://waypost.internal."} {
		_, err := p.AskPasskey(on, s.Token, origin, nil)
		wantFault(t, err, fault.Conflict, "fault.staff.passkey_elsewhere")
		_, err = p.AskWake(s.Token, origin)
		wantFault(t, err, fault.Conflict, "fault.staff.passkey_elsewhere")
	}
	for _, origin := range []string{"https://waypost.internal", "https://n1.waypost.internal:8443"} {
		_, err := p.AskWake(s.Token, origin)
		must(t, err)
	}
}

// A file of passkeys that is damaged costs the passkeys and nothing else.
func TestADamagedFileOfPasskeys(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	phone := stafftest.New()
	s, on := p.passkey(t, "mina", phone)
	for _, name := range []string{"passkeys", "passkeys.2"} {
		must(t, os.WriteFile(filepath.Join(p.dir, name), []byte("waypost/sealed/1 nonsense"), 0o600))
	}
	p.reopen(t)
	s, err := p.SignIn(on, "mina", secret)
	must(t, err)
	if len(p.Passkeys(s.Token)) != 0 {
		t.Fatal("out of nowhere")
	}
	must(t, p.makes(on, s, phone))
}

// golden: how the file is written.
func TestThePasskeysFile(t *testing.T) {
	all := []keptPasskey{{Of: ID{1}, Device: [32]byte{2}, Credential: []byte{3}, Public: []byte{4}, Count: 5, Synced: true, Made: 6, Label: "x", Copied: true}}
	raw := encode(keptPasskeys{Version: 1, All: all})
	want := "\xa2\x01\x01\x02\x81\xa9\x01\x48\x01" + strings.Repeat("\x00", 7) + "\x02\x58\x20\x02" + strings.Repeat("\x00", 31) + "\x03\x41\x03\x04\x41\x04\x05\x05\x06\xf5\x07\x06\x08\x61x\x09\xf5"
	if string(raw) != want {
		t.Fatalf("%x", raw)
	}
	if got, err := parsePasskeys(raw); err != nil || len(got) != 1 || got[0].id() != all[0].id() {
		t.Fatalf("%+v %v", got, err)
	}
	for name, bad := range map[string]keptPasskeys{
		"another version": {Version: 2}, "no id": {Version: 1, All: []keptPasskey{{Public: []byte{1}}}}, "no key": {Version: 1, All: []keptPasskey{{Credential: []byte{1}}}},
		"an endless id": {Version: 1, All: []keptPasskey{{Credential: make([]byte, maxCredential+1), Public: []byte{1}}}},
	} {
		if _, err := parsePasskeys(encode(bad)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// FuzzMadePasskey and FuzzUsedPasskey read whatever a browser may send.
func FuzzMadePasskey(f *testing.F) {
	party, err := newParty(boxPage)
	if err != nil {
		f.Fatal(err)
	}
	options, q, err := party.askNew(passkeyUser{id: ID{1}})
	if err != nil {
		f.Fatal(err)
	}
	for _, alg := range []int{-7, -8, -257} {
		f.Add(stafftest.NewAlg(alg).Make(boxPage, options))
	}
	packed := stafftest.New()
	packed.Format = "packed"
	f.Add(packed.Make(boxPage, options))
	f.Add([]byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if k, ok := q.made(ID{1}, answer); ok && len(k.Credential) == 0 {
			t.Errorf("%+v", k)
		}
	})
}

func FuzzUsedPasskey(f *testing.F) {
	party, err := newParty(boxPage)
	if err != nil {
		f.Fatal(err)
	}
	phone := stafftest.New()
	options, q, err := party.askNew(passkeyUser{id: ID{1}})
	if err != nil {
		f.Fatal(err)
	}
	k, ok := q.made(ID{1}, phone.Make(boxPage, options))
	if !ok {
		f.Fatal("not taken")
	}
	user := passkeyUser{ID{1}, []keptPasskey{k}}
	options, q, err = party.askUse(user)
	if err != nil {
		f.Fatal(err)
	}
	right := phone.Use(boxPage, options)
	f.Add(right)
	f.Add([]byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if id, _, ok := q.used(user, answer); ok && !bytes.Equal(id, phone.ID) {
			t.Errorf("%x", id)
		}
	})
}
