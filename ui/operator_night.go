package ui

import (
	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// nightCalls are the node's own verbs for opening a box from another one.
func nightCalls() []route {
	call := func(path string, handle func(*visit) error) route {
		return route{method: "POST", path: "/operator" + path, policy: byOperator(), where: onOperator, handle: handle}
	}
	return []route{
		call("/openers", operatorGiveOpener),
		call("/openings/request", operatorOpenRequest),
		call("/openings/answer", operatorOpenAnswer),
		call("/openings/ask", operatorAskOpening),
		call("/openings/confirm", operatorConfirmOpening),
	}
}

// operatorGiveOpener gives other nodes the means to open this one.
func operatorGiveOpener(v *visit) error {
	var in struct {
		Nodes []string `json:"nodes"`
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	if _, err := v.opened(); err != nil {
		return err
	}
	if v.s.config.Box.Site().Practice {
		return fault.New(fault.Conflict, "fault.node.practice_lock")
	}
	if err := v.giveOpener(in.Nodes); err != nil {
		return err
	}
	return v.json(fiber.StatusOK, list[string]{Items: append([]string{}, in.Nodes...)})
}

// operatorOpenRequest is what a locked node asks another with.
func operatorOpenRequest(v *visit) error {
	var in struct {
		Anew bool `json:"anew"`
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	ask, err := v.s.config.Box.AskToOpen(in.Anew)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, ask)
}

// operatorOpenAnswer opens the locked node with what another answered.
func operatorOpenAnswer(v *visit) error {
	var in struct {
		Answer string `json:"answer"`
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	if err := v.s.config.Box.TakeAnswer(v.s.ctx, in.Answer); err != nil {
		return err
	}
	return v.json(fiber.StatusOK, map[string]string{"state": v.s.config.Box.State()})
}

// byOwnHand runs do in a session of whoever's name and passphrase came along: the operator
// signs for nobody.
func (v *visit) byOwnHand(user, passphrase string, do func(staff.Session) error) error {
	desks, err := v.opened()
	if err != nil {
		return err
	}
	secret := []byte(passphrase)
	defer clear(secret)
	s, err := desks.Staff.SignIn(identity.From(v.s.ctx, v.client()), clean(user), secret)
	if err != nil {
		return err
	}
	defer desks.Staff.SignOut(s.Token)
	return do(s)
}

// operatorAskOpening is the first signature under the opening of another node.
func operatorAskOpening(v *visit) error {
	var in struct {
		Request string `json:"request"`
		byHand
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	return v.byOwnHand(in.User, in.Passphrase, func(s staff.Session) error {
		asking, err := v.desks().Identity.LookAtRequest(in.Request)
		if err != nil {
			return err
		}
		id, err := v.wantOpening(s, asking)
		if err != nil {
			return err
		}
		return v.json(fiber.StatusAccepted, map[string]any{
			"id": id.String(), "words": asking.Request.Words(), "node": asking.Box.ID.String(), "number": asking.Box.Number, "site": asking.Box.Site,
		})
	})
}

// operatorConfirmOpening is the second, and gives the answer.
func operatorConfirmOpening(v *visit) error {
	var in struct {
		ID string `json:"id"`
		byHand
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	gone := fault.New(fault.NotFound, "fault.staff.no_act")
	id, err := oplog.ParseID(in.ID)
	if err != nil {
		return gone
	}
	return v.byOwnHand(in.User, in.Passphrase, func(s staff.Session) error {
		if _, ok := v.s.openings.get(id); !ok { // an act of another kind
			return gone
		}
		if err := v.desks().Staff.ConfirmAct(v.s.ctx, s, id); err != nil {
			return err
		}
		act, _ := v.s.openings.get(id)
		return v.json(fiber.StatusOK, map[string]string{"answer": act.answer})
	})
}
