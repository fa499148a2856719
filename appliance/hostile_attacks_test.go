//go:build linux

package main

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"slices"
	"time"
)

// hostileAttack is one row of the table.
type hostileAttack struct {
	name string
	by   int // how many at once; 0 is one
	do   func(*attack)
}

// hostileAttacks are all of them, or those whose name WAYPOST_HOSTILE matches.
func hostileAttacks() []hostileAttack {
	return slices.DeleteFunc([]hostileAttack{
		// without a key, or with a wrong one
		{"no certificate", 2, (*attack).noCertificate},
		{"foreign certificate", 2, func(a *attack) { a.refusedAs(a.foreign, a.foreign.cert) }},
		{"another's certificate", 2, func(a *attack) { a.refusedAs(a.foreign, a.in.cert) }},
		{"suspended certificate", 2, func(a *attack) { a.refusedAs(a.suspended, a.suspended.cert) }},
		{"revoked certificate", 2, func(a *attack) { a.refusedAs(a.revoked, a.revoked.cert) }},
		{"packets under no and wrong keys", 0, (*attack).wrongPackets},
		{"60 connections, 20 MB hellos", 60, (*attack).hugeHello},
		{"60 silent connections", 60, func(a *attack) { a.hold(func(net.Conn) {}) }},
		{"20 MB joining", 20, (*attack).hugeJoin},
		// with the right gossip key and the wrong member
		{"foreign member, right key", 0, func(a *attack) { a.members(a.foreign) }},
		{"suspended member, right key", 0, func(a *attack) { a.members(a.suspended) }},
		{"name theft in gossip", 0, (*attack).stolenName},
		{"many names of one node", 0, (*attack).manyNames},
		{"packets replayed", 0, (*attack).replayedPackets},
		{"hint storm by packets", 0, (*attack).packetHints},
		{"1 Mbit/s of packets", 0, (*attack).flood},
		{"gossip streams of 20 MB, 60", 60, (*attack).hugeStreams},
		// with all keys of a node in good standing
		{"empty frames", 0, (*attack).emptyFrames},
		{"20 MB frames", 4, (*attack).hugeFrames},
		{"60 connections, 4 MB not finished", 60, (*attack).unfinished},
		{"connections replayed", 2, (*attack).replayedConnections},
		{"bits flipped under TLS", 4, (*attack).flippedTLS},
		{"bits flipped in frames", 4, (*attack).flippedFrames},
		{"bits flipped in records", 0, (*attack).flippedRecords},
		{"name theft by cards", 0, (*attack).stolenCards},
		{"another's log", 0, (*attack).stolenLog},
		{"10^18 of every log, no answer", 0, func(a *attack) { a.claimsAll(false) }},
		{"10^18 of every log, always busy", 0, func(a *attack) { a.claimsAll(true) }},
		{"another history of every log", 2, (*attack).otherHistories},
		{"16,384 logs", 4, (*attack).manyLogs},
		{"hint storm", 2, (*attack).hints},
		{"does not read", 4, (*attack).slowReader},
	}, func(a hostileAttack) bool {
		return !regexp.MustCompile(os.Getenv("WAYPOST_HOSTILE")).MatchString(a.name)
	})
}

// dial connects from one of many addresses of this machine.
func (a *attack) dial(addr string) (net.Conn, error) {
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+rand.IntN(200)))}, Timeout: 5 * time.Second}).Dial("tcp4", addr)
	if err == nil {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	}
	return c, err
}

// each does something on connection after connection.
func (a *attack) each(do func(net.Conn)) {
	for a.going() {
		c, err := a.dial(a.mesh)
		if err != nil {
			continue
		}
		do(c)
		_ = c.Close()
		a.blow()
	}
}

// hold keeps a connection until the attack is over or the box ends it.
func (a *attack) hold(begin func(net.Conn)) {
	a.each(func(c net.Conn) {
		begin(c)
		a.linger(c)
	})
}

