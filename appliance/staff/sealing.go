package staff

import (
	"bytes"
	"cmp"
	"crypto/ecdh"
	"crypto/ed25519"
	"math"
	"slices"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// Worker is an account as somebody needs it who seals something to it, or wants to know
// whose signature it is.
type Worker struct {
	ID      ID
	Subject oplog.ID
	User    string
	Site    string
	Role    Role
	Node    oplog.ID // where they sign in
	Sign    [32]byte // Ed25519
	Seal    [32]byte // X25519
	Off     bool     // nobody signs in under it any more, as its own node says; or that node was shut out
	OffAt   uint64   // … and the logical clock it said so at; the largest number while that is not written
}

// Opens reports whether the account's role may have a narrow compartment.
func (w Worker) Opens(n Narrow) bool { return slices.Contains(w.Role.narrows(), n) }

// Actor is the account as policies ask about it. It is nobody's session.
func (w Worker) Actor() Actor { return Actor{ID: w.ID, Name: w.User, Role: w.Role, Site: w.Site} }

// Directory lists every account that is known here, its own and those of other nodes, by
// site and user name. An account counts when a log of its own node named it and somebody
// compared that node's words: nobody else can put an account into another node's mouth.
// It may be called inside a question to the log.
func (d *Desk) Directory() ([]Worker, error) {
	var out []Worker
	own := map[oplog.ID]account{}
	for _, a := range d.snapshot() {
		own[a.Subject] = a
	}
	shut := d.shutOut()
	err := d.log.View(func(r oplog.Reader) error {
		var subjects []oplog.ID
		err := r.Rows(staffView, []byte{'a'}, nil, func(_ []byte, subject oplog.ID, _ []byte) error {
			subjects = append(subjects, subject)
			return nil
		})
		if err != nil {
			return err
		}
		for _, subject := range subjects {
			ops, err := r.Ops(subject)
			if err != nil {
				return err
			}
			if w, ok := d.worker(subject, ops, own, shut); ok {
				out = append(out, w)
			}
		}
		return nil
	})
	slices.SortFunc(out, func(a, b Worker) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.User, b.User), bytes.Compare(a.Subject[:], b.Subject[:]))
	})
	return out, err
}

// worker is what the facts about an account add up to, in the eyes of this node.
func (d *Desk) worker(subject oplog.ID, ops []oplog.Op, own map[oplog.ID]account, shut map[oplog.ID]bool) (w Worker, ok bool) {
	for _, op := range ops {
		if b := oplog.Body[enrolled](op); b != nil && b.subject() == subject {
			w = Worker{ID: idOf(subject), Subject: subject, Role: b.Role, Node: b.Node, Sign: b.Sign, Seal: b.Seal}
			ok = true
		}
	}
	if !ok {
		return w, false
	}
	if a, here := own[subject]; here {
		w.User, w.Site = a.User, d.site
		if a.Disabled {
			w.off(math.MaxUint64)
		}
		proof := d.disabledProof(w.ID)
		for _, op := range ops {
			if b := oplog.Body[disabled](op); b != nil && b.Proof == proof {
				w.off(op.Clock)
			}
		}
		return w, true
	}
	if w.Node == d.node { // an account this node does not know: nobody's
		return w, false
	}
	ok = false
	for _, op := range ops {
		if !d.believed(op.Log, w.Node) {
			continue
		}
		switch b := op.Body.(type) {
		case *named:
			w.User, w.Site, ok = b.User, b.Site, true
		case *disabled:
			w.off(op.Clock)
		}
	}
	if shut[w.Node] {
		w.off(math.MaxUint64) // nothing is sealed to keys on a box that somebody has
	}
	return w, ok
}

// shutOut are the nodes that are suspended or revoked.
func (d *Desk) shutOut() map[oplog.ID]bool {
	out := map[oplog.ID]bool{}
	if d.issuer.Nodes == nil {
		return out
	}
	nodes, err := d.issuer.Nodes()
	if err != nil {
		return out
	}
	for _, n := range nodes {
		out[n.ID] = n.Standing != identity.StandingGood
	}
	return out
}

// off notes the first word that the account ended.
func (w *Worker) off(at uint64) {
	if !w.Off || at < w.OffAt {
		w.Off, w.OffAt = true, at
	}
}

// WithSealKey runs fn with the person's X25519 key, which opens what was sealed to them.
// fn must not keep it: it is wiped when the session ends. Fault: Unauthenticated
// "fault.staff.sign_in" once it has ended.
func (s Session) WithSealKey(fn func(*ecdh.PrivateKey) error) error {
	ended := fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	if s.keys == nil {
		return ended
	}
	s.keys.mu.Lock()
	raw := bytes.Clone(s.keys.seal)
	s.keys.mu.Unlock()
	defer clear(raw)
	if len(raw) == 0 {
		return ended
	}
	key, err := ecdh.X25519().NewPrivateKey(raw)
	if err != nil {
		return fault.Of(err)
	}
	return fn(key)
}

// OpenSession is an open session of somebody at this node, without its token: for what two
// people do together, each with their own keys, while both are signed in.
func (d *Desk) OpenSession(id ID) (Session, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweepLocked(d.clock.Now())
	for _, s := range d.sessions {
		if s.actor.ID == id && !s.rests { // one that rests has no keys
			return Session{CSRF: s.csrf, Actor: s.actor, keys: s.keys}, true
		}
	}
	return Session{}, false
}

// Signed reports whether sig is what Session.Sign of the account with that key made of msg.
func Signed(key [32]byte, msg, sig []byte) bool {
	return len(sig) == ed25519.SignatureSize && ed25519.Verify(key[:], append([]byte(signPurpose), msg...), sig)
}
