package meshtest

import (
	"maps"
	"slices"

	"github.com/waypost/waypost/appliance/oplog"
)

// backup is a folder as it was.
type backup struct {
	of  *post
	dir string
}

// backup keeps a copy of a folder.
func (p *play) backup() {
	if o := p.some(func(o *post) bool { return on(o) && p.honest(o) && o.n > 0 }); o != nil {
		dir := o.fresh()
		copyFolder(p.t, o.dir, dir)
		p.copies = append(p.copies, backup{o, dir})
		p.harm["backups"]++
		p.say("%d is kept", o.n)
	}
}

// restore puts a node back to what its copy says; what only it had since is lost, as when
// a box burns.
func (p *play) restore() {
	if len(p.copies) == 0 {
		return
	}
	b := p.copies[p.rnd.IntN(len(p.copies))]
	if p.shut[b.of] || p.gone[b.of] || !slices.Contains(p.posts, b.of) {
		return
	}
	p.say("%d comes out of its backup", b.of.n)
	if p.harm["restored"]++; p.boxes(b.of) > 1 {
		p.harm["restored while its copies run"]++
	}
	lost := p.onlyAt(b.of)
	b.of.down()
	b.of.sealed = nil
	clear(b.of.said)
	b.of.dir = b.of.fresh()
	copyFolder(p.t, b.dir, b.of.dir)
	b.of.open(true)
	for _, id := range lost {
		if !b.of.has(id) {
			p.people[id].open = true
		}
	}
}

// onlyAt are the people that no other post has.
func (p *play) onlyAt(o *post) (out []oplog.ID) {
	for _, id := range p.order {
		if !slices.ContainsFunc(p.posts, func(x *post) bool { return x != o && on(x) && x.has(id) }) {
			out = append(out, id)
		}
	}
	return out
}

// mostBoxes is how many run with one key at most: another node keeps no more links with one
// key, and a fifth box would wait until one of the others is gone. Of more than three each may hold another
// remainder of the log that they wrote together; then it can lack, for good, the news of who
// else holds what (seeds 309, 324): it never takes less for safe than it is. It knows of one
// other holder at least.
const mostBoxes = 4

// clone lets a second box run with a copy of a folder, and nobody notices that; it may be the
// copy of a copy.
func (p *play) clone() {
	may := func(o *post) bool {
		return on(o) && p.honest(o) && o.n > 0 && !o.carrier && !o.fuse && p.boxes(o) < mostBoxes
	}
	again := p.rnd.IntN(2) == 0 // the same one once more
	o := p.some(func(o *post) bool { return may(o) && again && p.twins(o) })
	if o == nil {
		o = p.some(may)
	}
	if o == nil {
		return
	}
	q := &post{Place: p.Add(), t: p.t, dir: o.fresh(), side: o.side}
	copyFolder(p.t, o.dir, q.dir)
	p.say("%d is copied, the copy is %d", o.n, q.n)
	q.peers = o.peers
	p.posts = append(p.posts, q)
	p.shore()
	p.forked[o.log.Own()] = true
	q.sealed = maps.Clone(o.sealed)
	q.open(false)
	p.harm["copies"]++
	if n := p.boxes(o); n > 3 {
		p.harm["more than three boxes of one key"]++
	}
	for range 1 + p.rnd.IntN(3) { // both write the same log on
		for _, x := range []*post{o, q} {
			p.adds(x, 1)
		}
	}
}

// boxes counts those that run with the keys of o.
func (p *play) boxes(o *post) (n int) {
	for _, x := range p.posts {
		if x.id == o.id {
			n++
		}
	}
	return n
}

func (p *play) twins(o *post) bool {
	return slices.ContainsFunc(p.posts, func(x *post) bool { return x != o && x.id == o.id })
}
