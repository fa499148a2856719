package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/appliance/badgerstore"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/letterbox"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/mesh"
)

// slumber is the mesh of a box that nobody has opened: what other posts write meanwhile
// flows into its letterbox. It ends when the box is opened, and the real one takes its port;
// others dial again within a second or two, and what they gave is on the card.
type slumber struct {
	mu      sync.Mutex
	end     func() // stops it and waits; nil: it does not run
	records *letterbox.Records
	mesh    *mesh.Locked
}

// How often a slumbering box tries to be heard where it was not.
const slumberRetry = 5 * time.Second

// doze starts the mesh of a locked box. A box that cannot be heard goes on without.
func (b *box) doze() {
	s := &b.slumber
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil || b.State() != "locked" || b.meshListen == "" {
		return
	}
	ctx, cancel := context.WithCancel(b.ctx)
	done := make(chan struct{})
	s.end = func() { cancel(); <-done }
	go func() {
		defer close(done)
		b.slumbers(ctx)
	}()
}

// wake ends it; what was being put into the letterbox is there.
func (b *box) wake() {
	s := &b.slumber
	s.mu.Lock()
	end := s.end
	s.mu.Unlock()
	if end == nil {
		return
	}
	end()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end, s.records, s.mesh = nil, nil, nil
}

// slumbers runs the mesh until ctx ends.
func (b *box) slumbers(ctx context.Context) {
	for {
		m, r, err := b.startSlumber()
		if err == nil {
			b.slumber.mu.Lock()
			b.slumber.mesh, b.slumber.records = m, r
			b.slumber.mu.Unlock()
			<-ctx.Done()
			if err := m.Close(); err != nil {
				b.logger.Warn("closing the mesh of the locked box", "err", err)
			}
			return
		}
		if fault.ClassOf(err) == fault.NotFound {
			b.logger.Warn("this locked box takes no records in: nobody has opened it since it can", "err", err)
			return
		}
		b.logger.Error("this locked box takes no records in", "err", err)
		select {
		case <-ctx.Done():
			return
		case <-b.clock.After(slumberRetry):
		}
	}
}

func (b *box) startSlumber() (*mesh.Locked, *letterbox.Records, error) {
	mine, ok := letterbox.ReadLocked(files.OS(), b.dir)
	trust, known := letterbox.ReadTrust(files.OS(), b.dir)
	if !ok || !known {
		return nil, nil, fault.New(fault.NotFound, "fault.letterbox.none")
	}
	root := ed25519.PublicKey(trust.Root[:])
	r, err := letterbox.OpenRecords(files.OS(), b.dir, letterbox.RecordsOptions{
		Born: func(log oplog.LogID, birth []byte) (ed25519.PublicKey, error) {
			return identity.LogKey(root, log, birth)
		},
		FreeSpace: func() (uint64, error) {
			free, total := diskRoom(b.dir)
			if total == 0 {
				return 0, errors.New("the system does not say")
			}
			return free, nil
		},
		MinFree: badgerstore.SizesFor(b.dir).Floor + recordsSpare,
	})
	if err != nil {
		return nil, nil, err
	}
	shut := letterbox.ShutOut(files.OS(), b.dir)
	m, err := mesh.StartLocked(mesh.LockedConfig{
		Seed: mine.Seed, Cert: mine.Cert, Root: root, Letters: r, Clock: b.clock, Logger: b.logger.With("part", "mesh"),
		Shut:   func(id identity.NodeID) bool { return slices.Contains(shut, [10]byte(id)) },
		Listen: b.meshListen, Advertise: b.advertise, Dir: b.dir,
	})
	clear(mine.Seed[:])
	return m, r, err
}

// recordsSpare is kept free besides what the views need when the box is opened: the journal
// takes what leaves the letterbox.
const recordsSpare = 64 << 20

// slumbering is what a locked box says of the records it takes in; nil when it takes none.
func (b *box) slumbering() *control.Sealed {
	s := &b.slumber
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records == nil {
		return nil
	}
	return &control.Sealed{Waiting: s.records.Waiting(), Full: s.records.Full(), Links: s.mesh.Links()}
}

// carries tells whether a locked box is one that carries for others: nobody there could ever
// read what is taken in at its gate.
func (b *box) carries() bool {
	mine, ok := letterbox.ReadLocked(files.OS(), b.dir)
	trust, known := letterbox.ReadTrust(files.OS(), b.dir)
	if !ok || !known {
		return false
	}
	clear(mine.Seed[:])
	cert, err := mesh.LockedNode(mine.Cert, trust.Root[:])
	return err == nil && len(cert.Areas) == 0
}

// slumberAlerts are what a locked box has to say to whoever stands at it.
func slumberAlerts(s *control.Sealed) []control.Alert {
	if s == nil || !s.Full {
		return []control.Alert{}
	}
	return []control.Alert{{Key: "alert.records_full", Args: map[string]any{"Count": s.Waiting}, Level: "danger"}}
}

