package staff

import (
	"context"
	"crypto/rand"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// A sealed file is erased as a person is: the same fact, the same wait, the same keeper.
// What differs is who signs: somebody who works in the file, which the sealed desk sees to,
// and a lead or coordinator, who never reads it. Nothing about it lies in the register: the
// number of a file and a person must not stand together anywhere.

// EraseFilePurpose is the purpose of the acts by which two people erase a sealed file.
const EraseFilePurpose = "erase-file"

// fileAct is what both sign.
func fileAct(s statement) Act {
	return Act{Purpose: EraseFilePurpose, Action: SignForFiles, Body: encode(s)}
}

// AskFileErasure is the first half: files are the subjects of a sealed file, itself first,
// at most 16. show says what the second person reads, and who they may be; agree is asked
// once more when somebody does. Faults: those of AskAct, Invalid
// "fault.staff.erase_invalid", Busy "fault.staff.erase_cap".
func (d *Desk) AskFileErasure(s Session, files []oplog.ID, show Act, agree func(by ID) error) (oplog.ID, error) {
	if len(files) == 0 || len(files) > maxSubjects {
		return oplog.ID{}, fault.New(fault.Invalid, "fault.staff.erase_invalid")
	}
	st := statement{Subjects: files, File: true}
	_, _ = rand.Read(st.Nonce[:]) // never fails: crypto/rand ends the process instead
	act := fileAct(st)
	act.Key, act.Args, act.Only = show.Key, show.Args, show.Only
	return d.AskAct(s, act, func(ctx context.Context, by ID, first, second Hand) error {
		if err := agree(by); err != nil {
			return err
		}
		return d.eraseFile(ctx, st, by, first, second)
	})
}

// eraseFile writes both halves: the file is hidden before it returns. Faults: Denied
// "fault.staff.act_stranger", Busy "fault.staff.erase_cap", those of the log.
func (d *Desk) eraseFile(ctx context.Context, st statement, by ID, first, second Hand) error {
	one, ok := parseHand(first)
	two, also := parseHand(second)
	fact := erased{Statement: st, By: [2]signature{one, two}}
	if !ok || !also || !d.trustsFileErasure(fact) {
		return fault.New(fault.Denied, "fault.staff.act_stranger")
	}
	if d.keeper.spent(d) {
		return fault.New(fault.Busy, "fault.staff.erase_cap", "Count", EraseCap)
	}
	err := d.log.Do(ctx, by, func(tx *oplog.Tx) error {
		for _, subject := range st.Subjects {
			if _, err := tx.Append(erasedKind, subject, fact); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		d.keeper.look(d) // so that it counts at once
	}
	return err
}

// trustsFileErasure reports whether both halves count here still, they are two people, and
// one of them is somebody who may erase: without a lead or coordinator nothing of a file is
// ever destroyed.
func (d *Desk) trustsFileErasure(e erased) bool {
	a, b := e.By[0], e.By[1]
	may := func(x signature, what Action) bool {
		return (Actor{ID: idOf(x.Who.subject()), Role: x.Who.Role}).Can(what)
	}
	return (may(a, ErasePeople) || may(b, ErasePeople)) && d.trustsSigner(a.Who, SignForFiles) && d.trustsSigner(b.Who, SignForFiles) &&
		d.twoPeople(a, b, "act") == nil
}
