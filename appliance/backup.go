package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/backup"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
)

// backupVerb writes a backup: by the running node, through its socket, or of a closed
// folder with a passphrase. With --verify it checks one instead.
func (a *app) backupVerb() *cobra.Command {
	var file string
	var verify bool
	v := a.verb("backup", "backup FILE", func(ctx context.Context, args []string) error {
		target, err := filepath.Abs(args[0])
		if err != nil {
			return cannotRead(args[0], err)
		}
		m := &meter{app: a}
		defer m.end()
		var made control.BackupFile
		if verify {
			made, err = a.verifyBackup(ctx, target, file, m)
		} else {
			made, err = a.makeBackup(ctx, target, file, m)
		}
		if err != nil {
			return err
		}
		m.end()
		return a.printBackup(made, verify)
	})
	v.bool(&verify, "verify")
	v.str(&file, "passphrase-file", "FILE", "")
	v.printsData()
	return v.Command
}

func (a *app) printBackup(f control.BackupFile, verified bool) error {
	if a.json {
		return a.printJSON(f)
	}
	made := f.Made.Local().Format("2006-01-02 15:04")
	switch {
	case verified && !f.Opened:
		a.println(a.say("cli.backup.sound_outside", "File", f.File, "Made", made, "Size", megabytes(uint64(f.Bytes)), "Node", f.Node))
	case verified:
		a.println(a.say("cli.backup.sound", "File", f.File, "Made", made, "Size", megabytes(uint64(f.Bytes)), "Site", control.Plain(f.Site), "Count", f.Ops))
	default:
		a.println(a.say("cli.backup.done", "File", f.File, "Size", megabytes(uint64(f.Bytes)), "Count", f.Ops))
	}
	return nil
}

func (a *app) verifyBackup(ctx context.Context, target, file string, m *meter) (control.BackupFile, error) {
	var passphrase []byte
	if file != "" {
		var err error
		if passphrase, err = a.passphrase(file); err != nil {
			return control.BackupFile{}, err
		}
	}
	info, err := backup.Verify(ctx, files.OS(), target, passphrase, m.show)
	return backupFile(target, info), err
}

// makeBackup has the node do it, when one runs.
func (a *app) makeBackup(ctx context.Context, file, passphraseFile string, m *meter) (control.BackupFile, error) {
	running := a.node()
	_, err := running.StartBackup(ctx, file)
	switch {
	case err == nil:
		return a.followBackup(ctx, running, m)
	case !control.IsNotRunning(err):
		return control.BackupFile{}, err
	case !identity.Exists(a.data):
		return control.BackupFile{}, fault.New(fault.NotFound, "fault.node.no_folder", "Folder", a.data)
	case passphraseFile == "":
		return control.BackupFile{}, fault.New(fault.Locked, "fault.backup.passphrase")
	}
	passphrase, err := a.passphrase(passphraseFile)
	if err != nil {
		return control.BackupFile{}, err
	}
	if file, err = target(a.data, file); err != nil {
		return control.BackupFile{}, err
	}
	var made *control.BackupFile
	err = withFolder(ctx, a.data, passphrase, func(n *node) error {
		made, err = n.backup(ctx, file, m.show)
		return err
	})
	if err != nil {
		return control.BackupFile{}, err
	}
	return *made, nil
}

// backupLook is how often the node is asked how far it is.
const backupLook = 200 * time.Millisecond

// followBackup shows how far the node is until it is done. Whoever stops the verb stops
// the backup; what is written stays.
func (a *app) followBackup(ctx context.Context, node *control.Client, m *meter) (control.BackupFile, error) {
	for {
		state, err := node.BackupState(ctx)
		if ctx.Err() != nil {
			_ = node.StopBackup(context.WithoutCancel(ctx))
			return control.BackupFile{}, fault.New(fault.Unavailable, "fault.backup.stopped").Wrap(ctx.Err())
		}
		if err != nil {
			return control.BackupFile{}, err
		}
		if !state.Running {
			if state.Result == nil {
				return control.BackupFile{}, fault.New(fault.Unavailable, "fault.backup.stopped")
			}
			return *state.Result, nil
		}
		m.show(backup.Progress{Step: backup.Step(state.Step), Done: state.Done, Total: state.Total})
		select {
		case <-clock.System().After(backupLook):
		case <-ctx.Done():
		}
	}
}

// meter shows a step and how much of it is done, on one line of a terminal.
type meter struct {
	app   *app
	last  string
	shown bool
}

func (m *meter) show(p backup.Progress) {
	if !isTerminal(m.app.err) || p.Step == "" {
		return
	}
	line := m.app.say("backup.step." + string(p.Step))
	if p.Total > 0 {
		line += fmt.Sprintf(" %d %%", min(100, p.Done*100/p.Total))
	}
	if line != m.last {
		fmt.Fprintf(m.app.err, "\r\033[K%s", line)
		m.last, m.shown = line, true
	}
}

func (m *meter) end() {
	if m.shown {
		fmt.Fprint(m.app.err, "\r\033[K")
		m.shown = false
	}
}
