package identity

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// Suspended says that the subject's box is lost: nobody deals with it until an issuer
// lifts it.
type Suspended struct {
	ID   [8]byte   `cbor:"1,keyasint"`           // random: what a lift names
	Seen []logMark `cbor:"2,keyasint"`           // how far the subject's logs were known where this was said
	Node NodeID    `cbor:"3,keyasint"`           // where it was said
	Word []byte    `cbor:"4,keyasint,omitempty"` // an issuer says so too
}

// SuspensionLifted is an issuer's word that suspensions of the subject are over.
type SuspensionLifted struct {
	IDs  [][8]byte `cbor:"1,keyasint"`
	Word []byte    `cbor:"2,keyasint"`
}

var (
	suspended        = oplog.NewKind[Suspended]("identity.suspended", 1, oplog.Deployment)
	suspensionLifted = oplog.NewKind[SuspensionLifted]("identity.suspension_lifted", 1, oplog.Deployment)
)

// Limits of one fact, so that a row stays small.
const (
	maxMarks = 1000
	maxLifts = 1000
)

// signed is what an issuer signs.
func (s Suspended) signed(d DeploymentID, subject NodeID) []byte {
	s.Word = nil
	return slices.Concat([]byte("waypost/suspended/1"), d[:], subject[:], encode(s))
}

func (l SuspensionLifted) signed(d DeploymentID, subject NodeID) []byte {
	l.Word = nil
	return slices.Concat([]byte("waypost/suspension-lifted/1"), d[:], subject[:], encode(l))
}

// suspensionRow is one Suspended as the view keeps it; its key is id ‖ log.
type suspensionRow struct {
	_     struct{} `cbor:",toarray"`
	Seq   uint64
	Clock uint64
	Fact  Suspended
	By    oplog.By
	At    int64 // Unix milliseconds
}

var (
	suspendedKey = []byte("s")
	liftedKey    = []byte("u")
)

func suspensionRowOf(b *Suspended, op oplog.Op) (row oplog.Row, ok bool) {
	if len(b.Seen) > maxMarks || len(b.Word) > maxCertBytes {
		return row, false
	}
	key := append(append(slices.Clone(suspendedKey), b.ID[:]...), op.Log[:]...)
	return oplog.Row{Key: key, Value: encode(suspensionRow{Seq: op.Seq, Clock: op.Clock, Fact: *b, By: op.By, At: op.At.UnixMilli()})}, true
}

// liftRow is one SuspensionLifted as the view keeps it; its key is hash ‖ log.
type liftRow struct {
	_    struct{} `cbor:",toarray"`
	Log  oplog.LogID
	Seq  uint64
	Fact SuspensionLifted
}

func liftRowOf(b *SuspensionLifted, op oplog.Op) (row oplog.Row, ok bool) {
	if len(b.IDs) > maxLifts || len(b.Word) > maxCertBytes {
		return row, false
	}
	key := saidIn(liftedKey, hashed("waypost/lift-row/1", encode(*b)), op.Log)
	return oplog.Row{Key: key, Value: encode(liftRow{Log: op.Log, Seq: op.Seq, Fact: *b})}, true
}

