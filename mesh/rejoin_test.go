package mesh

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/oplog"
)

// bent is a journal that says what a test likes.
type bent struct {
	*memLog
	heads   func([]oplog.Head) []oplog.Head
	batch   func(log oplog.LogID, after uint64) []byte
	wanting func() []oplog.Ref
}

func (l bent) Heads() []oplog.Head {
	if l.heads == nil {
		return l.memLog.Heads()
	}
	return l.heads(l.memLog.Heads())
}

func (l bent) Wanting() ([]oplog.Ref, error) {
	if l.wanting == nil {
		return nil, nil
	}
	return l.wanting(), nil
}

func (l bent) RangeIn(_ oplog.Form, log oplog.LogID, after uint64, maxOps, maxBytes int) ([]byte, uint64, error) {
	return l.Range(log, after, maxOps, maxBytes)
}

func (l bent) Range(log oplog.LogID, after uint64, maxOps, maxBytes int) ([]byte, uint64, error) {
	if l.batch != nil {
		if b := l.batch(log, after); b != nil {
			return b, after + 1, nil
		}
	}
	return l.memLog.Range(log, after, maxOps, maxBytes)
}

// bending gives the node l instead of its own journal.
func bending(l bent) nodeOption {
	return func(c *Config, n *node) {
		l.memLog = n.log
		c.Log = l
	}
}

func pause(d time.Duration) { <-clock.System().After(d) }

func (l *memLog) rejoinCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rejoins
}

// wrongHash says of a log that its end is another one.
func wrongHash(log oplog.LogID) func([]oplog.Head) []oplog.Head {
	return func(h []oplog.Head) []oplog.Head {
		for i := range h {
			if h[i].Log == log {
				h[i].Hash[0] ^= 1
			}
		}
		return h
	}
}

// A peer that only says it has another history of this node's log, and serves the one
// there is, hides no record that is only here, and is not asked again and again.
func TestAHistoryThatIsOnlySaidCountsForNothing(t *testing.T) {
	w := newWorld(t)
	a := w.start(t)
	a.log.writeN(5)
	b := w.start(t, seeded(a.addr), bending(bent{heads: wrongHash(a.log.Own())}))
	wait(t, "the lie", func() bool { return len(a.mesh.Forks()) > 0 && a.log.rejoinCount() > 0 })
	pause(300 * time.Millisecond)
	if n := a.log.rejoinCount(); n > 5 {
		t.Errorf("asked %d times", n)
	}
	b.close()
	a.log.writeN(3)
	wait(t, "what is only here shows", func() bool { return a.mesh.OnlyHere() >= 3 })
}

// A peer that answers with batches from elsewhere is left alone for a while.
func TestBatchesFromElsewhereAreNotAskedForEver(t *testing.T) {
	for name, first := range map[string]uint64{"in front": 0, "that join nothing": 3} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := w.start(t)
			a.log.writeN(300)
			log := a.log.Own()
			serve := func(which oplog.LogID, _ uint64) []byte {
				if which != log {
					return nil
				}
				b := binary.BigEndian.AppendUint64(slices.Clone(log[:]), first)
				b = append(b, make([]byte, 32)...)
				return append(b, 0, 0, 0, 2, 0, 0) // the first op, as it is
			}
			w.start(t, seeded(a.addr), bending(bent{heads: wrongHash(log), batch: serve}))
			wait(t, "the lie", func() bool { return a.log.rejoinCount() > 0 })
			pause(300 * time.Millisecond)
			if n := a.log.rejoinCount(); n > 15 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// Payloads that are gone from a log with two histories are not asked for again and again.
func TestPayloadsOfALogWithTwoHistoriesAreNotAskedForEver(t *testing.T) {
	w := newWorld(t)
	b := w.start(t)
	a := w.start(t, func(c *Config, n *node) {
		own := n.log.Own()
		c.Log = bent{memLog: n.log, wanting: func() []oplog.Ref { return []oplog.Ref{{Log: own, Seq: 1}} }}
	})
	a.mesh.mu.Lock()
	a.mesh.noteFork(oplog.Fork{Log: a.log.Own(), Seq: 1})
	a.mesh.mu.Unlock()
	a.log.writeN(5)
	b.close()
	b.again(seeded(a.addr))
	wait(t, "the same", func() bool { return same(a.log, b.log) })
	pause(300 * time.Millisecond)
	if n, _ := b.log.counts(); n > 10 {
		t.Errorf("asked %d times", n)
	}
}

// What a third node still has of the history held here comes after the other one was
// taken. It is written again as well.
func TestTheRestOfAHistoryComesAfterTheOther(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.start(t), w.start(t), w.start(t)
	for _, n := range []*node{a, b, c} {
		n.close()
	}
	log := a.log.Own()
	for i := range 20 {
		body := fmt.Append(nil, "a ", i)
		c.log.writeTo(log, body)
		if i < 10 {
			a.log.writeTo(log, body)
		}
		if i < 5 {
			b.log.writeTo(log, body)
		}
	}
	b.log.writeTo(log, []byte("other"), []byte("another"))
	b.again()
	a.again(seeded(b.addr))
	wait(t, "both histories", func() bool { return len(b.log.bodies()) == 12 && len(a.log.bodies()) == 12 })
	c.again(seeded(a.addr))
	wait(t, "the rest at b", func() bool { return len(b.log.bodies()) == 22 })
	wait(t, "the rest at c", func() bool { return len(c.log.bodies()) == 22 })
}
