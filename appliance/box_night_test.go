package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/letterbox"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/ui"
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

// A box that was lost signs no cards for a locked box either.
func TestALockedBoxTrustsNoLostBox(t *testing.T) {
	t.Parallel()
	b, _ := startedBox(t)
	ctx, n := t.Context(), b.open()
	invitation, err := n.vault.Invite(time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	code, err := identity.ParseInvitation(invitation.Code)
	if err != nil {
		t.Fatal(err)
	}
	applicant, err := identity.NewApplicant(code)
	if err != nil {
		t.Fatal(err)
	}
	_, cert, err := n.vault.Admit(applicant.Request())
	if err == nil {
		err = n.desks.Identity.Enrolled(ctx, cert)
	}
	if err == nil {
		err = n.desks.Identity.Confirm(ctx, staff.Operator().ID, cert.ID())
	}
	if err == nil {
		err = n.writeTrust()
	}
	if trust, trustErr := b.Trust(); err != nil || trustErr != nil || len(trust.Nodes) != 2 {
		t.Fatal(trust, err, trustErr)
	}
	if err := n.desks.Identity.Suspend(ctx, staff.Operator().ID, cert.ID()); err != nil {
		t.Fatal(err)
	}
	if err := b.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	if trust, err := b.Trust(); err != nil || len(trust.Nodes) != 1 || trust.Nodes[0].ID() == cert.ID() {
		t.Fatalf("%+v %v", trust, err)
	}
}

// What somebody says at night that is not for the register keeps nobody out of it: where
// no desk takes it in the family is registered, and the letter with it is kept, sealed.
func TestAFamilyIsRegisteredWithoutADeskToTell(t *testing.T) {
	t.Parallel()
	b, words := startedBox(t)
	ctx := t.Context()
	if err := b.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	h := familyOf("Ana", "Ben")
	h.Members[0].Notes = "came by bus, trafficking, tired"
	h.Members[0].Needs = []string{"torture", "wheelchair"}
	if _, err := b.LeaveHousehold(ctx, "x", h, true); err != nil {
		t.Fatal(err)
	}
	b.unlocked(t, words)
	if n, l := b.peopleNow(t), b.Letters(); n != 2 || len(l.Aside) != 1 || l.Waiting != 0 {
		t.Fatalf("%d people, %+v", n, l)
	}
	list, err := b.Desks().Registration.Arrivals(ctx, staff.Operator(), 9)
	if err != nil || len(list) != 1 || len(list[0].First.Needs) != 1 || list[0].First.Needs[0] != "wheelchair" {
		t.Fatalf("%+v %v", list, err)
	}
}

// A letter that was set aside because nobody takes in what is not for the register is passed
// on when somebody does, about the people who were registered meanwhile, and only then it is
// gone; until then nobody is shown it.
func TestALetterSetAsideIsPassedOnLater(t *testing.T) {
	t.Parallel()
	b, words := startedBox(t)
	ctx := t.Context()
	if err := b.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	h := familyOf("Ana", "Ben")
	h.Members[1].Needs = []string{"torture", "wheelchair"}
	if _, err := b.LeaveHousehold(ctx, "x", h, true); err != nil {
		t.Fatal(err)
	}
	b.unlocked(t, words)
	lead, err := b.Desks().Staff.SignIn(ctx, "amina", words)
	if err != nil {
		t.Fatal(err)
	}
	list := func() ui.AsideLetter {
		t.Helper()
		all, err := b.AsideLetters(ctx, lead.Actor)
		if err != nil || len(all) != 1 {
			t.Fatalf("%+v %v", all, err)
		}
		return all[0]
	}
	l := list()
	if l.Number != 1 || l.Kind != "household" || !l.Narrow || l.Form || l.Reason == nil || l.Reason.Key != "fault.registration.no_intake" {
		t.Fatalf("%+v", l)
	}
	if _, err := b.AsideLetters(ctx, staff.Actor{ID: staff.ID{1}, Role: staff.Registrar}); fault.ClassOf(err) != fault.Denied {
		t.Fatal(err)
	}
	for _, name := range []string{"", "../key", "key", "0000000002-" + strings.Repeat("0", 32)} {
		if err := b.RetryAside(ctx, lead.Actor, name); fault.Of(err).Key != "fault.node.no_letter" {
			t.Fatalf("%q: %v", name, err)
		}
	}
	if _, _, err := b.AsideForm(ctx, lead.Actor, l.Name); fault.Of(err).Key != "fault.node.letter_narrow" {
		t.Fatal(err)
	}
	if err := b.RetryAside(ctx, lead.Actor, l.Name); fault.Of(err).Key != "fault.registration.no_intake" {
		t.Fatal(err)
	}
	list()

	told := &toldIntake{}
	b.Desks().Registration.SetIntake(told)
	if l := list(); l.Reason != nil || !l.Narrow {
		t.Fatalf("%+v", l)
	}
	told.fail = fault.New(fault.Unavailable, "fault.registration.no_intake")
	if err := b.RetryAside(ctx, lead.Actor, l.Name); err == nil {
		t.Fatal("filed though nobody was told")
	}
	list()
	told.fail = nil
	if err := b.RetryAside(ctx, lead.Actor, l.Name); err != nil {
		t.Fatal(err)
	}
	if left := b.Letters().Aside; len(left) != 0 || b.peopleNow(t) != 2 {
		t.Fatalf("%v, %d people", left, b.peopleNow(t))
	}
	if len(told.about) != 1 || told.codes[0] != "torture" {
		t.Fatalf("%+v", told)
	}
	r, err := b.Desks().Registration.Get(ctx, staff.Operator(), told.about[0])
	if err != nil || r.Person.GivenName != "Ben" {
		t.Fatalf("it was told about %+v, %v", r, err)
	}
}

// toldIntake is somebody who takes in what is not for the register.
type toldIntake struct {
	about []oplog.ID
	codes []string
	fail  error
}

func (*toldIntake) Opened() (bool, error) { return true, nil }

func (i *toldIntake) TakeIn(_ context.Context, _ staff.Actor, _ staff.Narrow, about oplog.ID, codes []string, _ string) error {
	if i.fail != nil {
		return i.fail
	}
	i.about, i.codes = append(i.about, about), append(i.codes, codes...)
	return nil
}

// A letter that could not be filed for what is in it is completed as a form: it goes when its
// people were registered, and stays when they were not.
func TestALetterSetAsideIsCompleted(t *testing.T) {
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
	for kind, body := range map[letterbox.Kind]string{9: "later", letterbox.Household: `{"members":[{"given_name":"x","sex":"?"}],"head":0}`} {
		if _, _, err := box.Put(kind, "x", []byte(body), true); err != nil {
			t.Fatal(err)
		}
	}
	b.unlocked(t, words)
	all, err := b.AsideLetters(ctx, staff.Operator())
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v %v", all, err)
	}
	for _, l := range all {
		h, reason, err := b.AsideForm(ctx, staff.Operator(), l.Name)
		if l.Kind == "" {
			if l.Reason == nil || l.Reason.Key != "fault.node.letter_later" || err == nil {
				t.Errorf("%+v %v", l, err)
			}
			continue
		}
		if err != nil || reason == nil || len(h.Members) != 1 || !l.Form {
			t.Fatalf("%+v %v %v", h, reason, err)
		}
		refused := fault.New(fault.Full, "fault.oplog.disk_full")
		if err := b.CompleteAside(ctx, staff.Operator(), l.Name, func() error { return refused }); fault.Of(err).Key != refused.Key || len(b.Letters().Aside) != 2 {
			t.Fatalf("a letter is gone though nothing was saved: %v", err)
		}
		saved := 0
		save := func() error { saved++; return nil }
		if err := b.CompleteAside(ctx, staff.Operator(), l.Name, save); err != nil || saved != 1 || len(b.Letters().Aside) != 1 {
			t.Fatal(err)
		}
		if err := b.CompleteAside(ctx, staff.Operator(), l.Name, save); fault.Of(err).Key != "fault.node.no_letter" || saved != 1 {
			t.Fatalf("completed twice: %v", err)
		}
	}
}
