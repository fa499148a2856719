package letterbox

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/files/filestest"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

type said struct {
	Text string `cbor:"1,keyasint"`
}

var (
	saidKind = oplog.NewKind[said]("test.said", 1, oplog.Register)
	saidView = &oplog.View{Name: "Said", Version: 1, Kinds: []oplog.Kind{saidKind}, Fold: func(_ oplog.ID, ops []oplog.Op) []oplog.Row {
		return []oplog.Row{{Key: []byte(oplog.Body[said](ops[0]).Text), Value: []byte{1}}}
	}}
)

// writer is a neighbour with a journal.
func writer(t testing.TB, auth *oplogtest.Authority) *oplog.Log {
	t.Helper()
	return oplogtest.Node(t, auth, nil, []*oplog.View{saidView})
}

func say(t testing.TB, l *oplog.Log, texts ...string) {
	t.Helper()
	for _, text := range texts {
		must(t, l.Do(context.Background(), oplog.By{1}, func(tx *oplog.Tx) error {
			_, err := tx.Append(saidKind, oplog.NewID(), said{text})
			return err
		}))
	}
}

// batches are what l says of its own log, n ops each.
func batches(t testing.TB, l *oplog.Log, n int) (out [][]byte) {
	t.Helper()
	for after := uint64(0); ; {
		raw, last, err := l.Range(l.Own(), after, n, 1<<20)
		must(t, err)
		if len(raw) == 0 {
			return out
		}
		out, after = append(out, raw), last
	}
}

func headOf(heads []oplog.Head, log oplog.LogID) oplog.Head {
	for _, h := range heads {
		if h.Log == log {
			return h
		}
	}
	return oplog.Head{}
}

// lockedRecords is the records part of a locked box's letterbox.
func lockedRecords(t testing.TB, fsys files.FS, dir string, auth oplog.Authority, o RecordsOptions) (*Records, Key) {
	t.Helper()
	k, err := NewKey(auth.Deployment(), [10]byte{4, 5, 6}, [32]byte{7})
	must(t, err)
	_, err = Ready(fsys, dir, k)
	must(t, err)
	o.Born = auth.LogKey
	r, err := OpenRecords(fsys, dir, o)
	must(t, err)
	return r, k
}

func TestRecordsComeOutAsTheyWent(t *testing.T) {
	dir, auth := t.TempDir(), oplogtest.NewAuthority(t)
	a := writer(t, auth)
	say(t, a, "Rosa", "Ixchel", "Tomás")
	r, k := lockedRecords(t, files.OS(), dir, auth, RecordsOptions{})
	all := batches(t, a, 1)
	for range 2 { // twice: nothing new
		for _, b := range all {
			must(t, r.Put(b))
		}
	}
	head := headOf(a.Heads(), a.Own())
	if got := headOf(r.Heads(), a.Own()); got != head || r.Waiting() != head.Seq {
		t.Fatalf("%+v, want %+v; %d wait", got, head, r.Waiting())
	}
	// A box that is locked again before it was opened knows what it holds.
	again, err := OpenRecords(files.OS(), dir, RecordsOptions{Born: auth.LogKey})
	must(t, err)
	if got := headOf(again.Heads(), a.Own()); got != head || again.Waiting() != head.Seq {
		t.Fatalf("%+v, want %+v", got, head)
	}
	say(t, a, "Later")
	next := batches(t, a, 1)
	must(t, again.Put(next[len(next)-1]))
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, b := range next {
			if bytes.Contains(raw, b[60:90]) { // nothing of a batch, not even what it seals
				t.Errorf("%s holds a batch in the clear", path)
			}
		}
		return err
	}))
	b := writer(t, auth.Peer(t))
	pile := EmptyRecords(files.OS(), dir, k)
	names, err := pile.Names()
	must(t, err)
	for _, name := range names {
		raw, err := pile.Read(name)
		must(t, err)
		_, err = b.Merge(context.Background(), raw)
		must(t, err)
		must(t, pile.Done(name))
	}
	if left, _ := pile.Names(); len(names) != len(next) || len(left) != 0 || headOf(b.Heads(), a.Own()) != headOf(a.Heads(), a.Own()) {
		t.Fatal(len(names), left)
	}
}

