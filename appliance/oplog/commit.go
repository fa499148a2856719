package oplog

import (
	"encoding/binary"
	"errors"
	"slices"
)

// position is a place in the journal: the frame the views have been brought up
// to. The tag tells it from another journal's frame of the same number.
type position struct {
	_       struct{} `cbor:",toarray"`
	Segment uint64
	Index   uint32
	Tag     [16]byte
}

// state is the one row that says what the views hold. It is the last thing
// every store transaction writes.
type state struct {
	_          struct{} `cbor:",toarray"`
	Deployment [16]byte
	Schema     [8]byte
	Tx         uint64 // transaction number
	From       uint64 // the first transaction since the last rebuild
	At         position
	Ops        uint64
	Opaque     uint64
	Lacking    []lack
}

// headRow is the applied head of one log.
type headRow struct {
	_    struct{} `cbor:",toarray"`
	Seq  uint64
	Hash [32]byte
}

// ringSize transaction numbers are kept, to find a hole in the store after a crash.
const ringSize = 4096

var stateKey = []byte{spaceState}

func headKey(log LogID) []byte { return append([]byte{spaceHead}, log[:]...) }
func ringKey(tx uint64) []byte {
	return binary.BigEndian.AppendUint32([]byte{spaceRing}, uint32(tx%ringSize))
}

func readState(r StoreReader) (state, bool, error) {
	raw, err := r.Get(stateKey)
	if errors.Is(err, ErrNoKey) {
		return state{}, false, nil
	}
	if err != nil {
		return state{}, false, errStore(err)
	}
	var s state
	if err := decMode.Unmarshal(raw, &s); err != nil {
		return state{}, false, nil // unreadable is as good as absent: rebuilt
	}
	return s, true, nil
}

// wholeRing reports whether every transaction the ring should know is there. A
// store that lost one in the middle is rebuilt.
func wholeRing(r StoreReader, s state) (bool, error) {
	first := max(s.From, s.Tx-min(s.Tx, ringSize-1))
	for tx := first; tx <= s.Tx; tx++ {
		raw, err := r.Get(ringKey(tx))
		if errors.Is(err, ErrNoKey) {
			return false, nil
		}
		if err != nil {
			return false, errStore(err)
		}
		if len(raw) != 8 || binary.BigEndian.Uint64(raw) != tx {
			return false, nil
		}
	}
	return true, nil
}

// save writes the overlay and the state to the store, in one transaction when
// the store can hold it. Otherwise it takes several, in an order that makes
// every prefix of them repairable by replaying the journal from the old state:
// rows first, then the ops that caused them, the state last.
func (l *Log) save(tx StoreTx, over *overlay, s *state) error {
	s.Tx++
	raw, err := encMode.Marshal(*s)
	if err != nil {
		return errInternal("state row")
	}
	tail := []entry{{key: ringKey(s.Tx), value: be64(s.Tx)}, {key: stateKey, value: raw}}
	if over.bytes < l.oneTx && over.tree.Len() < l.oneTxKeys {
		err := write(tx, func(put func(entry) error) error {
			var err error
			over.tree.Ascend(func(e entry) bool { err = put(e); return err == nil })
			for i := 0; err == nil && i < len(tail); i++ {
				err = put(tail[i])
			}
			return err
		})
		if !errors.Is(err, ErrTxTooBig) {
			return errStore(err)
		}
	}
	tx.Discard()
	return l.saveParts(over, tail)
}

// write fills one transaction and commits it.
func write(tx StoreTx, fill func(put func(entry) error) error) error {
	defer tx.Discard()
	err := fill(func(e entry) error {
		if e.deleted {
			return tx.Delete(e.key)
		}
		return tx.Put(e.key, e.value)
	})
	if err != nil {
		return err
	}
	return tx.Commit()
}

// saveParts keeps readers out while the store holds half a group.
func (l *Log) saveParts(over *overlay, tail []entry) error {
	if !l.alone {
		l.halves.Lock()
		defer l.halves.Unlock()
	}
	var all []entry
	for _, first := range []bool{true, false} {
		over.tree.Ascend(func(e entry) bool {
			if (e.key[0] == spaceRow) == first {
				all = append(all, e)
			}
			return true
		})
	}
	all = append(all, tail...)
	for len(all) > 0 {
		n, size := 0, 0
		for n < len(all) && n < l.oneTxKeys && (n == 0 || size+len(all[n].value) < l.oneTx) {
			size += len(all[n].key) + len(all[n].value)
			n++
		}
		// The state must be alone in being last: never split it from its number.
		if n < len(all) && n >= len(all)-1 && n > 1 {
			n--
		}
		if err := l.savePart(all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// savePart commits a part, halving it while the store finds it too big.
func (l *Log) savePart(part []entry) error {
	tx, err := l.store.Begin()
	if err != nil {
		return errStore(err)
	}
	err = write(tx, func(put func(entry) error) error {
		for _, e := range part {
			if err := put(e); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, ErrTxTooBig) && len(part) > 1 {
		half := len(part) / 2
		for _, p := range [][]entry{part[:half], part[half:]} {
			if err := l.savePart(p); err != nil {
				return err
			}
		}
		return nil
	}
	return errStore(err)
}

// putHead records how far a log is applied.
func putHead(s *space, h Head) error {
	row, err := encMode.Marshal(headRow{Seq: h.Seq, Hash: h.Hash})
	if err != nil {
		return errInternal("head row")
	}
	s.put(headKey(h.Log), row)
	return nil
}

// readHeads are the applied heads, sorted by log.
func readHeads(r StoreReader) ([]Head, error) {
	var heads []Head
	err := r.Scan([]byte{spaceHead}, nil, func(k, v []byte) error {
		var row headRow
		if len(k) != 1+len(LogID{}) || decMode.Unmarshal(v, &row) != nil {
			return errStore(errors.New("a head row is damaged"))
		}
		heads = append(heads, Head{Log: LogID(k[1:]), Seq: row.Seq, Hash: row.Hash})
		return nil
	})
	return heads, err
}

// note counts an op that this node does not understand, and the key it lacks.
func (s *state) note(o *stored) {
	if !o.opaque {
		return
	}
	s.Opaque++
	if o.lacking != nil && !slices.Contains(s.Lacking, *o.lacking) && len(s.Lacking) < 1024 {
		s.Lacking = append(slices.Clip(s.Lacking), *o.lacking)
	}
}
