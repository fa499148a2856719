package staff

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"io/fs"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// Desk knows who works here. Safe for concurrent use; Close ends every session.
type Desk struct {
	log      *oplog.Log
	file     *identity.SealedFile
	proofKey [32]byte
	clock    clock.Clock
	site     string
	node     oplog.ID
	cost     identity.Cost
	dummy    account // what an unknown user's passphrase is tried on

	changing sync.Mutex // one change of the accounts at a time

	mu       sync.Mutex // guards the rest
	accounts []account
	tries    map[string][]time.Time // wrong tries by folded user name
	sessions map[[32]byte]*session  // by SHA-256 of the token
	names    map[ID]string          // what NameOf found; it never changes
}

// Option changes how a desk is opened.
type Option func(*Desk)

// WithCost stretches new passphrases with another cost than StrongCost: for
// small boards and tests.
func WithCost(c identity.Cost) Option { return func(d *Desk) { d.cost = c } }

// Open opens the accounts of the node in dir. accountsKey is the vault's subkey
// for them; log was opened with this package's Views. The desk owns neither.
// Faults: Internal "fault.identity.damaged" when both copies of the accounts are,
// "fault.identity.weak_cost".
func Open(log *oplog.Log, dir string, accountsKey [32]byte, c clock.Clock, site string, node oplog.ID, options ...Option) (*Desk, error) {
	d := &Desk{
		log: log, file: identity.NewSealedFile(dir, "accounts", derived(accountsKey, "file")), proofKey: derived(accountsKey, "proof"),
		clock: c, site: site, node: node,
		tries: map[string][]time.Time{}, sessions: map[[32]byte]*session{}, names: map[ID]string{},
	}
	for _, o := range options {
		o(d)
	}
	if err := d.cost.Check(); err != nil {
		return nil, err
	}
	if d.cost == (identity.Cost{}) {
		d.cost = identity.StrongCost()
	}
	d.dummy = account{Passes: d.cost.Passes, KiB: d.cost.MemoryKiB}
	raw, err := d.file.Read()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d, nil
	case err != nil:
		return nil, err
	}
	d.accounts, err = parseAccounts(raw)
	if err != nil {
		return nil, fault.New(fault.Internal, "fault.identity.damaged").Wrap(err)
	}
	return d, nil
}

func derived(key [32]byte, label string) [32]byte {
	b, err := hkdf.Key(sha256.New, key[:], nil, "waypost/staff/1/"+label, 32)
	if err != nil {
		panic("staff: " + err.Error()) // only for lengths beyond 255 hashes
	}
	return [32]byte(b)
}

// Close ends every session and wipes their keys.
func (d *Desk) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for h := range d.sessions {
		d.endLocked(h)
	}
}

// NameOf is what whoever wrote a fact is called: the user name of an account of
// any node, the name of a bearer key, "operator" for the operator. It is empty
// for the node itself and for somebody unknown here.
func (d *Desk) NameOf(by oplog.By) string {
	if by == operatorID {
		return operatorName
	}
	if by.IsZero() {
		return ""
	}
	d.mu.Lock()
	name := d.names[by]
	for _, a := range d.accounts {
		if idOf(a.Subject) == by {
			name = a.User
		}
	}
	d.mu.Unlock()
	if name != "" {
		return name
	}
	// A view that cannot be read shows itself elsewhere; a page without a name is
	// better than no page.
	_ = d.log.View(func(r oplog.Reader) error {
		return errors.Join(
			r.Rows(staffView, rowKey('a', by), nil, func(_ []byte, _ oplog.ID, value []byte) error {
				var row accountRow
				if decode(value, &row) == nil {
					name = row.User
				}
				return oplog.ErrStop
			}),
			r.Rows(staffView, rowKey('k', by), nil, func(_ []byte, _ oplog.ID, value []byte) error {
				var row keyRow
				if name == "" && decode(value, &row) == nil {
					name = row.Fact.Name
				}
				return oplog.ErrStop
			}),
		)
	})
	if name != "" {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.names[by] = name
	}
	return name
}
