package ui

import (
	"fmt"
	"strings"

	"github.com/waypost/waypost/appliance/staff"
)

// surfaces is a set of surfaces.
type surfaces uint

func (s surfaces) has(x Surface) bool { return s&(1<<x) != 0 }

// Where a route may be asked.
const (
	onWeb      = surfaces(1<<Loopback | 1<<Network) // pages
	onPublic   = onWeb | surfaces(1<<Public)        // pages without anything personal
	onAPI      = onWeb | surfaces(1<<Control)       // calls
	onAll      = onPublic | surfaces(1<<Control)    // health
	onOperator = surfaces(1 << Control)             // operator calls
)

// who says how somebody must have shown who they are.
type who uint8

const (
	undeclared who = iota
	anybody        // no sign-in
	claimant       // whoever has the claim code, which the handler checks; only while the box is new
	opener         // whoever has the words, which the handler checks; only while the box is locked
	passer         // whoever is at the gate; only while the box is locked or being opened
	signed         // anybody with an account or a key; the box is open
	allowed        // and whose role covers the action
	person         // somebody with an account whose role covers the action, by their own session or passphrase
	operator       // the control socket, in every state
)

// policy is who may ask for a route, and in which state of the box. The zero
// policy is refused by New, so that no route is open by oversight.
type policy struct {
	who    who
	action staff.Action
	plain  bool // of person: nothing is signed, and a page session is enough
}

// public is for what anybody may see in any state.
func public() policy { return policy{who: anybody} }

// claim is for the pages of the first run; the handler asks Box for the code.
func claim() policy { return policy{who: claimant} }

// unlock is for opening a locked box; the handler asks Box for the words.
func unlock() policy { return policy{who: opener} }

// signedIn is for everybody who works here.
func signedIn() policy { return policy{who: signed} }

// need is for those whose role covers the action. The desk asks again: this
// keeps a page from being shown that could not be used.
func need(a staff.Action) policy { return policy{who: allowed, action: a} }

// byOperator is for the calls of the control socket.
func byOperator() policy { return policy{who: operator} }

// route is one thing that can be asked. A table of these is the only way to add
// one: see routes.
type route struct {
	method string // GET, POST or PATCH; HEAD goes with GET
	path   string // as Fiber writes it: /people/:id
	policy policy
	where  surfaces              // zero: onWeb
	limit  int                   // bytes of the body; zero: bodyLimit
	guess  func(*guessing) tries // what a wrong secret is paid from; nil where none is asked for
	stream bool                  // answers as long as the client listens
	raw    bool                  // its handler reads the body, and checks the token in it
	narrow bool                  // shows or takes what is sealed: nothing may be left lying open on the way to it
	trusts bool                  // only from a browser that trusts the box: keys of the operation cross the wire
	handle func(*visit) error
}

func (r *route) on() surfaces {
	if r.where == 0 {
		return onWeb
	}
	return r.where
}

// unsafe tells whether the method may change something (RFC 9110, section 9.2.1).
func (r *route) unsafe() bool { return r.method != "GET" && r.method != "HEAD" }

func checkRoutes(routes []route) error {
	seen := map[string]bool{}
	for _, r := range routes {
		name := r.method + " " + r.path
		switch {
		case r.policy.who == undeclared || (r.policy.who == allowed || r.policy.who == person) && r.policy.action == "":
			return fmt.Errorf("ui: route %s has no policy", name)
		case r.handle == nil || !strings.HasPrefix(r.path, "/"):
			return fmt.Errorf("ui: route %s cannot be served", name)
		case r.on().has(Public) && r.policy.who != anybody:
			return fmt.Errorf("ui: route %s would take a sign-in over plain HTTP", name)
		case r.policy.who == passer && r.on() != onWeb:
			return fmt.Errorf("ui: route %s would take people in over plain HTTP", name)
		case r.unsafe() && (r.policy.who == claimant || r.policy.who == opener || r.policy.who == person) && r.guess == nil:
			return fmt.Errorf("ui: route %s would let anybody guess without end", name)
		case r.raw && (r.limit != 0 || r.guess != nil || r.on() != onWeb):
			return fmt.Errorf("ui: route %s reads a body without a limit", name)
		case r.narrow && (r.policy.who != allowed && r.policy.who != person || r.on() != onWeb):
			return fmt.Errorf("ui: route %s would show sealed files to whoever comes along", name)
		case (r.policy.who == operator) != (r.on() == onOperator):
			return fmt.Errorf("ui: route %s is not on the operator's surface alone", name)
		case seen[name]:
			return fmt.Errorf("ui: route %s is there twice", name)
		}
		seen[name] = true
	}
	return nil
}
