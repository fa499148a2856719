package mesh

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	random "math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// Letters is where a locked node puts what it is given; *letterbox.Records is one. All
// methods are called from several goroutines at once.
type Letters interface {
	Heads() []oplog.Head    // how far each log is held durably, read or not
	Put(batch []byte) error // checks with public keys, stores, flushes; what is held already is passed over
	Full() bool             // nothing more is taken in
}

// LockedConfig is what a locked node's mesh is made of: what lies readable on its card.
type LockedConfig struct {
	Seed      [32]byte // of the key the certificate is about
	Cert      []byte   // of NextLocked or Mesh.RenewLocked
	Root      ed25519.PublicKey
	Shut      func(identity.NodeID) bool // was shut out when this node was open
	Letters   Letters
	Clock     clock.Clock
	Logger    *slog.Logger // nil discards
	Listen    string       // host:port; TCP alone
	Advertise string       // as Config.Advertise: its port is what others are told
	Dir       string       // folder of peers.json, which is read and not written
}

// Locked is a locked node among the others: it takes records in and serves none. It has no
// membership key, so it is found and finds others by the addresses from before alone. All
// methods are safe for concurrent use.
type Locked struct {
	c       LockedConfig
	quiet   *quiet
	log     *slog.Logger
	self    identity.NodeID
	me      [16]byte // incarnation
	port    uint16
	tls     *tls.Config
	tcp     net.Listener
	gate    *gate
	ctx     context.Context
	cancel  context.CancelFunc
	tasks   sync.WaitGroup
	dialing chan struct{} // slots
	stage   Stage         // nil: this machine

	mu     sync.Mutex
	rnd    *random.Rand
	closed bool
	heads  map[oplog.LogID]oplog.Head
	links  []*lockedLink
	peers  map[identity.NodeID]*lockedAddr
	seeds  map[string]*dial
	claims map[oplog.LogID]*lockedLink
}

// lockedAddr is where another node is looked for.
type lockedAddr struct {
	peer
	links int
}

// StartLocked listens and looks for every node known from before, until Close. Faults:
// Conflict "fault.mesh.port_taken", Invalid "fault.mesh.bad_address", Internal
// "fault.mesh.cannot_start".
func StartLocked(c LockedConfig) (*Locked, error) {
	cannot := func(err error) error { return fault.New(fault.Internal, "fault.mesh.cannot_start").Wrap(err) }
	k, err := newLocked(c)
	if err != nil {
		return nil, cannot(err)
	}
	own, err := lockedTLS(c.Seed, c.Cert)
	if err != nil {
		return nil, cannot(err)
	}
	_, _ = rand.Read(k.me[:]) // never fails since Go 1.24
	var seed [32]byte
	_, _ = rand.Read(seed[:])
	k.rnd = random.New(random.NewChaCha8(seed))
	k.tls = &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}, NextProtos: []string{protoExchange},
		SessionTicketsDisabled: true, ClientAuth: tls.RequireAnyClientCert, VerifyConnection: k.verify,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection checks the node certificate instead
	}
	if k.tcp, err = listenTCP(c.Listen); err != nil {
		return nil, fault.New(fault.Conflict, "fault.mesh.port_taken", "Address", c.Listen).Wrap(err)
	}
	k.port = portToTell(c.Advertise, k.tcp.Addr())
	r, err := readPeers(k.c.Dir)
	if err != nil {
		k.log.Warn("locked: the file of known nodes cannot be read", "err", err)
	}
	k.load(r)
	k.refresh()
	k.tasks.Go(k.accept)
	k.tasks.Go(k.look)
	k.log.Info("locked: records are taken in", "address", k.tcp.Addr().String(), "node", k.self)
	return k, nil
}

// newLocked is one that does nothing yet.
func newLocked(c LockedConfig) (*Locked, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	cert, err := parseLocked(c.Cert, c.Root)
	if err != nil {
		return nil, err
	}
	if ed25519.PublicKey(cert.Key[:]).Equal(ed25519.NewKeyFromSeed(c.Seed[:]).Public()) == false {
		return nil, errLockedCert
	}
	k := &Locked{
		c: c, quiet: newQuiet(c.Logger, c.Clock), log: c.Logger, self: cert.Node.ID(), gate: &gate{}, dialing: make(chan struct{}, maxDials),
		heads: map[oplog.LogID]oplog.Head{}, peers: map[identity.NodeID]*lockedAddr{}, seeds: map[string]*dial{}, claims: map[oplog.LogID]*lockedLink{},
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k, nil
}

func portToTell(advertise string, at net.Addr) uint16 {
	_, port, err := net.SplitHostPort(advertise)
	if err != nil {
		_, port, _ = net.SplitHostPort(at.String())
	}
	n, _ := strconv.ParseUint(port, 10, 16)
	return uint16(n)
}

// Addr is the host:port that is listened on.
func (k *Locked) Addr() string { return k.tcp.Addr().String() }

// Links counts the nodes that could give records right now.
func (k *Locked) Links() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.links)
}

// Close ends every connection and returns when what was being stored is stored, and nothing
// runs any more. Calling it again does nothing.
func (k *Locked) Close() error {
	k.mu.Lock()
	was := k.closed
	k.closed = true
	k.mu.Unlock()
	if was {
		return nil
	}
	k.cancel()
	var err error
	if k.tcp != nil {
		err = k.tcp.Close()
	}
	k.tasks.Wait()
	return err
}

// do runs f unless the mesh is closing.
func (k *Locked) do(f func()) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return false
	}
	k.tasks.Go(f)
	return true
}

