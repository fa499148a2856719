package backup_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/waypost/waypost/appliance/backup"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
)

func restored(t testing.TB, file string) (string, backup.Info) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "back")
	must(t, os.MkdirAll(dir, 0o700))
	info, err := backup.Restore(context.Background(), backup.RestoreOptions{File: file, Dir: dir, Passphrase: passphrase})
	must(t, err)
	return dir, info
}

func TestWhatIsRestoredIsWhatWasThere(t *testing.T) {
	b := newBox(t, 3<<20, 700, 100<<10)
	file := filepath.Join(t.TempDir(), "day.wpb")
	info := b.write(file)
	if !info.Opened || info.Ops != b.snap.Ops || info.Name != "Relief" || info.Site != "North" || !info.Made.Equal(made) || info.Node != b.vault.NodeID() {
		t.Fatalf("%+v", info)
	}
	if _, err := os.Stat(backup.PartName(file)); !os.IsNotExist(err) {
		t.Fatal("the unfinished file is still there")
	}
	dir, again := restored(t, file)
	if again.Files != info.Files || again.Bytes != info.Bytes {
		t.Fatalf("%+v instead of %+v", again, info)
	}
	sameTree(t, tree(t, dir), b.want())
	if _, err := identity.Unlock(dir, clock.System(), passphrase); err != nil {
		t.Fatal(err)
	}
	mark, ok := backup.ReadMark(files.OS(), dir)
	if !ok || !mark.NewLog || !mark.Closed || !mark.Made.Equal(made) || mark.Ops != b.snap.Ops {
		t.Fatalf("%+v", mark)
	}
	if got, err := backup.Look(files.OS(), file); err != nil || got.Node != info.Node || got.Bytes != info.Bytes || got.Opened {
		t.Fatalf("%+v %v", got, err)
	}
}

func TestTheRecoveryKitOpensABackup(t *testing.T) {
	b := newBox(t, 100)
	kit, err := b.vault.Recovery()
	must(t, err)
	file := filepath.Join(t.TempDir(), "day.wpb")
	b.write(file)
	if _, err := backup.Verify(context.Background(), files.OS(), file, []byte(kit), nil); err != nil {
		t.Fatal(err)
	}
	_, err = backup.Verify(context.Background(), files.OS(), file, []byte("other words than these"), nil)
	is(t, err, "fault.identity.wrong_passphrase")
}

// Nothing that is inside may be seen from outside: not even the names of files and sites.
func TestABackupShowsNothingFromOutside(t *testing.T) {
	b := newBox(t, 100)
	b.put("something-new", []byte(strings.Repeat("Amina Haddad ", 50)))
	file := filepath.Join(t.TempDir(), "day.wpb")
	b.write(file)
	raw, err := os.ReadFile(file)
	must(t, err)
	for _, word := range []string{"Amina", "Haddad", "Relief", "North", "something-new", "peers.json", "wpj", "AGE-SECRET"} {
		if bytes.Contains(raw, []byte(word)) {
			t.Errorf("%q can be read", word)
		}
	}
}

