package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/ui"
)

// newBox is what serve makes of a folder nothing was started in.
func newBox(t *testing.T, dir string) *box {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	unlock, err := lockFolder(dir)
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	b, _, err := openBox(ctx, serveOptions{Data: dir, Mesh: "127.0.0.1:0"}, false, slog.New(slog.DiscardHandler))
	must(err)
	t.Cleanup(func() { cancel(); b.Close(); unlock() })
	return b
}

// Another program may take the mesh's port between the start and the first page.
// The box was begun then, but its words were never shown: nobody could open it again.
func TestWordsAreShownWhenTheMeshCannotStart(t *testing.T) {
	t.Parallel()
	b := newBox(t, filepath.Join(t.TempDir(), "d"))
	taken, err := net.Listen("tcp", b.meshListen)
	if err != nil {
		t.Fatal(err)
	}
	started, err := b.StartSite(context.Background(), ui.StartSite{Claim: b.claim.Code(), Deployment: "Relief", Site: "North", Lead: "amina"})
	if err != nil || len(started.Words) != readySteps {
		t.Fatalf("%d words, %v", len(started.Words), err)
	}
	status, err := b.Status(context.Background())
	if err != nil || len(status.Alerts) == 0 || status.Alerts[0].Key != "alert.mesh_off" {
		t.Errorf("nothing is said: %+v %v", status.Alerts, err)
	}
	if _, err := b.meshed(); fault.Of(err).Key != "fault.node.mesh_off" {
		t.Errorf("inviting: %v", err)
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); b.open().Mesh() == nil; time.Sleep(pause) {
		if time.Now().After(end) {
			t.Fatal("the box does not try again")
		}
	}
}

// A real folder may be called like the throw-away one. It was removed at the start
// of its neighbour.
func TestAFolderThatIsNotPracticeStays(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "camp")
	real := practiceDir(dir)
	if err := initSite(context.Background(), initOptions{Data: real, Deployment: "Relief", Site: "North", Lead: "amina", Passphrase: []byte("five plain words for tests")}); err != nil {
		t.Fatal(err)
	}
	b := newBox(t, dir)
	if _, err := b.Practise(context.Background(), b.claim.Code()); fault.Of(err).Key != "fault.node.practice_taken" {
		t.Errorf("practising: %v", err)
	}
	b.Close()
	if !identity.Exists(real) {
		t.Fatal("the folder is gone")
	}
}

// Practice goes at the stop, and after a power cut at the next start.
func TestPracticeLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "camp")
	b := newBox(t, dir)
	if _, err := b.Practise(context.Background(), b.claim.Code()); err != nil {
		t.Fatal(err)
	}
	left := t.TempDir()
	if err := os.CopyFS(filepath.Join(left, "cut-practice"), os.DirFS(practiceDir(dir))); err != nil {
		t.Fatal(err)
	}
	b.Close()
	newBox(t, filepath.Join(left, "cut"))
	for _, d := range []string{practiceDir(dir), filepath.Join(left, "cut-practice")} {
		if _, err := os.Stat(d); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", d, err)
		}
	}
}
