package identity

import (
	"slices"

	"github.com/waypost/waypost/appliance/oplog"
)

// Enrolled says that an inviter admitted a node. Its subject is that node.
type Enrolled struct {
	Cert []byte `cbor:"1,keyasint"`
}

// Confirmed says that somebody compared the five words with the subject's
// screen and they were the same.
type Confirmed struct{}

// NodeNamed says what the subject's site is called. Only the subject's own logs
// count.
type NodeNamed struct {
	Number uint16 `cbor:"1,keyasint"`
	Site   string `cbor:"2,keyasint"`
}

// InvitationRefused says that somebody tried an invitation of the subject which
// was used or too old.
type InvitationRefused struct {
	Invitation [8]byte `cbor:"1,keyasint"`
	Reason     string  `cbor:"2,keyasint"` // reasonUsed or reasonExpired
}

const (
	reasonUsed    = "used"
	reasonExpired = "expired"
)

var (
	logBorn           = oplog.NewKind[LogBorn]("identity.log_born", 1, oplog.Deployment)
	enrolled          = oplog.NewKind[Enrolled]("identity.enrolled", 1, oplog.Deployment)
	confirmed         = oplog.NewKind[Confirmed]("identity.confirmed", 1, oplog.Deployment)
	nodeNamed         = oplog.NewKind[NodeNamed]("identity.node_named", 1, oplog.Register).Bound()
	invitationRefused = oplog.NewKind[InvitationRefused]("identity.invitation_refused", 1, oplog.Deployment)
)

// Kinds are the facts of this desk.
func Kinds() []oplog.Kind {
	return slices.Concat(nodeKinds(), openerKinds(), []oplog.Kind{ceremonyHeld, drilled})
}

// Views are what they add up to.
func Views() []*oplog.View { return []*oplog.View{nodesView, ceremonyView, openersView} }
