package chunks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/files/filestest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "chunks")
	}
	s, err := Open(o)
	must(t, err)
	return s
}

// content is n bytes that do not repeat within a piece.
func content(n int, seed byte) []byte {
	out := make([]byte, 0, n+32)
	for i := 0; len(out) < n; i++ {
		h := sha256.Sum256([]byte{seed, byte(i), byte(i >> 8), byte(i >> 16)})
		out = append(out, h[:]...)
	}
	return out[:n]
}

func wantFault(t testing.TB, err error, class fault.Class, key string) {
	t.Helper()
	if !errors.Is(err, fault.New(class, key)) {
		t.Fatalf("want %s %s, got %v", class, key, err)
	}
}

// noSkip wants everything.
func noSkip(ID) bool { return false }

func TestAFileComesBackAsItWas(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []int{0, 1, 100, PieceSize, PieceSize + 1, 3*PieceSize - 7} {
		s := open(t, Options{Dir: dir})
		want := content(n, byte(n))
		f, err := s.Save(want, "image/jpeg")
		must(t, err)
		if len(f.Pieces) != (n+PieceSize-1)/PieceSize || f.Size != uint64(n) {
			t.Fatalf("%d bytes: %d pieces of %d", n, len(f.Pieces), f.Size)
		}
		s = open(t, Options{Dir: dir}) // after a restart
		got, err := s.Load(f)
		if err != nil || !bytes.Equal(got, want) || !s.Whole(f) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		for _, p := range f.Pieces {
			st, err := os.Stat(s.path(p.ID))
			must(t, err)
			if st.Mode().Perm() != 0o600 {
				t.Fatal(st.Mode())
			}
		}
	}
	if _, _, err := Cut(make([]byte, MaxFile+1), ""); fault.ClassOf(err) != fault.TooLarge {
		t.Fatal(err)
	}
}

// The same content twice has nothing in common on the disk: nobody can tell that two
// people were given one photo, or look whether a known photo is here.
func TestNothingOfTheContentShows(t *testing.T) {
	s := open(t, Options{})
	plain := bytes.Repeat([]byte("GPS 31.5017 N 34.4668 E "), 20_000)
	a, err := s.Save(plain, "text/plain")
	must(t, err)
	b, err := s.Save(plain, "text/plain")
	must(t, err)
	for i := range a.Pieces {
		if a.Pieces[i].ID == b.Pieces[i].ID || a.Pieces[i].Key == b.Pieces[i].Key {
			t.Fatal("two pieces are one")
		}
	}
	must(t, filepath.WalkDir(s.dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(p)
		// 13 bytes, not three: half a megabyte of random bytes holds any three of them in
		// one run of thirty.
		if bytes.Contains(raw, []byte("GPS 31.5017 N")) {
			t.Errorf("%s shows its content", p)
		}
		return err
	}))
	if out := fmt.Sprintf("%v %s", a, a); strings.Contains(out, fmt.Sprint(a.Pieces[0].Key[0], a.Pieces[0].Key[1])) || strings.Contains(out, Name(a.Pieces[0].Key)) {
		t.Fatalf("a file prints its keys: %s", out)
	}
}

func TestOnlyThePieceOfThatIDIsTaken(t *testing.T) {
	s := open(t, Options{})
	b := []byte("sealed bytes")
	id := sha256.Sum256(b)
	wantFault(t, s.Put(id, []byte("other bytes")), fault.Invalid, "fault.chunks.wrong_piece")
	big := make([]byte, MaxSealed+1)
	wantFault(t, s.Put(sha256.Sum256(big), big), fault.Invalid, "fault.chunks.wrong_piece")
	must(t, s.Put(id, b))
	must(t, s.Put(id, b))
	if st := s.Stats(); st.Held != 1 {
		t.Fatal(st)
	}
	wantFault(t, func() error { _, err := s.Get(ID{}); return err }(), fault.NotFound, "fault.chunks.not_here")
}

