package ui

import (
	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// emergencyRoutes are where somebody decides, in calm, what this box may do to its own keys
// when somebody stands at the door.
func (s *Server) emergencyRoutes() []route {
	return []route{
		{method: "GET", path: "/box/emergency", policy: need(staff.ManageBox), handle: (*visit).emergencyPage},
		{method: "POST", path: "/box/emergency", policy: need(staff.ManageBox), guess: bySignature, handle: (*visit).setEmergency},
	}
}

// emergencyCalls are the same for programs, by a person's own hand.
func (s *Server) emergencyCalls() []route {
	const v1 = "/api/v1"
	return []route{
		{method: "GET", path: v1 + "/box/emergency", policy: need(staff.ManageBox), where: onAPI, handle: operatorEmergency},
		{method: "POST", path: v1 + "/box/emergency", policy: byPerson(staff.ManageBox), where: onAPI, guess: bySignature, handle: postEmergency},
		{method: "POST", path: v1 + "/box/destroy", policy: byPerson(staff.ManageBox), where: onAPI, guess: bySignature, handle: postDestroy},
	}
}

// emergencyModel is the setting and what can be chosen.
type emergencyModel struct {
	control.Emergency
	Modes []emergencyMode
	Done  bool // decided just now
}

// emergencyMode is one choice.
type emergencyMode struct {
	Mode, Name, Why string
	Here            bool // the present one
}

func emergencyOf(w *view, e control.Emergency) emergencyModel {
	m := emergencyModel{Emergency: e}
	for _, mode := range []identity.Emergency{identity.EmergencyLock, identity.EmergencyDestroy} {
		key := "emergency.mode." + mode.String()
		m.Modes = append(m.Modes, emergencyMode{mode.String(), w.T(key), w.T(key + ".why"), mode.String() == e.Mode})
	}
	return m
}

func (v *visit) emergencyModel() (emergencyModel, error) {
	e, err := v.s.config.Box.Emergency(v.s.ctx, v.actor)
	return emergencyOf(&view{Lang: v.lang}, e), err
}

func (v *visit) emergencyPage() error {
	m, err := v.emergencyModel()
	if err != nil {
		return err
	}
	m.Done = v.query("done") != ""
	f := newForm()
	f.set("mode", m.Mode)
	return v.renderForm("box/emergency", m, f)
}

// setEmergency is the whole of it where less is chosen or one person is enough, and the
// first half otherwise: the second person finds it at /acts.
func (v *visit) setEmergency() error {
	m, err := v.emergencyModel()
	if err != nil {
		return err
	}
	f := v.sent()
	delete(f.values, "passphrase")
	s, done, err := v.ownHand()
	defer done()
	var act oplog.ID
	if err == nil {
		act, err = v.s.config.Box.AskEmergency(v.s.ctx, s, f.Value("mode"))
	}
	switch {
	case err != nil:
		return v.reshow("box/emergency", m, f, err, nil)
	case !act.IsZero():
		return v.redirect("/acts/" + act.String())
	}
	return v.redirect("/box/emergency?done=1")
}

// postEmergency is the call: 202 where a second person has to agree.
func postEmergency(v *visit) error {
	var in struct {
		Mode string `json:"mode"`
		byHand
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	if in.Passphrase == "" { // as on its page: a phone left lying about decides nothing
		return fault.New(fault.Denied, "fault.staff.own_hand")
	}
	act, err := v.s.config.Box.AskEmergency(v.s.ctx, *v.session, in.Mode)
	switch {
	case err != nil:
		return err
	case !act.IsZero():
		v.c.Location("/acts/" + act.String())
		return v.json(fiber.StatusAccepted, struct {
			Approval oplog.ID `json:"approval"`
		}{act})
	}
	return operatorEmergency(v)
}

// postDestroy destroys the keys where that was decided before.
func postDestroy(v *visit) error {
	var in struct {
		Word string `json:"word"`
		byHand
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	switch {
	case in.Passphrase == "":
		return fault.New(fault.Denied, "fault.staff.own_hand")
	case in.Word != wipeWord && in.Word != v.s.config.Box.Site().Site:
		return fault.New(fault.Invalid, "fault.ui.wipe_word").With("word", "fault.ui.wipe_word")
	}
	if err := v.s.config.Box.Destroy(v.s.ctx, v.actor); err != nil {
		return err
	}
	v.over()
	return v.json(fiber.StatusOK, map[string]string{"state": v.s.config.Box.State()})
}
