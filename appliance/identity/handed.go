package identity

import (
	"slices"

	"github.com/waypost/waypost/appliance/oplog"
)

// What two people at a node agree to says so with both their signatures. Who they are is the
// staff desk's to know, and that one stands on this: so it is asked through HandsCheck.

// What the signatures are for: staff.Act.Purpose.
const (
	PurposeRevoke       = "revoke"
	PurposeRevokeIssuer = "revoke-issuer"
	PurposeOpen         = "open-node"
	PurposeRelease      = "release"
)

// HandsCheck tells whether two people agreed to something: both signatures are right, they
// are two people who might and neither made the other's account, at one of nodes that was
// compared, which said itself that it made their accounts. It looks at how that was then: an
// account that ended since, or a node that was shut out, does not undo it. It may read the
// journal.
type HandsCheck func(nodes []Node, purpose string, body, first, second []byte) bool

// SetHands has facts that two people sign judged. Until it is called, before anybody uses the
// desk, and where no staff desk is, an issuer's word is enough: shutting out wins.
func (d *Desk) SetHands(check HandsCheck) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hands, d.judged = check, nil
}

// handed reports whether both hands are there for what was agreed to. A yes is for good, as
// that a node was compared is never taken back; a no may be one until more is known here.
func (d *Desk) handed(nodes []Node, purpose string, body []byte, signed [][]byte) bool {
	d.mu.Lock()
	check := d.hands
	d.mu.Unlock()
	if check == nil {
		return true
	}
	if len(signed) != maxHands {
		return false
	}
	sum := [32]byte(hashed("waypost/handed/1", encode([]any{purpose, body, signed})))
	d.mu.Lock()
	yes := d.agreed[sum]
	d.mu.Unlock()
	if !yes && check(nodes, purpose, body, signed[0], signed[1]) {
		d.mu.Lock()
		d.agreed[sum] = true
		d.mu.Unlock()
		yes = true
	}
	return yes
}

// asCompared are the nodes of facts with who was compared, whatever became of them since.
func (f facts) asCompared(m muted) []Node {
	nodes := make([]Node, 0, len(f.nodes))
	for _, n := range f.nodes {
		nodes = append(nodes, *n)
	}
	trusted(nodes, f.vouched, m)
	return nodes
}

// mutedBy decides which issuers were revoked, as far as two people agreed to it.
func (d *Desk) mutedBy(f facts, rows []mutedRow) muted {
	if len(rows) == 0 {
		return nil
	}
	return decideIssuers(d.issuerCases(f.asCompared(nil), rows))
}

// mutedRows are the statements about issuers.
func (d *Desk) mutedRows(r oplog.Reader) (rows []mutedRow, err error) {
	err = r.Rows(nodesView, mutedKey, nil, func(_ []byte, _ oplog.ID, value []byte) error {
		var row mutedRow
		if err := decodeRow(value, &row); err != nil {
			return err
		}
		rows = append(rows, row)
		return nil
	})
	return rows, err
}

// statements are the statements about issuers, read and judged.
func (d *Desk) statements() ([]*issuerCase, error) {
	var f facts
	var rows []mutedRow
	err := d.log.View(func(r oplog.Reader) (err error) {
		if rows, err = d.mutedRows(r); err != nil {
			return err
		}
		f, err = d.facts(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	cases := d.issuerCases(f.asCompared(nil), rows)
	decideIssuers(cases)
	return cases, nil
}

// releasedBy are the ops that two people agreed to release.
func (d *Desk) releasedBy(nodes []Node, all []release) (ops []oplog.Ref) {
	for _, x := range all {
		if len(x.fact.Signed) == maxHands && d.handed(nodes, PurposeRelease, ReleaseBody(x.node, x.fact.Ops), x.fact.Signed) {
			ops = append(ops, x.fact.Ops...)
		}
	}
	return ops
}

// agreedTo leaves out the revocations that two people did not agree to. What an earlier
// version wrote binds the node alone: its hands are checked for that.
func (d *Desk) agreedTo(nodes []Node, all []revocation) []revocation {
	return slices.DeleteFunc(all, func(x revocation) bool { return !d.handed(nodes, PurposeRevoke, x.body, x.signed) })
}
