package meshtest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/mesh"
)

// forker is the journal of a box that parts its log on purpose: two boxes run with its
// keys, each writes the one log on in its own way and gives that to whoever is near, and
// neither ever takes in or writes again what the other has.
type forker struct{ mesh.Records }

func forking(r mesh.Records) mesh.Records { return forker{r} }

func (forker) Ours(oplog.LogID) bool                      { return false }
func (forker) Succeed(context.Context, oplog.LogID) error { return nil }
func (forker) Rejoin(context.Context, []byte, oplog.Branch) (oplog.Rejoined, error) {
	return oplog.Rejoined{}, errors.New("no")
}

// Merge leaves out batches of its own log: the journal would find out and open another one.
func (f forker) Merge(c context.Context, batches ...[]byte) (oplog.MergeResult, error) {
	own := f.Own()
	var rest [][]byte
	for _, b := range batches {
		if len(b) < 20 || oplog.LogID(b[4:20]) != own {
			rest = append(rest, b)
		}
	}
	if len(rest) == 0 {
		return oplog.MergeResult{}, nil
	}
	return f.Records.Merge(c, rest...)
}

// two is what became of a log that was forked on purpose.
type two struct {
	log    oplog.LogID
	author identity.NodeID
	people []oplog.ID
}

// fork parts the log of one post on purpose, in every fourth camp: half of the others hear
// one history and half the other. In every other of these the post is revoked afterwards,
// before anybody could have written anything again or after. Its boxes are never asked again.
func (p *play) fork(seed uint64) {
	draw := rand.New(rand.NewPCG(seed, 0xf04c))
	if draw.IntN(4) != 0 {
		return
	}
	p.forkOn(draw, draw.IntN(4))
}

// How a camp with a forker goes on.
const (
	forkStays = iota // nobody does anything about it
	forkGone         // both boxes are no more
	forkRevoked
	forkRevokedLate
)

func (p *play) forkOn(draw *rand.Rand, how int) {
	var all []*post
	for _, o := range p.posts {
		if p.honest(o) && o.n > 0 && !o.carrier && !p.twins(o) {
			all = append(all, o)
		}
	}
	if len(all) < 3 {
		return
	}
	p.mend()
	p.Run(2 * time.Minute)
	o := all[draw.IntN(len(all))]
	f := &two{log: o.log.Own(), author: o.id}
	o.down()
	q := &post{Place: p.Add(), t: p.t, dir: o.fresh(), bent: forking}
	copyFolder(p.t, o.dir, q.dir)
	q.peers, o.bent = o.peers, forking
	p.posts = append(p.posts, q)
	p.liars[o], p.liars[q] = true, true
	p.forked[f.log] = true
	p.two = f
	one, other := []*Place{o.Place}, []*Place{q.Place}
	for _, x := range all { // both have somebody who lives to tell
		switch {
		case x == o:
		case len(one) > len(other):
			other = append(other, x.Place)
		default:
			one = append(one, x.Place)
		}
	}
	for _, x := range p.posts {
		if !slices.Contains(one, x.Place) && !slices.Contains(other, x.Place) {
			one = append(one, x.Place)
		}
	}
	p.say("%d forks its log, the other box is %d: %d and %d hear of it", o.n, q.n, len(one), len(other))
	p.Cut(one, other)
	o.open(false)
	q.open(false)
	for range 2 + draw.IntN(4) {
		for _, x := range []*post{o, q} {
			had := len(p.order)
			p.adds(x, 1+draw.IntN(3))
			f.people = append(f.people, p.order[had:]...)
		}
		p.Run(time.Duration(draw.Int64N(int64(10 * time.Second))))
	}
	p.Run(90 * time.Second)
	if how == forkGone {
		p.say("both boxes of the forker are no more")
		o.down()
		q.down()
		p.posts = without(p.posts, o, q)
	}
	p.Heal()
	switch how {
	case forkRevoked:
		p.Run(time.Duration(draw.Int64N(int64(3 * time.Minute))))
		p.revokeForker(o)
	case forkRevokedLate:
		p.Run(25 * time.Minute)
		p.revokeForker(o)
	}
	if how == forkStays || how == forkGone { // whoever was taken in by somebody is everywhere in the end
		for _, id := range f.people {
			for _, x := range p.counting() {
				if on(x) && x.has(id) {
					p.people[id].open = false
				}
			}
		}
	}
}

func without(all []*post, gone ...*post) (out []*post) {
	for _, o := range all {
		if o != gone[0] && o != gone[1] {
			out = append(out, o)
		}
	}
	return out
}

// revokeForker shuts the forker out. Where the issuer's box has proof of the two histories,
// nothing that is in one only counts any more, wherever it lies.
func (p *play) revokeForker(o *post) {
	first := p.posts[0]
	if !on(first) || p.gone[o] {
		return
	}
	if !p.shutOut(o) {
		return
	}
	_, proved := first.log.Parting(p.two.log)
	p.say("the forker is revoked, its fork proved: %v", proved)
	for _, x := range p.posts {
		if x.id == o.id {
			p.shut[x], p.gone[x] = true, true
		}
	}
	if proved {
		for _, id := range p.two.people {
			p.people[id].open, p.people[id].held = false, true
		}
	}
}

// patience is how long everybody may take to hold the same.
func (p *play) patience() time.Duration {
	if p.two != nil {
		return 45 * time.Minute
	}
	return 10 * time.Minute
}

// forkNamed: every node names the log that was forked, with the op where it parts where it
// has proof of it.
func (p *play) forkNamed() {
	f := p.two
	if f == nil {
		return
	}
	unnamed := func() *post {
		for _, o := range p.counting() {
			if on(o) && !named(o, f.log) {
				return o
			}
		}
		return nil
	}
	if _, ok := p.Until(15*time.Minute, 10*time.Second, func() bool { return unnamed() == nil }); !ok {
		p.fail("post %d does not name the log that was forked", unnamed().n)
	}
}

func named(o *post, log oplog.LogID) bool {
	for _, f := range o.Mesh.Forked(o.log.Forks()) {
		if f.Log == log {
			return true
		}
	}
	return false
}

// TestForkers plays what a camp makes of a log that was forked on purpose, once each way.
func TestForkers(t *testing.T) {
	for how, name := range []string{"stays", "is gone", "is revoked", "is revoked late"} {
		t.Run(name, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, uint64(how))
			p := newPlay(t, uint64(900+how), 6, nil)
			for range 5 {
				p.register()
				p.Run(5 * time.Second)
			}
			p.forkOn(rand.New(rand.NewPCG(uint64(how), 1)), how)
			if p.two == nil {
				t.Fatal("nobody forked")
			}
			p.settle()
			p.check()
			p.forkNamed()
			n := 0
			for _, id := range p.two.people {
				if !p.people[id].open {
					n++
				}
			}
			t.Logf("%d of %d people of the two histories were judged", n, len(p.two.people))
		})
	}
}
