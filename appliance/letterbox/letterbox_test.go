package letterbox

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/files/filestest"
)

var update = flag.Bool("update", false, "write the golden files")

var night = time.Date(2026, 11, 30, 3, 0, 0, 0, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testKey(t testing.TB, secret byte) Key {
	t.Helper()
	k, err := NewKey([16]byte{1, 2, 3}, [10]byte{4, 5, 6}, [32]byte{secret})
	must(t, err)
	return k
}

func ready(t testing.TB, fsys files.FS, dir string) (*Box, Key) {
	t.Helper()
	k := testKey(t, 7)
	_, err := Ready(fsys, dir, k)
	must(t, err)
	b, err := Open(fsys, dir, clock.NewFake(night))
	must(t, err)
	return b, k
}

// put leaves n letters with bodies "0", "1" and so on.
func put(t testing.TB, b *Box, n int) {
	t.Helper()
	for i := range n {
		number, again, err := b.Put(Household, fmt.Sprint("form", i), fmt.Append(nil, i), false)
		if err != nil || again || number != uint64(i+1) { //nolint:gosec // small
			t.Fatal(number, again, err)
		}
	}
}

// all reads and destroys what waits.
func all(t testing.TB, p *Pile) (out []Letter) {
	t.Helper()
	names, err := p.Names()
	must(t, err)
	for _, name := range names {
		l, err := p.Read(name)
		must(t, err)
		out = append(out, l)
		must(t, p.Done(name))
	}
	return out
}

func TestLettersComeOutInTheirOrder(t *testing.T) {
	dir := t.TempDir()
	b, k := ready(t, files.OS(), dir)
	put(t, b, 12)
	if b.Waiting() != 12 {
		t.Fatal(b.Waiting())
	}
	again, err := Open(files.OS(), dir, clock.NewFake(night))
	must(t, err)
	if n, there, err := again.Put(Household, "form3", []byte("3"), false); n != 4 || !there || err != nil {
		t.Fatal("a form sent twice, over a restart:", n, there, err)
	}
	if n, there, err := again.Put(Household, "form3", []byte("changed"), false); n != 13 || there || err != nil {
		t.Fatal("a form that was changed:", n, there, err)
	}
	letters := all(t, Empty(files.OS(), dir, k))
	for i, l := range letters[:12] {
		if string(l.Body) != fmt.Sprint(i) || l.Number != uint64(i+1) || !l.At.Equal(night) || l.Unsure || l.Kind != Household { //nolint:gosec // small
			t.Errorf("%d: %+v", i, l)
		}
	}
	if names, err := Empty(files.OS(), dir, k).Names(); len(letters) != 13 || len(names) != 0 || err != nil {
		t.Fatal(len(letters), names, err)
	}
}

func TestOnlyTheBoxReads(t *testing.T) {
	dir := t.TempDir()
	b, _ := ready(t, files.OS(), dir)
	long := []byte(strings.Repeat("Rosa Ixchel ", 300))
	for i, body := range [][]byte{[]byte("Rosa Ixchel"), long, {}} {
		if _, _, err := b.Put(Household, fmt.Sprint(i), body, false); err != nil {
			t.Fatal(err)
		}
	}
	sizes := map[int64]bool{}
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if bytes.Contains(raw, []byte("Rosa")) {
			t.Errorf("%s says who is in it", path)
		}
		if _, _, ok := parseFileName(d.Name()); ok {
			sizes[int64(len(raw))] = true
		}
		return err
	}))
	if len(sizes) != 1 {
		t.Errorf("the lengths tell letters apart: %v", sizes)
	}
	thief := Empty(files.OS(), dir, testKey(t, 8))
	names, err := thief.Names()
	must(t, err)
	if l, err := thief.Read(names[0]); fault.ClassOf(err) != fault.Invalid {
		t.Fatal(l, err)
	}
}

// A letter is on the card when its number is told, whatever is cut after that; and what
// was cut in the middle does no harm.
func TestACutAtEveryStep(t *testing.T) {
	for cut := 0; ; cut++ {
		dir := t.TempDir()
		l, err := filestest.NewLossy(dir)
		must(t, err)
		b, k := ready(t, l, dir)
		put(t, b, 1)
		l.CutAfter(cut)
		_, _, err = b.Put(Household, "second", []byte("second"), false)
		for seed := range uint64(30) {
			to := filepath.Join(t.TempDir(), "cut")
			must(t, l.Crash(seed, to))
			after, openErr := Open(files.OS(), to, clock.NewFake(night))
			must(t, openErr)
			n, letters := after.Waiting(), all(t, Empty(files.OS(), to, k))
			if len(letters) != n || string(letters[0].Body) != "0" || err == nil && (n != 2 || string(letters[1].Body) != "second") {
				t.Fatalf("cut after %d: %d waiting, %d letters, put said %v", cut, n, len(letters), err)
			}
		}
		if err == nil {
			if cut < 4 {
				t.Fatalf("only %d operations", cut)
			}
			return
		}
	}
}

