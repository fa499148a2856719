package registration

import (
	"context"
	"slices"
	"strconv"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// Formed is the fact that people form a household. Its subject is the household's
// new id. Who belongs to it now is said by the members' own facts.
type Formed struct {
	Head    oplog.ID   `cbor:"1,keyasint"`
	Members []oplog.ID `cbor:"2,keyasint,omitempty"` // who came first, in the order they were written down
	Site    string     `cbor:"3,keyasint,omitempty"` // only when it is not the site of the node that writes
}

func formedKind() oplog.Kind {
	return oplog.NewKind[Formed]("registration.household_formed", 1, oplog.Register)
}

// MaxHousehold is how many people one command registers as a household. More join
// through AddMember.
const MaxHousehold = 100

// NewHousehold is a household to register in one go. Relations[i] is the relation of
// Members[i] to the head; it may be shorter than Members, and what is missing is not
// known. JSON names are the contract's.
type NewHousehold struct {
	Members   []Person `json:"members"`
	Head      int      `json:"head"` // index into Members
	Relations []string `json:"relations,omitempty"`
}

// AddedHousehold is the answer to AddHousehold; Members in the order they were given.
type AddedHousehold struct {
	ID      oplog.ID   `json:"id"`
	Members []oplog.ID `json:"members"`

	PassedOn int `json:"passed_on,omitempty"` // as in Added
}

// AddHousehold registers all members and the household, or nothing. Wrong fields are
// named "members.0.sex". Faults as Add.
func (d *Desk) AddHousehold(ctx context.Context, actor staff.Actor, h NewHousehold, req Request) (AddedHousehold, error) {
	if err := actor.Must(staff.RegisterPeople); err != nil {
		return AddedHousehold{}, err
	}
	h, aside := h.divert()
	if aside {
		req.Body = nil // see register
	}
	key, err := req.once(actor, "add_household", h)
	if err != nil {
		return AddedHousehold{}, err
	}
	facts, asides, err := d.checkHousehold(h, actor, d.now())
	if err != nil {
		return AddedHousehold{}, err
	}
	ids, passedOn, err := d.passAll(ctx, actor, key, asides)
	if err != nil {
		return AddedHousehold{}, err
	}
	photos := make([]uploaded, len(h.Members))
	for i, p := range h.Members {
		photos[i] = d.uploaded(p.Photo)
	}
	var added AddedHousehold
	err = d.write(ctx, actor, func(tx *oplog.Tx) error {
		id, done, err := key.done(tx)
		if err != nil {
			return err
		}
		if done {
			added, err = formerAnswer(tx, id)
			return err
		}
		if added, err = appendHousehold(tx, key, facts, h.Head, ids); err != nil {
			return err
		}
		for i, photo := range photos {
			if photo.id == "" {
				continue
			}
			if err := d.photograph(tx, added.Members[i], photo, "members."+strconv.Itoa(i)+"."+fieldPhoto); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return AddedHousehold{}, err
	}
	d.passed.written(key)
	d.settle(photos...)
	added.PassedOn = passedOn
	return added, nil
}

// divert takes what is not for the register out of all members; aside tells whether
// there was anything.
func (h NewHousehold) divert() (out NewHousehold, aside bool) {
	out = NewHousehold{Head: h.Head, Members: make([]Person, len(h.Members)), Relations: slices.Clone(h.Relations)}
	for i, p := range h.Members {
		relation := new(string)
		if i < len(out.Relations) {
			relation = &out.Relations[i]
		}
		p = p.clone()
		divert(&p, relation, false)
		out.Members[i] = p
		aside = aside || len(p.Aside) > 0
	}
	return out, aside
}

// passAll passes on what was said aside about the members, under the ids they are about
// to get or have.
func (d *Desk) passAll(ctx context.Context, actor staff.Actor, key once, asides [][]diverted) (ids []oplog.ID, count int, err error) {
	ids = make([]oplog.ID, len(asides))
	for i := range ids {
		ids[i] = oplog.NewID()
	}
	if !slices.ContainsFunc(asides, func(all []diverted) bool { return len(all) > 0 }) {
		return ids, 0, nil
	}
	former, err := d.former(key)
	if err != nil {
		return nil, 0, err
	}
	ids = d.passed.newIDs(key, len(asides))
	if !former.IsZero() {
		err := d.log.View(func(r oplog.Reader) error {
			added, err := formerAnswer(r, former)
			if len(added.Members) == len(ids) {
				ids = added.Members
			}
			return err
		})
		if err != nil {
			return nil, 0, err
		}
	}
	for i, all := range asides {
		n, err := d.passOn(ctx, actor, ids[i], all, key)
		if err != nil {
			return nil, 0, err
		}
		count += n
	}
	return ids, count, nil
}

// checkHousehold normalises all members and names everything that is wrong with any
// of them.
func (d *Desk) checkHousehold(h NewHousehold, actor staff.Actor, at moment) ([]Registered, [][]diverted, error) {
	return checkHousehold(h, actor, at, d.mayPass)
}

// checkHousehold is that without a desk; mayPass refuses what cannot be passed on.
func checkHousehold(h NewHousehold, actor staff.Actor, at moment, mayPass func(*checker, staff.Actor, []Aside) error) ([]Registered, [][]diverted, error) {
	c := checker{at: at}
	switch {
	case len(h.Members) == 0:
		c.wrong("members", "members_required")
	case len(h.Members) > MaxHousehold:
		c.wrong("members", "too_many", "Max", MaxHousehold)
	case h.Head < 0 || h.Head >= len(h.Members):
		c.wrong("head", "head")
	}
	if len(h.Relations) > len(h.Members) {
		c.wrong("relations", "relations")
	}
	if err := c.err(); err != nil {
		return nil, nil, err
	}
	asides := make([][]diverted, len(h.Members))
	facts := make([]Registered, len(h.Members))
	for i, p := range h.Members {
		c.prefix = "members." + strconv.Itoa(i) + "."
		facts[i].Person = c.person(p)
		if err := mayPass(&c, actor, p.Aside); err != nil {
			return nil, nil, err
		}
		asides[i] = c.asides(p.Aside)
		c.prefix = ""
		if i < len(h.Relations) {
			facts[i].Relation = c.relation("relations."+strconv.Itoa(i), h.Relations[i])
		}
		signConsent(&facts[i].Person, actor, c.at)
	}
	facts[h.Head].Relation = "head"
	return facts, asides, c.err()
}

// appendHousehold writes the household and then each member, under the id given.
func appendHousehold(tx *oplog.Tx, key once, facts []Registered, head int, ids []oplog.ID) (AddedHousehold, error) {
	added := AddedHousehold{ID: oplog.NewID(), Members: ids}
	key.mark(tx)
	formed := Formed{Head: added.Members[head], Members: added.Members}
	if _, err := tx.Append(formedKind(), added.ID, &formed); err != nil {
		return AddedHousehold{}, err
	}
	for i := range facts {
		facts[i].Household = added.ID
		if _, err := tx.Append(registeredKind(), added.Members[i], &facts[i]); err != nil {
			return AddedHousehold{}, err
		}
	}
	return added, nil
}

// formerAnswer is what was answered when the household was written.
func formerAnswer(r oplog.Reader, id oplog.ID) (AddedHousehold, error) {
	row, ok, err := readHousehold(r, id)
	if err != nil {
		return AddedHousehold{}, err
	}
	if !ok {
		return AddedHousehold{}, fault.New(fault.Gone, "fault.registration.no_household")
	}
	return AddedHousehold{ID: id, Members: row.Members}, nil
}
