package registration

import (
	"context"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// Registered is the fact that a person was registered. Its subject is the person's
// new id.
type Registered struct {
	Person    Person   `cbor:"1,keyasint"`
	Household oplog.ID `cbor:"2,keyasint,omitzero"` // zero for somebody on their own
	Relation  string   `cbor:"3,keyasint,omitempty"`
}

func registeredKind() oplog.Kind {
	return oplog.NewKind[Registered]("registration.registered", 1, oplog.Register)
}

// Added is the answer to Add and AddMember.
type Added struct {
	ID         oplog.ID    `json:"id"`
	Household  *oplog.ID   `json:"household"`
	Duplicates []Duplicate `json:"duplicates"`          // never nil
	PassedOn   int         `json:"passed_on,omitempty"` // how many narrow compartments were told something
}

// Duplicate is somebody who may be the same person, with a score from 0 to 1 and the
// reason as message keys. Nobody is looked for yet, so lists are empty.
type Duplicate struct {
	ID    oplog.ID `json:"id"`
	Score float64  `json:"score"`
	Why   []string `json:"why"`
}

// Add registers one person on their own. Faults: Denied, Unauthenticated; Invalid
// "fault.registration.invalid" with every wrong field; Conflict
// "fault.registration.key_reused"; those of the journal.
func (d *Desk) Add(ctx context.Context, actor staff.Actor, p Person, req Request) (Added, error) {
	return d.register(ctx, actor, oplog.ID{}, p, "", req, "add")
}

// AddMember registers one person into a household that is there already. relation is
// to its head: a code out of Relations or a short word. Faults as Add, and NotFound
// "fault.registration.no_household".
func (d *Desk) AddMember(ctx context.Context, actor staff.Actor, household oplog.ID, p Person, relation string, req Request) (Added, error) {
	if household.IsZero() {
		return Added{}, errNoHousehold()
	}
	return d.register(ctx, actor, household, p, relation, req, "add_member "+household.String()+" ")
}

// register is one person: what is not for the register is taken out first and goes
// first, under the id the person is about to get.
func (d *Desk) register(ctx context.Context, actor staff.Actor, household oplog.ID, p Person, relation string, req Request, command string) (Added, error) {
	if err := actor.Must(staff.RegisterPeople); err != nil {
		return Added{}, err
	}
	p = p.clone()
	divert(&p, &relation, false)
	if len(p.Aside) > 0 {
		req.Body = nil // it has the sensitive words in it, and its hash is kept
	}
	key, err := req.once(actor, command+relation, p)
	if err != nil {
		return Added{}, err
	}
	c := checker{at: d.now()}
	if err := d.mayPass(&c, actor, p.Aside); err != nil {
		return Added{}, err
	}
	fact := Registered{Person: c.person(p), Household: household, Relation: c.relation("relation", relation)}
	asides := c.asides(p.Aside)
	if err := c.err(); err != nil {
		return Added{}, err
	}
	signConsent(&fact.Person, actor, c.at)
	added := Added{Duplicates: []Duplicate{}}
	if !household.IsZero() {
		added.Household = &household
	}
	id := oplog.NewID()
	if len(asides) > 0 {
		if id, err = d.passFirst(key, household); err == nil {
			added.PassedOn, err = d.passOn(ctx, actor, id, asides, key)
		}
		if err != nil {
			return Added{}, err
		}
	}
	photo := d.uploaded(p.Photo)
	err = d.write(ctx, actor, func(tx *oplog.Tx) error {
		former, done, err := key.done(tx)
		if err != nil || done {
			added.ID = former
			return err
		}
		if err := householdIsThere(tx, household); err != nil {
			return err
		}
		added.ID = id
		key.mark(tx)
		if _, err := tx.Append(registeredKind(), id, &fact); err != nil || photo.id == "" {
			return err
		}
		return d.photograph(tx, id, photo, fieldPhoto)
	})
	if err != nil {
		return Added{}, err
	}
	d.passed.written(key)
	d.settle(photo)
	return added, nil
}

// passFirst is the id of somebody about whom something is passed on before they are
// written: the one they have, when this request was carried out before.
func (d *Desk) passFirst(key once, household oplog.ID) (oplog.ID, error) {
	err := d.log.View(func(r oplog.Reader) error { return householdIsThere(r, household) })
	if err != nil {
		return oplog.ID{}, err
	}
	id, err := d.former(key)
	if err != nil || !id.IsZero() {
		return id, err
	}
	return d.passed.newIDs(key, 1)[0], nil
}

// signConsent fills in who asked for a consent and when, where that was not said.
func signConsent(p *Person, actor staff.Actor, m moment) {
	for i := range p.Consent {
		if p.Consent[i].By == "" {
			p.Consent[i].By = actor.Name
		}
		if p.Consent[i].At == "" && m.plausible() {
			p.Consent[i].At = m.at.Format(time.RFC3339)
		}
	}
}

// householdIsThere refuses an id that is no household here; zero stands for none.
func householdIsThere(r oplog.Reader, id oplog.ID) error {
	if id.IsZero() {
		return nil
	}
	if _, ok, err := r.Row(registerView, id, []byte{rowHousehold}); err != nil || ok {
		return err
	}
	return errNoHousehold()
}

func errNoHousehold() error { return fault.New(fault.NotFound, "fault.registration.no_household") }

func errNoPerson() error { return fault.New(fault.NotFound, "fault.registration.no_person") }

// relation maps the usual words for a relation onto the codes and keeps others as
// they were written.
func (c *checker) relation(name, s string) string {
	s = c.word(name, s, Relations())
	if code, ok := relationWords[s]; ok {
		return code
	}
	return s
}

// relationWords are other spellings of the codes that lists from elsewhere use.
var relationWords = map[string]string{
	"self": "head", "head of household": "head", "hoh": "head", "husband": "spouse", "wife": "spouse", "partner": "spouse",
	"grandmother": "grandparent", "grandfather": "grandparent", "grandson": "grandchild", "granddaughter": "grandchild",
	"uncle": "uncle_aunt", "aunt": "uncle_aunt", "niece": "niece_nephew", "nephew": "niece_nephew",
}
