package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/staff"
)

const emergencyWords = "five plain words for tests"

// quietBuffer is a log that several goroutines write.
type quietBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (q *quietBuffer) Write(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.Buffer.Write(p)
}

func (q *quietBuffer) String() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.Buffer.String()
}

// handOf is an account that somebody at the machine made, signed in.
func handOf(t *testing.T, b *box, user string, role staff.Role) staff.Session {
	t.Helper()
	desk := b.Desks().Staff
	if _, err := desk.Add(t.Context(), staff.Operator(), staff.NewAccount{User: user, Role: role, Passphrase: []byte(emergencyWords)}); err != nil {
		t.Fatal(err)
	}
	s, err := desk.SignIn(t.Context(), user, []byte(emergencyWords))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Nothing destroys the keys before it was decided; more than now takes two people where
// there are two, less takes one; and what was decided outlives a lock and is in no log.
func TestDestroyingIsDecidedBefore(t *testing.T) {
	t.Parallel()
	b, words := startedBox(t)
	var log quietBuffer
	b.logger = slog.New(slog.NewTextHandler(&log, nil))
	ctx := context.Background()
	lead, err := b.Desks().Staff.SignIn(ctx, "amina", words)
	if err != nil {
		t.Fatal(err)
	}
	mode := func(want string) {
		t.Helper()
		if e, err := b.Emergency(ctx, lead.Actor); err != nil || e.Mode != want {
			t.Fatalf("%+v %v", e, err)
		}
	}
	refused := func(err error, key string) {
		t.Helper()
		if fault.Of(err).Key != key {
			t.Fatalf("%v, not %s", err, key)
		}
	}
	mode("lock")
	refused(b.Destroy(ctx, lead.Actor), "fault.node.emergency_off")
	refused(b.Destroy(ctx, staff.Operator()), "fault.node.emergency_off")
	_, err = b.AskEmergency(ctx, staff.Session{Actor: staff.Operator()}, "destroy")
	refused(err, "fault.staff.own_hand")
	_, err = b.AskEmergency(ctx, lead, "everything")
	refused(err, "fault.identity.emergency_mode")

	// Alone: one is enough. Then there are two.
	if act, err := b.AskEmergency(ctx, lead, "destroy"); err != nil || !act.IsZero() {
		t.Fatalf("alone: %v %v", act, err)
	}
	mode("destroy")
	second, registrar := handOf(t, b, "sami", staff.Coordinator), handOf(t, b, "noor", staff.Registrar)
	if act, err := b.AskEmergency(ctx, lead, "lock"); err != nil || !act.IsZero() {
		t.Fatalf("less: %v %v", act, err)
	}
	mode("lock")
	for _, who := range []staff.Session{second, registrar} {
		if _, err := b.AskEmergency(ctx, who, "destroy"); fault.ClassOf(err) != fault.Denied {
			t.Fatalf("somebody who does not manage the box: %v", err)
		}
	}
	act, err := b.AskEmergency(ctx, lead, "destroy")
	if err != nil || act.IsZero() {
		t.Fatalf("one of two: %v %v", act, err)
	}
	mode("lock")
	if err := b.Desks().Staff.ConfirmAct(ctx, lead, act); err == nil {
		t.Fatal("one person agreed with themselves")
	}
	// What was asked for before somebody decided otherwise is not agreed to any more.
	if stays, err := b.AskEmergency(ctx, lead, "lock"); err != nil || !stays.IsZero() {
		t.Fatal(stays, err)
	}
	refused(b.Desks().Staff.ConfirmAct(ctx, second, act), "fault.identity.emergency_changed")
	mode("lock")
	if waits, err := b.EmergencyBoth(ctx, "destroy", [2]string{"amina", ""}, [2][]byte{words, nil}); err != nil || !waits {
		t.Fatalf("one of two, by the verb: %v", err)
	}
	if waits, err := b.EmergencyBoth(ctx, "destroy", [2]string{"amina", "sami"}, [2][]byte{words, []byte(emergencyWords)}); err != nil || waits {
		t.Fatal(err)
	}
	mode("destroy")
	if act, err := b.AskEmergency(ctx, lead, "destroy"); err != nil || !act.IsZero() {
		t.Fatal(act, err)
	}
	if e, _ := b.Emergency(ctx, lead.Actor); e.By != "amina" || e.Second != "sami" || e.At == nil {
		t.Fatalf("%+v", e)
	}

	if err := b.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	refused(b.Destroy(ctx, staff.Operator()), "fault.node.emergency_locked")
	if err := b.Unlock(ctx, words); err != nil {
		t.Fatal(err)
	}
	mode("destroy")
	for _, said := range []string{"mode=", "destroy"} {
		if strings.Contains(log.String(), said) {
			t.Fatalf("the log lies readable on the card, and says what was decided: %s", log.String())
		}
	}
	began := clock.System().Now()
	if err := b.Destroy(ctx, lead.Actor); err != nil {
		t.Fatal(err)
	}
	t.Logf("destroyed and closed after %v; the bar is 2 s", clock.System().Now().Sub(began))
	if !identity.Wiped(b.dir) || b.State() != "new" {
		t.Fatal("not destroyed")
	}
	for _, name := range identity.EmergencyFiles() {
		if _, err := os.Stat(filepath.Join(b.dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is left", name)
		}
	}
}

// A pulled stick locks whatever was decided, and costs nothing: a stick that fell off the bus
// looks the same.
func TestAPulledStickDestroysNothing(t *testing.T) {
	for _, decided := range []string{"lock", "destroy"} {
		t.Run(decided, func(t *testing.T) {
			t.Parallel()
			b, words := startedBox(t)
			lead, err := b.Desks().Staff.SignIn(t.Context(), "amina", words)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.AskEmergency(t.Context(), lead, decided); err != nil {
				t.Fatal(err)
			}
			n := b.open()
			stick := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(stick, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() { defer close(done); b.lockWhenPulled(n, stick) }()
			began := clock.System().Now()
			if err := os.Remove(stick); err != nil {
				t.Fatal(err)
			}
			select {
			case <-done:
			case <-clock.System().After(20 * time.Second):
				t.Fatal("nothing happens")
			}
			t.Logf("after %v; the bar is 2 s", clock.System().Now().Sub(began))
			if identity.Wiped(b.dir) || b.open() != nil {
				t.Fatalf("wiped %v, state %s", identity.Wiped(b.dir), b.State())
			}
			if err := b.Unlock(t.Context(), words); err != nil {
				t.Fatal(err)
			}
			if e, err := b.open().emergencySays(lead.Actor); err != nil || e.Mode != decided {
				t.Fatalf("%+v %v", e, err)
			}
		})
	}
}
