package staff

import (
	"cmp"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"

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
	authors  Authors
	issuer   Issuer
	keeper   *keeper
	passkeys *passkeys
	pace     *pace
	acts     acts

	changing sync.Mutex // one change of the accounts at a time

	mu       sync.Mutex // guards the rest
	closed   bool
	accounts []account
	tries    map[string][]try      // wrong tries; see tryKey
	sessions map[[32]byte]*session // by SHA-256 of the token
	devices  map[[32]byte]*deviceState
	names    map[ID]string // what NameOf found; it never changes

	processKey [32]byte     // drawn at every start; on no disk
	compared   atomic.Int64 // passphrases that were stretched, for the tests of guessing
}

// Authors tells which node writes a log; false when none is known here. It is
// asked inside a question to the log.
type Authors func(log oplog.LogID) (identity.Node, bool)

// Option changes how a desk is opened.
type Option func(*Desk)

// WithCost stretches new passphrases with another cost than StrongCost: for
// small boards and tests.
func WithCost(c identity.Cost) Option { return func(d *Desk) { d.cost = c } }

// WithAuthors lets the desk tell whose word a fact of another node is. Without it
// nothing that other nodes say about their people is believed.
func WithAuthors(a Authors) Option { return func(d *Desk) { d.authors = a } }

// Mended names what was wrong with a copy of the accounts, the list of erasures or the
// passkeys when they were opened, which the other copy made good.
func (d *Desk) Mended() []string {
	return slices.Concat(d.file.Mended(), d.keeper.file.Mended(), d.passkeys.file.Mended())
}

// Open opens the accounts of the node in dir. accountsKey is the vault's subkey
// for them; log was opened with this package's Views. The desk owns neither.
// Faults: Internal "fault.identity.damaged" when both copies of the accounts are,
// "fault.identity.weak_cost".
func Open(log *oplog.Log, dir string, accountsKey [32]byte, c clock.Clock, site string, node oplog.ID, options ...Option) (*Desk, error) {
	d := &Desk{
		log: log, file: identity.NewSealedFile(dir, "accounts", derived(accountsKey, "file")), proofKey: derived(accountsKey, "proof"),
		clock: c, site: site, node: node,
		tries: map[string][]try{}, sessions: map[[32]byte]*session{}, devices: map[[32]byte]*deviceState{}, names: map[ID]string{}, pace: newPace(),
		acts: acts{all: map[oplog.ID]*pending{}},
	}
	_, _ = rand.Read(d.processKey[:]) // never fails: crypto/rand ends the process instead
	d.keeper = newKeeper(identity.NewSealedFile(dir, "erasures", derived(accountsKey, "erasures")))
	d.passkeys = openPasskeys(identity.NewSealedFile(dir, "passkeys", derived(accountsKey, "passkeys")))
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
// Nobody signs in after it.
func (d *Desk) Close() {
	d.changing.Lock() // before mu, as everywhere
	defer d.changing.Unlock()
	d.file.Forget()
	d.passkeys.close()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for h := range d.sessions {
		d.endLocked(h)
	}
}

// NameOf is what whoever wrote a fact is called: the user name of an account of
// any node, the name of a bearer key, "operator" for the operator, "letterbox" for the
// letterbox. It is empty for the node itself and for somebody unknown here. What a node
// says about its people is believed once somebody has compared its words.
func (d *Desk) NameOf(by oplog.By) string {
	if by == operatorID {
		return operatorName
	}
	if by == letterboxID {
		return letterboxName
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
		name = cmp.Or(d.accountName(r, by), d.keyName(r, by))
		return nil
	})
	if name != "" {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.names[by] = name
	}
	return name
}

// accountName is what an account is called by the node it belongs to.
func (d *Desk) accountName(r oplog.Reader, id ID) (name string) {
	homes := map[oplog.ID]oplog.ID{}
	_ = r.Rows(staffView, rowKey('a', id), nil, func(_ []byte, subject oplog.ID, value []byte) error {
		var row accountRow
		if decode(value, &row) == nil {
			homes[subject] = row.Node
		}
		return nil
	})
	prefix := rowKey('n', id)
	_ = r.Rows(staffView, prefix, nil, func(key []byte, subject oplog.ID, value []byte) error {
		var row nameRow
		if home, known := homes[subject]; !known || !d.believed(oplog.LogID(key[len(prefix):]), home) || decode(value, &row) != nil {
			return nil
		}
		name = row.User
		return oplog.ErrStop
	})
	return name
}

// keyName is what a bearer key is called by the node that issued it.
func (d *Desk) keyName(r oplog.Reader, id ID) (name string) {
	prefix := rowKey('k', id)
	_ = r.Rows(staffView, prefix, nil, func(key []byte, subject oplog.ID, value []byte) error {
		var k keyIssued
		if decode(value, &k) != nil {
			return nil
		}
		if !d.ours(subject, k) && !d.believed(oplog.LogID(key[len(prefix):][:len(oplog.LogID{})]), k.Node) {
			return nil
		}
		name = k.Name
		return oplog.ErrStop
	})
	return name
}

// believed reports whether a log is the word of a node whose words were compared.
func (d *Desk) believed(log oplog.LogID, node oplog.ID) bool {
	if d.authors == nil {
		return false
	}
	n, ok := d.authors(log)
	return ok && n.ID == node && (n.Confirmed && !n.Carries() || node == d.node)
}
