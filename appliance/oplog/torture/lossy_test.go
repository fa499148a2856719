package torture

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/waypost/waypost/appliance/files/filestest"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// TestLossy writes, merges, restarts and loses its life or its power in the middle of
// any file operation, up to four times in a row, also while it opens. What was not flushed is
// dropped, torn at sectors and reordered. Every other box folds later what comes in bulk
// (oplog.Options.Later): a third of what it takes is late when it ends.
func TestLossy(t *testing.T) {
	r := newRow(t)
	r.each(runs(200, 5000), func(seed uint64) { r.lossy(seed, false) })
	if runs(200, 5000) >= 20 && lateLives.Load() == 0 {
		t.Error("nothing was ever late: Later is not tried here")
	}
}

// outage is one box on a bad disk.
type outage struct {
	r     *row
	seed  uint64
	rnd   *rand.Rand
	dir   string // holds one folder a life
	auth  *oplogtest.Authority
	disk  *filestest.Lossy
	l     *oplog.Log
	store oplog.Store // what the views hold
	old   oplog.Store // what they held some time ago
	peer  *oplog.Log
	m     *model
	n     int // texts written
	lives int
	lies  bool
}

// lossy plays one seed; it returns what the comparison at the end counted.
func (r *row) lossy(seed uint64, lies bool) tally {
	dir := filepath.Join(r.dir, "lossy")
	must(r.t, os.Mkdir(dir, 0o700))
	defer os.RemoveAll(dir)
	s := &outage{r: r, seed: seed, rnd: rand.New(rand.NewPCG(seed, 1)), dir: dir, m: newModel(), lies: lies}
	s.auth = oplogtest.NewAuthority(r.t)
	s.startPeer()
	defer func() { _ = s.peer.Close() }()
	must(r.t, os.Mkdir(s.life(), 0o700))
	s.open(oplogtest.MemStore(), 0)
	if s.seed%2 == 1 && s.l != nil && s.rnd.IntN(2) == 0 { // nobody has worked here yet
		_ = s.flood()
	}
	for cuts := 1 + s.rnd.IntN(4); cuts > 0; cuts-- {
		s.disk.CutAfter(s.rnd.IntN(150))
		for s.step() == nil {
		}
		if cuts > 1 && s.rnd.IntN(3) == 0 {
			s.kill()
		} else {
			s.crash(cuts > 1)
		}
	}
	y := s.settle()
	if s.l != nil {
		_ = s.l.Close()
	}
	return y
}

func (s *outage) life() string { return filepath.Join(s.dir, fmt.Sprint("life", s.lives)) }

func (s *outage) startPeer() {
	dir := filepath.Join(s.dir, "peer")
	must(s.r.t, os.Mkdir(dir, 0o700))
	disk, err := filestest.NewLossy(dir) // its flushes cost nothing
	must(s.r.t, err)
	o := options(s.r.t, s.auth.Peer(s.r.t), filepath.Join(dir, "journal"), oplogtest.MemStore())
	o.Files = disk
	s.peer, err = oplog.Open(ctx, o)
	must(s.r.t, err)
}

// open opens the present life's folder; the power goes after cut operations, if any.
func (s *outage) open(store oplog.Store, cut int) {
	disk, err := filestest.NewLossy(s.life())
	must(s.r.t, err)
	disk.Lie(s.lies)
	s.disk = disk
	if cut > 0 {
		disk.CutAfter(cut)
	}
	s.start(store)
}

// start opens the journal on the present disk; s.l is nil when the power went.
func (s *outage) start(store oplog.Store) {
	o := options(s.r.t, s.auth, filepath.Join(s.life(), "journal"), store)
	o.Files, o.Later = s.disk, s.seed%2 == 1
	var err error
	s.store, s.old = store, nil
	if s.l, err = oplog.Open(ctx, o); err != nil {
		s.l = nil
		if !errors.Is(err, filestest.ErrPower) && !s.lies {
			s.r.fail(s.seed, "life %d does not open: %v", s.lives, err)
		}
	}
}

func (s *outage) text() string { s.n++; return fmt.Sprintf("n%04d", s.n) }

// step does one thing; its error means the power is gone (or everything is).
func (s *outage) step() error {
	if s.l == nil {
		return filestest.ErrPower
	}
	switch n := s.rnd.IntN(20); {
	case n < 10:
		return write(s.l, s.m, nil, s.text())
	case n < 13:
		texts := make([]string, 2+s.rnd.IntN(5))
		for i := range texts {
			texts[i] = s.text()
		}
		return write(s.l, s.m, make([]byte, s.rnd.IntN(900)), texts...)
	case n < 14:
		pad := make([]byte, 20_000)
		for i := range pad {
			pad[i] = byte(s.rnd.Uint32())
		}
		return write(s.l, s.m, pad, s.text())
	case n < 15:
		return s.refused()
	case n < 16:
		return s.exchange()
	case n < 17:
		return s.flood()
	case n < 18:
		if s.old == nil {
			var err error
			s.old, err = copyStore(s.store)
			must(s.r.t, err)
		}
		return nil
	case n < 19:
		if err := s.l.Close(); err != nil {
			s.l = nil
			return err
		}
		s.start(s.store)
		if s.l == nil {
			return filestest.ErrPower
		}
		return nil
	}
	return s.peerWrites()
}