// Every byte flipped, every length cut, and a byte too many: all refused, with and
// without a passphrase, and nothing is written by a restore.
func TestEveryChangedByteIsFound(t *testing.T) {
	b := newBox(t, 300)
	file := filepath.Join(t.TempDir(), "day.wpb")
	b.write(file)
	raw, err := os.ReadFile(file)
	must(t, err)
	bad := filepath.Join(t.TempDir(), "bad.wpb")
	refused := func(what string, at int, content []byte) {
		if _, err := backup.Verify(context.Background(), memory{files.OS(), content}, bad, nil, nil); err == nil {
			t.Fatalf("%s at byte %d is taken", what, at)
		}
	}
	if _, err := backup.Verify(context.Background(), memory{files.OS(), raw}, bad, nil, nil); err != nil {
		t.Fatal(err)
	}
	step := 1
	if testing.Short() {
		step = 3
	}
	for i := 0; i < len(raw); i += step {
		flipped := bytes.Clone(raw)
		flipped[i] ^= 1 << (i % 8)
		refused("a flipped bit", i, flipped)
		refused("a cut", i, raw[:i])
	}
	refused("a byte more", len(raw), append(bytes.Clone(raw), 0))
	for i := 0; i < len(raw); i += len(raw)/40 + 1 {
		flipped := bytes.Clone(raw)
		flipped[i] ^= 0x80
		must(t, os.WriteFile(bad, flipped, 0o600))
		dir := t.TempDir()
		if _, err := backup.Restore(context.Background(), backup.RestoreOptions{File: bad, Dir: dir, Passphrase: passphrase}); err == nil {
			t.Fatalf("byte %d: restored", i)
		}
		if left := tree(t, dir); len(left) > 0 {
			t.Fatalf("byte %d: wrote %v", i, left)
		}
	}
}

// A whole backup by somebody who has other keys is not this deployment's.
func TestPiecesOfTwoBackupsDoNotMix(t *testing.T) {
	b := newBox(t, 300)
	one, two := filepath.Join(t.TempDir(), "1.wpb"), filepath.Join(t.TempDir(), "2.wpb")
	b.write(one)
	b.segment(1, 301)
	b.write(two)
	first, err := os.ReadFile(one)
	must(t, err)
	second, err := os.ReadFile(two)
	must(t, err)
	for _, cut := range []int{len(first) / 3, len(first) / 2, len(first) - 200} {
		mixed := append(bytes.Clone(first[:cut]), second[min(cut, len(second)):]...)
		must(t, os.WriteFile(one, mixed, 0o600))
		if _, err := backup.Verify(context.Background(), files.OS(), one, nil, nil); err == nil {
			t.Fatalf("mixed at %d: taken", cut)
		}
	}
}

func TestWhatIsThereIsNotWrittenOver(t *testing.T) {
	b := newBox(t, 300)
	ctx := context.Background()
	photo := filepath.Join(t.TempDir(), "photo.jpg")
	must(t, os.WriteFile(photo, []byte("a picture of somebody"), 0o600))
	_, err := backup.Write(ctx, b.options(photo))
	is(t, err, "fault.backup.other_file")

	file := filepath.Join(t.TempDir(), "day.wpb")
	b.write(file)
	b.segment(2, 90)
	if b.write(file).Ops != b.snap.Ops { // a backup is replaced by a newer one
		t.Fatal("the old backup is still there")
	}
	other := newBox(t, 300)
	must(t, os.Rename(file, backup.PartName(file)))
	_, err = backup.Write(ctx, other.options(file))
	is(t, err, "fault.backup.part_of_other")

	must(t, os.Rename(backup.PartName(file), file))
	_, err = backup.Restore(ctx, backup.RestoreOptions{File: file, Dir: other.dir, Passphrase: passphrase})
	is(t, err, "fault.backup.not_empty")
	_, err = backup.Restore(ctx, backup.RestoreOptions{File: photo, Dir: t.TempDir(), Passphrase: passphrase})
	is(t, err, "fault.backup.no_backup")
	_, err = backup.Restore(ctx, backup.RestoreOptions{File: photo + "x", Dir: t.TempDir(), Passphrase: passphrase})
	is(t, err, "fault.backup.no_file")
}

