package identity

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// Keys have epochs: whoever is shut out keeps the old ones and gets none of the next.
// The number of an epoch is a counter in the upper 16 bits and the number of the node that
// began it in the lower: an op names nothing but area and epoch, so two nodes that begin one
// at the same time must never give two keys one number, and no two nodes have one number.
// The larger number is the newer. What a deployment begins with has counter 0.

// What an epoch's key is for.
const (
	forRegister uint8 = 1 // payloads of an area of the register
	forGossip   uint8 = 2 // the membership traffic; its area is 0
)

// EpochBegun says that the subject, who writes it, began an epoch, or gives the key of one
// that another began to nodes that lack it. The lower half of the number tells which.
type EpochBegun struct {
	What   uint8       `cbor:"1,keyasint"`
	Area   uint16      `cbor:"2,keyasint"`
	Epoch  uint32      `cbor:"3,keyasint"`
	Check  [8]byte     `cbor:"4,keyasint"` // tells the key from every other
	Shut   []NodeID    `cbor:"5,keyasint"` // who is shut out as far as the writer knows: none of them gets it
	Copies []sealedKey `cbor:"6,keyasint"`
}

// sealedKey is the key for one node: HPKE (RFC 9180; X25519, HKDF-SHA256,
// ChaCha20-Poly1305) to the key in its certificate.
type sealedKey struct {
	_    struct{} `cbor:",toarray"`
	Node NodeID
	Box  []byte
}

var epochBegun = oplog.NewKind[EpochBegun]("identity.epoch_begun", 1, oplog.Deployment)

// copiesAnOp keeps a fact well below the limit of an op.
const copiesAnOp = 256

var (
	epochKey  = []byte("k")
	sealedFor = []byte("K")
)

// epochID names a key.
type epochID struct {
	what  uint8
	area  uint16
	epoch uint32
}

func (e epochID) bytes() []byte {
	b := binary.BigEndian.AppendUint16([]byte{e.what}, e.area)
	return binary.BigEndian.AppendUint32(b, e.epoch)
}

func parseEpochID(b []byte) (e epochID, log oplog.LogID, ok bool) {
	if len(b) != 7+len(log) {
		return e, log, false
	}
	return epochID{b[0], binary.BigEndian.Uint16(b[1:]), binary.BigEndian.Uint32(b[3:])}, oplog.LogID(b[7:]), true
}

// maker is the number of the node that began it; counter is what it counts by.
func (e epochID) maker() uint16   { return uint16(e.epoch) } //nolint:gosec // the lower half
func (e epochID) counter() uint32 { return e.epoch >> 16 }

// epochRow is what a log says about an epoch.
type epochRow struct {
	_     struct{} `cbor:",toarray"`
	Check [8]byte
	Shut  []NodeID
}

// epochRows are the rows of one fact: one for the epoch, one for each copy.
func epochRows(b *EpochBegun, op oplog.Op) []oplog.Row {
	if len(b.Shut) > maxMarks || len(b.Copies) > copiesAnOp {
		return nil
	}
	id := append(epochID{b.What, b.Area, b.Epoch}.bytes(), op.Log[:]...)
	rows := []oplog.Row{{Key: append(slices.Clone(epochKey), id...), Value: encode(epochRow{Check: b.Check, Shut: b.Shut})}}
	for _, c := range b.Copies {
		rows = append(rows, oplog.Row{Key: slices.Concat(sealedFor, c.Node[:], id), Value: bytes.Clone(c.Box)})
	}
	return rows
}

func keyCheck(id epochID, key []byte) [8]byte {
	return [8]byte(hashed("waypost/epoch-check/1", id.bytes(), key)[:8])
}

func sealInfo(dep DeploymentID, id epochID, node NodeID) []byte {
	return slices.Concat([]byte("waypost/epoch/1"), dep[:], id.bytes(), node[:])
}

// sealKey seals a key to a node.
func sealKey(dep DeploymentID, id epochID, to NodeCert, key []byte) (sealedKey, error) {
	public, err := ecdh.X25519().NewPublicKey(to.Seal[:])
	if err != nil {
		return sealedKey{}, err
	}
	pk, err := hpke.NewDHKEMPublicKey(public)
	if err != nil {
		return sealedKey{}, err
	}
	box, err := hpke.Seal(pk, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), sealInfo(dep, id, to.ID()), key)
	return sealedKey{Node: to.ID(), Box: box}, err
}

// unsealKey opens what was sealed to this node.
func (v *Vault) unsealKey(id epochID, box []byte) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return nil, errEnded()
	}
	private, err := ecdh.X25519().NewPrivateKey(v.s.SealKey)
	if err != nil {
		return nil, err
	}
	sk, err := hpke.NewDHKEMPrivateKey(private)
	if err != nil {
		return nil, err
	}
	key, err := hpke.Open(sk, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), sealInfo(v.deployment, id, v.cert.ID()), box)
	if err == nil && len(key) != 32 {
		err = errSecrets
	}
	return key, err
}