// Every way a piece can go bad on the disk: it is set aside and wanted before
// everything else, and a good one takes its place.
func TestRotIsSetAsideAndWanted(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"a bit":   func(p string) error { b, _ := os.ReadFile(p); b[len(b)/2] ^= 4; return os.WriteFile(p, b, 0o600) },
		"its end": func(p string) error { return os.Truncate(p, 40) },
		"all":     func(p string) error { return os.Truncate(p, 0) },
		"longer":  func(p string) error { return os.WriteFile(p, make([]byte, MaxSealed+100), 0o600) },
		"missing": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{})
			plain := content(PieceSize+100, 1)
			f, sealed, err := Cut(plain, "")
			must(t, err)
			for i, p := range f.Pieces {
				must(t, s.Put(p.ID, sealed[i]))
			}
			s.Need(9, ID{1}) // something else is lacking, too
			must(t, harm(s.path(f.Pieces[0].ID)))
			bad, err := s.Scrub(context.Background())
			if err != nil || len(bad) != 1 || bad[0] != f.Pieces[0].ID {
				t.Fatalf("%v %v", bad, err)
			}
			_, err = s.Load(f)
			wantFault(t, err, fault.NotFound, "fault.chunks.not_here")
			if w := s.Wanted(5, noSkip); len(w) != 2 || w[0] != f.Pieces[0].ID || s.Stats().Rotten != 1 {
				t.Fatal(w)
			}
			s = open(t, Options{Dir: s.dir}) // it is not taken for good after a restart
			if s.Has(f.Pieces[0].ID) || !s.Has(f.Pieces[1].ID) {
				t.Fatal("held")
			}
			must(t, s.Put(f.Pieces[0].ID, sealed[0]))
			got, err := s.Load(f)
			if err != nil || !bytes.Equal(got, plain) {
				t.Fatal(err)
			}
			if _, err := os.Stat(s.badPath(f.Pieces[0].ID)); !errors.Is(err, fs.ErrNotExist) {
				t.Fatal("the bad one is kept")
			}
		})
	}
}

// A disk that does not answer says nothing of the piece: it is neither lost nor wanted.
func TestABusyDiskIsNoRot(t *testing.T) {
	failing := filestest.NewFailing(files.OS())
	s := open(t, Options{Files: failing})
	f, err := s.Save(content(100, 2), "")
	must(t, err)
	failing.Arm(1, filestest.Fault{Err: syscall.EMFILE, Lasting: true, Reads: true})
	_, err = s.Load(f)
	wantFault(t, err, fault.Unavailable, "fault.chunks.files")
	failing.Disarm()
	if _, err := s.Load(f); err != nil || len(s.Wanted(1, noSkip)) != 0 {
		t.Fatal(err)
	}
	failing.Arm(1, filestest.Fault{Err: syscall.EIO, Lasting: true, Reads: true})
	_, err = s.Load(f)
	wantFault(t, err, fault.NotFound, "fault.chunks.not_here")
	failing.Disarm()
	if w := s.Wanted(1, noSkip); len(w) != 1 {
		t.Fatal("a sector that is lost is not asked for")
	}
}

// Whatever operation fails, an answer is a clean fault and nothing is half there; the
// next try works.
func TestEveryOperationMayFail(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		for k := 1; ; k++ {
			failing := filestest.NewFailing(files.OS())
			s := open(t, Options{Files: failing})
			plain := content(PieceSize+10, 3)
			failing.Arm(k, filestest.Fault{Err: cause, Short: true})
			id, f, err := s.Upload(plain, "")
			what, hits := failing.Hit()
			failing.Disarm()
			if hits == 0 {
				if k < 15 {
					t.Fatalf("only %d operations", k)
				}
				break
			}
			switch class := fault.ClassOf(err); {
			case err == nil && !strings.HasPrefix(what, "remove"):
				t.Fatalf("%d %s: no fault", k, what)
			case cause == syscall.ENOSPC && err != nil && class != fault.Full, cause == syscall.EIO && err != nil && class != fault.Unavailable:
				t.Fatalf("%d %s: %v", k, what, err)
			}
			again := open(t, Options{Dir: s.dir})
			if bad, err := again.Scrub(context.Background()); err != nil || len(bad) > 0 {
				t.Fatalf("%d %s: %d half written", k, what, len(bad))
			}
			if err != nil {
				id, f, err = s.Upload(plain, "")
				must(t, err)
			}
			if got, err := s.Load(f); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("%d %s: %v", k, what, err)
			}
			if _, err := s.Uploaded(id); err != nil {
				t.Fatalf("%d %s: %v", k, what, err)
			}
		}
	}
}

