package ui

import (
	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
)

// lostCalls are the verbs for a box that is lost.
func (s *Server) lostCalls(call func(method, path string, handle func(*visit) error) route) []route {
	return []route{
		call("GET", "/lost", operatorLost),
		call("POST", "/suspend", operatorSuspend),
		call("POST", "/lift", operatorLift),
		call("POST", "/revoke", operatorRevoke),
		call("POST", "/rotate", operatorRotate),
		call("GET", "/issuers", operatorIssuers),
		call("POST", "/revoke-issuer", operatorRevokeIssuer),
	}
}

func operatorLost(v *visit) error {
	lost, err := v.s.config.Box.Lost(v.s.ctx, v.actor)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, list[control.LostBox]{Items: lost})
}

// nodeCall is the body of a call about one node.
type nodeCall struct {
	Node string `json:"node"`
}

func operatorSuspend(v *visit) error {
	var in nodeCall
	if err := v.decode(&in); err != nil {
		return err
	}
	if err := v.s.config.Box.Suspend(v.s.ctx, v.actor, in.Node); err != nil {
		return err
	}
	return v.incident(in.Node)
}

func (v *visit) incident(node string) error {
	i, err := v.s.config.Box.Incident(v.s.ctx, v.actor, node)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, i)
}

func operatorLift(v *visit) error {
	var in nodeCall
	if err := v.decode(&in); err != nil {
		return err
	}
	if err := v.s.config.Box.Lift(v.s.ctx, v.actor, in.Node); err != nil {
		return err
	}
	return v.json(fiber.StatusOK, in)
}

func operatorRevoke(v *visit) error {
	var in struct {
		nodeCall
		Users       [2]string `json:"users"`
		Passphrases [2]string `json:"passphrases"`
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	secrets := [2][]byte{[]byte(in.Passphrases[0]), []byte(in.Passphrases[1])}
	defer clear(secrets[0])
	defer clear(secrets[1])
	if err := v.s.config.Box.RevokeBoth(v.s.ctx, in.Node, in.Users, secrets); err != nil {
		return err
	}
	return v.incident(in.Node)
}

func operatorIssuers(v *visit) error {
	all, err := v.s.config.Box.Issuers(v.s.ctx, v.actor)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, list[control.Issuer]{Items: all})
}

func operatorRevokeIssuer(v *visit) error {
	var in struct {
		Issuer      string    `json:"issuer"`
		Users       [2]string `json:"users"`
		Passphrases [2]string `json:"passphrases"`
		Root        string    `json:"root"`
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	secrets, root := [2][]byte{[]byte(in.Passphrases[0]), []byte(in.Passphrases[1])}, []byte(in.Root)
	defer clear(secrets[0])
	defer clear(secrets[1])
	defer clear(root)
	if err := v.s.config.Box.RevokeIssuer(v.s.ctx, in.Issuer, in.Users, secrets, root); err != nil {
		return err
	}
	all, err := v.s.config.Box.Issuers(v.s.ctx, v.actor)
	if err != nil {
		return err
	}
	for _, i := range all {
		if i.ID == in.Issuer {
			return v.json(fiber.StatusOK, i)
		}
	}
	return fault.New(fault.NotFound, "fault.identity.no_such_issuer")
}

func operatorRotate(v *visit) error {
	if err := v.s.config.Box.Rotate(v.s.ctx, v.actor); err != nil {
		return err
	}
	return v.json(fiber.StatusOK, map[string]string{})
}
