package ui

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/station"
)

// operatorRoutes are the node's own verbs, on the control socket only.
func (s *Server) operatorRoutes() []route {
	call := func(method, path string, handle func(*visit) error) route {
		return route{method: method, path: "/operator" + path, policy: byOperator(), where: onOperator, handle: handle}
	}
	list := call("POST", "/import", operatorImport)
	list.limit = importLimit
	return append([]route{
		call("GET", "/status", operatorStatus),
		call("GET", "/copies", getGone),
		call("POST", "/unlock", operatorUnlock),
		call("POST", "/invite", operatorInvite),
		call("POST", "/confirm", operatorConfirm),
		call("GET", "/staff", operatorAccounts),
		call("POST", "/staff", operatorAdd),
		call("POST", "/staff/disable", operatorDisable),
		call("GET", "/staff/sessions", operatorSessions),
		call("POST", "/staff/sessions/end", operatorEndSession),
		call("POST", "/apikeys", operatorKey),
		list,
		call("GET", "/check", operatorCheck),
		call("POST", "/repair", operatorRepair),
		call("POST", "/losses/accept", operatorAcceptLosses),
		call("POST", "/rebuild", operatorRebuild),
		call("POST", "/verify", operatorVerify),
		call("GET", "/slots", operatorSlots),
		call("POST", "/slots", operatorAddSlot),
		call("POST", "/slots/remove", operatorRemoveSlot),
		call("POST", "/wipe", operatorWipe),
		call("GET", "/emergency", operatorEmergency),
		call("POST", "/emergency", operatorSetEmergency),
		call("POST", "/destroy", operatorDestroy),
		call("POST", "/backup", operatorBackup),
		call("GET", "/backup", operatorBackupState),
		call("POST", "/backup/stop", operatorBackupStop),
		call("POST", "/reopen", operatorReopen),
		call("GET", "/ceremony", operatorCeremony),
		call("POST", "/ceremony", operatorCeremonyStep),
	}, append(s.lostCalls(call), bundleCalls(call)...)...)
}

// opened are the desks, or the fault that says why there are none.
func (v *visit) opened() (*station.Station, error) {
	if d := v.desks(); d != nil {
		return d, nil
	}
	return nil, wrongState(v.s.config.Box.State())
}

func operatorStatus(v *visit) error {
	status, err := v.s.config.Box.Status(v.s.ctx)
	if err != nil {
		return err
	}
	english := v.s.config.Catalog.For("en")
	for i, a := range status.Alerts {
		if a.Text == "" {
			status.Alerts[i].Text = say(english, a.Key, a.Args)
		}
	}
	return v.json(fiber.StatusOK, status)
}

