package sealed

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/staff"
)

var update = flag.Bool("update", false, "write the golden files again; a change of them is a change of the format")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".hex")
	var lines strings.Builder
	for b := range slices.Chunk(got, 32) {
		lines.WriteString(hex.EncodeToString(b) + "\n")
	}
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(lines.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != lines.String() {
		t.Errorf("%s differs:\n%s", name, lines.String())
	}
}

// author is somebody with a hand.
type author struct {
	staff.Worker
	key ed25519.PrivateKey
}

func newAuthor(t testing.TB, role staff.Role) author {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := author{key: priv}
	a.ID, a.Role, a.Sign = oplog.NewBy(), role, [32]byte(pub)
	a.Seal = [32]byte(private(newKey()).PublicKey().Bytes())
	return a
}

func (a author) hand(msg []byte) ([]byte, bool) {
	return ed25519.Sign(a.key, append([]byte("waypost/staff-signature/1"), msg...)), true
}

func testBinder() binder { return binder{[16]byte{1, 1}, oplog.ID{2, 2}} }

// The bytes of format version 1: what is signed, what names an epoch, what opens a slot.
func TestGoldenRecordAndEpoch(t *testing.T) {
	b, k := testBinder(), key(bytes.Repeat([]byte{7}, 32))
	r := record{
		Narrow: staff.NarrowChild, Kind: kindNoted, Version: 1, By: staff.ID{9}, At: 1780315200, Unsure: true, Clock: 12, Seen: [][16]byte{{5}},
		Key: b.keyID(k), Body: encode(noted{Text: "text", Due: 1780315300}), Group: []staff.ID{{9}}, Older: []key{{3}},
	}
	golden(t, "record", encode(r))
	golden(t, "message", b.message(encode(r)))
	e := epochBegun{Narrow: staff.NarrowChild, Epoch: 2, Seal: [32]byte{1}, Sign: [32]byte{2}, Officers: [32]byte{3}, Staff: []staff.ID{{4}}, Before: [32]byte{5}, ForOfficers: []byte{6}, By: staff.ID{7}}
	h := e.hash()
	golden(t, "epoch", slices.Concat(encode(e), h[:], e.message([16]byte{1, 1})))
	p := pairOf(k)
	one, two := p.publicSeal(), p.publicSign()
	ek, sk, id := b.entryKey(k), b.slotKey([]byte{1}, []byte{2}, []byte{3}), b.keyID(k)
	golden(t, "keys", slices.Concat(one[:], two[:], ek[:], sk[:], id[:]))
}

func TestEntriesHaveFourSizesAndTellNothingElse(t *testing.T) {
	b, k := testBinder(), newKey()
	mine, other := private(newKey()), private(newKey())
	seen := map[int]bool{}
	for _, n := range []int{0, 1, 100, 700, 760, 3000, 4000, 15000, 16300, 60000, room(4)} {
		for _, to := range [][][32]byte{nil, {pub(other)}, {pub(other), pub(mine)}, manyKeys(7, mine), manyKeys(15, mine)} {
			content := bytes.Repeat([]byte{0xA5}, min(n, room(16)))
			raw, err := b.seal(k, content, to)
			if err != nil || !slices.Contains(oplog.SealedSizes(), len(raw)) {
				t.Fatalf("%d bytes to %d: %d, %v", n, len(to), len(raw), err)
			}
			seen[len(raw)] = true
			e, ok := parseEntry(raw)
			if !ok {
				t.Fatal("cannot be taken apart")
			}
			if got, ok := b.open(e, k); !ok || !bytes.Equal(got, content) {
				t.Fatal("another content")
			}
			if got, ok := b.given(e, mine); ok != (len(to) > 1) || ok && got != k {
				t.Fatalf("given to %d: %v", len(to), ok)
			}
			if _, ok := b.given(e, private(newKey())); ok {
				t.Fatal("given to somebody else")
			}
			if _, ok := b.open(e, newKey()); ok {
				t.Fatal("opens with another key")
			}
			if _, ok := (binder{b.deployment, oplog.ID{3}}).open(e, k); ok {
				t.Fatal("opens in another file")
			}
			if bytes.Contains(raw, content[:min(len(content), 8)]) && n > 0 && n >= 8 {
				t.Fatal("lies there readable")
			}
		}
	}
	if len(seen) != 4 {
		t.Errorf("sizes %v", seen)
	}
	if _, err := b.seal(k, make([]byte, room(4)+1), nil); err == nil {
		t.Error("too much is taken")
	}
	if _, err := b.seal(k, nil, manyKeys(17, mine)); err == nil {
		t.Error("too many are taken")
	}
}

func pub(k *ecdh.PrivateKey) [32]byte { return [32]byte(k.PublicKey().Bytes()) }

