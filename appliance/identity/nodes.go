package identity

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
)

// Node is what is known about one appliance.
type Node struct {
	ID         NodeID
	Number     uint16
	Site       string // empty while its register facts are not here
	Cert       NodeCert
	Founder    bool          // it holds the issuer: the one everybody else compared words with
	Confirmed  bool          // somebody compared its words, or it is the founder
	EnrolledAt time.Time     // wall time its inviter claims; zero for the founder
	Logs       []oplog.LogID // the logs it wrote, sorted
	Standing   Standing      // as last looked at
}

// nodesView has, per node:
//
//	n                    -> nodeRow: what its own logs say of it
//	e ‖ hash of the cert -> enrolledRow: somebody says that it was admitted
//	c ‖ log              -> sequence (8) where that log says first that its words were compared
//	r ‖ invitation       -> refusedRow: it refused that invitation
//	l ‖ log ‖ from ‖ to  -> lossRow: somebody there accepted that these ops are lost
//	s ‖ id ‖ log         -> suspensionRow: that log says that the node is lost
//	u ‖ hash ‖ log       -> liftRow: an issuer's word that suspensions are over
//	x ‖ hash ‖ log       -> revokedRow: an issuer's word that the node is shut out for good
//	y ‖ hash ‖ log       -> releasedRow: an issuer's word that ops behind the cut count after all
//	z ‖ hash ‖ log       -> mutedRow, per issuer: an issuer's word that it is one no more
//	k ‖ what ‖ area ‖ epoch ‖ log          -> epochRow: that log began, or gave away, an epoch
//	K ‖ node ‖ what ‖ area ‖ epoch ‖ log   -> the epoch's key, sealed to that node
//
// What others say has rows of its own, one for each of them: a row that grows
// with every log that says something would be made too long, and so be lost, by
// one node that opens many logs.
var nodesView = &oplog.View{Name: "nodes", Version: 5, Kinds: nodeKinds(), Fold: foldNode}

// nodeKinds are the facts about nodes.
func nodeKinds() []oplog.Kind {
	return []oplog.Kind{
		logBorn, enrolled, confirmed, nodeNamed, invitationRefused, lossAccepted,
		suspended, suspensionLifted, epochBegun, revokedFirst, revoked, released, issuerRevoked,
	}
}

var (
	nodeKey      = []byte("n")
	enrolledKey  = []byte("e")
	confirmedKey = []byte("c")
	refusedKey   = []byte("r")
)

// nodeRow is what a node's own logs add up to.
type nodeRow struct {
	_    struct{} `cbor:",toarray"`
	Cert []byte
	Site string
	Logs []oplog.LogID
}

// enrolledRow is a certificate that somebody says the node was given. The first
// word for each certificate counts; whether it is one is for the reader to see.
type enrolledRow struct {
	_    struct{} `cbor:",toarray"`
	Cert []byte
	At   int64 // Unix milliseconds
}

// refusedRow is one refused invitation.
type refusedRow struct {
	_      struct{} `cbor:",toarray"`
	Reason string
	At     int64 // Unix milliseconds
}

