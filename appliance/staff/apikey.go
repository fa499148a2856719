package staff

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// KeyIssued is a new bearer key. Secret is shown this once.
type KeyIssued struct {
	ID      ID
	Secret  string // "wpk_" and 52 letters and digits
	Expires time.Time
}

// Key is a bearer key of this node, without its secret.
type Key struct {
	ID       ID
	Name     string
	Role     Role
	IssuedAt time.Time
	Expires  time.Time
	Revoked  bool
}

// Limits of bearer keys.
const (
	defaultKeyTTL = 24 * time.Hour
	maxKeyTTL     = 366 * 24 * time.Hour
	maxKeyName    = 64
	keyPrefix     = "wpk_"
	keySize       = 8 + 24 // id and secret
)

// keyText is lower-case base32 (RFC 4648 letters) without padding: safe in a
// header, a shell and a file name.
var keyText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// hashKey is what is stored of a key: it is random, so one plain hash is enough.
func hashKey(raw []byte) [32]byte {
	return sha256.Sum256(append([]byte("waypost/bearer-key/1"), raw...))
}

// IssueKey makes a bearer key for a program. It acts in role at this node only,
// until it expires (ttl zero: 24 hours; at most 366 days) or is revoked, and is
// never a second person. The actor needs ManageKeys. Faults: those of Actor.Must
// and ParseRole, Invalid "fault.staff.bad_key_name" and "fault.staff.bad_key_ttl",
// the log's own.
func (d *Desk) IssueKey(ctx context.Context, actor Actor, role Role, name string, ttl time.Duration) (KeyIssued, error) {
	if err := actor.Must(ManageKeys); err != nil {
		return KeyIssued{}, err
	}
	if _, err := ParseRole(string(role)); err != nil {
		return KeyIssued{}, err
	}
	name = strings.TrimSpace(norm.NFC.String(name))
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxKeyName || strings.ContainsFunc(name, unicode.IsControl) {
		return KeyIssued{}, fault.New(fault.Invalid, "fault.staff.bad_key_name", "Most", maxKeyName).With("name", "fault.staff.bad_key_name", "Most", maxKeyName)
	}
	if ttl == 0 {
		ttl = defaultKeyTTL
	}
	if ttl < 0 || ttl > maxKeyTTL {
		return KeyIssued{}, fault.New(fault.Invalid, "fault.staff.bad_key_ttl").With("ttl", "fault.staff.bad_key_ttl")
	}
	subject := oplog.NewID()
	id := idOf(subject)
	raw := make([]byte, keySize)
	copy(raw, id[:])
	_, _ = rand.Read(raw[len(id):]) // never fails: crypto/rand ends the process instead
	expires := d.clock.Now().Add(ttl)
	k := keyIssued{Hash: hashKey(raw), Role: role, Name: name, Expires: expires.Unix(), Node: d.node}
	k.Proof = d.keyProof(id, k)
	err := d.log.Do(ctx, actor.ID, func(tx *oplog.Tx) error {
		_, err := tx.Append(keyIssuedKind, subject, k)
		return err
	})
	if err != nil {
		return KeyIssued{}, err
	}
	return KeyIssued{ID: id, Secret: keyPrefix + keyText.EncodeToString(raw), Expires: time.Unix(k.Expires, 0).UTC()}, nil
}

// ownKey is a bearer key this node issued.
type ownKey struct {
	subject oplog.ID
	row     keyRow
	revoked bool
}

func (k ownKey) public() Key {
	return Key{
		ID: idOf(k.subject), Name: k.row.Fact.Name, Role: k.row.Fact.Role, Revoked: k.revoked,
		IssuedAt: time.UnixMilli(k.row.Issued).UTC(), Expires: time.Unix(k.row.Fact.Expires, 0).UTC(),
	}
}

