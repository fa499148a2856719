package mesh

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"regexp"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
)

// Limits of joining. The requester is a stranger until its secret was found good.
const (
	maxJoinRequest = 4 << 10
	maxJoinReply   = 64 << 10
	joinReadTime   = 2 * time.Second // the request follows the handshake at once
	joinWriteTime  = 5 * time.Second
	joinWait       = 5 * time.Second  // for one of the places below, with a request in hand
	joinTime       = 20 * time.Second // the inviter flushes twice before it answers
	maxJoins       = 8
	joinBurst      = 10 // requests from one address at once
	joinRefill     = 3 * time.Second
	maxRefusals    = 100
)

// Applicant is a node that has no certificate yet; *identity.Applicant is one.
type Applicant interface{ Request() []byte }

// Refusal is a join request this node turned down: an invitation used twice, an
// expired one, a guess.
type Refusal struct {
	At   time.Time
	Key  string // message key of the fault the other side was told
	From string // the address it came from
}

// Invite makes a one-use invitation that carries this node's addresses. Faults:
// those of identity.Vault.Invite.
func (m *Mesh) Invite(ttl time.Duration) (identity.Invitation, error) {
	return m.InviteTo(identity.Place{}, ttl)
}

// InviteTo is Invite for a node that opens another area of the register.
func (m *Mesh) InviteTo(where identity.Place, ttl time.Duration) (identity.Invitation, error) {
	m.mu.Lock()
	addrs := append([]string(nil), m.card.addrs...)
	m.mu.Unlock()
	return m.keys.InviteTo(where, ttl, addrs)
}

// Refusals counts the join requests turned down since Start.
func (m *Mesh) Refusals() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refusals
}

// Refused lists the latest of them, at most 100, oldest first.
func (m *Mesh) Refused() []Refusal {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Refusal(nil), m.refused...)
}

// serveJoin answers one join request and closes conn. Until the request is here p
// may lose its place at the gate to a newcomer.
func (m *Mesh) serveJoin(conn *tls.Conn, p *caller) {
	defer conn.Close()
	stop := context.AfterFunc(m.ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetDeadline(m.clock.Now().Add(joinReadTime))
	request, err := readJoinRequest(conn)
	m.gate.leave(p)
	if err != nil {
		return
	}
	reply, err := m.admit(request, p)
	_ = conn.SetDeadline(m.clock.Now().Add(joinWriteTime))
	if err != nil {
		m.quiet.debug("mesh refused a join request", "err", err)
		_, _ = conn.Write(joinAnswer(1, wireFault(err)))
		return
	}
	_, _ = conn.Write(joinAnswer(0, reply))
}

// admit turns a request into a certificate and a recorded fact.
func (m *Mesh) admit(request []byte, from *caller) ([]byte, error) {
	host := from.host.String()
	if !m.joinRate.allow(oneAddress(from.host).String(), m.elapsed()) {
		return nil, fault.New(fault.Busy, "fault.mesh.join_busy")
	}
	select {
	case m.joins <- struct{}{}:
		defer func() { <-m.joins }()
	case <-m.clock.After(joinWait):
		return nil, fault.New(fault.Busy, "fault.mesh.join_busy")
	case <-m.ctx.Done():
		return nil, m.ctx.Err()
	}
	reply, cert, err := m.keys.Admit(request)
	if err != nil {
		m.refuse(err, host)
		return nil, err
	}
	if err := m.book.Enrolled(m.ctx, cert); err != nil {
		return nil, err
	}
	m.mu.Lock()
	p := m.peerFor(cert.ID())
	p.cert = &cert
	m.changed(soon)
	m.mu.Unlock()
	m.log.Info("mesh enrolled a node", "node", cert.ID(), "number", cert.Number)
	return reply, nil
}

// refusalBook is the part of identity.Desk that keeps refused invitations.
type refusalBook interface {
	Refused(ctx context.Context, refusal error) error
}

// refuse remembers a refusal for status pages and, where the register of nodes
// keeps such facts, there.
func (m *Mesh) refuse(refusal error, host string) {
	key := fault.Of(refusal).Key
	m.mu.Lock()
	m.refusals++
	m.refused = append(m.refused, Refusal{At: m.clock.Now(), Key: key, From: host})
	if len(m.refused) > maxRefusals {
		m.refused = m.refused[1:]
	}
	m.mu.Unlock()
	m.quiet.warn("mesh refused a join request", "key", key, "from", host)
	if b, ok := m.book.(refusalBook); ok {
		if err := b.Refused(m.ctx, refusal); err != nil {
			m.quiet.warn("mesh could not record a refusal", "err", err)
		}
	}
}

func readJoinRequest(r io.Reader) ([]byte, error) {
	var n [2]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint16(n[:]))
	if size == 0 || size > maxJoinRequest {
		return nil, errFrame
	}
	b := make([]byte, size)
	_, err := io.ReadFull(r, b)
	return b, err
}

func joinAnswer(status byte, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{status}, uint32(len(body))), body...)
}

// readJoinAnswer reads the inviter's answer; a refusal comes back as the fault it was.
func readJoinAnswer(r io.Reader) ([]byte, error) {
	var h [5]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, err
	}
	size := int64(binary.BigEndian.Uint32(h[1:]))
	if h[0] > 1 || size > maxJoinReply {
		return nil, errFrame
	}
	var buf bytes.Buffer
	if _, err := io.CopyN(&buf, r, size); err != nil {
		return nil, err
	}
	if h[0] == 1 {
		return nil, unwireFault(buf.Bytes())
	}
	return buf.Bytes(), nil
}

