package identity

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// Revoked says that the subject is shut out for good. What its logs say behind the cuts is
// held back: stored and passed on, and not applied until it is released.
type Revoked struct {
	Cuts   []cut    `cbor:"1,keyasint"` // where each log of the subject ends; of others nothing counts
	Signed [][]byte `cbor:"2,keyasint"` // the two people who agreed: staff.Hand each
	Word   []byte   `cbor:"3,keyasint"` // an issuer's, or the root's
}

// cut is the last op of a log that counts, with the hash of its header.
type cut struct {
	_    struct{} `cbor:",toarray"`
	Log  oplog.LogID
	Seq  uint64
	Head [32]byte
}

// Released says that ops of the subject behind the cut count after all. One that nobody
// signed, as earlier versions wrote it, releases nothing: what it named is held back again,
// lost is nothing of it, and two people may release it.
type Released struct {
	Ops    []oplog.Ref `cbor:"1,keyasint"`
	Word   []byte      `cbor:"2,keyasint"`
	Signed [][]byte    `cbor:"3,keyasint,omitempty"` // the two people who agreed: staff.Hand each
}

// Version 1 of a revocation had the two people sign the node alone, so that their hands fit
// any cuts. It counts as it was meant, with its hands checked for that.
var (
	revokedFirst = oplog.NewKind[revokedFirstBody]("identity.revoked", 1, oplog.Deployment)
	revoked      = oplog.NewKind[Revoked]("identity.revoked", 2, oplog.Deployment)
	released     = oplog.NewKind[Released]("identity.released", 1, oplog.Deployment)
)

// revokedFirstBody is a Revoked of version 1, the same to the byte.
type revokedFirstBody Revoked

// signed is what the issuer signs.
func (r Revoked) signed(d DeploymentID, subject NodeID, version uint) []byte {
	r.Word = nil
	purpose := "waypost/revoked/2"
	if version == 1 {
		purpose = "waypost/revoked/1"
	}
	return slices.Concat([]byte(purpose), d[:], subject[:], encode(r))
}

func (r Released) signed(d DeploymentID, subject NodeID) []byte {
	r.Word = nil
	return slices.Concat([]byte("waypost/released/1"), d[:], subject[:], encode(r))
}

// revokedRow is one Revoked as the view keeps it.
type revokedRow struct {
	_     struct{} `cbor:",toarray"`
	Fact  Revoked
	First bool // of version 1
	Ref   oplog.Ref
	Clock uint64
	By    oplog.By
	At    int64 // Unix milliseconds
}

// releasedRow is one Released as the view keeps it.
type releasedRow struct {
	_    struct{} `cbor:",toarray"`
	Fact Released
	Ref  oplog.Ref
}

// saidIn is the key of a row that each log which says something has for itself: of an issuer
// that was revoked it counts where it was said.
func saidIn(prefix, hash []byte, log oplog.LogID) []byte {
	return slices.Concat(prefix, hash[:16], log[:])
}

var (
	revokedKey  = []byte("x")
	releasedKey = []byte("y")
)

const maxHands = 2

// version is that of the fact.
func (r revokedRow) version() uint {
	if r.First {
		return 1
	}
	return 2
}

// body is what the two people signed.
func (r revokedRow) body(subject NodeID) []byte {
	if r.First {
		return slices.Concat([]byte("revoke"), subject[:])
	}
	return RevokeBody(subject, RevokeCuts{r.Fact.Cuts})
}

func revokedRowOf(b *Revoked, op oplog.Op) (row oplog.Row, ok bool) {
	long := func(h []byte) bool { return len(h) > 512 }
	if len(b.Cuts) > maxMarks || len(b.Word) > maxCertBytes || len(b.Signed) > maxHands || slices.ContainsFunc(b.Signed, long) {
		return row, false
	}
	key := saidIn(revokedKey, hashed("waypost/revoked-row/1", []byte{byte(op.Version)}, encode(*b)), op.Log)
	return oplog.Row{Key: key, Value: encode(revokedRow{Fact: *b, First: op.Version == 1, Ref: op.Ref, Clock: op.Clock, By: op.By, At: op.At.UnixMilli()})}, true
}

