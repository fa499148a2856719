package sealed

import (
	"bytes"
	"cmp"
	"crypto/ecdh"
	"crypto/ed25519"
	"slices"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// epoch is one that counts.
type epoch struct {
	epochBegun
	name   [32]byte // its hash
	clock  uint64
	log    oplog.LogID
	issuer bool // by an issuer's word

	issuers, turns int // how many issuers' words, and changes of officers, lead to it
}

// stand counts what leads to an epoch that counts; before is nil where that is not known.
func (e *epoch) stand(before *epoch) {
	if before != nil {
		e.issuers, e.turns = before.issuers, before.turns
	}
	switch {
	case e.issuer:
		e.issuers++
	case e.Turn != nil:
		e.turns++
	}
}

// compartment is what counts of a narrow compartment.
type compartment struct {
	epochs    map[[32]byte]*epoch
	current   *epoch // nil while nobody opened it
	contested bool   // two epochs begin where one may: somebody has to look
}

// compartment judges what the logs say about one. An epoch counts when a node wrote it whose
// words were compared, and that is not shut out, and
//
//   - an issuer gave its word for it; or
//   - the key of an epoch that counts signed it as the next one, with the same officers, and
//     so did the account that began it: one that may have the compartment, at the node where
//     it signs in, before that node said that the account ended; or
//   - the same with other officers, by two of the officers before, neither of whom had left.
//
// The key alone is not enough: whoever left still has it.
func (d *Desk) compartment(r oplog.Reader, n staff.Narrow, who people) (compartment, error) {
	c := compartment{epochs: map[[32]byte]*epoch{}}
	var said []*epoch
	err := r.Rows(keysView, []byte{'e'}, nil, func(k []byte, subject oplog.ID, value []byte) error {
		var row epochRow
		if subject != subjectOf(n) || decode(value, &row) != nil || len(k) != 1+32+16 || !d.counts(oplog.LogID(k[33:])) {
			return nil
		}
		said = append(said, &epoch{epochBegun: row.Body, name: row.Body.hash(), clock: row.Clock, log: oplog.LogID(k[33:])})
		return nil
	})
	if err != nil {
		return c, err
	}
	slices.SortStableFunc(said, func(a, b *epoch) int { return cmp.Compare(a.Epoch, b.Epoch) })
	for _, e := range said {
		if c.epochs[e.name] == nil && d.follows(c, e, who) {
			e.stand(c.epochs[e.Before])
			c.epochs[e.name] = e
		}
	}
	c.choose()
	return c, nil
}

// follows reports whether an epoch counts, the ones before it known.
func (d *Desk) follows(c compartment, e *epoch, who people) bool {
	if e.issuer = d.issuerSigned(e.epochBegun); e.issuer {
		return true
	}
	before := c.epochs[e.Before]
	by, known := who[e.By]
	msg := e.message(d.o.Deployment)
	if before == nil || before.Epoch+1 != e.Epoch || !known || !d.home(e.log, by) || by.Off && by.OffAt < e.clock {
		return false
	}
	same := e.Turn == nil && by.Opens(e.Narrow) && before.Officers == e.Officers && slices.Equal(before.Staff, e.Staff)
	return (same || d.turned(before, e, who)) && ed25519.Verify(before.Sign[:], msg, e.Word) && staff.Signed(by.Sign, msg, e.Hand)
}

// choose finds the epoch things are sealed to, on every node that knows the same alike. More
// issuers' words go before more changes of officers, and those before the higher number: who
// holds the keys makes numbers alone, at a box apart, and undoes nothing that took two.
func (c *compartment) choose() {
	next := map[[32]byte]int{}
	for _, e := range c.epochs {
		next[e.Before]++
	}
	var ends []*epoch
	for _, e := range c.epochs {
		if next[e.name] == 0 {
			ends = append(ends, e)
		}
	}
	slices.SortFunc(ends, func(a, b *epoch) int {
		return cmp.Or(cmp.Compare(b.issuers, a.issuers), cmp.Compare(b.turns, a.turns), cmp.Compare(b.Epoch, a.Epoch), bytes.Compare(a.name[:], b.name[:]))
	})
	if len(ends) > 0 {
		c.current = ends[0]
	}
	c.contested = len(ends) > 1
}

func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// notOpen is what everybody hears while a compartment has no keys.
func notOpen() error { return fault.New(fault.Conflict, "fault.sealed.not_open") }

// held are the seeds a person was given, by epoch.
type held map[[32]byte]seedOf

type seedOf struct {
	narrow staff.Narrow
	epoch  uint32
	seed   key
	seal   *ecdh.PrivateKey
}

func (h held) wipe() {
	for k := range h {
		delete(h, k) // copies of the values lie where the collector finds them
	}
}

// of are the keys for what was passed on to a compartment.
func (h held) of(n staff.Narrow) (out []*ecdh.PrivateKey) {
	for _, s := range h {
		if s.narrow == n {
			out = append(out, s.seal)
		}
	}
	return out
}

func (d *Desk) seedInfo(epoch [32]byte, to oplog.ID) []byte {
	return slices.Concat([]byte("waypost/sealed-seed/1"), d.o.Deployment[:], epoch[:], to[:])
}

// seeds opens every seed that was given to the person, of compartments their role may have.
// What does not hold the keys of the epoch is none, whoever wrote it.
func (d *Desk) seeds(a staff.Actor, mine *ecdh.PrivateKey) (held, error) {
	out := held{}
	who, err := d.people()
	if err != nil {
		return nil, err
	}
	me, known := who[a.ID]
	if !known {
		return out, nil
	}
	err = d.log.View(func(r oplog.Reader) error {
		for _, n := range staff.Narrows() {
			if !a.Opens(n) {
				continue
			}
			c, err := d.compartment(r, n, who)
			if err != nil {
				return err
			}
			for name, e := range c.epochs {
				err := r.Rows(keysView, append([]byte{'g'}, name[:]...), nil, func(k []byte, subject oplog.ID, value []byte) error {
					var g seedGiven
					if subject != me.Subject || decode(value, &g) != nil || !d.counts(oplog.LogID(k[33:49])) {
						return nil
					}
					seed, err := unwrap(mine, d.seedInfo(name, subject), g.Sealed)
					if err != nil || len(seed) != 32 {
						return nil //nolint:nilerr // somebody else's, or nothing
					}
					p := pairOf(key(seed))
					if p.publicSeal() != e.Seal || p.publicSign() != e.Sign {
						return nil
					}
					out[name] = seedOf{narrow: n, epoch: e.Epoch, seed: key(seed), seal: p.seal}
					return oplog.ErrStop
				})
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	return out, err
}

// holders lists who was given the seed of an epoch, as far as anybody says so.
func (d *Desk) holders(r oplog.Reader, e *epoch, who people) (out []staff.Worker, err error) {
	bySubject := map[oplog.ID]staff.Worker{}
	for _, w := range who {
		bySubject[w.Subject] = w
	}
	seen := map[oplog.ID]bool{}
	err = r.Rows(keysView, append([]byte{'g'}, e.name[:]...), nil, func(k []byte, subject oplog.ID, _ []byte) error {
		w, known := bySubject[subject]
		if known && !seen[subject] && d.counts(oplog.LogID(k[33:49])) {
			seen[subject] = true
			out = append(out, w)
		}
		return nil
	})
	slices.SortFunc(out, byPlace)
	return out, err
}

func byPlace(a, b staff.Worker) int {
	return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.User, b.User), bytes.Compare(a.ID[:], b.ID[:]))
}
