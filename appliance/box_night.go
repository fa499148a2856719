package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/letterbox"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/tokens"
	"github.com/waypost/waypost/ui"
)

// night is what a box does while nobody has opened it. mu is held by whoever puts a letter
// in, and once by whoever has opened the box before the letters are read: so none is left
// behind by somebody who was just writing.
type night struct {
	mu      sync.Mutex
	letters *letterbox.Box // nil until it is asked for, and while the box is open
	tally   ui.Letters     // what passed since this start, what is waiting and what was wrong
	asking  *identity.Opening
	aside   sync.Mutex // one at a time takes a letter from aside
}

// Letters is what the letterbox holds.
func (b *box) Letters() ui.Letters {
	b.night.mu.Lock()
	defer b.night.mu.Unlock()
	if b.shuttered() {
		if box, err := b.letterbox(); err == nil {
			b.night.tally.Waiting = box.Waiting()
		}
	}
	out := b.night.tally
	if s := b.slumbering(); s != nil {
		out.Records, out.RecordsFull = s.Waiting, s.Full
	}
	out.Aside = letterbox.Aside(files.OS(), b.dir)
	return out
}

// shuttered tells whether the box has records and nobody has opened them, or not all.
func (b *box) shuttered() bool {
	s := b.State()
	return s == "locked" || s == "opening"
}

// letterbox is the folder's, ready. The caller holds night.mu.
func (b *box) letterbox() (*letterbox.Box, error) {
	if b.night.letters != nil {
		return b.night.letters, nil
	}
	box, err := letterbox.Open(files.OS(), b.dir, b.clock)
	if err == nil {
		b.night.letters = box
	}
	return box, err
}

// LeaveHousehold puts people into the letterbox.
func (b *box) LeaveHousehold(_ context.Context, once string, h registration.NewHousehold, here bool) (uint64, error) {
	if err := registration.CheckLeft(h, b.clock.Now(), b.clock.Sure()); err != nil {
		return 0, err
	}
	number, _, err := b.leave(letterbox.Household, once, h, here)
	return number, err
}

// LeaveCount puts a head count into it.
func (b *box) LeaveCount(_ context.Context, once string, g registration.Gate, here bool) (uint64, error) {
	if err := g.Check(); err != nil {
		return 0, err
	}
	number, again, err := b.leave(letterbox.Count, once, g, here)
	if err != nil || again {
		return number, err
	}
	b.night.mu.Lock()
	defer b.night.mu.Unlock()
	t := &b.night.tally
	t.Families++
	t.Adults, t.Children, t.Infants = t.Adults+g.Adults, t.Children+g.Children, t.Infants+g.Infants
	return number, nil
}

func (b *box) leave(kind letterbox.Kind, once string, what any, here bool) (number uint64, again bool, err error) {
	body, err := json.Marshal(what)
	if err != nil {
		return 0, false, fault.Of(err)
	}
	defer clear(body)
	b.night.mu.Lock()
	defer b.night.mu.Unlock()
	if !b.shuttered() {
		return 0, false, fault.New(fault.Conflict, "fault.node.not_locked")
	}
	if b.carries() {
		return 0, false, fault.New(fault.Denied, "fault.staff.carries")
	}
	box, err := b.letterbox()
	if err != nil {
		return 0, false, err
	}
	return box.Put(kind, once, body, here)
}

// Trust is what cards are checked with while nobody has opened the box.
func (b *box) Trust() (tokens.Trust, error) {
	public, ok := letterbox.ReadTrust(files.OS(), b.dir)
	if !ok {
		return tokens.Trust{}, fault.New(fault.NotFound, "fault.node.no_trust")
	}
	t := tokens.Trust{Root: public.Root[:]}
	for _, raw := range public.Certs {
		if c, err := identity.ParseNodeCert(raw); err == nil {
			t.Nodes = append(t.Nodes, c)
		}
	}
	return t, nil
}

// WaysToOpen are the kinds of ways to open the box.
func (b *box) WaysToOpen() []string {
	ways, err := folderWays(b.dir)
	if err != nil {
		return nil // whoever tries to open it hears why
	}
	return ways
}