// wiredFault is a refusal on the wire: class, key and arguments, never a cause.
type wiredFault struct {
	Class fault.Class    `json:"class"`
	Key   string         `json:"key"`
	Args  map[string]any `json:"args,omitempty"`
}

func wireFault(err error) []byte {
	f := fault.Of(err)
	b, e := json.Marshal(wiredFault{f.Class, f.Key, f.Args})
	if e != nil {
		b, _ = json.Marshal(wiredFault{Class: f.Class, Key: f.Key})
	}
	return b
}

// unwireFault trusts a refusal no further than that it names a sentence of ours.
func unwireFault(b []byte) error {
	var w wiredFault
	if err := json.Unmarshal(b, &w); err != nil || !regexp.MustCompile(`^fault\.[a-z_]{1,30}\.[a-z_]{1,40}$`).MatchString(w.Key) {
		return errors.Join(errFrame, err)
	}
	maps.DeleteFunc(w.Args, func(_ string, v any) bool {
		s, text := v.(string)
		_, number := v.(float64)
		return !number && (!text || len(s) > 100)
	})
	return &fault.Error{Class: w.Class, Key: w.Key, Args: w.Args}
}

// rate lets each address make joinBurst requests, then one every joinRefill.
type rate struct {
	mu   sync.Mutex
	from map[string]time.Duration // when the address's bucket is full again
}

func (r *rate) allow(host string, now time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.from) > 1000 {
		maps.DeleteFunc(r.from, func(_ string, full time.Duration) bool { return full <= now })
	}
	full := max(r.from[host], now)
	if full-now > (joinBurst-1)*joinRefill || len(r.from) > 10000 {
		return false
	}
	r.from[host] = full + joinRefill
	return true
}

// Join asks the inviter named by code to admit a: it tries every address of the
// code, talks only to the node whose key the code pins, and returns what
// a.Accept takes. Faults: Unavailable "fault.mesh.unreachable" when none of the
// addresses answers, Denied "fault.mesh.wrong_node" when somebody else does,
// Unavailable "fault.mesh.join_interrupted" when the answer was lost; a refusal
// is the inviter's own fault (see identity.Vault.Admit).
func Join(ctx context.Context, code identity.InvitationCode, a Applicant) (reply []byte, err error) {
	return join(ctx, pinned{addrs: code.Addrs, pins: code.Pins}, a)
}

// pinned is where the inviter may be and how to know it.
type pinned struct {
	addrs []string
	pins  func(ed25519.PublicKey) bool
}

// join asks twice when the answer gets lost: the inviter knows the node that asks
// by its key and answers it the same again.
func join(ctx context.Context, code pinned, a Applicant) (reply []byte, err error) {
	for range 2 {
		if reply, err = joinOnce(ctx, code, a); !errors.Is(err, errJoin) {
			break
		}
	}
	return reply, err
}

var errJoin = fault.New(fault.Unavailable, "fault.mesh.join_interrupted")

func joinOnce(ctx context.Context, code pinned, a Applicant) (reply []byte, err error) {
	c := clock.System()
	conn, err := dialInviter(ctx, c, code)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	request := a.Request()
	if len(request) > maxJoinRequest {
		return nil, fault.New(fault.Internal, "fault.mesh.cannot_start").Wrap(errFrame)
	}
	_ = conn.SetDeadline(c.Now().Add(joinTime))
	if _, err = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(request))), request...)); err == nil {
		reply, err = readJoinAnswer(conn)
	}
	var f *fault.Error
	if err != nil && !errors.As(err, &f) {
		err = errJoin.Wrap(err)
	}
	return reply, err
}

// dialInviter connects to the first address that is the inviter.
func dialInviter(ctx context.Context, c clock.Clock, code pinned) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	type result struct {
		conn *tls.Conn
		err  error
	}
	results := make(chan result, len(code.addrs))
	started := 0
	for _, addr := range code.addrs {
		if !validAddress(addr) || started >= maxAddresses {
			continue
		}
		delay := time.Duration(started) * dialStagger
		started++
		go func() {
			select {
			case <-c.After(delay):
			case <-ctx.Done():
				results <- result{err: ctx.Err()}
				return
			}
			conn, err := dialPinned(ctx, addr, code)
			results <- result{conn, err}
		}()
	}
	var won *tls.Conn
	var errs []error
	wrong := false
	for range started {
		r := <-results
		switch {
		case r.err != nil:
			errs = append(errs, r.err)
			wrong = wrong || errors.Is(r.err, errPeer)
		case won == nil:
			won = r.conn
			cancel()
		default:
			_ = r.conn.Close()
		}
	}
	if won != nil {
		return won, nil
	}
	if wrong {
		return nil, fault.New(fault.Denied, "fault.mesh.wrong_node").Wrap(errors.Join(errs...))
	}
	return nil, fault.New(fault.Unavailable, "fault.mesh.unreachable").Wrap(errors.Join(errs...))
}

// dialPinned accepts only the key the code names.
func dialPinned(ctx context.Context, addr string, code pinned) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(c, &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{protoJoin}, SessionTicketsDisabled: true,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection pins the key the code names
		VerifyConnection: func(cs tls.ConnectionState) error {
			key, _, err := peerKey(cs)
			if err != nil || !code.pins(key) {
				return errPeer
			}
			return nil
		},
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return conn, nil
}
