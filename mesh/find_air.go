package mesh

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	mrand "math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	findPort  = "5353"
	findLook  = 10 * time.Second // after new addresses of this machine
	findPause = time.Second      // between two packets to one network (RFC 6762, 6)
	findBurst = 3                // questions at the start and at a new address
	findHops  = 255              // as RFC 6762 wants it; the addresses do not leave the local network anyway
	maxPlaces = 32
)

var (
	findGroup4 = net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}
	findGroup6 = net.UDPAddr{IP: net.ParseIP("ff02::fb"), Port: 5353}
)

// place is an address of this machine that others may dial, and the network it is in.
type place struct {
	ifi  net.Interface
	addr netip.Addr // link-local ones with their zone
	net  netip.Prefix
}

// finder tells the local networks that a node is there, and listens who else is.
type finder struct {
	m      *Mesh
	secret [32]byte // of this start: what nonces are made of
	port   uint16
	asked  chan struct{}
	say4   *ipv4.PacketConn // nil where there is none
	say6   *ipv6.PacketConn

	mu     sync.Mutex
	places []place
	second time.Duration // being counted
	heard  int           // packets read in it
}

// SetDiscover has the node look for others on the local network and be found there, or
// not. Where that is not possible it says so in one line of the log. Safe for concurrent
// use; Discovers says which.
func (m *Mesh) SetDiscover(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if on == (m.unfind != nil) || m.closing {
		return
	}
	if !on {
		m.unfind()
		m.unfind = nil
		return
	}
	ctx, cancel := context.WithCancel(m.ctx)
	f := &finder{m: m, asked: make(chan struct{}, 1), port: m.tcpPort()}
	_, _ = rand.Read(f.secret[:]) // never fails since Go 1.24
	if !m.goDo(func() { f.run(ctx) }) {
		cancel()
		return
	}
	m.unfind = cancel
}

// Discovers says whether the node looks for others on the local network.
func (m *Mesh) Discovers() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.unfind != nil
}

func (m *Mesh) tcpPort() uint16 {
	t, _ := m.tcp.Addr().(*net.TCPAddr)
	if t == nil {
		return 0
	}
	return uint16(t.Port) //nolint:gosec // a port
}

// run speaks and listens until ctx ends.
func (f *finder) run(ctx context.Context) {
	if !f.open() {
		f.m.mu.Lock()
		if ctx.Err() == nil {
			f.m.unfind = nil
		}
		f.m.mu.Unlock()
		f.m.log.Info("mesh does not look for others on the local network: port " + findPort + " or multicast is not to be had")
		return
	}
	stop := context.AfterFunc(ctx, f.close)
	defer stop()
	var readers sync.WaitGroup
	defer readers.Wait()
	if f.say4 != nil {
		readers.Go(func() { f.read(ctx, f.read4) })
	}
	if f.say6 != nil {
		readers.Go(func() { f.read(ctx, f.read6) })
	}
	var next, last time.Duration
	burst := findBurst
	for {
		if f.look() {
			burst, next = findBurst, 0
		}
		if now := f.m.elapsed(); now >= next {
			f.say(burst > 0)
			burst, last = max(burst-1, 0), now
			next = now + jitter(f.m.timing().announceEvery)
			if burst > 0 {
				next = now + findPause*time.Duration(1+findBurst-burst)
			}
		}
		select {
		case <-f.asked: // everybody answers: not all at the same moment
			next = min(next, max(last+findPause, f.m.elapsed()+jitter(findPause/4)))
		case <-f.m.clock.After(min(max(next-f.m.elapsed(), findPause/100), findLook)):
		case <-ctx.Done():
			return
		}
	}
}

// jitter is d, a quarter more or less.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(mrand.Int64N(int64(d/2)))
}

// open takes the multicast port, shared with whoever else speaks on it.
func (f *finder) open() bool {
	lc := net.ListenConfig{Control: shareAddress}
	if pc, err := lc.ListenPacket(f.m.ctx, "udp4", "224.0.0.251:"+findPort); err == nil {
		f.say4 = ipv4.NewPacketConn(pc)
		_ = f.say4.SetControlMessage(ipv4.FlagInterface, true)
		_ = f.say4.SetMulticastTTL(findHops)
	}
	if pc, err := lc.ListenPacket(f.m.ctx, "udp6", "[ff02::fb]:"+findPort); err == nil {
		f.say6 = ipv6.NewPacketConn(pc)
		_ = f.say6.SetControlMessage(ipv6.FlagInterface, true)
		_ = f.say6.SetMulticastHopLimit(findHops)
	}
	return f.say4 != nil || f.say6 != nil
}

func (f *finder) close() {
	if f.say4 != nil {
		_ = f.say4.Close()
	}
	if f.say6 != nil {
		_ = f.say6.Close()
	}
}

// look finds out where this machine is now, and listens there. True when that changed.
func (f *finder) look() bool {
	places := f.where()
	f.mu.Lock()
	changed := len(places) != len(f.places)
	for i := 0; !changed && i < len(places); i++ {
		changed = places[i].addr != f.places[i].addr || places[i].ifi.Index != f.places[i].ifi.Index
	}
	f.places = places
	f.mu.Unlock()
	for _, p := range places { // fails where it was done before
		switch {
		case p.addr.Is4() && f.say4 != nil:
			_ = f.say4.JoinGroup(&p.ifi, &findGroup4)
		case p.addr.Is6() && f.say6 != nil:
			_ = f.say6.JoinGroup(&p.ifi, &findGroup6)
		}
	}
	return changed
}