// manyKeys are n, the last of which is mine.
func manyKeys(n int, mine *ecdh.PrivateKey) (out [][32]byte) {
	for range n - 1 {
		out = append(out, pub(private(newKey())))
	}
	return append(out, pub(mine))
}

// What somebody with a key, but not the right to it, writes into a file is left out.
func TestWhatNobodyMayHaveWrittenIsLeftOut(t *testing.T) {
	b := testBinder()
	mina, noor, clerk, stranger := newAuthor(t, staff.Caseworker), newAuthor(t, staff.Caseworker), newAuthor(t, staff.Registrar), newAuthor(t, staff.Caseworker)
	who := people{mina.ID: mina.Worker, noor.ID: noor.Worker, clerk.ID: clerk.Worker}
	k, k2 := newKey(), newKey()
	say := func(by author, kind string, clock uint64, body any, change ...func(*record)) unsealed {
		r := record{Narrow: staff.NarrowProtection, Kind: kind, Version: entryVersion, By: by.ID, At: 1, Clock: clock, Seen: [][16]byte{}, Key: b.keyID(k), Body: encode(body)}
		for _, c := range change {
			c(&r)
		}
		content, _ := b.sign(r, by.hand)
		return unsealed{content, k}
	}
	base := []unsealed{say(mina, kindOpened, 1, opened{}, func(r *record) { r.Group = []staff.ID{mina.ID} }), say(mina, kindNoted, 2, noted{Text: "hers"})}
	unsigned, _ := b.sign(record{Narrow: staff.NarrowProtection, Kind: kindNoted, Version: 1, By: mina.ID, Clock: 3, Seen: [][16]byte{}, Key: b.keyID(k), Body: encode(noted{Text: "x"})}, nil)
	takenEarly, _ := b.sign(record{Narrow: staff.NarrowProtection, Kind: kindTakenIn, Version: 1, By: mina.ID, Clock: 0, Seen: [][16]byte{}, Key: b.keyID(k), Body: encode(takenIn{Note: "x"})}, nil)
	other := binder{b.deployment, oplog.ID{9}}
	elsewhere, _ := other.sign(record{Narrow: staff.NarrowProtection, Kind: kindNoted, Version: 1, By: mina.ID, Clock: 3, Seen: [][16]byte{}, Key: b.keyID(k), Body: encode(noted{Text: "x"})}, mina.hand)
	inHerName := say(noor, kindNoted, 3, noted{Text: "x"}, func(r *record) { r.By = mina.ID })
	bad := map[string]unsealed{
		"unsigned":                 {unsigned, k},
		"passed on before it":      {takenEarly, k},
		"of another file":          {elsewhere, k},
		"under another key":        {base[1].content, k2},
		"in her name":              inHerName,
		"by a stranger":            say(stranger, kindNoted, 3, noted{Text: "x"}),
		"by a registrar":           say(clerk, kindNoted, 3, noted{Text: "x"}),
		"opened twice":             say(noor, kindOpened, 3, opened{}),
		"assigned by an outsider":  say(noor, kindAssigned, 3, assigned{Who: noor.ID}),
		"assigned to a registrar":  say(mina, kindAssigned, 3, assigned{Who: clerk.ID}),
		"taken off by an outsider": say(noor, kindUnassigned, 3, assigned{Who: mina.ID}),
		"of another compartment":   say(mina, kindNoted, 3, noted{Text: "x"}, func(r *record) { r.Narrow = staff.NarrowChild }),
		"of another version":       say(mina, kindNoted, 3, noted{Text: "x"}, func(r *record) { r.Version = 2 }),
		"too far a clock":          say(mina, kindNoted, farClock, noted{Text: "x"}),
		"another body":             say(mina, kindNoted, 3, []int{1}),
		"marked by nobody":         say(mina, kindMarked, 3, marked{Request: glassRequest{Narrow: staff.NarrowProtection, To: noor.ID}}),
		"nothing":                  {nil, k},
		"spelled otherwise":        {append(bytes.Clone(base[1].content), 0), k},
	}
	never := judge{func(marked, staff.ID) bool { return false }, func(handedOver) bool { return false }}
	want := b.fold(base, who, never)
	if want.dropped != 0 || len(want.entries) != 2 || !want.members[mina.ID] || !want.first {
		t.Fatalf("%+v", want)
	}
	for name, u := range bad {
		for _, in := range [][]unsealed{append(slices.Clone(base), u), append([]unsealed{u}, base...)} {
			f := b.fold(in, who, never)
			if f.dropped != 1 || len(f.entries) != 2 || !slices.Equal(groupOf(f.members), []staff.ID{mina.ID}) || f.entries[1].id != want.entries[1].id {
				t.Errorf("%s: %d dropped, %d entries, %v", name, f.dropped, len(f.entries), groupOf(f.members))
			}
		}
	}
	// The same entry twice is one: its log parted, or lost it.
	if f := b.fold(append(slices.Clone(base), base[1]), who, never); len(f.entries) != 2 || f.dropped != 0 {
		t.Errorf("%d entries", len(f.entries))
	}
	// Alone, none of them is a file.
	for name, u := range bad {
		if f := b.fold([]unsealed{u}, who, never); f.first && name != "passed on before it" && name != "opened twice" {
			t.Errorf("%s begins a file", name)
		}
	}
}

