package oplog_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// refsOf is what a record is made of.
func refsOf(t *testing.T, l *oplog.Log, who oplog.ID) []oplog.Ref {
	t.Helper()
	refs, bare, err := l.RefsOf(who)
	must(t, err)
	if bare != 0 {
		t.Errorf("%d payloads are gone", bare)
	}
	return refs
}

// behind lists what Behind hands out.
func behind(t *testing.T, l *oplog.Log, log oplog.LogID, after uint64) (out []oplog.Entry) {
	t.Helper()
	must(t, l.Behind(context.Background(), log, after, func(e oplog.Entry) error { out = append(out, e); return nil }))
	return out
}

// The ops of a record are those a reader of it sees, and no others: not what is held back,
// nor what lies elsewhere since two histories were brought together.
func TestWhatARecordIsMadeOf(t *testing.T) {
	p := part(t)
	rejoin(t, p.one, p.two, p.log)
	trade(t, p.log, p.one, p.withOne, p.withTwo)
	for _, l := range []*oplog.Log{p.one, p.withOne, p.withTwo} {
		refs := refsOf(t, l, p.who)
		var seen []oplog.Ref
		must(t, l.View(func(r oplog.Reader) error {
			ops, err := r.Ops(p.who)
			for _, op := range ops {
				seen = append(seen, op.Ref)
			}
			return err
		}))
		if len(refs) != 5 || len(seen) != 5 { // first, two edits of each
			t.Errorf("%v, read %v", refs, seen)
		}
		for _, ref := range seen {
			if !slices.Contains(refs, ref) {
				t.Errorf("%v is read and not counted", ref)
			}
		}
	}
	if got := refsOf(t, p.one, oplog.NewID()); len(got) != 0 {
		t.Errorf("nobody has %v", got)
	}
}

func TestWhatIsHeldBackIsNoPartOfARecord(t *testing.T) {
	v := notebook()
	one := oplogtest.NewAuthority(t)
	bad := one.Peer(t)
	a, thief := oplogtest.Node(t, one, nil, []*oplog.View{v}), oplogtest.Node(t, bad, nil, []*oplog.View{v})
	who := oplog.NewID()
	must(t, note(a, who, "ours"))
	must(t, note(thief, who, "before"))
	must(t, note(thief, who, "after"))
	oplogtest.Exchange(t, a, thief)
	if got := refsOf(t, a, who); len(got) != 3 {
		t.Errorf("%v", got)
	}
	must(t, a.Hold(context.Background(), cutOff{author: bad.Node(), last: 2}))
	if got := refsOf(t, a, who); len(got) != 2 {
		t.Errorf("%v", got)
	}
	if got := behind(t, a, thief.Own(), 1); len(got) != 1 || got[0].Seq != 2 {
		t.Errorf("%v", got)
	}
}

// A stretch of a log is handed out in order and whole, from any place, across batches and
// segments, and tells what each op is.
func TestAStretchOfALog(t *testing.T) {
	v := notebook()
	l := oplogtest.Node(t, oplogtest.NewAuthority(t), nil, []*oplog.View{v})
	who := oplog.NewID()
	for range 5 {
		must(t, note(l, who, make([]string, 300)...))
	}
	for _, after := range []uint64{0, 1, 2, 700, 1000, 1499, 1500} {
		got := behind(t, l, l.Own(), after)
		if len(got) != int(1501-after) {
			t.Fatalf("%d behind %d", len(got), after)
		}
		for i, e := range got {
			if e.Seq != after+uint64(i)+1 {
				t.Fatalf("%d follows %d", e.Seq, after+uint64(i))
			}
		}
	}
	last := behind(t, l, l.Own(), 1500)[0]
	if last.Subject != who || last.Kind != notedKind.Name() || last.At.IsZero() {
		t.Errorf("%+v", last)
	}
	if got := behind(t, l, l.Own(), 1501); len(got) != 0 {
		t.Errorf("%v behind the head", got)
	}
	stop := errors.New("stop")
	if err := l.Behind(context.Background(), l.Own(), 0, func(oplog.Entry) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}

// A sealed file leaves no trace in either, also when somebody writes it about a person.
func TestSealedFilesAreInNoRecordAndNoStretch(t *testing.T) {
	views := []*oplog.View{envelopes(), standing()}
	l := oplogtest.Node(t, oplogtest.NewAuthority(t), nil, views)
	who := oplog.NewID()
	remarkOn(t, l, who, "a person")
	sealInto(t, l, who, envelope(oplog.SealedSizes()[0]))
	if got := refsOf(t, l, who); len(got) != 1 || got[0].Seq != 2 {
		t.Errorf("%v", got)
	}
	if got := behind(t, l, l.Own(), 1); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

// Of whoever was erased nothing is left in either, and all is there again when that is
// taken back.
func TestWhoeverWasErasedIsInNoRecordAndNoStretch(t *testing.T) {
	l := oplogtest.Node(t, oplogtest.NewAuthority(t), nil, eraseViews())
	who, other := oplog.NewID(), oplog.NewID()
	must(t, note(l, who, "goes"))
	must(t, note(l, other, "stays"))
	must(t, strike(l, who, struck{Signed: true}))
	about := func(who oplog.ID) (n int) {
		for _, e := range behind(t, l, l.Own(), 1) {
			if e.Subject == who {
				n++
			}
		}
		return n
	}
	if len(refsOf(t, l, who)) != 0 || about(who) != 0 || len(refsOf(t, l, other)) != 1 || about(other) != 1 {
		t.Errorf("%v, %d in the stretch", refsOf(t, l, who), about(who))
	}
	must(t, strike(l, who, struck{Undone: true}))
	if len(refsOf(t, l, who)) != 3 || about(who) != 3 {
		t.Errorf("taken back: %v, %d in the stretch", refsOf(t, l, who), about(who))
	}
}
