package registration

import (
	"hash/maphash"
	"strings"

	"github.com/waypost/waypost/appliance/oplog"
)

// roll is everybody in the index, by order of arrival and by id. A million people are most
// of what a full node holds in memory, so they lie in blocks, which are never copied when
// there are more, and the ids are found by a table of places instead of a map: 7 bytes a
// person instead of 25. The caller locks.
type roll struct {
	n      int
	blocks [][]entry
	seed   maphash.Seed // so that nobody can choose ids that meet
	table  []int32      // place + 1 by hash, the next free one when it is taken; a power of two
}

const rollBlock = 1024

func newRoll() roll { return roll{seed: maphash.MakeSeed(), table: make([]int32, 64)} }

func (r *roll) at(i int) *entry { return &r.blocks[i/rollBlock][i%rollBlock] }

// all gives everybody in the order in which they came.
func (r *roll) all(yield func(*entry) bool) {
	for _, block := range r.blocks {
		for i := range block {
			if !yield(&block[i]) {
				return
			}
		}
	}
}

// find is somebody's entry; nil when there is none.
func (r *roll) find(id oplog.ID) *entry {
	_, e := r.place(id)
	return e
}

// place is somebody's entry and where it lies.
func (r *roll) place(id oplog.ID) (int, *entry) {
	if place := int(r.table[r.slot(id)]); place > 0 {
		return place - 1, r.at(place - 1)
	}
	return 0, nil
}

// slot is where an id stands in the table, or could.
func (r *roll) slot(id oplog.ID) int {
	mask := len(r.table) - 1
	i := int(maphash.Bytes(r.seed, id[:])) & mask //nolint:gosec // masked
	for r.table[i] > 0 && r.at(int(r.table[i])-1).id != id {
		i = (i + 1) & mask
	}
	return i
}

// add takes in somebody who is not there yet.
func (r *roll) add(e entry) {
	if r.n >= len(r.table)/4*3 {
		r.grow()
	}
	if r.n%rollBlock == 0 {
		r.blocks = append(r.blocks, make([]entry, 0, rollBlock))
	}
	last := &r.blocks[r.n/rollBlock]
	*last = append(*last, e)
	r.n++
	r.table[r.slot(e.id)] = int32(r.n) //nolint:gosec // people of one deployment
}

func (r *roll) grow() {
	r.table = make([]int32, 2*len(r.table))
	place := int32(0)
	for e := range r.all {
		place++
		r.table[r.slot(e.id)] = place
	}
}

// Texts are put into one piece of memory when there are so many people at least, and of so
// many at most.
const (
	onePieceLeast = 50
	onePieceMost  = 2000
)

// separate gives everybody around somebody who is gone a text of their own: the piece they
// shared would keep that name in memory. People whose texts were put together came together,
// so they stand next to each other.
func (r *roll) separate(id oplog.ID) {
	place := int(r.table[r.slot(id)]) - 1
	for i := max(0, place-onePieceMost); i < min(r.n, place+onePieceMost); i++ {
		e := r.at(i)
		e.text = strings.Clone(e.text)
	}
}

// inOnePiece puts the texts of people who are about to be added, in this order, into one
// piece of memory: alone, each takes up to the next size there is, and the collector looks
// at it by itself.
func inOnePiece(people []*entry) {
	for len(people) > onePieceMost {
		inOnePiece(people[:onePieceMost])
		people = people[onePieceMost:]
	}
	if len(people) < onePieceLeast {
		return
	}
	size := 0
	for _, e := range people {
		size += len(e.text)
	}
	var b strings.Builder
	b.Grow(size)
	for _, e := range people {
		b.WriteString(e.text)
	}
	all := b.String()
	for _, e := range people {
		e.text, all = all[:len(e.text)], all[len(e.text):]
	}
}
