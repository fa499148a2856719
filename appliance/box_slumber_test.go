//go:build linux

package main

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/letterbox"
)

// TestALockedFolderHasNoSigningKey: what lies readable on a card lets a box take records in
// while it is locked, and no file of it holds a key that signs, opens or seals anything else.
func TestALockedFolderHasNoSigningKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	const words = "five plain words for scripts"
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(initSite(context.Background(), initOptions{Data: dir, Deployment: "Relief", Site: "North", Lead: "amina", Passphrase: []byte(words)}))
	n, err := openFolder(context.Background(), dir, []byte(words), slog.New(slog.DiscardHandler))
	must(err)
	web, err := identity.OpenWeb(filepath.Join(dir, "web"), n.clock)
	must(err)
	must(web.Unlock(n.vault.Subkey))
	must(n.Close())
	c := &canaries{other: map[string][]byte{}}
	for range 40 { // keysOf wants as many as a day's work plants; here the keys count
		c.text()
	}
	c.keysOf(t, dir, words)
	first, ok := letterbox.ReadLocked(files.OS(), dir)
	if !ok {
		t.Fatal("a new box could not take records in before it was opened once more")
	}
	if len(c.other["node seed"]) != 32 || string(c.other["node seed"]) == string(first.Seed[:]) {
		t.Fatal("the key of the locked box is the node's own")
	}
	found := map[string]bool{}
	must(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		c.in(raw, found)
		return err
	}))
	for name := range found {
		t.Errorf("the %s lies readable in the folder", name)
	}
	// Another opening, another key.
	n, err = openFolder(context.Background(), dir, []byte(words), slog.New(slog.DiscardHandler))
	must(err)
	defer n.Close()
	_, err = n.readyLetterbox()
	must(err)
	if second, ok := letterbox.ReadLocked(files.OS(), dir); !ok || second.Seed == first.Seed || string(second.Cert) == string(first.Cert) {
		t.Error("the key from before the opening is still there")
	}
}
