package staff

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
)

// Limits of a session. Times are by the running clock, so setting the wall clock
// neither ends a session nor wakes one that rests.
const (
	sessionLife  = 8 * time.Hour    // then it is over, whatever was done in it
	sessionIdle  = 20 * time.Minute // then it rests: see Wake
	narrowIdle   = time.Minute      // then what is sealed is closed, and the rest goes on
	maxSessions  = 500              // the one that was idle longest goes first
	tokenSize    = 32
	signPurpose  = "waypost/staff-signature/1"
	maxTokenText = 100
)

// Session is somebody signed in. Token goes into the cookie and nowhere else;
// CSRF into forms.
type Session struct {
	Token, CSRF string
	Actor       Actor
	Device      string // what the browser has to keep in its device cookie; only after signing in
	Narrow      bool   // what is sealed may be shown: somebody was at it within the last minute
	Undertaken  bool   // they have agreed to keep what they see to themselves

	keys *keys
}

// keys are the unwrapped private halves, in memory while the session lasts.
type keys struct {
	mu   sync.Mutex
	sign ed25519.PrivateKey
	seal []byte
}

func (k *keys) wipe() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.sign)
	clear(k.seal)
	k.sign, k.seal = nil, nil
}

// fill puts the private halves in; private is seed ‖ X25519 key.
func (k *keys) fill(private []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sign, k.seal = ed25519.NewKeyFromSeed(private[:ed25519.SeedSize]), slices.Clone(private[ed25519.SeedSize:])
}

// Sign is the person's own signature over msg, for what two people must agree
// to; false once the session has ended or rests.
func (s Session) Sign(msg []byte) ([]byte, bool) {
	if s.keys == nil {
		return nil, false
	}
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	if s.keys.sign == nil {
		return nil, false
	}
	return ed25519.Sign(s.keys.sign, append([]byte(signPurpose), msg...)), true
}

// session is a Session as the desk keeps it: without its token.
type session struct {
	id         ID // random; what lists call it
	csrf       string
	actor      Actor
	keys       *keys
	undertaken bool
	device     [32]byte // hash of the device it began on
	label      string   // what kind of device
	wrapped    []byte   // the keys, under a key that only the device has; nil without one
	started    time.Time
	seen       time.Time // last used
	near       time.Time // last used with nothing longer than narrowIdle in between
	rests      bool
	wrong      int // wrong tries to wake it
	held       *Held
	asked      *asked // of a passkey; nil when nothing is
}

func (s *session) over(now time.Time) bool { return now.Sub(s.started) > sessionLife }

// settle lets a session rest whose time has come. Its keys are wiped: waking it takes
// them from the wrapped copy or the passphrase.
func (s *session) settle(now time.Time) {
	if !s.rests && now.Sub(s.seen) > sessionIdle {
		s.rest()
	}
}

func (s *session) rest() {
	s.rests, s.near = true, time.Time{}
	s.keys.wipe()
}

func (s *session) narrow(now time.Time) bool {
	return !s.rests && !s.near.IsZero() && now.Sub(s.near) <= narrowIdle
}

// SignIn opens a session. It takes as long for a user nobody knows as for a wrong
// passphrase and gives the same answer. user is a user name or the code of a badge.
// Who asks is said by identity.From, on which device by OnDevice; how many tries they
// have, by startTry. Faults: Denied "fault.staff.wrong_sign_in", and for the right
// passphrase "fault.staff.disabled" and "fault.staff.unfinished"; Busy
// "fault.staff.too_many_tries" after ten wrong tries in an hour,
// "fault.identity.busy" when too many sign in at once.
func (d *Desk) SignIn(ctx context.Context, user string, passphrase []byte) (Session, error) {
	a, private, err := d.prove(ctx, user, passphrase)
	if err != nil {
		return Session{}, err
	}
	defer clear(private)
	return d.begin(a, private, deviceOf(ctx))
}

// prove compares a passphrase and gives the account and its private keys, which the
// caller clears. Faults: as SignIn.
func (d *Desk) prove(ctx context.Context, user string, passphrase []byte) (account, []byte, error) {
	guess := d.dummy // what an unknown user's passphrase is tried on
	a, known := d.called(user)
	name := foldUser(user)
	if known {
		guess, name = a, foldUser(a.User)
	}
	key := d.tryKey(ctx, name, guess)
	try, err := d.startTry(key, identity.Client(ctx))
	if err != nil {
		return account{}, nil, err
	}
	if len(passphrase) > maxPassphrase {
		passphrase = nil // never right, and takes the same time
	}
	d.compared.Add(1)
	private, ok, err := guess.unwrap(ctx, passphrase)
	switch {
	case err != nil:
		d.dropTry(key, try) // it was not a guess: nothing was compared
		return account{}, nil, err
	case !ok || !known:
		return account{}, nil, fault.New(fault.Denied, "fault.staff.wrong_sign_in")
	}
	d.rightTry(key, try)
	s, err := d.state(a)
	switch {
	case err == nil && s.off:
		err = fault.New(fault.Denied, "fault.staff.disabled")
	case err == nil && !s.known:
		err = fault.New(fault.Denied, "fault.staff.unfinished")
	}
	if err != nil {
		clear(private)
		return account{}, nil, err
	}
	return a, private, nil
}

