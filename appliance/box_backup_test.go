package main

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/backup"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/ui"
)

var testWords = []byte("five plain words for tests")

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// newFolder is a started site in a folder of its own.
func newFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "camp")
	ok(t, initSite(context.Background(), initOptions{Data: dir, Deployment: "Relief", Site: "North", Lead: "amina", Passphrase: testWords}))
	return dir
}

func opened(t *testing.T, dir string) *node {
	t.Helper()
	n, err := openFolder(context.Background(), dir, testWords, quiet())
	ok(t, err)
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func register(n *node, name string) error {
	_, err := n.desks.Registration.Add(context.Background(), staff.Operator(), registration.Person{GivenName: name}, registration.Request{})
	return err
}

// A backup made while people are registered holds everything that was answered before it
// began, nothing half, and the same views.
func TestABackupOfABusyNode(t *testing.T) {
	t.Parallel()
	dir := newFolder(t)
	n := opened(t, dir)
	for i := range 20 {
		ok(t, register(n, "Before "+strconv.Itoa(i)))
	}
	before := n.journal.Stats().Ops
	stop, writers := make(chan struct{}), sync.WaitGroup{}
	for w := range 3 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := register(n, strconv.Itoa(w)+" during "+strconv.Itoa(i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	file := filepath.Join(t.TempDir(), "day.wpb")
	made, err := n.backup(context.Background(), file, func(backup.Progress) {})
	close(stop)
	writers.Wait()
	ok(t, err)
	if made.Ops < before {
		t.Fatalf("%d ops in it, %d were there", made.Ops, before)
	}
	if last := n.lastBackup(n.journal.Stats().Ops); last == nil || last.Ops != made.Ops {
		t.Fatalf("%+v", last)
	}
	back := filepath.Join(t.TempDir(), "back")
	ok(t, os.Mkdir(back, 0o700))
	_, err = backup.Restore(context.Background(), backup.RestoreOptions{File: file, Dir: back, Passphrase: testWords})
	ok(t, err)
	// Without the new log that a restore opens, op for op what the backup says.
	mark, _ := backup.ReadMark(files.OS(), back)
	mark.NewLog = false
	ok(t, mark.Save(files.OS(), back))
	r, err := opened(t, back).check(context.Background())
	ok(t, err)
	if !r.Sound || r.Ops != made.Ops {
		t.Fatalf("%d ops instead of %d, %v", r.Ops, made.Ops, r.Problems)
	}
}

// What a restore brings back adds up to the same views.
func TestARestoredFolderHasTheSameDigest(t *testing.T) {
	t.Parallel()
	dir := newFolder(t)
	n := opened(t, dir)
	for i := range 10 {
		ok(t, register(n, "Person "+strconv.Itoa(i)))
	}
	want, err := n.check(context.Background())
	ok(t, err)
	file := filepath.Join(t.TempDir(), "day.wpb")
	_, err = n.backup(context.Background(), file, func(backup.Progress) {})
	ok(t, err)
	back := filepath.Join(t.TempDir(), "back")
	ok(t, os.Mkdir(back, 0o700))
	_, err = backup.Restore(context.Background(), backup.RestoreOptions{File: file, Dir: back, Passphrase: testWords})
	ok(t, err)
	own := n.journal.Own()
	mark, _ := backup.ReadMark(files.OS(), back)
	again := mark
	again.NewLog = false
	ok(t, again.Save(files.OS(), back))
	r := opened(t, back)
	got, err := r.check(context.Background())
	ok(t, err)
	if *got.Views != *want.Views || got.Ops != want.Ops || !got.Sound {
		t.Fatalf("%+v instead of %+v", got, want)
	}
	ok(t, r.Close())
	// With the mark as it was it goes on under another log, once.
	ok(t, mark.Save(files.OS(), back))
	r = opened(t, back)
	second := r.journal.Own()
	if second == own {
		t.Fatal("it still writes the old log")
	}
	ok(t, r.Close())
	if r = opened(t, back); r.journal.Own() != second || r.restored() == nil {
		t.Fatal("a log for every start, or open without anybody's word")
	}
}

// The first page of an empty box offers the backup that lies beside its folder.
func TestTheFirstPageBringsABackupBack(t *testing.T) {
	t.Parallel()
	n := opened(t, newFolder(t))
	ok(t, register(n, "Somebody"))
	place := t.TempDir()
	file := filepath.Join(place, "day.wpb")
	_, err := n.backup(context.Background(), file, func(backup.Progress) {})
	ok(t, err)
	ok(t, os.WriteFile(filepath.Join(place, "no.wpb"), []byte("no backup"), 0o600))
	b := newBox(t, filepath.Join(place, "data"))
	found := b.Backups()
	if len(found) != 1 || found[0].File != realFolder(place)+"/day.wpb" {
		t.Fatalf("%+v", found)
	}
	ask := func(claim, file string, words []byte) error {
		return b.RestoreSite(context.Background(), ui.RestoreSite{Claim: claim, File: file, Passphrase: words})
	}
	for key, err := range map[string]error{
		"fault.node.claim_wrong":          ask("WRONG", found[0].File, testWords),
		"fault.backup.no_file":            ask(b.claim.Code(), "/etc/passwd", testWords),
		"fault.identity.wrong_passphrase": ask(b.claim.Code(), found[0].File, []byte("other words")),
	} {
		if fault.Of(err).Key != key {
			t.Errorf("%v instead of %s", err, key)
		}
	}
	ok(t, ask(b.claim.Code(), found[0].File, testWords))
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		state, err := b.BackupState(context.Background())
		ok(t, err)
		if !state.Running {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it takes too long")
		}
	}
	if b.State() != "open" || b.Restored() == nil {
		t.Fatalf("%s, %+v", b.State(), b.Restored())
	}
	if err := ask(b.claim.Code(), found[0].File, testWords); fault.ClassOf(err) != fault.Gone {
		t.Errorf("twice: %v", err)
	}
}

// A new kind of file in the data folder is noticed here: somebody has to decide whether
// a backup takes it.
func TestEveryFileOfAFolderIsKnownToBackups(t *testing.T) {
	t.Parallel()
	dir := newFolder(t)
	b := newBox(t, dir)
	ok(t, b.Unlock(context.Background(), testWords))
	n := b.open()
	ok(t, register(n, "Somebody"))
	ok(t, ports{HTTP: 1}.write(dir))
	_, err := n.backup(context.Background(), filepath.Join(t.TempDir(), "day.wpb"), func(backup.Progress) {})
	ok(t, err)
	b.Close()
	seen := 0
	ok(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		if seen++; !backup.Known(filepath.ToSlash(rel)) {
			t.Errorf("%s: nobody has decided whether backups take it (appliance/backup/folder.go)", rel)
		}
		return nil
	}))
	if seen < 10 {
		t.Fatalf("only %d files", seen)
	}
}

