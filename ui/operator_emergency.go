package ui

import (
	"github.com/gofiber/fiber/v2"
)

// operatorEmergency says what this node may do to its own keys.
func operatorEmergency(v *visit) error {
	e, err := v.s.config.Box.Emergency(v.s.ctx, v.actor)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, e)
}

// operatorSetEmergency decides it, by the words of those whose passphrases came along: the
// operator decides nothing of that sort.
func operatorSetEmergency(v *visit) error {
	var in struct {
		Mode        string    `json:"mode"`
		Users       [2]string `json:"users"`
		Passphrases [2]string `json:"passphrases"`
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	secrets := [2][]byte{[]byte(in.Passphrases[0]), []byte(in.Passphrases[1])}
	defer clear(secrets[0])
	defer clear(secrets[1])
	if _, err := v.s.config.Box.EmergencyBoth(v.s.ctx, in.Mode, in.Users, secrets); err != nil {
		return err
	}
	return operatorEmergency(v)
}

// operatorDestroy destroys the keys where that was decided before.
func operatorDestroy(v *visit) error {
	if err := v.s.config.Box.Destroy(v.s.ctx, v.actor); err != nil {
		return err
	}
	v.over()
	return v.json(fiber.StatusOK, map[string]string{"state": v.s.config.Box.State()})
}