// TestRubbishIsNoRecord: nothing that an honest neighbour would not send gets in.
func TestRubbishIsNoRecord(t *testing.T) {
	auth := oplogtest.NewAuthority(t)
	a, foreign := writer(t, auth), writer(t, oplogtest.NewAuthority(t))
	say(t, a, "one", "two", "three")
	say(t, foreign, "one")
	all := batches(t, a, 1)
	r, _ := lockedRecords(t, files.OS(), t.TempDir(), auth, RecordsOptions{})
	must(t, r.Put(all[0]))
	for i := range all[1] {
		bad := bytes.Clone(all[1])
		bad[i] ^= 0x20
		if err := r.Put(bad); err == nil && headOf(r.Heads(), a.Own()).Seq != 1 {
			t.Fatalf("byte %d changed, and it was taken in", i)
		}
	}
	for name, try := range map[string]struct {
		raw   []byte
		class fault.Class
	}{
		"a gap":      {all[2], fault.Conflict},
		"foreign":    {batches(t, foreign, 1)[0], fault.Denied},
		"empty":      {nil, fault.Invalid},
		"text":       {[]byte("WPB\x01 and so on"), fault.Invalid},
		"too long":   {append(bytes.Clone(all[1]), 0), fault.Invalid},
		"cut":        {all[1][:len(all[1])-1], fault.Invalid},
		"over limit": {append([]byte("WPB\x01"), make([]byte, 2<<20)...), fault.Invalid},
	} {
		if err := r.Put(try.raw); fault.ClassOf(err) != try.class {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r.Waiting() != 1 {
		t.Error(r.Waiting())
	}
}

// TestAnotherHistoryIsNotTakenIn: a log that was written twice is held as it came first.
func TestAnotherHistoryIsNotTakenIn(t *testing.T) {
	auth := oplogtest.NewAuthority(t)
	a := writer(t, auth)
	say(t, a, "one", "two")
	all := batches(t, a, 1)
	dir := t.TempDir()
	k, err := NewKey(auth.Deployment(), [10]byte{4, 5, 6}, [32]byte{7})
	must(t, err)
	_, err = Ready(files.OS(), dir, k)
	must(t, err)
	known := a.Known()[0]
	known.Seq, known.Hash = 1, [32]byte{9} // what the journal holds is another first op
	must(t, WriteKnown(files.OS(), dir, Known{Logs: []oplog.Known{known}}))
	r, err := OpenRecords(files.OS(), dir, RecordsOptions{Born: auth.LogKey})
	must(t, err)
	for _, raw := range all[1:] {
		if err := r.Put(raw); fault.ClassOf(err) != fault.Conflict {
			t.Error(err)
		}
	}
	both, _, err := a.Range(a.Own(), 0, 10, 1<<20)
	must(t, err)
	if err := r.Put(both); fault.ClassOf(err) != fault.Conflict {
		t.Error(err)
	}
}

func TestRecordsAreBounded(t *testing.T) {
	dir, auth := t.TempDir(), oplogtest.NewAuthority(t)
	a := writer(t, auth)
	say(t, a, "one", "two", "three")
	all := batches(t, a, 1)
	free := uint64(1 << 30)
	o := RecordsOptions{Most: 2, MinFree: 1 << 20, FreeSpace: func() (uint64, error) { return free, nil }}
	r, k := lockedRecords(t, files.OS(), dir, auth, o)
	must(t, r.Put(all[0]))
	free = 1 << 20
	if err := r.Put(all[1]); fault.ClassOf(err) != fault.Full || r.Full() {
		t.Error("a record is taken in where the disk is nearly full, or room for a small one is not seen:", err)
	}
	free = 1<<20 - 1
	if _ = r.Put(all[1]); !r.Full() {
		t.Error("a full disk is not full")
	}
	free = 1 << 30
	if r.Full() {
		t.Error("made room, and it is full")
	}
	must(t, r.Put(all[1]))
	if err := r.Put(all[2]); fault.ClassOf(err) != fault.Full || !r.Full() {
		t.Error(err)
	}
	pile := EmptyRecords(files.OS(), dir, k)
	if names, _ := pile.Names(); len(names) != 2 {
		t.Error(names)
	}
}

// TestARecordThatRots: is set aside, and asked for again.
func TestARecordThatRots(t *testing.T) {
	dir, auth := t.TempDir(), oplogtest.NewAuthority(t)
	a := writer(t, auth)
	say(t, a, "one", "two", "three")
	r, k := lockedRecords(t, files.OS(), dir, auth, RecordsOptions{})
	all := batches(t, a, 1)
	for _, b := range all {
		must(t, r.Put(b))
	}
	path := filepath.Join(dir, Folder, recordsFolder, recordName(2))
	raw, err := os.ReadFile(path)
	must(t, err)
	raw[recordHead+100] ^= 1
	must(t, os.WriteFile(path, raw, 0o600))
	if _, err := EmptyRecords(files.OS(), dir, k).Read(recordName(2)); fault.ClassOf(err) != fault.Invalid {
		t.Error(err)
	}
	r, err = OpenRecords(files.OS(), dir, RecordsOptions{Born: auth.LogKey})
	must(t, err)
	if got := headOf(r.Heads(), a.Own()); got.Seq != 1 || AsideRecords(files.OS(), dir) != 1 {
		t.Errorf("%+v, %d aside", got, AsideRecords(files.OS(), dir))
	}
	for _, b := range all[1:] { // what lies behind it is given once more, too
		must(t, r.Put(b))
	}
	if got := headOf(r.Heads(), a.Own()); got.Seq != uint64(len(all)) {
		t.Errorf("%+v", got)
	}
}

// TestRecordsSurviveAPowerCutAtEveryStep: what was acknowledged is there, whole, whenever
// the power fails; and a restart goes on from there.
func TestRecordsSurviveAPowerCutAtEveryStep(t *testing.T) {
	auth := oplogtest.NewAuthority(t)
	a := writer(t, auth)
	say(t, a, "one", "two", "three")
	all := batches(t, a, 1)
	k, err := NewKey(auth.Deployment(), [10]byte{4, 5, 6}, [32]byte{7})
	must(t, err)
	for step := 0; ; step++ {
		root := t.TempDir()
		l, err := filestest.NewLossy(root)
		must(t, err)
		_, err = Ready(l, root, k)
		must(t, err)
		r, err := OpenRecords(l, root, RecordsOptions{Born: auth.LogKey})
		must(t, err)
		l.CutAfter(step)
		kept := 0
		for _, b := range all {
			if r.Put(b) != nil {
				break
			}
			kept++
		}
		after := filepath.Join(t.TempDir(), "after")
		must(t, l.Crash(uint64(step), after)) //nolint:gosec // small
		again, err := OpenRecords(files.OS(), after, RecordsOptions{Born: auth.LogKey})
		must(t, err)
		if got := headOf(again.Heads(), a.Own()).Seq; got < uint64(kept) { //nolint:gosec // small
			t.Fatalf("step %d: %d of %d that were acknowledged", step, got, kept)
		}
		for _, b := range all {
			must(t, again.Put(b))
		}
		b := writer(t, auth.Peer(t))
		pile := EmptyRecords(files.OS(), after, k)
		names, err := pile.Names()
		must(t, err)
		for _, name := range names {
			raw, err := pile.Read(name)
			must(t, err)
			_, err = b.Merge(context.Background(), raw)
			must(t, err)
		}
		if headOf(b.Heads(), a.Own()) != headOf(a.Heads(), a.Own()) || AsideRecords(files.OS(), after) > 0 {
			t.Fatalf("step %d: not everything came out", step)
		}
		if kept == len(all) {
			return
		}
	}
}

// TestAPowerCutWhileRecordsAreMerged: each is there until it is in the journal.
func TestAPowerCutWhileRecordsAreMerged(t *testing.T) {
	auth := oplogtest.NewAuthority(t)
	a := writer(t, auth)
	say(t, a, "one", "two", "three")
	k, err := NewKey(auth.Deployment(), [10]byte{4, 5, 6}, [32]byte{7})
	must(t, err)
	for step := 0; ; step++ {
		root := t.TempDir()
		l, err := filestest.NewLossy(root)
		must(t, err)
		_, err = Ready(l, root, k)
		must(t, err)
		r, err := OpenRecords(l, root, RecordsOptions{Born: auth.LogKey})
		must(t, err)
		for _, b := range batches(t, a, 1) {
			must(t, r.Put(b))
		}
		b := writer(t, auth.Peer(t))
		empty := func(fsys files.FS, dir string) error {
			pile := EmptyRecords(fsys, dir, k)
			names, err := pile.Names()
			for _, name := range names {
				var raw []byte
				if raw, err = pile.Read(name); err != nil {
					if fault.ClassOf(err) == fault.Invalid && fsys != files.FS(l) { // half overwritten: it is in the journal
						err = pile.SetAside(name)
						continue
					}
					return err
				}
				if _, err = b.Merge(context.Background(), raw); err != nil {
					return err
				}
				if err = pile.Done(name); err != nil {
					return err
				}
			}
			return err
		}
		l.CutAfter(step)
		done := empty(l, root) == nil
		after := filepath.Join(t.TempDir(), "after")
		must(t, l.Crash(uint64(step), after)) //nolint:gosec // small
		must(t, empty(files.OS(), after))
		if headOf(b.Heads(), a.Own()) != headOf(a.Heads(), a.Own()) {
			t.Fatalf("step %d: a record was destroyed before it was merged", step)
		}
		if done {
			return
		}
	}
}

var goldenKnown = Known{
	Shut: [][10]byte{{1}, {2}},
	Logs: []oplog.Known{{Head: oplog.Head{Log: oplog.LogID{3}, Seq: 4, Hash: [32]byte{5}}, Key: ed25519.PublicKey(bytes.Repeat([]byte{6}, 32))}},
}

// TestRecordGolden: the bytes stay the bytes.
func TestRecordGolden(t *testing.T) {
	k := testKey(t, 7)
	batch := bytes.Repeat([]byte("batch "), 1000)
	o := outline{number: 3, log: oplog.LogID{1}, first: 5, last: 9, hash: [32]byte{2}, key: [32]byte{3}}
	golden := func(name string, made []byte) []byte {
		path := filepath.Join("testdata", name)
		if *update {
			must(t, os.WriteFile(path, made, 0o600))
		}
		raw, err := os.ReadFile(path)
		must(t, err)
		return raw
	}
	sealed, err := sealRecord(k.Address(), o, batch)
	must(t, err)
	raw := golden("record", sealed)
	if got, body, err := openRecord(k, raw); err != nil || got != o || !bytes.Equal(body, batch) || len(raw) != len(sealed) {
		t.Errorf("%+v %v", got, err)
	}
	locked := Locked{Seed: [32]byte{1}, Cert: []byte("certificate")}
	for name, made := range map[string][]byte{"known": goldenKnown.Marshal(), "locked": locked.Marshal()} {
		if !bytes.Equal(golden(name, made), made) {
			t.Errorf("%s: other bytes", name)
		}
	}
	if got, err := ParseLocked(locked.Marshal()); err != nil || fmt.Sprint(got) != fmt.Sprint(locked) {
		t.Error(got, err)
	}
	if got, err := ParseKnown(goldenKnown.Marshal()); err != nil || fmt.Sprint(got) != fmt.Sprint(goldenKnown) {
		t.Error(got, err)
	}
}

func TestLockedAndKnownAreKeptTwice(t *testing.T) {
	dir := t.TempDir()
	var l Locked
	_, _ = rand.Read(l.Seed[:])
	l.Cert = []byte("x")
	must(t, WriteLocked(files.OS(), dir, l))
	must(t, WriteKnown(files.OS(), dir, goldenKnown))
	for _, name := range []string{lockedName, knownName} {
		must(t, os.WriteFile(filepath.Join(dir, Folder, name), []byte("rot"), 0o600))
	}
	if got, ok := ReadLocked(files.OS(), dir); !ok || got.Seed != l.Seed {
		t.Error(got, ok)
	}
	if got := ShutOut(files.OS(), dir); len(got) != 2 {
		t.Error(got)
	}
	must(t, WriteLocked(files.OS(), dir, l))
	if raw, err := os.ReadFile(filepath.Join(dir, Folder, lockedName)); err != nil || !bytes.Equal(raw, l.Marshal()) {
		t.Error("the rotten copy stays", err)
	}
}

func FuzzRecord(f *testing.F) {
	k, err := NewKey([16]byte{1, 2, 3}, [10]byte{4, 5, 6}, [32]byte{7})
	if err != nil {
		f.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join("testdata", "record"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:recordHead])
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, err := openRecord(k, b); err == nil && !bytes.Equal(b, raw) {
			// Anybody can seal to a public key, so others open; they must be whole.
			if _, err := parseOutline(b); err != nil {
				t.Error(err)
			}
		} else if err != nil && !errors.Is(err, errRecord) {
			t.Error(err)
		}
	})
}

func FuzzKnown(f *testing.F) {
	f.Add(goldenKnown.Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := ParseKnown(b); err == nil && !bytes.Equal(k.Marshal(), b) {
			t.Error("two spellings")
		}
	})
}

func FuzzLocked(f *testing.F) {
	f.Add(Locked{Seed: [32]byte{1}, Cert: []byte("c")}.Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := ParseLocked(b); err == nil && !bytes.Equal(l.Marshal(), b) {
			t.Error("two spellings")
		}
	})
}
