package staff

import (
	"cmp"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// NewAccount is somebody who begins to work here.
type NewAccount struct {
	User       string // 1-64 characters, unique at this node whatever the letter case
	Role       Role
	Passphrase []byte   // at least 8 characters; five generated words for a role with a narrow compartment
	Narrow     []Narrow // what they are given of what their role may have; nil: all of it
	Person     oplog.ID // of Colleagues, for somebody who works at another post; zero for somebody new
}

// Account is somebody who works or worked here.
type Account struct {
	ID       ID
	User     string
	Role     Role
	Site     string
	Since    time.Time // wall time of this node
	Disabled bool
	Narrow   []Narrow    // the narrow compartments they work in
	Badge    string      // the code their badge carries
	MadeBy   ID          // zero for an account of an earlier version
	ResetBy  ID          // who last gave it a new passphrase; zero when nobody did
	Promise  Undertaking // to keep what they see to themselves
}

// Limits of accounts.
const (
	maxUser       = 64
	minPassphrase = 8
	maxPassphrase = 1024 // bytes
	maxAccounts   = 1000
)

// account is an account in the sealed file.
type account struct {
	Subject  oplog.ID                                      `cbor:"1,keyasint"`
	User     string                                        `cbor:"2,keyasint"`
	Role     Role                                          `cbor:"3,keyasint"`
	Since    int64                                         `cbor:"4,keyasint"` // Unix milliseconds
	Sign     [32]byte                                      `cbor:"5,keyasint"`
	Seal     [32]byte                                      `cbor:"6,keyasint"`
	Salt     [identity.SaltSize]byte                       `cbor:"7,keyasint"`
	Passes   uint8                                         `cbor:"8,keyasint"`
	KiB      uint32                                        `cbor:"9,keyasint"`
	Nonce    [chacha20poly1305.NonceSizeX]byte             `cbor:"10,keyasint"`
	Wrapped  [privateSize + chacha20poly1305.Overhead]byte `cbor:"11,keyasint"` // Ed25519 seed ‖ X25519 key
	Disabled bool                                          `cbor:"12,keyasint,omitempty"`
	More     *personal                                     `cbor:"13,keyasint,omitempty"` // nil: it was made as version 1
	Replaced bool                                          `cbor:"14,keyasint,omitempty"` // its passphrase was reset: another account goes on
}

const privateSize = ed25519.SeedSize + 32

type accountsFile struct {
	Version  uint      `cbor:"1,keyasint"`
	Accounts []account `cbor:"2,keyasint"`
}

// accountsVersion: 2 has More and Replaced. A program of before would name such accounts
// by something else, so it must not read them.
const accountsVersion = 2

var errAccounts = errors.New("staff: accounts are malformed")

func parseAccounts(raw []byte) ([]account, error) {
	var f accountsFile
	if err := decode(raw, &f); err != nil {
		return nil, err
	}
	if f.Version == 0 || f.Version > accountsVersion || len(f.Accounts) > maxAccounts {
		return nil, errAccounts
	}
	return f.Accounts, nil
}

func (a account) public(site string, off bool) Account {
	out := Account{
		ID: idOf(a.Subject), User: a.User, Role: a.Role, Site: site, Since: time.UnixMilli(a.Since).UTC(), Disabled: off,
		Narrow: a.actor(site).Opened(), Badge: showBadge(badgeOf(idOf(a.Subject))),
	}
	if a.More != nil {
		out.MadeBy, out.ResetBy = a.More.MadeBy.ID, a.More.ResetBy.ID
	}
	return out
}

// actor is who the account acts as.
func (a account) actor(site string) Actor {
	out := Actor{ID: idOf(a.Subject), Name: a.User, Role: a.Role, Site: site}
	if a.More != nil && len(a.Role.narrows()) > 0 {
		out.Narrow = append([]Narrow{}, a.More.Narrow...)
	}
	return out
}

func (a account) cost() identity.Cost { return identity.Cost{Passes: a.Passes, MemoryKiB: a.KiB} }

func (a account) bound() []byte {
	return slices.Concat([]byte("waypost/account/1"), a.Subject[:], a.Sign[:], a.Seal[:])
}

// enrolled is the fact that makes the account; the account is named by it.
func (a account) enrolled(node oplog.ID) enrolled {
	return enrolled{Sign: a.Sign, Seal: a.Seal, Role: a.Role, Node: node, More: a.More}
}

// newAccount draws the keys and wraps them. more is nil for an account as version 1 had
// it.
func newAccount(ctx context.Context, n NewAccount, more *personal, node oplog.ID, cost identity.Cost, at time.Time) (account, error) {
	a := account{User: n.User, Role: n.Role, Since: at.UnixMilli(), More: more}
	private := make([]byte, privateSize)
	defer clear(private)
	_, _ = rand.Read(private) // never fails: crypto/rand ends the process instead
	seal, err := ecdh.X25519().NewPrivateKey(private[ed25519.SeedSize:])
	if err != nil {
		return account{}, fault.Of(err)
	}
	a.Sign = [32]byte(ed25519.NewKeyFromSeed(private[:ed25519.SeedSize]).Public().(ed25519.PublicKey))
	a.Seal = [32]byte(seal.PublicKey().Bytes())
	a.Subject = a.enrolled(node).subject()
	return a.wrap(ctx, n.Passphrase, private, cost)
}

// wrap is the account with its private keys under a passphrase.
func (a account) wrap(ctx context.Context, passphrase, private []byte, cost identity.Cost) (account, error) {
	a.Passes, a.KiB = cost.Passes, cost.MemoryKiB
	for _, b := range [][]byte{a.Salt[:], a.Nonce[:]} {
		_, _ = rand.Read(b) // as above
	}
	key, err := identity.Stretch(ctx, passphrase, a.Salt[:], cost)
	if err != nil {
		return account{}, err
	}
	defer clear(key[:])
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return account{}, fault.Of(err)
	}
	aead.Seal(a.Wrapped[:0], a.Nonce[:], private, a.bound())
	return a, nil
}

