package main

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/oplog"
)

// lonely remembers of each log what lies there that no other node is known to hold, so that
// a page that asks again does not read the journal again. It keeps ids and times only.
type lonely struct {
	mu   sync.Mutex // held while the journal is read: one reader at a time
	logs map[oplog.LogID]*stretch
	all  []lonelyPerson // of all logs; never changed, only replaced
	gone int            // subjects that were erased when it was read: another number, and it is read anew
}

// stretch is what lies in a log behind what others hold.
type stretch struct {
	from, to                   uint64
	new                        []oplog.ID // registered there
	other                      []oplog.ID // anything else about them
	households, cards, photos  int
	oldest, newest             int64 // Unix seconds; zero: none
	oldestUnsure, newestUnsure bool
}

// Kinds whose facts are counted; all others of the register make a record different.
const (
	kindRegistered   = "registration.registered"
	kindFormed       = "registration.household_formed"
	kindPhotographed = "registration.photographed"
	kindIssued       = "tokens.issued"
)

// lonelyNow is what was found at one moment; it is not changed any more.
type lonelyNow struct {
	logs []stretch
	all  []lonelyPerson // everybody any fact is about, by id, each once
}

// lonelyPerson is one of the people; whole: nobody else knows of them.
type lonelyPerson struct {
	id    oplog.ID
	whole bool
}

// look brings what is remembered up to now.
func (x *lonely) look(ctx context.Context, n *node) (lonelyNow, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var safe map[oplog.LogID]uint64
	if m := n.Mesh(); m != nil {
		safe = m.Safe()
	}
	if gone := len(n.journal.Gone()); x.logs == nil || gone != x.gone {
		x.gone, x.logs = gone, map[oplog.LogID]*stretch{}
	}
	var now lonelyNow
	changed := false
	held := map[oplog.LogID]bool{}
	for _, h := range n.journal.Heads() {
		held[h.Log] = true
		s := x.logs[h.Log]
		from := min(safe[h.Log], h.Seq)
		if s == nil || s.from != from || s.to > h.Seq {
			s = &stretch{from: from, to: from}
			x.logs[h.Log], changed = s, true
		}
		if s.to < h.Seq {
			next := *s // an interrupted look leaves what was there
			if err := n.journal.Behind(ctx, h.Log, s.to, func(e oplog.Entry) error { next.take(e); return nil }); err != nil {
				return now, err
			}
			next.to = h.Seq
			*s, changed = next, true
		}
		now.logs = append(now.logs, *s)
	}
	for log := range x.logs {
		if !held[log] {
			delete(x.logs, log)
			changed = true
		}
	}
	if changed {
		x.all = together(now.logs)
	}
	now.all = x.all
	return now, nil
}

// take counts one op.
func (s *stretch) take(e oplog.Entry) {
	switch {
	case e.Kind == kindRegistered:
		s.new = append(s.new, e.Subject)
	case e.Kind == kindFormed:
		s.households++
	case e.Kind == kindIssued:
		s.other = append(s.other, e.Subject)
		s.cards++
	case e.Kind == kindPhotographed:
		s.other = append(s.other, e.Subject)
		s.photos++
	case strings.HasPrefix(e.Kind, "registration."):
		s.other = append(s.other, e.Subject)
	default:
		return // nothing of anybody's record, or it cannot be read here
	}
	at := e.At.Unix()
	if s.oldest == 0 || at < s.oldest {
		s.oldest, s.oldestUnsure = at, e.Unsure
	}
	if at > s.newest {
		s.newest, s.newestUnsure = at, e.Unsure
	}
}

// together lists everybody whom stretches tell of, by id; somebody who is new in one of
// them is known to nobody else.
func together(logs []stretch) []lonelyPerson {
	var out []lonelyPerson
	for _, s := range logs {
		for _, id := range s.new {
			out = append(out, lonelyPerson{id, true})
		}
		for _, id := range s.other {
			out = append(out, lonelyPerson{id, false})
		}
	}
	slices.SortFunc(out, func(a, b lonelyPerson) int {
		if c := bytes.Compare(a.id[:], b.id[:]); c != 0 || a.whole == b.whole {
			return c
		}
		if a.whole {
			return -1
		}
		return 1
	})
	return slices.CompactFunc(out, func(a, b lonelyPerson) bool { return a.id == b.id })
}

// people walks those who are registered at this moment: not erased, and a person at all.
func (x lonelyNow) people(n *node, after oplog.ID, fn func(lonelyPerson) bool) {
	from := 0
	if !after.IsZero() {
		at, found := slices.BinarySearchFunc(x.all, after, func(p lonelyPerson, id oplog.ID) int { return bytes.Compare(p.id[:], id[:]) })
		if from = at; found {
			from++
		}
	}
	for _, p := range x.all[from:] {
		if there, err := n.desks.Registration.Exists(p.id); err == nil && there && !fn(p) {
			return
		}
	}
}

// count fills in the figures.
func (x lonelyNow) count(n *node, out *control.Gone) {
	x.people(n, oplog.ID{}, func(p lonelyPerson) bool {
		if p.whole {
			out.People++
		} else {
			out.Changed++
		}
		return true
	})
	var oldest, newest int64
	var unsure [2]bool
	for _, s := range x.logs {
		out.Households, out.Cards, out.Photos = out.Households+s.households, out.Cards+s.cards, out.Photos+s.photos
		if s.oldest != 0 && (oldest == 0 || s.oldest < oldest) {
			oldest, unsure[0] = s.oldest, s.oldestUnsure
		}
		if s.newest > newest {
			newest, unsure[1] = s.newest, s.newestUnsure
		}
	}
	if oldest != 0 {
		out.Oldest, out.Newest = moment(time.Unix(oldest, 0)), moment(time.Unix(newest, 0))
		out.Sure = !unsure[0] && !unsure[1]
	}
}
