package staff

import (
	"log/slog"
	"slices"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// ID names whoever acts: an account, a bearer key or the operator.
type ID = oplog.By

// Role is what somebody works as. Roles cross the wire as text, so they are only
// ever added.
type Role string

// The roles of the contract.
const (
	Lead        Role = "lead"
	Registrar   Role = "registrar"
	Distributor Role = "distributor"
	Caseworker  Role = "caseworker"
	Medical     Role = "medical"
	Tracing     Role = "tracing"
	Coordinator Role = "coordinator"
	Information Role = "information"
	Carrier     Role = "carrier"
)

// Action is one thing a command or a page can do; each desk asks for its own.
type Action string

// The actions.
const (
	ReadPeople     Action = "read-people"     // look up, list and search
	RegisterPeople Action = "register-people" // add people and households
	CorrectPeople  Action = "correct-people"  // change what was registered
	ErasePeople    Action = "erase-people"    // be one of the two who erase a person, and see what was erased
	UndoErasures   Action = "undo-erasures"   // take an erasure back, or give an issuer's word that it is final
	ImportPeople   Action = "import-people"   // register from a file, many at once
	IssueTokens    Action = "issue-tokens"    // issue and reissue cards
	VerifyTokens   Action = "verify-tokens"   // see what a card is worth
	SeeMesh        Action = "see-mesh"        // who is there and who holds what
	InviteNodes    Action = "invite-nodes"    // make an invitation
	ConfirmNodes   Action = "confirm-nodes"   // say that the five words were the same
	ManageStaff    Action = "manage-staff"    // add, list and disable accounts
	ManageKeys     Action = "manage-keys"     // issue, list and revoke bearer keys
	SeeStatus      Action = "see-status"      // counts and states of this node
	Check          Action = "check"           // verify journal and views
	ManageBox      Action = "manage-box"      // ways to open the box, and destroying its keys
	KeepBackups    Action = "keep-backups"    // make backups, and let people be read after a restore
	SealIntake     Action = "seal-intake"     // pass something on to a narrow compartment, without reading any
	WorkSealed     Action = "work-sealed"     // work in the narrow compartments the account was given; see Actor.Opens
	BreakGlass     Action = "break-glass"     // be one of the two who open a sealed file in an emergency
	SignForFiles   Action = "sign-for-files"  // be one of the two who hand over or erase a sealed file
	SuspendNodes   Action = "suspend-nodes"   // shut a lost node out, until an issuer lifts it
	RevokeNodes    Action = "revoke-nodes"    // be one of the two who shut a node out for good
	OpenNodes      Action = "open-nodes"      // be one of the two who open another, locked node
	HoldCeremony   Action = "hold-ceremony"   // print shares, make issuers, and go through the drill
	SeeReads       Action = "see-reads"       // who looked at whom
)

// Actions lists every action, in the order of the constants.
func Actions() []Action {
	return []Action{
		ReadPeople, RegisterPeople, CorrectPeople, ErasePeople, UndoErasures, ImportPeople, IssueTokens, VerifyTokens, SeeMesh,
		InviteNodes, ConfirmNodes, ManageStaff, ManageKeys, SeeStatus, Check, ManageBox, KeepBackups,
		SealIntake, WorkSealed, BreakGlass, SignForFiles, SuspendNodes, RevokeNodes, OpenNodes, HoldCeremony, SeeReads,
	}
}

// Roles lists every role, in the order pages offer them.
func Roles() []Role {
	return []Role{Lead, Registrar, Distributor, Caseworker, Medical, Tracing, Coordinator, Information, Carrier}
}

// may is the policy: what a role allows. There is no other place that decides.
func (r Role) may() []Action {
	switch r {
	case Lead:
		return slices.DeleteFunc(Actions(), func(a Action) bool { return a == WorkSealed })
	case Registrar:
		return []Action{ReadPeople, RegisterPeople, CorrectPeople, IssueTokens, VerifyTokens, SeeMesh, SeeStatus, SealIntake}
	case Distributor:
		// A table needs what the scan of a card says and no more (journeys J5: a verdict, one
		// initial, how much); whoever hands out soap has no use for the whole register, and
		// such a phone lies about in a queue.
		return []Action{VerifyTokens, SeeStatus, SealIntake}
	case Caseworker, Medical, Tracing:
		return []Action{ReadPeople, VerifyTokens, SealIntake, WorkSealed, SignForFiles}
	case Coordinator:
		return []Action{ReadPeople, ErasePeople, SeeMesh, SeeStatus, SealIntake, BreakGlass, SignForFiles, SuspendNodes, RevokeNodes, OpenNodes, HoldCeremony, SeeReads}
	case Information:
		return []Action{SeeStatus, SealIntake}
	case Carrier:
		return []Action{SeeMesh}
	}
	return nil
}

// ParseRole reads a role's name exactly as the constants spell it. Fault: Invalid
// "fault.staff.unknown_role".
func ParseRole(s string) (Role, error) {
	if r := Role(s); slices.Contains(Roles(), r) {
		return r, nil
	}
	return "", fault.New(fault.Invalid, "fault.staff.unknown_role").With("role", "fault.staff.unknown_role")
}

// Actor is whoever stands behind a command. The zero Actor is nobody.
type Actor struct {
	ID       ID
	Name     string // for pages; never for logs
	Role     Role
	Site     string   // where the actor works
	Narrow   []Narrow // the narrow compartments the account was given; nil: all that its role may have
	Key      bool     // a bearer key: a program, never a second person
	Operator bool     // somebody at this machine, through the control socket
	Closed   bool     // nobody reads people at this node right now: it came out of a backup
	Carries  bool     // this node carries for others and cannot read what it carries
}

// readings are the actions that show what was registered.
var readings = []Action{ReadPeople, CorrectPeople, IssueTokens}

// carrying are the actions at a carrier: its own people, its own box, and what passes
// through it in numbers. What somebody registered there nobody else could ever read.
var carrying = []Action{SeeMesh, ManageStaff, ManageKeys, SeeStatus, Check, ManageBox, KeepBackups}

// operatorID is how facts name the operator: no random id has these eight bytes
// but by a chance of one in 2^64.
var operatorID = ID([]byte("operator"))

// operatorName is the operator's user name; no account may take it.
const operatorName = "operator"

// Operator is somebody with this machine's own user account. Whoever holds that
// could read the open node's memory, so the policy grants everything.
func Operator() Actor {
	return Actor{ID: operatorID, Name: operatorName, Role: Lead, Operator: true}
}

// letterboxID is how facts name the letterbox, as operatorID does the operator.
var letterboxID = ID([]byte("letterbx"))

// letterboxName is its user name; no account may take it.
const letterboxName = "letterbox"

// Letterbox is nobody who signed in: what a locked box took in from whoever stood at it,
// and files when it is opened. Only the program itself acts so, and only for that; no
// session, key or call ever is this actor. It registers people and does nothing else worth
// having: what it writes is marked by its id.
func Letterbox() Actor { return Actor{ID: letterboxID, Name: letterboxName, Role: Registrar} }

// IsLetterbox tells whether a fact was written by the letterbox.
func IsLetterbox(by ID) bool { return by == letterboxID }

// Can reports whether the actor may do x. It is the only policy in Waypost.
func (a Actor) Can(x Action) bool {
	return !a.ID.IsZero() && slices.Contains(a.Role.may(), x) && !(a.Closed && slices.Contains(readings, x)) && !(a.Carries && !slices.Contains(carrying, x))
}

// Must is Can as an error. Faults: Unauthenticated "fault.staff.sign_in" for the
// zero Actor, Denied "fault.staff.restored" where the node is closed to it and
// "fault.staff.not_allowed".
func (a Actor) Must(x Action) error {
	switch {
	case a.ID.IsZero():
		return fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	case a.Can(x):
		return nil
	case a.Carries && slices.Contains(a.Role.may(), x):
		return fault.New(fault.Denied, "fault.staff.carries")
	case a.Closed && slices.Contains(a.Role.may(), x):
		return fault.New(fault.Denied, "fault.staff.restored")
	default:
		return fault.New(fault.Denied, "fault.staff.not_allowed")
	}
}

// LogValue keeps names out of logs: only the id is printed.
func (a Actor) LogValue() slog.Value { return slog.StringValue(a.ID.String()) }

// String is the id, for the same reason.
func (a Actor) String() string { return a.ID.String() }