// AskToOpen is the request of the locked box to another.
func (b *box) AskToOpen(anew bool) (ui.OpenAsk, error) {
	b.night.mu.Lock()
	defer b.night.mu.Unlock()
	if b.State() != "locked" {
		return ui.OpenAsk{}, fault.New(fault.Conflict, "fault.node.not_locked")
	}
	if b.night.asking == nil || anew {
		whose, err := letterbox.ReadAddress(files.OS(), b.dir)
		if err != nil {
			return ui.OpenAsk{}, err
		}
		if b.night.asking, err = identity.AskToOpen(b.dir, whose.Deployment, whose.Node); err != nil {
			return ui.OpenAsk{}, err
		}
	}
	r := b.night.asking.Request
	return ui.OpenAsk{Text: r.Text(), Words: r.Words(), Node: r.Node.String()}, nil
}

// TakeAnswer opens the box with what another box answered.
func (b *box) TakeAnswer(ctx context.Context, answer string) error {
	b.night.mu.Lock()
	asking := b.night.asking
	b.night.mu.Unlock()
	if asking == nil {
		return fault.New(fault.Gone, "fault.node.no_request")
	}
	secret, err := asking.Take(answer)
	if err != nil {
		return err
	}
	defer clear(secret)
	return b.Unlock(ctx, secret)
}

// readyForNight lets the box be of use when it is locked: its letterbox has a key, and what
// cards are checked with lies readable. Neither keeps it from working now.
func (b *box) readyForNight(n *node) {
	foreign, err := n.readyLetterbox()
	if err != nil {
		b.logger.Error("the letterbox is not ready: while this box is locked it may take nothing in, or check no cards", "err", err)
	}
	if foreign {
		b.logger.Error("another key lay in the place of the letterbox's own: what was taken in meanwhile was sealed to somebody else")
	}
	b.night.mu.Lock()
	b.night.letters, b.night.asking = nil, nil
	b.night.tally = ui.Letters{Foreign: foreign, Shift: b.night.tally.Shift + 1}
	b.night.mu.Unlock()
	n.keepTrust(b.ctx)
}

// readyLetterbox puts the letterbox's key and what cards are checked with where a locked
// box finds them. foreign tells that another key lay there.
func (n *node) readyLetterbox() (foreign bool, err error) {
	key, err := n.letterboxKey()
	if err != nil {
		return false, err
	}
	foreign, err = letterbox.Ready(files.OS(), n.dir, key)
	return foreign, errors.Join(err, n.writeTrust(), n.readyLocked())
}

// letterboxKey is the private half of the letterbox's key.
func (n *node) letterboxKey() (letterbox.Key, error) {
	return letterbox.NewKey(n.vault.Deployment(), n.vault.NodeID(), n.vault.Subkey("letterbox"))
}

// fileLetters makes facts of what was taken in while the box was locked, in its order. What
// cannot be read, or told to anybody, is set aside; what cannot be written now stays for the next time.
func (b *box) fileLetters(ctx context.Context, n *node) {
	key, err := n.letterboxKey()
	if err != nil {
		b.logger.Error("the letterbox cannot be read", "err", err)
		return
	}
	b.night.mu.Lock() // whoever was putting one in is done now, and nobody else will
	pile := letterbox.Empty(files.OS(), b.dir, key)
	names, err := pile.Names()
	b.waiting(len(names))
	b.night.mu.Unlock()
	for i, name := range names {
		if err = ctx.Err(); err != nil {
			break
		}
		if err = n.file(ctx, pile, name, n.desks.Registration.TakeIn); err != nil {
			if class := fault.ClassOf(err); class != fault.Invalid && class != fault.TooLarge {
				break
			}
			b.logger.Error("a letter could not be filed whole and was set aside", "letter", name, "err", err)
			if err = pile.SetAside(name); err != nil {
				break
			}
		}
		b.night.mu.Lock()
		b.waiting(len(names) - i - 1)
		b.night.mu.Unlock()
	}
	if err != nil {
		b.logger.Error("the letterbox was not emptied", "err", err)
	} else if len(names) > 0 {
		b.logger.Info("the letterbox was emptied", "letters", len(names))
	}
}

