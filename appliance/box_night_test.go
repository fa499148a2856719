package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/letterbox"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
)

func familyOf(names ...string) (h registration.NewHousehold) {
	for _, n := range names {
		h.Members = append(h.Members, registration.Person{GivenName: n})
	}
	return h
}

func (b *box) peopleNow(t *testing.T) int {
	t.Helper()
	desk := b.Desks().Registration
	if err := desk.Filled(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := desk.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c.People
}

// unlocked opens the box and waits until the letters are read.
func (b *box) unlocked(t *testing.T, words []byte) {
	t.Helper()
	done, err := b.unlock(words)
	if err == nil && done != nil {
		err = <-done
	}
	if err != nil || b.State() != "open" {
		t.Fatal(b.State(), err)
	}
}

// The unlock is killed after the facts and before the letter is destroyed: it is read again
// and written once.
func TestALetterIsWrittenOnce(t *testing.T) {
	t.Parallel()
	b, words := startedBox(t)
	ctx := t.Context()
	if _, err := b.LeaveHousehold(ctx, "x", familyOf("Ana"), true); fault.Of(err).Key != "fault.node.not_locked" {
		t.Fatal("an open box took a letter:", err)
	}
	if err := b.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if n, err := b.LeaveHousehold(ctx, fmt.Sprint(i), familyOf("Ana", "Ben"), true); err != nil || n != uint64(i+1) { //nolint:gosec // small
			t.Fatal(n, err)
		}
	}
	if n, err := b.LeaveCount(ctx, "c", registration.Gate{Adults: 2}, true); err != nil || n != 4 {
		t.Fatal(n, err)
	}
	if l := b.Letters(); l.Waiting != 4 || l.Adults != 2 || l.Families != 1 {
		t.Fatalf("%+v", l)
	}
	dir, kept := filepath.Join(b.dir, letterbox.Folder), map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), "-") {
			kept[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 {
		b.unlocked(t, words)
		if n := b.peopleNow(t); n != 6 {
			t.Fatalf("%d people", n)
		}
		counts, err := b.Desks().Registration.GateCounts(ctx, staff.Operator(), 10)
		if l := b.Letters(); l.Waiting != 0 || len(l.Aside) != 0 || len(counts) != 1 || err != nil {
			t.Fatalf("%+v %+v %v", l, counts, err)
		}
		if err := b.Lock(ctx); err != nil {
			t.Fatal(err)
		}
		for name, raw := range kept { // as if the power had gone before they were removed
			if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
				t.Fatalf("%s is left: %v", name, err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Whoever is told a number while the box is being opened is among the people.
func TestNobodyIsLeftBehindAtTheOpening(t *testing.T) {
	t.Parallel()
	b, words := startedBox(t)
	ctx := t.Context()
	if err := b.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	var gate sync.WaitGroup
	var mu sync.Mutex
	told, first := 0, make(chan struct{}, 1000)
	for g := range 3 {
		gate.Go(func() {
			for i := 0; ; i++ {
				if _, err := b.LeaveHousehold(ctx, fmt.Sprint(g, " ", i), familyOf("Ana"), true); err != nil {
					if fault.Of(err).Key != "fault.node.not_locked" {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				told++
				mu.Unlock()
				select {
				case first <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 10 {
		<-first
	}
	b.unlocked(t, words)
	gate.Wait()
	if n := b.peopleNow(t); n != told {
		t.Fatalf("%d were told a number, %d are there", told, n)
	}
}

// A letter of another version, and one sealed to somebody else's key, are kept and named.
func TestWhatCannotBeFiledIsSetAside(t *testing.T) {
	t.Parallel()
	b, words := startedBox(t)
	ctx := t.Context()
	if err := b.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	box, err := letterbox.Open(files.OS(), b.dir, b.clock)
	if err != nil {
		t.Fatal(err)
	}
	for kind, body := range map[letterbox.Kind]string{9: "later", letterbox.Household: `{"members":[{"given_name":"x","sex":"?"}],"head":0}`, letterbox.Count: "{"} {
		if _, _, err := box.Put(kind, "x", []byte(body), true); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := b.LeaveHousehold(ctx, "fine", familyOf("Ana"), true); err != nil || n != 4 {
		t.Fatal(n, err)
	}
	b.unlocked(t, words)
	if l := b.Letters(); len(l.Aside) != 3 || l.Waiting != 0 || b.peopleNow(t) != 1 {
		t.Fatalf("%+v", l)
	}
	if err := b.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	stranger, err := letterbox.NewKey([16]byte{1}, [10]byte{2}, [32]byte{3})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := letterbox.Ready(files.OS(), b.dir, stranger); err != nil {
		t.Fatal(err)
	}
	b.night.letters = nil
	if _, err := b.LeaveHousehold(ctx, "theirs", familyOf("Ben"), true); err != nil {
		t.Fatal(err)
	}
	b.unlocked(t, words)
	status, err := b.Status(context.Background())
	var keys []string
	for _, a := range status.Alerts {
		keys = append(keys, a.Key)
	}
	if l := b.Letters(); err != nil || !l.Foreign || len(l.Aside) != 4 || !strings.Contains(strings.Join(keys, " "), "alert.letters_foreign") {
		t.Fatalf("%+v %v %v", l, keys, err)
	}
}

// A locked box checks cards, and what lies readable for that names nobody.
func TestALockedBoxKnowsItsCards(t *testing.T) {
	t.Parallel()
	b, _ := startedBox(t)
	ctx := t.Context()
	added, err := b.Desks().Registration.Add(ctx, staff.Operator(), registration.Person{GivenName: "Ana"}, registration.Request{})
	if err != nil {
		t.Fatal(err)
	}
	id := b.Site().Node
	if err := b.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	trust, err := b.Trust()
	if err != nil || len(trust.Nodes) != 1 || trust.Nodes[0].ID().String() != id || trust.Nodes[0].Verify(trust.Root) != nil {
		t.Fatalf("%+v %v", trust, err)
	}
	if b.Site().Site != "" || added.ID.IsZero() {
		t.Fatal("a locked box tells whose it is")
	}
}
