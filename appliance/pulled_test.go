package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/staff"
)

// Opened by a stick in the box, the box is locked within two seconds of its being pulled
// out, and the keys are gone. A key file from elsewhere locks nothing.
func TestAPulledStickLocks(t *testing.T) {
	b, words := startedBox(t)
	made, err := b.AddSlot(t.Context(), staff.Operator(), identity.SlotStick)
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte(made.Secret)
	media := t.TempDir()
	stick := filepath.Join(media, "stick")
	was, wasMounted := stickFolders, isStick
	stickFolders, isStick = []string{filepath.Join(media, "*")}, func(string) bool { return true }
	t.Cleanup(func() { stickFolders, isStick = was, wasMounted })
	plugIn := func() {
		t.Helper()
		if err := os.MkdirAll(stick, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(stick, made.File), secret, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lock := func() {
		t.Helper()
		if err := b.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	lock()
	plugIn()
	if err := b.Unlock(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	n := b.open()
	began := clock.System().Now()
	if err := os.RemoveAll(stick); err != nil {
		t.Fatal(err)
	}
	for n.vault.SignHead([]byte("x")) != nil {
		if clock.System().Now().Sub(began) > 20*time.Second {
			t.Fatal("it stays open")
		}
		<-clock.System().After(time.Millisecond)
	}
	t.Logf("locked, keys overwritten, after %v; the bar is 2 s", clock.System().Now().Sub(began))

	// Typed words, or a key file from a phone: the stick is none of its business.
	for _, opener := range [][]byte{words, secret} {
		lock()
		if err := b.Unlock(t.Context(), opener); err != nil {
			t.Fatal(err)
		}
		plugIn()
		if err := os.RemoveAll(stick); err != nil {
			t.Fatal(err)
		}
		<-clock.System().After(3 * stickLook)
		if b.State() != "open" {
			t.Fatal("locked by a stick it was not opened with")
		}
	}
}