// ownKeys reads the keys of this node whose row key starts with prefix. Facts
// that carry somebody else's word for a key of ours do not count.
func (d *Desk) ownKeys(prefix []byte) ([]ownKey, error) {
	var found []ownKey
	err := d.log.View(func(r oplog.Reader) error {
		err := r.Rows(staffView, prefix, nil, func(_ []byte, subject oplog.ID, value []byte) error {
			var row keyRow
			if err := decode(value, &row); err != nil {
				return fault.New(fault.Internal, "fault.identity.damaged").Wrap(err)
			}
			if want := d.keyProof(idOf(subject), row.Fact); hmac.Equal(want[:], row.Fact.Proof[:]) {
				found = append(found, ownKey{subject: subject, row: row})
			}
			return nil
		})
		for i := range found {
			if err == nil {
				_, found[i].revoked, err = r.Row(staffView, found[i].subject, rowKey('x', idOf(found[i].subject)))
			}
		}
		return err
	})
	return found, err
}

// Keys lists the bearer keys of this node, the newest first. The actor needs
// ManageKeys.
func (d *Desk) Keys(_ context.Context, actor Actor) ([]Key, error) {
	if err := actor.Must(ManageKeys); err != nil {
		return nil, err
	}
	own, err := d.ownKeys([]byte{'k'})
	if err != nil {
		return nil, err
	}
	out := make([]Key, 0, len(own))
	for _, k := range own {
		out = append(out, k.public())
	}
	slices.SortFunc(out, func(a, b Key) int { return cmp.Or(b.IssuedAt.Compare(a.IssuedAt), bytes.Compare(a.ID[:], b.ID[:])) })
	return out, nil
}

// RevokeKey ends a bearer key of this node at once. Doing it twice is fine. The
// actor needs ManageKeys. Faults: NotFound "fault.staff.no_such_key", the log's
// own.
func (d *Desk) RevokeKey(ctx context.Context, actor Actor, id ID) error {
	if err := actor.Must(ManageKeys); err != nil {
		return err
	}
	own, err := d.ownKeys(rowKey('k', id))
	if err != nil {
		return err
	}
	if len(own) == 0 {
		return fault.New(fault.NotFound, "fault.staff.no_such_key")
	}
	return d.log.Do(ctx, actor.ID, func(tx *oplog.Tx) error {
		_, told, err := tx.Row(staffView, own[0].subject, rowKey('x', id))
		if err != nil || told {
			return err
		}
		_, err = tx.Append(keyRevokedKind, own[0].subject, keyRevoked{})
		return err
	})
}

// KeyActor is whoever holds a bearer key. Faults, all Unauthenticated:
// "fault.staff.bad_key" for anything that is no key of this node,
// "fault.staff.key_expired", "fault.staff.key_revoked"; the store's own.
func (d *Desk) KeyActor(secret string) (Actor, error) {
	bad := fault.New(fault.Unauthenticated, "fault.staff.bad_key")
	text, found := strings.CutPrefix(secret, keyPrefix)
	if !found || len(text) != keyText.EncodedLen(keySize) {
		return Actor{}, bad
	}
	raw, err := keyText.DecodeString(text)
	if err != nil {
		return Actor{}, bad
	}
	id, hash := ID(raw[:len(ID{})]), hashKey(raw)
	own, err := d.ownKeys(rowKey('k', id))
	if err != nil {
		return Actor{}, err
	}
	for _, k := range own {
		if !hmac.Equal(k.row.Fact.Hash[:], hash[:]) || k.row.Fact.Node != d.node {
			continue
		}
		switch {
		case k.revoked:
			return Actor{}, fault.New(fault.Unauthenticated, "fault.staff.key_revoked")
		case d.clock.Now().Unix() >= k.row.Fact.Expires:
			return Actor{}, fault.New(fault.Unauthenticated, "fault.staff.key_expired")
		}
		return Actor{ID: id, Name: k.row.Fact.Name, Role: k.row.Fact.Role, Site: d.site, Key: true}, nil
	}
	return Actor{}, bad
}