// readyLocked makes the key that this box proves with who it is while it is locked, another
// one at every opening, and writes down how far it holds every log.
func (n *node) readyLocked() error {
	var l letterbox.Locked
	_, _ = rand.Read(l.Seed[:]) // never fails since Go 1.24
	defer clear(l.Seed[:])
	var err error
	if l.Cert, err = mesh.NextLocked(n.vault, n.dir, lockedKey(l)); err != nil {
		return err
	}
	return letterbox.WriteLocked(files.OS(), n.dir, l)
}

func lockedKey(l letterbox.Locked) [32]byte {
	return [32]byte(ed25519.NewKeyFromSeed(l.Seed[:]).Public().(ed25519.PublicKey))
}

// renewLocked has the certificate made anew where it holds no more.
func (n *node) renewLocked() error {
	m := n.Mesh()
	if m == nil {
		return nil
	}
	l, ok := letterbox.ReadLocked(files.OS(), n.dir)
	if !ok {
		return n.readyLocked()
	}
	defer clear(l.Seed[:])
	cert, anew, err := m.RenewLocked(l.Cert, lockedKey(l))
	if err != nil || !anew {
		return err
	}
	l.Cert = cert
	return letterbox.WriteLocked(files.OS(), n.dir, l)
}

// writeKnown writes down how far every log is held, and who is shut out.
func (n *node) writeKnown(nodes []identity.Node) error {
	k := letterbox.Known{Logs: n.journal.Known()}
	for _, node := range nodes {
		if n.desks.Identity.Outcast(node.Cert) || n.desks.Identity.Shut(node.ID) {
			k.Shut = append(k.Shut, [10]byte(node.ID))
		}
	}
	return letterbox.WriteKnown(files.OS(), n.dir, k)
}

// recordsLeft is how many batches of other posts wait to be merged, and how many were set
// aside.
type recordsLeft struct{ files, aside atomic.Int64 }

// How soon records that could not be merged are tried again.
const recordsRetry = 20 * time.Second

// mergeRecords merges what other posts gave while the box was locked, while people work.
func (n *node) mergeRecords(ctx context.Context) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.merging != nil {
		return
	}
	key, err := n.letterboxKey()
	if err != nil {
		n.logger.Error("the records in the letterbox cannot be read", "err", err)
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		pile := letterbox.EmptyRecords(files.OS(), n.dir, key)
		for {
			left, err := n.mergePile(ctx, pile)
			if err != nil && ctx.Err() == nil {
				n.logger.Error("records in the letterbox were not merged", "left", left, "err", err)
			}
			if left == 0 && err == nil {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-n.clock.After(recordsRetry):
			}
		}
	}()
	n.merging = func() { cancel(); <-done }
}

// mergePile merges what waits, in its order. Each batch is verified again, stored and
// flushed before its letter is destroyed; what was merged before a power cut is merged once
// more, and changes nothing. What is no batch of this deployment is set aside.
func (n *node) mergePile(ctx context.Context, pile *letterbox.RecordPile) (left int, err error) {
	names, err := pile.Names()
	n.records.aside.Store(int64(letterbox.AsideRecords(files.OS(), n.dir)))
	for i, name := range names {
		n.records.files.Store(int64(left + len(names) - i))
		if ctx.Err() != nil {
			return left, ctx.Err()
		}
		batch, e := pile.Read(name)
		if e == nil {
			_, e = n.journal.Merge(ctx, batch)
		}
		switch class := fault.ClassOf(e); {
		case e == nil:
			e = pile.Done(name)
		case class == fault.Invalid || class == fault.Denied:
			n.logger.Error("a record could not be merged and was set aside", "record", name, "err", e)
			n.records.aside.Add(1)
			e = pile.SetAside(name)
		case class == fault.Conflict: // something before it is missing: another may bring that
			left++
			continue
		default:
			return left + len(names) - i, e
		}
		if e != nil {
			return left + len(names) - i, e
		}
	}
	n.records.files.Store(int64(left))
	if len(names) > left {
		n.logger.Info("records from the letterbox were merged", "batches", len(names)-left, "left", left)
	}
	return left, err
}

// recordAlerts are what records in the letterbox have to say on an open box.
func (n *node) recordAlerts() []control.Alert {
	var out []control.Alert
	if c := n.records.files.Load(); c > 0 {
		out = append(out, control.Alert{Key: "alert.records_waiting", Args: map[string]any{"Count": c}, Level: "warning"})
	}
	if c := n.records.aside.Load(); c > 0 {
		out = append(out, control.Alert{Key: "alert.records_aside", Args: map[string]any{"Count": c}, Level: "warning"})
	}
	return out
}