// court reads what was said about who is lost, besides f and m.
func (d *Desk) court(r oplog.Reader, f facts, m muted) (*court, error) {
	c := newCourt(f.nodes)
	c.muted = m
	dep := DeploymentID(d.vault.Deployment())
	err := r.Rows(nodesView, suspendedKey, nil, func(key []byte, subject oplog.ID, value []byte) error {
		var row suspensionRow
		if key = key[len(suspendedKey):]; len(key) != 8+len(oplog.LogID{}) {
			return nil
		}
		if err := decodeRow(value, &row); err != nil {
			return err
		}
		s := Suspension{
			Node: subject, ID: row.Fact.ID, At: row.At, Who: row.By, log: oplog.LogID(key[8:]), seq: row.Seq, clock: row.Clock, seen: row.Fact.Seen,
		}
		if c.authors[s.log] == row.Fact.Node { // or an issuer's word could be said again elsewhere
			s.word = d.wordOf(row.Fact.Word, row.Fact.signed(dep, subject))
		}
		c.said = append(c.said, s)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = r.Rows(nodesView, liftedKey, nil, func(_ []byte, subject oplog.ID, value []byte) error {
		var row liftRow
		if err := decodeRow(value, &row); err != nil {
			return err
		}
		fact := row.Fact
		if word := d.wordOf(fact.Word, fact.signed(dep, subject)); word != [32]byte{} {
			c.lifts = append(c.lifts, lift{node: subject, ids: fact.IDs, word: word, log: row.Log, seq: row.Seq})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, d.revocations(r, c)
}

// rootVoice stands where an issuer's key does when it is the root that speaks.
var rootVoice = [32]byte(bytes.Repeat([]byte{0xff}, 32))

// rootWordPurpose keeps the root's word for such a fact apart from its certificates.
const rootWordPurpose = "waypost/root-word/1"

// voice is whose word it is for msg: an issuer's key, or rootVoice for the root's public
// key followed by its signature; zero when it is no word for that.
func voice(dep DeploymentID, word, msg []byte) (issuer [32]byte) {
	if len(word) == ed25519.PublicKeySize+ed25519.SignatureSize {
		root, sig := word[:ed25519.PublicKeySize], word[ed25519.PublicKeySize:]
		if DeploymentOf(root) == dep && ed25519.Verify(root, slices.Concat([]byte(rootWordPurpose), msg), sig) {
			return rootVoice
		}
		return issuer
	}
	var c countersigned
	if VerifyCountersign(dep, word, msg) && decode(word, &c) == nil {
		return c.Issuer.Public
	}
	return issuer
}

// wordOf is voice, worked out once for each word.
func (d *Desk) wordOf(word, msg []byte) (issuer [32]byte) {
	if len(word) == 0 {
		return issuer
	}
	sum := [32]byte(hashed("waypost/word/1", word, msg))
	d.mu.Lock()
	issuer, known := d.words[sum]
	d.mu.Unlock()
	if !known {
		issuer = voice(DeploymentID(d.vault.Deployment()), word, msg)
		d.mu.Lock()
		d.words[sum] = issuer
		d.mu.Unlock()
	}
	return issuer
}

// standings is who is shut out, as of so many ops in the journal.
type standings struct {
	of   map[NodeID]Standing
	said []Suspension // those that count
	cuts []revocation
	free []oplog.Ref // ops behind a cut that count after all

	muted   muted             // issuers that were revoked
	issuers map[[32]byte]bool // those, and whose box is shut out
	sound   map[NodeID]bool   // compared, by the word of those who could still be believed
}

// judge looks again at who is shut out, unless the journal is what it was.
func (d *Desk) judge() (*standings, error) {
	ops := d.log.Stats().Ops
	d.mu.Lock()
	if d.judged != nil && d.judgedAt == ops {
		defer d.mu.Unlock()
		return d.judged, nil
	}
	d.mu.Unlock()
	s := &standings{of: map[NodeID]Standing{}}
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
	// Whose hands there are is looked up outside: it reads the journal too.
	s.muted = d.mutedBy(f, said)
	nodes := f.asCompared(s.muted)
	for i := range nodes {
		f.nodes[nodes[i].ID] = &nodes[i]
	}
	var c *court
	err = d.log.View(func(r oplog.Reader) (err error) {
		c, err = d.court(r, f, s.muted)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.revoked = d.agreedTo(f.asCompared(nil), c.revoked)
	s.said, s.cuts, s.free = c.judge(), c.revoked, d.releasedBy(f.asCompared(nil), c.released)
	for _, x := range s.said {
		s.of[x.Node] = StandingSuspended
	}
	for _, x := range s.cuts {
		s.of[x.node] = StandingRevoked
	}
	s.believe(nodes, f.vouched)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.judged, d.judgedAt = s, ops
	return s, nil
}

// StandingOf is whether the others deal with a node, as last looked at: the mesh asks it
// inside handshakes. Follow looks anew.
func (d *Desk) StandingOf(node NodeID) Standing {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.judged == nil {
		return StandingGood
	}
	return d.judged.of[node]
}

// StandingOfNumber is StandingOf by the number that is printed in cards.
func (d *Desk) StandingOfNumber(number uint16) Standing {
	n, ok := d.ByNumber(number)
	if !ok {
		return StandingGood
	}
	return d.StandingOf(n.ID)
}

// believed reports whether what a node said at a place counts although it is shut out:
// those who shut it out had seen it.
func (s *standings) believed(node NodeID, op oplog.Ref) bool {
	for _, x := range s.said {
		if x.Node == node && !covers(x.seen, op.Log, op.Seq) {
			return false
		}
	}
	for _, x := range s.cuts {
		if x.node == node && !covers(x.cuts, op.Log, op.Seq) {
			return false
		}
	}
	return true
}

// believe works out who counts as compared when nobody believes what a box said after it
// was shut out. Where an issuer's box was stolen the thief can make any number of nodes,
// issuers among them, and have the box say that their words were compared.
func (s *standings) believe(nodes []Node, vouched map[NodeID][]oplog.Ref) {
	s.issuers, s.sound = map[[32]byte]bool{}, map[NodeID]bool{}
	for issuer := range s.muted {
		s.issuers[issuer] = true
	}
	for _, n := range nodes {
		if n.Cert.Has(CapEnrol) && s.of[n.ID] != StandingGood {
			s.issuers[n.Cert.Issuer.Public] = true
		}
	}
	authors := map[oplog.LogID]Node{}
	admit := func(n Node) {
		s.sound[n.ID] = true
		if n.Carries() {
			return // it compares nobody
		}
		for _, l := range n.Logs {
			authors[l] = n
		}
	}
	for _, n := range nodes {
		if n.Cert.Has(CapEnrol) && s.muted.knew(n) && (s.of[n.ID] != StandingGood || !s.issuers[n.Cert.Issuer.Public] || s.muted[n.Cert.Issuer.Public] != nil) {
			admit(n)
		}
	}
	for changed := true; changed; {
		changed = false
		for _, n := range nodes {
			if !s.sound[n.ID] && slices.ContainsFunc(vouched[n.ID], func(r oplog.Ref) bool {
				by, known := authors[r.Log]
				return known && s.believed(by.ID, r) && s.muted.vouches(by, r)
			}) {
				admit(n)
				changed = true
			}
		}
	}
}

// Outcast reports whether this node has to refuse whoever shows a certificate: one that was
// shut out, or one that nobody compared and whose issuer's box was shut out. It never
// refuses itself. It may be asked about nodes that are not known here.
func (d *Desk) Outcast(cert NodeCert) bool {
	id := cert.ID()
	d.mu.Lock()
	s := d.judged
	d.mu.Unlock()
	return s != nil && id != d.vault.NodeID() && (s.of[id] != StandingGood || s.issuers[cert.Issuer.Public] && !s.sound[id])
}

// Shut reports whether this node has to refuse another one. It never refuses itself.
func (d *Desk) Shut(node NodeID) bool {
	return node != d.vault.NodeID() && d.StandingOf(node) != StandingGood
}

// Suspensions lists the suspensions that count, the oldest first by the clocks of those
// who said so.
func (d *Desk) Suspensions() ([]Suspension, error) {
	s, err := d.judge()
	if err != nil {
		return nil, err
	}
	out := slices.Clone(s.said)
	slices.SortStableFunc(out, func(a, b Suspension) int { return cmp.Compare(a.At, b.At) })
	return out, nil
}

// When is the wall time the node claims where it was said.
func (s Suspension) When() time.Time { return time.UnixMilli(max(0, s.At)).UTC() }

// Suspend says that a node's box is lost, and makes new keys that it does not get. Nobody
// talks to it from the moment they learn of it. Saying it twice writes it once. Faults:
// NotFound "fault.identity.no_such_node", Conflict "fault.identity.suspend_self" and
// "fault.identity.suspend_limit", Denied "fault.identity.suspend_not_confirmed" and
// "fault.identity.suspend_shut".
func (d *Desk) Suspend(ctx context.Context, by oplog.By, node NodeID) error {
	self := d.vault.NodeID()
	if node == self {
		return fault.New(fault.Conflict, "fault.identity.suspend_self")
	}
	if err := d.maySpeak(); err != nil {
		return err
	}
	s, err := d.judge()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(s.said, func(x Suspension) bool { return x.Node == node && x.By == self }) || s.of[node] == StandingRevoked {
		return d.Follow(ctx)
	}
	target, known, err := d.node(node)
	if err != nil || !known {
		return cmp.Or(err, error(fault.New(fault.NotFound, "fault.identity.no_such_node")))
	}
	fact := Suspended{ID: [8]byte(random(8)), Seen: d.marks(target.Logs), Node: self}
	if d.inOffice(s) {
		fact.Word, _ = d.vault.Countersign(fact.signed(DeploymentID(d.vault.Deployment()), node))
	}
	if len(fact.Word) == 0 && d.ownSuspensions(s) >= maxSuspends {
		return fault.New(fault.Conflict, "fault.identity.suspend_limit", "Count", maxSuspends)
	}
	err = d.log.Do(ctx, by, func(tx *oplog.Tx) error {
		_, err := tx.Append(suspended, node, fact)
		return err
	})
	if err != nil {
		return err
	}
	return d.Follow(ctx)
}

// ownSuspensions counts the nodes this one shut out by its own word.
func (d *Desk) ownSuspensions(s *standings) (n int) {
	self := d.vault.NodeID()
	for _, x := range s.said {
		if x.By == self && x.word == [32]byte{} {
			n++
		}
	}
	return n
}

// maySpeak faults where others would not listen.
func (d *Desk) maySpeak() error {
	if !d.SelfConfirmed() {
		return fault.New(fault.Denied, "fault.identity.suspend_not_confirmed")
	}
	if d.StandingOf(d.vault.NodeID()) != StandingGood {
		return fault.New(fault.Denied, "fault.identity.suspend_shut")
	}
	return nil
}

// node is one node by its id.
func (d *Desk) node(id NodeID) (Node, bool, error) {
	nodes, err := d.Nodes()
	i := slices.IndexFunc(nodes, func(n Node) bool { return n.ID == id })
	if err != nil || i < 0 {
		return Node{}, false, err
	}
	return nodes[i], true, nil
}

// marks is how far logs are held here, sorted.
func (d *Desk) marks(logs []oplog.LogID) []logMark {
	out := []logMark{}
	for _, h := range d.ends() {
		if slices.Contains(logs, h.Log) && len(out) < maxMarks {
			out = append(out, logMark{Log: h.Log, Seq: h.Seq})
		}
	}
	return out
}

// Lift gives a suspended node back by the word of the issuer that lives here. It gets the
// keys it missed, and the next ones. Faults: NotFound "fault.identity.not_suspended",
// Conflict "fault.identity.revoked", Denied "fault.identity.lift_issuer" where no issuer
// lives that may.
func (d *Desk) Lift(ctx context.Context, by oplog.By, node NodeID) error {
	s, err := d.judge()
	if err != nil {
		return err
	}
	if s.of[node] == StandingRevoked {
		return fault.New(fault.Conflict, "fault.identity.revoked")
	}
	fact := SuspensionLifted{IDs: [][8]byte{}}
	for _, x := range s.said {
		if x.Node == node && len(fact.IDs) < maxLifts && !slices.Contains(fact.IDs, x.ID) {
			fact.IDs = append(fact.IDs, x.ID)
		}
	}
	if len(fact.IDs) == 0 {
		return fault.New(fault.NotFound, "fault.identity.not_suspended")
	}
	slices.SortFunc(fact.IDs, func(a, b [8]byte) int { return bytes.Compare(a[:], b[:]) })
	word, ok := d.vault.Countersign(fact.signed(DeploymentID(d.vault.Deployment()), node))
	if !ok || node == d.vault.NodeID() || !d.inOffice(s) {
		return fault.New(fault.Denied, "fault.identity.lift_issuer")
	}
	fact.Word = word
	err = d.log.Do(ctx, by, func(tx *oplog.Tx) error {
		_, err := tx.Append(suspensionLifted, node, fact)
		return err
	})
	if err != nil {
		return err
	}
	return d.Follow(ctx)
}

// ShutOut is a node that is suspended or revoked, and what shows that.
type ShutOut struct {
	Node     NodeID
	Standing Standing
	When     time.Time // by the clock of the node where it was said first
	Who      oplog.By
	At       NodeID    // where it was said; zero when that node is not known here
	Fact     oplog.Ref // the fact, to ask who knows of it
	MayLift  bool      // the issuer that lives here may
}

// ShutOut lists the nodes that are shut out, in the order of when it was said.
func (d *Desk) ShutOut() ([]ShutOut, error) {
	s, err := d.judge()
	if err != nil {
		return nil, err
	}
	found := map[NodeID]ShutOut{}
	add := func(x ShutOut) {
		if old, known := found[x.Node]; !known || x.Standing > old.Standing || x.Standing == old.Standing && x.When.Before(old.When) {
			found[x.Node] = x
		}
	}
	for _, x := range s.said {
		add(ShutOut{Node: x.Node, Standing: StandingSuspended, When: x.When(), Who: x.Who, At: x.By, Fact: oplog.Ref{Log: x.log, Seq: x.seq}, MayLift: d.mayLift(s, x.Node)})
	}
	for _, x := range s.cuts {
		author, _ := d.Author(x.fact.Log)
		add(ShutOut{Node: x.node, Standing: StandingRevoked, When: time.UnixMilli(max(0, x.at)).UTC(), Who: x.who, At: author.ID, Fact: x.fact})
	}
	out := make([]ShutOut, 0, len(found))
	for _, x := range found {
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b ShutOut) int {
		return cmp.Or(a.When.Compare(b.When), bytes.Compare(a.Node[:], b.Node[:]))
	})
	return out, nil
}

// mayLift reports whether the issuer that lives here may lift a node's suspension.
func (d *Desk) mayLift(s *standings, node NodeID) bool {
	n, known, err := d.node(node)
	own := d.vault.Cert().Issuer.Public
	return err == nil && known && d.vault.CanEnrol() && node != d.vault.NodeID() && d.inOffice(s) &&
		(!n.Cert.Has(CapEnrol) || n.Cert.Issuer.Public != own)
}