// takesIn is how the people of a letter are registered.
type takesIn func(context.Context, staff.Actor, registration.Left, registration.NewHousehold) error

// waiting notes how many letters are left. The caller holds night.mu.
func (b *box) waiting(n int) { b.night.tally.Waiting = n }

// file makes facts of one letter, a household by takeIn, and destroys it.
func (n *node) file(ctx context.Context, pile *letterbox.Pile, name string, takeIn takesIn) error {
	l, err := pile.Read(name)
	if err != nil {
		return err
	}
	left := leftOf(l)
	switch l.Kind {
	case letterbox.Household:
		h, err := registration.DecodeHousehold(bytes.NewReader(l.Body))
		if err == nil {
			err = takeIn(ctx, staff.Letterbox(), left, h)
		}
		if err != nil {
			return err
		}
	case letterbox.Count:
		g, err := registration.DecodeGate(l.Body)
		if err == nil {
			err = n.desks.Registration.CountGate(ctx, staff.Letterbox(), left, g)
		}
		if err != nil {
			return err
		}
	default:
		return fault.New(fault.Invalid, "fault.node.letter_later")
	}
	return pile.Done(name)
}

// nightAlerts are what letters have to say on an open box.
func (b *box) nightAlerts(n *node) []control.Alert {
	var out []control.Alert
	add := func(on bool, level, key string, args map[string]any) {
		if on {
			out = append(out, control.Alert{Key: key, Args: args, Level: level})
		}
	}
	l := b.Letters()
	add(l.Foreign, "danger", "alert.letters_foreign", nil)
	add(len(l.Aside) > 0, "danger", "alert.letters_aside", map[string]any{"Count": len(l.Aside), "Names": strings.Join(firstOf(l.Aside, 3), ", ")})
	add(l.Waiting > 0, "warning", "alert.letters_waiting", map[string]any{"Count": l.Waiting})
	if unlooked, err := n.desks.Registration.Unlooked(ui.ArrivalsShown); err == nil {
		add(unlooked > 0, "warning", "alert.taken_in", map[string]any{"Count": unlooked})
	}
	return out
}

func firstOf(all []string, n int) []string { return all[:min(n, len(all))] }

// How often an open box looks whether it knows more nodes than a locked one would.
const trustEvery = 20 * time.Second

// keepTrust writes down what cards are checked with when the box is locked, now and as
// often as the box hears of another node, until the node is closed, and then once more.
func (n *node) keepTrust(ctx context.Context) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.trusting != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		seen := uint64(0)
		write := func() {
			if err := n.renewLocked(); err != nil {
				n.logger.Warn("the key of the locked box could not be renewed", "err", err)
			}
			ops := n.journal.Stats().Ops
			if ops == seen {
				return
			}
			if err := n.writeTrust(); err != nil {
				n.logger.Warn("what cards are checked with on a locked box could not be written", "err", err)
				return
			}
			seen = ops
		}
		for {
			write()
			select {
			case <-ctx.Done():
				write() // who was shut out just before it was locked
				return
			case <-n.clock.After(trustEvery):
			}
		}
	}()
	n.trusting = func() { cancel(); <-done }
}

// writeTrust writes the certificates of nodes whose words were compared and that nobody
// shut out: ids and keys. Whoever has a lost box can sign any card.
func (n *node) writeTrust() error {
	if _, err := n.desks.Identity.ShutOut(); err != nil { // looks anew at who is
		return err
	}
	nodes, err := n.desks.Identity.Nodes()
	if err != nil {
		return err
	}
	t := letterbox.Trust{Root: [32]byte(n.vault.Root())}
	for _, node := range nodes {
		if node.Confirmed && !n.desks.Identity.Shut(node.ID) {
			t.Certs = append(t.Certs, node.Cert.Marshal())
		}
	}
	return errors.Join(letterbox.WriteTrust(files.OS(), n.dir, t), n.writeKnown(nodes))
}
