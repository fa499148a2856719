package mesh

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/waypost/waypost/appliance/oplog"
)

// kind is the first byte of an exchange frame. doc.go has the layouts.
type kind byte

const (
	kindHello   kind = 1
	kindVector  kind = 2
	kindHint    kind = 3
	kindAck     kind = 4
	kindWant    kind = 5
	kindOps     kind = 6
	kindBusy    kind = 7
	kindPing    kind = 8
	kindPong    kind = 9
	kindCards   kind = 10
	kindBye     kind = 11
	kindFetch   kind = 12
	kindPiece   kind = 13
	kindReports kind = 14
	kindStamps  kind = 15
)

// Limits of the wire. A frame announcing more ends the connection before a byte
// of it is stored.
const (
	protocol    = 1        // exchange protocol spoken here
	headerSize  = 5        // kind and length
	maxControl  = 64 << 10 // payload of every frame but OPS
	maxAnswer   = 4 << 20  // payload of OPS: a saved batch stays whole (1 MiB at most), so an answer may exceed what was asked for
	maxAsks     = 16       // logs in one WANT
	markSize    = 16 + 1 + 16
	marksAFrame = 1024 // of at most 16+10+16 bytes: fits maxControl
	batchOps    = 1000 // ops asked for in one WANT
	batchBytes  = 1 << 20
	leastBytes  = 32 << 10 // what a batch shrinks to on a slow link
)

// maxPayload is the longest payload a kind may have; zero for a kind we do not know.
func maxPayload(k kind) int {
	switch k {
	case kindOps:
		return maxAnswer
	case kindPiece:
		return maxPart
	case kindHello, kindVector, kindHint, kindAck, kindWant, kindCards, kindFetch, kindReports, kindStamps:
		return maxControl
	case kindBusy, kindPing, kindPong, kindBye:
		return 16
	}
	return 0
}

// mark says "I hold this log durably up to seq, whose header hash starts so".
type mark struct {
	log  oplog.LogID
	seq  uint64
	hash [16]byte
}

func markOf(h oplog.Head) mark {
	m := mark{log: h.Log, seq: h.Seq}
	copy(m.hash[:], h.Hash[:])
	return m
}

// The messages, one type a kind.
type (
	hello struct {
		proto       uint8
		incarnation [16]byte    // random per start; also the memberlist name
		own         oplog.LogID // the log the sender writes
		port        uint16      // where the sender listens, as others reach it
		card        []byte
	}
	vector struct {
		more  bool // another VV frame of the same vector follows
		marks []mark
	}
	hint struct{ marks []mark }
	ack  struct {
		id    uint32
		marks []mark
	}
	ask struct {
		log   oplog.LogID
		after uint64
	}
	want struct {
		id       uint32
		maxOps   uint16
		maxBytes uint32
		asks     []ask
	}
	part struct {
		log  oplog.LogID
		last uint64
		data []byte
	}
	opsFrame struct {
		id    uint32
		parts []part
	}
	busy struct {
		id    uint32
		retry uint16 // milliseconds
	}
	ping  struct{ nonce uint64 }
	pong  struct{ nonce uint64 }
	cards struct{ cards [][]byte }
	bye   struct{ reason uint8 }
)

// Reasons of a BYE. Any other end is TLS's own close_notify.
const (
	byeUnknown = 1 // protocol version not spoken here
	byeEnough  = 2 // both hold the same, and there are links enough
)

// message is anything that can be framed.
type message interface {
	kind() kind
	append(b []byte) []byte
}

func (hello) kind() kind      { return kindHello }
func (vector) kind() kind     { return kindVector }
func (hint) kind() kind       { return kindHint }
func (ack) kind() kind        { return kindAck }
func (want) kind() kind       { return kindWant }
func (opsFrame) kind() kind   { return kindOps }
func (busy) kind() kind       { return kindBusy }
func (ping) kind() kind       { return kindPing }
func (pong) kind() kind       { return kindPong }
func (cards) kind() kind      { return kindCards }
func (bye) kind() kind        { return kindBye }
func (fetch) kind() kind      { return kindFetch }
func (pieceFrame) kind() kind { return kindPiece }

// frame puts the header before the message.
func frame(m message) []byte {
	b := m.append(make([]byte, headerSize, 64))
	b[0] = byte(m.kind())
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-headerSize))
	return b
}

func appendMarks(b []byte, marks []mark) []byte {
	b = binary.AppendUvarint(b, uint64(len(marks)))
	for _, m := range marks {
		b = append(b, m.log[:]...)
		b = binary.AppendUvarint(b, m.seq)
		b = append(b, m.hash[:]...)
	}
	return b
}

func (h hello) append(b []byte) []byte {
	b = append(b, h.proto)
	b = append(b, h.incarnation[:]...)
	b = append(b, h.own[:]...)
	b = binary.BigEndian.AppendUint16(b, h.port)
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.card)))
	return append(b, h.card...)
}

func (v vector) append(b []byte) []byte {
	more := byte(0)
	if v.more {
		more = 1
	}
	return appendMarks(append(b, more), v.marks)
}

func (h hint) append(b []byte) []byte { return appendMarks(b, h.marks) }

func (a ack) append(b []byte) []byte {
	return appendMarks(binary.BigEndian.AppendUint32(b, a.id), a.marks)
}

func (w want) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, w.id)
	b = binary.BigEndian.AppendUint16(b, w.maxOps)
	b = binary.BigEndian.AppendUint32(b, w.maxBytes)
	b = append(b, byte(len(w.asks)))
	for _, a := range w.asks {
		b = append(b, a.log[:]...)
		b = binary.AppendUvarint(b, a.after)
	}
	return b
}

