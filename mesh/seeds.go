package mesh

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
)

// DefaultPort is where a node listens when nobody said otherwise.
const DefaultPort = "7946"

const (
	maxSeeds = 64
	seedWait = 5 * time.Second // for a node that was reached to become a link
)

// Addresses are where other nodes reach this one, the likeliest first.
func (m *Mesh) Addresses() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.card.addrs)
}

// Seeds are the addresses somebody gave where nobody has answered yet; they are dialled
// for ever.
func (m *Mesh) Seeds() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]string, 0, len(m.seeds))
	for a := range m.seeds {
		out = append(out, a)
	}
	slices.Sort(out)
	return out
}

// ForgetSeed stops dialling one. Fault: NotFound "fault.mesh.no_seed".
func (m *Mesh) ForgetSeed(addr string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.seeds[addr]; !known {
		return fault.New(fault.NotFound, "fault.mesh.no_seed", "Address", addr)
	}
	delete(m.seeds, addr)
	m.changed(soon)
	return nil
}

// addressesIn are the addresses in what a person typed, or a camera read off another
// node's screen: apart by blanks or commas, with DefaultPort where none is said.
func addressesIn(text string) ([]string, bool) {
	var out []string
	for _, a := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ';' || r <= ' ' }) {
		if _, _, err := net.SplitHostPort(a); err != nil {
			a = net.JoinHostPort(strings.Trim(a, "[]"), DefaultPort)
		}
		if !validAddress(a) {
			return nil, false
		}
		if !slices.Contains(out, a) && len(out) < maxAddresses {
			out = append(out, a)
		}
	}
	return out, len(out) > 0
}

// Look dials a node at an address that somebody gave, or at several, apart by blanks,
// and returns who it is once records can be exchanged. Addresses where nobody answers
// are remembered and dialled for ever. It takes up to 10 s. Faults: Invalid
// "fault.mesh.bad_address"; Conflict "fault.mesh.too_many_seeds"; Unavailable
// "fault.mesh.no_answer" (remembered); Conflict "fault.mesh.other_deployment",
// "fault.mesh.is_this_box"; Denied "fault.mesh.shut_out" for a node that was suspended or
// revoked, "fault.mesh.not_let_in" where it does not deal with this one.
func (m *Mesh) Look(ctx context.Context, text string) (identity.NodeID, error) {
	addrs, ok := addressesIn(text)
	if !ok {
		return identity.NodeID{}, fault.New(fault.Invalid, "fault.mesh.bad_address", "Address", text)
	}
	ctx, cancel := context.WithTimeout(ctx, seedWait+dialTime)
	defer cancel()
	var worst error
	var silent []string
	for _, a := range addrs {
		id, err := m.lookAt(ctx, a)
		switch {
		case err == nil:
			return id, nil
		case fault.ClassOf(err) == fault.Unavailable:
			silent = append(silent, a)
		default:
			worst = err
		}
	}
	if worst != nil {
		return identity.NodeID{}, worst
	}
	if err := m.remember(silent); err != nil {
		return identity.NodeID{}, err
	}
	return identity.NodeID{}, fault.New(fault.Unavailable, "fault.mesh.no_answer", "Address", strings.Join(silent, ", "))
}

// remember adds seeds.
func (m *Mesh) remember(addrs []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range addrs {
		if _, known := m.seeds[a]; known {
			continue
		}
		if len(m.seeds) >= maxSeeds {
			return fault.New(fault.Conflict, "fault.mesh.too_many_seeds", "Count", maxSeeds)
		}
		m.seeds[a] = &dial{news: true}
	}
	m.changed(soon)
	m.poke()
	return nil
}

// lookAt dials one address and says who is there, or why nobody is.
func (m *Mesh) lookAt(ctx context.Context, addr string) (identity.NodeID, error) {
	conn, raw, cert, err := m.dialExchange(ctx, addr)
	if err != nil {
		return identity.NodeID{}, whyNot(err, addr)
	}
	id := cert.ID()
	if id == m.self {
		_ = conn.Close()
		m.isSelf(addr)
		return id, fault.New(fault.Conflict, "fault.mesh.is_this_box", "Address", addr)
	}
	if !m.useful(cert, identity.NodeID{}) { // linked twice already: nothing to add
		_ = conn.Close()
		return id, nil
	}
	over := make(chan struct{})
	if !m.goDo(func() { defer close(over); m.runLine(conn, raw, cert, addr) }) {
		_ = conn.Close()
		return id, fault.New(fault.Unavailable, "fault.mesh.no_answer", "Address", addr)
	}
	for {
		if m.hasLink(id) {
			return id, nil
		}
		select {
		case <-over: // the other end closed it, or another link to the node is better
			if m.hasLink(id) {
				return id, nil
			}
			return id, fault.New(fault.Denied, "fault.mesh.not_let_in", "Address", addr)
		case <-m.clock.After(50 * time.Millisecond):
		case <-ctx.Done():
			return id, fault.New(fault.Unavailable, "fault.mesh.no_answer", "Address", addr).Wrap(ctx.Err())
		}
	}
}

// hasLink says whether a node has greeted and said what it holds.
func (m *Mesh) hasLink(id identity.NodeID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[id]
	return p != nil && slices.ContainsFunc(p.links, func(l *link) bool { return l.whole })
}

// whyNot says in words why a connection did not come about.
func whyNot(err error, addr string) error {
	var network *net.OpError
	switch {
	case errors.Is(err, errShut):
		return fault.New(fault.Denied, "fault.mesh.shut_out", "Address", addr).Wrap(err)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Op != "remote error":
		return fault.New(fault.Unavailable, "fault.mesh.no_answer", "Address", addr).Wrap(err)
	}
	return fault.New(fault.Conflict, "fault.mesh.other_deployment", "Address", addr).Wrap(err)
}
