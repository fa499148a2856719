package mesh

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// world is one deployment: the vault that may enrol, and every node it enrolled.
type world struct {
	t       testing.TB
	founder *keys
}

// keys is a vault of which a test may bend what it says.
type keys struct {
	*identity.Vault
	cert   identity.NodeCert
	signer crypto.Signer
	gossip [32]byte
	next   atomic.Pointer[[][32]byte] // takes its place
}

func (k *keys) Cert() identity.NodeCert { return k.cert }
func (k *keys) NodeID() identity.NodeID { return k.cert.ID() }
func (k *keys) Signer() crypto.Signer   { return k.signer }
func (k *keys) GossipKey() [32]byte     { return k.gossip }
func (k *keys) GossipKeys() [][32]byte {
	if next := k.next.Load(); next != nil {
		return *next
	}
	return [][32]byte{k.gossip}
}

func keysOf(v *identity.Vault) *keys {
	return &keys{Vault: v, cert: v.Cert(), signer: v.Signer(), gossip: v.GossipKey()}
}

func passphrase() []byte { return []byte("five words nobody would guess") }

func newWorld(t testing.TB) *world {
	t.Helper()
	v, _, err := identity.Start(t.TempDir(), clock.System(), identity.StartOptions{
		Deployment: "Test", Site: "First", Passphrase: passphrase(), Cost: identity.TestCost(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, founder: keysOf(v)}
}

// keys enrols one more node.
func (w *world) keys() *keys {
	w.t.Helper()
	a := w.applicant()
	reply, _, err := w.founder.Admit(a.Request())
	if err != nil {
		w.t.Fatal(err)
	}
	v, err := a.Accept(w.t.TempDir(), clock.System(), reply, "Another", passphrase())
	if err != nil {
		w.t.Fatal(err)
	}
	return keysOf(v)
}

// applicant is a node that holds a fresh invitation of the founder.
func (w *world) applicant(addrs ...string) *identity.Applicant {
	w.t.Helper()
	inv, err := w.founder.Invite(time.Hour, addrs)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.holding(inv)
}

func (w *world) holding(inv identity.Invitation) *identity.Applicant {
	w.t.Helper()
	code, err := identity.ParseInvitation(inv.Code)
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := identity.NewApplicant(code)
	if err != nil {
		w.t.Fatal(err)
	}
	a.Cost = identity.TestCost()
	return a
}

// book is a double of identity.Desk.
type book struct {
	mu       sync.Mutex
	nodes    []identity.Node
	enrolled int
	refused  int
	fail     error
	shut     map[identity.NodeID]bool
}

func (b *book) Shut(id identity.NodeID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shut[id]
}

func (b *book) Outcast(c identity.NodeCert) bool { return b.Shut(c.ID()) }

func (b *book) Follow(context.Context) error { return nil }

func (b *book) shutOut(ids ...identity.NodeID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shut = map[identity.NodeID]bool{}
	for _, id := range ids {
		b.shut[id] = true
	}
}

func (b *book) Enrolled(_ context.Context, c identity.NodeCert) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return b.fail
	}
	b.enrolled++
	b.nodes = append(b.nodes, identity.Node{ID: c.ID(), Number: c.Number, Cert: c})
	return nil
}

func (b *book) Nodes() ([]identity.Node, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.nodes), nil
}

func (b *book) Refused(context.Context, error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refused++
	return nil
}

// memLog is a double of oplog.Log: hash chains in memory, without signatures.
type memLog struct {
	mu      sync.Mutex
	own     oplog.LogID
	logs    map[oplog.LogID][]entry
	owned   map[oplog.LogID]bool // logs of this node
	wakes   []chan struct{}
	served  map[oplog.LogID]int // ops handed out by Range
	asked   int                 // calls of Range
	merges  int                 // calls of Merge
	rejoins int                 // calls of Rejoin
	fail    error               // what Merge answers
}

