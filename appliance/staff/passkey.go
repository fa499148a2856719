package staff

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/fault"
)

// A passkey (W3C Web Authentication) does what a PIN does: it wakes a session on the device
// that was signed in with, and nothing else. Its keys come from the copy that only the device
// can open, never from the passkey.

// PasskeyDomain is the relying party of every box, so that a passkey is asked for under every
// name below it.
const PasskeyDomain = "waypost.internal"

// PasskeyHost tells whether pages of a host, without its port, may ask for passkeys.
func PasskeyHost(host string) bool {
	return host == PasskeyDomain || strings.HasSuffix(host, "."+PasskeyDomain) && !strings.HasPrefix(host, ".")
}

// Limits of asking.
const (
	passkeyWait      = 2 * time.Minute // then what was asked is void
	MaxPasskeyAnswer = 16 << 10        // bytes of what a browser answers; before anything of it is read
)

// asked is what a browser was asked, until it answers: one for each session, used once.
type asked struct {
	making   bool // a new passkey; otherwise one is to wake the session
	until    time.Time
	question question
}

// AskPasskey begins to set up a passkey on the device of an open session. It gives what the
// page hands to the browser, as JSON, for AddPasskey within two minutes. origin is of the
// page, as "https://waypost.internal:8443". The passphrase is asked for as for a PIN. Faults:
// Conflict "fault.staff.passkey_elsewhere" and "fault.staff.passkey_device", Unauthenticated
// "fault.staff.sign_in", Conflict "fault.staff.passkey_many", those of SignIn.
func (d *Desk) AskPasskey(ctx context.Context, token, origin string, passphrase []byte) ([]byte, error) {
	party, err := newParty(origin)
	if err != nil {
		return nil, err
	}
	actor, device, err := d.onItsDevice(ctx, token)
	if err != nil {
		return nil, err
	}
	all := d.passkeys.of(actor.ID)
	if len(all) >= passkeysEach {
		return nil, fault.New(fault.Conflict, "fault.staff.passkey_many", "Count", passkeysEach)
	}
	if d.NeedsPassphrase(token) {
		_, private, err := d.prove(ctx, actor.Name, passphrase)
		if err != nil {
			return nil, err
		}
		clear(private)
	}
	here := slices.DeleteFunc(all, func(k keptPasskey) bool { return k.Device != device || k.Copied })
	options, q, err := party.askNew(passkeyUser{actor.ID, here})
	if err != nil {
		return nil, fault.New(fault.Internal, "fault.internal").Wrap(err)
	}
	return d.ask(token, asked{making: true, question: q}, options)
}

// ask notes what a browser is asked. The last question of a session counts.
func (d *Desk) ask(token string, a asked, options []byte) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock.Now()
	s := d.sessionLocked(token, now)
	if s == nil {
		return nil, fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	}
	a.until = now.Add(passkeyWait)
	s.asked = &a
	return options, nil
}

// answeredLocked takes what a session was asked off it: nothing is answered twice.
func (s *session) answeredLocked(making bool, now time.Time) *asked {
	a := s.asked
	s.asked = nil
	if a == nil || a.making != making || now.After(a.until) {
		return nil
	}
	return a
}

// onItsDevice is who an open session is of, and the device, when that is what asks.
func (d *Desk) onItsDevice(ctx context.Context, token string) (Actor, [32]byte, error) {
	nonce, _, known := parseDevice(deviceOf(ctx).Cookie)
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sessionLocked(token, d.clock.Now())
	if s == nil || s.rests {
		return Actor{}, [32]byte{}, fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	}
	if !known || sha256.Sum256(nonce) != s.device {
		return Actor{}, [32]byte{}, fault.New(fault.Conflict, "fault.staff.passkey_device")
	}
	return s.actor, s.device, nil
}

