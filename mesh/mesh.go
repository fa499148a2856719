package mesh

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"log/slog"
	random "math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// Records is the journal as the mesh needs it; *oplog.Log is one. All methods
// are called from several goroutines at once.
type Records interface {
	Own() oplog.LogID
	Heads() []oplog.Head
	HashAt(log oplog.LogID, seq uint64) ([32]byte, bool)
	Range(log oplog.LogID, after uint64, maxOps, maxBytes int) (batch []byte, last uint64, err error)
	Merge(ctx context.Context, batches ...[]byte) (oplog.MergeResult, error)
	Succeed(ctx context.Context, was oplog.LogID) error
	Ours(log oplog.LogID) bool
	Rejoin(ctx context.Context, batch []byte, at oplog.Branch) (oplog.Rejoined, error)
	Watch() (notify <-chan struct{}, stop func())
	Wanting() ([]oplog.Ref, error)
}

// Keys is this node's identity as the mesh needs it; *identity.Vault is one.
type Keys interface {
	Deployment() [16]byte
	Root() ed25519.PublicKey
	Cert() identity.NodeCert
	NodeID() identity.NodeID
	Signer() crypto.Signer
	GossipKeys() [][32]byte // the one in use first, then the one before it
	InviteTo(where identity.Place, ttl time.Duration, addrs []string) (identity.Invitation, error)
	Admit(request []byte) (reply []byte, cert identity.NodeCert, err error)
}

// Book is the register of nodes as the mesh needs it; *identity.Desk is one.
type Book interface {
	Enrolled(ctx context.Context, cert identity.NodeCert) error
	Nodes() ([]identity.Node, error)
	Shut(node identity.NodeID) bool      // it was suspended or revoked: nobody deals with it
	Outcast(cert identity.NodeCert) bool // likewise, or its issuer's box was and nobody compared its words
	Follow(ctx context.Context) error    // takes in what the journal has since brought about nodes and keys
}

// Config is what a mesh is made of. Vault, Log, Desk, Clock and Dir are needed;
// a mesh never closes any of them.
type Config struct {
	Vault     Keys
	Log       Records
	Desk      Book
	Clock     clock.Clock  // has to run: connections live by deadlines read from it
	Logger    *slog.Logger // nil discards
	Listen    string       // host:port for TCP and UDP alike, such as ":7946"; port 0 picks a free one
	Advertise string       // host or host:port to tell other nodes; empty tells every address of this machine
	Dir       string       // folder of peers.json
	Pieces    Pieces       // photos and files; nil = none are exchanged
	Closed    bool         // this node came out of a backup and waits for what others know, until Opened
	Link      LinkProfile  // how much the connection to others may be used; SetLinks changes it
	Discover  bool         // look for others on the local network and be found there; SetDiscover changes it
}

// Mesh is this node among the others. All methods are safe for concurrent use.
type Mesh struct {
	keys      Keys
	records   Records
	book      Book
	pieces    Pieces
	clock     clock.Clock
	log       *slog.Logger
	quiet     *quiet
	dir       string
	advertise string

	self          identity.NodeID
	incarnation   [16]byte // random per start
	start         time.Time
	root          ed25519.PublicKey
	creds         *credentials
	tcp           net.Listener
	udp           *net.UDPConn
	transport     *transport
	gate          *gate
	pace          *pace
	startedLow    bool // memberlist runs with the low profile
	joinRate      *rate
	ctx           context.Context
	cancel        context.CancelFunc
	stage         Stage
	fixed         []string      // the addresses told to others, where they do not come from this machine
	dialling      chan struct{} // slots
	diallingFresh chan struct{} // of those there is news of
	ring          [][32]byte    // the gossip keys in use; only follow touches it

	joins      chan struct{}
	saving     sync.Mutex
	refreshing sync.Mutex // one reader of Heads at a time, so that mine never goes back

	wordsMu sync.Mutex
	wordsOf map[identity.NodeID][]string

	tasks    sync.WaitGroup
	tasksMu  sync.Mutex // guards tasksEnd and adding to tasks
	tasksEnd bool

	mu            sync.Mutex // guards the rest; never held while waiting for disk, network or memberlist
	closing       bool
	member        Membership
	healAt        time.Time
	wants         map[identity.NodeID]bool // near, as of the last look
	chose         int
	choseAt       time.Duration
	sorted        []identity.NodeID
	heardAt       time.Time         // of the oldest hint that has not come true
	report        *report           // our own, as sent last
	reported      time.Duration     // when
	fresh         []identity.NodeID // whose reports go out next
	unlikes       int               // reports in a row that were unlike those of others
	past          past
	placedAt      sum
	news          bool // something is not in it
	poked         bool
	serving       int // answers being read or written
	lastLazy      time.Duration
	lastRejoin    time.Duration
	servingPieces int
	own           oplog.LogID
	mine          map[oplog.LogID]oplog.Head // durable heads as last read
	lacking       map[oplog.LogID]uint64     // where payloads are gone without an erasure, and behind which op
	peers         map[identity.NodeID]*peer
	seeds         map[string]*dial
	knownCards    map[string]bool
	card          card
	stamp         uint64
	links         []*link
	born          uint64
	claims        map[oplog.LogID]*link // who is asked for a log
	pulling       int

	pieceClaims  map[[32]byte]*link // who is asked for a piece
	piecePulls   int
	piecePauseTo time.Time

	pauseTo    time.Time
	relayDue   bool
	rumours    map[oplog.LogID]uint64
	nextLook   time.Duration
	forks      []oplog.Fork
	forkedAt   map[oplog.LogID]time.Time
	refusals   int
	refused    []Refusal
	saveAt     time.Duration          // when the file of peers is written; 0 = nothing has changed
	savedAt    time.Duration          // when it was
	waits      bool                   // Config.Closed, until Opened
	rejoined   map[branch]bool        // second histories of own logs that were taken whole
	carried    map[oplog.LogID]uint64 // own logs whose ops from this one on lie in a later own log as well
	doubts     map[oplog.LogID]*doubt // logs with two histories: witness.go
	twins      map[[16]byte]bool      // incarnations met with our own keys
	testifying bool
	nextTwin   time.Duration // when a twin is looked for again
	outdone    time.Duration // when the own card was last renewed for another's sake

	sightings map[string]*sighting // by address, of members heard on the local network
	unfind    context.CancelFunc   // nil while nobody is looked for there
}

