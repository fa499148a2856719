package oplog

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

var updateModel = flag.String("update-model", "",
	"train model2.bin again from this file of contents (registration, flag -write-contents); never after a release: its bytes are part of the format")

// modelSize is what model2.bin may take.
const modelSize = 56 << 10

// trainer counts what follows what.
type trainer struct {
	levels [3]map[uint32]*[256]uint32
}

func newTrainer() *trainer {
	t := &trainer{}
	for i := range t.levels {
		t.levels[i] = map[uint32]*[256]uint32{}
	}
	return t
}

func (t *trainer) learn(plain []byte) {
	w := walk{m: &model{}}
	for _, x := range plain {
		if w.space < spaces {
			full := uint32(w.space)<<16 | uint32(w.a)<<8 | uint32(w.b)
			for level, id := range []uint32{full & 0xff0000, full &^ 0xff00, full} {
				a := t.levels[level][id]
				if a == nil {
					a = new([256]uint32)
					t.levels[level][id] = a
				}
				a[x]++
			}
		}
		w.saw(x)
	}
}

// pairsOf are the weights of a context: the commonest byte has 255 at most, and what came
// less than three times is no habit.
func pairsOf(a *[256]uint32) (pairs []byte) {
	most := slices.Max(a[:])
	for b, n := range a {
		weight := n
		if most > 255 {
			weight = uint32(math.Round(float64(n) * 255 / float64(most)))
		}
		if n >= 3 && weight > 0 {
			pairs = append(pairs, byte(b), byte(weight))
		}
	}
	return pairs
}

// learned is a context of a level, and how many bits it saves on what it was learned from.
type learned struct {
	id    uint32
	pairs []byte
	gain  float64
}

// cost is how many bits a table takes for what was counted.
func cost(a *[256]uint32, t *symbols) (bits float64) {
	for b, n := range a {
		if n > 0 {
			bits += float64(n) * math.Log2(modelTotal/float64(t[b+1]-t[b]))
		}
	}
	return bits
}

// model writes what was learned: all contexts of no byte, and of the others those that
// save the most bits for a byte of the file.
func (t *trainer) model(size int) []byte {
	var out [3][]learned
	zero := map[uint32]*symbols{}
	for _, id := range slices.Sorted(maps.Keys(t.levels[0])) {
		p := pairsOf(t.levels[0][id])
		out[0] = append(out[0], learned{id, p, 0})
		zero[id], size = blend(p, blend(nil, nil)), size-len(p)-6
	}
	ones := map[uint32]*symbols{}
	for _, id := range slices.Sorted(maps.Keys(t.levels[1])) {
		a, behind := t.levels[1][id], zero[id&0xff0000]
		p := pairsOf(a)
		table := blend(p, behind)
		if cost(a, behind)-cost(a, table) > float64(40*len(p)) {
			out[1] = append(out[1], learned{id, p, 0})
			ones[id], size = table, size-len(p)-3
		}
	}
	for _, id := range slices.Sorted(maps.Keys(t.levels[2])) {
		a, behind := t.levels[2][id], ones[id&^0xff00]
		if behind == nil {
			behind = zero[id&0xff0000]
		}
		p := pairsOf(a)
		out[2] = append(out[2], learned{id, p, cost(a, behind) - cost(a, blend(p, behind))})
	}
	slices.SortStableFunc(out[2], func(x, y learned) int {
		return cmp.Compare(y.gain/float64(len(y.pairs)+3), x.gain/float64(len(x.pairs)+3))
	})
	for i, c := range out[2] {
		if size -= len(c.pairs) + 3; size < 0 || c.gain <= 0 {
			out[2] = out[2][:i]
			break
		}
	}
	slices.SortFunc(out[2], func(x, y learned) int { return cmp.Compare(x.id, y.id) })
	var raw []byte
	for _, level := range out {
		raw = binary.AppendUvarint(raw, uint64(len(level)))
		before := uint32(0)
		for _, c := range level {
			raw = binary.AppendUvarint(raw, uint64(c.id-before))
			raw = binary.AppendUvarint(raw, uint64(len(c.pairs)/2))
			raw, before = append(raw, c.pairs...), c.id
		}
	}
	return raw
}