// epoch is what is known of one.
type epoch struct {
	epochID
	check [8]byte
	shut  []NodeID
	good  bool            // its maker was compared and is in good standing
	has   map[NodeID]bool // who a copy was made for
}

// ledger is what the view says about epochs, and who it concerns.
type ledger struct {
	nodes   []Node
	by      map[NodeID]Node
	authors map[oplog.LogID]NodeID
	of      map[NodeID]Standing
	judged  *standings
	epochs  map[epochID]*epoch
	mine    map[epochID][][]byte // sealed to this node
}

// ledger reads the view.
func (d *Desk) ledger() (*ledger, error) {
	s, err := d.judge()
	if err != nil {
		return nil, err
	}
	nodes, err := d.Nodes()
	if err != nil {
		return nil, err
	}
	d.vault.know(nodes)
	l := &ledger{nodes: nodes, by: map[NodeID]Node{}, authors: map[oplog.LogID]NodeID{}, of: s.of, judged: s, epochs: map[epochID]*epoch{}, mine: map[epochID][][]byte{}}
	for _, n := range nodes {
		l.by[n.ID] = n
		for _, log := range n.Logs {
			l.authors[log] = n.ID
		}
	}
	return l, d.log.View(func(r oplog.Reader) error {
		return errors.Join(
			r.Rows(nodesView, epochKey, nil, func(key []byte, _ oplog.ID, value []byte) error { return l.begun(key[len(epochKey):], value) }),
			r.Rows(nodesView, sealedFor, nil, func(key []byte, _ oplog.ID, value []byte) error {
				l.copied(key[len(sealedFor):], value, d.vault.NodeID())
				return nil
			}),
		)
	})
}

// begun takes a row in, when it is the word of the epoch's own maker.
func (l *ledger) begun(key, value []byte) error {
	id, log, ok := parseEpochID(key)
	maker, known := l.by[l.authors[log]]
	if !ok || !known || maker.Number != id.maker() || id.counter() == 0 && id.area == 0 {
		return nil
	}
	var row epochRow
	if err := decodeRow(value, &row); err != nil {
		return err
	}
	if l.epochs[id] == nil { // of a node that runs twice the lower log
		l.epochs[id] = &epoch{epochID: id, check: row.Check, shut: row.Shut, good: l.judged.sound[maker.ID] && !maker.Carries() && l.of[maker.ID] == StandingGood, has: map[NodeID]bool{}}
	}
	return nil
}

func (l *ledger) copied(key, box []byte, self NodeID) {
	if len(key) < len(self) {
		return
	}
	id, log, ok := parseEpochID(key[len(self):])
	e := l.epochs[id]
	if giver, known := l.by[l.authors[log]]; !ok || e == nil || !known || !l.judged.sound[giver.ID] {
		return
	}
	node := NodeID(key[:len(self)])
	e.has[node] = true
	if node == self {
		l.mine[id] = append(l.mine[id], bytes.Clone(box))
	}
}

// newest is the newest epoch of good standing; false when there is none but the first.
func (l *ledger) newest(what uint8, area uint16) (best *epoch, ok bool) {
	for id, e := range l.epochs {
		if id.what == what && id.area == area && e.good && (best == nil || id.epoch > best.epoch) {
			best = e
		}
	}
	return best, best != nil
}

// opens reports whether a node is given the keys of an area, or of the membership traffic.
// Of an area apart, a protected address, only nodes whose words were compared are, and
// likewise where the box of the issuer was shut out: it can make any number of them.
func (l *ledger) opens(n Node, what uint8, area uint16) bool {
	switch {
	case l.of[n.ID] != StandingGood || what == forRegister && !slices.Contains(n.Cert.Areas, area):
		return false
	case area != 0 || l.judged.issuers[n.Cert.Issuer.Public]:
		return l.judged.sound[n.ID]
	}
	return true
}

// stale reports whether somebody who was shut out may hold the newest key.
func (l *ledger) stale(what uint8, area uint16) bool {
	e, begun := l.newest(what, area)
	return slices.ContainsFunc(l.nodes, func(n Node) bool {
		return l.of[n.ID] != StandingGood && (what == forGossip || slices.Contains(n.Cert.Areas, area)) && (!begun || !slices.Contains(e.shut, n.ID))
	})
}

// rank is this node's turn among those that could do the same, so that one of them does
// it and the others only if that one does not: it may be off.
func (l *ledger) rank(self NodeID, what uint8, area uint16) (turn int) {
	for _, n := range l.nodes {
		if n.ID == self {
			return turn
		}
		if l.judged.sound[n.ID] && !n.Carries() && l.opens(n, what, area) {
			turn++
		}
	}
	return turn
}