// Start listens, looks for every node known from before, and exchanges records
// until Close. ctx only bounds the start. Faults: Conflict
// "fault.mesh.port_taken", Invalid "fault.mesh.bad_address", Internal
// "fault.mesh.no_gossip_key", Internal "fault.mesh.cannot_start".
func Start(ctx context.Context, c Config) (*Mesh, error) {
	if keys := c.Vault.GossipKeys(); len(keys) == 0 || keys[0] == [32]byte{} {
		return nil, fault.New(fault.Internal, "fault.mesh.no_gossip_key") // memberlist would go on in the clear
	}
	m, err := newMesh(c)
	if err != nil {
		return nil, err
	}
	if err := m.equip(c.Listen); err != nil {
		m.cancel()
		return nil, err
	}
	if err := m.begin(ctx, c); err != nil {
		_ = m.Close()
		var f *fault.Error
		if errors.As(err, &f) {
			return nil, err
		}
		return nil, fault.New(fault.Internal, "fault.mesh.cannot_start").Wrap(err)
	}
	return m, nil
}

func newMesh(c Config) (*Mesh, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Advertise != "" && !validAddress(c.Advertise) && !validAddress(net.JoinHostPort(c.Advertise, "1")) {
		return nil, fault.New(fault.Invalid, "fault.mesh.bad_address", "Address", c.Advertise)
	}
	m := &Mesh{
		keys: c.Vault, records: c.Log, book: c.Desk, pieces: c.Pieces, clock: c.Clock, log: c.Logger, quiet: newQuiet(c.Logger, c.Clock),
		dir: c.Dir, advertise: c.Advertise, self: c.Vault.NodeID(), start: c.Clock.Now(), root: c.Vault.Root(),
		gate: &gate{}, joinRate: &rate{from: map[string]time.Duration{}},
		dialling: make(chan struct{}, maxDials), diallingFresh: make(chan struct{}, maxFresh), pieceClaims: map[[32]byte]*link{}, joins: make(chan struct{}, maxJoins),
		member:  nobody{},
		wordsOf: map[identity.NodeID][]string{}, mine: map[oplog.LogID]oplog.Head{},
		peers: map[identity.NodeID]*peer{}, seeds: map[string]*dial{}, knownCards: map[string]bool{},
		claims: map[oplog.LogID]*link{}, rumours: map[oplog.LogID]uint64{}, twins: map[[16]byte]bool{},
		waits: c.Closed, rejoined: map[branch]bool{}, carried: map[oplog.LogID]uint64{}, sightings: map[string]*sighting{},
	}
	m.pace, m.startedLow = newPace(c.Link, m.elapsed), c.Link.Low
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m, nil
}

// equip gives m this machine: its own randomness, its credentials, its port.
func (m *Mesh) equip(listen string) (err error) {
	_, _ = rand.Read(m.incarnation[:]) // never fails since Go 1.24
	var seed [32]byte
	_, _ = rand.Read(seed[:])
	m.stage = &machine{m: m, rnd: random.New(random.NewChaCha8(seed))}
	if m.creds, err = newCredentials(m.keys, m.book.Outcast); err != nil {
		return fault.New(fault.Internal, "fault.mesh.cannot_start").Wrap(err)
	}
	if m.transport, err = newTransport(m, m.keys.GossipKeys()); err != nil {
		return fault.New(fault.Internal, "fault.mesh.cannot_start").Wrap(err)
	}
	m.tcp, m.udp, err = listenBoth(listen)
	return err
}

