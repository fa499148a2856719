package mesh

import (
	"bytes"
	"net"
	"slices"
	"strconv"
)

// advertised lists the addresses other nodes are told to dial: what the operator
// said, else every address of this machine the listener answers on. Loopback is
// told only when nothing else is listened on, link-local IPv6 never (it means
// nothing without the name of an interface).
func advertised(advertise string, listen *net.TCPAddr) []string {
	port := strconv.Itoa(listen.Port)
	if advertise != "" {
		if _, _, err := net.SplitHostPort(advertise); err != nil {
			advertise = net.JoinHostPort(advertise, port)
		}
		return []string{advertise}
	}
	if !listen.IP.IsUnspecified() && listen.IP != nil {
		return []string{net.JoinHostPort(listen.IP.String(), port)}
	}
	var four, six []string
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.IsLoopback() || n.IP.IsLinkLocalUnicast() && n.IP.To4() == nil || n.IP.IsMulticast() {
			continue
		}
		if n.IP.To4() != nil {
			four = append(four, net.JoinHostPort(n.IP.String(), port))
		} else {
			six = append(six, net.JoinHostPort(n.IP.String(), port))
		}
	}
	out := append(four, six...)
	if len(out) == 0 {
		out = []string{net.JoinHostPort("127.0.0.1", port)}
	}
	return out[:min(len(out), maxAddresses)]
}

// readvertise makes a new card when this machine's addresses changed, or the node has
// another certificate, and hands it to everybody connected.
func (m *Mesh) readvertise() error {
	addrs := m.fixed
	if addrs == nil {
		addrs = advertised(m.advertise, m.tcp.Addr().(*net.TCPAddr))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.card.raw != nil && slices.Equal(addrs, m.card.addrs) && bytes.Equal(m.card.cert.Marshal(), m.keys.Cert().Marshal()) {
		return nil
	}
	return m.newCard(addrs)
}

// newCard signs a card with a stamp above every earlier one. Called with the lock held.
func (m *Mesh) newCard(addrs []string) error {
	stamp := stampAt(m.stamp, m.clock.Now())
	c, err := makeCard(m.keys, stamp, addrs)
	if err != nil {
		return err
	}
	m.stamp, m.card = stamp, c
	for _, l := range m.links {
		l.out.send(cards{[][]byte{c.raw}})
	}
	m.changed(soon)
	return nil
}

// outdo raises the stamp above one seen on an own older card: the clock was set
// back, or the folder restored. Called with the lock held.
func (m *Mesh) outdo(stamp uint64) {
	if now := m.elapsed(); stamp <= m.card.stamp || m.outdone > 0 && now-m.outdone < outdoWait {
		return
	} else {
		m.outdone = now
	}
	if stamp > m.stamp {
		m.stamp = nextSession(stamp)
	}
	if err := m.newCard(m.card.addrs); err != nil {
		m.quiet.warn("mesh cannot sign its card", "err", err)
	}
}
