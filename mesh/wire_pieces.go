package mesh

import "encoding/binary"

// Limits of the frames that carry pieces.
const (
	maxPieceAsks = 16            // pieces in one FETCH
	maxPiece     = 256<<10 + 16  // a sealed piece
	maxPart      = mostPart + 13 // payload of PIECE
	pieceNone    = 255           // index: none of them is here
	pieceBusy    = 254           // index: ask again in a moment
)

// The messages that move pieces. A question names the pieces that are wanted, the most
// wanted first; the answer is a part of the first of them that is held. When a piece
// takes several parts the further questions name it alone.
type (
	fetch struct {
		id     uint32
		offset uint32 // zero unless one piece is named
		length uint32
		pieces [][32]byte
	}
	pieceFrame struct {
		id    uint32
		index uint8  // which of the pieces; pieceNone, pieceBusy
		total uint32 // its length
		data  []byte
	}
)

func (f fetch) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, f.id)
	b = binary.BigEndian.AppendUint32(b, f.offset)
	b = binary.BigEndian.AppendUint32(b, f.length)
	b = append(b, byte(len(f.pieces)))
	for _, id := range f.pieces {
		b = append(b, id[:]...)
	}
	return b
}

func (p pieceFrame) append(b []byte) []byte {
	b = append(binary.BigEndian.AppendUint32(b, p.id), p.index)
	b = binary.BigEndian.AppendUint32(b, p.total)
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.data)))
	return append(b, p.data...)
}

func (c *cursor) fetch() fetch {
	f := fetch{id: c.u32(), offset: c.u32(), length: c.u32()}
	n := int(c.u8())
	if n == 0 || n > maxPieceAsks || n > 1 && f.offset > 0 || f.length == 0 {
		c.bad = true
	}
	for i := 0; i < n && !c.bad; i++ {
		var id [32]byte
		c.copy(id[:])
		f.pieces = append(f.pieces, id)
	}
	return f
}

func (c *cursor) piece() pieceFrame {
	p := pieceFrame{id: c.u32(), index: c.u8(), total: c.u32()}
	p.data = c.take(int(c.u32()))
	none := p.index == pieceNone || p.index == pieceBusy
	if none != (len(p.data) == 0) || none != (p.total == 0) || p.total > maxPiece || !none && int(p.index) >= maxPieceAsks {
		c.bad = true
	}
	if len(p.data) == 0 {
		p.data = nil
	}
	return p
}
