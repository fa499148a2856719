package meshtest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/mesh"
)

// fate is what has to have become of a person in the end.
type fate struct {
	by     *post
	erased bool
	held   bool // written by a node that was shut out for good, beyond what counts
	open   bool // nobody can say: the only node that has it was shut out
}

// play is one camp under harm.
type play struct {
	*Camp
	t      testing.TB
	posts  []*post // of them the first is where the issuer lives; it is never shut out
	people map[oplog.ID]*fate
	order  []oplog.ID
	shut   map[*post]bool
	gone   map[*post]bool // for good
	liars  map[*post]bool
	copies []backup
	forked map[oplog.LogID]bool
	epochs map[oplog.ID]epoch // keys of the register that were written under, by person
	sticks []stick
	theme  string
	apart  bool // two islands never hear each other
	did    []string
}

// backup is a folder as it was.
type backup struct {
	of  *post
	dir string
}

func newPlay(t testing.TB, seed uint64, n int, tell func(string, ...any)) *play {
	c := NewCamp(seed, oplogtest.Noon(), tell)
	c.torn = true
	carriers := 0
	if n > 5 && c.rnd.IntN(3) == 0 {
		carriers = 1 + c.rnd.IntN(2)
	}
	posts := foundWith(t, c, n, func(i int) bool { return i >= n-carriers })
	c.harm["carriers"] += carriers
	p := &play{Camp: c, t: t, posts: posts, people: map[oplog.ID]*fate{}, forked: c.parted, epochs: map[oplog.ID]epoch{}, shut: map[*post]bool{}, gone: map[*post]bool{}, liars: map[*post]bool{}}
	first := p.posts[0]
	_, err := first.Staff.Add(ctx, operator, staff.NewAccount{User: "bea", Role: staff.Coordinator, Passphrase: secret})
	first.must(err)
	for _, o := range p.posts[1:] {
		first.must(first.Identity.Confirm(ctx, oplog.By{1}, o.vault.NodeID()))
	}
	first.Mesh.Changed()
	c.Run(10 * time.Second)
	return p
}

func (p *play) say(format string, args ...any) {
	p.did = append(p.did, fmt.Sprintf("%s ", p.now.Sub(oplogtest.Noon()).Round(time.Millisecond))+fmt.Sprintf(format, args...))
	p.note(p.did[len(p.did)-1], 0, 0, 0)
}

