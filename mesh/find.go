package mesh

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/waypost/waypost/appliance/identity"
)

// How nodes find each other on a local network nobody has told them about. They speak
// DNS-SD over multicast DNS (RFC 6762, 6763), because access points, sleeping phones and
// switches let that through, and say nothing in it that means anything to a stranger: the
// service is called findService, and the instance is
//
//	nonce 8 | first 12 bytes of HMAC-SHA-256(k, nonce | port 2 | address 16)
//	k = HMAC-SHA-256(gossip key, "waypost/find/1" | deployment 16)
//
// in base32 without padding, small letters. The nonce is other at each start, each day of
// running and for each address, so nobody can follow a box by it. The address is the one
// the packet comes from, and it has to be of the network it came in by: so who repeats
// what a node said can lead others to that node only, and nobody can have a box knock at
// doors far away. Which node it is, and whether it belongs here, mutual TLS says.
const (
	findService = "_peers._tcp.local."
	findDay     = 24 * time.Hour
	findNonce   = 8
	findMAC     = 12
	findTTL     = 120
	maxFindings = 8   // services looked at in one packet
	maxRecords  = 64  // records read in one packet
	maxHeard    = 100 // packets about our service that are read in a second
	maxFound    = 512 // addresses remembered: two each of 250 members on one network
	findAgain   = 20 * time.Second
)

var findText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// findHint is in every packet that names our service as we and our peers spell it.
var findHint = []byte("\x06_peers\x04_tcp\x05local\x00")

// findKey makes of a gossip key the one that marks are made with.
func findKey(gossip [32]byte, deployment [16]byte) []byte {
	h := hmac.New(sha256.New, gossip[:])
	h.Write([]byte("waypost/find/1"))
	h.Write(deployment[:])
	return h.Sum(nil)
}

// findMark is the instance name a node shows at an address.
func findMark(key, nonce []byte, at netip.AddrPort) string {
	h := hmac.New(sha256.New, key)
	h.Write(nonce[:findNonce])
	h.Write(binary.BigEndian.AppendUint16(nil, at.Port()))
	ip := at.Addr().As16()
	h.Write(ip[:])
	return findText.EncodeToString(append(append([]byte{}, nonce[:findNonce]...), h.Sum(nil)[:findMAC]...))
}

// recognises says whether a mark was made at that address by somebody with one of the keys.
func recognises(keys [][]byte, mark string, at netip.AddrPort) bool {
	raw, err := findText.DecodeString(mark)
	if err != nil || len(raw) != findNonce+findMAC {
		return false
	}
	for _, k := range keys {
		if hmac.Equal([]byte(findMark(k, raw, at)), []byte(mark)) {
			return true
		}
	}
	return false
}

// finding is a service that somebody says is there.
type finding struct {
	mark string
	port uint16
}

// mention is what a packet says about our service.
type mention struct {
	asked bool
	found []finding
}

var errFind = errors.New("mesh: not about our service")

// parseFind reads a multicast DNS packet. It never keeps more than maxFindings.
func parseFind(packet []byte) (mention, error) {
	var out mention
	if !bytes.Contains(packet, findHint) {
		return out, errFind
	}
	var p dnsmessage.Parser
	h, err := p.Start(packet)
	if err != nil {
		return out, err
	}
	for n := 0; ; n++ {
		q, err := p.Question()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil || n >= maxRecords {
			return out, errFind
		}
		named := strings.EqualFold(q.Name.String(), findService)
		out.asked = out.asked || !h.Response && named && (q.Type == dnsmessage.TypePTR || q.Type == dnsmessage.TypeALL)
	}
	if !h.Response {
		return out, nil
	}
	for range maxRecords {
		r, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return out, err
		}
		mark, ours := strings.CutSuffix(strings.ToLower(r.Name.String()), "."+findService)
		if r.Type != dnsmessage.TypeSRV || !ours || len(out.found) >= maxFindings {
			if err := p.SkipAnswer(); err != nil {
				return out, err
			}
			continue
		}
		srv, err := p.SRVResource()
		if err != nil {
			return out, err
		}
		if r.TTL > 0 && srv.Port > 0 {
			out.found = append(out.found, finding{mark, srv.Port})
		}
	}
	return out, nil
}

