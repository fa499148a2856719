package mesh

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

// memPieces is a double of chunks.Store: pieces in memory.
type memPieces struct {
	mu     sync.Mutex
	held   map[[32]byte][]byte
	wanted [][32]byte // the most wanted first
	stored [][32]byte // in the order they came
	asked  int        // calls of Get
	onGet  func(id [32]byte)
	fail   error // what Put answers
}

func newMemPieces(pieces ...[]byte) *memPieces {
	p := &memPieces{held: map[[32]byte][]byte{}}
	for _, b := range pieces {
		p.held[sha256.Sum256(b)] = b
	}
	return p
}

func withPieces(p *memPieces) nodeOption { return func(c *Config, _ *node) { c.Pieces = p } }

func (p *memPieces) Wanted(n int, skip func([32]byte) bool) (out [][32]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range p.wanted {
		if p.held[id] == nil && !skip(id) && len(out) < n {
			out = append(out, id)
		}
	}
	return out
}

func (p *memPieces) Get(id [32]byte) ([]byte, error) {
	p.mu.Lock()
	p.asked++
	b, on := p.held[id], p.onGet
	p.mu.Unlock()
	if on != nil {
		on(id)
	}
	if b == nil {
		return nil, fault.New(fault.NotFound, "fault.chunks.not_here")
	}
	return b, nil
}

func (p *memPieces) Put(id [32]byte, data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return p.fail
	}
	if p.held[id] == nil {
		p.stored = append(p.stored, id)
	}
	p.held[id] = data
	return nil
}

func (p *memPieces) want(ids ...[32]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = append(p.wanted, ids...)
}

func (p *memPieces) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// has reports whether all ids are held.
func (p *memPieces) has(ids ...[32]byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !slices.ContainsFunc(ids, func(id [32]byte) bool { return p.held[id] == nil })
}

// somePieces are n pieces of all lengths up to the longest, and their ids.
func somePieces(n int) (pieces [][]byte, ids [][32]byte) {
	for i := range n {
		b := bytes.Repeat([]byte{byte(i), byte(i >> 8), 7}, maxPiece)[:1+i*(maxPiece-1)/max(n-1, 1)]
		pieces, ids = append(pieces, b), append(ids, sha256.Sum256(b))
	}
	return pieces, ids
}

// The most wanted comes first, whole, in parts where it is long; and not before the
// records are level.
func TestPiecesFollowRecords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pieces, ids := somePieces(40)
	pa, pb := newMemPieces(pieces...), newMemPieces()
	pb.want(ids...)
	a := w.start(t, withPieces(pa))
	a.log.writeN(5000)
	b := w.start(t, withPieces(pb), seeded(a.addr))
	early := false
	pa.set(func() { pa.onGet = func([32]byte) { early = early || !same(a.log, b.log) } })
	wait(t, "b holds every piece", func() bool { return pb.has(ids...) })
	pa.mu.Lock()
	defer pa.mu.Unlock()
	pb.mu.Lock()
	defer pb.mu.Unlock()
	if early {
		t.Error("a piece was asked for while records were missing")
	}
	if !slices.Equal(pb.stored, ids) {
		t.Error("not in the order they were wanted")
	}
	for i, id := range ids {
		if !bytes.Equal(pb.held[id], pieces[i]) {
			t.Errorf("piece %d changed on its way", i)
		}
	}
	if pa.asked > 2*len(ids) {
		t.Errorf("%d pieces were read %d times", len(ids), pa.asked)
	}
}

// Who lacks a piece says so and the next is asked; what nobody holds is asked for ever
// more rarely; and when it turns up somewhere it comes from there.
func TestTheNextPeerIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pieces, ids := somePieces(30)
	pa, pb, pc := newMemPieces(pieces[:10]...), newMemPieces(pieces[10:20]...), newMemPieces()
	pc.want(ids...)
	a := w.start(t, withPieces(pa))
	b := w.start(t, withPieces(pb), seeded(a.addr))
	c := w.start(t, withPieces(pc), seeded(a.addr, b.addr))
	c.log.writeN(3)
	wait(t, "c has what a and b hold", func() bool { return pc.has(ids[:20]...) })
	asked := func() int { pa.mu.Lock(); defer pa.mu.Unlock(); return pa.asked }
	before := asked()
	clk := clock.System()
	for end := clk.Now().Add(1500 * time.Millisecond); clk.Now().Before(end); {
		<-clk.After(50 * time.Millisecond)
	}
	if n := asked() - before; n > 60 {
		t.Errorf("a was asked %d times for what it does not hold", n)
	}
	pb.set(func() { pb.held[ids[25]] = pieces[25] })
	wait(t, "what turned up comes", func() bool { return pc.has(ids[25]) })
}