// The power goes after any operation: what was answered is there.
func TestWhatPutAnsweredSurvivesAnyCut(t *testing.T) {
	for cut := 0; ; cut++ {
		root := t.TempDir()
		must(t, os.Mkdir(filepath.Join(root, "chunks"), 0o700))
		lossy, err := filestest.NewLossy(root)
		must(t, err)
		s := open(t, Options{Dir: filepath.Join(root, "chunks"), Files: lossy})
		lossy.CutAfter(cut)
		type told struct {
			id    string
			f     File
			plain []byte
		}
		var answered []told
		for i := range 3 {
			plain := content(300+i, byte(i))
			if id, f, err := s.Upload(plain, ""); err == nil {
				answered = append(answered, told{id, f, plain})
			}
		}
		for seed := range uint64(4) {
			after := filepath.Join(t.TempDir(), "after")
			must(t, lossy.Crash(seed, after))
			again := open(t, Options{Dir: filepath.Join(after, "chunks")})
			for i, a := range answered {
				f, err := again.Uploaded(a.id)
				if err != nil {
					t.Fatalf("cut %d seed %d: upload %d of %d: %v", cut, seed, i, len(answered), err)
				}
				if got, err := again.Load(f); err != nil || !bytes.Equal(got, a.plain) {
					t.Fatalf("cut %d seed %d: %v", cut, seed, err)
				}
			}
			if bad, err := again.Scrub(context.Background()); err != nil || len(bad) > 0 {
				t.Fatalf("cut %d seed %d: %d torn pieces are held", cut, seed, len(bad))
			}
		}
		if len(answered) == 3 {
			if cut < 20 {
				t.Fatalf("only %d operations", cut)
			}
			return
		}
	}
}

func TestNoRoomForPhotosComesFirst(t *testing.T) {
	free := uint64(minFree + 1000)
	s := open(t, Options{FreeSpace: func() (uint64, error) { return free, nil }})
	_, err := s.Save(content(100, 1), "")
	must(t, err)
	free = minFree + 50
	_, err = s.Save(content(100, 2), "")
	wantFault(t, err, fault.Full, "fault.chunks.no_room")
	if s.Stats().Held != 1 {
		t.Fatal("taken in all the same")
	}
	free = 1 << 40
	_, err = s.Save(content(100, 2), "")
	must(t, err)
	s.free = func() (uint64, error) { return 0, errors.New("cannot say") }
	_, err = s.Save(content(100, 3), "")
	must(t, err)
}

func TestTheNewestIsWantedFirst(t *testing.T) {
	s := open(t, Options{})
	s.Need(5, ID{5})
	s.Need(9, ID{9}, ID{8})
	s.Need(0, ID{1})
	s.Need(7, ID{7})
	s.Need(3, ID{7}) // an older record names it, too
	if got := s.Wanted(10, noSkip); len(got) != 5 || got[0][0] < 8 || got[1][0] < 8 || got[2][0] != 7 || got[3][0] != 5 || got[4][0] != 1 {
		t.Fatal(got)
	}
	if got := s.Wanted(2, func(id ID) bool { return id[0] > 6 }); len(got) != 2 || got[0][0] != 5 {
		t.Fatal(got)
	}
	f, sealed, err := Cut([]byte("x"), "")
	must(t, err)
	s.Need(100, f.Pieces[0].ID)
	must(t, s.Put(f.Pieces[0].ID, sealed[0]))
	s.Need(101, f.Pieces[0].ID)
	if got := s.Wanted(10, noSkip); len(got) != 5 || s.Stats().Lacking != 5 {
		t.Fatal(got)
	}
}

// What nobody names goes by running time alone, counted across restarts; what somebody
// names, what waits in an upload, and everything while the views do not answer stays.
func TestOnlyWhatNobodyNamesGoes(t *testing.T) {
	dir := t.TempDir()
	named := map[ID]bool{}
	var silent error
	start := func() *Store {
		s := open(t, Options{Dir: dir})
		s.SetNamed(func(id ID) (bool, error) { return named[id], silent })
		return s
	}
	s := start()
	kept, err := s.Save([]byte("kept"), "")
	must(t, err)
	lost, err := s.Save([]byte("replaced"), "")
	must(t, err)
	up, upload, err := s.Upload([]byte("given up"), "")
	must(t, err)
	used, usedFile, err := s.Upload([]byte("used, and the box fell before it was settled"), "")
	must(t, err)
	named[kept.Pieces[0].ID], named[usedFile.Pieces[0].ID] = true, true
	s.Need(1, ID{9}) // lacking, and nobody names it any more
	ran := func(hours int) {
		t.Helper()
		for range hours {
			must(t, s.Sweep(time.Hour))
		}
	}
	ran(23)
	if _, err := s.Uploaded(up); err != nil || !s.Whole(upload) {
		t.Fatal("an upload went before its day was over")
	}
	if _, err := s.Uploaded(used); err == nil {
		t.Fatal("a used upload is still there")
	}
	s = start() // switched off over night
	s.Need(1, ID{9})
	ran(1)
	if _, err := s.Uploaded(up); err == nil || s.Whole(upload) {
		t.Fatal("an upload that was given up stays")
	}
	if !s.Whole(lost) || !s.Whole(kept) || !s.Whole(usedFile) {
		t.Fatal("gone too soon")
	}
	silent = errors.New("the views do not answer")
	if err := s.Sweep(1000 * time.Hour); err == nil || !s.Whole(lost) {
		t.Fatal("deleted without being told to")
	}
	silent = nil
	s = start()
	s.Need(1, ID{9})
	ran(71)
	if !s.Whole(lost) {
		t.Fatal("gone while an erasure could still be taken back")
	}
	ran(1)
	if s.Whole(lost) || !s.Whole(kept) || !s.Whole(usedFile) {
		t.Fatal("the wrong ones went")
	}
	if left := s.Wanted(5, noSkip); len(left) != 0 {
		t.Fatal(left)
	}
	if _, err := os.Stat(s.path(lost.Pieces[0].ID)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("still on the disk")
	}
	s.Drop(kept.IDs()...)
	if s.Whole(kept) {
		t.Fatal("not dropped")
	}
}

