package mesh

import (
	"bytes"
	"maps"
	"slices"
	"sync"

	"github.com/waypost/waypost/appliance/oplog"
)

// maxQueued bounds the control bytes waiting for a slow peer; one that lets more
// pile up is cut off and starts again with a fresh vector.
const maxQueued = 1 << 20

// outbox is what waits to be written on one link. Small frames go before hints,
// hints before records, records before parts of pieces, and a newer hint of a log
// replaces the older one.
type outbox struct {
	mu      sync.Mutex
	control [][]byte
	queued  int
	hints   map[oplog.LogID]mark
	bulk    []byte
	wrote   func() // called when bulk left
	part    []byte // of a piece
	sent    func() // called when part left
	wake    func() // says that something waits
}

func newOutbox(wake func()) *outbox {
	return &outbox{hints: map[oplog.LogID]mark{}, wake: wake}
}

// send queues a control frame; false means the peer is too far behind.
func (o *outbox) send(m message) bool { return o.sendFrame(frame(m)) }

func (o *outbox) sendFrame(b []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.queued+len(b) > maxQueued {
		return false
	}
	o.control = append(o.control, b)
	o.queued += len(b)
	o.wake()
	return true
}

// tell queues hints.
func (o *outbox) tell(marks ...mark) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range marks {
		o.hints[m.log] = m
	}
	o.wake()
}

// sendBulk queues the one frame of records a link may have under way.
func (o *outbox) sendBulk(b []byte, wrote func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bulk, o.wrote = b, wrote
	o.wake()
}

// sendPart queues the one part of a piece a link may have under way.
func (o *outbox) sendPart(b []byte, sent func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.part, o.sent = b, sent
	o.wake()
}

// next is the frame to write now, nil when there is none; done is to be called
// after it was written.
func (o *outbox) next() (b []byte, done func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case len(o.control) > 0:
		b = o.control[0]
		o.control[0] = nil
		o.control = o.control[1:]
		o.queued -= len(b)
	case len(o.hints) > 0:
		var h hint
		for _, log := range sortedLogs(o.hints) {
			if len(h.marks) == marksAFrame {
				break
			}
			h.marks = append(h.marks, o.hints[log])
			delete(o.hints, log)
		}
		b = frame(h)
	case o.bulk != nil:
		b, done = o.bulk, o.wrote
		o.bulk, o.wrote = nil, nil
	case o.part != nil:
		b, done = o.part, o.sent
		o.part, o.sent = nil, nil
	}
	return b, done
}

// sortedLogs are the keys of a map in their order, for what is sent: the same things
// happen in the same order then.
func sortedLogs[T any](m map[oplog.LogID]T) []oplog.LogID {
	return slices.SortedFunc(maps.Keys(m), compareLogs)
}

func compareLogs(a, b oplog.LogID) int { return bytes.Compare(a[:], b[:]) }
