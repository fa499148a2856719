package meshtest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/letterbox"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/mesh"
)

// What box_slumber.go of the program does around a locked box is done here again, in one
// goroutine: the parts it is made of are the real ones.

func (p *post) letterboxKey() letterbox.Key {
	key, err := letterbox.NewKey(p.vault.Deployment(), p.vault.NodeID(), p.vault.Subkey("letterbox"))
	p.must(err)
	return key
}

// arm puts on the card what the box needs when it is locked. How far it holds every log is
// right now, and old when the power goes later.
func (p *post) arm() {
	nodes, err := p.Identity.Nodes()
	p.must(err)
	t := letterbox.Trust{Root: [32]byte(p.vault.Root())}
	k := letterbox.Known{Logs: p.log.Known()}
	for _, n := range nodes {
		shut := p.Identity.Shut(n.ID)
		if n.Confirmed && !shut {
			t.Certs = append(t.Certs, n.Cert.Marshal())
		}
		if shut || p.Identity.Outcast(n.Cert) {
			k.Shut = append(k.Shut, [10]byte(n.ID))
		}
	}
	var l letterbox.Locked
	_, _ = rand.Read(l.Seed[:])
	cert, _, err := p.Mesh.RenewLocked(nil, [32]byte(ed25519.NewKeyFromSeed(l.Seed[:]).Public().(ed25519.PublicKey)))
	p.must(err)
	l.Cert = cert
	_, err = letterbox.Ready(p.fs(), p.dir, p.letterboxKey())
	for _, e := range []error{err, letterbox.WriteTrust(p.fs(), p.dir, t), letterbox.WriteKnown(p.fs(), p.dir, k), letterbox.WriteLocked(p.fs(), p.dir, l)} {
		if e != nil && p.dead() {
			p.look()
			return
		}
		p.must(e)
	}
	p.armed = true
}

// sleep starts the box, and nobody opens it.
func (p *post) sleep() {
	p.t.Helper()
	p.wet()
	mine, ok := letterbox.ReadLocked(p.fs(), p.dir)
	trust, known := letterbox.ReadTrust(p.fs(), p.dir)
	if !ok || !known {
		p.t.Fatalf("post %d: what a locked box needs is not on its card", p.n)
	}
	root := ed25519.PublicKey(trust.Root[:])
	var err error
	p.letters, err = letterbox.OpenRecords(p.fs(), p.dir, letterbox.RecordsOptions{
		Born: func(log oplog.LogID, birth []byte) (ed25519.PublicKey, error) {
			return identity.LogKey(root, log, birth)
		},
	})
	p.must(err)
	if p.sealed == nil {
		p.sealed = map[oplog.LogID]uint64{}
	}
	p.kept(p.letters.Heads(), p.sealed)
	cert, err := mesh.LockedNode(mine.Cert, root)
	p.must(err)
	shut := letterbox.ShutOut(p.fs(), p.dir)
	p.must(p.Place.Sleep(mesh.LockedConfig{
		Seed: mine.Seed, Cert: mine.Cert, Root: root, Letters: p.letters,
		Shut: func(id identity.NodeID) bool { return slices.Contains(shut, [10]byte(id)) },
	}, cert))
	p.after = p.look
}

// wake has somebody open the box.
func (p *post) wake() {
	p.down()
	p.open(false)
}

// Merge is called by a pile that was left.
const pileRetry = 20 * time.Second

// mergePile merges what the box took in while it was locked, as often as it takes. When it is
// through, everything that it acknowledged meanwhile is in its journal.
func (p *post) mergePile() {
	p.t.Helper()
	pile := letterbox.EmptyRecords(p.fs(), p.dir, p.letterboxKey())
	names, err := pile.Names()
	p.must(err)
	left := 0
	for _, name := range names {
		batch, err := pile.Read(name)
		if err == nil {
			_, err = p.log.Merge(context.Background(), batch)
		}
		switch class := fault.ClassOf(err); {
		case err == nil:
			err = pile.Done(name)
		case p.dead():
		case class == fault.Conflict:
			left++
			err = nil
		default:
			p.t.Fatalf("post %d cannot merge what it took in: %v", p.n, err)
		}
		if err != nil && p.dead() {
			p.look()
			return
		}
		p.must(err)
	}
	p.Mesh.Changed()
	p.camp.harm["letters merged"] += len(names) - left
	if left > 0 {
		stage{p.Place, p.life}.After(pileRetry, p.mergePile)
		return
	}
	p.kept(p.log.Heads(), p.sealed)
	p.sealed = nil
}

// night locks a box, or readies one for the next power cut.
func (p *play) night() {
	o := p.some(func(o *post) bool { return on(o) && p.honest(o) })
	if o == nil {
		return
	}
	o.arm()
	if !on(o) || p.rnd.IntN(3) == 0 {
		return
	}
	p.lock(o)
}

func (p *play) lock(o *post) {
	p.say("%d is locked", o.n)
	p.harm["boxes locked"]++
	o.down()
	o.sleep()
}

// dawn opens one.
func (p *play) dawn() {
	if o := p.some(func(o *post) bool { return o.Asleep != nil }); o != nil {
		p.say("%d is opened, with %d facts in its letterbox", o.n, o.letters.Waiting())
		p.harm["boxes opened"]++
		o.wake()
	}
}

// burn destroys a locked box for good: nobody gets at what only it had.
func (p *play) burn() {
	o := p.some(func(o *post) bool { return o.Asleep != nil && p.honest(o) && o.n > 0 && !p.twins(o) })
	if o == nil || len(p.posts) < 5 {
		return
	}
	p.say("%d burns", o.n)
	p.harm["locked boxes burnt"]++
	for _, id := range p.onlyAt(o) {
		p.people[id].open = true
	}
	o.down()
	p.posts = slices.DeleteFunc(slices.Clone(p.posts), func(x *post) bool { return x == o })
}

// opensNothing looks whether a carrier could read what it carries.
func (p *play) opensNothing(o *post) {
	if !o.vault.Carries() {
		p.fail("post %d is no carrier any more", o.n)
	}
	for _, e := range p.epochs {
		if _, ok := o.vault.CompartmentKey(oplog.Register, e.area, e.epoch); ok {
			p.fail("carrier %d has the key of area %d, epoch %d", o.n, e.area, e.epoch)
		}
	}
	for _, id := range p.order {
		if o.has(id) {
			p.fail("carrier %d shows a person", o.n)
		}
	}
}

// epoch is one key of the register that somebody wrote under.
type epoch struct {
	area  uint16
	epoch uint32
}
