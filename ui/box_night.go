package ui

import (
	"context"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
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
	// AsideLetters lists what could not be filed when the box was opened. Faults: Denied for
	// all but the lead, Locked, Conflict in practice.
	AsideLetters(ctx context.Context, a staff.Actor) ([]AsideLetter, error)
	// RetryAside files one of them after all. Faults: those of AsideLetters, NotFound
	// "fault.node.no_letter", and why it cannot be filed; then it stays.
	RetryAside(ctx context.Context, a staff.Actor, name string) error
	// AsideForm is what a family wrote, to be completed, and what is wrong with it. Faults: those of RetryAside, Denied
	// "fault.node.letter_narrow".
	AsideForm(ctx context.Context, a staff.Actor, name string) (h registration.NewHousehold, reason, err error)
	// CompleteAside runs save, which registers the people of the form, and then destroys the
	// letter. Faults: those of AsideForm, and of save; then it stays.
	CompleteAside(ctx context.Context, a staff.Actor, name string, save func() error) error
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
// locked nobody can count again: the tally is kept in memory only. Whoever stands at the box
// sees it, so it does not say who was alone or ill.
type Letters struct {
	Shift                     uint64   // another one after every opening: what was counted before is filed
	Waiting                   int      // letters nobody has read yet
	Aside                     []string // of those that did not open
	Foreign                   bool     // somebody had put another key in the place of the box's own
	Records                   uint64   // facts of other posts that a locked box took in
	RecordsFull               bool     // it takes no more of those
	Families                  int
	Adults, Children, Infants int
}

// AsideLetter is a letter that could not be filed. It says nothing of what is in it.
type AsideLetter struct {
	Name   string // of its file
	Number uint64 // what the person at the gate was told
	Kind   string // household or count; empty when it cannot be told
	At     time.Time
	Unsure bool         // nobody had set the clock
	Reason *fault.Error // nil: nothing speaks against filing it now
	Narrow bool         // something in it is not for the register: nobody is shown it
	Form   bool         // it can be completed as a form
}

// OpenAsk is a locked box's request.
type OpenAsk struct {
	Text  string   `json:"request"`
	Words []string `json:"words"`
	Node  string   `json:"node"`
}

// ArrivalsShown is how much of what was taken in while locked the list shows.
const ArrivalsShown = 500
