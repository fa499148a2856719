package identity

import (
	"cmp"
	"context"
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
	byNumber map[uint16]NodeCert // verified certificates by number; they only grow
	sure     bool                // this node was confirmed; that is never taken back
}

// OpenDesk puts the desk on a log that was opened with this package's Views.
func OpenDesk(log *oplog.Log, v *Vault) *Desk {
	d := &Desk{log: log, vault: v, byNumber: map[uint16]NodeCert{v.cert.Number: v.cert}}
	v.ask(d.reserveNumbers)
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
	row, err := d.row(id)
	if err != nil || row.Site == site {
		return err
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
		row, err := readNode(tx, cert.ID())
		if err != nil || row.Enrolled != 0 {
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
		row, err := readNode(tx, node)
		if err != nil {
			return err
		}
		if _, ok := d.verified(row); !ok {
			return fault.New(fault.NotFound, "fault.identity.no_such_node")
		}
		if slices.Contains(row.Confirmed, d.log.Own()) {
			return nil
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

// row is what the view says about one node; the zero row when nothing.
func (d *Desk) row(id NodeID) (row nodeRow, err error) {
	err = d.log.View(func(r oplog.Reader) error {
		row, err = readNode(r, id)
		return err
	})
	return row, err
}

func readNode(r oplog.Reader, id NodeID) (nodeRow, error) {
	var row nodeRow
	raw, ok, err := r.Row(nodesView, id, nodeKey)
	if err != nil || !ok {
		return row, err
	}
	if err := decode(raw, &row); err != nil {
		return nodeRow{}, fault.New(fault.Internal, "fault.identity.damaged").Wrap(err)
	}
	return row, nil
}

// verified is the row's certificate when the root vouches for it.
func (d *Desk) verified(row nodeRow) (NodeCert, bool) {
	if row.Cert == nil {
		return NodeCert{}, false
	}
	cert, err := ParseNodeCert(row.Cert)
	if err != nil || cert.Verify(d.vault.root) != nil {
		return NodeCert{}, false
	}
	return cert, true
}

// Nodes lists every node of the deployment that is known here, by number, this
// one included. The result is the caller's.
func (d *Desk) Nodes() ([]Node, error) {
	var rows []nodeRow
	err := d.log.View(func(r oplog.Reader) error {
		return r.Rows(nodesView, nodeKey, nil, func(_ []byte, _ oplog.ID, value []byte) error {
			var row nodeRow
			if err := decode(value, &row); err != nil {
				return fault.New(fault.Internal, "fault.identity.damaged").Wrap(err)
			}
			rows = append(rows, row)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	nodes := make([]Node, 0, len(rows))
	vouched := map[NodeID][]oplog.LogID{}
	for _, row := range rows {
		cert, ok := d.verified(row)
		if !ok {
			continue
		}
		n := Node{ID: cert.ID(), Number: cert.Number, Site: row.Site, Cert: cert, Logs: row.Logs, Founder: cert.Has(CapEnrol)}
		if row.Enrolled != 0 {
			n.EnrolledAt = time.UnixMilli(row.Enrolled).UTC()
		}
		vouched[n.ID] = row.Confirmed
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b Node) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(string(a.ID[:]), string(b.ID[:])))
	})
	trusted(nodes, vouched)
	return nodes, nil
}

// Certificate is the certificate of the node with that number, checked against
// the root; false when none is known here. An issuer gives each number once.
func (d *Desk) Certificate(number uint16) (NodeCert, bool) {
	d.mu.Lock()
	cert, ok := d.byNumber[number]
	d.mu.Unlock()
	if ok {
		return cert, true
	}
	nodes, err := d.Nodes()
	if err != nil {
		return NodeCert{}, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range slices.Backward(nodes) {
		d.byNumber[n.Number] = n.Cert
	}
	cert, ok = d.byNumber[number]
	return cert, ok
}

// SelfConfirmed reports whether somebody compared this node's words with those
// of a confirmed node. The founder needs nobody.
func (d *Desk) SelfConfirmed() bool {
	d.mu.Lock()
	sure := d.sure
	d.mu.Unlock()
	if sure || d.vault.cert.Has(CapEnrol) {
		return true
	}
	nodes, err := d.Nodes()
	if err != nil {
		return false
	}
	self := d.vault.NodeID()
	sure = slices.ContainsFunc(nodes, func(n Node) bool { return n.ID == self && n.Confirmed })
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sure = d.sure || sure
	return d.sure
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