func TestAFullDiskIsSaid(t *testing.T) {
	dir := t.TempDir()
	f := filestest.NewFailing(files.OS())
	b, k := ready(t, f, dir)
	for step := 1; step <= 4; step++ {
		f.Arm(step, filestest.Fault{Err: syscall.ENOSPC, Short: true})
		if _, _, err := b.Put(Count, "x", []byte{byte(step)}, true); fault.Of(err).Key != "fault.letterbox.disk_full" {
			t.Fatal(step, err)
		}
	}
	f.Disarm()
	if _, _, err := b.Put(Count, "x", []byte("last"), true); err != nil {
		t.Fatal(err)
	}
	letters := all(t, Empty(f, dir, k))
	if string(letters[len(letters)-1].Body) != "last" {
		t.Fatalf("%+v", letters)
	}
}

func TestTheLetterboxIsBounded(t *testing.T) {
	dir := t.TempDir()
	b, _ := ready(t, files.OS(), dir)
	for i := range MaxLetters - keptForHere {
		b.numbers[ID{byte(i), byte(i >> 8), 1}] = 1 // as if they were there
	}
	full := fault.New(fault.Full, "fault.letterbox.full")
	if _, _, err := b.Put(Count, "", nil, false); !errors.Is(err, full) {
		t.Fatal("the network took the last places:", err)
	}
	if _, _, err := b.Put(Count, "", nil, true); err != nil {
		t.Fatal(err)
	}
	b.bytes = MaxBytes
	if _, _, err := b.Put(Count, "other", nil, true); !errors.Is(err, full) {
		t.Fatal(err)
	}
	if _, _, err := b.Put(Count, "", make([]byte, MaxBody+1), true); fault.ClassOf(err) != fault.TooLarge {
		t.Fatal(err)
	}
}

func TestBrokenLettersAreSetAside(t *testing.T) {
	dir := t.TempDir()
	b, k := ready(t, files.OS(), dir)
	put(t, b, 3)
	p := Empty(files.OS(), dir, k)
	names, err := p.Names()
	must(t, err)
	path := filepath.Join(dir, Folder, names[1])
	raw, err := os.ReadFile(path)
	must(t, err)
	raw[100] ^= 1
	must(t, os.WriteFile(path, raw, 0o600))
	if _, err := p.Read(names[1]); fault.Of(err).Key != "fault.letterbox.broken" {
		t.Fatal(err)
	}
	must(t, os.Rename(filepath.Join(dir, Folder, names[2]), filepath.Join(dir, Folder, strings.Replace(names[2], "003-", "004-", 1))))
	if _, err := p.Read(strings.Replace(names[2], "003-", "004-", 1)); fault.Of(err).Key != "fault.letterbox.broken" {
		t.Fatal("a letter under another's name:", err)
	}
	must(t, p.SetAside(names[1]))
	kept, err := os.ReadFile(filepath.Join(dir, Folder, asideName, names[1]))
	if err != nil || !bytes.Equal(kept, raw) {
		t.Fatal("it was not kept as it was:", err)
	}
	if aside := Aside(files.OS(), dir); len(aside) != 1 || aside[0] != names[1] {
		t.Fatal(aside)
	}
}

// Half a write that nobody was told about is removed; other people's files stay.
func TestOpenTidiesUp(t *testing.T) {
	dir := t.TempDir()
	ready(t, files.OS(), dir)
	half, mine := filepath.Join(dir, Folder, fileName(9, ID{9})+".new"), filepath.Join(dir, Folder, "mine.new")
	must(t, os.WriteFile(half, nil, 0o600))
	must(t, os.WriteFile(mine, nil, 0o600))
	b, err := Open(files.OS(), dir, clock.NewFake(night))
	must(t, err)
	if _, err := os.Stat(half); !os.IsNotExist(err) || b.Waiting() != 0 {
		t.Fatal(err, b.Waiting())
	}
	if _, err := os.Stat(mine); err != nil {
		t.Fatal(err)
	}
}