func operatorUnlock(v *visit) error {
	var in struct {
		Passphrase string `json:"passphrase"`
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	if err := v.s.config.Box.Unlock(v.s.ctx, []byte(in.Passphrase)); err != nil {
		return err
	}
	return v.json(fiber.StatusOK, map[string]string{"state": v.s.config.Box.State()})
}

func operatorInvite(v *visit) error {
	var in struct {
		TTL  int64  `json:"ttl_seconds"`
		Area string `json:"area"`
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	ttl, err := seconds("ttl_seconds", in.TTL)
	if err != nil {
		return err
	}
	invitation, err := v.s.config.Box.Invite(v.s.ctx, v.actor, ttl, in.Area)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusCreated, invitation)
}

func operatorConfirm(v *visit) error {
	var in struct {
		Node string `json:"node"`
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	if err := v.s.config.Box.Confirm(v.s.ctx, v.actor, in.Node); err != nil {
		return err
	}
	return v.json(fiber.StatusOK, map[string]string{"node": in.Node})
}

func accountOf(a staff.Account) control.Account {
	return control.Account{
		ID: a.ID.String(), User: a.User, Role: string(a.Role), Site: a.Site, Since: a.Since.UTC(), Disabled: a.Disabled,
	}
}

func operatorAccounts(v *visit) error {
	desks, err := v.opened()
	if err != nil {
		return err
	}
	accounts, err := desks.Staff.List(v.s.ctx, v.actor)
	if err != nil {
		return err
	}
	answer := list[control.Account]{Items: []control.Account{}}
	for _, a := range accounts {
		answer.Items = append(answer.Items, accountOf(a))
	}
	return v.json(fiber.StatusOK, answer)
}

func operatorAdd(v *visit) error {
	var in struct {
		User       string `json:"user"`
		Role       string `json:"role"`
		Passphrase string `json:"passphrase"`
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	desks, err := v.opened()
	if err != nil {
		return err
	}
	role, err := staff.ParseRole(in.Role)
	if err != nil {
		return err
	}
	var words []string
	passphrase := []byte(in.Passphrase)
	if in.Passphrase == "" {
		if words, passphrase, err = drawn(role, nil); err != nil {
			return err
		}
	}
	account, err := desks.Staff.Add(v.s.ctx, v.actor, staff.NewAccount{User: in.User, Role: role, Passphrase: passphrase})
	if err != nil {
		return err
	}
	out := accountOf(account)
	out.Words = strings.Join(words, " ")
	return v.json(fiber.StatusCreated, out)
}

func operatorSessions(v *visit) error {
	desks, err := v.opened()
	if err != nil {
		return err
	}
	sessions, err := desks.Staff.Sessions(v.actor, "", true)
	if err != nil {
		return err
	}
	answer := list[control.SignedIn]{Items: []control.SignedIn{}}
	for _, s := range sessions {
		answer.Items = append(answer.Items, control.SignedIn{
			ID: s.ID.String(), User: s.User, Device: s.Label, Started: s.Started.UTC(), Used: s.Used.UTC(), Rests: s.Rests,
		})
	}
	return v.json(fiber.StatusOK, answer)
}

func operatorEndSession(v *visit) error {
	var in struct {
		ID string `json:"id"`
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	desks, err := v.opened()
	if err != nil {
		return err
	}
	id, err := oplog.ParseBy(in.ID)
	if err == nil {
		err = desks.Staff.EndSession(v.actor, id)
	} else {
		err = fault.New(fault.NotFound, "fault.staff.no_session").Wrap(err)
	}
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, map[string]string{"id": in.ID})
}

func operatorDisable(v *visit) error {
	var in struct {
		User string `json:"user"`
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	desks, err := v.opened()
	if err != nil {
		return err
	}
	if err := desks.Staff.Disable(v.s.ctx, v.actor, in.User); err != nil {
		return err
	}
	return v.json(fiber.StatusOK, map[string]string{"user": in.User})
}

func operatorKey(v *visit) error {
	var in struct {
		Role string `json:"role"`
		Name string `json:"name"`
		TTL  int64  `json:"ttl_seconds"`
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	desks, err := v.opened()
	if err != nil {
		return err
	}
	role, err := staff.ParseRole(in.Role)
	if err != nil {
		return err
	}
	ttl, err := seconds("ttl_seconds", in.TTL)
	if err != nil {
		return err
	}
	key, err := desks.Staff.IssueKey(v.s.ctx, v.actor, role, in.Name, ttl)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusCreated, control.Key{
		ID: key.ID.String(), Name: in.Name, Role: in.Role, Expires: key.Expires.UTC(), Secret: key.Secret,
	})
}

// operatorImport registers a part of a list; the verb sends one part after the other.
func operatorImport(v *visit) error {
	var in struct {
		Rows []registration.ImportRow `json:"rows"`
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	desks, err := v.opened()
	if err != nil {
		return err
	}
	results, err := desks.Registration.Import(v.s.ctx, v.actor, in.Rows)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, struct {
		Results []registration.RowResult `json:"results"`
	}{results})
}

func operatorCheck(v *visit) error {
	check, err := v.s.config.Box.Check(v.s.ctx)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, check)
}

func operatorRepair(v *visit) error {
	check, err := v.s.config.Box.Repair(v.s.ctx)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, check)
}

func operatorAcceptLosses(v *visit) error {
	ops, err := v.s.config.Box.AcceptLosses(v.s.ctx, v.actor)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, map[string]uint64{"ops": ops})
}

func operatorRebuild(v *visit) error {
	rebuilt, err := v.s.config.Box.Rebuild(v.s.ctx)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, rebuilt)
}

func operatorVerify(v *visit) error {
	var in struct {
		Text string `json:"text"`
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	desks, err := v.opened()
	if err != nil {
		return err
	}
	result, err := desks.Tokens.Verify(v.s.ctx, v.actor, in.Text)
	if err != nil {
		return err
	}
	answer := control.Verdict{Verdict: string(result.Verdict), Reason: say(v.lang, result.Reason, nil), Generation: int(result.Generation)}
	if result.Person != nil {
		answer.Person = result.Person.String()
	}
	return v.json(fiber.StatusOK, answer)
}
