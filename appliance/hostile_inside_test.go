//go:build linux

package main

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
)

// The attacks of somebody who has all keys of a node in good standing.

func (a *attack) emptyFrames() {
	kind := 0
	a.sessions(func(s *session) {
		kind++
		for range 3 {
			if s.say(byte(kind)) != nil {
				return
			}
		}
		a.drain(s)
	})
}

// drain reads what is left until the box closes, which it has to do soon.
func (a *attack) drain(s *session) {
	_ = s.CloseWrite()
	_ = s.SetReadDeadline(time.Now().Add(2 * time.Second))
	_, _ = io.Copy(io.Discard, s.in)
}

func (a *attack) hugeFrames() {
	a.sessions(func(s *session) {
		kind := byte(1 + rand.IntN(14))
		_, err := s.Write(binary.BigEndian.AppendUint32([]byte{kind}, 20<<20))
		for sent := 0; err == nil && sent < 20<<20 && a.going(); sent += 1 << 16 {
			_, err = s.Write(make([]byte, 1<<16))
		}
		if err == nil && a.going() {
			a.fail("took a frame of 20 MB of kind %d", kind)
		}
	})
}

// unfinished are records as long as is allowed, without their last byte.
func (a *attack) unfinished() {
	a.sessions(func(s *session) {
		_, err := s.Write(binary.BigEndian.AppendUint32([]byte{frameOps}, 4<<20))
		for sent := 0; err == nil && sent < 4<<20-1<<16 && a.going(); sent += 1 << 16 {
			_, err = s.Write(make([]byte, 1<<16))
		}
		a.linger(s)
	})
}

// recorder keeps what goes out.
type recorder struct {
	net.Conn
	mu  sync.Mutex
	out []byte
}

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	r.out = append(r.out, b...)
	r.mu.Unlock()
	return r.Conn.Write(b)
}

// replayedConnections plays the bytes of a good connection again.
func (a *attack) replayedConnections() {
	var good []byte
	for a.going() && good == nil {
		if c, err := a.dial(a.mesh); err == nil {
			r := &recorder{Conn: c}
			if s, err := a.in.greet(r, a.in.log, a.in.card(1, "127.0.0.1:9")); err == nil && s.say(frameVector, []byte{0}, marksOf()) == nil {
				good = r.out
			}
			_ = c.Close()
		}
	}
	a.each(func(c net.Conn) {
		_, _ = c.Write(good)
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		_, _ = io.Copy(io.Discard, c)
	})
}

// flipper turns one bit of what goes out, after so many bytes.
type flipper struct {
	net.Conn
	after int
}

func (f *flipper) Write(b []byte) (int, error) {
	if f.after >= 0 && f.after < len(b) {
		b = slices.Clone(b)
		b[f.after] ^= 1 << rand.IntN(8)
	}
	f.after -= len(b)
	return f.Conn.Write(b)
}

func (a *attack) flippedTLS() {
	a.each(func(c net.Conn) {
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		s, err := a.in.greet(&flipper{c, rand.IntN(3000)}, a.in.log, a.in.card(1, "127.0.0.1:9"))
		if err == nil {
			_ = s.say(frameVector, []byte{0}, marksOf(markOf(a.in.log, 1, noisy(16))))
			a.drain(s)
		}
	})
}

// flip turns up to three bits.
func flip(b []byte) []byte {
	b = slices.Clone(b)
	for range 1 + rand.IntN(3) {
		if len(b) > 0 {
			b[rand.IntN(len(b))] ^= 1 << rand.IntN(8)
		}
	}
	return b
}

// goodFrames are one frame of every kind, each as an honest node sends it.
func (a *attack) goodFrames() [][]byte {
	mark := markOf(a.in.log, a.in.head.Seq, a.in.head.Hash[:])
	card := a.in.card(1, "127.0.0.1:9")
	piece := noisy(32)
	num := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	return [][]byte{
		frameOf(frameVector, []byte{0}, marksOf(mark)), frameOf(frameHint, marksOf(mark)), frameOf(frameAck, num(1), marksOf(mark)),
		frameOf(frameWant, num(1), []byte{3, 232}, num(1<<20), []byte{1}, a.in.log[:], []byte{0}),
		frameOf(frameOps, num(1), []byte{1}, a.in.log[:], binary.AppendUvarint(nil, a.in.head.Seq), num(uint32(len(a.in.batch))), a.in.batch),
		frameOf(frameBusy, num(1), []byte{0, 200}), frameOf(framePing, noisy(8)), frameOf(framePong, noisy(8)),
		frameOf(frameCards, []byte{1}, binary.BigEndian.AppendUint16(nil, uint16(len(card))), card), frameOf(frameBye, []byte{1}),
		frameOf(frameFetch, num(1), num(0), num(1000), []byte{1}, piece), frameOf(framePiece, num(1), []byte{0}, num(9), num(5), []byte("piece")),
		frameOf(framePing, []byte("pieces/1")), frameOf(framePing, []byte("closed/1")), frameOf(framePing, []byte("opened/1")),
	}
}