func TestAnyTwoSharesMakeTheKey(t *testing.T) {
	public, shares, err := newOfficers(5)
	if err != nil {
		t.Fatal(err)
	}
	for i := range shares {
		for j := range shares {
			k, err := join(public, shares[i], shares[j])
			if (err == nil) != (i != j) || err == nil && [32]byte(k.PublicKey().Bytes()) != public {
				t.Errorf("%d and %d: %v", i, j, err)
			}
		}
	}
	wrong := shares[0]
	wrong.Value = bytes.Clone(wrong.Value)
	wrong.Value[0] ^= 1
	_, foreign, _ := newOfficers(2)
	for name, s := range map[string]share{"changed": wrong, "of another key": foreign[0], "none": {}, "short": {Index: 1, Value: []byte{1}}} {
		if _, err := join(public, s, shares[1]); err == nil {
			t.Error(name)
		}
	}
}

func TestFactsDoNotDependOnOrder(t *testing.T) {
	n := staff.NarrowChild
	e := epochBegun{Narrow: n, Epoch: 1, Staff: []staff.ID{}, Seal: [32]byte{1}, Word: []byte{1}}
	f := e
	f.Epoch, f.Before = 2, e.hash()
	big := e
	big.Word = make([]byte, 5000)
	a, b := oplog.NewID(), oplog.NewID()
	fact := func(node int, k oplog.Kind, who oplog.ID, body any) oplogtest.Fact {
		return oplogtest.Fact{Node: node, Kind: k, Subject: who, Body: body}
	}
	entry := make([]byte, 1024)
	oplogtest.CheckOrder(t, Views(),
		fact(0, epochBegunKind, subjectOf(n), e), fact(1, epochBegunKind, subjectOf(n), f), fact(2, epochBegunKind, subjectOf(n), f),
		fact(1, epochBegunKind, subjectOf(n), big), fact(2, epochBegunKind, a, e), fact(0, seedGivenKind, a, seedGiven{Epoch: e.hash(), Sealed: []byte{1}}),
		fact(1, seedGivenKind, a, seedGiven{Epoch: e.hash(), Sealed: []byte{2}}), fact(2, shareGivenKind, b, shareGiven{Sealed: []byte{3}}),
		fact(0, glassBrokenKind, b, glassBroken{First: []byte{1}}), fact(1, glassBrokenKind, b, glassBroken{First: []byte{2}}),
		fact(0, fileHandedKind, b, fileHanded{First: []byte{1}}), fact(2, fileHandedKind, b, fileHanded{First: []byte{2}}), fact(1, fileHandedKind, b, fileHanded{First: make([]byte, 3000)}),
		fact(2, oplog.Sealed, a, entry), fact(0, oplog.Sealed, a, entry), fact(1, oplog.Sealed, b, entry),
	)
}

// FuzzEntry: no bytes make a file of themselves, or end the program.
func FuzzEntry(f *testing.F) {
	b, k := testBinder(), key{7}
	mine := private(key{8})
	raw, err := b.seal(k, []byte("content"), [][32]byte{[32]byte(mine.PublicKey().Bytes())})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(encode(signedRecord{Record: encode(record{Narrow: "child", Kind: kindNoted, Version: 1, Seen: [][16]byte{}, Body: encode(noted{})})}))
	f.Add(encode(list{Version: 1}))
	f.Add(encode(epochRow{Clock: 3, Body: epochBegun{Narrow: "child"}}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		padded := make([]byte, 1024)
		copy(padded, raw)
		for _, try := range [][]byte{raw, padded} {
			if e, ok := parseEntry(try); ok {
				_, _ = b.given(e, mine)
				_, _ = b.open(e, k)
			}
			_, _, _ = b.openAll([][]byte{try, try}, nil, []key{k})
		}
		if file := b.fold([]unsealed{{raw, k}}, people{}, judge{func(marked, staff.ID) bool { return true }, func(handedOver) bool { return true }}); file.first && !file.intake {
			t.Fatal("a file that nobody signed")
		}
		_ = olderIn(raw)
		if plain, ok := unpad(raw); ok {
			_ = decode(plain, newList())
		}
		var row epochRow
		_ = decode(raw, &row)
	})
}