// unwrap gives the private keys; ok is false for another passphrase.
func (a account) unwrap(ctx context.Context, passphrase []byte) (private []byte, ok bool, err error) {
	key, err := identity.Stretch(ctx, passphrase, a.Salt[:], a.cost())
	if err != nil {
		return nil, false, err
	}
	defer clear(key[:])
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return nil, false, fault.Of(err)
	}
	private, err = aead.Open(nil, a.Nonce[:], a.Wrapped[:], a.bound())
	return private, err == nil, nil
}

// cleanUser is the user name as it is kept: NFC, single spaces inside.
func cleanUser(user string) (string, bool) {
	if !utf8.ValidString(user) || len(user) > 16*maxUser {
		return "", false
	}
	user = strings.Join(strings.Fields(norm.NFC.String(user)), " ")
	odd := func(r rune) bool { return r != ' ' && !unicode.IsGraphic(r) }
	return user, user != "" && utf8.RuneCountInString(user) <= maxUser && !strings.ContainsFunc(user, odd)
}

// foldUser is what two user names are compared by.
func foldUser(user string) string {
	clean, _ := cleanUser(user)
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(clean)))
}

// CheckNew refuses a user name or passphrase that Add would refuse, before
// anything else is done. Fault: Invalid with one of "fault.staff.bad_user",
// "fault.staff.short_passphrase" and "fault.staff.long_passphrase", and each of
// them beside its field.
func CheckNew(user string, passphrase []byte) error {
	var found *fault.Error
	note := func(field, key string, args ...any) {
		if found == nil {
			found = fault.New(fault.Invalid, key, args...)
		}
		found = found.With(field, key, args...)
	}
	if _, ok := cleanUser(user); !ok || foldUser(user) == operatorName || foldUser(user) == letterboxName {
		note("user", "fault.staff.bad_user", "Most", maxUser)
	}
	switch n := utf8.RuneCount(identity.CanonicalPassphrase(passphrase)); {
	case len(passphrase) > maxPassphrase:
		note("passphrase", "fault.staff.long_passphrase", "Most", maxPassphrase)
	case n < minPassphrase:
		note("passphrase", "fault.staff.short_passphrase", "Least", minPassphrase)
	}
	if found == nil {
		return nil
	}
	return found
}

