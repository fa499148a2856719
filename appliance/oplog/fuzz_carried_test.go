package oplog

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"reflect"
	"slices"
	"testing"
)

func TestGoldenCarried(t *testing.T) {
	c, err := decodeContent(goldenPlain(t))
	if err != nil {
		t.Fatal(err)
	}
	r := goldenRecord()
	plain, err := carried{
		Log: LogID(bytes.Repeat([]byte{0xA7}, 16)), Seq: 9, History: [8]byte(bytes.Repeat([]byte{0xB8}, 8)), Clock: r.clock,
		Supersedes: r.supersedes, Proof: [2][]byte{{0xC9}, {0xDA}},
	}.pack(&c)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "carried", plain)
	back, err := decodeContent(plain)
	if err != nil {
		t.Fatal(err)
	}
	if in := carriedIn(&back); in == nil || in.Kind != c.Kind || !bytes.Equal(in.Body, c.Body) || !slices.Equal(in.Supersedes, r.supersedes) {
		t.Errorf("%+v", in)
	}
}

// Of a witness the kind has another version, and all else is the same.
func TestGoldenWitnessed(t *testing.T) {
	c, err := decodeContent(goldenPlain(t))
	if err != nil {
		t.Fatal(err)
	}
	r := goldenRecord()
	plain, err := carried{
		Log: LogID(bytes.Repeat([]byte{0xA7}, 16)), Seq: 9, History: [8]byte(bytes.Repeat([]byte{0xB8}, 8)), Clock: r.clock,
		Supersedes: r.supersedes, Proof: [2][]byte{{0xC9}, {0xDA}}, version: witnessedVersion,
	}.pack(&c)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "witnessed", plain)
	back, err := decodeContent(plain)
	if err != nil {
		t.Fatal(err)
	}
	if in := carriedIn(&back); in == nil || in.version != witnessedVersion || in.Kind != c.Kind {
		t.Errorf("%+v", in)
	}
	again, err := encMode.Marshal(sealedAgain{Copy: 7, Log: LogID(bytes.Repeat([]byte{0xA7}, 16)), Seq: 9, Birth: []byte{0xC9}})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "sealed_again", again)
}

// What a thief says as a witness counts as little as it may: it moves nothing that is open,
// nothing that rests on who wrote it, nothing sealed, and nothing of a stranger's log.
func TestWhatNoWitnessMoves(t *testing.T) {
	kinds := []Kind{NewKind[struct{}]("a", 1, Register), NewKind[struct{}]("open", 1, Deployment), NewKind[struct{}]("bound", 1, Register).Bound(), Sealed}
	e, err := newEngine(kinds, nil)
	if err != nil {
		t.Fatal(err)
	}
	e.logKey = func(log LogID, _ []byte) (ed25519.PublicKey, error) {
		if log[0] == 0 {
			return nil, errors.New("nobody's")
		}
		return bytes.Repeat([]byte{log[0]}, 32), nil
	}
	for name, c := range map[string]struct {
		kind    string
		from    byte
		places  byte
		version uint
		open    bool
		ok      bool
	}{
		"of the register":        {"a", 5, 6, witnessedVersion, false, true},
		"as the owner would":     {"a", 5, 5, carriedVersion, false, false},
		"in the open":            {"a", 5, 6, witnessedVersion, true, false},
		"an open fact":           {"open", 5, 6, witnessedVersion, false, false},
		"bound to its writer":    {"bound", 5, 6, witnessedVersion, false, false},
		"a sealed one":           {"sealed", 5, 6, witnessedVersion, false, false},
		"of a stranger's log":    {"a", 0, 6, witnessedVersion, false, false},
		"by way of a stranger's": {"a", 5, 0, witnessedVersion, false, false},
		"another version":        {"a", 5, 6, witnessedVersion + 1, false, false},
	} {
		in := carried{Log: LogID{c.from}, Seq: 3, Clock: 4, Proof: [2][]byte{{1}, {1}}, Places: []place{{Log: LogID{c.places}, Seq: 2}}, version: c.version}
		plain, err := in.pack(&content{Kind: c.kind, Version: 1, Body: []byte{0xa0}})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := e.understand(&stored{ref: Ref{Log: LogID{9}, Seq: 8}, sealed: !c.open, plain: plain}); ok != c.ok {
			t.Errorf("%s: understood %v", name, ok)
		}
	}
}

// FuzzWitnessed: whatever a payload says, it is judged without harm, and never counts
// where the place that it names is held back.
func FuzzWitnessed(f *testing.F) {
	c := content{Kind: "a", Version: 1, Body: []byte{0xa0}}
	for _, version := range []uint{carriedVersion, witnessedVersion} {
		plain, err := carried{Log: LogID{5}, Seq: 3, Clock: 4, Proof: [2][]byte{{1}, {1}}, Places: []place{{Log: LogID{6}, Seq: 2}}, version: version}.pack(&c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plain, true)
	}
	body, err := encMode.Marshal(sealedAgain{Copy: 7, Log: LogID{5}, Seq: 9, Birth: []byte{1}})
	if err != nil {
		f.Fatal(err)
	}
	plain, err := encMode.Marshal(content{Kind: sealedAgainKind, Version: sealedAgainVersion, Body: body})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain, false)
	e, err := newEngine([]Kind{NewKind[struct{}]("a", 1, Register), Sealed}, nil)
	if err != nil {
		f.Fatal(err)
	}
	e.logKey = func(log LogID, _ []byte) (ed25519.PublicKey, error) { return bytes.Repeat([]byte{log[0]}, 32), nil }
	e.author = func(LogID) (ID, bool) { return ID{1}, true }
	var all Holding = holdsAllBut{ID{1}}
	e.hold.Store(&all)
	f.Fuzz(func(t *testing.T, plain []byte, sealed bool) {
		s := &stored{ref: Ref{Log: LogID{9}, Seq: 8}, subject: ID{2}, sealed: sealed, plain: plain}
		file := &stored{ref: Ref{Log: LogID{9}, Seq: 7}, subject: ID{2}, sealed: true, narrow: true}
		if in := s.witnessed(); in != nil && in.Seq > 1 && len(e.counting(all, []*stored{s})) > 0 {
			t.Fatalf("it counts: %+v", in)
		}
		if a := s.again(); a != nil && a.Copy == 7 && a.Seq > 1 && slices.Contains(e.counting(all, []*stored{file, s}), file) {
			t.Fatalf("the file counts: %+v", a)
		}
		e.judge(s)
		movedKeys([]*stored{s})
	})
}

