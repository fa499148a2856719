package ui

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

// Everything here is counted for each client, so that one phone on the Wi-Fi can
// use up its own share and nobody else's. This machine itself is a client of its
// own: whoever stands at the box gets in whatever the network does.

// client is who a request counts for: an address of the network, or "" for this
// machine itself. HTTPS always counts as the network, also from this machine: there
// may be a proxy in front of it.
func (v *visit) client() string {
	if v.surface == Loopback || v.surface == Control {
		return ""
	}
	return clientOf(v.c.Context().RemoteIP())
}

// clientOf is an address, or its network where one device may choose among the
// addresses of a whole /64 (RFC 8981).
func clientOf(ip net.IP) string {
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		return "unknown"
	}
	if a = a.Unmap(); a.Is4() {
		return a.String()
	}
	return network(a).String()
}

// network is the /64 of an IPv6 address.
func network(a netip.Addr) netip.Prefix {
	p, _ := a.WithZone("").Prefix(64) // every IPv6 address has one
	return p
}

// seats counts who holds something there is little of.
type seats struct {
	most int // in all

	mu    sync.Mutex
	taken int
	by    map[string]int
	freed chan struct{} // closed when the next place is given back; nil while nobody waits
}

// share is how many places somebody may hold at once.
type share struct {
	who  string
	most int
}

func newSeats(most int) *seats { return &seats{most: most, by: map[string]int{}} }

// enter takes one place, which counts for every share; false when there is none.
func (p *seats) enter(shares ...share) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken >= p.most {
		return false
	}
	for _, s := range shares {
		if p.by[s.who] >= s.most {
			return false
		}
	}
	p.taken++
	for _, s := range shares {
		p.by[s.who]++
	}
	return true
}

// full tells whether all places are taken.
func (p *seats) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken >= p.most
}

// leave gives a place back, with the shares it was taken with.
func (p *seats) leave(shares ...share) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	for _, s := range shares {
		if p.by[s.who]--; p.by[s.who] <= 0 {
			delete(p.by, s.who)
		}
	}
	if p.freed != nil {
		close(p.freed)
		p.freed = nil
	}
}

// enterWithin is enter for who waits a while for a place.
func (p *seats) enterWithin(patience time.Duration, shares ...share) bool {
	for late := clock.System().After(patience); ; {
		p.mu.Lock()
		if p.freed == nil {
			p.freed = make(chan struct{})
		}
		freed := p.freed
		p.mu.Unlock()
		if p.enter(shares...) {
			return true
		}
		select {
		case <-freed:
		case <-late:
			return false
		}
	}
}

// budget gives everybody a few tries at once and then one more every so often (the
// generic cell rate algorithm: one moment for each client is all there is to keep).
type budget struct {
	key   string // of the fault that says it is used up
	most  int
	every time.Duration

	mu   sync.Mutex
	full map[string]time.Time // when a client will have all tries again
}

func newBudget(key string, most int, every time.Duration) *budget {
	return &budget{key: key, most: most, every: every, full: map[string]time.Time{}}
}

// take uses up one try; otherwise it says how long until the next.
func (b *budget) take(client string, now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c, full := range b.full {
		if !full.After(now) {
			delete(b.full, c)
		}
	}
	full, used := b.full[client]
	if !used {
		full = now
	}
	if wait = full.Sub(now) - time.Duration(b.most-1)*b.every; wait > 0 {
		return wait
	}
	b.full[client] = full.Add(b.every)
	return 0
}

// giveBack undoes take, for what turned out to be no wrong try.
func (b *budget) giveBack(client string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if full, used := b.full[client]; used {
		b.full[client] = full.Add(-b.every)
	}
}

// tries is what guesses at one secret are paid from: the budget of a client, for each
// name it tries when names are asked for; a wider one of the client over all names;
// and for all of the network together another one.
type tries struct {
	each      *budget
	wide, all *budget // nil without such a bound
	name      string  // field of the form that holds the name; empty when none is asked for
	only      string  // fault that is a wrong guess; empty for every one of class Denied
}

// never is how often a budget refills that must not: longer than a claim code lives.
const never = 24 * time.Hour

// guessing holds the tries of every secret that strangers are asked for.
type guessing struct {
	signIn, unlock tries
	wake           tries // a session that rests; it ends after five wrong ones whatever is left here
	claim          tries // by a form, which starts something
	look           tries // by opening a page with the code, as a link on the screen does
}

// claimWrong is the one refusal of a first page that is a wrong guess: an invitation
// that does not fit is not.
const claimWrong = "fault.node.claim_wrong"

func newGuessing() guessing {
	all := newBudget("fault.api.claim_tries", 500, never)
	return guessing{
		signIn: tries{each: newBudget("fault.api.tries", 10, 30*time.Second), wide: newBudget("fault.api.tries", 40, 10*time.Second), name: "user"},
		unlock: tries{each: newBudget("fault.api.tries", 5, 30*time.Second)},
		wake:   tries{each: newBudget("fault.api.tries", 30, 5*time.Second)},
		claim:  tries{each: newBudget("fault.api.claim_tries", 10, never), all: all, only: claimWrong},
		look:   tries{each: newBudget("fault.api.tries", 10, 10*time.Second), all: all, only: claimWrong},
	}
}

// everybody is the one client of a budget for all of the network.
const everybody = "network"

// payment is one budget a guess is taken from.
type payment struct {
	from *budget
	who  string
}

// payments are what a guess of this visitor costs.
func (v *visit) payments(t tries) []payment {
	client := v.client()
	who := client
	if t.name != "" {
		who += "\x00" + strings.ToLower(v.form(t.name))
	}
	out := []payment{{t.each, who}}
	if t.wide != nil {
		out = append(out, payment{t.wide, client})
	}
	if t.all != nil && client != "" {
		out = append(out, payment{t.all, everybody})
	}
	return out
}