// patience is how long each node leaves it to the one before.
const patience = 5 * time.Second

// due reports whether it is this node's turn for something that has to be done since it
// was first seen. The caller holds d.following.
func (d *Desk) due(what string, turn int) bool {
	now := d.vault.clock.Now()
	since, known := d.waiting[what]
	if !known {
		since = now
		d.waiting[what] = now
	}
	return now.Sub(since) >= time.Duration(turn)*patience
}

// subjects of rotation: the areas this node opens, and the membership traffic.
func (d *Desk) rotates() []epochID {
	out := []epochID{{what: forGossip}}
	for _, a := range d.vault.Cert().Areas {
		out = append(out, epochID{what: forRegister, area: a})
	}
	return out
}

// look takes in what the journal says about who is shut out and which keys count, without
// writing anything.
func (d *Desk) look() error {
	l, err := d.ledger()
	if err != nil {
		return err
	}
	return d.take(l)
}

// take opens the keys that were sealed to this node, and chooses what to write under.
func (d *Desk) take(l *ledger) error {
	for id, boxes := range l.mine {
		if d.vault.holdsEpoch(id, l.epochs[id].check) {
			continue
		}
		for _, box := range boxes {
			key, err := d.vault.unsealKey(id, box)
			if err != nil || keyCheck(id, key) != l.epochs[id].check {
				continue // a copy that is good for nothing: another node may give a better one
			}
			if err := d.vault.addEpoch(id, key); err != nil {
				return err
			}
			break
		}
	}
	for _, id := range d.rotates() {
		var best *epoch
		for k, e := range l.epochs {
			if k.what == id.what && k.area == id.area && e.good && (best == nil || k.epoch > best.epoch) && d.vault.holdsEpoch(k, e.check) {
				best = e
			}
		}
		if best != nil {
			if err := d.vault.useEpoch(best.epochID, best.check); err != nil {
				return err
			}
		}
	}
	return nil
}

// Follow brings this node up to date with what the journal says about nodes: who is shut
// out, which keys are new, what has to be held back. Where nobody else does it begins new
// epochs after somebody was shut out, and gives keys to nodes that lack them. It is called
// whenever the journal may have grown, and is quick when it has not.
func (d *Desk) Follow(ctx context.Context) error {
	d.following.Lock()
	defer d.following.Unlock()
	// Counted before anything is read: what comes in meanwhile is looked at the next time.
	forks, asOf := len(d.log.Forks()), d.log.Stats().Ops
	if asOf == d.tookAt && forks == d.tookForks && len(d.waiting) == 0 {
		return nil
	}
	l, err := d.ledger()
	if err != nil {
		return err
	}
	if err := d.holdBack(ctx); err != nil {
		return err
	}
	if err := d.take(l); err != nil {
		return err
	}
	if err := d.log.KeysChanged(ctx); err != nil {
		return err
	}
	if err := d.serve(ctx, l); err != nil {
		return err
	}
	d.tookAt, d.tookForks = asOf, forks
	return nil
}

// serve does for others what is this node's turn. The caller holds d.following.
func (d *Desk) serve(ctx context.Context, l *ledger) error {
	self := d.vault.NodeID()
	if !l.judged.sound[self] || l.of[self] != StandingGood || d.vault.Carries() {
		clear(d.waiting)
		return nil
	}
	wanted := map[string]bool{}
	for _, id := range d.rotates() {
		turn := l.rank(self, id.what, id.area)
		if l.stale(id.what, id.area) {
			name := "rotate" + string(id.bytes())
			wanted[name] = true
			if d.due(name, turn) {
				if err := d.begin(ctx, oplog.By{}, l, id); err != nil {
					return err
				}
				if l, _ = d.ledger(); l == nil {
					return nil
				}
			}
		}
		if err := d.publish(ctx, l, id); err != nil {
			return err
		}
		if err := d.give(ctx, l, id, turn, wanted); err != nil {
			return err
		}
	}
	for name := range d.waiting {
		if !wanted[name] {
			delete(d.waiting, name)
		}
	}
	return nil
}

// publish lets the other nodes of an area apart have the key this node made when it joined.
func (d *Desk) publish(ctx context.Context, l *ledger, id epochID) error {
	id.epoch = uint32(d.vault.Cert().Number)
	if id.what != forRegister || id.area == 0 || l.epochs[id] != nil {
		return nil
	}
	key, ok := d.vault.CompartmentKey(oplog.Register, id.area, id.epoch)
	if !ok {
		return nil
	}
	defer clear(key[:])
	var to []Node
	for _, n := range l.nodes {
		if l.opens(n, id.what, id.area) {
			to = append(to, n)
		}
	}
	fact := EpochBegun{What: id.what, Area: id.area, Epoch: id.epoch, Check: keyCheck(id, key[:]), Shut: []NodeID{}}
	return d.writeEpoch(ctx, oplog.By{}, fact, to, key[:])
}

