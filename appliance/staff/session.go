package staff

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
)

// Limits of signing in. Times are by the running clock, so setting the wall
// clock neither ends a session nor frees a guesser.
const (
	maxTries     = 10        // wrong tries per user name and client …
	triesWithin  = time.Hour // … within this time
	slowStep     = 200 * time.Millisecond
	slowMost     = 5 * time.Second
	sessionLife  = 8 * time.Hour
	sessionIdle  = 20 * time.Minute
	maxSessions  = 500 // the one that was idle longest goes first
	tokenSize    = 32
	signPurpose  = "waypost/staff-signature/1"
	maxTokenText = 100
)

// Session is somebody signed in. Token goes into the cookie and nowhere else;
// CSRF into forms.
type Session struct {
	Token, CSRF string
	Actor       Actor

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

// Sign is the person's own signature over msg, for what two people must agree
// to; false once the session has ended.
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
	csrf    string
	actor   Actor
	keys    *keys
	started time.Time
	seen    time.Time
}

func (s *session) over(now time.Time) bool {
	return now.Sub(s.started) > sessionLife || now.Sub(s.seen) > sessionIdle
}

// SignIn opens a session. It takes as long for a user nobody knows as for a wrong
// passphrase and gives the same answer. Who asks is said by identity.From; without
// it somebody at this machine does. Wrong tries are counted for each client, so that
// nobody locks somebody else out; from the network, many wrong tries for one name
// only make every further one slow. Faults: Denied "fault.staff.wrong_sign_in", and
// for the right passphrase "fault.staff.disabled" and "fault.staff.unfinished"; Busy
// "fault.staff.too_many_tries" after ten wrong tries of this client in an hour,
// "fault.identity.busy" when too many sign in at once.
func (d *Desk) SignIn(ctx context.Context, user string, passphrase []byte) (Session, error) {
	name := foldUser(user)
	wrong := fault.New(fault.Denied, "fault.staff.wrong_sign_in")
	key := tryKey(identity.Client(ctx), name)
	try, slow, err := d.startTry(key)
	if err != nil {
		return Session{}, err
	}
	private, a, err := d.compare(ctx, name, passphrase, slow)
	switch {
	case err != nil:
		d.dropTry(key, try) // it was not a guess: nothing was compared
		return Session{}, err
	case private == nil:
		return Session{}, wrong
	}
	defer clear(private)
	d.forgetTries(key)
	s, err := d.state(a)
	switch {
	case err != nil:
		return Session{}, err
	case s.off:
		return Session{}, fault.New(fault.Denied, "fault.staff.disabled")
	case !s.known:
		return Session{}, fault.New(fault.Denied, "fault.staff.unfinished")
	}
	return d.begin(a, private)
}

// compare waits and then gives the account and its private keys; without keys the
// name or the passphrase is wrong.
func (d *Desk) compare(ctx context.Context, name string, passphrase []byte, slow time.Duration) ([]byte, account, error) {
	select { // before the line for Argon2, so that nobody else waits for this
	case <-d.clock.After(slow):
	case <-ctx.Done():
		return nil, account{}, ctx.Err()
	}
	a, known := d.dummy, false
	for _, c := range d.snapshot() {
		if foldUser(c.User) == name {
			a, known = c, true
		}
	}
	if len(passphrase) > maxPassphrase {
		passphrase = nil // never right, and takes the same time
	}
	private, ok, err := a.unwrap(ctx, passphrase)
	if err != nil || !ok || !known {
		return nil, account{}, err
	}
	return private, a, nil
}

// tryKey is what tries are counted by. The name comes last: it may hold anything.
func tryKey(client, name string) string { return client + "\x00" + name }

// startTry counts a try before it is made, so that many at once are not more, and
// says how long to wait before it.
func (d *Desk) startTry(key string) (at time.Time, slow time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock.Now()
	for k, times := range d.tries {
		times = slices.DeleteFunc(times, func(t time.Time) bool { return now.Sub(t) >= triesWithin })
		if d.tries[k] = times; len(times) == 0 {
			delete(d.tries, k)
		}
	}
	times := d.tries[key]
	if len(times) >= maxTries {
		left := triesWithin - now.Sub(times[0])
		return now, 0, fault.New(fault.Busy, "fault.staff.too_many_tries", "Count", int(left/time.Minute)+1)
	}
	slow = d.slowLocked(key)
	d.tries[key] = append(times, now)
	return now, slow, nil
}

// slowLocked is how long a try from the network waits: longer the more wrong tries
// all clients together made for this name, and never long enough to keep its owner
// out.
func (d *Desk) slowLocked(key string) time.Duration {
	client, name, _ := strings.Cut(key, "\x00")
	if client == "" {
		return 0
	}
	made := 0
	for k, times := range d.tries {
		if c, n, _ := strings.Cut(k, "\x00"); c != "" && n == name {
			made += len(times)
		}
	}
	return min(max(0, time.Duration(made-maxTries)*slowStep), slowMost)
}

func (d *Desk) dropTry(key string, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.Index(d.tries[key], at); i >= 0 {
		d.tries[key] = slices.Delete(d.tries[key], i, i+1)
	}
}

func (d *Desk) forgetTries(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.tries, key)
}

// begin makes the session.
func (d *Desk) begin(a account, private []byte) (Session, error) {
	token, csrf := randomText(), randomText()
	now := d.clock.Now()
	k := &keys{sign: ed25519.NewKeyFromSeed(private[:ed25519.SeedSize]), seal: slices.Clone(private[ed25519.SeedSize:])}
	s := &session{
		csrf: csrf, keys: k, started: now, seen: now,
		actor: Actor{ID: idOf(a.Subject), Name: a.User, Role: a.Role, Site: d.site},
	}
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
	return Session{Token: token, CSRF: csrf, Actor: s.actor, keys: k}, nil
}

func randomText() string {
	b := make([]byte, tokenSize)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b)
}

// Session finds an open session by its token and keeps it from going idle.
func (d *Desk) Session(token string) (Session, bool) { return d.find(token, true) }

// Peek finds an open session and leaves it as idle as it was: for what goes on by
// itself, which must not keep anybody signed in.
func (d *Desk) Peek(token string) (Session, bool) { return d.find(token, false) }

func (d *Desk) find(token string, use bool) (Session, bool) {
	if token == "" || len(token) > maxTokenText {
		return Session{}, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock.Now()
	d.sweepLocked(now)
	s := d.sessions[sha256.Sum256([]byte(token))]
	if s == nil {
		return Session{}, false
	}
	if use {
		s.seen = now
	}
	return Session{Token: token, CSRF: s.csrf, Actor: s.actor, keys: s.keys}, true
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
		delete(d.sessions, h)
	}
}

func (d *Desk) sweepLocked(now time.Time) {
	for h, s := range d.sessions {
		if s.over(now) {
			d.endLocked(h)
		}
	}
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

func (d *Desk) endSessionsOf(id ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for h, s := range d.sessions {
		if s.actor.ID == id {
			d.endLocked(h)
		}
	}
}
