package ui

import (
	"time"

	"github.com/waypost/waypost/appliance/staff"
)

// staffPage is who works here.
type staffPage struct {
	Accounts []accountLine
	Roles    []roleChoice
	Added    string // who was just added
}

type accountLine struct {
	User, Role, Site     string
	Since                time.Time
	Disabled, MayDisable bool
}

// roleChoice is a role with one line about what it may do.
type roleChoice struct{ Code, Name, Why string }

// offered are the roles the page gives out: those that have something to do in this
// version. The command line gives out all.
func offered() []staff.Role {
	return []staff.Role{staff.Registrar, staff.Distributor, staff.Coordinator, staff.Lead}
}

func (v *visit) staffModel() (staffPage, error) {
	accounts, err := v.desks().Staff.List(v.s.ctx, v.actor)
	if err != nil {
		return staffPage{}, err
	}
	w := &view{Lang: v.lang}
	m := staffPage{}
	for _, a := range accounts {
		m.Accounts = append(m.Accounts, accountLine{
			User: a.User, Role: w.Label("staff.role", string(a.Role)), Site: a.Site, Since: a.Since, Disabled: a.Disabled,
			MayDisable: !a.Disabled && a.ID != v.actor.ID,
		})
	}
	for _, r := range offered() {
		m.Roles = append(m.Roles, roleChoice{string(r), w.Label("staff.role", string(r)), w.T("staff.page.role." + string(r))})
	}
	return m, nil
}

func (v *visit) staffPage() error {
	m, err := v.staffModel()
	if err != nil {
		return err
	}
	return v.render("staff/staff", m)
}

func (v *visit) addStaff() error {
	f := v.sent()
	delete(f.values, "passphrase")
	secret := v.secret("passphrase")
	defer clear(secret)
	role, err := staff.ParseRole(f.Value("role"))
	if err == nil {
		_, err = v.desks().Staff.Add(v.s.ctx, v.actor, staff.NewAccount{User: f.Value("user"), Role: role, Passphrase: secret})
	}
	m, modelErr := v.staffModel()
	if modelErr != nil {
		return modelErr
	}
	if err != nil {
		return v.reshow("staff/staff", m, f, err, nil)
	}
	m.Added = f.Value("user")
	return v.render("staff/staff", m)
}

func (v *visit) disableStaff() error {
	if err := v.desks().Staff.Disable(v.s.ctx, v.actor, v.form("user")); err != nil {
		m, modelErr := v.staffModel()
		if modelErr != nil {
			return modelErr
		}
		return v.reshow("staff/staff", m, newForm(), err, nil)
	}
	return v.redirect("/staff")
}
