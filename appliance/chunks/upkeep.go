package chunks

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/files"
)

// How the store looks after itself.
const (
	sweepEvery = 10 * time.Minute
	uploadMost = 24 * 60                // minutes of running time before an upload is given up
	idleMost   = 96 * 60                // … and before a piece that was named goes: later than the 72 hours in which an erasure is not final
	readEvery  = 500 * time.Millisecond // one piece: half a megabyte a second at most
	readAgain  = 24 * time.Hour         // between two rounds
	maxIdle    = 16 << 20               // bytes of the file of idle pieces
	idleFile   = "idle"
)

// SetNamed says how to ask whether an op names a piece. Without it nothing is ever
// swept away. named may read the disk and is called without a lock.
func (s *Store) SetNamed(named func(ID) (bool, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.named = named
}

// Upkeep sweeps and reads everything over and over, slowly, until ctx ends.
func (s *Store) Upkeep(ctx context.Context) {
	next := s.clock.After(sweepEvery)
	last := s.clock.Now()
	round := s.IDs()
	read := s.clock.After(readEvery)
	for {
		select {
		case <-ctx.Done():
			return
		case <-next:
			now := s.clock.Now()
			if err := s.Sweep(now.Sub(last)); err != nil {
				s.log.Warn("chunks: sweep", "err", err)
			}
			last, next = now, s.clock.After(sweepEvery)
		case <-read:
			wait := readEvery
			if len(round) > 0 {
				_, _ = s.Get(round[0]) // sets it aside when it is rotten
				round = round[1:]
			} else {
				round, wait = s.IDs(), readAgain
			}
			read = s.clock.After(wait)
		}
	}
}

// Scrub reads every piece and returns the ids of those that were damaged, which are
// set aside and wanted. It ends early with ctx.
func (s *Store) Scrub(ctx context.Context) ([]ID, error) {
	var bad []ID
	for _, id := range s.IDs() {
		if ctx.Err() != nil {
			return bad, ctx.Err()
		}
		if _, err := s.Get(id); err != nil && !s.Has(id) {
			bad = append(bad, id)
		} else if err != nil {
			return bad, err
		}
	}
	return bad, nil
}

// IDs are the pieces that are held, sorted.
func (s *Store) IDs() []ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Keys(s.held), func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
}

// idle is something that no op names.
type idle struct {
	minutes uint32 // of running time
	owner   string // whose it was, empty when that is not known; no name, an id
}

// Sweep looks for what no op names, notes that the node ran for another while, and
// deletes what was nobody's for long: uploads that were given up after a day of
// running time, photos that were replaced and pieces of people who were erased after
// four. How long is kept on the disk, so that a box that is switched off every evening
// gets there too; without that file counting starts again.
func (s *Store) Sweep(ran time.Duration) error {
	s.mu.Lock()
	named := s.named
	s.mu.Unlock()
	if named == nil {
		return nil
	}
	s.put.Lock()
	defer s.put.Unlock()
	minutes := uint32(max(ran/time.Minute, 0))
	now := map[string]idle{}
	waiting, err := s.sweepUploads(minutes, now, named)
	if err != nil {
		return err
	}
	if err := s.sweepPieces(minutes, now, waiting, named); err != nil {
		return err
	}
	if len(now) == 0 && len(s.idle) == 0 {
		return nil
	}
	s.idle = now
	return s.writeIdle()
}

// sweepUploads returns the pieces of uploads that may still be used: they live as long
// as the upload.
func (s *Store) sweepUploads(minutes uint32, now map[string]idle, named func(ID) (bool, error)) (map[ID]bool, error) {
	uploads, err := s.uploads()
	waiting := map[ID]bool{}
	for _, id := range uploads {
		age := s.idle[id+uploadEnd].minutes + minutes
		f, err := s.Uploaded(id)
		used := err == nil && s.anyNamed(f, named)
		if used || age >= uploadMost {
			s.Settle(id)
			if !used {
				s.drop(f.IDs()...) // nobody ever had them
			}
			continue
		}
		now[id+uploadEnd] = idle{minutes: age}
		for _, p := range f.Pieces {
			waiting[p.ID] = true
		}
	}
	return waiting, err
}

// anyNamed reports whether an op names an upload's pieces, because Settle did not come
// to it. When the views do not answer nothing is anybody's to delete.
func (s *Store) anyNamed(f File, named func(ID) (bool, error)) bool {
	return slices.ContainsFunc(f.Pieces, func(p Piece) bool { ok, err := named(p.ID); return ok || err != nil })
}

func (s *Store) sweepPieces(minutes uint32, now map[string]idle, waiting map[ID]bool, named func(ID) (bool, error)) error {
	s.mu.Lock()
	all := slices.Concat(slices.Collect(maps.Keys(s.held)), slices.Collect(maps.Keys(s.lacking)))
	s.mu.Unlock()
	for _, id := range all {
		ok, err := named(id)
		if err != nil {
			return err
		}
		if ok || waiting[id] {
			continue
		}
		was := s.idle[Name(id)]
		if was.minutes += minutes; was.minutes < idleMost {
			now[Name(id)] = was
			continue
		}
		s.drop(id)
	}
	return nil
}

// Leave notes whose pieces these were, because no op names them any more. It outlives
// a restart; DropOf deletes them, or Sweep in its time.
func (s *Store) Leave(owner string, ids ...ID) error {
	if len(ids) == 0 {
		return nil
	}
	s.put.Lock()
	defer s.put.Unlock()
	for _, id := range ids {
		was := s.idle[Name(id)]
		was.owner = owner
		s.idle[Name(id)] = was
	}
	return s.writeIdle()
}

// DropOf deletes what somebody who was erased has left, and what no op names since.
func (s *Store) DropOf(owner string) {
	s.put.Lock()
	defer s.put.Unlock()
	for name, was := range s.idle {
		if id, ok := idOf(name + pieceEnd); ok && was.owner == owner {
			s.drop(id)
			delete(s.idle, name)
		}
	}
}

func (s *Store) idlePath() string { return filepath.Join(s.dir, idleFile) }

func (s *Store) readIdle() map[string]idle {
	out := map[string]idle{}
	raw, err := files.Read(s.fs, s.idlePath(), maxIdle)
	if err != nil {
		return out
	}
	for line := bufio.NewScanner(bytes.NewReader(raw)); line.Scan(); {
		f := append(strings.Split(line.Text(), " "), "", "")
		if n, err := strconv.ParseUint(f[1], 10, 32); err == nil {
			out[f[0]] = idle{uint32(n), f[2]}
		}
	}
	return out
}

func (s *Store) writeIdle() error {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(s.idle)) {
		fmt.Fprintf(&b, "%s %d %s\n", name, s.idle[name].minutes, s.idle[name].owner)
	}
	return files.WriteAtomic(s.fs, s.idlePath(), b.Bytes(), 0o600)
}
