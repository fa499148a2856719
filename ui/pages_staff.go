package ui

import (
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// staffPages are everything about the people who work here and how they sign in.
func (s *Server) staffPages() []route {
	return slices.Concat(s.staffRoutes(), s.wakeRoutes(), s.sessionRoutes(), s.passkeyRoutes(), s.undertakingRoutes(), s.actRoutes())
}

// staffRoutes are who works here.
func (s *Server) staffRoutes() []route {
	lead := need(staff.ManageStaff)
	return []route{
		{method: "GET", path: "/staff", policy: lead, handle: (*visit).staffPage},
		{method: "POST", path: "/staff", policy: lead, handle: (*visit).addStaff},
		{method: "POST", path: "/staff/disable", policy: lead, handle: (*visit).disableStaff},
		{method: "POST", path: "/staff/reset", policy: lead, guess: bySignature, handle: (*visit).resetStaff},
		{method: "GET", path: "/staff/colleagues", policy: lead, handle: (*visit).colleagues},
		{method: "GET", path: "/staff/badge/:id", policy: lead, handle: (*visit).staffBadge},
	}
}

// staffPage is who works here.
type staffPage struct {
	Accounts  []accountLine
	Roles     []roleChoice
	Added     string        // who was just added
	Colleague colleagueLine // who works at another post and is added here; empty for somebody new
}

type accountLine struct {
	User, Role, Site     string
	Since                time.Time
	Disabled, MayDisable bool
	MayReset             bool
	Narrow               []string
	Badge                string // path of the badge
	Promised             time.Time
	OnPaper              bool
}

// roleChoice is a role with one line about what it may do. Narrow is what it may be given a
// part of; empty for a role that has no compartment, or one alone.
type roleChoice struct {
	Code, Name, Why string
	Narrow          []optionView
}

// colleagueLine is somebody of another post.
type colleagueLine struct{ Person, User, Role, Code, Site, Path string }

// staffWords are generated words to hand over; they are shown once.
type staffWords struct {
	Words wordList
	User  string
	Own   bool // one's own new passphrase
}

// offered are the roles the page gives out: those that have something to do in this
// version. The command line gives out all.
func offered() []staff.Role {
	return []staff.Role{
		staff.Registrar, staff.Distributor, staff.Caseworker, staff.Medical, staff.Tracing, staff.Information, staff.Coordinator, staff.Lead,
	}
}

func (v *visit) staffModel() (staffPage, error) {
	accounts, err := v.desks().Staff.List(v.s.ctx, v.actor)
	if err != nil {
		return staffPage{}, err
	}
	w := &view{Lang: v.lang}
	m := staffPage{Roles: w.roleChoices()}
	for _, a := range accounts {
		m.Accounts = append(m.Accounts, w.accountLine(a, v.actor.ID))
	}
	return m, nil
}

func (v *view) roleChoices() (out []roleChoice) {
	for _, r := range offered() {
		c := roleChoice{Code: string(r), Name: v.Label("staff.role", string(r)), Why: v.T("staff.page.role." + string(r))}
		all := r.Narrows()
		if len(all) == 1 {
			all = nil // nothing to choose
		}
		for _, n := range all {
			c.Narrow = append(c.Narrow, optionView{Value: string(n), Label: v.Label("staff.narrow", string(n))})
		}
		out = append(out, c)
	}
	return out
}

func (v *view) accountLine(a staff.Account, own staff.ID) accountLine {
	l := accountLine{
		User: a.User, Role: v.Label("staff.role", string(a.Role)), Site: a.Site, Since: a.Since, Disabled: a.Disabled,
		MayDisable: !a.Disabled && a.ID != own, MayReset: !a.Disabled && a.ID != own, Badge: "/staff/badge/" + a.ID.String(),
	}
	for _, n := range a.Narrow {
		l.Narrow = append(l.Narrow, v.Label("staff.narrow", string(n)))
	}
	if a.Promise.Undertaken() {
		l.Promised, l.OnPaper = a.Promise.At, a.Promise.Paper
	}
	return l
}

// staffPage shows the list; with person, the form for a colleague of another post.
func (v *visit) staffPage() error {
	m, err := v.staffModel()
	if err != nil {
		return err
	}
	f := newForm()
	if person := v.query("person"); person != "" {
		if m.Colleague, err = v.colleague(person); err != nil {
			return err
		}
		f.set("user", m.Colleague.User)
		f.set("role", m.Colleague.Code)
		f.set("person", person)
	}
	return v.renderForm("staff/staff", m, f)
}

// narrowOf is what an account is given of what its role may have; nil, all of it, where
// nothing is ticked. What was ticked beside another role is refused and not passed over:
// somebody may have meant that one.
func narrowOf(f *form, role staff.Role) (out []staff.Narrow, err error) {
	own := "narrow." + string(role)
	for name, values := range f.values {
		if strings.HasPrefix(name, "narrow.") && name != own && len(values) > 0 {
			return nil, fault.New(fault.Invalid, "fault.ui.narrow_role").With("role", "fault.ui.narrow_role")
		}
	}
	for _, x := range f.All(own) {
		out = append(out, staff.Narrow(x))
	}
	if len(out) > 0 && len(role.Narrows()) == 0 {
		return nil, fault.New(fault.Invalid, "fault.ui.narrow_role").With("role", "fault.ui.narrow_role")
	}
	return out, nil
}

// newStaff is the account that a form describes, and its words where the box draws them.
func (v *visit) newStaff(f *form, typed []byte) (n staff.NewAccount, words []string, err error) {
	role, err := staff.ParseRole(f.Value("role"))
	if err != nil {
		return n, nil, err
	}
	n = staff.NewAccount{User: f.Value("user"), Role: role}
	if n.Narrow, err = narrowOf(f, role); err != nil {
		return n, nil, err
	}
	if person := f.Value("person"); person != "" {
		if n.Person, err = oplog.ParseID(person); err != nil {
			return n, nil, fault.New(fault.NotFound, "fault.staff.no_colleague").Wrap(err)
		}
	}
	words, n.Passphrase, err = drawn(role, typed)
	return n, words, err
}

func (v *visit) addStaff() error {
	f := v.sent()
	delete(f.values, "passphrase")
	secret := v.secret("passphrase")
	defer clear(secret)
	n, words, err := v.newStaff(f, secret)
	if err == nil {
		_, err = v.desks().Staff.Add(v.s.ctx, v.actor, n)
	}
	if err == nil && words != nil {
		return v.render("staff/words", staffWords{Words: wordList{Words: words}, User: n.User})
	}
	m, modelErr := v.staffModel()
	if modelErr != nil {
		return modelErr
	}
	if err != nil {
		if person := f.Value("person"); person != "" {
			m.Colleague, _ = v.colleague(person) // without it the form is for somebody new
		}
		return v.reshow("staff/staff", m, f, err, nil)
	}
	m.Added = f.Value("user")
	return v.render("staff/staff", m)
}

func (v *visit) disableStaff() error {
	return v.settledStaff(v.desks().Staff.Disable(v.s.ctx, v.actor, v.form("user")))
}

// settledStaff shows the list after something was done in it.
func (v *visit) settledStaff(err error) error {
	if err == nil {
		return v.redirect("/staff")
	}
	m, modelErr := v.staffModel()
	if modelErr != nil {
		return modelErr
	}
	return v.reshow("staff/staff", m, newForm(), err, nil)
}

// resetStaff gives somebody who forgot theirs a new passphrase, always five words. The
// lead's own is asked for: whoever found their phone open must not become somebody else.
func (v *visit) resetStaff() error {
	_, done, err := v.ownHand()
	defer done()
	if err != nil {
		return v.settledStaff(err)
	}
	words, passphrase, err := drawn("", nil)
	defer clear(passphrase)
	user := v.form("user")
	if err == nil {
		_, err = v.desks().Staff.Reset(v.s.ctx, v.actor, user, passphrase)
	}
	if err != nil {
		return v.settledStaff(err)
	}
	return v.render("staff/words", staffWords{Words: wordList{Words: words}, User: user})
}

// colleaguesPage is who works at other posts.
type colleaguesPage struct{ Colleagues []colleagueLine }

func (v *visit) colleagues() error {
	lines, err := v.colleagueLines()
	if err != nil {
		return err
	}
	return v.render("staff/colleagues", colleaguesPage{lines})
}

func (v *visit) colleagueLines() (out []colleagueLine, err error) {
	all, err := v.desks().Staff.Colleagues(v.s.ctx, v.actor)
	w := &view{Lang: v.lang}
	for _, c := range all {
		id := c.Person.String()
		out = append(out, colleagueLine{
			Person: id, User: c.User, Role: w.Label("staff.role", string(c.Role)), Code: string(c.Role), Site: c.Site, Path: "/staff?person=" + id,
		})
	}
	return out, err
}

func (v *visit) colleague(person string) (colleagueLine, error) {
	all, err := v.colleagueLines()
	for _, c := range all {
		if c.Person == person {
			return c, err
		}
	}
	return colleagueLine{}, fault.New(fault.NotFound, "fault.staff.no_colleague").Wrap(err)
}