func TestTheKeyIsKeptTwice(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(files.OS(), dir, clock.System()); fault.Of(err).Key != "fault.letterbox.none" {
		t.Fatal(err)
	}
	_, k := ready(t, files.OS(), dir)
	first := filepath.Join(dir, Folder, keyName)
	must(t, os.WriteFile(first, []byte("rot"), 0o600))
	b, err := Open(files.OS(), dir, clock.System())
	if err != nil || b.to != k.Address() {
		t.Fatal(err)
	}
	if foreign, err := Ready(files.OS(), dir, k); foreign || err != nil {
		t.Fatal(foreign, err)
	}
	other := testKey(t, 9)
	must(t, writeTwice(files.OS(), first, other.Address().Marshal()))
	if foreign, err := Ready(files.OS(), dir, k); !foreign || err != nil {
		t.Fatal("a key somebody put there was not noticed:", foreign, err)
	}
	must(t, os.WriteFile(first, nil, 0o600))
	must(t, os.WriteFile(first+".2", nil, 0o600))
	if _, err := Open(files.OS(), dir, clock.System()); fault.Of(err).Key != "fault.letterbox.damaged" {
		t.Fatal(err)
	}
}

func TestTrust(t *testing.T) {
	dir := t.TempDir()
	if _, ok := ReadTrust(files.OS(), dir); ok {
		t.Fatal("trust out of nothing")
	}
	want := Trust{Root: [32]byte{1}, Certs: [][]byte{{1, 2, 3}, make([]byte, 300)}}
	must(t, WriteTrust(files.OS(), dir, want))
	must(t, os.WriteFile(filepath.Join(dir, Folder, trustName), nil, 0o600))
	got, ok := ReadTrust(files.OS(), dir)
	if !ok || !bytes.Equal(got.Marshal(), want.Marshal()) {
		t.Fatal(ok, got)
	}
	must(t, WriteTrust(files.OS(), dir, want)) // mends the other copy
	if raw, err := os.ReadFile(filepath.Join(dir, Folder, trustName)); err != nil || !bytes.Equal(raw, want.Marshal()) {
		t.Fatal(err)
	}
}

// What lies on a card today must be read by every later version.
func TestGolden(t *testing.T) {
	k := testKey(t, 7)
	golden := func(name string, content []byte) []byte {
		path := filepath.Join("testdata", name)
		if *update {
			must(t, os.MkdirAll("testdata", 0o700))
			must(t, os.WriteFile(path, content, 0o600))
		}
		want, err := os.ReadFile(path)
		must(t, err)
		return want
	}
	if want := golden("key", k.Address().Marshal()); !bytes.Equal(want, k.Address().Marshal()) {
		t.Error("the key file is another one")
	}
	trust := Trust{Root: [32]byte{9}, Certs: [][]byte{{1, 2}, {3}}}
	if want := golden("trust", trust.Marshal()); !bytes.Equal(want, trust.Marshal()) {
		t.Error("the trust file is another one")
	}
	l := Letter{ID: idOf("form", Household, []byte("body")), Number: 3, Kind: Household, At: night, Unsure: true, Body: []byte("body")}
	fresh, err := seal(k.Address(), l)
	must(t, err)
	got, err := open(k, golden("letter", fresh))
	if err != nil || fmt.Sprint(got) != fmt.Sprint(l) {
		t.Errorf("%v %+v", err, got)
	}
	if l.ID.String() != "90a6aab507f7ef0b2d33305ac69722d6" && !*update {
		t.Errorf("the id is another one: %s", l.ID)
	}
}

func FuzzLetter(f *testing.F) {
	k := testKey(f, 7)
	sealed, err := seal(k.Address(), Letter{Number: 1, Kind: Count, At: night, Body: []byte("x")})
	must(f, err)
	f.Add(sealed)
	f.Add(encodePlain(Letter{Kind: Household, At: night, Body: []byte("body")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := open(k, b); err == nil && len(l.Body) > MaxBody {
			t.Fatal("too long")
		}
		l, err := decodePlain(b) // what a sender with the public key may put inside
		if err != nil {
			return
		}
		if again, err := decodePlain(encodePlain(l)); err != nil || fmt.Sprint(again) != fmt.Sprint(l) {
			t.Fatalf("%v: %+v became %+v", err, l, again)
		}
	})
}

func FuzzAddress(f *testing.F) {
	k := testKey(f, 7)
	f.Add(k.Address().Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := ParseAddress(b); err == nil && !bytes.Equal(a.Marshal(), b) {
			t.Fatal("two spellings")
		}
	})
}

func FuzzTrust(f *testing.F) {
	f.Add(Trust{Certs: [][]byte{{1}, {}}}.Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, err := ParseTrust(b); err == nil && !bytes.Equal(x.Marshal(), b) {
			t.Fatal("two spellings")
		}
	})
}

func BenchmarkPut(b *testing.B) {
	box, _ := ready(b, files.OS(), b.TempDir())
	body := bytes.Repeat([]byte("x"), 800)
	for i := 0; b.Loop(); i++ {
		if len(box.numbers) > 1000 {
			clear(box.numbers)
			box.bytes = 0
		}
		if _, _, err := box.Put(Household, fmt.Sprint(i), body, true); err != nil {
			b.Fatal(err)
		}
	}
}
