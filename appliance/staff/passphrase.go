package staff

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
)

// passWords is how many generated words a passphrase has.
const passWords = 5

// GeneratePassphrase draws five words from the EFF large list: 64 bits, which nobody
// guesses however many tries they have.
func GeneratePassphrase() ([]string, error) { return identity.GenerateWords(passWords) }

// CheckWords refuses a passphrase that somebody made up, for a role that opens a narrow
// compartment: what lies under it is guessed at on a stolen card, without any limit. That
// five words of the list were drawn and not chosen cannot be seen; pages and the command
// line draw them. Fault: Invalid "fault.staff.words_needed".
func CheckWords(r Role, passphrase []byte) error {
	if len(r.narrows()) == 0 {
		return nil
	}
	words := slices.Sorted(slices.Values(strings.Fields(string(identity.CanonicalPassphrase(passphrase)))))
	unlisted := func(w string) bool { return !identity.Listed(w) }
	if len(words) != passWords || len(slices.Compact(words)) != passWords || slices.ContainsFunc(words, unlisted) {
		return fault.New(fault.Invalid, "fault.staff.words_needed").With("passphrase", "fault.staff.words_needed")
	}
	return nil
}

func checkPassphrase(p []byte) error {
	switch n := utf8.RuneCount(identity.CanonicalPassphrase(p)); {
	case len(p) > maxPassphrase:
		return fault.New(fault.Invalid, "fault.staff.long_passphrase", "Most", maxPassphrase).With("passphrase", "fault.staff.long_passphrase", "Most", maxPassphrase)
	case n < minPassphrase:
		return fault.New(fault.Invalid, "fault.staff.short_passphrase", "Least", minPassphrase).With("passphrase", "fault.staff.short_passphrase", "Least", minPassphrase)
	}
	return nil
}

// ChangePassphrase gives the person of a session another passphrase. Their keys stay, so
// that everything sealed to them opens as before. Every other session of theirs ends, and
// every PIN. Faults: those of SignIn for the old one; Invalid
// "fault.staff.short_passphrase", "fault.staff.long_passphrase" and
// "fault.staff.words_needed".
func (d *Desk) ChangePassphrase(ctx context.Context, s Session, old, passphrase []byte) error {
	if err := checkPassphrase(passphrase); err != nil {
		return err
	}
	if err := CheckWords(s.Actor.Role, passphrase); err != nil {
		return err
	}
	a, private, err := d.prove(ctx, s.Actor.Name, old)
	if err != nil {
		return err
	}
	defer clear(private)
	if idOf(a.Subject) != s.Actor.ID {
		return fault.New(fault.Denied, "fault.staff.wrong_sign_in")
	}
	a, err = a.wrap(ctx, passphrase, private, d.cost)
	if err != nil {
		return err
	}
	d.changing.Lock()
	defer d.changing.Unlock()
	accounts := d.snapshot()
	for i := range accounts {
		if accounts[i].Subject == a.Subject {
			a.Disabled, a.Replaced = accounts[i].Disabled, accounts[i].Replaced
			accounts[i] = a
		}
	}
	if err := d.save(accounts); err != nil {
		return err
	}
	d.endSessionsOf(s.Actor.ID, s.Token)
	d.forgetPINsOf(s.Actor.ID)
	d.forgetPasskeys(s.Actor.ID, nil)
	return nil
}

// Reset gives somebody who forgot their passphrase another one. Nobody can open their old
// keys, so this is another account, with keys of its own, of the same person and name; the
// old one is switched off. What was sealed to the old keys has to be sealed anew by
// whoever else can read it. The two never count as two people, and neither do the person
// and whoever reset it. The actor needs ManageStaff. Faults: those of Actor.Must, of
// CheckWords and of the passphrase; NotFound "fault.staff.no_such_user"; Conflict
// "fault.staff.reset_self" and "fault.staff.disabled"; the log's own.
func (d *Desk) Reset(ctx context.Context, actor Actor, user string, passphrase []byte) (Account, error) {
	if err := actor.Must(ManageStaff); err != nil {
		return Account{}, err
	}
	if err := checkPassphrase(passphrase); err != nil {
		return Account{}, err
	}
	d.changing.Lock()
	defer d.changing.Unlock()
	accounts := d.snapshot()
	target, _, err := d.target(accounts, user)
	if err != nil {
		return Account{}, err
	}
	old := accounts[target]
	standing, err := d.state(old)
	switch {
	case err != nil:
		return Account{}, err
	case standing.off:
		return Account{}, fault.New(fault.Conflict, "fault.staff.disabled")
	case idOf(old.Subject) == actor.ID:
		return Account{}, fault.New(fault.Conflict, "fault.staff.reset_self")
	case len(accounts) >= maxAccounts:
		return Account{}, fault.New(fault.Conflict, "fault.staff.accounts_full")
	}
	if err := CheckWords(old.Role, passphrase); err != nil {
		return Account{}, err
	}
	more, err := d.again(old, actor)
	if err != nil {
		return Account{}, err
	}
	accounts[target].Disabled, accounts[target].Replaced = true, true
	made, err := d.enrol(ctx, actor, NewAccount{User: old.User, Role: old.Role, Passphrase: passphrase}, more, accounts)
	if err != nil {
		return Account{}, err
	}
	d.out(old)
	return made, d.tellDisabled(ctx, actor, old)
}

// again is what an account says about its person once somebody reset it.
func (d *Desk) again(old account, actor Actor) (*personal, error) {
	e := old.enrolled(d.node)
	makers, err := d.makers(e)
	if err != nil {
		return nil, err
	}
	more := &personal{Person: e.person(), Narrow: old.actor("").Opened(), ResetBy: d.handsOf(actor)}
	if len(makers) > 0 {
		more.MadeBy = makers[0]
	}
	return more, nil
}