// AddPasskey takes the answer to AskPasskey, in the JSON form of Web Authentication
// (RegistrationResponseJSON), and keeps the passkey for this device. Faults: Invalid
// "fault.staff.passkey_failed" for whatever does not answer it, Unauthenticated
// "fault.staff.sign_in", Conflict "fault.staff.passkey_device" and
// "fault.staff.passkey_many", those of writing.
func (d *Desk) AddPasskey(ctx context.Context, token string, answer []byte) error {
	actor, device, err := d.onItsDevice(ctx, token)
	if err != nil {
		return err
	}
	d.mu.Lock()
	now := d.clock.Now()
	var a *asked
	if s := d.sessionLocked(token, now); s != nil {
		a = s.answeredLocked(true, now)
	}
	d.mu.Unlock()
	if a == nil || len(answer) > MaxPasskeyAnswer {
		return fault.New(fault.Invalid, "fault.staff.passkey_failed")
	}
	made, ok := a.question.made(actor.ID, answer)
	if !ok {
		return fault.New(fault.Invalid, "fault.staff.passkey_failed")
	}
	made.Of, made.Device, made.Made, made.Label = actor.ID, device, now.Unix(), deviceOf(ctx).label()
	return d.passkeys.add(made)
}

// AskWake begins to wake a session by a passkey of its device. It gives what the page hands
// to the browser, as JSON, for WakeByPasskey within two minutes. Faults: Conflict
// "fault.staff.passkey_elsewhere", Unauthenticated "fault.staff.sign_in", NotFound
// "fault.staff.no_passkey".
func (d *Desk) AskWake(token, origin string) ([]byte, error) {
	party, err := newParty(origin)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	s := d.sessionLocked(token, d.clock.Now())
	d.mu.Unlock()
	if s == nil {
		return nil, fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	}
	user := passkeyUser{s.actor.ID, d.passkeys.on(s.actor.ID, s.device)}
	if len(user.keys) == 0 {
		return nil, fault.New(fault.NotFound, "fault.staff.no_passkey")
	}
	options, q, err := party.askUse(user)
	if err != nil {
		return nil, fault.New(fault.Internal, "fault.internal").Wrap(err)
	}
	return d.ask(token, asked{question: q}, options)
}

// WakeByPasskey opens a session that rests, and what is sealed in it, by the answer to AskWake
// (AuthenticationResponseJSON) from its own device. Wrong answers count as wrong PINs do, and
// all of them are answered alike. Faults: Unauthenticated "fault.staff.sign_in" when it is
// over, Denied "fault.staff.wrong_passkey", "fault.staff.passkey_over" and, for a passkey
// whose count went back, "fault.staff.passkey_copied".
func (d *Desk) WakeByPasskey(ctx context.Context, token string, answer []byte) (Session, error) {
	if _, ok := d.Resting(token); !ok {
		if s, open := d.Session(token); open {
			return s, nil // another page of this browser was quicker
		}
		return Session{}, fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	}
	nonce, _, known := parseDevice(deviceOf(ctx).Cookie)
	d.mu.Lock()
	now := d.clock.Now()
	s := d.sessionLocked(token, now)
	if s == nil {
		d.mu.Unlock()
		return Session{}, fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	}
	s.wrong++ // before it is compared, so that many at once are not more
	a, of, device, wrapped := s.answeredLocked(false, now), s.actor.ID, s.device, slices.Clone(s.wrapped)
	d.mu.Unlock()
	defer clear(wrapped)
	here := known && sha256.Sum256(nonce) == device
	if a == nil || !here || len(answer) > MaxPasskeyAnswer {
		return Session{}, d.wrongPasskey(token, "fault.staff.wrong_passkey")
	}
	credential, count, ok := a.question.used(passkeyUser{of, d.passkeys.on(of, device)}, answer)
	if !ok {
		return Session{}, d.wrongPasskey(token, "fault.staff.wrong_passkey")
	}
	if !d.passkeys.used(credential, count) {
		return Session{}, d.wrongPasskey(token, "fault.staff.passkey_copied")
	}
	private, ok := unwrapPrivate(d.wrappingKey(nonce), wrapped)
	if !ok { // cannot be: the device was right
		return Session{}, fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	}
	defer clear(private)
	return d.woken(token, private)
}

// wrongPasskey says what a wrong answer comes to: the fifth ends the session.
func (d *Desk) wrongPasskey(token, key string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sessionLocked(token, d.clock.Now())
	if s == nil {
		return fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	}
	if s.wrong >= maxWrong {
		d.forgetPINLocked(s)
		d.endLocked(sha256.Sum256([]byte(token)))
		return fault.New(fault.Denied, "fault.staff.passkey_over")
	}
	return fault.New(fault.Denied, key, "Count", maxWrong-s.wrong)
}