type entry struct {
	body []byte
	hash [32]byte
}

func newMemLog() *memLog {
	l := &memLog{logs: map[oplog.LogID][]entry{}, served: map[oplog.LogID]int{}}
	_, _ = rand.Read(l.own[:])
	l.owned = map[oplog.LogID]bool{l.own: true}
	return l
}

func chainHash(log oplog.LogID, ops []entry, body []byte) [32]byte {
	var prev [32]byte
	if len(ops) > 0 {
		prev = ops[len(ops)-1].hash
	}
	return sha256.Sum256(slices.Concat(log[:], prev[:], body))
}

func (l *memLog) wake() {
	for _, w := range l.wakes {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

func (l *memLog) write(bodies ...[]byte) { l.writeTo(l.Own(), bodies...) }

func (l *memLog) writeTo(log oplog.LogID, bodies ...[]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range bodies {
		l.logs[log] = append(l.logs[log], entry{b, chainHash(log, l.logs[log], b)})
	}
	l.wake()
}

func (l *memLog) writeN(n int) {
	for i := range n {
		l.write([]byte{byte(i), byte(i >> 8)})
	}
}

func (l *memLog) Own() oplog.LogID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.own
}

func (l *memLog) Heads() []oplog.Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []oplog.Head
	for log, ops := range l.logs {
		out = append(out, oplog.Head{Log: log, Seq: uint64(len(ops)), Hash: ops[len(ops)-1].hash})
	}
	slices.SortFunc(out, func(a, b oplog.Head) int { return bytes.Compare(a.Log[:], b.Log[:]) })
	return out
}

func (l *memLog) Wanting() ([]oplog.Ref, error) { return nil, nil }

func (l *memLog) HashAt(log oplog.LogID, seq uint64) ([32]byte, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ops := l.logs[log]; seq > 0 && seq <= uint64(len(ops)) {
		return ops[seq-1].hash, true
	}
	return [32]byte{}, false
}

func (l *memLog) Range(log oplog.LogID, after uint64, maxOps, maxBytes int) ([]byte, uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	ops := l.logs[log]
	if after >= uint64(len(ops)) {
		return nil, after, nil
	}
	b := binary.BigEndian.AppendUint64(slices.Clone(log[:]), after)
	if after > 0 {
		b = append(b, ops[after-1].hash[:]...)
	} else {
		b = append(b, make([]byte, 32)...)
	}
	last := after
	for _, e := range ops[after:] {
		if int(last-after) >= maxOps || len(b) >= maxBytes {
			break
		}
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(e.body))), e.body...)
		last++
	}
	l.served[log] += int(last - after)
	return b, last, nil
}

func (l *memLog) Merge(_ context.Context, batches ...[]byte) (res oplog.MergeResult, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.merges++
	if l.fail != nil {
		return res, l.fail
	}
	bad := fault.New(fault.Invalid, "fault.oplog.bad_batch")
	for _, b := range batches {
		if len(b) < 56 {
			return res, bad
		}
		log, seq := oplog.LogID(b[:16]), binary.BigEndian.Uint64(b[16:])
		if prev := b[24:56]; seq > 0 && seq <= uint64(len(l.logs[log])) && !bytes.Equal(prev, l.logs[log][seq-1].hash[:]) {
			res.Forks = append(res.Forks, oplog.Fork{Log: log, Seq: seq, HashA: l.logs[log][seq-1].hash, HashB: [32]byte(prev)})
			return res, nil
		}
		for b = b[56:]; len(b) >= 4; {
			n := int(binary.BigEndian.Uint32(b))
			body := slices.Clone(b[4 : 4+n])
			b = b[4+n:]
			seq++
			ops := l.logs[log]
			switch {
			case seq > uint64(len(ops))+1:
				return res, bad
			case seq <= uint64(len(ops)):
				if h := chainHash(log, ops[:seq-1], body); h != ops[seq-1].hash {
					res.Forks = append(res.Forks, oplog.Fork{Log: log, Seq: seq, HashA: ops[seq-1].hash, HashB: h})
					return res, nil
				}
			default:
				l.logs[log] = append(ops, entry{body, chainHash(log, ops, body)})
				res.Ops++
			}
		}
	}
	l.wake()
	return res, nil
}

