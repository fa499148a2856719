package ui

import (
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// eraseRoutes are the calls of erasing people.
func (s *Server) eraseRoutes() []route {
	const v1 = "/api/v1"
	signs := func(path string, a staff.Action, handle func(*visit) error) route {
		return route{method: "POST", path: v1 + path, policy: byPerson(a), where: onAPI, guess: bySignature, handle: handle}
	}
	return []route{
		signs("/people/:id/erase", staff.ErasePeople, postErase),
		signs("/approvals/:id/confirm", staff.ErasePeople, postConfirm),
		{method: "POST", path: v1 + "/approvals/:id/decline", policy: byPerson(staff.ErasePeople).orPage(), where: onAPI, guess: bySignature, handle: postDecline},
		signs("/erasures/:id/undo", staff.UndoErasures, postUndo),
		signs("/erasures/:id/finish", staff.UndoErasures, postFinish),
		{method: "GET", path: v1 + "/approvals", policy: need(staff.ErasePeople), where: onAPI, handle: getApprovals},
		{method: "GET", path: v1 + "/erasures", policy: need(staff.ErasePeople), where: onAPI, handle: getErasures},
	}
}

// byHand is the document of a call that needs nothing but a signature.
type byHand struct {
	User       string `json:"user"`
	Passphrase string `json:"passphrase"`
}

func (v *visit) onlyHand() error {
	if len(v.body) == 0 {
		return nil // declining by a page session; whatever is signed has been asked for its passphrase
	}
	return v.decode(&byHand{})
}

// postErase is the first half. A reason that is none of the codes is taken as the
// text of "other".
func postErase(v *visit) error {
	var in struct {
		Reason string `json:"reason"`
		Text   string `json:"text"`
		byHand
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	id, err := v.id("id")
	if err != nil {
		return err
	}
	reason, text := clean(in.Reason), clean(in.Text)
	if !slices.Contains(staff.EraseReasons(), reason) && text == "" {
		reason, text = "other", reason
	}
	approval, err := v.desks().Registration.Erase(v.s.ctx, *v.session, id, reason, text)
	if err != nil {
		return err
	}
	v.c.Location("/approvals/" + approval.String())
	return v.json(fiber.StatusAccepted, struct {
		Approval oplog.ID `json:"approval"`
	}{approval})
}

// erasureJSON is one person who was erased.
type erasureJSON struct {
	Person  oplog.ID   `json:"person"`
	At      *time.Time `json:"at"`
	Final   bool       `json:"final"`
	Trusted bool       `json:"trusted"`
	Over    bool       `json:"over_cap"`
	Here    bool       `json:"destroyed_here"`
	Hours   int        `json:"hours_left"`
	Done    []oplog.ID `json:"done"`
	Pending []oplog.ID `json:"pending"`
}

func erasureOf(e staff.Erasure) erasureJSON {
	return erasureJSON{
		Person: e.Person, At: when(e.At), Final: e.Final, Trusted: e.Trusted, Over: e.Over, Here: e.Here, Hours: hours(e.Left),
		Done: append([]oplog.ID{}, e.DoneAt...), Pending: append([]oplog.ID{}, e.Pending...),
	}
}

// hours is a time in whole hours, never less than it is.
func hours(d time.Duration) int { return int((d + time.Hour - 1) / time.Hour) }

func postConfirm(v *visit) error {
	if err := v.onlyHand(); err != nil {
		return err
	}
	id, err := v.id("id")
	if err != nil {
		return err
	}
	if v.isAct(id) {
		if err := v.desks().Staff.ConfirmAct(v.s.ctx, *v.session, id); err != nil {
			return err
		}
		return v.json(fiber.StatusOK, map[string]string{"state": "done"})
	}
	person, err := v.desks().Staff.ConfirmErasure(v.s.ctx, *v.session, id)
	if err != nil {
		return err
	}
	return v.sayErasure(person)
}

func (v *visit) sayErasure(person oplog.ID) error {
	e, err := v.desks().Staff.ErasureOf(v.s.ctx, v.actor, person)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, erasureOf(e))
}

func postDecline(v *visit) error {
	if err := v.onlyHand(); err != nil {
		return err
	}
	id, err := v.id("id")
	if err != nil {
		return err
	}
	decline := func() error { return v.desks().Staff.DeclineErasure(v.s.ctx, v.actor, id) }
	if v.isAct(id) {
		decline = func() error { return v.desks().Staff.DeclineAct(v.actor, id) }
	}
	if err := decline(); err != nil {
		return err
	}
	return v.json(fiber.StatusOK, map[string]string{"state": "declined"})
}

func postUndo(v *visit) error {
	if err := v.onlyHand(); err != nil {
		return err
	}
	id, err := v.id("id")
	if err != nil {
		return err
	}
	if err := v.desks().Staff.UndoErasure(v.s.ctx, *v.session, id); err != nil {
		return err
	}
	return v.json(fiber.StatusOK, map[string]string{"state": "undone"})
}

func postFinish(v *visit) error {
	if err := v.onlyHand(); err != nil {
		return err
	}
	id, err := v.id("id")
	if err != nil {
		return err
	}
	if err := v.desks().Staff.FinishErasure(v.s.ctx, *v.session, id); err != nil {
		return err
	}
	return v.sayErasure(id)
}

// approvalJSON is one request that waits.
type approvalJSON struct {
	ID     oplog.ID   `json:"id"`
	Kind   string     `json:"kind"`
	Person *oplog.ID  `json:"person"`
	Reason string     `json:"reason"`
	Text   string     `json:"text"`
	By     string     `json:"by"`
	At     *time.Time `json:"at"`
	Own    bool       `json:"own"`
}

func getApprovals(v *visit) error {
	all, err := v.desks().Staff.Approvals(v.s.ctx, v.actor)
	if err != nil {
		return err
	}
	answer := list[approvalJSON]{Items: []approvalJSON{}}
	for _, a := range all {
		answer.Items = append(answer.Items, approvalJSON{
			ID: a.ID, Kind: "erase", Person: &a.Person, Reason: a.Reason, Text: a.Text, By: a.By, At: when(a.At), Own: a.ByID == v.actor.ID,
		})
	}
	for _, a := range v.desks().Staff.Acts(v.actor) {
		if aboutFile(a.Act) { // what it says is for the pages of sealed files
			continue
		}
		answer.Items = append(answer.Items, approvalJSON{
			ID: a.ID, Kind: a.Act.Purpose, Text: (&view{Lang: v.lang}).actText(a.Act), By: a.ByName, At: when(a.At), Own: a.By == v.actor.ID,
		})
	}
	return v.json(fiber.StatusOK, answer)
}

// isAct tells an act that waits from an erasure that does. Those about sealed files are agreed
// to where sealed files are: no call shows what they say, or the words of a parcel.
func (v *visit) isAct(id oplog.ID) bool {
	return slices.ContainsFunc(v.desks().Staff.Acts(v.actor), func(a staff.Waiting) bool { return a.ID == id && !aboutFile(a.Act) })
}

func getErasures(v *visit) error {
	all, err := v.desks().Staff.Erasures(v.s.ctx, v.actor)
	if err != nil {
		return err
	}
	answer := list[erasureJSON]{Items: []erasureJSON{}}
	for _, e := range all {
		answer.Items = append(answer.Items, erasureOf(e))
	}
	return v.json(fiber.StatusOK, answer)
}