// Add makes an account with its own keys. The actor needs ManageStaff. Faults:
// those of Actor.Must, CheckNew, ParseRole and CheckWords; Invalid
// "fault.staff.bad_narrow"; NotFound "fault.staff.no_colleague"; Conflict
// "fault.staff.user_taken" and "fault.staff.accounts_full"; the log's own.
func (d *Desk) Add(ctx context.Context, actor Actor, n NewAccount) (Account, error) {
	if err := actor.Must(ManageStaff); err != nil {
		return Account{}, err
	}
	if err := CheckNew(n.User, n.Passphrase); err != nil {
		return Account{}, err
	}
	if _, err := ParseRole(string(n.Role)); err != nil {
		return Account{}, err
	}
	if err := CheckWords(n.Role, n.Passphrase); err != nil {
		return Account{}, err
	}
	more, err := d.personal(actor, n)
	if err != nil {
		return Account{}, err
	}
	n.User, _ = cleanUser(n.User)
	d.changing.Lock()
	defer d.changing.Unlock()
	kept, err := d.without(n.User)
	if err != nil {
		return Account{}, err
	}
	return d.enrol(ctx, actor, n, more, kept)
}

// enrol makes an account beside those kept: the file first, then the facts.
func (d *Desk) enrol(ctx context.Context, actor Actor, n NewAccount, more *personal, kept []account) (Account, error) {
	a, err := newAccount(ctx, n, more, d.node, d.cost, d.clock.Now())
	if err != nil {
		return Account{}, err
	}
	if err := d.save(append(kept, a)); err != nil {
		return Account{}, err
	}
	err = d.log.Do(ctx, actor.ID, func(tx *oplog.Tx) error {
		if _, err := tx.Append(enrolledKind, a.Subject, a.enrolled(d.node)); err != nil {
			return err
		}
		_, err := tx.Append(namedKind, a.Subject, named{User: a.User, Site: d.site})
		return err
	})
	if err != nil {
		return Account{}, err
	}
	return a.public(d.site, false), nil
}

// without is the accounts as they are when user is free. An account whose fact
// was never written does not hold its name.
func (d *Desk) without(user string) ([]account, error) {
	kept := d.snapshot()
	i := slices.IndexFunc(kept, func(a account) bool { return !a.Replaced && foldUser(a.User) == foldUser(user) })
	if i >= 0 {
		s, err := d.state(kept[i])
		if err != nil {
			return nil, err
		}
		if s.known {
			return nil, fault.New(fault.Conflict, "fault.staff.user_taken").With("user", "fault.staff.user_taken")
		}
		kept = slices.Delete(kept, i, i+1)
	}
	if len(kept) >= maxAccounts {
		return nil, fault.New(fault.Conflict, "fault.staff.accounts_full")
	}
	return kept, nil
}

// snapshot is a copy of the accounts.
func (d *Desk) snapshot() []account {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.accounts)
}

// save puts accounts on the card and then into use.
func (d *Desk) save(accounts []account) error {
	if err := d.file.Write(encode(accountsFile{Version: accountsVersion, Accounts: accounts})); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.accounts = accounts
	return nil
}

// standing is what the facts say about an account of ours.
type standing struct {
	known bool // its enrolment was written
	off   bool // disabled, by the file or by a fact of ours
}

