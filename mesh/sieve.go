package mesh

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// memberlist's message kinds, those that are let through.
const (
	gossipPing     = 0
	gossipIndirect = 1
	gossipAck      = 2
	gossipSuspect  = 3
	gossipAlive    = 4
	gossipDead     = 5
	gossipState    = 6 // push/pull
	gossipMany     = 7 // several messages in one packet
	gossipUser     = 8 // our hints
	gossipSealed   = 10
	gossipNack     = 11
	gossipSum      = 12 // a checksum, then a message
	gossipError    = 13
)

// Limits of what our own nodes send. memberlist allows a thousand times as much.
const (
	gossipVersion = 1           // memberlist's encryption version without padding; 0 is the old one
	sealOverhead  = 1 + 12 + 16 // version, nonce and tag: AES-GCM as memberlist frames it
	streamHead    = 5           // kind and length of a stream's one frame
	maxPacket     = packetSize + 64
	maxMembers    = maxPeers
	maxGossipText = memberlist.MetaMaxSize
	maxIndirect   = 50 // pings on behalf of others a second: memberlist starts a goroutine for each
)

var (
	errSealed  = errors.New("mesh: not under the gossip key")
	errGossip  = errors.New("mesh: not what memberlist sends")
	gossipAsks = []byte{gossipState, gossipPing}                            // what may open a stream
	gossipSays = []byte{gossipState, gossipAck, gossipError}                // what may answer on one
	gossipNews = []byte{gossipSuspect, gossipAlive, gossipDead, gossipUser} // what may ride along in a packet
)

// sieve stands before memberlist, whose goroutines nobody can recover from a
// panic: it opens everything that arrives under the gossip key and lets through
// only what a node of ours could have sent. The key alone is not enough to be
// trusted with a node's life, for every node holds it and one of them may be in
// the wrong hands. memberlist 0.7.0 panics on an empty frame and on the padding of
// encryption version 0, allocates 117 MB a stream for a number of members it was
// merely told, and unpacks 40 MB, over and over, from one packet. So compression,
// labels, padding and nesting are refused, and a message has to be a flat record
// of short texts and numbers.
type sieve struct {
	aeads atomic.Pointer[[]cipher.AEAD] // the newest key first

	// Used by the one goroutine that reads packets.
	plain    []byte
	second   time.Duration
	indirect int
}

func newSieve(keys ...[32]byte) (*sieve, error) {
	s := &sieve{plain: make([]byte, 0, maxPacket)}
	return s, s.rekey(keys)
}

// rekey makes these keys, the newest first, the only ones that open anything. Safe for
// concurrent use.
func (s *sieve) rekey(keys [][32]byte) error {
	var aeads []cipher.AEAD
	for _, key := range keys {
		block, err := aes.NewCipher(key[:])
		if err != nil {
			return err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return err
		}
		aeads = append(aeads, aead)
	}
	s.aeads.Store(&aeads)
	return nil
}

// open decrypts into dst what memberlist sealed, under the key in use or the one before:
// not everybody has the newest at the same moment.
func (s *sieve) open(dst, sealed, bound []byte) ([]byte, error) {
	if len(sealed) <= sealOverhead || sealed[0] != gossipVersion {
		return nil, errSealed
	}
	for _, aead := range *s.aeads.Load() {
		if plain, err := aead.Open(dst, sealed[1:13], sealed[13:], bound); err == nil {
			return plain, nil
		}
	}
	return nil, errSealed
}

// packet says why memberlist may not see b, if so. It belongs to one goroutine;
// now is the time since Start.
func (s *sieve) packet(b []byte, now time.Duration) error {
	if len(b) > maxPacket {
		return errSealed
	}
	plain, err := s.open(s.plain[:0], b, nil)
	if err != nil {
		return err
	}
	first, ok := gossipPacket(plain)
	if !ok || first == gossipIndirect && !s.mayPing(now) {
		return errGossip
	}
	return nil
}

// gossipPacket reports whether b is one whole packet, and the kind of its first
// message.
func gossipPacket(plain []byte) (first byte, ok bool) {
	if plain[0] == gossipSum {
		if len(plain) <= 5 || crc32.ChecksumIEEE(plain[5:]) != binary.BigEndian.Uint32(plain[1:5]) {
			return 0, false
		}
		plain = plain[5:]
	}
	if plain[0] != gossipMany {
		return plain[0], gossipMessage(plain)
	}
	parts, ok := gossipParts(plain[1:])
	if !ok || !gossipMessage(parts[0]) {
		return 0, false
	}
	for _, p := range parts[1:] {
		if !gossipMessage(p) || bytes.IndexByte(gossipNews, p[0]) < 0 {
			return 0, false // so that one packet makes us send one at most
		}
	}
	return parts[0][0], true
}

// mayPing keeps what one packet of 100 bytes can start within bounds.
func (s *sieve) mayPing(now time.Duration) bool {
	if now-s.second >= time.Second {
		s.second, s.indirect = now, 0
	}
	s.indirect++
	return s.indirect <= maxIndirect
}

