package oplog_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// cutOff holds back what one node wrote behind a place of any of its logs.
type cutOff struct {
	author oplog.ID
	last   uint64
	free   uint64 // one op of these that counts after all; 0 = none
}

func (c cutOff) From(author oplog.ID, _ oplog.LogID) (uint64, bool) {
	return c.last + 1, author == c.author
}

func (c cutOff) Held(author oplog.ID, op oplog.Ref) bool {
	return author == c.author && op.Seq > c.last && op.Seq != c.free
}

func (c cutOff) Digest() [8]byte { return [8]byte{1, byte(c.last), byte(c.free), c.author[0]} }

// warden is an authority that knows from the start.
type warden struct {
	*oplogtest.Authority
	h oplog.Holding
}

func (w warden) Holding() oplog.Holding { return w.h }

// TestHeldBackInAnyOrder: whatever came first, ops or the word that they do not count, the
// views are the same, those made from nothing too; released, they come back.
func TestHeldBackInAnyOrder(t *testing.T) {
	v := notebook()
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 11))
		one := oplogtest.NewAuthority(t)
		two, bad := one.Peer(t), one.Peer(t)
		a, b, thief := oplogtest.Node(t, one, nil, []*oplog.View{v}), oplogtest.Node(t, two, nil, []*oplog.View{v}), oplogtest.Node(t, bad, nil, []*oplog.View{v})
		subjects := []oplog.ID{oplog.NewID(), oplog.NewID(), oplog.NewID()}
		for i := range 20 {
			by := []*oplog.Log{a, b, thief}[r.IntN(3)]
			must(t, note(by, subjects[r.IntN(3)], fmt.Sprint(i)))
			if r.IntN(4) == 0 {
				oplogtest.Exchange(t, a, b, thief)
			}
		}
		cut := cutOff{author: bad.Node(), last: 2}
		must(t, a.Hold(context.Background(), cut)) // before it has all of it
		oplogtest.Exchange(t, a, b, thief)
		must(t, b.Hold(context.Background(), cut)) // behind all of it
		oplogtest.Same(t, a, b)
		fresh := oplogtest.Options(t, one.Peer(t), nil, []*oplog.View{v})
		fresh.Authority = warden{fresh.Authority.(*oplogtest.Authority), cut}
		c := opened(t, fresh, oplogtest.MemStore())
		oplogtest.Exchange(t, a, b, c)
		oplogtest.Same(t, a, b, c)
		must(t, b.Rebuild(context.Background()))
		oplogtest.Same(t, a, b, c)
		held, err := a.HeldBack(bad.Node())
		must(t, err)
		if len(held) > 0 {
			free := cut
			free.free = held[r.IntN(len(held))].Seq
			for _, l := range []*oplog.Log{a, b, c} {
				must(t, l.Hold(context.Background(), free))
			}
			oplogtest.Same(t, a, b, c)
			if now, err := a.HeldBack(bad.Node()); err != nil || len(now) != len(held)-1 {
				t.Fatalf("%d of %d are held back after one was released; %v", len(now), len(held), err)
			}
		}
		for _, l := range []*oplog.Log{a, b, c} {
			must(t, l.Hold(context.Background(), nil))
		}
		oplogtest.Exchange(t, a, b, c, thief)
		oplogtest.Same(t, a, b, c, thief)
		must(t, c.Close())
	}
}

// TestViewsOfAnotherHoldingAreMadeAnew: the power went before the views followed.
func TestViewsOfAnotherHoldingAreMadeAnew(t *testing.T) {
	v := notebook()
	one := oplogtest.NewAuthority(t)
	bad := one.Peer(t)
	thief := oplogtest.Node(t, bad, nil, []*oplog.View{v})
	who := oplog.NewID()
	must(t, note(thief, who, "before"))
	must(t, note(thief, who, "after"))
	o := oplogtest.Options(t, one, nil, []*oplog.View{v})
	s := &lossy{Store: oplogtest.MemStore()}
	l := opened(t, o, s)
	oplogtest.Exchange(t, thief, l)
	plain, err := l.Check(context.Background())
	must(t, err)
	must(t, l.Close())
	o.Authority = warden{one, cutOff{author: bad.Node(), last: 2}}
	l = opened(t, o, s)
	defer func() { must(t, l.Close()) }()
	held, err := l.Check(context.Background())
	must(t, err)
	if !held.Sound || held.Views == plain.Views {
		t.Fatalf("the views are those of before: %v", held.Problems)
	}
	other := oplogtest.Node(t, one.Peer(t), nil, []*oplog.View{v})
	must(t, other.Hold(context.Background(), cutOff{author: bad.Node(), last: 2}))
	oplogtest.Exchange(t, l, other)
	oplogtest.Same(t, l, other)
}
