// Package station is the list of desks of one node. It opens them in order, hands
// each what it asks of the others as a small function, and has no verbs of its own.
package station

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"github.com/waypost/waypost/appliance/chunks"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/sealed"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/tokens"
)

// Station is every desk of an open node. Its fields never change after it was
// made; the desks are safe for concurrent use.
type Station struct {
	Staff        *staff.Desk
	Registration *registration.Desk
	Tokens       *tokens.Desk
	Identity     *identity.Desk
	Sealed       *sealed.Desk
}

// Kinds are the facts of all desks.
func Kinds() []oplog.Kind {
	return slices.Concat(identity.Kinds(), staff.Kinds(), registration.Kinds(), tokens.Kinds(), sealed.Kinds())
}

// Views are what they add up to.
func Views() []*oplog.View {
	return slices.Concat(identity.Views(), staff.Views(), registration.Views(), tokens.Views(), sealed.Views())
}

// Options are what the desks stand on. The station owns none of it.
type Options struct {
	Log    *oplog.Log // opened with Kinds and Views
	Vault  *identity.Vault
	Dir    string // the data folder, for what is no fact: this node's accounts
	Clock  clock.Clock
	Logger *slog.Logger
	Chunks *chunks.Store // where photos lie; nil = there are none
	Cost   identity.Cost // of stretching new accounts' passphrases; zero = identity.StrongCost
}

// Open opens the desks. It must come before the journal is used by anybody else.
// The node's own name is written as a fact where that is still missing; a journal
// that takes no writes right now does not keep the station from opening.
func Open(ctx context.Context, o Options) (*Station, error) {
	s := &Station{Identity: identity.OpenDesk(o.Log, o.Vault)}
	var err error
	s.Staff, err = staff.Open(o.Log, o.Dir, o.Vault.Subkey("accounts"), o.Clock, o.Vault.SiteName(), o.Vault.NodeID(),
		staff.WithCost(o.Cost), staff.WithAuthors(s.Identity.Author),
		staff.WithIssuer(staff.Issuer{Deployment: o.Vault.Deployment(), Nodes: s.Identity.Nodes, Countersign: o.Vault.Countersign}))
	if err != nil {
		return nil, err
	}
	line := chunks.NewLine(o.Clock) // one image at a time, whatever it is for
	sites := &sites{desk: s.Identity, known: map[oplog.LogID]string{}}
	s.Registration, err = registration.Open(o.Log, registration.Options{
		Clock: o.Clock, Logger: o.Logger.With("part", "registration"), Sites: sites.of, Names: s.Staff.NameOf,
		ByTyped: func(code string) (oplog.ID, bool) { return s.Tokens.ByTyped(code) },
		Chunks:  o.Chunks, Line: line,
	})
	if err != nil {
		return nil, err
	}
	s.Sealed = sealed.OpenDesk(o.Log, sealed.Options{
		Dir: o.Dir, Deployment: o.Vault.Deployment(), Clock: o.Clock, Logger: o.Logger.With("part", "sealed"),
		Staff: s.Staff, Authors: s.Identity.Author, Countersign: o.Vault.Countersign,
	})
	s.Registration.SetIntake(s.Sealed)
	s.Tokens = tokens.OpenDesk(o.Log, s.Identity, s.Registration, o.Clock)
	s.Tokens.ShareLine(line)
	s.Tokens.AskErased(s.Staff.CardErased)
	s.Staff.OnErased(func(people []oplog.ID) { s.Registration.Erased(people...) })
	s.Registration.SetErasing(registration.Erasing{Ask: s.Staff.AskErasure, Cards: s.Tokens.Holders})
	switch err := s.Identity.NameSelf(ctx); fault.ClassOf(err) {
	case "":
	case fault.Full, fault.ReadOnly:
		o.Logger.Warn("the site's name could not be written yet", "err", err)
	default:
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close ends the sessions of the people who work here, and what the desks still do by
// themselves.
func (s *Station) Close() error {
	s.Sealed.Forget()
	s.Registration.Close()
	s.Staff.Close()
	return nil
}

// sites remembers the site of every log that was ever found; a site's name stays.
type sites struct {
	desk  *identity.Desk
	mu    sync.Mutex
	known map[oplog.LogID]string
}

func (s *sites) of(log oplog.LogID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name, ok := s.known[log]; ok {
		return name
	}
	nodes, err := s.desk.Nodes()
	if err != nil {
		return ""
	}
	for _, n := range nodes {
		for _, l := range n.Logs {
			if n.Site != "" {
				s.known[l] = n.Site
			}
		}
	}
	return s.known[log]
}
