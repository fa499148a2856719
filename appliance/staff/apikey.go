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

// hashKey is what is stored of a key's secret: it is random, so one plain hash is
// enough.
func hashKey(secret []byte) [32]byte {
	return sha256.Sum256(append([]byte("waypost/bearer-key/1"), secret...))
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
	secret := make([]byte, keySize-len(ID{}))
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the process instead
	now := d.clock.Now()
	k := keyIssued{Hash: hashKey(secret), Role: role, Name: name, Issued: now.Unix(), Expires: now.Add(ttl).Unix(), Node: d.node}
	subject := k.subject()
	id := idOf(subject)
	k.Proof = d.keyProof(id, k)
	err := d.log.Do(ctx, actor.ID, func(tx *oplog.Tx) error {
		_, err := tx.Append(keyIssuedKind, subject, k)
		return err
	})
	if err != nil {
		return KeyIssued{}, err
	}
	return KeyIssued{ID: id, Secret: keyPrefix + keyText.EncodeToString(append(id[:], secret...)), Expires: time.Unix(k.Expires, 0).UTC()}, nil
}

// ownKey is a bearer key this node issued.
type ownKey struct {
	subject oplog.ID
	fact    keyIssued
	revoked bool
}

func (k ownKey) public() Key {
	return Key{
		ID: idOf(k.subject), Name: k.fact.Name, Role: k.fact.Role, Revoked: k.revoked,
		IssuedAt: time.Unix(k.fact.Issued, 0).UTC(), Expires: time.Unix(k.fact.Expires, 0).UTC(),
	}
}

// ownKeys reads the keys of this node whose row key starts with prefix. Facts
// that carry somebody else's word for a key of ours do not count, and one that
// another log repeats counts once.
func (d *Desk) ownKeys(prefix []byte) ([]ownKey, error) {
	var found []ownKey
	err := d.log.View(func(r oplog.Reader) error {
		err := r.Rows(staffView, prefix, nil, func(_ []byte, subject oplog.ID, value []byte) error {
			var k keyIssued
			if err := decode(value, &k); err != nil {
				return fault.New(fault.Internal, "fault.identity.damaged").Wrap(err)
			}
			if d.ours(subject, k) && !slices.ContainsFunc(found, func(o ownKey) bool { return o.subject == subject }) {
				found = append(found, ownKey{subject: subject, fact: k})
			}
			return nil
		})
		for i := range found {
			if err == nil {
				id := idOf(found[i].subject)
				proof := d.revokedProof(id)
				_, found[i].revoked, err = r.Row(staffView, found[i].subject, rowKey('x', id, proof[:]...))
			}
		}
		return err
	})
	return found, err
}

// ours reports whether this node issued the key.
func (d *Desk) ours(subject oplog.ID, k keyIssued) bool {
	want := d.keyProof(idOf(subject), k)
	return hmac.Equal(want[:], k.Proof[:])
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
		proof := d.revokedProof(id)
		_, told, err := tx.Row(staffView, own[0].subject, rowKey('x', id, proof[:]...))
		if err != nil || told {
			return err
		}
		_, err = tx.Append(keyRevokedKind, own[0].subject, keyRevoked{Proof: proof})
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
	id, hash := ID(raw[:len(ID{})]), hashKey(raw[len(ID{}):])
	own, err := d.ownKeys(rowKey('k', id))
	if err != nil {
		return Actor{}, err
	}
	for _, k := range own {
		if !hmac.Equal(k.fact.Hash[:], hash[:]) || k.fact.Node != d.node {
			continue
		}
		switch {
		case k.revoked:
			return Actor{}, fault.New(fault.Unauthenticated, "fault.staff.key_revoked")
		case d.over(k.fact):
			return Actor{}, fault.New(fault.Unauthenticated, "fault.staff.key_expired")
		}
		return Actor{ID: id, Name: k.fact.Name, Role: k.fact.Role, Site: d.site, Key: true}, nil
	}
	return Actor{}, bad
}

// backSkew is how far the clock may have been set back since a key was issued.
const backSkew = 5 * time.Minute

// over reports whether a key's time is over. A clock that stands before the
// moment the key was issued has gone back by nobody knows how much, so a key is
// over then too: otherwise a power cut that leaves the board in 1970 would bring
// every old key to life. Whoever sits at the node can issue another.
func (d *Desk) over(k keyIssued) bool {
	now := d.clock.Now()
	return now.Unix() >= k.Expires || now.Before(time.Unix(k.Issued, 0).Add(-backSkew))
}