// Killed at every operation on the disk, with whole and torn writes: the next call goes
// on and ends with the same backup; the old one stays until the new one is checked.
func TestKilledAtEveryOperation(t *testing.T) {
	b := newBox(t, 2<<20+5, 700)
	for _, torn := range []bool{false, true} {
		resumed := 0
		for k := 1; ; k += stride() {
			file := filepath.Join(t.TempDir(), "day.wpb")
			o := b.options(file)
			o.Files = &shaky{FS: files.OS(), at: k, err: errKilled, short: torn}
			_, err := backup.Write(context.Background(), o)
			if err == nil {
				if k < 15 {
					t.Fatalf("only %d operations", k)
				}
				break
			}
			if _, err := os.Stat(file); err == nil && k < 10 {
				t.Fatalf("k=%d: an unfinished backup has its name", k)
			}
			o.Files = nil
			o.Progress = func(p backup.Progress) {
				if p.Step == backup.Resuming {
					resumed++
				}
			}
			if _, err := backup.Write(context.Background(), o); err != nil {
				t.Fatalf("k=%d: %v", k, err)
			}
			if k%5 == 0 {
				dir, _ := restored(t, file)
				sameTree(t, tree(t, dir), b.want())
			}
		}
		if resumed*stride() < 20 {
			t.Fatalf("went on with %d pieces only", resumed)
		}
	}
}

// stride leaves operations out when the tests are to be short.
func stride() int {
	if testing.Short() {
		return 3
	}
	return 1
}

// What changed in the folder since the first try is taken as it is now.
func TestGoingOnTakesWhatIsThereNow(t *testing.T) {
	b := newBox(t, 3<<20)
	file := filepath.Join(t.TempDir(), "day.wpb")
	o := b.options(file)
	o.Files = &shaky{FS: files.OS(), at: 5, err: errKilled}
	if _, err := backup.Write(context.Background(), o); err == nil {
		t.Fatal("not killed")
	}
	part, err := os.Stat(backup.PartName(file))
	if err != nil || part.Size() < 1<<20 {
		t.Fatal(part, err)
	}
	b.segment(1, 4<<20) // other bytes from the first on, as after a rewrite
	b.segment(2, 50)
	b.put("accounts", noise(77, 400))
	b.keys(noise(78, 96))
	b.write(file)
	dir, _ := restored(t, file)
	sameTree(t, tree(t, dir), b.want())
	if segmentsOf(tree(t, dir)) != 2 {
		t.Fatal("the new segment is missing")
	}
}

// A segment that is rewritten during the backup, because somebody was erased, is taken
// as it is afterwards; one that never rests is said.
func TestASegmentRewrittenMeanwhile(t *testing.T) {
	b := newBox(t, 2<<20, 3<<20)
	file := filepath.Join(t.TempDir(), "day.wpb")
	o := b.options(file)
	times := 1
	o.Progress = func(p backup.Progress) {
		if p.Step != backup.Writing || times == 0 {
			return
		}
		times--
		b.put("journal/00000002.wpj", noise(uint64(50+times), 1<<20+77+times)) // shorter, other bytes
		b.snap.Segments[1].Size = int64(1<<20 + 77 + times)
		b.snap.Segments[1].ID[7]++
		b.keys(noise(uint64(60+times), 64))
	}
	_, err := backup.Write(context.Background(), o)
	must(t, err)
	dir, _ := restored(t, file)
	sameTree(t, tree(t, dir), b.want())
	times = 1 << 20
	_, err = backup.Write(context.Background(), o)
	is(t, err, "fault.backup.changing")
}

func TestTheStickIsFullAndThenHasRoom(t *testing.T) {
	b := newBox(t, 3<<20)
	file := filepath.Join(t.TempDir(), "day.wpb")
	o := b.options(file)
	o.Files = &shaky{FS: files.OS(), room: 2 << 20}
	_, err := backup.Write(context.Background(), o)
	is(t, err, "fault.backup.full")
	if fault.Of(err).Args["MB"] == nil {
		t.Fatal("does not say how much")
	}
	o.Room = func() (uint64, error) { return 1000, nil }
	_, err = backup.Write(context.Background(), o)
	is(t, err, "fault.backup.full")
	o.Room, o.Files = nil, nil
	resumed := false
	o.Progress = func(p backup.Progress) { resumed = resumed || p.Step == backup.Resuming }
	_, err = backup.Write(context.Background(), o)
	must(t, err)
	if !resumed {
		t.Fatal("began anew")
	}
	dir, _ := restored(t, file)
	sameTree(t, tree(t, dir), b.want())
}