var errRefused = errors.New("refused")

// refused is a command that changes its mind: nobody may ever see its text.
func (s *outage) refused() error {
	err := s.l.Do(ctx, oplog.By{1}, func(tx *oplog.Tx) error {
		if _, err := tx.Append(notedKind, oplog.NewID(), noted{Text: "never"}); err != nil {
			return err
		}
		return errRefused
	})
	if errors.Is(err, errRefused) {
		return nil
	}
	return err
}

func (s *outage) peerWrites() error {
	must(s.r.t, write(s.peer, newModel(), nil, s.peerText()))
	return nil
}

// peerText is known to the model from the start; it is promised once it was merged.
func (s *outage) peerText() string { t := s.text(); s.m.send(t); return t }

// exchange lets both pull. What was merged without an error is promised from then on.
func (s *outage) exchange() error {
	forks, err := pull(s.l, s.peer, 7)
	if err == nil {
		err = s.fold()
	}
	if err == nil {
		all, serr := served(s.peer)
		must(s.r.t, serr)
		mine, serr := served(s.l)
		must(s.r.t, serr)
		for id, text := range all {
			s.m.ack(id, text)
			if mine[id] != text && !s.lies {
				s.r.fail(s.seed, "%s was merged and is not shown", text)
			}
		}
		var more []oplog.Fork
		more, err = pull(s.peer, s.l, 7)
		forks = append(forks, more...)
	}
	if len(forks) > 0 && !s.lies {
		s.r.fail(s.seed, "an exchange found forks: %v", forks)
	}
	if errors.Is(err, filestest.ErrPower) || err == nil || s.lies {
		return err
	}
	if s.l.Stats().ReadOnly {
		return err
	}
	s.r.fail(s.seed, "exchange: %v", err)
	return err
}

// flood has the peer write so many at once that they may be folded later, and takes them:
// from then on they are promised, shown or not.
func (s *outage) flood() error {
	texts := make([]string, 250)
	for i := range texts {
		texts[i] = s.peerText()
	}
	must(s.r.t, write(s.peer, newModel(), nil, texts...))
	forks, err := pull(s.l, s.peer, 1000)
	if len(forks) > 0 && !s.lies {
		s.r.fail(s.seed, "a flood found forks: %v", forks)
	}
	if err != nil {
		if !errors.Is(err, filestest.ErrPower) && !s.lies && !s.l.Stats().ReadOnly {
			s.r.fail(s.seed, "flood: %v", err)
		}
		return err
	}
	all, err := served(s.peer)
	must(s.r.t, err)
	for id, text := range all {
		s.m.ack(id, text)
	}
	if s.l.Late() {
		lateLives.Add(1)
	}
	return nil
}

// fold has what is late shown: a command sees everybody.
func (s *outage) fold() error {
	if !s.l.Late() {
		return nil
	}
	return s.l.Do(ctx, oplog.By{}, func(*oplog.Tx) error { return nil })
}

// lateLives counts floods that were put off.
var lateLives atomic.Int64

// kill ends the program only: the system keeps what it was given, and may still lose
// it with the power later.
func (s *outage) kill() {
	s.disk.CutAfter(0)
	if s.l != nil {
		_ = s.l.Close()
	}
	s.disk.CutAfter(-1)
	s.start(s.store)
}

// crash takes the power, makes the next life's folder, and opens it with views that
// are gone, old, or as they were.
func (s *outage) crash(more bool) {
	s.disk.CutAfter(0)
	if s.l != nil {
		_ = s.l.Close()
		s.l = nil
	}
	s.lives++
	must(s.r.t, s.disk.Crash(s.rnd.Uint64(), s.life()))
	store, err := oplogtest.MemStore(), error(nil)
	switch s.rnd.IntN(3) {
	case 0:
		store, err = copyStore(s.store)
	case 1:
		if s.old != nil {
			store = s.old
		}
	}
	must(s.r.t, err)
	cut := 0
	if more && s.rnd.IntN(2) == 0 {
		cut = 1 + s.rnd.IntN(12) // the power goes again while it opens
	}
	s.open(store, cut)
}

// settle compares the last life with the model, then shows that it works on.
func (s *outage) settle() tally {
	if s.l == nil {
		return tally{lost: len(s.m.promised())} // reported where it was opened
	}
	if st := s.l.Stats(); len(st.Problems)+len(st.Notes) > 0 && !s.lies {
		s.r.fail(s.seed, "a power cut is no damage: %v %v", st.Problems, st.Notes)
	}
	if err := s.fold(); err != nil && !s.lies {
		s.r.fail(s.seed, "what was late is not folded: %v", err)
	}
	all, err := served(s.l)
	must(s.r.t, err)
	y := s.m.compare(all)
	if s.lies {
		return y
	}
	s.r.add(y)
	if y.bad() {
		s.r.fail(s.seed, "life %d: %s", s.lives, y.detail())
	}
	if err := write(s.l, s.m, nil, s.text()); err != nil {
		s.r.fail(s.seed, "no writing after the cut: %v", err)
		return y
	}
	must(s.r.t, s.peerWrites())
	if s.exchange() == nil {
		oplogtest.Same(s.r.t, s.l, s.peer)
	}
	return y
}