// rowsOf answers with rows of entries.
type rowsOf struct {
	oplog.Reader
	rows []oplog.Ref
}

func (r rowsOf) Rows(_ *oplog.View, prefix, after []byte, fn func([]byte, oplog.ID, []byte) error) error {
	slices.SortFunc(r.rows, func(a, b oplog.Ref) int { return bytes.Compare(entryKey(a), entryKey(b)) })
	for _, ref := range r.rows {
		k, subject := entryKey(ref), oplog.ID{byte(ref.Seq)}
		if !bytes.HasPrefix(k, prefix) || bytes.Compare(append(bytes.Clone(k), subject[:]...), after) <= 0 {
			continue
		}
		if err := fn(k, subject, nil); err != nil {
			return nil //nolint:nilerr // the end of the walk
		}
	}
	return nil
}

// What is new is found by reading on; what came back below where the list had stopped, by
// looking at everything.
func TestWhatTheListHasNotSeen(t *testing.T) {
	a, b := oplog.LogID{1}, oplog.LogID{9}
	l := newList()
	look := func(whole bool, want []byte, refs ...oplog.Ref) {
		t.Helper()
		changed, err := changedSince(rowsOf{rows: refs}, l, whole)
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for id := range changed {
			got = append(got, id[0])
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%v instead of %v", got, want)
		}
	}
	one, three, seven, other := oplog.Ref{Log: a, Seq: 1}, oplog.Ref{Log: a, Seq: 3}, oplog.Ref{Log: a, Seq: 7}, oplog.Ref{Log: b, Seq: 2}
	look(true, []byte{1, 7}, one, seven)
	look(false, nil, one, seven)
	look(false, []byte{2}, one, seven, other)
	look(false, nil, one, three, seven, other) // it came back below
	look(true, []byte{1, 3, 7}, one, three, seven, other)
	look(true, nil, one, three, seven, other)
	look(false, []byte{5, 8}, one, three, seven, other, oplog.Ref{Log: oplog.LogID{5}, Seq: 5}, oplog.Ref{Log: b, Seq: 8})
}

// Somebody who was taken off has the key that what waited was under: saying that they take
// it, and had seen nothing, lets them in no more.
func TestWhoWasTakenOffDoesNotTakeIt(t *testing.T) {
	b := testBinder()
	mina, noor, bilal := newAuthor(t, staff.Caseworker), newAuthor(t, staff.Caseworker), newAuthor(t, staff.Caseworker)
	who := people{mina.ID: mina.Worker, noor.ID: noor.Worker, bilal.ID: bilal.Worker}
	k := newKey()
	say := func(by author, kind string, clock uint64, body any, seen ...[16]byte) (unsealed, [16]byte) {
		r := record{Narrow: staff.NarrowChild, Kind: kind, Version: entryVersion, By: by.ID, At: 1, Clock: clock, Seen: append([][16]byte{}, seen...), Key: b.keyID(k), Body: encode(body)}
		hand := by.hand
		if kind == kindTakenIn {
			hand = nil
		}
		content, _ := b.sign(r, hand)
		return unsealed{content, k}, b.entryID(encode(r))
	}
	in, first := say(mina, kindTakenIn, 1, takenIn{Note: "x"})
	took, second := say(mina, kindAssigned, 2, assigned{Who: mina.ID}, first)
	added, third := say(mina, kindAssigned, 3, assigned{Who: noor.ID}, second)
	off, _ := say(mina, kindUnassigned, 4, assigned{Who: noor.ID}, third)
	again, _ := say(noor, kindAssigned, 2, assigned{Who: noor.ID}, first)
	late, _ := say(bilal, kindAssigned, 5, assigned{Who: bilal.ID}, second)
	apart, _ := say(bilal, kindAssigned, 2, assigned{Who: bilal.ID}, first)
	never := judge{func(marked, staff.ID) bool { return false }, func(handedOver) bool { return false }}
	for name, x := range map[string]struct {
		entry unsealed
		in    bool
		who   author
	}{"taken off": {again, false, noor}, "saw it": {late, false, bilal}, "at once": {apart, true, bilal}} {
		f := b.fold([]unsealed{in, took, added, off, x.entry}, who, never)
		if f.members[x.who.ID] != x.in || !f.members[mina.ID] {
			t.Errorf("%s: %v", name, f.members)
		}
	}
	gone := mina.Worker
	gone.Off = true
	if f := b.fold([]unsealed{in, apart, took}, people{mina.ID: gone, bilal.ID: bilal.Worker}, never); f.dropped > 1 {
		t.Error("too much is left out")
	}
}