func (o opsFrame) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, o.id)
	b = append(b, byte(len(o.parts)))
	for _, p := range o.parts {
		b = append(b, p.log[:]...)
		b = binary.AppendUvarint(b, p.last)
		b = binary.BigEndian.AppendUint32(b, uint32(len(p.data)))
		b = append(b, p.data...)
	}
	return b
}

func (y busy) append(b []byte) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(b, y.id), y.retry)
}
func (p ping) append(b []byte) []byte { return binary.BigEndian.AppendUint64(b, p.nonce) }
func (p pong) append(b []byte) []byte { return binary.BigEndian.AppendUint64(b, p.nonce) }

func (c cards) append(b []byte) []byte {
	b = append(b, byte(len(c.cards)))
	for _, x := range c.cards {
		b = binary.BigEndian.AppendUint16(b, uint16(len(x)))
		b = append(b, x...)
	}
	return b
}

func (y bye) append(b []byte) []byte { return append(b, y.reason) }

var errFrame = errors.New("mesh: malformed frame")

// readFrame reads one frame. What the length field promises is allocated only as
// the bytes arrive.
func readFrame(r io.Reader) (kind, []byte, error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	k, n := kind(h[0]), int64(binary.BigEndian.Uint32(h[1:]))
	limit := maxPayload(k)
	if limit == 0 {
		return k, nil, fmt.Errorf("%w: kind %d", errFrame, k)
	}
	if n > int64(limit) {
		return k, nil, fmt.Errorf("%w: kind %d of %d bytes", errFrame, k, n)
	}
	b, err := readGrowing(r, int(n))
	return k, b, err
}

// readAtOnce is what a frame's length is believed without a byte of it: an answer of
// compressed records on average.
const readAtOnce = 64 << 10

// readGrowing reads n bytes, and takes at most four times the memory of those that came.
func readGrowing(r io.Reader, n int) ([]byte, error) {
	b := make([]byte, min(n, readAtOnce))
	for at := 0; ; {
		if _, err := io.ReadFull(r, b[at:]); err != nil {
			return b, err
		}
		if at = len(b); at == n {
			return b, nil
		}
		b = append(make([]byte, 0, min(n, 4*at)), b...)
		b = b[:cap(b)]
	}
}

// parse reads the payload of a frame. Byte slices of the result point into b.
func parse(k kind, b []byte) (message, error) {
	c := cursor{b: b}
	var m message
	switch k {
	case kindHello:
		h := hello{proto: c.u8()}
		c.copy(h.incarnation[:])
		c.copy(h.own[:])
		h.port = c.u16()
		h.card = c.take(int(c.u16()))
		m = h
	case kindVector:
		more := c.u8()
		if more > 1 {
			c.bad = true
		}
		m = vector{more: more == 1, marks: c.marks()}
	case kindHint:
		m = hint{c.marks()}
	case kindAck:
		m = ack{id: c.u32(), marks: c.marks()}
	case kindWant:
		m = c.want()
	case kindOps:
		m = c.ops()
	case kindBusy:
		m = busy{id: c.u32(), retry: c.u16()}
	case kindPing:
		m = ping{c.u64()}
	case kindPong:
		m = pong{c.u64()}
	case kindCards:
		n := int(c.u8())
		var out cards
		for range n {
			out.cards = append(out.cards, c.take(int(c.u16())))
			if c.bad {
				break
			}
		}
		m = out
	case kindBye:
		m = bye{c.u8()}
	case kindFetch:
		m = c.fetch()
	case kindPiece:
		m = c.piece()
	case kindReports:
		m = c.reports()
	case kindStamps:
		m = c.stamps()
	default:
		c.bad = true
	}
	if c.bad || len(c.b) > 0 {
		return nil, fmt.Errorf("%w: kind %d", errFrame, k)
	}
	return m, nil
}

// cursor takes fields off the front of a payload; after the first field that is
// not there, bad is set and everything reads as zero.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if c.bad || n < 0 || n > len(c.b) {
		c.bad = true
		return nil
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) copy(dst []byte) { copy(dst, c.take(len(dst))) }

func (c *cursor) u8() uint8 {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if b := c.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// uvarint reads the shortest form only, so one value has one spelling.
func (c *cursor) uvarint() uint64 {
	if c.bad {
		return 0
	}
	v, n := binary.Uvarint(c.b)
	if n <= 0 || (n > 1 && c.b[n-1] == 0) {
		c.bad = true
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) marks() []mark {
	n := c.uvarint()
	if c.bad || n > uint64(len(c.b)/markSize) {
		c.bad = true
		return nil
	}
	out := make([]mark, 0, n)
	for range n {
		var m mark
		c.copy(m.log[:])
		m.seq = c.uvarint()
		c.copy(m.hash[:])
		if c.bad {
			return nil
		}
		out = append(out, m)
	}
	return out
}

func (c *cursor) want() want {
	w := want{id: c.u32(), maxOps: c.u16(), maxBytes: c.u32()}
	n := int(c.u8())
	if n == 0 || n > maxAsks {
		c.bad = true
	}
	for i := 0; i < n && !c.bad; i++ {
		var a ask
		c.copy(a.log[:])
		a.after = c.uvarint()
		w.asks = append(w.asks, a)
	}
	return w
}

func (c *cursor) ops() opsFrame {
	o := opsFrame{id: c.u32()}
	n := int(c.u8())
	if n > maxAsks {
		c.bad = true
	}
	for i := 0; i < n && !c.bad; i++ {
		var p part
		c.copy(p.log[:])
		p.last = c.uvarint()
		if size := c.u32(); size <= maxAnswer {
			p.data = c.take(int(size))
		} else {
			c.bad = true
		}
		o.parts = append(o.parts, p)
	}
	return o
}
