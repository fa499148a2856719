package ui

import (
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// nightPages are those of an open box: what it took in while it was locked, and who opens
// it at night.
func (s *Server) nightPages() []route {
	box, opens := need(staff.ManageBox), need(staff.OpenNodes)
	return []route{
		{method: "GET", path: "/night", policy: need(staff.ReadPeople), handle: (*visit).night},
		{method: "POST", path: "/night/looked", policy: need(staff.CorrectPeople), handle: (*visit).lookedThrough},
		{method: "GET", path: "/night/choose", policy: box, handle: (*visit).chooseNightPage},
		{method: "POST", path: "/night/choose", policy: box, handle: (*visit).chooseNight},
		{method: "GET", path: "/night/boxes", policy: box, handle: (*visit).keepersPage},
		{method: "POST", path: "/night/boxes", policy: box, handle: (*visit).giveKeepers},
		{method: "GET", path: "/openings", policy: opens, handle: (*visit).openings},
		{method: "POST", path: "/openings", policy: opens, limit: photoLimit, handle: (*visit).lookAtOpening},
		{method: "POST", path: "/openings/new/sign", policy: opens, guess: bySignature, handle: (*visit).askOpening},
		{method: "GET", path: "/openings/:id", policy: opens, handle: (*visit).opening},
		{method: "POST", path: "/openings/:id/confirm", policy: opens, guess: bySignature, handle: (*visit).confirmOpening},
		{method: "POST", path: "/openings/:id/decline", policy: opens, handle: (*visit).declineOpening},
	}
}

// nightPage is what was taken in while a box was locked.
type nightPage struct {
	Arrivals []arrivalLine
	Counts   []countLine
	Aside    []string
	Waiting  int
	May      bool // say that they were looked through
	MayFile  bool // see to what lies aside
}

// arrivalLine is one letter that became people.
type arrivalLine struct {
	ID, Path, Name, Site string
	Number               uint64
	People               int
	At                   time.Time
	Unsure, Looked       bool
	By                   string
}

// countLine is one head count.
type countLine struct {
	Number                    uint64
	At                        time.Time
	Unsure                    bool
	Site, Code                string
	Adults, Children, Infants int
	Urgent, Alone             bool
}

func (v *visit) night() error {
	desk, l := v.desks().Registration, v.s.config.Box.Letters()
	arrivals, err := desk.Arrivals(v.s.ctx, v.actor, ArrivalsShown)
	if err != nil {
		return err
	}
	counts, err := desk.GateCounts(v.s.ctx, v.actor, ArrivalsShown)
	if err != nil {
		return err
	}
	m, w := nightPage{Aside: l.Aside, Waiting: l.Waiting, May: v.actor.Can(staff.CorrectPeople), MayFile: v.actor.Can(staff.ManageBox)}, v.words()
	for _, a := range arrivals {
		line := arrivalLine{
			ID: a.Subject.String(), Path: "/people/" + a.Subject.String(), Name: w.name(a.First), Site: a.Site, Number: a.Number, People: a.People,
			At: a.At, Unsure: a.Unsure, Looked: a.Looked, By: a.LookedBy,
		}
		if a.Household {
			line.Path = "/households/" + a.Subject.String()
		}
		m.Arrivals = append(m.Arrivals, line)
	}
	slices.SortStableFunc(m.Arrivals, func(a, b arrivalLine) int { // what is still to be done first
		order := func(l arrivalLine) int {
			if l.Looked {
				return 1
			}
			return 0
		}
		return order(a) - order(b)
	})
	for _, c := range counts {
		m.Counts = append(m.Counts, countLine{
			Number: c.Number, At: c.At, Unsure: c.Unsure, Site: c.Site, Code: c.Code,
			Adults: c.Adults, Children: c.Children, Infants: c.Infants, Urgent: c.Urgent, Alone: c.Alone,
		})
	}
	return v.render("night/list", m)
}

func (v *visit) lookedThrough() error {
	id, err := oplog.ParseID(v.form("id"))
	if err != nil {
		return fault.New(fault.NotFound, "fault.registration.no_person")
	}
	if err := v.desks().Registration.LookThrough(v.s.ctx, v.actor, id); err != nil {
		return err
	}
	return v.redirect("/night")
}

// choosePage asks who opens this box at night.
type choosePage struct {
	Way     string // what was chosen; empty when nothing was
	Ways    []string
	Keepers int // how many boxes two people could open it from
}

func (v *visit) chooseModel() (choosePage, error) {
	desk := v.desks().Identity
	way, err := desk.Night()
	if err != nil {
		return choosePage{}, err
	}
	keepers, err := desk.Keepers()
	return choosePage{Way: way, Ways: identity.NightWays(), Keepers: len(keepers)}, err
}

func (v *visit) chooseNightPage() error {
	m, err := v.chooseModel()
	if err != nil {
		return err
	}
	return v.render("night/choose", m)
}

// chooseNight writes the choice down and goes on to what it takes.
func (v *visit) chooseNight() error {
	if v.s.config.Box.Site().Practice {
		return fault.New(fault.Conflict, "fault.node.practice_lock")
	}
	way := v.form("way")
	if err := v.desks().Identity.ChooseNight(v.s.ctx, v.actor.ID, way); err != nil {
		m, modelErr := v.chooseModel()
		if modelErr != nil {
			return modelErr
		}
		return v.reshow("night/choose", m, newForm(), err, nil)
	}
	switch way {
	case identity.NightStick:
		return v.redirect("/box")
	case identity.NightPeers:
		return v.redirect("/night/boxes")
	}
	return v.afterNight()
}

// afterNight goes on with the first run: a box that joined has words to compare.
func (v *visit) afterNight() error {
	if v.s.config.Box.Site().Confirmed {
		return v.redirect("/")
	}
	return v.redirect("/mesh")
}

// keepersPage lists the boxes that could be given the means to open this one.
type keepersPage struct {
	Boxes []keeperLine
	Given bool // one was given it
}

type keeperLine struct {
	ID, Site string
	Number   uint16
	On       bool
}

func (v *visit) keepersModel() (keepersPage, error) {
	desk := v.desks().Identity
	nodes, err := desk.Keepers()
	if err != nil {
		return keepersPage{}, err
	}
	now, err := desk.KeepersOf()
	m := keepersPage{Given: len(now) > 0}
	for _, n := range nodes {
		m.Boxes = append(m.Boxes, keeperLine{ID: n.ID.String(), Site: n.Site, Number: n.Number, On: slices.Contains(now, n.ID)})
	}
	return m, err
}

func (v *visit) keepersPage() error {
	m, err := v.keepersModel()
	if err != nil {
		return err
	}
	return v.render("night/boxes", m)
}

func (v *visit) giveKeepers() error {
	if v.s.config.Box.Site().Practice {
		return fault.New(fault.Conflict, "fault.node.practice_lock")
	}
	err := v.giveOpener(v.formAll("node"))
	if err != nil {
		m, modelErr := v.keepersModel()
		if modelErr != nil {
			return modelErr
		}
		return v.reshow("night/boxes", m, v.sent(), err, nil)
	}
	return v.redirect("/box")
}

// giveOpener gives the named nodes the means to open this box.
func (v *visit) giveOpener(names []string) error {
	var ids []identity.NodeID
	for _, name := range names {
		id, err := oplog.ParseID(name)
		if err != nil {
			return fault.New(fault.NotFound, "fault.identity.no_such_node")
		}
		ids = append(ids, id)
	}
	return v.desks().Identity.GiveOpener(v.s.ctx, v.actor.ID, ids)
}

// whom is who wrote something, in words where it was the letterbox.
func (v *visit) whom(name string) string {
	if name == staff.Letterbox().Name {
		return v.lang.Text("night.by", nil)
	}
	return name
}
