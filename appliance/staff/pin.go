package staff

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/waypost/waypost/appliance/fault"
)

// A PIN wakes a session on the device it began on, and nothing else: it signs nobody in,
// wraps no key and travels nowhere. What it is compared with lives in this process's
// memory under a key drawn at its start, so that no disk, backup or other node holds
// anything a PIN could be guessed at.
const (
	pinDigits = 6
	maxWrong  = 5 // wrong tries to wake a session; then it is over and the PIN forgotten
)

// cleanPIN is a PIN as it is compared. People type the digits of their own script.
func cleanPIN(pin []byte) (out []byte, ok bool) {
	for _, r := range string(pin) {
		switch {
		case r == ' ' || r == '-':
		case r >= '0' && r <= '9':
			out = append(out, byte(r))
		case r >= '٠' && r <= '٩':
			out = append(out, byte('0'+r-'٠'))
		case r >= '۰' && r <= '۹':
			out = append(out, byte('0'+r-'۰'))
		default:
			return nil, false
		}
	}
	return out, len(out) == pinDigits
}

// easyPIN reports whether a PIN is among the first that anybody would try: one digit, or
// digits in a row, or a pair or three said again.
func easyPIN(pin []byte) bool {
	up, down := true, true
	for i := 1; i < len(pin); i++ {
		up = up && pin[i] == pin[i-1]+1
		down = down && pin[i] == pin[i-1]-1
	}
	s := string(pin)
	return up || down || s == strings.Repeat(s[:1], 6) || s == strings.Repeat(s[:2], 3) || s == strings.Repeat(s[:3], 2)
}

// pinMark is what a PIN is compared with. Without the device's own random bytes, which
// are in its cookie only, it cannot be guessed at.
func (d *Desk) pinMark(nonce []byte, id ID, pin []byte) [32]byte {
	h := hmac.New(sha256.New, d.processKey[:])
	h.Write([]byte("waypost/staff-pin/1"))
	h.Write(nonce)
	h.Write(id[:])
	h.Write(pin)
	return [32]byte(h.Sum(nil))
}

// pinFresh is how long after signing in a first PIN may be set without the passphrase: a
// phone that is taken later must not be given a PIN that its owner does not know.
const pinFresh = 5 * time.Minute

// NeedsPassphrase reports whether SetPIN asks for the passphrase.
func (d *Desk) NeedsPassphrase(token string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock.Now()
	s := d.sessionLocked(token, now)
	return s == nil || d.hasPINLocked(s) || now.Sub(s.started) > pinFresh
}

// SetPIN gives the person of a session a PIN on its device, which is the one it was
// signed in with. The passphrase is asked for but for the first PIN right after signing
// in. Faults: Unauthenticated "fault.staff.sign_in" where the session is not open,
// Conflict "fault.staff.pin_device" on another device, Invalid "fault.staff.pin_form" and
// "fault.staff.pin_easy", those of SignIn.
func (d *Desk) SetPIN(ctx context.Context, token string, passphrase, pin []byte) error {
	clean, ok := cleanPIN(pin)
	defer clear(clean)
	if !ok {
		return fault.New(fault.Invalid, "fault.staff.pin_form", "Count", pinDigits).With("pin", "fault.staff.pin_form", "Count", pinDigits)
	}
	if easyPIN(clean) {
		return fault.New(fault.Invalid, "fault.staff.pin_easy").With("pin", "fault.staff.pin_easy")
	}
	if d.NeedsPassphrase(token) {
		s, open := d.Session(token)
		if !open {
			return fault.New(fault.Unauthenticated, "fault.staff.sign_in")
		}
		_, private, err := d.prove(ctx, s.Actor.Name, passphrase)
		if err != nil {
			return err
		}
		clear(private)
	}
	nonce, _, known := parseDevice(deviceOf(ctx).Cookie)
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sessionLocked(token, d.clock.Now())
	if s == nil || s.rests {
		return fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	}
	if !known || sha256.Sum256(nonce) != s.device {
		return fault.New(fault.Conflict, "fault.staff.pin_device")
	}
	d.noteDeviceLocked(s.device).pins[s.actor.ID] = d.pinMark(nonce, s.actor.ID, clean)
	return nil
}

// ForgetPIN takes the PIN of a session's person off its device.
func (d *Desk) ForgetPIN(token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.sessionLocked(token, d.clock.Now()); s != nil {
		d.forgetPINLocked(s)
	}
}

func (d *Desk) forgetPINLocked(s *session) {
	if dev := d.devices[s.device]; dev != nil {
		delete(dev.pins, s.actor.ID)
	}
}

// forgetPINsOf takes away every PIN of an account.
func (d *Desk) forgetPINsOf(id ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, dev := range d.devices {
		delete(dev.pins, id)
	}
}

// HasPIN reports whether the person of a session has a PIN on its device.
func (d *Desk) HasPIN(token string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sessionLocked(token, d.clock.Now())
	return s != nil && d.hasPINLocked(s)
}

func (d *Desk) hasPINLocked(s *session) bool {
	dev := d.devices[s.device]
	return dev != nil && dev.pins[s.actor.ID] != [32]byte{}
}

