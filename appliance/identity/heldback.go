package identity

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"

	"github.com/waypost/waypost/appliance/oplog"
)

// heldBack is what of the journal does not count: what a revoked node wrote behind a cut,
// unless it was released. It lies in the vault's file too, as backRow: views are made from
// the journal before anybody could read in them who was revoked. It never changes.
type heldBack struct {
	nodes  map[NodeID][]backRow // of each revocation one
	here   map[NodeID][]backRow // of logs held here with the wrong history: partings.go
	free   map[oplog.Ref]bool
	digest [8]byte
}

// backRow is one revocation in the vault's file.
type backRow struct {
	_    struct{} `cbor:",toarray"`
	Node NodeID
	Cuts []logMark
}

// backFile is the whole of it.
type backFile struct {
	_    struct{} `cbor:",toarray"`
	Rows []backRow
	Free []byte // log (16) ‖ sequence (8) of each op that counts after all
	Here []backRow
}

// backFileFirst is how earlier versions wrote it.
type backFileFirst struct {
	_    struct{} `cbor:",toarray"`
	Rows []backRow
	Free []byte
}

const refBytes = 24

func newHeldBack(f backFile) *heldBack {
	h := &heldBack{nodes: map[NodeID][]backRow{}, here: map[NodeID][]backRow{}, free: map[oplog.Ref]bool{}}
	for _, r := range f.Here {
		h.here[r.Node] = append(h.here[r.Node], r)
	}
	for _, r := range f.Rows {
		h.nodes[r.Node] = append(h.nodes[r.Node], r)
	}
	for b := f.Free; len(b) >= refBytes; b = b[refBytes:] {
		h.free[oplog.Ref{Log: oplog.LogID(b[:16]), Seq: binary.BigEndian.Uint64(b[16:])}] = true
	}
	if len(f.Rows) > 0 {
		h.digest = [8]byte(hashed("waypost/held-back/1", encode(f))[:8])
	}
	return h
}

// From is the first op of a log that may be held back.
func (h *heldBack) From(author oplog.ID, log oplog.LogID) (seq uint64, any bool) {
	rows := h.nodes[author]
	if len(rows) == 0 {
		return 0, false
	}
	seq = ^uint64(0)
	for _, r := range rows {
		seq = min(seq, r.cut(log)+1)
	}
	for _, r := range h.here[author] {
		for _, m := range r.Cuts {
			if m.Log == log {
				seq = min(seq, m.Seq+1)
			}
		}
	}
	return seq, true
}

// cut is the last op of a log that counts.
func (r backRow) cut(log oplog.LogID) (seq uint64) {
	for _, m := range r.Cuts {
		if m.Log == log {
			seq = max(seq, m.Seq)
		}
	}
	return seq
}

// Held reports whether an op is held back. Of several revocations the one that holds back
// more counts.
func (h *heldBack) Held(author oplog.ID, op oplog.Ref) bool {
	rows := h.nodes[author]
	return len(rows) > 0 && !h.free[op] && slices.ContainsFunc(rows, func(r backRow) bool { return op.Seq > r.cut(op.Log) })
}

// Digest tells it from others.
func (h *heldBack) Digest() [8]byte { return h.digest }

// Holding is what is held back, for the journal.
func (v *Vault) Holding() oplog.Holding {
	v.mu.Lock()
	defer v.mu.Unlock()
	var f backFile
	if len(v.s.Back) > 0 && decode(v.s.Back, &f) != nil {
		var old backFileFirst
		if decode(v.s.Back, &old) != nil {
			return nil // the desk finds out again
		}
		f = backFile{Rows: old.Rows, Free: old.Free, Here: []backRow{}}
	}
	return newHeldBack(f)
}

// keepBack puts what is held back on the card, when it changed.
func (v *Vault) keepBack(f backFile) (*heldBack, error) {
	raw := []byte(nil)
	if len(f.Rows) > 0 {
		raw = encode(f)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if bytes.Equal(raw, v.s.Back) {
		return newHeldBack(f), nil
	}
	return newHeldBack(f), v.updateLocked(func(s *secrets) error {
		s.Back = raw
		return nil
	})
}

// holdBack tells the journal what does not count any more, or counts again. A revoked node
// that learns of it holds nothing of its own back: it is not for itself that it is out.
func (d *Desk) holdBack(ctx context.Context) error {
	s, err := d.judge()
	if err != nil {
		return err
	}
	f := backFile{Rows: []backRow{}, Free: []byte{}, Here: d.here(s)}
	for _, x := range s.cuts {
		if x.node != d.vault.NodeID() {
			f.Rows = append(f.Rows, backRow{Node: x.node, Cuts: sortMarks(slices.Clone(x.cuts))})
		}
	}
	slices.SortFunc(f.Rows, compareBack)
	free := slices.Clone(s.free)
	slices.SortFunc(free, func(a, b oplog.Ref) int {
		return cmp.Or(bytes.Compare(a.Log[:], b.Log[:]), cmp.Compare(a.Seq, b.Seq))
	})
	for _, r := range slices.Compact(free) {
		f.Free = binary.BigEndian.AppendUint64(append(f.Free, r.Log[:]...), r.Seq)
	}
	h, err := d.vault.keepBack(f)
	if err != nil {
		return err
	}
	return d.log.Hold(ctx, h)
}

func sortMarks(m []logMark) []logMark {
	slices.SortFunc(m, func(a, b logMark) int {
		return cmp.Or(bytes.Compare(a.Log[:], b.Log[:]), cmp.Compare(a.Seq, b.Seq))
	})
	return m
}