// A piece that is not what it says is stored nowhere, and comes from somebody else.
func TestAWrongPieceIsNotStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pieces, ids := somePieces(4)
	liar, honest, pc := newMemPieces(), newMemPieces(), newMemPieces()
	for _, id := range ids {
		liar.held[id] = []byte("something else")
	}
	pc.want(ids...)
	a := w.start(t, withPieces(liar))
	b := w.start(t, withPieces(honest), seeded(a.addr))
	c := w.start(t, withPieces(pc), seeded(a.addr, b.addr))
	wait(t, "the liar was asked", func() bool { liar.mu.Lock(); defer liar.mu.Unlock(); return liar.asked > 0 })
	honest.set(func() {
		for i, id := range ids {
			honest.held[id] = pieces[i]
		}
	})
	wait(t, "all came", func() bool { return pc.has(ids...) })
	wait(t, "all are linked, the liar too", func() bool { return c.linked(a, b) })
	for i, id := range ids {
		if !bytes.Equal(pc.held[id], pieces[i]) {
			t.Errorf("piece %d is wrong", i)
		}
	}
}

// A node of before goes on exchanging records and is never sent the new frames, which
// would end the connection.
func TestANodeWithoutPiecesIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, ids := somePieces(3)
	pb := newMemPieces()
	pb.want(ids...)
	a := w.start(t)
	b := w.start(t, withPieces(pb), seeded(a.addr))
	a.log.writeN(300)
	b.log.writeN(20)
	wait(t, "records are level", func() bool { return same(a.log, b.log) })
	wait(t, "they are linked", func() bool { return b.linked(a) && a.linked(b) })
	b.mesh.mu.Lock()
	defer b.mesh.mu.Unlock()
	for _, l := range b.mesh.links {
		if l.pieces.speaks || l.pieces.nextID != 0 {
			t.Errorf("asked %d times", l.pieces.nextID)
		}
	}
}

// A node that cannot store pieces goes on with records, and takes pieces again when
// it can. So does one that was cut off in the middle.
func TestPiecesWaitAndRecordsDoNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pieces, ids := somePieces(12)
	pa, pb := newMemPieces(pieces...), newMemPieces()
	pb.fail = fault.New(fault.Full, "fault.chunks.no_room")
	pb.want(ids...)
	a, r := w.behind(t, withPieces(pa))
	b := w.start(t, withPieces(pb), seeded(a.addr))
	a.log.writeN(10)
	wait(t, "a was asked for a piece", func() bool { pa.mu.Lock(); defer pa.mu.Unlock(); return pa.asked > 0 })
	wait(t, "b found no room", func() bool {
		b.mesh.mu.Lock()
		defer b.mesh.mu.Unlock()
		return !b.mesh.piecePauseTo.IsZero()
	})
	a.log.writeN(500)
	wait(t, "records come all the same", func() bool { return same(a.log, b.log) })
	pb.set(func() { pb.fail = nil })
	wait(t, "the first piece is stored", func() bool { return pb.has(ids[0]) })
	r.cut()
	b.close()
	r.heal()
	b.again(withPieces(pb))
	wait(t, "all pieces are stored", func() bool { return pb.has(ids...) })
}