// Whose pieces they were outlives a restart between the hour in which a person is
// hidden and the one in which they are erased for good; who comes back keeps them.
func TestWhatTheErasedLeftIsDropped(t *testing.T) {
	dir := t.TempDir()
	named := map[ID]bool{}
	start := func() *Store {
		s := open(t, Options{Dir: dir})
		s.SetNamed(func(id ID) (bool, error) { return named[id], nil })
		return s
	}
	s := start()
	a, err := s.Save([]byte("erased"), "")
	must(t, err)
	b, err := s.Save([]byte("hidden for a while"), "")
	must(t, err)
	c, err := s.Save([]byte("nobody's"), "")
	must(t, err)
	must(t, s.Leave("anna", a.IDs()...))
	must(t, s.Leave("bo", b.IDs()...))
	s = start()
	must(t, s.Sweep(time.Hour))
	named[b.Pieces[0].ID] = true
	s = start()
	must(t, s.Sweep(time.Hour))
	s = start()
	s.DropOf("anna")
	s.DropOf("bo")
	if s.Whole(a) || !s.Whole(b) || !s.Whole(c) {
		t.Fatal("the wrong ones went")
	}
}

func TestUploadsAreSealedAndBound(t *testing.T) {
	s := open(t, Options{StorageKey: [32]byte{7}})
	id, f, err := s.Upload([]byte("somebody"), "image/jpeg")
	must(t, err)
	got, err := s.Uploaded(id)
	if err != nil || got.Pieces[0] != f.Pieces[0] || got.Type != "image/jpeg" {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(s.uploadPath(id))
	must(t, err)
	if key := f.Pieces[0].Key; bytes.Contains(raw, key[:]) {
		t.Fatal("the key lies there in the open")
	}
	other := strings.Repeat("ab", 16)
	must(t, os.WriteFile(s.uploadPath(other), raw, 0o600))
	for _, bad := range []string{other, "", "..", "../idle", strings.ToUpper(id), id + "/"} {
		if _, err := s.Uploaded(bad); fault.ClassOf(err) != fault.NotFound {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := open(t, Options{Dir: s.dir}).Uploaded(id); err == nil {
		t.Error("opened under another storage key")
	}
	s.Settle(id)
	if _, err := s.Uploaded(id); err == nil {
		t.Error("settled and still there")
	}
}

func TestAWrongOpIsNoPhoto(t *testing.T) {
	s := open(t, Options{})
	f, err := s.Save(content(1000, 1), "")
	must(t, err)
	for name, harm := range map[string]func(*File){
		"key":     func(f *File) { f.Pieces[0].Key[0]++ },
		"size":    func(f *File) { f.Size++ },
		"sum":     func(f *File) { f.Sum[0]++ },
		"part":    func(f *File) { f.Pieces[0].Size-- },
		"endless": func(f *File) { f.Size = 1 << 60 },
		"many":    func(f *File) { f.Pieces = make([]Piece, 1000) },
	} {
		bad := f
		bad.Pieces = append([]Piece(nil), f.Pieces...)
		harm(&bad)
		if _, err := s.Load(bad); fault.ClassOf(err) != fault.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	s := open(b, Options{})
	plain := content(PieceSize, 1)
	b.SetBytes(PieceSize)
	for b.Loop() {
		if _, err := s.Save(plain, ""); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	s := open(b, Options{})
	f, err := s.Save(content(PieceSize, 1), "")
	must(b, err)
	b.SetBytes(PieceSize)
	for b.Loop() {
		if _, err := s.Load(f); err != nil {
			b.Fatal(err)
		}
	}
}

func TestLacks(t *testing.T) {
	s, err := Open(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	sealed := []byte("a piece")
	id := sha256.Sum256(sealed)
	if s.Lacks(id) {
		t.Fatal("nobody asked for it")
	}
	if s.Need(1, id); !s.Lacks(id) {
		t.Fatal("a record names it, and it is not here")
	}
	if err := s.Put(id, sealed); err != nil || s.Lacks(id) {
		t.Fatalf("it is here: %v", err)
	}
}
