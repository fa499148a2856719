package ui

import (
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
)

// asideRoutes are what a box took in while it was locked and could not file: it is tried
// again, or completed as a form. Nothing here throws any of it away. Who completes a form
// sees people, so those routes ask what registering asks; the box asks for its manager.
func (s *Server) asideRoutes() []route {
	box, people := need(staff.ManageBox), need(staff.RegisterPeople)
	return []route{
		{method: "GET", path: "/night/aside", policy: box, handle: (*visit).aside},
		{method: "POST", path: "/night/aside/:name/again", policy: box, handle: (*visit).retryAside},
		{method: "GET", path: "/night/aside/:name/form", policy: people, handle: (*visit).asideForm},
		{method: "POST", path: "/night/aside/:name/form", policy: people, handle: (*visit).completeAside},
	}
}

// asidePage lists the letters.
type asidePage struct {
	Letters []asideLine
	Done    bool // one was just filed
}

// asideLine is one of them.
type asideLine struct {
	Path, What, Why, Hint string
	Number                uint64
	At                    time.Time
	Unsure, Narrow, Form  bool
}

func (v *visit) asideModel() (asidePage, error) {
	letters, err := v.s.config.Box.AsideLetters(v.s.ctx, v.actor)
	m := asidePage{Done: v.query("done") != ""}
	for _, l := range letters {
		m.Letters = append(m.Letters, asideLineOf(&view{Lang: v.lang}, l))
	}
	return m, err
}

func asideLineOf(w *view, l AsideLetter) asideLine {
	out := asideLine{Path: "/night/aside/" + l.Name, Number: l.Number, At: l.At, Unsure: l.Unsure, Narrow: l.Narrow, Form: l.Form, What: w.T("aside.unknown")}
	switch l.Kind {
	case "household":
		out.What = w.T("aside.household")
	case "count":
		out.What = w.T("aside.count")
	}
	if l.Reason == nil {
		out.Why = w.T("aside.ready")
		return out
	}
	out.Why = say(w.Lang, l.Reason.Key, nil) // no values: they could be of what was written
	if key := l.Reason.Key + ".hint"; !l.Narrow && w.Lang.Has(key) {
		out.Hint = w.T(key)
	}
	return out
}

func (v *visit) aside() error {
	m, err := v.asideModel()
	if err != nil {
		return err
	}
	return v.render("night/aside", m)
}

func (v *visit) retryAside() error {
	if err := v.s.config.Box.RetryAside(v.s.ctx, v.actor, v.param("name")); err != nil {
		m, modelErr := v.asideModel()
		if modelErr != nil {
			return modelErr
		}
		return v.reshow("night/aside", m, newForm(), fault.New(fault.ClassOf(err), fault.Of(err).Key), nil)
	}
	return v.redirect("/night/aside?done=1")
}

// asideForm shows what a family wrote, with what is wrong with it.
func (v *visit) asideForm() error {
	h, reason, err := v.s.config.Box.AsideForm(v.s.ctx, v.actor, v.param("name"))
	if err != nil {
		return err
	}
	f := formOfFamily(h)
	f.set("once", "letter-"+v.param("name"))
	used := make([]int, len(h.Members))
	for i := range used {
		used[i] = i
	}
	if reason != nil {
		v.refuse(f, reason, func(name string) string { return formName(name, used) })
	}
	return v.renderForm("people/new", v.asideFamily(f, max(len(h.Members), 1)), f)
}

func (v *visit) asideFamily(f *form, rows int) familyModel {
	m := v.familyModel(f, rows)
	m.Action, m.TellCodes = "/night/aside/"+v.param("name")+"/form", nil
	return m
}

// completeAside registers the people of the form, and the letter is gone after that.
func (v *visit) completeAside() error {
	name := v.param("name")
	return v.saveFamilyBy(v.asideFamily, func(h registration.NewHousehold, _ string) (to string, err error) {
		err = v.s.config.Box.CompleteAside(v.s.ctx, v.actor, name, func() error {
			to, err = v.register(h, "letter-"+name)
			return err
		})
		return to, err
	})
}

// formOfFamily is the form as somebody filled it in who left h.
func formOfFamily(h registration.NewHousehold) *form {
	f := newForm()
	for n, p := range h.Members {
		row := memberRowOf(n)
		for name, value := range map[string]string{
			row.Given: p.GivenName, row.Family: p.FamilyName, row.Sex: p.Sex, row.Birth: p.BirthDate, row.Father: p.FatherName, row.Mother: p.MotherName,
			row.Phone: p.Phone, row.Notes: p.Notes, row.Description: p.Description, row.Nationality: p.Nationality,
			"origin": p.Origin, "destination": p.Destination, "arrived_at": p.ArrivedAt,
		} {
			if value != "" {
				f.set(name, value)
			}
		}
		f.values[row.Needs] = p.Needs
		if p.Age != nil && *p.Age >= 0 {
			f.set(row.Age, itoa(*p.Age))
		}
		if p.NameUnknown {
			f.set(row.Unknown, "yes")
		}
		if len(p.Documents) > 0 {
			f.set(row.DocType, p.Documents[0].Type)
			f.set(row.DocNumber, p.Documents[0].Number)
		}
		if n < len(h.Relations) {
			f.set(row.Relation, h.Relations[n])
		}
		if len(p.Languages) > 0 {
			f.set("languages", strings.Join(p.Languages, ", "))
		}
		for _, c := range p.Consent {
			if c.Given && !f.Has("consent", c.Purpose) {
				f.values["consent"] = append(f.values["consent"], c.Purpose)
			}
		}
	}
	return f
}
