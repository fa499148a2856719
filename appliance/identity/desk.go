package identity

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// Desk is the register of nodes: who was admitted, what their sites are called,
// whose words were compared. Safe for concurrent use. It owns neither the log nor
// the vault.
type Desk struct {
	log   *oplog.Log
	vault *Vault

	mu       sync.Mutex
	byNumber map[uint16]Node       // every node that was found, and by its logs;
	byLog    map[oplog.LogID]Node  // that one is confirmed is never taken back
	asOf     uint64                // ops in the journal when they were looked for; 0 = never
	sound    map[string]checked    // certificates that were looked at, by their bytes
	words    map[[32]byte][32]byte // whose a word is, by its hash; see wordOf
	judged   *standings            // who is shut out
	judgedAt uint64                // as of so many ops
	hands    HandsCheck            // nil: nobody asks who agreed
	agreed   map[[32]byte]bool     // what two people agreed to, by its hash; see handed

	held     Held // the root's newest statement, as of that many ops
	isHeld   bool
	heldAsOf uint64

	following sync.Mutex // one Follow at a time; guards the next
	waiting   map[string]time.Time
	tookAt    uint64
	tookForks int // so many logs with two histories were known then
}

// OpenDesk puts the desk on a log that was opened with this package's Views.
func OpenDesk(log *oplog.Log, v *Vault) *Desk {
	self := Node{ID: v.NodeID(), Number: v.cert.Number, Site: v.SiteName(), Cert: v.Cert(), Founder: v.Cert().Has(CapEnrol), Confirmed: v.Cert().Has(CapEnrol)}
	d := &Desk{
		log: log, vault: v, byNumber: map[uint16]Node{self.Number: self}, byLog: map[oplog.LogID]Node{log.Own(): self}, sound: map[string]checked{},
		words: map[[32]byte][32]byte{}, agreed: map[[32]byte]bool{}, waiting: map[string]time.Time{},
	}
	v.ask(d.reserveNumbers)
	_ = d.look() // a view that cannot be read shows itself at the next question
	return d
}

// reserveNumbers keeps the vault from giving a number the register knows. It is
// asked before every admission: an issuer's folder may be older than what its
// peers have told since it was restored. A view that cannot be read shows itself
// at the next question; until then the vault's own count must do.
func (d *Desk) reserveNumbers() {
	nodes, err := d.Nodes()
	if err != nil {
		return
	}
	for _, n := range nodes {
		d.vault.reserve(n.Number)
	}
}

// NameSelf tells the others what this site is called, unless they were told.
func (d *Desk) NameSelf(ctx context.Context) error {
	site, id := d.vault.SiteName(), d.vault.NodeID()
	var row nodeRow
	err := d.log.View(func(r oplog.Reader) (err error) {
		row, err = readNode(r, id)
		return err
	})
	if err != nil {
		return err
	}
	// An issuer was installed, and the power went before the others were told.
	if own := d.vault.Cert(); len(row.Cert) > 0 && string(row.Cert) != string(own.Marshal()) && own.Has(CapEnrol) {
		if err := d.Enrolled(ctx, own); err != nil {
			return err
		}
	}
	if row.Site == site {
		return nil
	}
	return d.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error {
		_, err := tx.Append(nodeNamed, id, NodeNamed{Number: d.vault.cert.Number, Site: site})
		return err
	})
}

// Enrolled tells the others that this node admitted another one. Saying it twice
// writes it once. Fault: Denied "fault.identity.not_ours".
func (d *Desk) Enrolled(ctx context.Context, cert NodeCert) error {
	if err := cert.Verify(d.vault.root); err != nil {
		return err
	}
	return d.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error {
		_, told, err := tx.Row(nodesView, cert.ID(), certKey(cert.Marshal()))
		if err != nil || told {
			return err
		}
		_, err = tx.Append(enrolled, cert.ID(), Enrolled{Cert: cert.Marshal()})
		return err
	})
}

// Confirm says that by compared this node's five words with node's and they
// were the same. Saying it twice writes it once. Faults: NotFound
// "fault.identity.no_such_node", Conflict "fault.identity.confirm_self".
func (d *Desk) Confirm(ctx context.Context, by oplog.By, node NodeID) error {
	if node == d.vault.NodeID() {
		return fault.New(fault.Conflict, "fault.identity.confirm_self")
	}
	return d.log.Do(ctx, by, func(tx *oplog.Tx) error {
		if known, err := d.admitted(tx, node); err != nil || !known {
			return cmp.Or(err, error(fault.New(fault.NotFound, "fault.identity.no_such_node")))
		}
		_, told, err := tx.Row(nodesView, node, saidBy(d.log.Own()))
		if err != nil || told {
			return err
		}
		_, err = tx.Append(confirmed, node, Confirmed{})
		return err
	})
}