// linger reads nothing much until the attack is over or the box closes.
func (a *attack) linger(c net.Conn) {
	buf := make([]byte, 4096)
	for a.going() {
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := c.Read(buf); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
}

// session greets as a node in good standing and then does something.
func (a *attack) sessions(do func(*session)) {
	a.each(func(c net.Conn) {
		s, err := a.in.greet(c, a.in.log, a.in.card(1, "127.0.0.1:9"))
		if err != nil {
			return // no room: others of ours took it
		}
		do(s)
	})
}

// lets tries to be let in, and says so when it is.
func (a *attack) lets(c net.Conn, cfg *tls.Config, say []byte) {
	conn := tls.Client(c, cfg)
	if _, err := conn.Write(say); err != nil {
		return
	}
	if n, _ := conn.Read(make([]byte, 1)); n > 0 {
		a.fail("was let in for %s", cfg.NextProtos[0])
	}
}

func (a *attack) refusedAs(r *rogue, cert []byte) {
	state := gossipStreamOf(a.in.gossip, toldBy(gossipState, "Nodes", 0, "UserStateLen", 0, "Join", true))
	a.each(func(c net.Conn) {
		a.lets(c, r.shows(wireExchange, cert), frameOf(frameHello, r.helloOf(r.log, r.card(1))))
		if c, err := a.dial(a.mesh); err == nil {
			a.lets(c, r.shows(wireGossip, cert), state)
			_ = c.Close()
		}
	})
}

func (a *attack) noCertificate() {
	a.each(func(c net.Conn) {
		cfg := a.in.tls([]string{wireExchange, wireGossip}[rand.IntN(2)])
		cfg.GetClientCertificate = nil
		a.lets(c, cfg, frameOf(frameHello, a.in.helloOf(a.in.log, a.in.card(1))))
	})
}

func (a *attack) hugeHello() {
	record := append([]byte{22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff}, make([]byte, 1<<14-4)...)
	more := append([]byte{22, 3, 1, 0x40, 0}, make([]byte, 1<<14)...)
	a.each(func(c net.Conn) {
		_, err := c.Write(record)
		for sent := 0; err == nil && sent < 20<<20 && a.going(); sent += len(more) {
			_, err = c.Write(more)
		}
	})
}

func (a *attack) hugeJoin() {
	guest := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{wireJoin}, InsecureSkipVerify: true} //nolint:gosec // an attacker does not care
	a.each(func(c net.Conn) {
		conn := tls.Client(c, guest)
		size := []uint16{0, 4096, 4097, 0xffff}[rand.IntN(4)]
		_, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, size), noisy(int(min(size, 4000)))...))
		for sent := 0; err == nil && sent < 20<<20 && a.going(); sent += 1 << 16 {
			_, err = conn.Write(make([]byte, 1<<16))
		}
	})
}

// throw sends packets as fast as it is told to, in bytes a second; 0 is as fast as it goes.
func (a *attack) throw(rate int, next func() []byte) {
	c, err := net.Dial("udp", a.mesh)
	if err != nil {
		a.fail("%v", err)
		return
	}
	defer c.Close()
	began, sent := time.Now(), 0
	for a.going() {
		b := next()
		_, _ = c.Write(b)
		a.blow()
		sent += len(b)
		if rate == 0 {
			rate = 4 << 20 // what one sender on a wire can do; the loopback has no end
		}
		time.Sleep(time.Until(began.Add(time.Duration(sent) * time.Second / time.Duration(rate))))
	}
}

func (a *attack) wrongPackets() {
	other := [32]byte(noisy(32))
	a.throw(0, func() []byte {
		ping := toldBy(gossipPing, "SeqNo", rand.IntN(1<<30), "Node", a.theirs.name)
		return [][]byte{noisy(rand.IntN(1500)), nil, append([]byte{1}, noisy(1200)...), gossipSeal(other, ping, nil), ping, gossipSeal(a.foreign.gossip, ping, nil), noisy(9000)}[rand.IntN(7)]
	})
}

// members tells of a member that may not be one.
func (a *attack) members(r *rogue) {
	a.throw(0, func() []byte {
		return gossipSeal(a.in.gossip, aliveAs(r.name(), r.member(r.name()), 1+rand.IntN(1000), 9), nil)
	})
}

