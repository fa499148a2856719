package sealed_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/sealed"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/station"
)

// onceOver leaves a test out where the race detector looks on: hundreds of saves one after
// the other, which the other run makes.
func onceOver(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("done in the run without -short")
	}
}

// A node that was let in writes whatever it wants about the keys: intake goes where it went.
func TestARogueNodeMovesNoIntake(t *testing.T) {
	for _, compared := range []bool{false, true} {
		t.Run(fmt.Sprint("compared ", compared), func(t *testing.T) {
			c := newCamp(t)
			c.begin(t)
			n := c.north
			rogue := n.admit(t, "East gate")
			rogue.hire(t, staff.Caseworker, "mallory")
			if compared {
				must(t, n.Identity.Confirm(ctx, n.ids["amal"], rogue.vault.NodeID()))
			}
			oplogtest.Exchange(t, n.log, rogue.log)
			before := map[staff.Narrow][32]byte{}
			for _, x := range staff.Narrows() {
				before[x] = n.Sealed.CurrentOf(t, x)
			}
			mallory := rogue.as(t, "mallory")
			must(t, rogue.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error { return sealed.Forgeries(tx, rogue.Sealed, mallory) }))
			oplogtest.Exchange(t, n.log, rogue.log, c.south.log)
			for _, p := range []*post{n, c.south} {
				for _, x := range staff.Narrows() {
					if p.Sealed.CurrentOf(t, x) != before[x] {
						t.Errorf("%s is sealed to another key now", x)
					}
				}
			}
			n.pass(t, "rana", staff.NarrowProtection, "she ran from them")
			oplogtest.Exchange(t, n.log, rogue.log)
			if got := rogue.Sealed.TextsOfAll(t, mallory); got != "" {
				t.Errorf("mallory reads %q", got)
			}
			l := n.list(t, n.as(t, "mina"))
			if len(l.Items) != 1 || l.Contested {
				t.Errorf("%+v", l)
			}
			if o, err := n.Sealed.Officers(n.as(t, "cora")); err != nil || len(o.Broken) != 0 || !o.Share || len(o.Officers) != 2 {
				t.Errorf("%+v %v", o, err)
			}
			act, err := n.Sealed.AskGlass(n.as(t, "amal"), sealed.Emergency{
				What: sealed.GlassAccess, Narrow: staff.NarrowProtection, To: n.ids["noor"], Reason: "nobody is left to read",
			})
			must(t, err)
			must(t, n.Staff.ConfirmAct(ctx, n.as(t, "cora"), act)) // their shares are still theirs
			refused(t, rogue.Sealed.Give(ctx, mallory, staff.NarrowProtection, mallory.Actor.ID), "fault.sealed.no_key")
			refused(t, rogue.Sealed.Rotate(ctx, mallory, staff.NarrowProtection, nil), "fault.sealed.no_key")
		})
	}
}

// Whoever left has the key that signs the next epoch. At no node that was compared does it
// begin one in their name any more.
func TestWhoLeftBeginsNoEpoch(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n, s := c.north, c.south
	bilal := s.as(t, "bilal")
	sealed.KeepKeyOf(t, bilal)
	seed := s.Sealed.SeedOf(t, bilal, staff.NarrowProtection)
	sign := bilal.Sign
	hand := func(msg []byte) []byte { sig, _ := sign(msg); return sig }
	// A third node that hears of nothing since: its clock stays behind.
	east := n.admit(t, "East gate")
	must(t, n.Identity.Confirm(ctx, n.ids["amal"], east.vault.NodeID()))
	oplogtest.Exchange(t, n.log, s.log, east.log)
	early := s.Sealed.NextEpoch(t, staff.NarrowProtection, bilal.Actor.ID, seed, hand)
	late := s.Sealed.NextEpoch(t, staff.NarrowProtection, bilal.Actor.ID, seed, hand)
	must(t, s.Staff.Disable(ctx, s.as(t, "bea").Actor, "bilal"))
	c.meet(t)
	must(t, n.Sealed.Rotate(ctx, n.as(t, "mina"), staff.NarrowProtection, nil))
	c.meet(t)
	want := n.Sealed.CurrentOf(t, staff.NarrowProtection)
	// At their own box after it said that they left, and at another one.
	inHerName := n.Sealed.NextEpoch(t, staff.NarrowProtection, n.ids["mina"], n.Sealed.SeedOf(t, n.as(t, "mina"), staff.NarrowProtection), hand)
	for _, x := range []struct {
		at   *post
		fact sealed.Epoch
	}{{s, early}, {n, late}, {east, late}, {n, inHerName}} {
		must(t, x.at.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error { return sealed.WriteEpoch(tx, staff.NarrowProtection, x.fact) }))
	}
	oplogtest.Exchange(t, n.log, s.log, east.log)
	for _, p := range []*post{n, s} {
		if p.Sealed.CurrentOf(t, staff.NarrowProtection) != want {
			t.Error("intake goes to who left")
		}
	}
	if n.list(t, n.as(t, "mina")).Contested {
		t.Error("what does not count is called a second change")
	}
}