func (d *Desk) state(a account) (s standing, err error) {
	id := idOf(a.Subject)
	proof := d.disabledProof(id)
	err = d.log.View(func(r oplog.Reader) (err error) {
		// The row can only say what this account was named by.
		if _, s.known, err = r.Row(staffView, a.Subject, rowKey('a', id)); err != nil {
			return err
		}
		_, s.off, err = r.Row(staffView, a.Subject, rowKey('d', id, proof[:]...))
		return err
	})
	s.off = s.off || a.Disabled
	return s, err
}

// List gives the accounts of this node, by user name. The actor needs
// ManageStaff.
func (d *Desk) List(_ context.Context, actor Actor) ([]Account, error) {
	if err := actor.Must(ManageStaff); err != nil {
		return nil, err
	}
	out := []Account{}
	for _, a := range d.snapshot() {
		if a.Replaced {
			continue
		}
		s, err := d.state(a)
		if err != nil {
			return nil, err
		}
		if !s.known {
			continue
		}
		shown := a.public(d.site, s.off)
		if shown.Promise, err = d.undertaking(a); err != nil {
			return nil, err
		}
		out = append(out, shown)
	}
	slices.SortFunc(out, func(a, b Account) int { return cmp.Compare(foldUser(a.User), foldUser(b.User)) })
	return out, nil
}

// Own is the actor's own account; false for whoever has none here.
func (d *Desk) Own(actor Actor) (Account, bool) {
	for _, a := range d.snapshot() {
		if idOf(a.Subject) == actor.ID && !actor.Key && !actor.Operator {
			return a.public(d.site, false), true
		}
	}
	return Account{}, false
}

// Disable ends an account of this node for good, and its sessions at once. Doing
// it twice is fine. The actor needs ManageStaff. Faults: NotFound
// "fault.staff.no_such_user", Conflict "fault.staff.last_lead" when nobody could
// manage this node any more, the log's own.
func (d *Desk) Disable(ctx context.Context, actor Actor, user string) error {
	if err := actor.Must(ManageStaff); err != nil {
		return err
	}
	d.changing.Lock()
	defer d.changing.Unlock()
	accounts := d.snapshot()
	target, leads, err := d.target(accounts, user)
	if err != nil {
		return err
	}
	a := accounts[target]
	if a.Role == Lead && leads == 0 {
		return fault.New(fault.Conflict, "fault.staff.last_lead")
	}
	accounts[target].Disabled = true
	if err := d.save(accounts); err != nil {
		return err
	}
	d.out(a)
	return d.tellDisabled(ctx, actor, a)
}

// target is the place of the account with a user name, and how many other leads there
// are. Fault: NotFound "fault.staff.no_such_user".
func (d *Desk) target(accounts []account, user string) (target, leads int, err error) {
	target = -1
	for i, a := range accounts {
		if a.Replaced {
			continue
		}
		s, err := d.state(a)
		if err != nil {
			return 0, 0, err
		}
		switch {
		case !s.known:
		case foldUser(a.User) == foldUser(user):
			target = i
		case a.Role == Lead && !s.off:
			leads++
		}
	}
	if target < 0 {
		return 0, 0, fault.New(fault.NotFound, "fault.staff.no_such_user")
	}
	return target, leads, nil
}

// out ends whatever an account has open.
func (d *Desk) out(a account) {
	d.endSessionsOf(idOf(a.Subject), "")
	d.forgetPINsOf(idOf(a.Subject))
	d.forgetPasskeys(idOf(a.Subject), nil)
}

func (d *Desk) tellDisabled(ctx context.Context, actor Actor, a account) error {
	proof := d.disabledProof(idOf(a.Subject))
	return d.log.Do(ctx, actor.ID, func(tx *oplog.Tx) error {
		_, told, err := tx.Row(staffView, a.Subject, rowKey('d', idOf(a.Subject), proof[:]...))
		if err != nil || told {
			return err
		}
		_, err = tx.Append(disabledKind, a.Subject, disabled{Proof: proof})
		return err
	})
}