// stolenName speaks as the honest node among the members, with its own true card: at another
// address, suspected, dead, and under the rogue's card.
func (a *attack) stolenName() {
	name := a.theirs.name
	a.throw(0, func() []byte {
		inc := 1 + rand.IntN(1<<20)
		return gossipSeal(a.in.gossip, [][]byte{
			aliveAs(name, a.theirs.meta, inc, 9), aliveAs(name, a.in.member(name), inc, 9), aliveAs(name, a.in.member(a.in.name()), inc, 9),
			toldBy(gossipSuspect, "Incarnation", inc, "Node", name, "From", a.in.name()), toldBy(gossipDead, "Incarnation", inc, "Node", name, "From", a.in.name()),
			toldBy(gossipDead, "Incarnation", inc, "Node", name, "From", name),
		}[rand.IntN(6)], nil)
	})
}

func (a *attack) manyNames() {
	a.throw(0, func() []byte {
		r := *a.in
		copy(r.start[:], noisy(16))
		return gossipSeal(a.in.gossip, aliveAs(r.name(), r.member(r.name()), 1, 9), nil)
	})
}

// replayedPackets sends again what was recorded, in any order and often.
func (a *attack) replayedPackets() {
	packets := a.packets
	if len(packets) == 0 { // recording needs root
		packets = [][]byte{gossipSeal(a.in.gossip, aliveAs(a.theirs.name, a.theirs.meta, 1, 9), nil)}
	}
	a.throw(0, func() []byte { return packets[rand.IntN(len(packets))] })
}

func (a *attack) packetHints() {
	a.throw(0, func() []byte {
		b := []byte{gossipUser, 1}
		for range 1100 / 33 {
			b = append(binary.AppendUvarint(append(b, noisy(16)...), 1<<59+rand.Uint64N(1<<59)), noisy(8)...)
		}
		return gossipSeal(a.in.gossip, b, nil)
	})
}

// flood is 1 Mbit/s of everything a key holder may send.
func (a *attack) flood() {
	a.throw(1e6/8, func() []byte {
		ping := toldBy(gossipPing, "SeqNo", rand.IntN(1<<30), "Node", a.theirs.name, "SourceAddr", []byte{127, 0, 0, 1}, "SourcePort", 9, "SourceNode", a.in.name())
		indirect := toldBy(1, "SeqNo", rand.IntN(1<<30), "Target", []byte{127, 0, 0, 1}, "Port", 9, "Node", a.in.name(), "Nack", true)
		return [][]byte{noisy(1200), gossipSeal(a.in.gossip, ping, nil), gossipSeal(a.in.gossip, indirect, nil), gossipSeal(a.in.gossip, []byte{gossipPing}, nil), gossipSeal(a.in.gossip, nil, nil)}[rand.IntN(5)]
	})
}

// hugeStreams are streams of the members that promise or bring 20 MB, or stop in the middle.
func (a *attack) hugeStreams() {
	promise := binary.BigEndian.AppendUint32([]byte{gossipSealed}, 20<<20)
	almost := binary.BigEndian.AppendUint32([]byte{gossipSealed}, 1<<20)
	many := gossipStreamOf(a.in.gossip, append(toldBy(gossipState, "Nodes", 1<<20, "UserStateLen", 20<<20, "Join", true), bytes.Repeat([]byte{0x80}, 1<<19)...))
	a.hold(func(c net.Conn) {
		conn := tls.Client(c, a.in.tls(wireGossip))
		switch rand.IntN(4) {
		case 0:
			_, err := conn.Write(promise)
			for sent := 0; err == nil && sent < 20<<20 && a.going(); sent += 1 << 16 {
				_, err = conn.Write(make([]byte, 1<<16))
			}
		case 1:
			_, _ = conn.Write(append(slices.Clone(almost), make([]byte, 1<<20-1)...))
		case 2:
			_, _ = conn.Write(many)
		default:
			_, _ = conn.Write(gossipStreamOf(a.in.gossip, nil))
		}
	})
}