func (a *attack) flippedFrames() {
	good := a.goodFrames()
	a.each(func(c net.Conn) {
		if rand.IntN(4) == 0 { // the greeting itself
			conn := tls.Client(c, a.in.tls(wireExchange))
			_, _ = conn.Write(flip(frameOf(frameHello, a.in.helloOf(a.in.log, a.in.card(1, "127.0.0.1:9")))))
			_ = conn.CloseWrite()
			_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
			_, _ = io.Copy(io.Discard, conn)
			return
		}
		s, err := a.in.greet(c, a.in.log, a.in.card(1, "127.0.0.1:9"))
		for i := 0; err == nil && i < 20; i++ {
			_, err = s.Write(flip(good[rand.IntN(len(good))]))
		}
		if err == nil {
			a.drain(s)
		}
	})
}

// serveOwn says truly what the rogue holds of its own log, and answers the question for it
// with the records as change makes them.
func (h *hostile) serveOwn(a *attack, c net.Conn, change func([]byte) []byte) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	s, err := h.in.greet(c, h.in.log, h.in.card(1, "127.0.0.1:9"))
	if err != nil {
		return
	}
	if s.say(frameVector, []byte{0}, marksOf(markOf(h.in.log, h.in.head.Seq, h.in.head.Hash[:]))) != nil {
		return
	}
	for a.going() {
		kind, b, err := s.hear()
		if err != nil {
			return
		}
		if kind == framePing {
			_ = s.say(framePong, b)
		}
		if kind == frameAck {
			return // it has them
		}
		if kind != frameWant {
			continue
		}
		id, n := b[:4], b[10]
		answer := slices.Concat(id, []byte{n})
		for i, at := 0, b[11:]; i < int(n); i++ {
			log := at[:16]
			after, k := binary.Uvarint(at[16:])
			at = at[16+k:]
			if bytes.Equal(log, h.in.log[:]) {
				batch := change(h.in.batch)
				answer = append(binary.BigEndian.AppendUint32(binary.AppendUvarint(append(answer, log...), h.in.head.Seq), uint32(len(batch))), batch...)
			} else {
				answer = append(binary.AppendUvarint(append(answer, log...), after), 0, 0, 0, 0)
			}
		}
		if s.say(frameOps, answer) != nil {
			return
		}
		a.blow()
		_ = c.SetDeadline(time.Now().Add(300 * time.Millisecond)) // whether it asks again
	}
}

func (a *attack) flippedRecords() {
	for a.going() {
		if c, err := a.dial(a.mesh); err == nil {
			a.serveOwn(a, c, flip)
		}
	}
}

// stolenCards greets and tells with cards of the honest node's: true ones with bits turned,
// and ones that name another address under its certificate.
func (a *attack) stolenCards() {
	his := a.theirs.hi.hello
	card := his[37:]
	a.each(func(c net.Conn) {
		own := a.in.card(1, "127.0.0.1:9")
		if rand.IntN(2) == 0 {
			own = card // the honest node's, as the rogue's own
		}
		s, err := a.in.greet(c, a.theirs.hi.ownLog(), own)
		if err != nil {
			return
		}
		forged := *a.in
		n := int(binary.BigEndian.Uint16(card[1:]))
		forged.cert = card[3 : 3+n]
		for _, b := range [][]byte{flip(card), forged.card(1<<62, "127.0.0.1:9"), forged.card(1<<63, "127.0.0.1:9"), noisy(2000), card[:len(card)-1]} {
			if s.say(frameCards, []byte{1}, binary.BigEndian.AppendUint16(nil, uint16(len(b))), b) != nil {
				return
			}
		}
		a.drain(s)
	})
}

// stolenLog says that it holds more of the honest node's log, and answers with records of
// its own under that log's name.
func (a *attack) stolenLog() {
	log := a.theirs.hi.ownLog()
	a.sessions(func(s *session) {
		if s.say(frameVector, []byte{0}, marksOf(markOf(log, 1<<59, noisy(16)))) != nil {
			return
		}
		for a.going() {
			kind, b, err := s.hear()
			switch {
			case err != nil:
				return
			case kind == framePing:
				_ = s.say(framePong, b)
			case kind == frameWant:
				answer := binary.AppendUvarint(slices.Concat(b[:4], []byte{1}, log[:]), 1<<59)
				if s.say(frameOps, binary.BigEndian.AppendUint32(answer, uint32(len(a.in.batch))), a.in.batch) != nil {
					return
				}
			}
			a.blow()
		}
	})
}