// findAnswer says that a node is there. It holds no address: the packet has one.
func findAnswer(mark string, port uint16) ([]byte, error) {
	service, err := dnsmessage.NewName(findService)
	if err != nil {
		return nil, err
	}
	instance, err := dnsmessage.NewName(mark + "." + findService)
	if err != nil {
		return nil, err
	}
	host, err := dnsmessage.NewName(mark + ".local.")
	if err != nil {
		return nil, err
	}
	head := func(name dnsmessage.Name, t dnsmessage.Type) dnsmessage.ResourceHeader {
		return dnsmessage.ResourceHeader{Name: name, Type: t, Class: dnsmessage.ClassINET, TTL: findTTL}
	}
	b := dnsmessage.NewBuilder(make([]byte, 0, 256), dnsmessage.Header{Response: true, Authoritative: true})
	b.EnableCompression()
	err = b.StartAnswers()
	if err == nil {
		err = b.PTRResource(head(service, dnsmessage.TypePTR), dnsmessage.PTRResource{PTR: instance})
	}
	if err == nil {
		err = b.SRVResource(head(instance, dnsmessage.TypeSRV), dnsmessage.SRVResource{Port: port, Target: host})
	}
	if err == nil {
		err = b.TXTResource(head(instance, dnsmessage.TypeTXT), dnsmessage.TXTResource{TXT: []string{""}})
	}
	if err != nil {
		return nil, err
	}
	return b.Finish()
}

// findQuestion asks who is there.
func findQuestion() ([]byte, error) {
	service, err := dnsmessage.NewName(findService)
	if err != nil {
		return nil, err
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{})
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	if err := b.Question(dnsmessage.Question{Name: service, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET}); err != nil {
		return nil, err
	}
	return b.Finish()
}

// sighting is an address that a member was heard at.
type sighting struct {
	mark  string
	node  identity.NodeID // who answered there under this mark; zero before somebody has
	again time.Duration   // when it may be tried again
}

// found dials an address that a member was heard at, unless it is known who is there and
// that node is connected. An address costs one try each findAgain, whatever is said about
// it.
func (m *Mesh) found(addr, mark string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.elapsed()
	s := m.sightings[addr]
	if m.closing || s != nil && (now < s.again || s.mark == mark && m.isLinked(s.node)) {
		return
	}
	if s == nil {
		if !m.roomToSee(now) {
			return
		}
		s = &sighting{}
		m.sightings[addr] = s
	}
	if s.mark != mark {
		s.mark, s.node = mark, identity.NodeID{}
	}
	s.again = now + findAgain
	m.goDo(func() { m.dialFound(addr, mark) })
}

// roomToSee makes room for one more address, if need be at the cost of one that may be
// tried again anyway. Called with the lock held.
func (m *Mesh) roomToSee(now time.Duration) bool {
	if len(m.sightings) < maxFound {
		return true
	}
	for a, s := range m.sightings {
		if now >= s.again {
			delete(m.sightings, a)
		}
	}
	return len(m.sightings) < maxFound
}

// dialFound makes a link to whoever is at an address, unless nobody needs one. Among many
// it would be given up again as soon as both hold the same: fifty nodes that had each other's
// addresses forgotten and found again took 1 MB a minute for that.
func (m *Mesh) dialFound(addr, mark string) {
	select {
	case m.diallingFresh <- struct{}{}:
		defer func() { <-m.diallingFresh }()
	case <-m.ctx.Done():
		return
	}
	conn, raw, cert, err := m.dialExchange(m.ctx, addr)
	if err != nil {
		m.quiet.debug("mesh cannot reach a member it heard of", "err", err)
		return
	}
	m.mu.Lock()
	if s := m.sightings[addr]; s != nil && s.mark == mark {
		s.node = cert.ID()
	}
	needless := m.isLinked(cert.ID())
	m.mu.Unlock()
	if needless || !m.useful(cert, cert.ID()) || !m.goDo(func() { m.runLine(conn, raw, cert, addr) }) {
		_ = conn.Close()
	}
}

// isLinked says whether nobody needs to dial a node: it is connected, or it is there and its
// records come over others. Called with the lock held.
func (m *Mesh) isLinked(id identity.NodeID) bool {
	p := m.peers[id]
	return p != nil && (p.linked() || !m.absent(p, m.clock.Now()) && !m.wants[id])
}