// try runs do, which may be a guess, when the visitor has a try left. Only a wrong
// one is paid for. It is taken first, so that many at once are not more.
func (v *visit) try(t tries, do func() error) error {
	now := v.s.config.Clock.Now()
	bill := v.payments(t)
	giveBack := func(paid []payment) {
		for _, p := range paid {
			p.from.giveBack(p.who)
		}
	}
	for i, p := range bill {
		if wait := p.from.take(p.who, now); wait > 0 {
			giveBack(bill[:i])
			return used(p.from, wait)
		}
	}
	err := do()
	refused := v.refused // by a form that is shown again
	if err != nil {
		refused = fault.Of(err)
	}
	if refused == nil || refused.Class != fault.Denied || t.only != "" && refused.Key != t.only {
		giveBack(bill)
	}
	return err
}

func used(b *budget, wait time.Duration) error {
	return fault.New(fault.Busy, b.key, "Count", int((wait+time.Second-1)/time.Second))
}

// retryAfter is in how many seconds it is worth to come back after a fault of class
// Busy.
func retryAfter(f *fault.Error) int {
	count, _ := f.Args["Count"].(int)
	switch f.Key {
	case "fault.api.tries", "fault.api.letters":
		return count
	case "fault.api.claim_tries":
		return int(claimLife / time.Second)
	case "fault.staff.too_many_tries":
		return count * 60
	case "fault.api.busy":
		return 30
	case "fault.staff.ask_lead":
		return 600
	}
	return 5
}

// claimLife is how long a claim code lives; nothing gets better before.
const claimLife = 30 * time.Minute

// opening is the line of claims and unlocks, which each take a second of Argon2id.
// One of the network is let through at a time, so that this machine never waits for
// more than one.
type opening struct {
	network, here *seats
	turn          chan struct{}
}

func newOpening() opening {
	return opening{network: newSeats(openingLine), here: newSeats(openingHere), turn: make(chan struct{}, 1)}
}

// What guesses are paid from, for the table of routes.
func bySignIn(g *guessing) tries { return g.signIn }

// bySignature is for what somebody signs with their passphrase: that they may not is
// no guess.
func bySignature(g *guessing) tries {
	t := g.signIn
	t.only = "fault.staff.wrong_sign_in"
	return t
}
func byUnlock(g *guessing) tries { return g.unlock }
func byClaim(g *guessing) tries  { return g.claim }

// inLine takes a place in the line and waits there. The body has been read before,
// so that nobody holds a place by sending nothing.
func (v *visit) inLine() (leave func(), err error) {
	line, client := &v.s.opening, v.client()
	busy := fault.New(fault.Busy, "fault.api.busy")
	if client == "" {
		if !line.here.enter() {
			return nil, busy
		}
		return func() { line.here.leave() }, nil
	}
	mine := share{client, 2} // a form sent twice waits for its twin; see newWords
	if !line.network.enter(mine) {
		return nil, busy
	}
	select {
	case line.turn <- struct{}{}:
		return func() { <-line.turn; line.network.leave(mine) }, nil
	case <-v.s.ctx.Done():
		line.network.leave(mine)
		return nil, busy
	}
}

// holder is who holds places that only somebody signed in can take.
func (v *visit) holder() string {
	switch {
	case v.session != nil:
		return "session " + v.session.Token
	case !v.signedIn(): // at a locked box
		return "gate " + v.client()
	}
	return "key " + v.actor.ID.String()
}

// upload takes a place for a large body: two for each session or key, and three for
// each address, because several phones may be behind one. It is waited for a while:
// places are few, and most are free again after a second.
func (v *visit) upload() (leave func(), err error) { return v.hold(v.s.uploads, 2, 3, uploadWait) }

// lengthy takes a place for a body that is longer than almost any form: four for each
// session or key, and six for each address.
func (v *visit) lengthy() (leave func(), err error) { return v.hold(v.s.lengthy, 4, 6, 0) }

// middling takes a place for a body beyond shortBody, which few forms are: without it, whoever
// opens 500 connections and sends the last byte of 60 KB late on each holds 30 MB, twice
// that with what the collector allows itself. Strangers have places of their own, so that
// they keep nobody out who works here.
func (v *visit) middling() (leave func(), err error) {
	client := v.client()
	switch {
	case client == "":
		return func() {}, nil
	case !v.signedIn():
		stranger := share{client, 8}
		if !v.s.unknown.enter(stranger) {
			return nil, fault.New(fault.Busy, "fault.api.busy")
		}
		return func() { v.s.unknown.leave(stranger) }, nil
	}
	return v.hold(v.s.middling, 16, 24, 0)
}

func (v *visit) hold(places *seats, each, address int, wait time.Duration) (leave func(), err error) {
	shares := []share{{v.holder(), each}}
	if client := v.client(); client != "" {
		shares = append(shares, share{client, address})
	}
	if !places.enter(shares...) && (wait == 0 || !places.enterWithin(wait, shares...)) {
		return nil, fault.New(fault.Busy, "fault.api.busy")
	}
	return func() { places.leave(shares...) }, nil
}

// crowded tells whether a body that says how long it is would find no place just now, so
// that nothing of it has to be read to say so. It holds nothing.
func (v *visit) crowded(length int) bool {
	if length <= strangerLimit || v.limit() <= strangerLimit || v.surface == Control {
		return false
	}
	leave, err := v.lengthy()
	if err == nil {
		leave()
	}
	return err != nil
}