// gossipParts takes a packet of several messages apart.
func gossipParts(b []byte) (parts [][]byte, ok bool) {
	c := cursor{b: b}
	n := int(c.u8())
	lengths := cursor{b: c.take(2 * n)}
	for range n {
		parts = append(parts, c.take(int(lengths.u16())))
	}
	return parts, n > 0 && !c.bad && !lengths.bad && len(c.b) == 0
}

// gossipMessage reports whether b is one whole message that may come in a packet.
func gossipMessage(b []byte) bool {
	c := cursor{b: b}
	switch c.u8() {
	case gossipUser:
		return true // the rest is for parseHints
	case gossipAlive:
		c.member()
		return !c.bad && len(c.b) == 0
	case gossipPing, gossipIndirect, gossipAck, gossipSuspect, gossipDead, gossipNack:
		c.record()
		return !c.bad && len(c.b) == 0
	}
	return false // an empty message is a ping without a record
}

// frame reads the one frame that either end of a stream sends and gives it back
// as it came, for memberlist to decrypt again.
func (s *sieve) frame(r io.Reader, kinds []byte) ([]byte, error) {
	var head [streamHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := int64(binary.BigEndian.Uint32(head[1:]))
	if head[0] != gossipSealed || size <= sealOverhead || size > streamBytes {
		return nil, errGossip
	}
	buf := bytes.NewBuffer(head[:])
	if _, err := io.CopyN(buf, r, size); err != nil { // grows with what comes, not with what was promised
		return nil, err
	}
	plain, err := s.open(nil, buf.Bytes()[streamHead:], head[:])
	if err != nil {
		return nil, err
	}
	if !gossipStream(plain, kinds) {
		return nil, errGossip
	}
	return buf.Bytes(), nil
}

// gossipStream reports whether b is one whole message of a stream.
func gossipStream(b, kinds []byte) bool {
	c := cursor{b: b}
	k := c.u8()
	if bytes.IndexByte(kinds, k) < 0 {
		return false
	}
	if k != gossipState {
		c.record()
		return !c.bad && len(c.b) == 0
	}
	head := c.record()
	if c.bad || head["Nodes"] > maxMembers {
		return false
	}
	for range head["Nodes"] {
		c.member()
	}
	return !c.bad && uint64(len(c.b)) == head["UserStateLen"]
}

// member walks the record of one member. Incarnations start at 1: memberlist keeps
// a new member of incarnation 0 without telling NotifyJoin, which counts names.
func (c *cursor) member() {
	if n := c.record()["Incarnation"]; n == 0 || n > math.MaxUint32 {
		c.bad = true
	}
}

// record walks one of memberlist's records: a MessagePack map of at most 15
// fields, each a text, a number from 0 up, a yes or no, or nothing. It gives the
// fields back; those that are no number count as 0.
func (c *cursor) record() map[string]uint64 {
	tag := c.u8()
	if tag&0xf0 != 0x80 {
		c.bad = true
		return nil
	}
	fields := map[string]uint64{}
	for range tag & 0x0f {
		name, v := string(c.text(c.u8())), uint64(0)
		switch tag := c.u8(); {
		case c.bad:
			return nil
		case tag == 0xc0 || tag == 0xc2 || tag == 0xc3: // nothing, no, yes
		case tag < 0x80 || tag >= 0xcc && tag <= 0xd3:
			v = c.number(tag)
		default:
			c.text(tag)
		}
		if _, twice := fields[name]; twice {
			c.bad = true // the decoder believes the last one, so there must be no choice
		}
		fields[name] = v
	}
	return fields
}

// text reads a text or bytes, which memberlist writes alike.
func (c *cursor) text(tag byte) []byte {
	var n int
	switch {
	case tag&0xe0 == 0xa0:
		n = int(tag & 0x1f)
	case tag == 0xc4 || tag == 0xd9:
		n = int(c.u8())
	case tag == 0xc5 || tag == 0xda:
		n = int(c.u16())
	default:
		c.bad = true
	}
	if n > maxGossipText {
		c.bad = true
	}
	return c.take(n)
}

// number reads a whole number that is not negative.
func (c *cursor) number(tag byte) (v uint64) {
	most := uint64(1<<63 - 1) // everything above is negative where it is read as an int
	switch tag {
	case 0xcc:
		v = uint64(c.u8())
	case 0xcd:
		v = uint64(c.u16())
	case 0xce:
		v = uint64(c.u32())
	case 0xcf:
		v = c.u64()
	case 0xd0:
		v, most = uint64(c.u8()), 1<<7-1
	case 0xd1:
		v, most = uint64(c.u16()), 1<<15-1
	case 0xd2:
		v, most = uint64(c.u32()), 1<<31-1
	case 0xd3:
		v = c.u64()
	default:
		return uint64(tag)
	}
	if v > most {
		c.bad = true
	}
	return v
}