// load takes over where the others were. What cannot be read is left as it is: it is the
// open node's file.
func (k *Locked) load(r remembered) {
	for _, a := range r.Seeds {
		if validAddress(a) {
			k.seeds[a] = &dial{}
		}
	}
	for _, e := range r.Peers {
		if e.Node == k.self || len(k.peers) >= maxPeers {
			continue
		}
		p := &lockedAddr{peer: peer{node: e.Node}}
		if c, err := parseCard(e.Card, identity.DeploymentOf(k.c.Root), k.c.Root); err == nil && c.cert.ID() == e.Node {
			p.card = &c
		}
		if validAddress(e.Good) {
			p.good = e.Good
		}
		for _, a := range e.Seen {
			if validAddress(a) {
				p.saw(a)
			}
		}
		k.peers[e.Node] = p
	}
}

// verify takes open nodes of this deployment that were not shut out. Two locked ones have
// nothing to give each other.
func (k *Locked) verify(cs tls.ConnectionState) error {
	cert, err := k.peerOf(cs)
	if err == nil && k.c.Shut(cert.ID()) {
		err = errShut
	}
	return err
}

func (k *Locked) peerOf(cs tls.ConnectionState) (identity.NodeCert, error) {
	if _, err := lockedPeer(cs, k.c.Root); err == nil {
		return identity.NodeCert{}, errPeer
	}
	cert, err := peerCert(cs, k.c.Root)
	if err == nil && (cert.ID() == k.self || cs.NegotiatedProtocol != protoExchange) {
		err = errPeer
	}
	return cert, err
}

func (k *Locked) accept() {
	for {
		c, err := k.tcp.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || k.ctx.Err() != nil {
				return
			}
			k.quiet.warn("locked: cannot accept", "err", err)
			if !k.sleep(200 * time.Millisecond) {
				return
			}
			continue
		}
		p := &caller{conn: c, host: hostOf(c.RemoteAddr())}
		p.from = oneAddress(p.host)
		k.gate.enter(p)
		if !k.do(func() { k.welcome(p) }) {
			k.gate.leave(p)
			_ = c.Close()
		}
	}
}

func (k *Locked) welcome(p *caller) {
	ctx, cancel := context.WithTimeout(k.ctx, handshakeTime)
	defer cancel()
	conn := tls.Server(p.conn, k.tls)
	err := conn.HandshakeContext(ctx)
	k.gate.leave(p)
	if err != nil {
		_ = p.conn.Close()
		k.quiet.debug("locked: refused a connection", "err", err)
		return
	}
	k.run(conn, "")
}

// look dials everybody who is not connected, for ever.
func (k *Locked) look() {
	for {
		k.lookOnce()
		if !k.sleep(firstWait) {
			return
		}
	}
}

func (k *Locked) lookOnce() {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.c.Clock.Now()
	for _, id := range slices.SortedFunc(maps.Keys(k.peers), compareNodes) {
		if p := k.peers[id]; p.links == 0 && !k.c.Shut(id) {
			k.try(&p.dial, now, id, p.addrs())
		}
	}
	for _, addr := range slices.Sorted(maps.Keys(k.seeds)) {
		k.try(k.seeds[addr], now, identity.NodeID{}, []string{addr})
	}
}

// try dials when that is due. Called with the lock held.
func (k *Locked) try(d *dial, now time.Time, node identity.NodeID, addrs []string) {
	if d.busy || len(addrs) == 0 || now.Before(d.next) || k.closed {
		return
	}
	d.busy = true
	done := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		d.busy = false
		d.later(k.c.Clock.Now(), longestWait/4, k.rnd)
	}
	if k.stage != nil {
		k.stage.Dial(node, addrs, d.news, done)
		return
	}
	k.tasks.Go(func() {
		k.reach(node, addrs)
		done()
	})
}

// reach dials addrs in turn until one of them is node, and stays until that link ends; the
// zero node takes whoever answers. Somebody else who answers is worth a link as well.
func (k *Locked) reach(node identity.NodeID, addrs []string) {
	for _, a := range addrs {
		select {
		case k.dialing <- struct{}{}:
		case <-k.ctx.Done():
			return
		}
		conn, err := k.dial(a)
		<-k.dialing
		if err != nil {
			continue
		}
		cert, err := k.peerOf(conn.ConnectionState())
		if err == nil && (node.IsZero() || cert.ID() == node) {
			k.run(conn, a)
			return
		}
		if err != nil || !k.do(func() { k.run(conn, a) }) {
			_ = conn.Close()
		}
	}
}

func (k *Locked) dial(addr string) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(k.ctx, dialTime)
	defer cancel()
	c, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(c, k.tls)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return conn, nil
}

// learn keeps the newest cards of other nodes until this one is opened.
func (k *Locked) learn(raw [][]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range raw {
		c, err := parseCard(r, identity.DeploymentOf(k.c.Root), k.c.Root)
		if err != nil || c.cert.ID() == k.self {
			continue
		}
		p := k.peers[c.cert.ID()]
		if p == nil {
			if len(k.peers) >= maxPeers {
				continue
			}
			p = &lockedAddr{peer: peer{node: c.cert.ID()}}
			k.peers[p.node] = p
		}
		if p.card == nil || p.card.stamp < c.stamp {
			p.card = &c
			p.dial.now()
		}
	}
}

func (k *Locked) refresh() {
	heads := k.c.Letters.Heads()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range heads {
		if h.Seq > k.heads[h.Log].Seq {
			k.heads[h.Log] = h
		}
	}
}

func (k *Locked) sleep(d time.Duration) bool {
	select {
	case <-k.c.Clock.After(d):
		return true
	case <-k.ctx.Done():
		return false
	}
}