func TestWhatAStickDoesIsSaid(t *testing.T) {
	b := newBox(t, 3<<20)
	for err, key := range map[error]string{
		syscall.EIO: "fault.backup.gone", syscall.ENODEV: "fault.backup.gone", syscall.ENOSPC: "fault.backup.full",
		syscall.EFBIG: "fault.backup.too_large_here", syscall.EROFS: "fault.backup.cannot_write",
	} {
		for k := 1; k <= 6; k++ {
			o := b.options(filepath.Join(t.TempDir(), "day.wpb"))
			o.Files = &shaky{FS: files.OS(), at: k, err: err}
			_, got := backup.Write(context.Background(), o)
			is(t, got, key)
		}
	}
	o := b.options(filepath.Join(t.TempDir(), "not there", "day.wpb"))
	_, err := backup.Write(context.Background(), o)
	is(t, err, "fault.backup.gone")
}

// A stick that gives back something else than what was written to it.
func TestWhatIsNotReadBackIsNoBackup(t *testing.T) {
	b := newBox(t, 3<<20)
	file := filepath.Join(t.TempDir(), "day.wpb")
	o := b.options(file)
	spoiled := false
	o.Progress = func(p backup.Progress) {
		if p.Step == backup.Writing && p.Done == p.Total && !spoiled {
			spoiled = true
			f, err := os.OpenFile(backup.PartName(file), os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteAt([]byte("not this"), 1<<20)
			must(t, err)
			must(t, f.Close())
		}
	}
	_, err := backup.Write(context.Background(), o)
	is(t, err, "fault.backup.not_read_back")
	if _, err := os.Stat(file); err == nil || !spoiled {
		t.Fatal("it has its name all the same")
	}
	o.Progress = nil
	_, err = backup.Write(context.Background(), o)
	must(t, err)
}

// Killed at every operation, a restore leaves nothing that starts or everything.
func TestRestoreKilledAtEveryOperation(t *testing.T) {
	b := newBox(t, 1<<20+5, 700)
	file := filepath.Join(t.TempDir(), "day.wpb")
	b.write(file)
	want := b.want()
	whole, nothing := 0, 0
	for k := 1; ; k += stride() {
		dir := filepath.Join(t.TempDir(), "back")
		must(t, os.MkdirAll(filepath.Join(dir, "web"), 0o700)) // as an empty box has it
		must(t, os.WriteFile(filepath.Join(dir, "web", "ca.pem"), []byte("of the empty box"), 0o600))
		shaken := &shaky{FS: files.OS(), at: k, err: errKilled}
		_, err := backup.Restore(context.Background(), backup.RestoreOptions{Files: shaken, File: file, Dir: dir, Passphrase: passphrase})
		if err == nil {
			break
		}
		// the next start
		for kk := 1; ; kk++ { // which may be killed as well
			if err := backup.Settle(&shaky{FS: files.OS(), at: kk, err: errKilled}, dir); err == nil {
				break
			}
			if kk > 100 {
				t.Fatalf("k=%d: it never settles", k)
			}
		}
		if identity.Exists(dir) {
			whole++
			sameTree(t, tree(t, dir), want)
			continue
		}
		nothing++
		if left := tree(t, dir); len(left) > 1 {
			t.Fatalf("k=%d: left %d files", k, len(left))
		}
		_, err = backup.Restore(context.Background(), backup.RestoreOptions{File: file, Dir: dir, Passphrase: passphrase})
		must(t, err)
		sameTree(t, tree(t, dir), want)
	}
	if whole*stride() < 5 || nothing*stride() < 20 {
		t.Fatalf("%d whole, %d nothing", whole, nothing)
	}
	t.Logf("killed at %d operations: %d complete at the next start, %d empty", whole+nothing, whole, nothing)
}

func TestNoRoomForARestore(t *testing.T) {
	b := newBox(t, 300)
	file := filepath.Join(t.TempDir(), "day.wpb")
	b.write(file)
	dir := t.TempDir()
	_, err := backup.Restore(context.Background(), backup.RestoreOptions{
		File: file, Dir: dir, Passphrase: passphrase, Room: func() (uint64, error) { return 1 << 20, nil },
	})
	is(t, err, "fault.backup.no_room")
	_, err = backup.Restore(context.Background(), backup.RestoreOptions{
		Files: &shaky{FS: files.OS(), at: 4, err: syscall.ENOSPC, once: true}, File: file, Dir: dir, Passphrase: passphrase,
	})
	is(t, err, "fault.backup.no_room")
	if left := tree(t, dir); len(left) > 0 {
		t.Fatal(left)
	}
}

func TestAMarkThatCannotBeReadIsTheStrictest(t *testing.T) {
	dir := t.TempDir()
	if _, ok := backup.ReadMark(files.OS(), dir); ok {
		t.Fatal("a mark out of nothing")
	}
	m := backup.Mark{Made: made, Ops: 5, NewLog: true, Closed: true}
	must(t, m.Save(files.OS(), dir))
	m.NewLog = false
	must(t, m.Save(files.OS(), dir))
	if got, ok := backup.ReadMark(files.OS(), dir); !ok || got != m {
		t.Fatalf("%+v", got)
	}
	must(t, os.WriteFile(filepath.Join(dir, "restored"), []byte("{"), 0o600))
	if got, ok := backup.ReadMark(files.OS(), dir); !ok || !got.Closed || !got.NewLog {
		t.Fatalf("%+v", got)
	}
	must(t, backup.Mark{}.Save(files.OS(), dir))
	if _, ok := backup.ReadMark(files.OS(), dir); ok {
		t.Fatal("still marked")
	}
}

func TestStoppingIsPrompt(t *testing.T) {
	b := newBox(t, 4<<20)
	ctx, cancel := context.WithCancel(context.Background())
	o := b.options(filepath.Join(t.TempDir(), "day.wpb"))
	o.Progress = func(backup.Progress) { cancel() }
	_, err := backup.Write(ctx, o)
	is(t, err, "fault.backup.stopped")
}

// A large folder takes no more memory than a small one.
func TestMemoryStaysSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 200 MB")
	}
	b := newBox(t, 60<<20, 60<<20, 60<<20)
	file := filepath.Join(t.TempDir(), "day.wpb")
	runtime.GC()
	var most uint64
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	n := 0
	o := b.options(file)
	o.Progress = func(backup.Progress) {
		if n++; n%16 == 0 {
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
	}
	_, err := backup.Write(context.Background(), o)
	must(t, err)
	if grown := int64(most) - int64(before); grown > 32<<20 {
		t.Fatalf("took %d MB", grown>>20)
	} else {
		t.Logf("took %d MB", grown>>20)
	}
}

// A box whose keys were destroyed can become one again, from a stick that was elsewhere.
func TestAWipedFolderIsFilledAgain(t *testing.T) {
	b := newBox(t, 300)
	file := filepath.Join(t.TempDir(), "day.wpb")
	b.write(file)
	want := b.want()
	must(t, identity.DestroyKeys(b.dir))
	for _, name := range []string{"journal", "views", "chunks", "peers.json", "something-new", "empty", "old.part", "half.new", "backup.json"} {
		must(t, os.RemoveAll(filepath.Join(b.dir, name)))
	}
	if !identity.Wiped(b.dir) {
		t.Fatal("not wiped")
	}
	_, err := backup.Restore(context.Background(), backup.RestoreOptions{File: file, Dir: b.dir, Passphrase: passphrase})
	must(t, err)
	got := tree(t, b.dir)
	for p, content := range want {
		if !bytes.Equal(got[p], content) {
			t.Errorf("%s differs", p)
		}
	}
	if _, err := identity.Unlock(b.dir, clock.System(), passphrase); err != nil {
		t.Fatal(err)
	}
}
