package staff

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// EraseWait is how long a node runs between hearing of an erasure and destroying the
// payloads, unless an issuer signs before. It is running time: a box whose clock
// jumps, or that lies in a drawer, neither shortens nor lengthens it.
const EraseWait = 72 * time.Hour

// Steps of the keeper. What is counted is lost by at most one save when power goes,
// which makes the wait longer and never shorter.
const (
	keepStep  = time.Minute
	keepSaves = 10 // steps between two writes of the file
)

// keeper knows how long this node has been running since it heard of each erasure.
type keeper struct {
	file *identity.SealedFile
	log  *slog.Logger

	mu      sync.Mutex
	kept    keptErasures
	changed bool
	steps   int
	hooks   []func([]oplog.ID)
}

// keptErasures is the sealed file "erasures". Losing it starts every wait anew.
type keptErasures struct {
	Version uint          `cbor:"1,keyasint"`
	Running int64         `cbor:"2,keyasint"` // seconds this node has run, in all
	Known   []keptErasure `cbor:"3,keyasint"`
}

type keptErasure struct {
	Nonce [16]byte `cbor:"1,keyasint"`
	Node  oplog.ID `cbor:"2,keyasint"` // that wrote it; zero when it is not known
	Seen  int64    `cbor:"3,keyasint"` // Running when it was first seen here
	Over  bool     `cbor:"4,keyasint"` // it came above the cap
}

// maxKept bounds the file. Beyond it a further erasure waits for an issuer.
const maxKept = 4000

func newKeeper(file *identity.SealedFile) *keeper {
	k := &keeper{file: file, log: slog.New(slog.DiscardHandler)}
	raw, err := file.Read()
	var kept keptErasures
	// A file that cannot be read is as good as none: the waits begin again.
	if err == nil && decode(raw, &kept) == nil && kept.Version == 1 && kept.Running >= 0 && len(kept.Known) <= maxKept {
		k.kept = kept
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		k.changed = true
	}
	k.kept.Version = 1
	return k
}

// OnErased registers fn to be called with subjects whose payloads were destroyed,
// before this node says that it is done: whatever else is kept of them (photos,
// files) has to go now. It is called again when power went in between. Register
// before RunErasures.
func (d *Desk) OnErased(fn func(subjects []oplog.ID)) {
	d.keeper.mu.Lock()
	defer d.keeper.mu.Unlock()
	d.keeper.hooks = append(d.keeper.hooks, fn)
}

// RunErasures counts the running time and destroys what is due, until ctx ends. It
// looks every minute, and after every change of the journal. Sessions that nobody uses
// are laid to rest on the way, so that their keys do not wait for the next request.
func (d *Desk) RunErasures(ctx context.Context, logger *slog.Logger) {
	if logger != nil {
		d.keeper.log = logger
	}
	changes, stop := d.log.Watch()
	defer stop()
	d.eraseDue(ctx)
	step := d.clock.After(keepStep)
	for {
		select {
		case <-ctx.Done():
			d.keeper.save(true)
			return
		case <-changes:
			if d.keeper.worth(d.log.Gone()) {
				d.eraseDue(ctx)
			}
		case <-step:
			d.keeper.ran(keepStep)
			d.restIdle()
			d.eraseDue(ctx)
			step = d.clock.After(keepStep)
		}
	}
}

// worth reports whether anything changed that a look could find: most commits erase
// nobody.
func (k *keeper) worth(gone []oplog.Gone) bool {
	return slices.ContainsFunc(gone, func(g oplog.Gone) bool { return g.Erased && g.Kept > 0 && g.Final })
}

// ran adds running time.
func (k *keeper) ran(d time.Duration) {
	k.mu.Lock()
	k.kept.Running += int64(d / time.Second)
	k.changed = true
	k.steps++
	k.mu.Unlock()
	k.save(false)
}

// save writes the file when there is something new, at most every few steps.
func (k *keeper) save(now bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.changed || !now && k.steps < keepSaves {
		return
	}
	if err := k.file.Write(encode(k.kept)); err != nil {
		k.log.Warn("the waits of erasures could not be saved", "err", err)
		return
	}
	k.changed, k.steps = false, 0
}