// A question that is not answered is given up without ending the link, and its answer
// may still come once; anything else is a broken protocol.
func TestALatePieceIsForgiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := Config{Vault: w.founder, Log: newMemLog(), Desk: &book{}, Clock: clock.NewFake(time.Unix(1e9, 0)), Listen: "127.0.0.1:0", Dir: t.TempDir(), Pieces: newMemPieces()}
	m, err := newMesh(c)
	if err != nil {
		t.Fatal(err)
	}
	defer m.cancel()
	m.stage = &machine{m: m, rnd: rand.New(rand.NewPCG(1, 2))}
	l := &link{m: m, out: newOutbox(func() {}), pieces: newPieceTraffic(), line: deadLine{t}}
	m.links = []*link{l}
	id := [32]byte{1}
	now := m.clock.Now()
	m.fetch(l, &piecePull{asks: [][32]byte{id}}, now)
	m.stuckPieces(now.Add(answerTime))
	if l.pieces.pull == nil {
		t.Fatal("given up too soon")
	}
	m.stuckPieces(now.Add(answerTime + 1))
	if l.pieces.pull != nil || m.piecePulls != 0 || len(m.pieceClaims) != 0 || l.pieces.shun[id] == nil {
		t.Fatal("not given up")
	}
	late := pieceFrame{id: 1, total: 3, data: []byte("abc")}
	if !m.tookPart(l, late) {
		t.Error("a late answer ended the link")
	}
	if m.tookPart(l, late) {
		t.Error("it may come again and again")
	}
	m.fetch(l, &piecePull{asks: [][32]byte{id}}, now)
	for what, f := range map[string]pieceFrame{
		"more than was asked for":  {id: 2, total: maxPiece, data: make([]byte, firstPart+1)},
		"more than its size":       {id: 2, total: 2, data: []byte("abc")},
		"a piece nobody asked for": {id: 2, index: 1, total: 3, data: []byte("abc")},
		"another question":         {id: 3, total: 3, data: []byte("abc")},
	} {
		if m.tookPart(l, f) {
			t.Errorf("%s is accepted", what)
		}
	}
}

func TestPartsLeaveLast(t *testing.T) {
	o := newOutbox(func() {})
	o.sendPart([]byte("part"), nil)
	o.sendBulk([]byte("bulk"), nil)
	o.tell(mark{seq: 1})
	o.send(ping{1})
	var got []byte
	for b, _ := o.next(); b != nil; b, _ = o.next() {
		got = append(got, b[0])
	}
	if !bytes.Equal(got, []byte{byte(kindPing), byte(kindHint), 'b', 'p'}) {
		t.Errorf("order %v", got)
	}
}

func TestFetchesAreBounded(t *testing.T) {
	ok := fetch{id: 1, length: 1, pieces: make([][32]byte, maxPieceAsks)}
	for what, f := range map[string]fetch{
		"":                     ok,
		"no piece":             {id: 1, length: 1},
		"too many":             {id: 1, length: 1, pieces: make([][32]byte, maxPieceAsks+1)},
		"no length":            {id: 1, pieces: ok.pieces},
		"an offset of several": {id: 1, offset: 1, length: 1, pieces: ok.pieces},
	} {
		if _, err := parse(kindFetch, f.append(nil)); (err == nil) != (what == "") || err != nil && !errors.Is(err, errFrame) {
			t.Errorf("%q: %v", what, err)
		}
	}
	if _, err := parse(kindPiece, pieceFrame{id: 1, index: 0, total: maxPiece + 1, data: []byte("x")}.append(nil)); err == nil {
		t.Error("a piece over its limit")
	}
}

// BenchmarkPieces is what two nodes of one machine move: pieces of 256 KB.
func BenchmarkPieces(b *testing.B) {
	w := newWorld(b)
	pa, pb := newMemPieces(), newMemPieces()
	a := w.start(b, withPieces(pa))
	n := w.start(b, withPieces(pb), seeded(a.addr))
	wait(b, "linked", func() bool { return n.linked(a) })
	var ids [][32]byte
	for i := range b.N {
		p := bytes.Repeat([]byte{byte(i), byte(i >> 8), byte(i >> 16), 9}, maxPiece/4)
		ids = append(ids, sha256.Sum256(p))
		pa.set(func() { pa.held[ids[i]] = p })
	}
	b.SetBytes(maxPiece)
	b.ResetTimer()
	pb.want(ids...)
	wait(b, "moved", func() bool { return pb.has(ids...) })
}

// deadLine is a line that nobody may end.
type deadLine struct{ t *testing.T }

func (deadLine) Wake()                   {}
func (d deadLine) Close()                { d.t.Error("the link was ended") }
func (deadLine) Remote() string          { return "" }
func (deadLine) Bytes() (in, out uint64) { return 0, 0 }