// foldNode is the shared view. ops are sorted by (clock, log, sequence).
func foldNode(subject oplog.ID, ops []oplog.Op) []oplog.Row {
	row := nodeRow{Logs: []oplog.LogID{}}
	own := func(l oplog.LogID) bool { return slices.Contains(row.Logs, l) }
	for _, op := range ops {
		if b := oplog.Body[LogBorn](op); b != nil && op.Seq == 1 {
			row.born(subject, op.Log, b)
		}
	}
	var rows []oplog.Row
	for _, op := range ops {
		switch b := op.Body.(type) {
		case *Enrolled:
			if certOf(b.Cert, subject) {
				rows = append(rows, oplog.Row{Key: certKey(b.Cert), Value: encode(enrolledRow{Cert: b.Cert, At: op.At.UnixMilli()})})
			}
		case *NodeNamed:
			// Only a node itself says what its site is called; the last word counts.
			if own(op.Log) {
				row.Site = b.Site
			}
		case *Confirmed:
			if !own(op.Log) {
				rows = append(rows, oplog.Row{Key: saidBy(op.Log), Value: binary.BigEndian.AppendUint64(nil, op.Seq)})
			}
		case *InvitationRefused:
			if own(op.Log) {
				rows = append(rows, refusal(b, op))
			}
		case *LossAccepted:
			if own(op.Log) {
				rows = append(rows, acceptance(b, op))
			}
		case *Suspended:
			if r, ok := suspensionRowOf(b, op); ok {
				rows = append(rows, r)
			}
		case *SuspensionLifted:
			if r, ok := liftRowOf(b, op); ok {
				rows = append(rows, r)
			}
		case *revokedFirstBody:
			if r, ok := revokedRowOf((*Revoked)(b), op); ok {
				rows = append(rows, r)
			}
		case *Revoked:
			if r, ok := revokedRowOf(b, op); ok {
				rows = append(rows, r)
			}
		case *Released:
			if r, ok := releasedRowOf(b, op); ok {
				rows = append(rows, r)
			}
		case *IssuerRevoked:
			if r, ok := mutedRowOf(b, subject, op); ok {
				rows = append(rows, r)
			}
		case *EpochBegun:
			if own(op.Log) {
				rows = append(rows, epochRows(b, op)...)
			}
		}
	}
	if row.Cert != nil {
		rows = append(rows, oplog.Row{Key: nodeKey, Value: encode(row)})
	}
	return firstOfEach(rows)
}

// firstOfEach keeps the first row of each key.
func firstOfEach(rows []oplog.Row) []oplog.Row {
	seen := make(map[string]bool, len(rows))
	return slices.DeleteFunc(rows, func(r oplog.Row) bool {
		again := seen[string(r.Key)]
		seen[string(r.Key)] = true
		return again
	})
}

func certKey(cert []byte) []byte {
	return append(slices.Clone(enrolledKey), hashed("waypost/enrolled/1", cert)[:16]...)
}

func saidBy(log oplog.LogID) []byte { return append(slices.Clone(confirmedKey), log[:]...) }

// born notes a log of the subject. oplog checked its signature; here it only
// has to be about this node.
func (r *nodeRow) born(subject oplog.ID, log oplog.LogID, b *LogBorn) {
	cert, err := ParseNodeCert(b.Cert)
	if err != nil || cert.ID() != subject || logOf(cert.Public, b.Nonce) != log {
		return
	}
	if r.Cert == nil {
		r.Cert = b.Cert
	}
	r.Logs = sortedLogs(append(r.Logs, log))
}

func certOf(raw []byte, subject oplog.ID) bool {
	cert, err := ParseNodeCert(raw)
	return err == nil && cert.ID() == subject
}

func refusal(b *InvitationRefused, op oplog.Op) oplog.Row {
	key := append(slices.Clone(refusedKey), b.Invitation[:]...)
	return oplog.Row{Key: key, Value: encode(refusedRow{Reason: b.Reason, At: op.At.UnixMilli()})}
}

func sortedLogs(logs []oplog.LogID) []oplog.LogID {
	slices.SortFunc(logs, func(a, b oplog.LogID) int { return cmp.Compare(string(a[:]), string(b[:])) })
	return slices.Compact(logs)
}

// trusted marks who counts as confirmed: founders, and whoever a confirmed node
// vouches for. A node that nobody compared yet cannot vouch for another.
//
// Of an issuer that was revoked no box is a founder that nobody knew then, and its boxes
// vouch for nobody from then on: whoever has the key makes as many as they like.
func trusted(nodes []Node, vouched map[NodeID][]oplog.Ref, m muted) {
	good := map[oplog.LogID]*Node{}
	admit := func(n *Node) {
		n.Confirmed = true
		if n.Carries() {
			return // it compares nobody
		}
		for _, l := range n.Logs {
			good[l] = n
		}
	}
	for i := range nodes {
		if nodes[i].Founder && m.knew(nodes[i]) {
			admit(&nodes[i])
		}
	}
	for changed := true; changed; {
		changed = false
		for i := range nodes {
			n := &nodes[i]
			if !n.Confirmed && slices.ContainsFunc(vouched[n.ID], func(r oplog.Ref) bool {
				return good[r.Log] != nil && m.vouches(*good[r.Log], r)
			}) {
				admit(n)
				changed = true
			}
		}
	}
}
