package meshtest

import (
	"encoding/binary"
	"fmt"

	"github.com/waypost/waypost/appliance/oplog"
)

// Frames that say what the sender holds durably, see mesh/doc.go.
const (
	frameVV   = 2
	frameHint = 3
	frameAck  = 4

	frameOps   = 6
	framePiece = 13
)

// says notes what a frame that leaves promises: whoever heard it counts on it, so it has to be
// there after any power cut. It reads the wire by itself, as a second implementation would.
func (p *Place) says(frame []byte) {
	if p.Asleep != nil && (frame[0] == frameOps || frame[0] == framePiece) {
		p.camp.wrong = append(p.camp.wrong, fmt.Sprintf("locked box %d serves what it cannot read", p.n))
	}
	const head = 5
	b := frame[head:]
	switch frame[0] {
	case frameVV:
		b = b[1:]
	case frameHint:
	case frameAck:
		b = b[4:]
	default:
		return
	}
	said := p.said
	if p.Asleep != nil {
		said = p.sealed
	}
	count, n := binary.Uvarint(b)
	for b = b[n:]; count > 0; count-- {
		log := oplog.LogID(b[:16])
		seq, n := binary.Uvarint(b[16:])
		b = b[16+n+16:]
		said[log] = max(said[log], seq)
	}
}