// look notes erasures that are new here and forgets those that are over.
func (k *keeper) look(d *Desk) {
	var found []keptErasure
	err := d.log.View(func(r oplog.Reader) error {
		for _, g := range d.log.Gone() {
			if !g.Erased {
				continue
			}
			facts, err := d.standing(r, g.Subject)
			if err != nil {
				return err
			}
			for _, f := range facts {
				node, _ := d.author(f.row.Log)
				found = append(found, keptErasure{Nonce: f.row.Fact.Statement.Nonce, Node: node})
			}
		}
		return nil
	})
	if err != nil {
		return
	}
	k.mu.Lock()
	fresh := false
	for _, f := range found {
		if slices.ContainsFunc(k.kept.Known, func(o keptErasure) bool { return o.Nonce == f.Nonce }) || len(k.kept.Known) >= maxKept {
			continue
		}
		f.Seen, f.Over = k.kept.Running, k.count(f.Node) >= EraseCap
		k.kept.Known = append(k.kept.Known, f)
		k.changed, fresh = true, true
	}
	n := len(k.kept.Known)
	k.kept.Known = slices.DeleteFunc(k.kept.Known, func(o keptErasure) bool {
		over := !slices.ContainsFunc(found, func(f keptErasure) bool { return f.Nonce == o.Nonce })
		return over && k.kept.Running-o.Seen > int64(EraseCapTime/time.Second)
	})
	k.changed = k.changed || n != len(k.kept.Known)
	k.mu.Unlock()
	k.save(fresh)
}

// count is how many erasures of a node were new here within the time of the cap.
func (k *keeper) count(node oplog.ID) (n int) {
	for _, o := range k.kept.Known {
		if o.Node == node && k.kept.Running-o.Seen < int64(EraseCapTime/time.Second) {
			n++
		}
	}
	return n
}

// spent reports whether this node has erased as many as it may for now.
func (k *keeper) spent(d *Desk) bool {
	k.look(d)
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.count(d.node) >= EraseCap
}

// left is how long until the first of these may be acted on without an issuer, and
// whether all of them came above the cap.
func (k *keeper) left(statements []statement) (left time.Duration, over bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	left, over = EraseWait, true
	for _, s := range statements {
		i := slices.IndexFunc(k.kept.Known, func(o keptErasure) bool { return o.Nonce == s.Nonce })
		if i < 0 {
			over = over && len(k.kept.Known) >= maxKept
			continue
		}
		if o := k.kept.Known[i]; !o.Over {
			over = false
			left = min(left, max(0, EraseWait-time.Duration(k.kept.Running-o.Seen)*time.Second))
		}
	}
	return left, over
}

// due reports whether this node destroys the payloads of a subject now.
func (d *Desk) due(r oplog.Reader, g oplog.Gone) (bool, error) {
	facts, err := d.standing(r, g.Subject)
	if err != nil {
		return false, err
	}
	// What was signed about a file destroys nobody's record, and the other way round.
	file, err := d.log.OnlyNarrow(g.Subject)
	facts = slices.DeleteFunc(facts, func(f standingErasure) bool { return f.row.Fact.Statement.File != file })
	if err != nil || len(facts) == 0 {
		return false, err
	}
	if slices.ContainsFunc(facts, func(f standingErasure) bool { return f.final }) {
		return true, nil
	}
	for _, f := range facts {
		if left, over := d.keeper.left([]statement{f.row.Fact.Statement}); left == 0 && !over && d.trustsErasure(f.row) {
			return true, nil
		}
	}
	// What this node has destroyed once it destroys again: an old copy of its folder,
	// or a file put back, must not bring anybody back.
	done, err := d.doneBy(r, g.Subject)
	return slices.Contains(done, d.node), err
}

// eraseDue destroys what is due and then says so. Power may go at any moment of it:
// the next start finds the same subjects due and does it again.
func (d *Desk) eraseDue(ctx context.Context) {
	d.keeper.look(d)
	var destroy, tell []oplog.ID
	err := d.log.View(func(r oplog.Reader) error {
		for _, g := range d.log.Gone() {
			if !g.Erased {
				continue
			}
			due, err := d.due(r, g)
			if err != nil {
				return err
			}
			done, err := d.doneBy(r, g.Subject)
			if err != nil {
				return err
			}
			if due && g.Kept > 0 {
				destroy = append(destroy, g.Subject)
			}
			if due && !slices.Contains(done, d.node) {
				tell = append(tell, g.Subject)
			}
		}
		return nil
	})
	if err == nil && len(destroy) > 0 {
		err = d.log.Erase(ctx, destroy)
	}
	if err == nil && len(destroy)+len(tell) > 0 {
		d.keeper.mu.Lock()
		hooks := slices.Clone(d.keeper.hooks)
		d.keeper.mu.Unlock()
		gone := append(without(destroy, tell), tell...)
		for _, fn := range hooks {
			fn(slices.Clone(gone))
		}
		err = d.tellDone(ctx, tell)
	}
	if err != nil && ctx.Err() == nil {
		d.keeper.log.Error("what was erased could not be destroyed yet", "err", err)
	}
}

// tellDone writes that this node has destroyed the payloads.
func (d *Desk) tellDone(ctx context.Context, subjects []oplog.ID) error {
	for part := range slices.Chunk(subjects, 200) {
		err := d.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error {
			for _, id := range part {
				facts, err := d.standing(tx, id)
				if err != nil {
					return err
				}
				if len(facts) == 0 {
					continue // taken back meanwhile
				}
				if _, err := tx.Append(doneKind, id, eraseDone{Nonce: facts[0].row.Fact.Statement.Nonce}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
