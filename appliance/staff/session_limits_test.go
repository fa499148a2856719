package staff

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
)

// from signs in from a client of the network, on a device.
func (p *place) from(client string, on Device, user string, passphrase []byte) (Session, error) {
	return p.SignIn(OnDevice(identity.From(ctx, client), on), user, passphrase)
}

// TestGuessingANameFromEverywhere: ten thousand guesses from two hundred addresses at
// one name are ten comparisons an hour, and nobody else notices: not another name from
// the same address, not the owner on their own device or at this machine.
func TestGuessingANameFromEverywhere(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	p.add(t, "omar", Lead)
	own, err := p.from("10.42.0.7", Device{}, "mina", secret)
	must(t, err)
	p.reopen(t) // the device is known after a restart too
	hours := 0
	for n := range 10_000 {
		if n%1000 == 999 {
			p.clock.Advance(triesWithin)
			hours++
		}
		before := p.compared.Load()
		_, err := p.from(fmt.Sprintf("10.42.%d.%d", n%200, n%250), Device{}, "mina", []byte("a guess"))
		if f := fault.Of(err); f.Key != "fault.staff.wrong_sign_in" && f.Key != "fault.staff.too_many_tries" || f.Key == "fault.staff.too_many_tries" && p.compared.Load() != before {
			t.Fatal(n, err)
		}
	}
	if got := p.compared.Load(); got > int64(maxTries*(hours+1)) {
		t.Fatalf("%d guesses were compared in %d hours", got, hours)
	}
	t.Logf("10,000 guesses from 200 addresses in %d hours: %d compared", hours, p.compared.Load())
	p.clock.Advance(triesWithin)
	for range maxTries {
		_, _ = p.from("10.42.0.66", Device{}, "mina", []byte("a guess"))
	}
	_, err = p.from("10.42.0.6", Device{}, "mina", secret) // one phone keeps nobody out
	must(t, err)
	for range maxTries {
		_, _ = p.from("10.42.0.67", Device{}, "mina", []byte("a guess"))
	}
	_, err = p.from("10.42.0.7", Device{}, "mina", secret)
	wantFault(t, err, fault.Busy, "fault.staff.too_many_tries") // on a device of nobody's
	for name, c := range map[string]struct {
		client string
		on     Device
		user   string
	}{
		"another name from there":    {"10.42.0.66", Device{}, "omar"},
		"the owner's own device":     {"10.42.0.8", Device{Cookie: own.Device}, "mina"},
		"the owner at this machine":  {"", Device{}, "mina"},
		"another name from anywhere": {"10.42.9.9", Device{}, "omar"},
	} {
		if _, err := p.from(c.client, c.on, c.user, secret); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A name that comes in does not give strangers ten more tries, and the device of one
// person is no help in guessing at another.
func TestTheRightPassphraseForgivesStrangersNothing(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	p.add(t, "omar", Registrar)
	omar, err := p.from("10.42.0.9", Device{}, "omar", secret)
	must(t, err)
	for n := range maxTries - 1 {
		_, err := p.from(fmt.Sprintf("10.42.0.%d", 66+n%2), Device{}, "mina", []byte("a guess"))
		wantFault(t, err, fault.Denied, "fault.staff.wrong_sign_in")
	}
	_, err = p.from("10.42.0.7", Device{}, "mina", secret)
	must(t, err)
	_, err = p.from("10.42.0.68", Device{Cookie: omar.Device}, "mina", []byte("a guess"))
	wantFault(t, err, fault.Denied, "fault.staff.wrong_sign_in")
	_, err = p.from("10.42.0.69", Device{Cookie: omar.Device}, "mina", []byte("a guess"))
	wantFault(t, err, fault.Busy, "fault.staff.too_many_tries")
}

// TestKnownAndUnknownNamesCostTheSame counts what takes time: one passphrase stretched,
// with the same cost, whether there is such a name, such a badge, or neither; and both
// run out of tries alike.
func TestKnownAndUnknownNamesCostTheSame(t *testing.T) {
	p := openPlace(t)
	a := p.add(t, "mina", Lead)
	for _, user := range []string{"mina", "nobody", a.Badge, "000-000-00D", strings.Repeat("x", 5000)} {
		p.clock.Advance(triesWithin)
		for n := range maxTries + 2 {
			before := p.compared.Load()
			_, err := p.from(fmt.Sprintf("10.42.0.%d", n%3), Device{}, user, []byte("a guess"))
			want, key := int64(1), "fault.staff.wrong_sign_in"
			if n >= maxTries {
				want, key = 0, "fault.staff.too_many_tries"
			}
			if got := p.compared.Load() - before; got != want || fault.Of(err).Key != key {
				t.Fatalf("%.20q, try %d: %d compared, %v", user, n, got, err)
			}
		}
	}
	if p.dummy.cost() != p.snapshot()[0].cost() {
		t.Fatal("an unknown name takes another time")
	}
}

// A badge and the name behind it are guessed at together.
func TestABadgeIsTheName(t *testing.T) {
	p := openPlace(t)
	a := p.add(t, "mina", Lead)
	if s, err := p.SignIn(ctx, BadgeText(a.Badge), secret); err != nil || s.Actor.ID != a.ID {
		t.Fatal(err)
	}
	for n := range maxTries {
		_, err := p.from(fmt.Sprintf("10.42.0.%d", n%2), Device{}, []string{"mina", a.Badge, strings.ToLower(a.Badge)}[n%3], []byte("a guess"))
		wantFault(t, err, fault.Denied, "fault.staff.wrong_sign_in")
	}
	_, err := p.from("10.42.0.66", Device{}, a.Badge, secret)
	wantFault(t, err, fault.Busy, "fault.staff.too_many_tries")
	if parseBadge(a.Badge) == "" || parseBadge(a.Badge[:len(a.Badge)-1]+"0") != "" && a.Badge[len(a.Badge)-1] != '0' {
		t.Error("a code with a wrong last letter")
	}
}

func FuzzBadge(f *testing.F) {
	f.Add("WPS1:000-000-000")
	f.Fuzz(func(t *testing.T, text string) {
		if code := parseBadge(text); code != "" && parseBadge(showBadge(code)) != code {
			t.Fatal(code)
		}
	})
}

func FuzzDeviceCookie(f *testing.F) {
	f.Add(deviceText.EncodeToString(make([]byte, deviceNonce+deviceMark)))
	f.Fuzz(func(t *testing.T, text string) {
		nonce, marks, ok := parseDevice(text)
		if ok && deviceText.EncodeToString(slices.Concat(nonce, marks)) != text {
			t.Fatal("two spellings")
		}
	})
}

// Peek is for streams: looking must not keep somebody signed in.
func TestPeekingKeepsNobodySignedIn(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	s := p.signIn(t, "mina")
	for range 4 {
		p.clock.Advance(sessionIdle / 4)
		if got, ok := p.Peek(s.Token); !ok || got.Actor.ID != s.Actor.ID {
			t.Fatal("gone too early")
		}
	}
	p.clock.Advance(time.Second)
	if _, ok := p.Peek(s.Token); ok {
		t.Fatal("an idle session goes on")
	}
	if _, ok := p.Peek("x"); ok {
		t.Fatal("no session at all")
	}
}