// refusedArg is the argument of Admit's faults that names the invitation.
const refusedArg = "Invitation"

// Refused notes a fault of Admit that somebody should see: an invitation that
// was tried when it was used or too old. Each is noted once; other errors are
// not, or a stranger could fill the journal.
func (d *Desk) Refused(ctx context.Context, refusal error) error {
	reason := ""
	switch {
	case errors.Is(refusal, fault.New(fault.Conflict, "fault.identity.invitation_used")):
		reason = reasonUsed
	case errors.Is(refusal, fault.New(fault.Gone, "fault.identity.invitation_expired")):
		reason = reasonExpired
	default:
		return nil
	}
	text, _ := fault.Of(refusal).Args[refusedArg].(string)
	id, err := hex.DecodeString(text)
	if err != nil || len(id) != 8 {
		return nil
	}
	self := d.vault.NodeID()
	return d.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error {
		_, noted, err := tx.Row(nodesView, self, append(slices.Clone(refusedKey), id...))
		if err != nil || noted {
			return err
		}
		_, err = tx.Append(invitationRefused, self, InvitationRefused{Invitation: [8]byte(id), Reason: reason})
		return err
	})
}

// Refusals is how many invitations of any node were tried when they were used or
// too old.
func (d *Desk) Refusals() (int, error) {
	n := 0
	err := d.log.View(func(r oplog.Reader) error {
		return r.Rows(nodesView, refusedKey, nil, func([]byte, oplog.ID, []byte) error {
			n++
			return nil
		})
	})
	return n, err
}

// readNode is what a node's own logs say; the zero row when nothing.
func readNode(r oplog.Reader, id NodeID) (nodeRow, error) {
	var row nodeRow
	raw, ok, err := r.Row(nodesView, id, nodeKey)
	if err != nil || !ok {
		return row, err
	}
	return row, decodeRow(raw, &row)
}

func decodeRow(raw []byte, row any) error {
	if err := decode(raw, row); err != nil {
		return fault.New(fault.Internal, "fault.identity.damaged").Wrap(err)
	}
	return nil
}

// admitted reports whether the root vouches for a node of that id.
func (d *Desk) admitted(r oplog.Reader, id NodeID) (bool, error) {
	f, err := d.facts(r)
	return f.nodes[id] != nil, err
}

// verified reads a certificate when the root vouches for it. Each is checked
// once: anybody may write that somebody was admitted.
func (d *Desk) verified(raw []byte) (NodeCert, bool) {
	d.mu.Lock()
	known, ok := d.sound[string(raw)]
	d.mu.Unlock()
	if ok {
		return known.cert, known.ours
	}
	cert, err := ParseNodeCert(raw)
	if err != nil {
		return NodeCert{}, false
	}
	known = checked{cert, cert.Verify(d.vault.root) == nil}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.sound) >= mostChecked {
		clear(d.sound)
	}
	d.sound[string(raw)] = known
	return known.cert, known.ours
}

// mostChecked is how many are remembered: more than one deployment has.
const mostChecked = 4096

// checked is a certificate and whether the root vouches for it.
type checked struct {
	cert NodeCert
	ours bool
}

// facts is what the view holds about nodes that the root vouches for.
type facts struct {
	nodes   map[NodeID]*Node
	vouched map[NodeID][]oplog.Ref // who says that their words were compared
}

// facts reads the view. A node's number is that of the certificate it spoke with first, or
// of the one it is said to have been given; of all it was ever given the one counts that
// supplants the others.
func (d *Desk) facts(r oplog.Reader) (facts, error) {
	f := facts{nodes: map[NodeID]*Node{}, vouched: map[NodeID][]oplog.Ref{}}
	add := func(raw []byte, site string, logs []oplog.LogID) *Node {
		cert, ok := d.verified(raw)
		if !ok {
			return nil
		}
		n := f.nodes[cert.ID()]
		if n == nil {
			n = &Node{ID: cert.ID(), Number: cert.Number, Site: site, Cert: cert, Logs: logs}
			f.nodes[n.ID] = n
		}
		if cert.Number == n.Number && supplants(cert, n.Cert) {
			n.Cert = cert
		}
		n.Founder = n.Cert.Has(CapEnrol)
		return n
	}
	return f, errors.Join(
		r.Rows(nodesView, nodeKey, nil, func(_ []byte, _ oplog.ID, value []byte) error {
			var row nodeRow
			err := decodeRow(value, &row)
			if err == nil {
				add(row.Cert, row.Site, row.Logs)
			}
			return err
		}),
		r.Rows(nodesView, enrolledKey, nil, func(_ []byte, _ oplog.ID, value []byte) error {
			var row enrolledRow
			err := decodeRow(value, &row)
			if err == nil {
				n, at := add(row.Cert, "", nil), time.UnixMilli(max(1, row.At)).UTC()
				if n != nil && (n.EnrolledAt.IsZero() || at.Before(n.EnrolledAt)) {
					n.EnrolledAt = at // of the first: an issuer may sign it anew
				}
			}
			return err
		}),
		r.Rows(nodesView, confirmedKey, nil, func(key []byte, subject oplog.ID, value []byte) error {
			if f.nodes[subject] != nil && len(value) == 8 {
				f.vouched[subject] = append(f.vouched[subject], oplog.Ref{Log: oplog.LogID(key[len(confirmedKey):]), Seq: binary.BigEndian.Uint64(value)})
			}
			return nil
		}),
	)
}