// Resting is a session that has to be woken, or where what is sealed has to be opened
// again.
type Resting struct {
	CSRF    string
	Actor   Actor
	PIN     bool // a PIN wakes it; otherwise the passphrase does
	Passkey bool // a passkey of this device does too
	Rests   bool // all of it; otherwise only what is sealed is closed
	Left    int  // wrong tries left
}

// Resting finds a session that is not over, whether it rests or not.
func (d *Desk) Resting(token string) (Resting, bool) {
	r, device, ok := d.resting(token)
	if ok {
		r.Passkey = len(d.passkeys.on(r.Actor.ID, device)) > 0
	}
	return r, ok
}

func (d *Desk) resting(token string) (Resting, [32]byte, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock.Now()
	s := d.sessionLocked(token, now)
	if s == nil || !s.rests && s.narrow(now) {
		return Resting{}, [32]byte{}, false
	}
	return Resting{CSRF: s.csrf, Actor: s.actor, PIN: d.hasPINLocked(s), Rests: s.rests, Left: maxWrong - s.wrong}, s.device, true
}

// Rest closes what is sealed at once, and with all the whole session: somebody looked
// away, or a page says that nobody touched it.
func (d *Desk) Rest(token string, all bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sessionLocked(token, d.clock.Now())
	switch {
	case s == nil:
	case all:
		s.rest()
	default:
		s.near = time.Time{}
	}
}

// Wake opens a session that rests by the PIN on its device, or by the passphrase, and what
// is sealed in it again. Five wrong tries end it, and the PIN with it. A passphrase is
// counted as when signing in. Faults: Unauthenticated "fault.staff.sign_in" when it is
// over, Denied "fault.staff.wrong_pin" and "fault.staff.pin_over", those of SignIn.
func (d *Desk) Wake(ctx context.Context, token string, typed []byte) (Session, error) {
	r, ok := d.Resting(token)
	if !ok {
		if s, open := d.Session(token); open {
			return s, nil // another page of this browser was quicker
		}
		return Session{}, fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	}
	if !r.PIN {
		return d.wakeByPassphrase(ctx, token, r, typed)
	}
	private, err := d.comparePIN(token, deviceOf(ctx), typed)
	if err != nil {
		return Session{}, err
	}
	defer clear(private)
	return d.woken(token, private)
}

// comparePIN gives the private keys that a resting session needs; nil where it has them.
// It does the same work whatever was typed, and a try is counted before it is compared.
func (d *Desk) comparePIN(token string, on Device, typed []byte) ([]byte, error) {
	clean, _ := cleanPIN(typed)
	defer clear(clean)
	nonce, _, _ := parseDevice(on.Cookie)
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sessionLocked(token, d.clock.Now())
	if s == nil {
		return nil, fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	}
	s.wrong++
	var want [32]byte
	if dev := d.devices[s.device]; dev != nil {
		want = dev.pins[s.actor.ID]
	}
	got := d.pinMark(nonce, s.actor.ID, clean)
	right := hmac.Equal(got[:], want[:]) && want != [32]byte{}
	if !right {
		if s.wrong >= maxWrong {
			d.forgetPINLocked(s)
			d.endLocked(sha256.Sum256([]byte(token)))
			return nil, fault.New(fault.Denied, "fault.staff.pin_over")
		}
		return nil, fault.New(fault.Denied, "fault.staff.wrong_pin", "Count", maxWrong-s.wrong)
	}
	if !s.rests {
		return nil, nil
	}
	private, ok := unwrapPrivate(d.wrappingKey(nonce), s.wrapped)
	if !ok { // cannot be: the PIN was right, so the device was
		return nil, fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	}
	return private, nil
}

func (d *Desk) wakeByPassphrase(ctx context.Context, token string, r Resting, typed []byte) (Session, error) {
	a, private, err := d.prove(ctx, r.Actor.Name, typed)
	if err != nil {
		return Session{}, err
	}
	defer clear(private)
	if idOf(a.Subject) != r.Actor.ID { // the account was replaced in between
		return Session{}, fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	}
	return d.woken(token, private)
}

// woken opens a session again, with its keys where it rested.
func (d *Desk) woken(token string, private []byte) (Session, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock.Now()
	s := d.sessionLocked(token, now)
	if s == nil || d.closed {
		return Session{}, fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	}
	if s.rests {
		if len(private) != privateSize {
			return Session{}, fault.New(fault.Unauthenticated, "fault.staff.sign_in")
		}
		s.keys.fill(private)
	}
	s.rests, s.wrong, s.seen, s.near = false, 0, now, now
	return s.shown(token, now), nil
}

// wrapPrivate and unwrapPrivate keep a resting session's keys under what only its device
// can give.
func wrapPrivate(key [32]byte, private []byte) []byte {
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return nil
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(private)+aead.Overhead())
	_, _ = rand.Read(nonce)
	return aead.Seal(nonce, nonce, private, nil)
}

func unwrapPrivate(key [32]byte, wrapped []byte) ([]byte, bool) {
	defer clear(key[:])
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil || len(wrapped) < aead.NonceSize() {
		return nil, false
	}
	private, err := aead.Open(nil, wrapped[:aead.NonceSize()], wrapped[aead.NonceSize():], nil)
	return private, err == nil
}