// Succeed goes on under another name.
func (l *memLog) Succeed(_ context.Context, was oplog.LogID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.succeed(was)
	return nil
}

func (l *memLog) succeed(was oplog.LogID) {
	if l.own == was {
		_, _ = rand.Read(l.own[:])
		l.owned[l.own] = true
	}
}

func (l *memLog) Ours(log oplog.LogID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.owned[log]
}

// Rejoin appends what differs to the own log, once.
func (l *memLog) Rejoin(_ context.Context, b []byte, at oplog.Branch) (res oplog.Rejoined, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rejoins++
	log, after := oplog.LogID(b[:16]), binary.BigEndian.Uint64(b[16:])
	res.Branch, res.Joins = at, at.Seq > 0
	if at.Seq == 0 {
		theirs := [32]byte(b[24:56])
		res.Joins = after == 0 || after <= uint64(len(l.logs[log])) && l.logs[log][after-1].hash == theirs
		if !res.Joins {
			return res, nil
		}
	}
	have := map[string]bool{}
	for _, e := range l.logs[l.own] {
		if l.own == log {
			break
		}
		have[string(e.body)] = true
	}
	carry := func(body []byte) {
		l.succeed(log)
		if !have[string(body)] {
			have[string(body)] = true
			l.logs[l.own] = append(l.logs[l.own], entry{body, chainHash(l.own, l.logs[l.own], body)})
			res.Ops++
		}
	}
	seq := after
	hash := [32]byte(b[24:56])
	for b = b[56:]; len(b) >= 4; {
		n := int(binary.BigEndian.Uint32(b))
		body := slices.Clone(b[4 : 4+n])
		b = b[4+n:]
		seq++
		if hash = sha256.Sum256(slices.Concat(log[:], hash[:], body)); seq == 1 {
			hash = chainHash(log, nil, body)
		}
		if ops := l.logs[log]; res.Seq == 0 && seq == uint64(len(ops))+1 {
			l.succeed(log)
			l.logs[log] = append(ops, entry{body, hash})
			res.Ops++
			continue
		}
		if res.Seq == 0 && seq <= uint64(len(l.logs[log])) && !bytes.Equal(l.logs[log][seq-1].body, body) {
			res.Log, res.Seq = log, seq
			for _, e := range l.logs[log][seq-1:] {
				carry(e.body)
			}
		}
		if res.Seq > 0 {
			carry(body)
		}
	}
	res.Last = seq
	if res.Seq > 0 {
		res.End = oplog.Head{Log: log, Seq: seq, Hash: hash}
	}
	l.wake()
	return res, nil
}

// bodies is what all logs hold.
func (l *memLog) bodies() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]bool{}
	for _, ops := range l.logs {
		for _, e := range ops {
			out[string(e.body)] = true
		}
	}
	return out
}

func (l *memLog) Watch() (<-chan struct{}, func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := make(chan struct{}, 1)
	l.wakes = append(l.wakes, w)
	return w, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.wakes = slices.DeleteFunc(l.wakes, func(x chan struct{}) bool { return x == w })
	}
}

func (l *memLog) heads() map[oplog.LogID]oplog.Head {
	out := map[oplog.LogID]oplog.Head{}
	for _, h := range l.Heads() {
		out[h.Log] = h
	}
	return out
}

func (l *memLog) counts() (asked, merges int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked, l.merges
}

// same reports whether all logs hold the same ops.
func same(logs ...*memLog) bool {
	first := logs[0].heads()
	for _, l := range logs[1:] {
		if !maps.Equal(first, l.heads()) {
			return false
		}
	}
	return true
}