// called is the account of a user name or of a badge. A name that looks like a badge is
// a name.
func (d *Desk) called(user string) (found account, ok bool) {
	name, code := foldUser(user), parseBadge(user)
	var badge account
	badges := 0
	for _, a := range d.snapshot() {
		switch {
		case a.Replaced:
		case foldUser(a.User) == name:
			found, ok = a, true
		case code != "" && badgeOf(idOf(a.Subject)) == code:
			badge, badges = a, badges+1
		}
	}
	if !ok && badges == 1 {
		return badge, true
	}
	return found, ok
}

// begin makes the session.
func (d *Desk) begin(a account, private []byte, on Device) (Session, error) {
	token, csrf := randomText(), randomText()
	now := d.clock.Now()
	standing, err := d.undertaking(a)
	if err != nil {
		return Session{}, err
	}
	text, hash, wrapping := d.device(on, idOf(a.Subject))
	k := &keys{}
	k.fill(private)
	s := &session{
		csrf: csrf, keys: k, started: now, seen: now, near: now, label: on.label(), device: hash,
		actor: a.actor(d.site), undertaken: standing.Undertaken(),
	}
	if !on.Once {
		s.wrapped = wrapPrivate(wrapping, private)
	}
	clear(wrapping[:])
	_, _ = rand.Read(s.id[:])
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed { // closed while the passphrase was compared
		k.wipe()
		return Session{}, fault.New(fault.Unavailable, "fault.oplog.closed")
	}
	d.sweepLocked(now)
	for len(d.sessions) >= maxSessions {
		d.endLocked(d.idlestLocked())
	}
	d.sessions[sha256.Sum256([]byte(token))] = s
	out := s.shown(token, now)
	out.Device = text
	return out, nil
}

func (s *session) shown(token string, now time.Time) Session {
	return Session{Token: token, CSRF: s.csrf, Actor: s.actor, Narrow: s.narrow(now), Undertaken: s.undertaken, keys: s.keys}
}

func randomText() string {
	b := make([]byte, tokenSize)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b)
}

// How a session is looked at.
type look uint8

const (
	peek   look = iota // leaves it as idle as it was
	glance             // keeps it from resting, and what is sealed as it was
	use                // somebody is at it
)

// Session finds an open session by its token and keeps it from going idle. One that
// rests is not open.
func (d *Desk) Session(token string) (Session, bool) { return d.find(token, use) }

// Peek finds an open session and leaves it as idle as it was: for what goes on by
// itself, which must not keep anybody signed in.
func (d *Desk) Peek(token string) (Session, bool) { return d.find(token, peek) }

// Glance finds an open session for a page that looks again by itself while somebody is
// there: it keeps them signed in, and leaves nothing sealed open any longer.
func (d *Desk) Glance(token string) (Session, bool) { return d.find(token, glance) }

func (d *Desk) find(token string, how look) (Session, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock.Now()
	s := d.sessionLocked(token, now)
	if s == nil || s.rests {
		return Session{}, false
	}
	if how != peek {
		s.seen = now
	}
	if how == use && s.narrow(now) {
		s.near = now
	}
	return s.shown(token, now), true
}

// sessionLocked is the session of a token, open or at rest.
func (d *Desk) sessionLocked(token string, now time.Time) *session {
	if token == "" || len(token) > maxTokenText {
		return nil
	}
	d.sweepLocked(now)
	return d.sessions[sha256.Sum256([]byte(token))]
}

// SignOut ends a session and wipes its keys; an unknown token is fine.
func (d *Desk) SignOut(token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.endLocked(sha256.Sum256([]byte(token)))
}

func (d *Desk) endLocked(h [32]byte) {
	if s := d.sessions[h]; s != nil {
		s.keys.wipe()
		clear(s.wrapped)
		s.held.wipe()
		delete(d.sessions, h)
	}
}

func (d *Desk) sweepLocked(now time.Time) {
	for h, s := range d.sessions {
		if s.over(now) {
			d.endLocked(h)
			continue
		}
		s.settle(now)
	}
}

// restIdle lets sessions rest and end whose time has come.
func (d *Desk) restIdle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweepLocked(d.clock.Now())
}

func (d *Desk) idlestLocked() (idlest [32]byte) {
	var seen time.Time
	for h, s := range d.sessions {
		if seen.IsZero() || s.seen.Before(seen) {
			idlest, seen = h, s.seen
		}
	}
	return idlest
}

// endSessionsOf ends all sessions of an account but one.
func (d *Desk) endSessionsOf(id ID, but string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for h, s := range d.sessions {
		if s.actor.ID == id && (but == "" || h != sha256.Sum256([]byte(but))) {
			d.endLocked(h)
		}
	}
}