// A copied folder goes on under a log of its own, and so does one whose card was put
// into another machine; one that was only closed and opened does not.
func TestACopiedFolderGetsALogOfItsOwn(t *testing.T) {
	t.Parallel()
	dir := newFolder(t)
	n := opened(t, dir)
	own := n.journal.Own()
	ok(t, n.Close())
	if n = opened(t, dir); n.copied || n.journal.Own() != own {
		t.Fatal("a folder that stayed got a new log")
	}
	ok(t, n.Close())
	copied := filepath.Join(t.TempDir(), "copied")
	ok(t, os.CopyFS(copied, os.DirFS(dir)))
	c := opened(t, copied)
	if !c.copied || c.journal.Own() == own {
		t.Fatal("the copy writes the same log")
	}
	second := c.journal.Own()
	ok(t, c.Close())
	if c = opened(t, copied); c.copied || c.journal.Own() != second {
		t.Fatal("one log for every start")
	}
	ok(t, c.Close())
	raw, err := os.ReadFile(filepath.Join(copied, placeName))
	ok(t, err)
	elsewhere := strings.Replace(string(raw), machine(), "0123456789abcdef", 1)
	ok(t, os.WriteFile(filepath.Join(copied, placeName), []byte(elsewhere), 0o600))
	if c = opened(t, copied); !c.copied || c.journal.Own() == second {
		t.Fatal("in another machine it writes the same log")
	}
	if !identity.Exists(copied) {
		t.Fatal("not a folder")
	}
}