// holdsAllBut holds back all ops but those of one node.
type holdsAllBut struct{ id ID }

func (h holdsAllBut) From(author ID, _ LogID) (uint64, bool) { return 1, author != h.id }
func (h holdsAllBut) Held(author ID, _ Ref) bool             { return author != h.id }
func (holdsAllBut) Digest() [8]byte                          { return [8]byte{1} }

// FuzzReunion: whatever was carried, by whom and how often, a subject's ops come out the
// same in any order, and no op that nobody moved is gone.
func FuzzReunion(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0, 2, 0, 1, 1, 1, 0, 0, 1, 2, 0, 1, 3, 1, 0, 0})
	f.Add([]byte{0, 1, 0, 0, 1, 1, 0, 0, 2, 1, 1, 0, 2, 1, 0, 1})
	f.Add([]byte{4, 1, 0, 0, 5, 1, 0, 0, 0, 1, 0, 0, 6, 1, 0, 3})
	f.Add([]byte{132, 1, 0, 0, 133, 1, 0, 0, 0, 1, 0, 0, 6, 1, 0, 3}) // by witnesses
	f.Add([]byte{132, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 5})
	e, err := newEngine([]Kind{NewKind[struct{}]("a", 1, Register)}, nil)
	if err != nil {
		f.Fatal(err)
	}
	// Logs 1 to 3 are one node's, all others strangers to each other.
	e.logKey = func(log LogID, _ []byte) (ed25519.PublicKey, error) {
		switch {
		case log[0] == 0:
			return nil, errors.New("nobody's")
		case log[0] <= 3:
			return bytes.Repeat([]byte{1}, 32), nil
		}
		return bytes.Repeat([]byte{log[0]}, 32), nil
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		ops := scripted(t, script)
		want := e.open(slices.Clone(ops))
		moved := map[Ref]bool{}
		for _, s := range ops {
			if in := carriedIn(s.content()); in != nil && e.proven(s, in) {
				moved[in.origin()] = true
			}
		}
		have := map[Ref]bool{}
		for _, op := range want {
			if have[op.Ref] {
				t.Fatalf("%v comes twice", op.Ref)
			}
			have[op.Ref] = true
		}
		for _, s := range ops {
			if s.content().Kind != carriedKind && !moved[s.ref] && !have[s.ref] {
				t.Fatalf("%v is gone, and nobody moved it", s.ref)
			}
		}
		slices.Reverse(ops)
		if got := e.open(ops); !reflect.DeepEqual(got, want) {
			t.Fatalf("another order, other ops:\n%v\n%v", got, want)
		}
	})
}

// scripted makes an op of every four bytes: who carries it or nobody, where it was, of
// which history, and what it takes the place of.
func scripted(t *testing.T, script []byte) (ops []*stored) {
	t.Helper()
	seen := map[Ref]bool{}
	for i := 0; len(script) >= 4 && i < 40; i, script = i+1, script[4:] {
		by, seq, history, over := script[0]%8, uint64(script[1]%6)+1, script[2]%3, script[3]
		c := content{Kind: "a", Version: 1, At: int64(history), Body: []byte{0xa0}}
		from := Ref{Log: LogID{1 + script[2]/64}, Seq: seq}
		var refs []Ref
		for k := over % 4; k > 0; k-- {
			refs = append(refs, Ref{Log: LogID{1 + over/4%6}, Seq: uint64(k)})
		}
		s := &stored{ref: from, clock: 10 + seq, supersedes: refs, sealed: true}
		plain, err := encMode.Marshal(c)
		if by > 0 {
			s.ref, s.clock, s.supersedes = Ref{Log: LogID{by}, Seq: 100 + uint64(i)}, 1000+uint64(i), nil
			in := carried{Log: from.Log, Seq: seq, History: [8]byte{history}, Clock: 10 + seq, Supersedes: refs, Proof: [2][]byte{{1}, {1}}}
			if k := script[2] / 4 % 8; k > 0 { // it was carried before, into a log that parted
				in.Places = []place{{Log: LogID{k % 4}, Seq: 100 + uint64(k), History: [8]byte{3 + k%2}, Birth: []byte{1}}}
			}
			if script[0] >= 128 {
				in.version = witnessedVersion
			}
			plain, err = in.pack(&c)
		}
		if err != nil {
			t.Fatal(err)
		}
		s.plain = plain
		if !seen[s.ref] {
			seen[s.ref] = true
			ops = append(ops, s)
		}
	}
	return ops
}