// names are 50 that stand in notes and nowhere else.
func names() (out []string) {
	for i := range 50 {
		out = append(out, fmt.Sprintf("Qvzk%cname%c%d", 'a'+i%26, 'a'+i/26, i))
	}
	return out
}

// Work in a narrow desk, sign out, and open everything there is with every key of the vault:
// ops, rows, files, what was logged. Nothing of it, and no id of anybody in a header.
func TestNothingOfASealedFileIsAnywhereElse(t *testing.T) {
	onceOver(t)
	c := newCamp(t)
	c.begin(t)
	n := c.north
	mina := n.as(t, "mina")
	planted := names()
	people := map[oplog.ID]bool{}
	for i, name := range planted {
		p, err := n.Registration.Add(ctx, operator, registration.Person{GivenName: fmt.Sprint("Person ", i)}, registration.Request{})
		must(t, err)
		people[p.ID] = true
		switch i % 3 {
		case 0:
			id, err := n.Sealed.Open(ctx, mina, staff.NarrowProtection, p.ID, name, time.Time{})
			must(t, err)
			n.texts(t, mina, id)
		case 1:
			must(t, n.Sealed.TakeIn(ctx, n.as(t, "rana").Actor, staff.NarrowChild, p.ID, []string{"child_alone"}, name))
		default:
			id, err := n.Sealed.Open(ctx, mina, staff.NarrowChild, p.ID, "", time.Time{})
			must(t, err)
			must(t, n.Sealed.Note(ctx, mina, id, strings.Repeat(name+" ", 200), time.Time{}))
			must(t, n.Sealed.Assign(ctx, mina, id, n.ids["noor"]))
			must(t, n.Sealed.Close(ctx, mina, id, name))
		}
	}
	if l := n.list(t, mina); len(l.Items) != 50 {
		t.Fatalf("%d files", len(l.Items))
	}
	for user := range n.ids {
		n.out(user)
	}
	c.meet(t)
	for _, p := range []*post{n, c.south} {
		everything := p.everything(t, people)
		for _, name := range planted {
			if bytes.Contains(everything, []byte(name)) || bytes.Contains(bytes.ToLower(everything), []byte(strings.ToLower(name))) {
				t.Errorf("%s is readable", name)
			}
		}
		for _, word := range []string{"child_alone", "taken_in", "threatened"} {
			if bytes.Contains(everything, []byte(word)) {
				t.Errorf("%s is readable", word)
			}
		}
	}
	// The test finds what is there.
	if !bytes.Contains(n.everything(t, people), []byte("Person 7")) {
		t.Error("the test opens nothing")
	}
}

// everything is what the vault's keys open: every op of every view's subject, every row,
// every log line, and all files of the folder as they lie there. It fails for a sealed op
// that says something in its header, or has another size than it may.
func (p *post) everything(t *testing.T, people map[oplog.ID]bool) []byte {
	t.Helper()
	var out bytes.Buffer
	out.Write(p.said.Bytes())
	subjects := map[oplog.ID]bool{}
	must(t, p.log.View(func(r oplog.Reader) error {
		for _, v := range station.Views() {
			err := r.Rows(v, nil, nil, func(k []byte, subject oplog.ID, value []byte) error {
				subjects[subject] = true
				out.Write(k)
				out.Write(subject[:])
				out.Write(value)
				return nil
			})
			if err != nil {
				return err
			}
		}
		sealedOps := 0
		for subject := range subjects {
			ops, err := r.Ops(subject)
			if err != nil {
				return err
			}
			for _, op := range ops {
				b := oplog.Body[[]byte](op)
				if b == nil {
					fmt.Fprintf(&out, "%v %+v", op, op.Body)
					continue
				}
				sealedOps++
				out.Write(*b)
				if people[subject] || len(op.Supersedes) > 0 || !op.By.IsZero() || op.At.Unix() != 0 || !slices.Contains(oplog.SealedSizes(), len(*b)) {
					t.Errorf("a sealed op says %+v with %d bytes", op.Ref, len(*b))
				}
				for id := range people {
					if bytes.Contains(*b, id[:]) {
						t.Error("a sealed op holds somebody's id")
					}
				}
			}
		}
		if sealedOps < 100 {
			t.Errorf("only %d sealed ops were looked at", sealedOps)
		}
		return nil
	}))
	for _, h := range p.log.Heads() { // as they travel
		for after := uint64(0); after < h.Seq; {
			raw, last, err := p.log.Range(h.Log, after, 0, 0)
			must(t, err)
			out.Write(raw)
			after = last
		}
	}
	must(t, filepath.WalkDir(p.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		out.WriteString(path)
		out.Write(raw)
		return err
	}))
	return out.Bytes()
}
