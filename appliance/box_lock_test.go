package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/ui"
)

// startedBox is an open box and the words that open it.
func startedBox(t *testing.T) (*box, []byte) {
	t.Helper()
	b := newBox(t, filepath.Join(t.TempDir(), "d"))
	started, err := b.StartSite(t.Context(), ui.StartSite{Claim: b.claim.Code(), Deployment: "Relief", Site: "North", Lead: "amina"})
	if err != nil {
		t.Fatal(err)
	}
	return b, []byte(strings.Join(started.Words, " "))
}

// Locked while people are being registered: what was acknowledged is there afterwards,
// what was not is refused in words, and nobody who held the desks writes on.
func TestLockingInTheMiddleOfTheDay(t *testing.T) {
	t.Parallel()
	b, words := startedBox(t)
	desks, ctx := b.Desks(), context.Background()
	var writers sync.WaitGroup
	var mu sync.Mutex
	saved, refused := 0, map[string]int{}
	under := make(chan struct{}, 1000)
	for range 4 {
		writers.Go(func() {
			for {
				_, err := desks.Registration.Add(ctx, staff.Operator(), registration.Person{GivenName: "Omar"}, registration.Request{})
				mu.Lock()
				if err != nil {
					refused[fault.Of(err).Key]++
					mu.Unlock()
					return
				}
				saved++
				mu.Unlock()
				select {
				case under <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 20 {
		<-under
	}
	node := b.open()
	if err := b.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	writers.Wait()
	if b.State() != "locked" || b.Desks() != nil || len(refused) != 1 || refused["fault.oplog.closed"] != 4 {
		t.Fatalf("%s, %v", b.State(), refused)
	}
	if node.vault.SignHead([]byte("x")) != nil {
		t.Fatal("the keys are still there")
	}
	if err := b.Lock(ctx); err != nil {
		t.Fatalf("locking a locked box: %v", err)
	}
	if err := b.Unlock(ctx, words); err != nil {
		t.Fatal(err)
	}
	if err := b.Desks().Registration.Filled(ctx); err != nil {
		t.Fatal(err)
	}
	counts, err := b.Desks().Registration.Counts(t.Context())
	if err != nil || int(counts.People) != saved {
		t.Fatalf("%d acknowledged, %d there, %v", saved, counts.People, err)
	}
	if c, err := b.Check(ctx); err != nil || !c.Sound || b.open().journal.Stats().OpenUnclean {
		t.Fatalf("%+v %v", c, err)
	}
}

// The box is wiped while it is open: the keys go, then what is left of the records, and
// nothing else that lies in the folder.
func TestWipingAnOpenBox(t *testing.T) {
	t.Parallel()
	b, words := startedBox(t)
	ctx := context.Background()
	kit, err := b.AddSlot(ctx, staff.Operator(), identity.SlotRecovery)
	if err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(b.dir, "mine.txt")
	if err := os.WriteFile(mine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Wipe(ctx, staff.Actor{ID: staff.ID{1}, Role: staff.Registrar}); fault.ClassOf(err) != fault.Denied || b.State() != "open" {
		t.Fatal(err)
	}
	code := b.claim.Code()
	if err := b.Wipe(ctx, staff.Operator()); err != nil {
		t.Fatal(err)
	}
	if b.State() != "new" || b.CheckClaim(code) == nil || b.CheckClaim(b.claim.Code()) != nil {
		t.Fatalf("%s, or the old claim code goes on", b.State())
	}
	for _, secret := range [][]byte{words, []byte(kit.Secret)} {
		if err := b.Unlock(ctx, secret); fault.Of(err).Key != "fault.identity.wiped" {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(b.dir, "journal")); !os.IsNotExist(err) {
		t.Fatal("the journal is left")
	}
	if _, err := os.Stat(mine); err != nil {
		t.Fatal(err)
	}
	if err := b.Lock(ctx); fault.ClassOf(err) != fault.NotFound {
		t.Fatal(err)
	}
}

// What takes long comes after the slots: they are gone while 50 MB of records lie there
// untouched. Nothing here depends on how fast the machine is.
func TestTheSlotsGoFirst(t *testing.T) {
	t.Parallel()
	b, _ := startedBox(t)
	b.Close()
	big := filepath.Join(b.dir, "journal", "99999999.wpj")
	if err := os.WriteFile(big, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, 50<<20); err != nil {
		t.Fatal(err)
	}
	if err := identity.DestroyKeys(b.dir); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(big)
	if err != nil || info.Size() != 50<<20 {
		t.Fatalf("destroying keys touched the records: %v", err)
	}
	for _, name := range []string{"unlock", "unlock.2", "secrets", "secrets.2", "accounts", "accounts.2", "journal/keys", "journal/keys.2"} {
		if _, err := os.Stat(filepath.Join(b.dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is left", name)
		}
	}
}

func TestPracticeIsNotLocked(t *testing.T) {
	t.Parallel()
	b := newBox(t, filepath.Join(t.TempDir(), "d"))
	if _, err := b.Practise(t.Context(), b.claim.Code()); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"lock": b.Lock(t.Context()), "wipe": b.Wipe(t.Context(), staff.Operator())} {
		if fault.Of(err).Key != "fault.node.practice_lock" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if b.State() != "open" {
		t.Fatal(b.State())
	}
}