// give gives nodes the keys that nobody has given them.
func (d *Desk) give(ctx context.Context, l *ledger, of epochID, turn int, wanted map[string]bool) error {
	for id, e := range l.epochs {
		if id.what != of.what || id.area != of.area || !d.vault.holdsEpoch(id, e.check) {
			continue
		}
		if newest, ok := l.newest(id.what, id.area); id.what == forGossip && (!ok || newest.epochID != id) {
			continue // nobody needs an old one
		}
		var lack []Node
		for _, n := range l.nodes {
			if l.opens(n, id.what, id.area) && !e.has[n.ID] {
				lack = append(lack, n)
			}
		}
		if len(lack) == 0 {
			continue
		}
		name := "give" + string(id.bytes())
		wanted[name] = true
		if !d.due(name, turn) {
			continue
		}
		key, ok := d.vault.epochKey(id, e.check)
		if !ok {
			continue
		}
		err := d.writeEpoch(ctx, oplog.By{}, EpochBegun{What: id.what, Area: id.area, Epoch: id.epoch, Check: e.check, Shut: []NodeID{}}, lack, key[:])
		clear(key[:])
		if err != nil {
			return err
		}
		delete(wanted, name)
	}
	return nil
}

// Rotate begins a new epoch of every area this node opens and of the membership traffic:
// what is written from now on is sealed to those who are not shut out. Faults: Denied
// "fault.identity.suspend_not_confirmed" and "fault.identity.suspend_shut", Full
// "fault.identity.epochs_spent".
func (d *Desk) Rotate(ctx context.Context, by oplog.By) error {
	if _, err := d.judge(); err != nil {
		return err
	}
	if err := d.maySpeak(); err != nil {
		return err
	}
	d.following.Lock()
	defer d.following.Unlock()
	for _, id := range d.rotates() {
		l, err := d.ledger()
		if err != nil {
			return err
		}
		if err := d.begin(ctx, by, l, id); err != nil {
			return err
		}
	}
	return nil
}

// begin draws a key, keeps it, says so, and uses it. The caller holds d.following.
func (d *Desk) begin(ctx context.Context, by oplog.By, l *ledger, id epochID) error {
	counter := uint32(0)
	for k, e := range l.epochs {
		if k.what == id.what && k.area == id.area && e.good {
			counter = max(counter, k.counter())
		}
	}
	if counter == 1<<16-1 {
		return fault.New(fault.Full, "fault.identity.epochs_spent")
	}
	id.epoch = (counter+1)<<16 | uint32(d.vault.Cert().Number)
	key := random(32)
	defer clear(key)
	check := keyCheck(id, key)
	if err := d.vault.addEpoch(id, bytes.Clone(key)); err != nil {
		return err // it must be on the card before anybody writes under it
	}
	fact := EpochBegun{What: id.what, Area: id.area, Epoch: id.epoch, Check: check, Shut: []NodeID{}}
	var to []Node
	for _, n := range l.nodes {
		switch {
		case l.of[n.ID] != StandingGood:
			fact.Shut = append(fact.Shut, n.ID)
		case l.opens(n, id.what, id.area):
			to = append(to, n)
		}
	}
	if len(fact.Shut) > maxMarks {
		fact.Shut = fact.Shut[:maxMarks]
	}
	if err := d.writeEpoch(ctx, by, fact, to, key); err != nil {
		return err
	}
	return d.vault.useEpoch(id, check)
}

// writeEpoch seals a key to nodes and says so, in as many facts as it takes.
func (d *Desk) writeEpoch(ctx context.Context, by oplog.By, fact EpochBegun, to []Node, key []byte) error {
	dep := DeploymentID(d.vault.Deployment())
	id := epochID{fact.What, fact.Area, fact.Epoch}
	copies := []sealedKey{}
	for _, n := range to {
		c, err := sealKey(dep, id, n.Cert, key)
		if err != nil {
			continue // a certificate with a key that is none: that node cannot be given anything
		}
		copies = append(copies, c)
	}
	slices.SortFunc(copies, func(a, b sealedKey) int { return cmp.Compare(string(a.Node[:]), string(b.Node[:])) })
	return d.log.Do(ctx, by, func(tx *oplog.Tx) error {
		for first := true; first || len(copies) > 0; first = false {
			n := min(len(copies), copiesAnOp)
			fact.Copies = copies[:n:n]
			copies = copies[n:]
			if _, err := tx.Append(epochBegun, d.vault.NodeID(), fact); err != nil {
				return err
			}
		}
		return nil
	})
}
