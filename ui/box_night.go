package ui

import (
	"context"

	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/tokens"
)

// Night is the part of a Box that works while nobody has opened it, and how two people at
// another box do.
type Night interface {
	// Letters is what the letterbox holds; zero values where there is none.
	Letters() Letters
	// LeaveHousehold puts people into the letterbox of a locked box and says under which
	// number they wait. once makes sending a form twice one letter; here is somebody at the
	// box itself. Faults: Invalid with every wrong field, Conflict "fault.node.not_locked",
	// those of the letterbox.
	LeaveHousehold(ctx context.Context, once string, h registration.NewHousehold, here bool) (number uint64, err error)
	// LeaveCount does the same with a head count.
	LeaveCount(ctx context.Context, once string, g registration.Gate, here bool) (number uint64, err error)
	// Trust is what cards are checked with while no desk is open. Fault: NotFound
	// "fault.node.no_trust".
	Trust() (tokens.Trust, error)
	// WaysToOpen are the kinds of ways to open the box, which its unlock file says to
	// everybody.
	WaysToOpen() []string
	// AskToOpen is the request of the locked box to another; anew draws another one, and the
	// answer to the one before is worth nothing then. Faults: NotFound
	// "fault.identity.no_openers", Conflict "fault.node.not_locked".
	AskToOpen(anew bool) (OpenAsk, error)
	// TakeAnswer opens the box with what another box answered. Faults: Gone
	// "fault.node.no_request" without a request, those of the answer and of Unlock.
	TakeAnswer(ctx context.Context, answer string) error
}

// Letters is what the letterbox holds, and what passed the gate since this start. While
// locked nobody can count again: the tally is kept in memory only. Any phone on the network
// can see it, so it does not say who was alone or ill.
type Letters struct {
	Waiting                   int      // letters nobody has read yet
	Aside                     []string // of those that did not open
	Foreign                   bool     // somebody had put another key in the place of the box's own
	Families                  int
	Adults, Children, Infants int
}

// OpenAsk is a locked box's request.
type OpenAsk struct {
	Text  string   `json:"request"`
	Words []string `json:"words"`
	Node  string   `json:"node"`
}

// ArrivalsShown is how much of what was taken in while locked the list shows.
const ArrivalsShown = 500
