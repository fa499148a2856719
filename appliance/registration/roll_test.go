package registration

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/waypost/waypost/appliance/oplog"
)

// Everybody is found under their own id, nobody under another one, and they come in the
// order of arrival, however the table has grown.
func TestRoll(t *testing.T) {
	r := newRoll()
	id := func(i int) (id oplog.ID) {
		binary.BigEndian.PutUint32(id[:], uint32(i*2654435761)) //nolint:gosec // any numbers
		return id
	}
	for _, n := range []int{0, 1, 47, 48, 49, rollBlock, rollBlock + 1, 5000} {
		for r.n < n {
			r.add(entry{id: id(r.n), clock: uint64(r.n)}) //nolint:gosec // counts
		}
		for i := range n {
			if e := r.find(id(i)); e == nil || e.clock != uint64(i) { //nolint:gosec // counts
				t.Fatalf("%d of %d: %+v", i, n, e)
			}
		}
		if r.find(id(n)) != nil {
			t.Fatalf("somebody who is not there, of %d", n)
		}
		place := uint64(0)
		for e := range r.all {
			if e.clock != place {
				t.Fatalf("place %d of %d has %d", place, n, e.clock)
			}
			place++
		}
		if place != uint64(n) { //nolint:gosec // counts
			t.Fatalf("%d of %d", place, n)
		}
	}
}

// Texts that are put together stay what they were.
func TestTextsTogether(t *testing.T) {
	var people []*entry
	for i := range onePieceLeast * 3 {
		people = append(people, &entry{text: strings.Repeat(fmt.Sprint(i), i%4)})
	}
	inOnePiece(people)
	for i, e := range people {
		if want := strings.Repeat(fmt.Sprint(i), i%4); e.text != want {
			t.Errorf("%d: %q instead of %q", i, e.text, want)
		}
	}
}

// Nobody's name stays in memory because others came with them.
func TestNoPieceKeepsWhoIsGone(t *testing.T) {
	x := newIndex()
	var people []*entry
	for i := range onePieceMost + 500 {
		people = append(people, &entry{id: oplog.NewID(), text: fmt.Sprint("somebody ", i)})
	}
	inOnePiece(people)
	for _, e := range people {
		x.put(*e)
	}
	gone := people[700]
	from := uintptr(unsafe.Pointer(unsafe.StringData(people[0].text)))
	to := uintptr(unsafe.Pointer(unsafe.StringData(people[onePieceMost-1].text)))
	x.drop(gone.id)
	n := 0
	for e := range x.people.all {
		if e.text != people[n].text && e.id != gone.id {
			t.Fatalf("%d is called %q", n, e.text)
		}
		if at := uintptr(unsafe.Pointer(unsafe.StringData(e.text))); at >= from && at <= to {
			t.Fatalf("the text of %d keeps the piece", n)
		}
		n++
	}
}