// some is a random post that ok accepts, nil when there is none.
func (p *play) some(ok func(*post) bool) *post {
	var all []*post
	for _, o := range p.posts {
		if ok(o) {
			all = append(all, o)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[p.rnd.IntN(len(all))]
}

func on(o *post) bool { return o.Mesh != nil }

func (p *post) up() bool { return p.Up() }

func (p *play) honest(o *post) bool { return !p.shut[o] && !p.liars[o] }

// act does one thing.
func (p *play) act() {
	acts := []struct {
		weight int
		do     func()
		in     string // the theme that has more of it
	}{
		{40, p.register, ""}, {10, p.cutHalves, ""}, {6, p.oneWay, ""}, {12, p.heal, ""}, {10, p.crash, ""}, {10, p.restart, ""},
		{5, p.backup, "copies"}, {3, p.restore, "copies"}, {3, p.clone, "copies"},
		{3, p.suspend, "shut"}, {2, p.lift, "shut"}, {2, p.revoke, "shut"}, {4, p.erase, "shut"},
		{4, p.weather, "air"}, {4, p.setClock, "air"}, {5, p.dim, "air"},
		{5, p.night, "nights"}, {5, p.dawn, "nights"}, {1, p.burn, "nights"},
		{3, p.stick, "islands"}, {2, p.sail, "islands"},
	}
	sum := 0
	for i, a := range acts {
		if a.in != "" && a.in == p.theme {
			acts[i].weight *= 4
		}
		sum += acts[i].weight
	}
	x := p.rnd.IntN(sum)
	for _, a := range acts {
		if x -= a.weight; x < 0 {
			a.do()
			return
		}
	}
}

// themes are what a camp may have more of.
var themes = []string{"", "copies", "shut", "air", "nights", "islands"}

func (p *play) register() {
	if o := p.some(func(o *post) bool { return on(o) && !o.carrier }); o != nil {
		n := 1 + p.rnd.IntN(4)
		p.say("%d registers %d", o.n, n)
		p.adds(o, n)
	}
}

// adds registers n people at o, fewer when its power goes meanwhile.
func (p *play) adds(o *post, n int) {
	for range n {
		if !on(o) {
			return
		}
		area, key := o.vault.CurrentEpoch(oplog.Register)
		id, ok := o.add()
		if !ok {
			return
		}
		p.epochs[id] = epoch{area, key}
		p.people[id] = &fate{by: o, open: p.shut[o] || p.liars[o]}
		p.order = append(p.order, id)
		if p.gone[o] {
			p.people[id] = &fate{by: o, held: true}
		}
	}
}

// setClock sets the clock of a box that runs: years on, back to 1970, or has it run wrong.
// Some think that they know better.
func (p *play) setClock() {
	o := p.some((*post).up)
	if o == nil {
		return
	}
	off := []time.Duration{0, time.Hour, -time.Hour, 30 * 365 * 24 * time.Hour, -56 * 365 * 24 * time.Hour}[p.rnd.IntN(5)]
	drift := []float64{0, 0, 0.01, -0.5, 30}[p.rnd.IntN(5)]
	sure := p.rnd.IntN(3) > 0
	p.say("the clock of %d is set: off by %v, drifts by %v, sure %v", o.n, off, drift, sure)
	p.harm["clocks set while running"]++
	o.SetClock(off, drift, sure)
}

// dim has the power of a box go between two of its next writes.
func (p *play) dim() {
	o := p.some(func(o *post) bool { return o.up() && o.disk != nil && !o.fuse && o.n > 0 })
	if o == nil {
		return
	}
	o.fuse = true
	o.disk.CutAfter(1 + p.rnd.IntN(30))
	p.say("the power of %d is failing", o.n)
	if on(o) && !o.carrier && p.rnd.IntN(2) == 0 {
		p.adds(o, 3)
	}
}

func (p *play) cutHalves() {
	var one, other []*Place
	for _, o := range p.posts {
		if p.rnd.IntN(2) == 0 {
			one = append(one, o.Place)
		} else {
			other = append(other, o.Place)
		}
	}
	p.say("cut %d from %d", len(one), len(other))
	p.Cut(one, other)
}

func (p *play) oneWay() {
	a, b := p.posts[p.rnd.IntN(len(p.posts))], p.posts[p.rnd.IntN(len(p.posts))]
	p.say("one way %d>%d", a.n, b.n)
	p.Block(a.Place, b.Place)
}

func (p *play) heal() { p.say("heal"); p.Heal(); p.shore() }

func (p *play) weather() {
	p.Loss, p.Twice = []float64{0, 0, 0.05, 0.2}[p.rnd.IntN(4)], []float64{0, 0.3}[p.rnd.IntN(2)]
	p.say("loss %v twice %v", p.Loss, p.Twice)
}

func (p *play) crash() {
	if o := p.some((*post).up); o != nil {
		p.say("%d dies", o.n)
		o.down()
	}
}

func (p *play) restart() {
	o := p.some(func(o *post) bool { return !o.up() })
	if o == nil {
		return
	}
	if (o.armed || o.sealed != nil) && p.rnd.IntN(2) == 0 {
		p.lock(o)
		return
	}
	off := []time.Duration{0, 0, time.Hour, -time.Hour, 10 * 365 * 24 * time.Hour, -56 * 365 * 24 * time.Hour}[p.rnd.IntN(6)]
	o.SetClock(off, 0, off == 0)
	p.say("%d starts, clock off by %v", o.n, off)
	o.open(false)
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

// mostBoxes is how many run with one key at most. Of more than three each may hold another
// remainder of the log that they wrote together; then it can lack, for good, the news of who
// else holds what (seeds 309, 324): it never takes less for safe than it is. It knows of one
// other holder at least.
const mostBoxes = 6

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

func (p *play) suspend() {
	first := p.posts[0]
	o := p.some(func(o *post) bool { return p.honest(o) && o.n > 0 && !p.twins(o) })
	if o == nil || !on(first) || len(p.shut)*3 > len(p.posts) {
		return
	}
	err := first.Identity.Suspend(ctx, oplog.By{1}, o.id)
	if fault.ClassOf(err) == fault.Conflict || fault.ClassOf(err) == fault.NotFound {
		return
	}
	first.must(err)
	first.Mesh.Changed()
	p.say("%d is suspended", o.n)
	p.shut[o] = true
	for _, id := range p.onlyAt(o) {
		p.people[id].open = true
	}
}

func (p *play) lift() {
	first := p.posts[0]
	o := p.some(func(o *post) bool { return p.shut[o] && !p.gone[o] })
	if o == nil || !on(first) {
		return
	}
	err := first.Identity.Lift(ctx, oplog.By{1}, o.id)
	if fault.ClassOf(err) == fault.NotFound {
		return
	}
	first.must(err)
	first.Mesh.Changed()
	p.say("%d is given back", o.n)
	delete(p.shut, o)
	for _, id := range p.order {
		if f := p.people[id]; f.by == o && !f.erased && on(o) && o.has(id) {
			f.open = false
		}
	}
}

// revoke shuts a node out for good: what the issuer's box has of it counts.
func (p *play) revoke() {
	first := p.posts[0]
	o := p.some(func(o *post) bool { return !p.gone[o] && !p.liars[o] && o.n > 0 && !p.twins(o) })
	if o == nil || !on(first) || len(p.shut)*3 > len(p.posts) {
		return
	}
	cuts, err := first.Identity.RevokeCutsFor(o.id)
	if fault.ClassOf(err) == fault.NotFound {
		return
	}
	first.must(err)
	act := staff.Act{Purpose: identity.PurposeRevoke, Action: staff.RevokeNodes, Body: identity.RevokeBody(o.id, cuts), Key: "lost.act.revoke", Args: []any{"Site", "x"}}
	one, two := p.sign("amal"), p.sign("bea")
	ask, err := first.Staff.AskAct(one, act, func(ctx context.Context, by staff.ID, a, b staff.Hand) error {
		return first.Identity.Revoke(ctx, by, o.id, cuts, [2][]byte{a, b})
	})
	first.must(err)
	first.must(first.Staff.ConfirmAct(ctx, two, ask))
	p.out(one, two)
	first.Mesh.Changed()
	p.say("%d is revoked", o.n)
	p.shut[o], p.gone[o] = true, true
	for _, id := range p.order {
		if f := p.people[id]; f.by == o && !f.erased {
			f.held = !first.has(id)
			f.open = false
		}
	}
}

func (p *play) sign(user string) staff.Session {
	s, err := p.posts[0].Staff.SignIn(ctx, user, secret)
	p.posts[0].must(err)
	return s
}

func (p *play) out(sessions ...staff.Session) {
	for _, s := range sessions {
		p.posts[0].Staff.SignOut(s.Token)
	}
}

// erase erases somebody whom the first post knows.
func (p *play) erase() {
	first := p.posts[0]
	if !on(first) {
		return
	}
	var known []oplog.ID
	for _, id := range p.order {
		if f := p.people[id]; !f.erased && !f.held && !f.open && first.has(id) {
			known = append(known, id)
		}
	}
	if len(known) == 0 {
		return
	}
	id := known[p.rnd.IntN(len(known))]
	one, two := p.sign("amal"), p.sign("bea")
	ask, err := first.Registration.Erase(ctx, one, id, "own_wish", "")
	if fault.ClassOf(err) == fault.Busy {
		p.out(one, two)
		return
	}
	first.must(err)
	_, err = first.Staff.ConfirmErasure(ctx, two, ask)
	first.must(err)
	p.out(one, two)
	first.Mesh.Changed()
	p.say("somebody is erased")
	p.people[id].erased = true
}

// settle ends all harm and waits until everybody who counts holds the same.
func (p *play) settle() {
	p.Loss, p.Twice = 0, 0
	for _, o := range p.posts {
		if o.fuse {
			o.fuse = false
			o.disk.CutAfter(-1)
		}
		if o.Asleep != nil {
			p.say("%d is opened, with %d facts in its letterbox", o.n, o.letters.Waiting())
			o.wake()
		}
		if !on(o) {
			o.SetClock(0, 0, true)
			o.open(false)
		}
	}
	p.heal()
	if p.apart {
		p.ferry()
	}
	p.apart = false
	p.Heal()
	// What two boxes wrote into one log is written again by either of them when they have met:
	// until then all may hold the same without it.
	took, ok := p.within(func() bool {
		return same(p.counting(), p.forked) && (len(p.forked) == 0 || p.allThere()) && !slices.ContainsFunc(p.posts, func(o *post) bool { return o.sealed != nil })
	})
	p.say("settled after %v: %v", took, ok)
	if !ok {
		p.fail("they never hold the same:\n%s%s", p.heads(), p.links())
	}
	p.Run(15 * time.Second) // what is said about nodes is acted on
}

// within plays until ok, ten minutes at most.
func (p *play) within(ok func() bool) (time.Duration, bool) {
	return p.Until(p.patience(), time.Second, ok)
}

// allThere reports whether everybody who was answered for is found everywhere.
func (p *play) allThere() bool {
	for _, o := range p.counting() {
		for _, id := range p.order {
			if f := p.people[id]; !f.erased && !f.open && !f.held && !o.carrier && !o.has(id) {
				return false
			}
		}
	}
	return true
}

func (p *play) counting() (out []*post) {
	for _, o := range p.posts {
		if p.honest(o) {
			out = append(out, o)
		}
	}
	return out
}

func (p *play) heads() (out string) {
	all := map[oplog.LogID]map[uint64][]int{}
	for _, o := range p.counting() {
		for _, h := range o.log.Heads() {
			if all[h.Log] == nil {
				all[h.Log] = map[uint64][]int{}
			}
			all[h.Log][h.Seq] = append(all[h.Log][h.Seq], o.n)
		}
	}
	for log, seqs := range all {
		n := 0
		for _, who := range seqs {
			n += len(who)
		}
		if len(seqs) > 1 || n < len(p.counting()) {
			out += fmt.Sprintf("%s: %v\n", log, seqs)
		}
	}
	return out
}

func (p *play) fail(format string, args ...any) {
	p.t.Helper()
	p.t.Errorf(format, args...)
	for _, d := range p.did {
		p.t.Log(d)
	}
	p.t.FailNow()
}

// check looks at everybody who counts.
func (p *play) check() {
	digests := map[string][]int{}
	for _, w := range p.wrong {
		p.fail("%s", w)
	}
	for _, o := range p.counting() {
		if o.carrier {
			p.opensNothing(o)
			continue
		}
		r, err := o.log.Check(ctx)
		o.must(err)
		for _, id := range p.order {
			f := p.people[id]
			switch has := o.has(id); {
			case f.erased && has:
				p.fail("post %d shows somebody who was erased", o.n)
			case f.erased || f.open:
			case f.held && has:
				p.fail("post %d shows what a revoked post (%d) wrote after its cut", o.n, f.by.n)
			case !f.held && !has:
				p.fail("post %d lacks a person that post %d answered for", o.n, f.by.n)
			}
		}
		digests[r.Views] = append(digests[r.Views], o.n)
	}
	if len(digests) > 1 {
		p.fail("views differ: %v", digests)
	}
	p.copiesKnown()
}

// copiesKnown: every node knows of every other one that it holds everything.
func (p *play) copiesKnown() {
	all := p.counting()
	took, ok := p.Until(15*time.Minute, 10*time.Second, func() bool { return p.unknown(all) == "" })
	p.say("copies known after %v: %v", took, ok)
	if !ok {
		p.fail("%s", p.unknown(all))
	}
}

func (p *play) unknown(all []*post) string {
	ids := map[identity.NodeID]bool{}
	for _, o := range all {
		ids[o.id] = true
	}
	for _, o := range all {
		if n := o.Mesh.OnlyHere(); n > 0 && len(ids) > 1 && len(p.forked) == 0 {
			return fmt.Sprintf("post %d says that %d ops are only there", o.n, n)
		}
		for log, nodes := range o.Mesh.Holders() {
			if p.forked[log] {
				continue
			}
			n := 0
			for _, id := range nodes {
				if ids[id] {
					n++
				}
			}
			if n < len(ids) && (p.boxes(o) <= 3 || n < 2) { // see mostBoxes
				return fmt.Sprintf("post %d knows %d of %d holders of %s, not %v\n%s", o.n, n, len(ids), log, p.others(ids, nodes), p.links())
			}
		}
	}
	return ""
}

// others are the posts of those in ids that are not in nodes.
func (p *play) others(ids map[identity.NodeID]bool, nodes []identity.NodeID) (out []int) {
	for _, o := range p.posts {
		if ids[o.id] && !slices.Contains(nodes, o.id) {
			out = append(out, o.n)
		}
	}
	return out
}

// run plays one camp. One in twenty is large; in every third somebody lies.
func run(t testing.TB, seed uint64, most int, tell func(string, ...any)) *play {
	draw := rand.New(rand.NewPCG(seed, 0xca3b))
	n := 5 + draw.IntN(6)
	if draw.IntN(20) == 0 {
		n = 5 + draw.IntN(most-4)
	}
	p := newPlay(t, seed, n, tell)
	if draw.IntN(3) == 0 {
		o := p.posts[1+draw.IntN(n-1)]
		o.down()
		o.bent = lying(p.rnd)
		p.liars[o] = true
		o.open(false)
		p.say("%d lies", o.n)
	}
	if p.theme = themes[draw.IntN(len(themes))]; n > 5 && p.theme == "islands" {
		p.islands()
	}
	for range 20 + draw.IntN(40) {
		p.act()
		p.Run(time.Duration(p.rnd.Int64N(int64(12 * time.Second))))
	}
	p.fork(seed)
	p.settle()
	p.check()
	p.forkNamed()
	return p
}

// How many camps are played: by `go test` a handful, by make more. A failure prints its
// seed; WAYPOST_SIM_FROM=seed WAYPOST_SIM_SEEDS=1 plays it again, WAYPOST_SIM_TELL=1 with
// every step.
func number(name string, or int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return or
}

// TestCamps plays camps under harm: cuts, halves, one-way cuts, loss, crashes, wrong clocks,
// restored and copied folders, liars, suspensions, revocations, erasures; in the end all is
// mended. Then everybody holds the same, shows the same, and knows who holds it; nobody who
// was answered for is missing, nobody who was erased is shown, nor what a revoked node wrote
// beyond its cut.
func TestCamps(t *testing.T) {
	from, seeds, most := number("WAYPOST_SIM_FROM", 1), number("WAYPOST_SIM_SEEDS", 5), number("WAYPOST_SIM_MOST", 50)
	step, posts, people := number("WAYPOST_SIM_STEP", 1), 0, 0
	harm := map[string]int{}
	for seed := from; seed < from+seeds; seed += step {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, uint64(seed))
			var tell func(string, ...any)
			if os.Getenv("WAYPOST_SIM_TELL") != "" {
				tell = t.Logf
			}
			p := run(t, uint64(seed), most, tell)
			posts, people = posts+len(p.posts), people+len(p.order)
			for what, n := range p.harm {
				harm[what] += n
			}
		})
	}
	t.Logf("%d camps from seed %d on, %d posts, %d people", (seeds+step-1)/step, from, posts, people)
	for _, what := range slices.Sorted(maps.Keys(harm)) {
		t.Logf("%7d %s", harm[what], what)
	}
}

