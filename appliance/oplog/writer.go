package oplog

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"github.com/waypost/waypost/appliance/fault"
)

// A group ends at these sizes, so that a queue of commands shares one flush and
// one store transaction without any of them waiting long.
const (
	groupOps   = 64
	groupBytes = 256 << 10
	groupKeys  = 2000
	// What a single command may append besides its count of ops.
	commandBytes = 900 << 10
	opOverhead   = 64
)

// job is one thing the writer does: a command, which may share a group, or
// exclusive work (a merge, a rebuild).
type job struct {
	by        By
	fn        func(*Tx) error
	exclusive func() error
	late      bool        // exclusive work that does without what is late, or sees to it
	taken     atomic.Bool // by the writer, or by a caller who gave up
	answer    chan error
}

// Do runs a command: fn checks and appends inside the one writing transaction,
// alone, in the order of arrival. Its error means that nothing of it was
// written; nil means that everything was, and is on the disk. fn must be quick,
// must not call Do or Merge, and must not keep the Tx. A panic in fn becomes
// an Internal fault "fault.oplog.internal".
//
// While the command waits for its turn, ctx can take it back; from then on it
// is answered after the flush. Further faults: "fault.oplog.read_only",
// "fault.oplog.disk_nearly_full", "fault.oplog.disk_full", "fault.oplog.too_many", "fault.oplog.too_large",
// "fault.oplog.closed", "fault.oplog.cancelled".
func (l *Log) Do(ctx context.Context, by By, fn func(*Tx) error) error {
	return l.submit(ctx, &job{by: by, fn: fn, answer: make(chan error, 1)})
}

func (l *Log) submit(ctx context.Context, j *job) error {
	select {
	case l.jobs <- j:
	case <-ctx.Done():
		return errCancelled(ctx)
	case <-l.quit:
		return errClosed()
	}
	select {
	case err := <-j.answer:
		return err
	case <-ctx.Done():
		if j.taken.CompareAndSwap(false, true) {
			return errCancelled(ctx)
		}
		return <-j.answer
	}
}

// run is the writer: the only goroutine that changes journal, index and views.
func (l *Log) run() {
	defer close(l.done)
	for {
		select {
		case <-l.quit:
			return
		case j := <-l.jobs:
			for j != nil {
				j = l.serve(j)
			}
		}
	}
}

// serve does one job, or a group of commands beginning with it. It returns a
// job it received but could not take into the group.
func (l *Log) serve(j *job) (next *job) {
	l.worked.Add(1)
	l.foldFor(j)
	if j.exclusive != nil {
		if j.taken.CompareAndSwap(false, true) {
			j.answer <- l.guard(j.exclusive)
		}
		return nil
	}
	g, err := l.beginGroup()
	if err != nil {
		if j.taken.CompareAndSwap(false, true) {
			j.answer <- err
		}
		return nil
	}
	for j != nil {
		if j.taken.CompareAndSwap(false, true) {
			g.command(j)
		}
		if g.full() {
			break
		}
		if j = l.another(len(g.jobs)); j != nil && j.exclusive != nil {
			next, j = j, nil
		}
	}
	l.together = len(g.jobs)
	err = l.guard(func() error { return l.commit(g) })
	for i, waiting := range g.jobs {
		if g.errs[i] == nil {
			g.errs[i] = err
		}
		waiting.answer <- g.errs[i]
	}
	return next
}

// letOthers is how often the writer lets others run before it ends a group that is
// smaller than the one before.
const letOthers = 8

// another is the next job for a group that has n, nil when nobody waits. Those who were
// just answered may be about to come back: without a moment for them they would miss
// this flush and wait for two. Somebody who works alone never waits for anybody.
func (l *Log) another(n int) *job {
	for i := 0; ; i++ {
		select {
		case j := <-l.jobs:
			return j
		default:
		}
		if n >= l.together || i == letOthers {
			return nil
		}
		runtime.Gosched()
	}
}

// guard turns a panic into a fault, with the stack in the log but not the
// value: it could hold a name.
func (l *Log) guard(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			l.logger.Error("panic in the writer", "type", fmt.Sprintf("%T", r), "stack", string(debug.Stack()))
			err = errInternal("panic")
		}
	}()
	return fn()
}