// claimsAll says that it holds 10^18 records of every log there is, and never answers a
// question for one, or says that it is busy. On one connection: of several the box closes
// all but one, and asks anew.
func (a *attack) claimsAll(busy bool) {
	a.sessions(func(s *session) {
		var marks [][]byte
		for a.going() {
			kind, b, err := s.hear()
			switch {
			case err != nil:
				return
			case kind == framePing:
				err = s.say(framePong, b)
			case kind == frameWant && busy:
				err = s.say(frameBusy, b[:4], []byte{0xff, 0xff})
			case kind == frameVector || kind == frameHint || kind == frameAck:
				for log := range logsIn(kind, b) {
					marks = append(marks, markOf(log, 1e18, noisy(16)))
				}
				err = s.say(frameVector, []byte{0}, marksOf(marks[:min(len(marks), 1000)]...))
			}
			if err != nil {
				return
			}
			a.blow()
		}
	})
}

// otherHistories says of every log that it holds another history of it, from near its end on.
func (a *attack) otherHistories() {
	a.sessions(func(s *session) {
		for i := 0; a.going(); i++ {
			kind, b, err := s.hear()
			if err != nil {
				return
			}
			switch kind {
			case framePing:
				err = s.say(framePong, b)
			case frameWant:
				err = s.say(frameBusy, b[:4], []byte{0, 1})
			case frameVector, frameHint, frameAck:
				var marks [][]byte
				for log, seq := range logsIn(kind, b) {
					if log != a.in.log {
						marks = append(marks, markOf(log, max(1, seq-uint64(i%3)), noisy(16)))
					}
				}
				err = s.say(frameVector, []byte{0}, marksOf(marks...))
			}
			if err != nil {
				return
			}
			a.blow()
		}
	})
}

// logsIn are the logs that a frame names, and how far they are held.
func logsIn(kind byte, b []byte) map[oplog.LogID]uint64 {
	out := map[oplog.LogID]uint64{}
	b = b[map[byte]int{frameVector: 1, frameHint: 0, frameAck: 4}[kind]:]
	n, k := binary.Uvarint(b)
	for b = b[k:]; n > 0 && len(b) >= 33; n-- {
		seq, k := binary.Uvarint(b[16:])
		out[oplog.LogID(b[:16])] = seq
		b = b[32+k:]
	}
	return out
}

// manyLogs names as many logs as a node may, and then one more, again and again.
func (a *attack) manyLogs() {
	a.sessions(func(s *session) {
		go func() { _, _ = io.Copy(io.Discard, s.in) }()
		for sent := 0; sent <= 16384 && a.going(); sent += 1500 {
			marks := make([][]byte, 1500)
			for i := range marks {
				marks[i] = markOf(oplog.LogID(noisy(16)), 1e18, noisy(16))
			}
			if s.say(frameVector, []byte{1}, marksOf(marks...)) != nil {
				return
			}
		}
		for i := 0; a.going() && i < 20 && s.say(frameVector, []byte{0}, marksOf()) == nil; i++ {
			time.Sleep(50 * time.Millisecond) // while it asks
		}
	})
}

// hints says of the same logs again and again that it holds one more.
func (a *attack) hints() {
	var logs []oplog.LogID
	for range 1000 {
		logs = append(logs, oplog.LogID(noisy(16)))
	}
	logs[0] = a.theirs.hi.ownLog()
	a.sessions(func(s *session) {
		go func() { _, _ = io.Copy(io.Discard, s.in) }()
		for i := uint64(1); a.going(); i++ {
			marks := make([][]byte, len(logs))
			for j, log := range logs {
				marks[j] = markOf(log, i, noisy(16))
			}
			if s.say(frameHint, marksOf(marks...)) != nil {
				return
			}
			a.blow()
		}
	})
}

// slowReader asks for everything and for an answer to every ping, and reads nothing.
func (a *attack) slowReader() {
	log := a.theirs.hi.ownLog()
	a.sessions(func(s *session) {
		_ = s.say(frameVector, []byte{0}, marksOf())
		_ = s.say(frameWant, []byte{0, 0, 0, 1, 3, 232, 0, 16, 0, 0, 1}, log[:], []byte{0})
		for a.going() && s.say(framePing, noisy(8)) == nil {
			a.blow()
		}
	})
}
