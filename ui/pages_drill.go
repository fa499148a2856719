package ui

import (
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
)

// drillPage is the list somebody goes through once a quarter.
type drillPage struct {
	Lines   []drillLine
	Due     time.Time // zero: something was never tried, or nobody knows when
	Overdue bool
	Done    string // what was just tried and was right
}

// drillLine is one thing to try.
type drillLine struct {
	What, Name, Why string
	Try             string // how it is tried on the page: words, paper, file, or tick
	At              time.Time
	By              string
	Good, Unsure    bool
}

// drillTries says how each thing is tried.
var drillTries = map[string]string{
	identity.DrillKit: "words", identity.DrillShare: "paper", identity.DrillStick: "file",
	identity.DrillBackup: "tick", identity.DrillWords: "words", identity.DrillCalls: "tick",
}

func (v *visit) drillModel() (drillPage, error) {
	d, err := v.ceremonyDesk()
	if err != nil {
		return drillPage{}, err
	}
	list, err := d.Drilled()
	if err != nil {
		return drillPage{}, err
	}
	held, _, err := d.Held()
	if err != nil {
		return drillPage{}, err
	}
	m := drillPageOf(&view{Lang: v.lang}, list)
	for i, x := range list {
		m.Lines[i].By = v.nameOf(x.By)
	}
	m.Overdue = !held.At.IsZero() && identity.DrillOverdue(list, v.s.config.Clock.Now(), v.s.config.Clock.Sure(), held.At)
	return m, nil
}

func drillPageOf(w *view, list []identity.Drill) drillPage {
	m := drillPage{Due: identity.DrillDue(list)}
	for _, x := range list {
		m.Lines = append(m.Lines, drillLine{
			What: x.What, Name: w.T("drill." + x.What), Why: w.T("drill." + x.What + ".why"), Try: drillTries[x.What], At: x.At, Good: x.Good, Unsure: x.Unsure,
		})
	}
	return m
}

func (v *visit) drillPage() error {
	m, err := v.drillModel()
	if err != nil {
		return err
	}
	return v.render("drill/drill", m)
}

// drill tries one thing and writes down how it went. What is wrong is told before it is
// noted: a slip in typing is no kit that does not work.
func (v *visit) drill() error {
	d, err := v.ceremonyDesk()
	if err != nil {
		return err
	}
	what := v.form("what")
	good := v.form("result") != "bad"
	if good {
		err = v.tryDrill(d, what)
	}
	if err == nil {
		err = d.Drill(v.s.ctx, v.actor.ID, what, good)
	}
	m, modelErr := v.drillModel()
	if modelErr != nil {
		return modelErr
	}
	if err != nil {
		return v.reshow("drill/drill", m, newForm(), err, nil)
	}
	m.Done = what
	return v.render("drill/drill", m)
}

// tryDrill looks whether the thing works. Nothing is opened and nothing put together.
func (v *visit) tryDrill(d *identity.Desk, what string) error {
	var secret []byte
	want := map[string][]string{
		identity.DrillKit: {identity.SlotRecovery}, identity.DrillStick: {identity.SlotStick}, identity.DrillWords: {identity.SlotLead, identity.SlotWords},
	}[what]
	switch what {
	case identity.DrillKit, identity.DrillWords:
		secret = []byte(plainWords(string(v.secret("words"))))
	case identity.DrillStick:
		file, err := v.file("file")
		if err != nil {
			return err
		}
		secret = file
	case identity.DrillShare:
		text, err := v.paperText()
		if err != nil {
			return err
		}
		_, err = d.CheckShare(text)
		return err
	default:
		return nil
	}
	defer clear(secret)
	kind, err := d.TryWay(secret)
	if err != nil {
		return err
	}
	for _, k := range want {
		if k == kind {
			return nil
		}
	}
	return fault.New(fault.Invalid, "fault.ui.drill_other")
}
