package ui

import (
	"encoding/json"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
)

// bundleCalls are the calls about bundles of the control socket.
func bundleCalls(call func(method, path string, handle func(*visit) error) route) []route {
	return []route{
		call("GET", "/bundle", operatorBundle),
		call("POST", "/bundle/write", operatorBundleWrite),
		call("POST", "/bundle/read", operatorBundleRead),
		call("POST", "/bundle/stop", operatorBundleStop),
	}
}

func operatorBundleWrite(v *visit) error {
	var in control.BundleOrder
	if err := v.decode(&in); err != nil {
		return err
	}
	if err := v.s.config.Box.WriteBundle(v.s.ctx, v.actor, in); err != nil {
		return err
	}
	return operatorBundle(v)
}

func operatorBundleRead(v *visit) error {
	var in struct {
		File string `json:"file"`
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	if err := v.s.config.Box.ReadBundle(v.s.ctx, v.actor, in.File, false); err != nil {
		return err
	}
	return operatorBundle(v)
}

// operatorBundle says how far it is. A fault is part of the answer, because what was read
// counts with it.
func operatorBundle(v *visit) error {
	state, err := v.s.config.Box.BundleState(v.s.ctx)
	answer := struct {
		control.Bundle
		Failed json.RawMessage `json:"failed,omitempty"`
	}{Bundle: state}
	if err != nil {
		answer.Failed = problemOf(fault.Of(err), v.lang).bytes()
	}
	return v.json(fiber.StatusOK, answer)
}

func operatorBundleStop(v *visit) error {
	if err := v.s.config.Box.StopBundle(v.s.ctx, v.actor); err != nil {
		return err
	}
	return v.json(fiber.StatusOK, map[string]bool{"stopped": true})
}