// anyTime puts another second into a content, so that the model does not learn when it
// was trained: ten years from 2025 on.
func anyTime(t *testing.T, plain []byte, r *rand.Rand) []byte {
	t.Helper()
	c, err := decodeContent(plain)
	if err != nil {
		t.Fatal(err)
	}
	c.At = 1_735_689_600 + r.Int64N(315_000_000)
	out, err := encMode.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTheModel trains it when asked to. Nobody in what it learned from exists. It was made by
//
//	make_people: go run . --n 20000 --dup 0.1 --seed 8 --out pop --mix ara=40,fas=30,ukr=20,rus=8,som=14,rhg=10,spa=30,ckb=10,wol=8,yor=8,hti=10,vie=4,tur=6,tha=4
//	go test ./appliance/registration -run TestWriteContents -write-contents contents.json -contents-list pop/persons.csv
//	go test ./appliance/oplog -run TestTheModel -update-model contents.json
//
// so from names of the program's own (CC0), and from lists under MIT, Apache-2.0 and CC0; the
// Burmese and Ethiopian ones of make_people may not be built into a product and are left
// out. It keeps how often a byte follows two others, and no name.
func TestTheModel(t *testing.T) {
	if *updateModel == "" {
		sum := sha256.New()
		for i := range theModel().tables {
			_ = binary.Write(sum, binary.BigEndian, theModel().tables[i][:])
		}
		_ = binary.Write(sum, binary.BigEndian, theModel().of)
		if got := hex.EncodeToString(sum.Sum(nil)[:8]); got != modelTables {
			t.Errorf("the tables are other ones: %s", got)
		}
		return
	}
	raw, err := os.ReadFile(*updateModel)
	if err != nil {
		t.Fatal(err)
	}
	var contents [][]byte
	if err := json.Unmarshal(raw, &contents); err != nil {
		t.Fatal(err)
	}
	contents = append(contents, samplePayloads(6000, 1)...)
	r, taught := rand.New(rand.NewPCG(2, 2)), newTrainer()
	for _, plain := range contents {
		taught.learn(anyTime(t, plain, r))
	}
	m := taught.model(modelSize)
	if err := os.WriteFile("model2.bin", m, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d contents, %d bytes; run again without the flag", len(contents), len(m))
}

// modelTables is a hash of all tables and of which context has which.
const modelTables = "67b12e75aeb3654a"

// TestWhatIsSqueezedComesBack: contents as they are, and what is none.
func TestWhatIsSqueezedComesBack(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	cases := [][]byte{nil, {0}, {0xff}, bytes.Repeat([]byte{0xff}, 700), bytes.Repeat([]byte{0}, 700), {0x5b, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {0x7b, 255, 255, 255, 255, 255, 255, 255, 255, 9, 9}}
	for range 300 {
		b := make([]byte, r.IntN(900))
		for i := range b {
			b[i] = byte(r.IntN(256))
		}
		cases = append(cases, b)
	}
	plain, packed := 0, 0
	for _, p := range samplePayloads(2000, 9) {
		cases = append(cases, p, p[:r.IntN(len(p))])
		plain, packed = plain+len(p), packed+len(pack(nil, p, false))
	}
	for _, p := range cases {
		b := theModel().squeeze(nil, p)
		size, code, ok := squeezedSize(b)
		if !ok || size != uint64(len(p)) {
			t.Fatalf("%x: size %d", p, size)
		}
		if back, ok := theModel().unsqueeze(int(size), code); !ok || !bytes.Equal(back, p) {
			t.Fatalf("%x became %x", p, back)
		}
		if back, ok := theModel().unsqueeze(int(size), append(bytes.Clone(code), 7, 7, 7, 7, 7, 7, 7)); ok && len(p) > 0 && bytes.Equal(back, p) {
			t.Fatalf("%x: bytes behind the end are not seen", p)
		}
		if back, err := expand(pack(nil, p, false)); err != nil || !bytes.Equal(back, p) {
			t.Fatalf("%x: %v", p, err)
		}
	}
	t.Logf("mean content %d B, packed %d B", plain/2000, packed/2000)
	if packed*10 > plain*6 {
		t.Errorf("the model does not help: %d of %d bytes", packed, plain)
	}
}

// TestWhatSqueezesTooWellIsStored: nobody's payload opens to more than its size allows.
func TestWhatSqueezesTooWellIsStored(t *testing.T) {
	m := theModel()
	long := m.squeeze([]byte{formModel2}, bytes.Repeat([]byte{0x87}, 40000))
	if _, err := expand(long); !errors.Is(err, errSwells) && len(long) < 9000 {
		t.Error(err)
	}
	long = binary.AppendUvarint([]byte{formModel2, longSize}, MaxPayload)
	if _, err := expand(long); !errors.Is(err, errSwells) {
		t.Error(err)
	}
	if !errors.Is(swollen(long, len(long)), errSwells) {
		t.Error("it is not seen before it is opened")
	}
	for _, wrong := range [][]byte{{formModel2}, {formModel2, longSize}, {formModel2, longSize, 9}, binary.AppendUvarint([]byte{formModel2, longSize}, MaxPayload+1), {formModel2, 40, 255, 255, 255, 255, 255}} {
		if _, err := expand(wrong); !errors.Is(err, errPayload) {
			t.Errorf("%x: %v", wrong, err)
		}
	}
}

// TestASqueezeThatDoesNotComeBackIsNotWritten: a coder that goes wrong costs bytes and no record.
func TestASqueezeThatDoesNotComeBackIsNotWritten(t *testing.T) {
	plain := goldenPlain(t)
	bad := *theModel()
	bad.of = make([]uint16, len(bad.of)) // another model than the one it is read with
	packed := packWith(&bad, nil, plain, false)
	back, err := expand(packed)
	if err != nil || !bytes.Equal(back, plain) || packed[0] == formModel2 {
		t.Errorf("form %d, %v", packed[0], err)
	}
}

// TestGoldenSqueezed pins what a content is squeezed to: unlike a zstd frame there is one
// spelling only.
func TestGoldenSqueezed(t *testing.T) {
	plain := goldenPlain(t)
	squeezed := pack(nil, plain, false)
	golden(t, "squeezed", squeezed)
	if back, err := expand(squeezed); err != nil || !bytes.Equal(back, plain) {
		t.Error(err)
	}
}

// FuzzExpand: whatever a payload is, it opens to what it may or to nothing.
func FuzzExpand(f *testing.F) {
	for _, p := range samplePayloads(5, 3) {
		f.Add(pack(nil, p, false))
		f.Add(compress(nil, p, false))
	}
	f.Add([]byte{formModel2, longSize, 0x80, 0x02, 1, 2, 3})
	f.Fuzz(func(t *testing.T, raw []byte) {
		out, err := expand(raw)
		if err == nil && len(out) > max(maxExpanded(len(raw)), len(raw)) {
			t.Fatalf("%d bytes of %d", len(out), len(raw))
		}
		if errors.Is(err, errSwells) != errors.Is(swollen(raw, len(raw)), errSwells) {
			t.Fatal("what is said before opening and what opening says differ")
		}
		if back, err := expand(pack(nil, raw, false)); len(raw) <= MaxPayload && (err != nil || !bytes.Equal(back, raw)) {
			t.Fatal("it does not come back", err)
		}
	})
}
