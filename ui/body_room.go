package ui

import "sync"

// Bodies come into memory in three steps, each as large as what may still follow, so that
// nothing is doubled on the way: a few KB for almost every form; strangerLimit; and what
// has a place. Those with a place use the same memory one after the other. Without that,
// one key whose program sent nonsense of 600 KB as fast as it could left 500 MB a second
// to the collector, which is late by as much as comes while it looks: 66 to 102 MB more
// for the box (measured).
const shortBody = 8 << 10

// longRooms is memory for bodies between strangerLimit and bodyLimit. There is never more
// of it in use than places of lengthy, and what is not used goes back by itself.
var longRooms = sync.Pool{New: func() any {
	room := make([]byte, bodyLimit+1)
	return &room
}}

// roomFor makes room for more of v.body, which is full. One byte more than may come, so
// that the end of the body, or its being too long, is seen without growing again.
func (v *visit) roomFor(limit, declared int) {
	most := limit
	if declared >= 0 {
		most = min(most, declared)
	}
	var room []byte
	switch came := len(v.body); {
	case came < shortBody && most > shortBody:
		room = make([]byte, shortBody)
	case came < strangerLimit && most > strangerLimit:
		room = make([]byte, strangerLimit)
	case came >= strangerLimit && came < bodyLimit && v.long != nil:
		v.room = longRooms.Get().(*[]byte)
		room = *v.room
	default:
		room = make([]byte, most+1)
	}
	n := copy(room, v.body)
	if v.room != nil && &room[0] != &(*v.room)[0] {
		v.leaveRoom()
	}
	v.body = room[:n]
}

// leaveRoom gives back the memory of a long body, with nothing of it inside.
func (v *visit) leaveRoom() {
	if v.room == nil {
		return
	}
	clear((*v.room)[:min(len(v.body), len(*v.room))])
	longRooms.Put(v.room)
	v.room, v.body = nil, nil
}

// free gives back what a body took, when its handler is done. Nothing that outlives the
// handler may point into v.body.
func (v *visit) free() {
	v.leaveRoom()
	v.body = nil // while the rest of what was refused is read and thrown away
	for _, place := range []*func(){&v.large, &v.long, &v.middle} {
		if *place != nil {
			(*place)()
			*place = nil
		}
	}
}
