package identity

import (
	"cmp"
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
}

// nodesView is one row per node, under the key "n"; refused invitations are
// rows of the node that refused them, under "r" and the invitation's id.
var nodesView = &oplog.View{Name: "nodes", Version: 1, Kinds: Kinds(), Fold: foldNode}

var (
	nodeKey    = []byte("n")
	refusedKey = []byte("r")
)

// nodeRow is what the facts about one node add up to.
type nodeRow struct {
	_         struct{} `cbor:",toarray"`
	Cert      []byte   // nil while only confirmations or a name are here
	Site      string
	Enrolled  int64 // Unix milliseconds; 0 = never enrolled by anybody
	Logs      []oplog.LogID
	Confirmed []oplog.LogID // logs that say its words were compared
}

// refusedRow is one refused invitation.
type refusedRow struct {
	_      struct{} `cbor:",toarray"`
	Reason string
	At     int64 // Unix milliseconds
}

// foldNode is the shared view. ops are sorted by (clock, log, sequence).
func foldNode(subject oplog.ID, ops []oplog.Op) []oplog.Row {
	row := nodeRow{Logs: []oplog.LogID{}, Confirmed: []oplog.LogID{}}
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
			if row.Enrolled == 0 && certOf(b.Cert, subject) {
				row.Enrolled = max(1, op.At.UnixMilli())
				if row.Cert == nil {
					row.Cert = b.Cert
				}
			}
		case *NodeNamed:
			// Only a node itself says what its site is called; the last word counts.
			if own(op.Log) {
				row.Site = b.Site
			}
		case *Confirmed:
			if !own(op.Log) {
				row.Confirmed = append(row.Confirmed, op.Log)
			}
		case *InvitationRefused:
			if own(op.Log) {
				rows = append(rows, refusal(b, op))
			}
		}
	}
	row.Confirmed = sortedLogs(row.Confirmed)
	rows = slices.CompactFunc(slices.Clip(rows), func(a, b oplog.Row) bool { return string(a.Key) == string(b.Key) })
	return append(rows, oplog.Row{Key: nodeKey, Value: encode(row)})
}

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
func trusted(nodes []Node, vouched map[NodeID][]oplog.LogID) {
	good := map[oplog.LogID]bool{}
	admit := func(n *Node) {
		n.Confirmed = true
		for _, l := range n.Logs {
			good[l] = true
		}
	}
	for i := range nodes {
		if nodes[i].Founder {
			admit(&nodes[i])
		}
	}
	for changed := true; changed; {
		changed = false
		for i := range nodes {
			n := &nodes[i]
			if !n.Confirmed && slices.ContainsFunc(vouched[n.ID], func(l oplog.LogID) bool { return good[l] }) {
				admit(n)
				changed = true
			}
		}
	}
}
