package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/station"
	"github.com/waypost/waypost/ui"
)

// practicePeople is how many made-up people practice starts with.
const practicePeople = 300

// practiceMark is the file by which a folder is known to be practice. Somebody may
// have named a real folder like it, and that one is never removed.
const practiceMark = "throw-away-practice"

// Practise opens a throw-away folder beside the real one, full of made-up
// people. It has no mesh, and it is removed at the next stop or start.
func (b *box) Practise(ctx context.Context, code string) (ui.Started, error) {
	const lead = "practice"
	started, err := b.claimed(code, func(passphrase []byte) (*node, []string, error) {
		if err := makePractice(b.dir); err != nil {
			return nil, nil, err
		}
		o := initOptions{Data: practiceDir(b.dir), Deployment: "Practice", Site: "Practice", Lead: lead, Passphrase: passphrase}
		n, err := startSite(b.ctx, o, b.logger)
		if err != nil {
			return nil, nil, errors.Join(err, removePractice(b.dir))
		}
		if err := fillMadeUp(ctx, n.desks, practicePeople, 1); err != nil {
			return nil, nil, errors.Join(err, n.Close(), removePractice(b.dir))
		}
		return n, nil, nil
	}, lead, true)
	started.Words = nil // nothing to write down: it will not be there tomorrow
	return started, err
}

// fillMadeUp registers about n made-up people.
func fillMadeUp(ctx context.Context, desks *station.Station, n int, seed uint64) error {
	for _, h := range registration.MadeUp(n, seed) {
		if _, err := desks.Registration.AddHousehold(ctx, staff.Operator(), h, registration.Request{}); err != nil {
			return err
		}
	}
	return nil
}

func practiceDir(dir string) string {
	return filepath.Clean(dir) + "-practice"
}

// makePractice makes the folder of practice, which must not be there. Faults:
// Conflict "fault.node.practice_taken", Unavailable "fault.node.cannot_write".
func makePractice(dir string) error {
	if err := removePractice(dir); err != nil {
		return err
	}
	folder := practiceDir(dir)
	if err := os.Mkdir(folder, 0o700); errors.Is(err, os.ErrExist) {
		return fault.New(fault.Conflict, "fault.node.practice_taken", "Folder", folder).Wrap(err)
	} else if err != nil {
		return fault.New(fault.Unavailable, "fault.node.cannot_write", "File", folder).Wrap(err)
	}
	if err := writeFile(filepath.Join(folder, practiceMark), nil); err != nil {
		return errors.Join(fault.New(fault.Unavailable, "fault.node.cannot_write", "File", folder).Wrap(err), os.RemoveAll(folder))
	}
	return nil
}

// removePractice wipes what practice left, also after a power cut. Where there is
// nothing it touches nothing: beside the data folder the disk may be read-only. A
// folder of that name that is not practice stays as it is, whoever made it.
func removePractice(dir string) error {
	folder := practiceDir(dir)
	if info, err := os.Lstat(folder); err != nil || !info.IsDir() {
		return nil //nolint:nilerr // nothing there that practice could have made
	}
	if info, err := os.Lstat(filepath.Join(folder, practiceMark)); err != nil || !info.Mode().IsRegular() {
		_ = os.Remove(folder) // goes only when empty: a power cut came before the mark
		return nil
	}
	return os.RemoveAll(folder)
}
