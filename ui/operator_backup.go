package ui

import (
	"github.com/gofiber/fiber/v2"
)

// operatorBackup begins a backup into a file of this machine; it goes on when the caller
// goes away.
func operatorBackup(v *visit) error {
	var in struct {
		File string `json:"file"`
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	if err := v.s.config.Box.StartBackup(v.s.ctx, v.actor, in.File); err != nil {
		return err
	}
	return operatorBackupState(v)
}

func operatorBackupState(v *visit) error {
	state, err := v.s.config.Box.BackupState(v.s.ctx)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, state)
}

func operatorBackupStop(v *visit) error {
	if err := v.s.config.Box.StopBackup(v.s.ctx, v.actor); err != nil {
		return err
	}
	return v.json(fiber.StatusOK, map[string]bool{"stopped": true})
}

// operatorReopen lets people be read after a restore, by the word of two people.
func operatorReopen(v *visit) error {
	type one struct {
		User       string `json:"user"`
		Passphrase string `json:"passphrase"`
	}
	var in struct {
		First  one `json:"first"`
		Second one `json:"second"`
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	users := [2]string{in.First.User, in.Second.User}
	passphrases := [2][]byte{[]byte(in.First.Passphrase), []byte(in.Second.Passphrase)}
	if err := v.s.config.Box.ReopenBoth(v.s.ctx, users, passphrases); err != nil {
		return err
	}
	return v.json(fiber.StatusOK, map[string]string{"state": v.s.config.Box.State()})
}
