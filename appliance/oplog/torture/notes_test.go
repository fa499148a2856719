package torture

import (
	"bytes"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// noted is the smallest fact: a text about a subject of its own.
type noted struct {
	Text string `cbor:"1,keyasint"`
	Pad  []byte `cbor:"2,keyasint,omitempty"`
}

var notedKind = oplog.NewKind[noted]("test.noted", 1, oplog.Register)

// notes shows every text of a subject, so that a lost op is a lost row.
var notes = &oplog.View{Name: "Notes", Version: 1, Kinds: []oplog.Kind{notedKind}, Fold: func(_ oplog.ID, ops []oplog.Op) []oplog.Row {
	var rows []oplog.Row
	for _, op := range ops {
		n := oplog.Body[noted](op)
		rows = append(rows, oplog.Row{Key: []byte(n.Text), Value: n.Pad})
	}
	return rows
}}

// write writes texts in one command, one subject each, and acknowledges them.
func write(l *oplog.Log, m *model, pad []byte, texts ...string) error {
	m.send(texts...)
	ids := make([]oplog.ID, len(texts))
	err := l.Do(ctx, oplog.By{1}, func(tx *oplog.Tx) error {
		for i, text := range texts {
			ids[i] = oplog.NewID()
			if _, err := tx.Append(notedKind, ids[i], noted{text, pad}); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		for i, text := range texts {
			m.ack(ids[i].String(), text)
		}
	}
	return err
}

// served is everything a journal's views show.
func served(l *oplog.Log) (map[string]string, error) {
	out := map[string]string{}
	err := l.View(func(r oplog.Reader) error {
		return r.Rows(notes, nil, nil, func(key []byte, subject oplog.ID, _ []byte) error {
			out[subject.String()] = string(key)
			return nil
		})
	})
	return out, err
}

// copyStore is a store in memory with what another holds now.
func copyStore(from oplog.Store) (oplog.Store, error) {
	to := oplogtest.MemStore()
	tx, err := to.Begin()
	if err != nil {
		return nil, err
	}
	defer tx.Discard()
	err = from.View(func(r oplog.StoreReader) error {
		return r.Scan(nil, nil, func(k, v []byte) error { return tx.Put(bytes.Clone(k), bytes.Clone(v)) })
	})
	if err == nil {
		err = tx.Commit()
	}
	return to, err
}

// behind lists how many ops of each log to lacks that from has.
func behind(to, from *oplog.Log) map[oplog.LogID]uint64 {
	have := map[oplog.LogID]uint64{}
	for _, h := range to.Heads() {
		have[h.Log] = h.Seq
	}
	out := map[oplog.LogID]uint64{}
	for _, h := range from.Heads() {
		if h.Seq > have[h.Log] {
			out[h.Log] = have[h.Log]
		}
	}
	return out
}

// pull brings to what from has; it returns the forks that were met.
func pull(to, from *oplog.Log, maxOps int) (forks []oplog.Fork, err error) {
	for log, after := range behind(to, from) {
		for {
			raw, last, err := from.Range(log, after, maxOps, 0)
			if err != nil || raw == nil {
				if err != nil {
					return forks, err
				}
				break
			}
			res, err := to.Merge(ctx, raw)
			forks = append(forks, res.Forks...)
			if err != nil {
				return forks, err
			}
			after = last
		}
	}
	return forks, nil
}

func options(t testing.TB, a *oplogtest.Authority, dir string, store oplog.Store) oplog.Options {
	o := oplogtest.Options(t, a, []oplog.Kind{notedKind}, []*oplog.View{notes})
	o.Dir, o.Store = dir, store
	o.FreeSpace = func() (uint64, error) { return 1 << 40, nil }
	return o
}
