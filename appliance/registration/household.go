package registration

import (
	"context"
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
}

// AddHousehold registers all members and the household, or nothing. Wrong fields are
// named "members.0.sex". Faults as Add.
func (d *Desk) AddHousehold(ctx context.Context, actor staff.Actor, h NewHousehold, req Request) (AddedHousehold, error) {
	if err := actor.Must(staff.RegisterPeople); err != nil {
		return AddedHousehold{}, err
	}
	key, err := req.once(actor, "add_household", h)
	if err != nil {
		return AddedHousehold{}, err
	}
	facts, err := checkHousehold(h, actor, d.now())
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
		if added, err = appendHousehold(tx, key, facts, h.Head); err != nil {
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
	d.settle(photos...)
	return added, nil
}

// checkHousehold normalises all members and names everything that is wrong with any
// of them.
func checkHousehold(h NewHousehold, actor staff.Actor, at moment) ([]Registered, error) {
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
		return nil, err
	}
	facts := make([]Registered, len(h.Members))
	for i, p := range h.Members {
		c.prefix = "members." + strconv.Itoa(i) + "."
		facts[i].Person = c.person(p)
		c.prefix = ""
		if i < len(h.Relations) {
			facts[i].Relation = c.relation("relations."+strconv.Itoa(i), h.Relations[i])
		}
		signConsent(&facts[i].Person, actor, c.at)
	}
	facts[h.Head].Relation = "head"
	return facts, c.err()
}

// appendHousehold writes the household and then each member.
func appendHousehold(tx *oplog.Tx, key once, facts []Registered, head int) (AddedHousehold, error) {
	added := AddedHousehold{ID: oplog.NewID(), Members: make([]oplog.ID, len(facts))}
	for i := range facts {
		added.Members[i] = oplog.NewID()
	}
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