// where are the addresses of this machine that are listened on: IPv4, and IPv6 within one
// network, where a name of it is not needed.
func (f *finder) where() []place {
	listen, _ := netip.AddrFromSlice(f.m.tcp.Addr().(*net.TCPAddr).IP)
	only4 := listen.Is4()
	listen = listen.Unmap()
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var out []place
	for _, ifi := range all {
		loop := ifi.Flags&net.FlagLoopback != 0
		if ifi.Flags&net.FlagUp == 0 || loop != listen.IsLoopback() || !loop && ifi.Flags&net.FlagMulticast == 0 {
			continue
		}
		addrs, err := ifi.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			n, ok := a.(*net.IPNet)
			if !ok || len(out) >= maxPlaces {
				continue
			}
			ip, _ := netip.AddrFromSlice(n.IP)
			ip = ip.Unmap()
			ones, _ := n.Mask.Size()
			switch {
			case !listen.IsUnspecified() && ip != listen, ip.Is6() && (only4 || !ip.IsLinkLocalUnicast()):
				continue
			case ip.Is6():
				ip = ip.WithZone(ifi.Name)
			}
			if p, err := ip.WithZone("").Prefix(ones); err == nil {
				out = append(out, place{ifi, ip, p})
			}
		}
	}
	return out
}

// say tells every network that the node is there, and asks who else is.
func (f *finder) say(ask bool) {
	question, err := findQuestion()
	keys := f.m.keys.GossipKeys()
	if err != nil || len(keys) == 0 {
		return
	}
	f.mu.Lock()
	places := f.places
	f.mu.Unlock()
	key := findKey(keys[0], f.m.keys.Deployment())
	for _, p := range places {
		at := netip.AddrPortFrom(p.addr.WithZone(""), f.port)
		answer, err := findAnswer(findMark(key, f.nonce(at), at), f.port)
		if err != nil {
			continue
		}
		if ask {
			f.send(p, question)
		}
		f.send(p, answer)
	}
}

// nonce is other at each start, each day and each address.
func (f *finder) nonce(at netip.AddrPort) []byte {
	h := hmac.New(sha256.New, f.secret[:])
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(f.m.elapsed()/findDay))) //nolint:gosec // days since Start
	ip := at.Addr().As16()
	h.Write(ip[:])
	return h.Sum(nil)[:findNonce]
}

// send puts a packet on the network of a place, from its address.
func (f *finder) send(p place, b []byte) {
	f.m.pace.debit(nil, len(b))
	switch ip := net.IP(p.addr.AsSlice()); {
	case p.addr.Is4() && f.say4 != nil:
		to := findGroup4
		_, _ = f.say4.WriteTo(b, &ipv4.ControlMessage{IfIndex: p.ifi.Index, Src: ip}, &to)
	case p.addr.Is6() && f.say6 != nil:
		to := findGroup6
		to.Zone = p.ifi.Name
		_, _ = f.say6.WriteTo(b, &ipv6.ControlMessage{IfIndex: p.ifi.Index, Src: ip}, &to)
	}
}

func (f *finder) read4(b []byte) (int, int, net.Addr, error) {
	n, cm, from, err := f.say4.ReadFrom(b)
	if cm == nil {
		return n, 0, from, err
	}
	return n, cm.IfIndex, from, err
}

func (f *finder) read6(b []byte) (int, int, net.Addr, error) {
	n, cm, from, err := f.say6.ReadFrom(b)
	if cm == nil {
		return n, 0, from, err
	}
	return n, cm.IfIndex, from, err
}

// read takes packets until the socket closes.
func (f *finder) read(ctx context.Context, next func([]byte) (int, int, net.Addr, error)) {
	buf := make([]byte, 9000) // RFC 6762, 17
	for ctx.Err() == nil {
		n, ifIndex, from, err := next(buf)
		if err != nil {
			if ctx.Err() == nil && !f.m.sleep(findPause) { // an interface that went: no reason to spin
				return
			}
			continue
		}
		f.take(buf[:n], ifIndex, from)
	}
}

// take acts on one packet from anybody.
func (f *finder) take(packet []byte, ifIndex int, from net.Addr) {
	udp, ok := from.(*net.UDPAddr)
	if !ok {
		return
	}
	h, err := parseFind(packet)
	if err != nil || !h.asked && len(h.found) == 0 || !f.room() {
		return
	}
	src := udp.AddrPort().Addr().Unmap()
	near, own := f.near(ifIndex, src)
	if !near {
		return
	}
	if h.asked {
		select {
		case f.asked <- struct{}{}:
		default:
		}
	}
	var keys [][]byte
	for _, k := range f.m.keys.GossipKeys() {
		keys = append(keys, findKey(k, f.m.keys.Deployment()))
	}
	for _, x := range h.found {
		at := netip.AddrPortFrom(src.WithZone(""), x.port)
		if own && x.port == f.port || !recognises(keys, x.mark, at) {
			continue
		}
		f.m.found(netip.AddrPortFrom(src, x.port).String(), x.mark)
	}
}

// room limits how many packets about our service are looked into in a second.
func (f *finder) room() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.m.elapsed().Truncate(time.Second); now != f.second {
		f.second, f.heard = now, 0
	}
	f.heard++
	return f.heard <= maxHeard
}

// near says whether an address is of the network a packet came in by, and whether it is
// this machine's own.
func (f *finder) near(ifIndex int, src netip.Addr) (near, own bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.places {
		if p.ifi.Index == ifIndex && p.net.Contains(src.WithZone("")) {
			near = true
		}
		own = own || p.addr == src
	}
	return near, own
}
