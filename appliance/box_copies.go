package main

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/letterbox"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/mesh"
)

// Copies says which posts are known to hold what is written down about some subjects, and
// which could read it. It costs a look at each subject and at what every post said.
func (b *box) Copies(_ context.Context, subjects ...oplog.ID) (control.Copies, error) {
	out := control.Copies{Whole: []control.CopyAt{}, Part: []control.CopyAt{}, Apart: []control.CopyAt{}, Posts: []control.CopyAt{}, Partners: []control.CopyAt{}}
	n := b.open()
	if n == nil {
		return out, b.notOpen()
	}
	var refs []oplog.Ref
	for _, id := range subjects {
		some, bare, err := n.journal.RefsOf(id)
		if err != nil {
			return out, err
		}
		refs = append(refs, some...)
		out.Gone += bare
	}
	out.Facts, out.OnlyHere = len(refs), len(refs)
	posts, err := n.posts()
	if err != nil {
		return out, err
	}
	if m := n.Mesh(); m != nil {
		var copies []mesh.Copy
		copies, out.OnlyHere = m.CopiesOf(refs)
		for _, c := range copies {
			at := posts.copyAt(c.Holder)
			at.Facts = c.Holds
			switch {
			case c.Apart != "":
				out.Apart = append(out.Apart, at)
			case c.Holds == len(refs):
				out.Whole = append(out.Whole, at)
			default:
				out.Part = append(out.Part, at)
			}
		}
	}
	out.Posts = append(out.Posts, posts.others(n.Mesh(), posts.vault.SharesArea)...)
	out.Partners = append(out.Partners, posts.others(n.Mesh(), identity.Node.Carries)...)
	for i := range out.Partners { // what each holds of this
		at := &out.Partners[i]
		for _, c := range slices.Concat(out.Whole, out.Part) {
			if c.Node == at.Node {
				*at = c
			}
		}
	}
	return out, nil
}

// posts are the nodes of the register by id.
type posts struct {
	self  oplog.ID
	vault *identity.Vault
	nodes map[oplog.ID]identity.Node
}

func (n *node) posts() (posts, error) {
	p := posts{self: n.vault.NodeID(), vault: n.vault, nodes: map[oplog.ID]identity.Node{}}
	nodes, err := n.desks.Identity.Nodes()
	for _, x := range nodes {
		p.nodes[x.ID] = x
	}
	return p, err
}

// copyAt says for people who and where a holder is.
func (p posts) copyAt(h mesh.Holder) control.CopyAt {
	n, known := p.nodes[h.Node]
	return control.CopyAt{
		Node: h.Node.String(), Number: n.Number, Site: n.Site, Since: moment(h.Since), Sure: h.Sure, Heard: moment(h.Heard),
		Connected: h.Connected, Reads: known && p.vault.SharesArea(n), Carries: known && n.Carries(), Apart: h.Apart,
	}
}

// others are the other nodes that are so and were not shut out, by number.
func (p posts) others(m *mesh.Mesh, so func(identity.Node) bool) (out []control.CopyAt) {
	for id, n := range p.nodes {
		if id == p.self || n.Standing != identity.StandingGood || !so(n) {
			continue
		}
		h := mesh.Holder{Node: id}
		if m != nil {
			h = m.Met(id)
		}
		out = append(out, p.copyAt(h))
	}
	slices.SortFunc(out, func(a, b control.CopyAt) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Node, b.Node))
	})
	return out
}

// moment is a time, or nothing.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Gone says what would be lost with this box, were it gone now. The first time it reads
// what the journal holds that no other post does; later only what came since.
func (b *box) Gone(ctx context.Context) (control.Gone, error) {
	out := control.Gone{Sure: true, Logs: []control.LogCopies{}}
	n := b.open()
	if n == nil {
		return out, b.notOpen()
	}
	found, err := n.lonely.look(ctx, n)
	if err != nil {
		return out, err
	}
	found.count(n, &out)
	out.Letters = len(letterbox.Aside(files.OS(), b.dir))
	out.Backup = n.lastBackup(n.journal.Stats().Ops)
	p, err := n.posts()
	if err != nil {
		return out, err
	}
	out.Logs = n.logCopies(p)
	for _, l := range out.Logs {
		out.Facts += l.OnlyHere
	}
	out.Closest = n.closest(p)
	return out, nil
}

// GonePeople lists the people of Gone by id, n of them behind one of them.
func (b *box) GonePeople(ctx context.Context, after string, most int) (people []control.GonePerson, next string, err error) {
	n := b.open()
	if n == nil {
		return nil, "", b.notOpen()
	}
	found, err := n.lonely.look(ctx, n)
	if err != nil {
		return nil, "", err
	}
	from, _ := oplog.ParseID(after) // one that is none begins at the start
	found.people(n, from, func(x lonelyPerson) bool {
		if len(people) == most {
			next = people[most-1].ID
			return false
		}
		people = append(people, control.GonePerson{ID: x.id.String(), Whole: x.whole})
		return true
	})
	return people, next, nil
}

// logCopies says of every log who holds all of it, and since when.
func (n *node) logCopies(p posts) []control.LogCopies {
	only := map[oplog.LogID]uint64{}
	m := n.Mesh()
	if m != nil {
		only = m.OnlyHereOf()
	}
	writer := map[oplog.LogID]identity.Node{}
	for _, x := range p.nodes {
		for _, l := range x.Logs {
			writer[l] = x
		}
	}
	out := []control.LogCopies{}
	for _, h := range n.journal.Heads() {
		l := control.LogCopies{Log: h.Log.String(), Facts: h.Seq, OnlyHere: only[h.Log], Copies: []control.CopyAt{}}
		if w, known := writer[h.Log]; known {
			l.Node, l.Number, l.Site, l.Carries = w.ID.String(), w.Number, w.Site, w.Carries()
		}
		if m == nil {
			l.OnlyHere = h.Seq
		} else {
			for _, holder := range m.HoldersOf(oplog.Ref{Log: h.Log, Seq: h.Seq}) {
				if holder.Apart == "" {
					at := p.copyAt(holder)
					at.Facts = int(h.Seq) //nolint:gosec // ops of a journal
					l.Copies = append(l.Copies, at)
				}
			}
		}
		out = append(out, l)
	}
	return out
}

// closest is the post that would close the gap soonest: one that is connected, else the one
// that was heard of last.
func (n *node) closest(p posts) *control.CopyAt {
	m := n.Mesh()
	if m == nil {
		return nil
	}
	var best *control.CopyAt
	for _, x := range m.Peers() {
		if x.Standing != identity.StandingGood {
			continue
		}
		at := p.copyAt(mesh.Holder{Node: x.Node, Heard: x.LastContact, Connected: x.State == mesh.Connected})
		if best == nil || at.Connected && !best.Connected || at.Connected == best.Connected && later(at.Heard, best.Heard) {
			best = &at
		}
	}
	return best
}

func later(a, b *time.Time) bool { return a != nil && (b == nil || a.After(*b)) }