// supplants reports whether a certificate of a node counts before another one of the same:
// one that lets it admit others does, then the later one. It depends on the two alone, so
// that every node says the same.
func supplants(a, b NodeCert) bool {
	if x, y := a.Has(CapEnrol), b.Has(CapEnrol); x != y {
		return x
	}
	if a.NotBefore != b.NotBefore {
		return a.NotBefore > b.NotBefore
	}
	return string(a.Sig[:]) > string(b.Sig[:])
}

// Nodes lists every node of the deployment that is known here, by number, this
// one included. The result is the caller's.
func (d *Desk) Nodes() ([]Node, error) {
	var f facts
	var said []mutedRow
	err := d.log.View(func(r oplog.Reader) (err error) {
		if said, err = d.mutedRows(r); err != nil {
			return err
		}
		f, err = d.facts(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	nodes := f.asCompared(d.mutedBy(f, said))
	slices.SortFunc(nodes, func(a, b Node) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(string(a.ID[:]), string(b.ID[:])))
	})
	for i := range nodes {
		nodes[i] = d.weighed(nodes[i])
	}
	return nodes, nil
}

// weighed is a node with how it stands. What a box says after it was shut out compares
// nobody, and neither did an issuer's box that was lost make one that was compared: its
// thief makes as many nodes as they like. While nobody is shut out it costs nothing.
func (d *Desk) weighed(n Node) Node {
	d.mu.Lock()
	s := d.judged
	d.mu.Unlock()
	if s == nil { // nobody has looked since the start: the mesh may be off
		s, _ = d.judge()
	}
	if s == nil || len(s.of) == 0 && len(s.muted) == 0 {
		return n
	}
	if n.Confirmed && !s.sound[n.ID] { // it may have been compared since
		if now, err := d.judge(); err == nil {
			s = now
		}
	}
	n.Standing = s.of[n.ID]
	n.Confirmed = n.Confirmed && s.sound[n.ID]
	return n
}

// ByNumber is the node with that number, its certificate checked against the
// root; false when none is known here. An issuer gives each number once. It may
// be called inside a command of the log, as Author may.
func (d *Desk) ByNumber(number uint16) (Node, bool) {
	n, ok := find(d, func() (Node, bool) { n, ok := d.byNumber[number]; return n, ok })
	return d.weighed(n), ok
}

// Author is the node that writes a log; false when none is known here.
func (d *Desk) Author(log oplog.LogID) (Node, bool) {
	n, ok := find(d, func() (Node, bool) { n, ok := d.byLog[log]; return n, ok })
	return d.weighed(n), ok
}

// find looks among what was found before, and in the view for what is not there
// or was not confirmed then, unless the journal is still what it was.
func find(d *Desk, look func() (Node, bool)) (Node, bool) {
	ops := d.log.Stats().Ops
	d.mu.Lock()
	n, ok := look()
	fresh := d.asOf == ops
	d.mu.Unlock()
	if (ok && n.Confirmed) || fresh {
		return n, ok
	}
	nodes, err := d.Nodes()
	if err != nil {
		return n, ok
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asOf = ops
	for _, n := range slices.Backward(nodes) {
		d.byNumber[n.Number] = n
		for _, l := range n.Logs {
			d.byLog[l] = n
		}
	}
	return look()
}

// SelfConfirmed reports whether somebody compared this node's words with those
// of a confirmed node. The founder needs nobody.
func (d *Desk) SelfConfirmed() bool {
	n, ok := d.Author(d.log.Own())
	return ok && n.Confirmed
}

// Deployment is the id of the operation.
func (d *Desk) Deployment() [16]byte { return d.vault.Deployment() }

// Number is this node's number.
func (d *Desk) Number() uint16 { return d.vault.cert.Number }

// MayIssue reports whether this node may issue cards: its certificate says so
// and its words were compared.
func (d *Desk) MayIssue() bool { return d.vault.cert.Has(CapTokens) && d.SelfConfirmed() }

// SignToken is Ed25519 by the node key over a token's message.
func (d *Desk) SignToken(msg []byte) []byte { return d.vault.SignToken(msg) }