func releasedRowOf(b *Released, op oplog.Op) (row oplog.Row, ok bool) {
	long := func(h []byte) bool { return len(h) > 512 }
	if len(b.Ops) > maxMarks || len(b.Word) > maxCertBytes || len(b.Signed) > maxHands || slices.ContainsFunc(b.Signed, long) {
		return row, false
	}
	key := saidIn(releasedKey, hashed("waypost/released-row/1", encode(*b)), op.Log)
	return oplog.Row{Key: key, Value: encode(releasedRow{Fact: *b, Ref: op.Ref})}, true
}

// revocations reads who was shut out for good into c: by an issuer's word, of a box where
// an issuer lives by another issuer's or the root's. That lasts when the issuer itself is
// revoked, if it said so before.
func (d *Desk) revocations(r oplog.Reader, c *court) error {
	dep := DeploymentID(d.vault.Deployment())
	first := map[string]revokedRow{} // of what several logs say
	var order []string
	err := r.Rows(nodesView, revokedKey, nil, func(key []byte, subject oplog.ID, value []byte) error {
		var row revokedRow
		if err := decodeRow(value, &row); err != nil {
			return err
		}
		if !c.worded(subject, d.wordOf(row.Fact.Word, row.Fact.signed(dep, subject, row.version())), row.Ref) {
			return nil
		}
		what := string(subject[:]) + string(key[:len(revokedKey)+16])
		old, known := first[what]
		if !known {
			order = append(order, what)
		}
		if !known || row.before(old) {
			first[what] = row
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, what := range order {
		row, subject := first[what], NodeID([]byte(what)[:len(NodeID{})])
		x := revocation{
			node: subject, word: d.wordOf(row.Fact.Word, row.Fact.signed(dep, subject, row.version())), at: row.At, who: row.By, fact: row.Ref,
			body: row.body(subject), signed: row.Fact.Signed,
		}
		for _, k := range row.Fact.Cuts {
			x.cuts = append(x.cuts, logMark{Log: k.Log, Seq: k.Seq})
			x.heads = append(x.heads, k)
		}
		c.revoked = append(c.revoked, x)
	}
	return r.Rows(nodesView, releasedKey, nil, func(_ []byte, subject oplog.ID, value []byte) error {
		var row releasedRow
		if err := decodeRow(value, &row); err != nil {
			return err
		}
		if c.worded(subject, d.wordOf(row.Fact.Word, row.Fact.signed(dep, subject)), row.Ref) {
			c.released = append(c.released, release{subject, row.Fact})
		}
		return nil
	})
}

// before orders the places where the same was said, as a fold does.
func (r revokedRow) before(o revokedRow) bool {
	return cmp.Or(cmp.Compare(r.Clock, o.Clock), bytes.Compare(r.Ref.Log[:], o.Ref.Log[:]), cmp.Compare(r.Ref.Seq, o.Ref.Seq)) < 0
}

// worded reports whether a word about a node that was said at a place counts: an issuer's,
// which does not live in that node and was not revoked before it said so, or the root's.
func (c *court) worded(node NodeID, word [32]byte, at oplog.Ref) bool {
	own, issues := c.issues(node)
	return word != [32]byte{} && (!issues || own != word) && c.muted.signs(word, at.Log, at.Seq)
}

// RevokeCuts are where the logs of a node end that is shut out for good.
type RevokeCuts struct{ cuts []cut }

// RevokeBody is what two people agree to when they shut a node out for good: which, and from
// where on.
func RevokeBody(node NodeID, cuts RevokeCuts) []byte {
	return slices.Concat([]byte("revoke/2"), node[:], hashed("waypost/revoke-cuts/1", encode(append([]cut{}, cuts.cuts...))))
}

// IsRevokeBody reports whether a body is about a node, whatever the cuts.
func IsRevokeBody(body []byte, node NodeID) bool {
	return bytes.HasPrefix(body, slices.Concat([]byte("revoke/2"), node[:]))
}

// RevokeCutsFor is what is held here of a node's logs, of those with two histories what comes
// before they part: it counts, the rest is held back.
// Fault: NotFound "fault.identity.no_such_node".
func (d *Desk) RevokeCutsFor(node NodeID) (RevokeCuts, error) {
	target, known, err := d.node(node)
	if err != nil || !known {
		return RevokeCuts{}, cmp.Or(err, error(fault.New(fault.NotFound, "fault.identity.no_such_node")))
	}
	out := []cut{}
	for _, h := range d.ends() {
		if slices.Contains(target.Logs, h.Log) && len(out) < maxMarks {
			out = append(out, cut{Log: h.Log, Seq: h.Seq, Head: h.Hash})
		}
	}
	return RevokeCuts{out}, nil
}

// Revoke shuts a node out for good, by the word of the issuer that lives here, and makes
// new keys that it does not get. What lies within the cuts counts; the rest is held back.
// hands are the signatures of the two who agreed to it and to the cuts. Saying it twice writes it once.
// Faults: NotFound "fault.identity.no_such_node", Conflict "fault.identity.suspend_self",
// Denied "fault.identity.revoke_issuer" where no issuer lives that may.
func (d *Desk) Revoke(ctx context.Context, by oplog.By, node NodeID, cuts RevokeCuts, hands [2][]byte) error {
	self := d.vault.NodeID()
	if node == self {
		return fault.New(fault.Conflict, "fault.identity.suspend_self")
	}
	target, known, err := d.node(node)
	if err != nil {
		return err
	}
	if !known {
		return fault.New(fault.NotFound, "fault.identity.no_such_node")
	}
	s, err := d.judge()
	if err != nil {
		return err
	}
	if s.of[node] == StandingRevoked {
		return d.Follow(ctx)
	}
	fact := Revoked{Cuts: append([]cut{}, cuts.cuts...), Signed: [][]byte{hands[0], hands[1]}}
	word, ok := d.vault.Countersign(fact.signed(DeploymentID(d.vault.Deployment()), node, 2))
	if own := d.vault.Cert().Issuer.Public; !ok || !d.inOffice(s) || target.Cert.Has(CapEnrol) && target.Cert.Issuer.Public == own {
		return fault.New(fault.Denied, "fault.identity.revoke_issuer")
	}
	fact.Word = word
	err = d.log.Do(ctx, by, func(tx *oplog.Tx) error {
		_, err := tx.Append(revoked, node, fact)
		return err
	})
	if err != nil {
		return err
	}
	return d.Follow(ctx)
}

// ReleaseBody is what two people agree to when ops that are held back are to count.
func ReleaseBody(node NodeID, ops []oplog.Ref) []byte {
	return slices.Concat([]byte("release/1"), node[:], hashed("waypost/released-ops/1", encode(append([]oplog.Ref{}, ops...))))
}

// Holds gives those of ops that are held back, in the order of their logs. Fault: NotFound
// "fault.identity.not_held" for none.
func (d *Desk) Holds(node NodeID, ops []oplog.Ref) ([]oplog.Ref, error) {
	held, err := d.log.HeldBack(node)
	if err != nil {
		return nil, err
	}
	out := []oplog.Ref{}
	for _, o := range held {
		if slices.Contains(ops, o.Ref) && len(out) < maxMarks {
			out = append(out, o.Ref)
		}
	}
	if len(out) == 0 {
		return nil, fault.New(fault.NotFound, "fault.identity.not_held")
	}
	return out, nil
}

// Release makes ops count after all that Holds gave, by the word of the issuer that lives
// here; hands are the two who agreed to them. Faults: NotFound "fault.identity.not_held" when
// none of them is held back any more, Denied "fault.identity.revoke_issuer".
func (d *Desk) Release(ctx context.Context, by oplog.By, node NodeID, ops []oplog.Ref, hands [2][]byte) error {
	s, err := d.judge()
	if err != nil {
		return err
	}
	if _, err := d.Holds(node, ops); err != nil {
		return err
	}
	fact := Released{Ops: ops, Signed: [][]byte{hands[0], hands[1]}}
	word, ok := d.vault.Countersign(fact.signed(DeploymentID(d.vault.Deployment()), node))
	if !ok || !d.inOffice(s) {
		return fault.New(fault.Denied, "fault.identity.revoke_issuer")
	}
	fact.Word = word
	err = d.log.Do(ctx, by, func(tx *oplog.Tx) error {
		_, err := tx.Append(released, node, fact)
		return err
	})
	if err != nil {
		return err
	}
	return d.Follow(ctx)
}

// HeldBack lists the ops of a revoked node that are held back here.
func (d *Desk) HeldBack(node NodeID) ([]oplog.HeldOp, error) { return d.log.HeldBack(node) }
