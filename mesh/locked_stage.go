package mesh

import (
	"encoding/json"
	"net"
	"time"

	"github.com/waypost/waypost/appliance/identity"
)

// PlayLocked makes a locked node of c on a stage that is not this machine's, as Play does
// for an open one. Of c, Listen and Dir are not used, and Advertise is where the node is found
// on that stage; Load of s gives what peers.json says. Nothing is listened on: whoever plays
// hands every connection to Meet.
// Fault: Internal "fault.mesh.cannot_start", unwrapped.
func PlayLocked(c LockedConfig, s Stage) (*Locked, error) {
	k, err := newLocked(c)
	if err != nil {
		return nil, err
	}
	k.stage, k.rnd, k.port = s, s.Rand(), portToTell(c.Advertise, &net.TCPAddr{})
	for i := range k.me {
		k.me[i] = byte(k.rnd.Uint32())
	}
	var r remembered
	if b, err := s.Load(); err == nil && len(b) > 0 && json.Unmarshal(b, &r) != nil {
		r = remembered{}
	}
	k.load(r)
	k.refresh()
	k.looks()
	return k, nil
}

// looks dials from time to time.
func (k *Locked) looks() {
	k.lookOnce()
	k.stage.After(firstWait, k.looks)
}

// LockedLink is a connection of a locked node in the hands of whoever carries its bytes. Its
// methods are those of Link.
type LockedLink struct {
	l       *lockedLink
	out     *outbox
	dialled string
	greeted bool
	on      bool // it was attached
	last    pulse
}

// Meet takes a line to the open node of cert, as Mesh.Meet does.
func (k *Locked) Meet(line Line, cert identity.NodeCert, dialled string) *LockedLink {
	out := newOutbox(line.Wake)
	l := k.newLink(cert, nil)
	end := l.cancel
	l.cancel = func() {
		end()
		line.Close()
	}
	l.write = func(b []byte) error {
		if !out.sendFrame(b) {
			return errTooSlow
		}
		return nil
	}
	_ = l.send(k.hello()) // the first frame finds room
	return &LockedLink{l: l, out: out, dialled: dialled}
}

// Useful is Mesh.Useful for a locked node: it parts from nobody who answers.
func (k *Locked) Useful(cert identity.NodeCert) bool { return cert.ID() != k.self }

// Next is Link.Next.
func (p *LockedLink) Next() (frame []byte, left func()) { return p.out.next() }

// Receive is Link.Receive.
func (p *LockedLink) Receive(frame []byte) error {
	if len(frame) < headerSize || len(frame)-headerSize > maxPayload(kind(frame[0])) {
		return errFrame
	}
	what, b := kind(frame[0]), frame[headerSize:]
	if !p.greeted {
		p.greeted = true
		if err := p.l.greeted(what, b); err != nil {
			return err
		}
		if !p.l.k.attach(p.l, p.dialled) {
			return errUnwanted
		}
		now := p.l.k.c.Clock.Now()
		p.on, p.last = true, pulse{now, now}
		p.turn()
		return nil
	}
	if what == kindOps {
		p.l.begins()
	}
	msg, err := parse(what, b)
	if err != nil {
		return err
	}
	return p.l.take(msg)
}

// Silence is Link.Silence: a locked box knows one profile.
func (p *LockedLink) Silence() time.Duration { return usual.silence }

func (p *LockedLink) turn() {
	p.l.k.stage.After(lockedTick, func() {
		if p.on && p.l.ctx.Err() == nil && p.l.turn(&p.last) {
			p.turn()
		}
	})
}

// Ended is Link.Ended.
func (p *LockedLink) Ended() {
	p.l.cancel()
	if p.on {
		p.on = false
		p.l.k.detach(p.l)
	}
}

// MeetLocked is Meet for a line to a locked node, which proved that the key of raw, a
// certificate of NextLocked or RenewLocked, is its own.
func (m *Mesh) MeetLocked(line Line, raw []byte, dialled string) (*Link, error) {
	cert, err := parseLocked(raw, m.root)
	if err != nil {
		return nil, err
	}
	l := m.newLink(line, cert.Node, dialled)
	if !m.isLocked(l, cert) {
		return nil, errPeer
	}
	return &Link{l}, nil
}