// TestMain has the garbage looked for seldom, and by one thread: a camp is one goroutine, and
// make plays as many camps at once as there are cores.
func TestMain(m *testing.M) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	os.Exit(m.Run())
}

// TestTwoRunsAreEqual: what happens follows from the seed alone.
func TestTwoRunsAreEqual(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		var traces []uint64
		for range 2 {
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
				cryptotest.SetGlobalRandom(t, seed)
				traces = append(traces, run(t, seed, 20, nil).Trace())
			})
		}
		if len(traces) != 2 || traces[0] != traces[1] {
			t.Errorf("seed %d: traces %x", seed, traces)
		}
	}
}

// links is who sees whom.
func (p *play) links() (out string) {
	number := map[identity.NodeID]int{}
	for _, o := range p.posts {
		if _, seen := number[o.id]; !seen {
			number[o.id] = o.n
		}
	}
	for _, o := range p.posts {
		out += fmt.Sprintf("post %d (node %d, shut %v):", o.n, number[o.id], p.shut[o])
		for _, x := range o.Mesh.Peers() {
			out += fmt.Sprintf(" %d %s", number[x.Node], x.State)
			if x.State == mesh.Connected {
				out += fmt.Sprintf(" %d/%d", x.Behind, x.Ahead)
			}
		}
		for _, l := range o.lines {
			out += fmt.Sprintf(" [to %d]", l.to.n)
		}
		out += "\n"

	}
	return out
}