// begin brings the parts up in the order they need each other.
func (m *Mesh) begin(ctx context.Context, c Config) error {
	notify, stop := m.records.Watch()
	m.goDo(m.packetLoop)
	g, err := startGossip(m)
	if err != nil {
		stop()
		return err
	}
	m.mu.Lock()
	m.member = g
	m.mu.Unlock()
	m.goDo(func() { defer stop(); m.watchLoop(notify) })
	if err := m.commence(); err != nil {
		return err
	}
	m.goDo(m.acceptLoop)
	m.SetDiscover(c.Discover)
	m.log.Info("mesh listens", "address", m.tcp.Addr().String(), "node", m.self)
	return ctx.Err()
}

// commence remembers whom this node knew and goes looking for them.
func (m *Mesh) commence() error {
	m.ring = m.keys.GossipKeys()
	m.mu.Lock()
	m.load()
	m.mu.Unlock()
	if err := m.readvertise(); err != nil {
		return err
	}
	m.refresh()
	m.stage.After(followEvery, func() { m.stage.Work(m.follow) })
	m.stage.After(keepEvery, m.keep)
	m.mu.Lock()
	m.poke()
	m.mu.Unlock()
	return nil
}

// keep does what has to be done from time to time.
func (m *Mesh) keep() {
	m.stage.After(keepEvery, m.keep)
	now := m.elapsed()
	m.mu.Lock()
	m.keepAlive()
	m.look(m.clock.Now())
	m.part(m.clock.Now())
	m.placeLate()
	m.reportSome()
	m.stuck(m.clock.Now())
	m.stuckPieces(m.clock.Now())
	m.testify()
	m.schedule()
	if now-m.lastLazy >= min(lazyALink*time.Duration(len(m.links)), m.timing().lazyMost) {
		m.lastLazy = now
		m.tellAll()
	}
	again := now-m.lastRejoin >= m.timing().rejoinEvery
	if again {
		m.lastRejoin = now
		m.stage.Work(m.member.Rejoin) // may wait for nodes that do not answer
	}
	m.poke()
	m.mu.Unlock()
	if again {
		if err := m.readvertise(); err != nil {
			m.quiet.warn("mesh cannot sign its card", "err", err)
		}
	}
	m.stage.Work(func() { m.save(false) })
}

// keepEvery is how often.
const keepEvery = time.Second

// nobody is the membership of a node that has none yet.
type nobody struct{}

func (nobody) Announce(oplog.LogID, []byte) {}
func (nobody) Linked(string, string, bool)  {}
func (nobody) Unlinked(string)              {}
func (nobody) Here(identity.NodeID) bool    { return false }
func (nobody) Rejoin()                      {}
func (nobody) Rekey([][32]byte) error       { return nil }
func (nobody) Leave()                       {}
func (nobody) Close() error                 { return nil }

// Addr is the host:port that is listened on, for TCP and UDP; the host may be
// unspecified.
func (m *Mesh) Addr() string { return m.tcp.Addr().String() }

// Node is this node's id.
func (m *Mesh) Node() oplog.ID { return m.self }

// Close ends every connection, writes down where the others were, and returns
// when nothing of the mesh runs any more, within two seconds on a healthy
// machine. Calling it again does nothing.
func (m *Mesh) Close() error {
	m.mu.Lock()
	if m.closing {
		m.mu.Unlock()
		return nil
	}
	m.closing = true
	g := m.member
	m.mu.Unlock()
	var errs []error
	g.Leave()
	m.tasksMu.Lock()
	m.tasksEnd = true
	m.tasksMu.Unlock()
	m.cancel()
	if m.tcp != nil {
		errs = append(errs, m.tcp.Close())
	}
	errs = append(errs, g.Close())
	if m.udp != nil {
		if err := m.udp.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	m.tasks.Wait()
	m.save(true)
	return errors.Join(errs...)
}

// goDo runs f unless the mesh is closing; Close waits for it.
func (m *Mesh) goDo(f func()) bool {
	m.tasksMu.Lock()
	defer m.tasksMu.Unlock()
	if m.tasksEnd {
		return false
	}
	m.tasks.Go(f)
	return true
}

// elapsed is the time since Start, whatever is done to the wall clock.
func (m *Mesh) elapsed() time.Duration { return m.clock.Now().Sub(m.start) }

// hello is our greeting.
func (m *Mesh) hello() hello {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := hello{proto: protocol, incarnation: m.incarnation, own: m.own, card: m.card.raw}
	// The port that goes with the address a connection is seen to come from.
	if len(m.card.addrs) > 0 {
		if _, port, err := net.SplitHostPort(m.card.addrs[0]); err == nil {
			n, _ := strconv.ParseUint(port, 10, 16)
			h.port = uint16(n)
		}
	}
	return h
}

// dialTCP opens a plain connection.
func (m *Mesh) dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	return (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", addr) // the exchange pings by itself
}
