package mesh

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// Stage is where a mesh carries out what it decides. What decides starts no goroutine,
// waits for nothing and draws no random number by itself, so that a whole camp can be
// played in one goroutine, and the same seed plays it again: see meshtest. A Stage is
// called with the mesh's lock held and returns at once; what it was given runs later,
// without the lock, and not at all once the mesh is closing.
type Stage interface {
	// After runs turn when d has passed.
	After(d time.Duration, turn func())
	// Work runs do, which may wait for a disk.
	Work(do func())
	// Dial looks for node at addrs, the zero node takes whoever answers; every connection
	// that comes of it goes to the mesh as a Line. done runs when all tries have ended.
	// One there is news of does not wait behind those who have not answered for long.
	Dial(node identity.NodeID, addrs []string, news bool, done func())
	// Rand is used with the mesh's lock held.
	Rand() *rand.Rand
	// Load and Save keep what is remembered of other nodes. Save returns when it is durable;
	// no lock is held.
	Load() ([]byte, error)
	Save(b []byte) error
}

// Line is an authenticated connection to another node as the mesh needs it.
type Line interface {
	// Wake says that a frame waits to be taken with Link.Next. Called from anywhere.
	Wake()
	// Close ends the line; Link.Ended follows, never within the call.
	Close()
	// Remote is where the other end is seen, host:port.
	Remote() string
	// Bytes went through it, TLS included.
	Bytes() (in, out uint64)
}

// Membership says who is there and passes hints on, unreliably: memberlist is one. No
// decision rests on it. All methods but Rejoin, Leave and Close are called with the mesh's
// lock held and return at once.
type Membership interface {
	// Announce has everybody hear a hint; newer ones of the same log replace it.
	Announce(log oplog.LogID, hint []byte)
	// Linked and Unlinked tell of exchange links; name is that of the node's start.
	Linked(name, addr string, dialled bool)
	Unlinked(name string)
	// Here says whether some start of the node counts as there.
	Here(node identity.NodeID) bool
	// Rejoin meets those again that are linked and were lost sight of; it may take long.
	Rejoin()
	// Rekey goes over to the first of keys and accepts the others.
	Rekey(keys [][32]byte) error
	// Leave says goodbye, Close ends it.
	Leave()
	Close() error
}

// Play makes a mesh of c on a stage and with a membership that are not this machine's, and
// starts it. Nothing is listened on: whoever plays hands every connection to Meet. Listen
// and Dir of c are not used; addr is where the node is found on that stage. Close ends it
// without a goodbye: in a played camp that is what a power cut does.
func Play(c Config, s Stage, ms Membership, addr string) (*Mesh, error) {
	m, err := newMesh(c)
	if err != nil {
		return nil, err
	}
	m.stage, m.member, m.fixed = s, ms, []string{addr}
	r := s.Rand()
	for i := range m.incarnation {
		m.incarnation[i] = byte(r.Uint32())
	}
	return m, m.commence()
}

// Name is the name of this start among the members.
func (m *Mesh) Name() string { return hex.EncodeToString(m.incarnation[:]) }

// Silence is how long a line that brings nothing is believed to work, as a rule: twice as
// long as it may be before it is asked, and some more. What counts is Link.Silence.
const Silence = 75 * time.Second

// Link is one exchange connection in the hands of whoever carries its bytes. Next may be
// called while Receive is; each of them by one goroutine at a time.
type Link struct{ l *link }

// Meet takes a line to the node of cert, whom the caller has authenticated; dialled is the
// address this node dialled, empty when the other one did.
func (m *Mesh) Meet(line Line, cert identity.NodeCert, dialled string) *Link {
	return &Link{m.newLink(line, cert, dialled)}
}

// Useful reports whether a connection to cert's node, met while wanted was looked for, is
// worth having. Nobody is refused who is not sure of it.
func (m *Mesh) Useful(cert identity.NodeCert, wanted identity.NodeID) bool {
	return m.useful(cert, wanted)
}

// Silence is how long this line is believed while it brings nothing: longer where one of its
// ends wants to say little.
func (k *Link) Silence() time.Duration { return k.l.timing().silence }

// Next is the frame to send now, nil when there is none; left is to be called, when it is
// not nil, after the frame has left.
func (k *Link) Next() (frame []byte, left func()) { return k.l.out.next() }

// Receive takes one whole frame. After an error the line is to be closed.
func (k *Link) Receive(frame []byte) error {
	if len(frame) < headerSize || len(frame)-headerSize > maxPayload(kind(frame[0])) {
		return errFrame
	}
	return k.l.received(kind(frame[0]), frame[headerSize:])
}

// Ended is called once, after the last Receive.
func (k *Link) Ended() { k.l.m.detach(k.l) }

// Changed tells the mesh that the journal has grown; Start watches the journal by itself.
func (m *Mesh) Changed() { m.refresh() }

// Heard takes a hint that another node announced.
func (m *Mesh) Heard(hint []byte) {
	if marks, ok := parseHints(hint); ok {
		m.rumour(marks)
	}
}

// machine is the stage of a real node.
type machine struct {
	m   *Mesh
	rnd *rand.Rand
}

func (s *machine) After(d time.Duration, turn func()) {
	s.m.goDo(func() {
		if s.m.sleep(d) {
			turn()
		}
	})
}

func (s *machine) Work(do func()) { s.m.goDo(do) }

func (s *machine) Dial(node identity.NodeID, addrs []string, news bool, done func()) {
	s.m.goDo(func() {
		s.m.dialNode(node, addrs, news)
		done()
	})
}

func (s *machine) Rand() *rand.Rand { return s.rnd }

func (s *machine) Load() ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(s.m.dir, peersName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

func (s *machine) Save(b []byte) error { return replaceFile(s.m.dir, peersName, b) }
