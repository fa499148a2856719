package mesh

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
)

// witnessing is a journal that proves and testifies.
type witnessing struct {
	*memLog
	wmu       sync.Mutex
	parted    map[oplog.LogID]uint64
	proofs    int
	testified int
}

func (l *witnessing) Parting(log oplog.LogID) (uint64, bool) {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	seq, known := l.parted[log]
	return seq, known
}

func (l *witnessing) Testify(context.Context, oplog.LogID) (int, int, error) {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	l.testified++
	return 1, 0, nil
}

func (l *witnessing) Prove(_ context.Context, b []byte, at oplog.Branch) (res oplog.Rejoined, err error) {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proofs++
	log, seq := oplog.LogID(b[:16]), binary.BigEndian.Uint64(b[16:])
	ops := l.logs[log]
	res.Branch = at
	if res.Joins = seq == 0 || seq <= uint64(len(ops)) && ops[seq-1].hash == [32]byte(b[24:56]); !res.Joins {
		return res, nil
	}
	hash := [32]byte(b[24:56])
	for b = b[56:]; len(b) >= 4; {
		n := int(binary.BigEndian.Uint32(b))
		hash = sha256.Sum256(slices.Concat(log[:], hash[:], b[4:4+n]))
		if seq++; seq <= uint64(len(ops)) && !bytes.Equal(ops[seq-1].body, b[4:4+n]) && res.Seq == 0 {
			res.Log, res.Seq = log, seq
			l.parted[log] = seq
		}
		b = b[4+n:]
	}
	res.Last = seq
	return res, nil
}

func (l *witnessing) counts() (proofs, testified int) {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	return l.proofs, l.testified
}

func witness(into **witnessing) nodeOption {
	return func(c *Config, n *node) {
		if *into == nil {
			*into = &witnessing{memLog: n.log, parted: map[oplog.LogID]uint64{}}
		}
		c.Log = *into
	}
}

// Two nodes hold each another history of a third one's log. Both find where they part, name
// it with each other, and write their half again when nobody has for long.
func TestTheOtherHistoryIsProved(t *testing.T) {
	w := newWorld(t)
	var wa, wb *witnessing
	a := w.start(t, witness(&wa))
	a.close()
	log := oplog.LogID{9}
	for i := range 300 {
		a.log.writeTo(log, fmt.Append(nil, "a ", i))
	}
	a.again(witness(&wa))
	b := w.start(t, func(c *Config, n *node) {
		for i := range 300 {
			if i < 100 {
				n.log.writeTo(log, fmt.Append(nil, "a ", i))
			} else {
				n.log.writeTo(log, fmt.Append(nil, "b ", i))
			}
		}
		witness(&wb)(c, n)
	}, seeded(a.addr))
	proved := func(n *node, by oplog.ID) func() bool {
		return func() bool {
			f := n.mesh.Forked(nil)
			return len(f) == 1 && f[0].Log == log && f[0].Seq == 101 && f[0].Proved && slices.Contains(f[0].Sayers, by)
		}
	}
	wait(t, "proof at a", proved(a, b.mesh.Node()))
	wait(t, "proof at b", proved(b, a.mesh.Node()))
	if n, _ := wa.counts(); n > 8 {
		t.Errorf("%d answers to find a place 200 ops back", n)
	}
	if _, n := wa.counts(); n > 0 {
		t.Error("written again before its owner had time")
	}
	a.mesh.mu.Lock()
	a.mesh.doubts[log].since -= witnessWait + witnessTurns*witnessTurn
	a.mesh.mu.Unlock()
	wait(t, "a speaks", func() bool { _, n := wa.counts(); return n == 1 })
	a.mesh.mu.Lock()
	a.mesh.testify()
	done := a.mesh.doubts[log].done
	a.mesh.mu.Unlock()
	if _, n := wa.counts(); n != 1 || !done {
		t.Errorf("it speaks %d times", n)
	}
}

// A node that only says it has another history of a third one's log is named with that, and
// nothing more: the log's writer is not.
func TestAForkThatIsOnlySaidNamesWhoSaysIt(t *testing.T) {
	w := newWorld(t)
	var wa *witnessing
	log := oplog.LogID{9}
	a := w.start(t, func(c *Config, n *node) {
		for i := range 50 {
			n.log.writeTo(log, fmt.Append(nil, "a ", i))
		}
		witness(&wa)(c, n)
	})
	b := w.start(t, func(c *Config, n *node) {
		for i := range 50 {
			n.log.writeTo(log, fmt.Append(nil, "a ", i))
		}
		bending(bent{heads: wrongHash(log)})(c, n)
	}, seeded(a.addr))
	wait(t, "the lie", func() bool {
		n, _ := wa.counts()
		return n > 0 && len(a.mesh.Forked(nil)) == 1
	})
	pause(300 * time.Millisecond)
	f := a.mesh.Forked(nil)[0]
	if f.Proved || !slices.Contains(f.Sayers, b.mesh.Node()) {
		t.Errorf("%+v", f)
	}
	if n, _ := wa.counts(); n > 4 {
		t.Errorf("asked %d times", n)
	}
	a.mesh.mu.Lock()
	a.mesh.doubts[log].since -= time.Hour
	a.mesh.testify()
	a.mesh.mu.Unlock()
	if _, n := wa.counts(); n > 0 {
		t.Error("written again on somebody's word")
	}
}