// beginGroup checks that writing is possible at all before anybody's command runs.
func (l *Log) beginGroup() (*group, error) {
	if err := l.writable(); err != nil {
		return nil, err
	}
	if err := l.goOn(); err != nil {
		return nil, err
	}
	return l.begin()
}

// writable faults when the node is read-only or the disk too full, and brings the views
// back first when they were away.
func (l *Log) writable() error {
	if err := l.storable(); err != nil {
		return err
	}
	return l.mendViews()
}

// storable is writable without the views.
func (l *Log) storable() error {
	l.mu.RLock()
	stopped := l.readOnly
	l.mu.RUnlock()
	if stopped != nil {
		return errReadOnly(stopped)
	}
	return l.roomy()
}

// group is what shares one flush and one store commit.
type group struct {
	l     *Log
	tx    StoreTx
	space space
	jobs  []*job
	errs  []error

	ops    []*draft // of the commands that were not refused
	bytes  int
	seq    uint64 // next own sequence
	clock  uint64 // last logical clock given out
	cuts   []int  // ends of commands in ops: where a signature may stand
	events []ID   // subjects touched

	// merge and replay
	replayed int
	records  []*stored // opened ops of other origin
	ahead    bool      // of what is late: the views have it and are not brought up to it
	upTo     int       // frames the views will have, when that is another number than before
	heads    map[LogID]Head
	at       position
}

// draft is an own op before it is sealed and chained.
type draft struct {
	record
	plain []byte
}

func (l *Log) begin() (*group, error) {
	tx, err := l.store.Begin()
	if err != nil {
		return nil, errStore(err)
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	g := &group{l: l, tx: tx, space: space{base: tx, over: newOverlay()}, clock: l.clock, seq: 1, at: l.state.At, heads: map[LogID]Head{}}
	if c := l.chains[l.own]; c != nil {
		g.seq = c.head.Seq + 1
		g.clock = max(g.clock, c.clock)
	}
	return g, nil
}

func (g *group) full() bool {
	return len(g.ops) >= groupOps || g.bytes >= groupBytes || g.space.over.tree.Len() >= groupKeys
}

// command runs one command. Refused, it leaves neither rows nor numbers behind.
func (g *group) command(j *job) {
	seq, clock, bytes, ops := g.seq, g.clock, g.bytes, len(g.ops)
	t := &Tx{g: g, by: j.by, dirty: map[ID][]*stored{}}
	t.at, t.sure = g.l.now()
	err := g.l.guard(func() error { return j.fn(t) })
	if err == nil {
		err = t.err
	}
	if err == nil {
		err = g.l.guard(t.settle)
	}
	t.over = true
	g.jobs = append(g.jobs, j)
	g.errs = append(g.errs, err)
	if err != nil {
		g.space.over.revert()
		g.seq, g.clock, g.bytes, g.ops = seq, clock, bytes, g.ops[:ops]
		return
	}
	g.space.over.settle()
	g.events = append(g.events, t.subjects...)
	if len(g.ops) > ops {
		g.cuts = append(g.cuts, len(g.ops))
	}
}

// stage takes the next number for an op.
func (g *group) stage(subject ID, comp Compartment, plain []byte, supersedes []Ref) *draft {
	g.clock++
	d := &draft{plain: plain, record: record{
		ref: Ref{Log: g.l.own, Seq: g.seq}, clock: g.clock, subject: subject, supersedes: supersedes, comp: comp,
	}}
	g.seq++
	g.bytes += len(plain) + opOverhead
	g.ops = append(g.ops, d)
	return d
}

// commit makes a group durable and visible: seal, append, one flush, then the
// views, then the hooks. When the flush fails nothing of it becomes visible.
func (l *Log) commit(g *group) error {
	defer func() { g.tx.Discard() }()
	if len(g.ops) == 0 {
		return nil
	}
	batches, err := g.sealAll()
	if err != nil {
		return err
	}
	err = l.store1(g, batches)
	if fault.ClassOf(err) == fault.ReadOnly {
		l.stop(err)
	}
	return err
}
