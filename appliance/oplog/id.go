package oplog

import (
	"bytes"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/waypost/waypost/appliance/fault"
)

// ID names a subject: a person, a household, a node, a staff member. It is 80
// random bits and is never derived from who it stands for, so it may stay in a
// header after a person has been erased.
type ID [10]byte

// LogID names one log: the first 16 bytes of SHA-256("waypost/log/1" ‖ node
// public key ‖ incarnation nonce of 16 bytes). A node that was restored or
// cloned opens a new log under a new nonce; it never reuses a sequence.
type LogID [16]byte

// By says who caused an op: a staff member or an API key. The zero value is the
// node itself.
type By [8]byte

// Ref points at one op: its log and its place in it, counted from 1.
type Ref struct {
	_   struct{} `cbor:",toarray"`
	Log LogID
	Seq uint64
}

// Compartment says who may read a payload.
type Compartment uint8

// The compartments of this format version. Numbers cross the wire and are only
// ever added.
const (
	Deployment Compartment = 1 // signed, not sealed: ids and keys only
	Register   Compartment = 2 // sealed under the register key of an area
	Narrow     Compartment = 3 // sealed by a desk before it comes here; see AppendSealed
)

// text is RFC 4648 base32 in lower case without padding: 10 bytes make 16
// characters that survive a telephone call and a file name.
var text = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewID draws a fresh id from the operating system's random source.
func NewID() ID {
	var id ID
	fill(id[:])
	return id
}

// NewBy draws a fresh actor id.
func NewBy() By {
	var by By
	fill(by[:])
	return by
}

// fill reads random bytes; crypto/rand never returns an error since Go 1.24, it
// ends the process instead of going on with predictable ids.
func fill(b []byte) { _, _ = rand.Read(b) }

// ParseID reads what String wrote, in either case. Fault: Invalid
// "fault.oplog.bad_id".
func ParseID(s string) (ID, error) {
	var id ID
	return id, parse32(id[:], s)
}

// ParseBy reads what By.String wrote. Fault: Invalid "fault.oplog.bad_id".
func ParseBy(s string) (By, error) {
	var by By
	return by, parse32(by[:], s)
}

// ParseLogID reads 32 hexadecimal digits. Fault: Invalid "fault.oplog.bad_id".
func ParseLogID(s string) (LogID, error) {
	var log LogID
	if len(s) != hex.EncodedLen(len(log)) {
		return log, errBadID()
	}
	if _, err := hex.Decode(log[:], []byte(s)); err != nil {
		return LogID{}, errBadID()
	}
	return log, nil
}

func errBadID() error { return fault.New(fault.Invalid, "fault.oplog.bad_id") }

// parse32 decodes s into exactly the bytes of dst. The round trip at the end
// refuses spare bits, so one id has one spelling.
func parse32(dst []byte, s string) error {
	if len(s) != text.EncodedLen(len(dst)) {
		return errBadID()
	}
	b, err := text.DecodeString(strings.ToUpper(s))
	if err != nil || len(b) != len(dst) || text.EncodeToString(b) != strings.ToUpper(s) {
		return errBadID()
	}
	copy(dst, b)
	return nil
}

// String is 16 characters of lower-case base32.
func (id ID) String() string { return strings.ToLower(text.EncodeToString(id[:])) }

// IsZero reports whether the id was never set.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText makes JSON show the string.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads the string.
func (id *ID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseID(string(b))
	return err
}

// MarshalCBOR stores the ten bytes.
func (id ID) MarshalCBOR() ([]byte, error) { return cborBytes(id[:]), nil }

// UnmarshalCBOR reads exactly ten bytes.
func (id *ID) UnmarshalCBOR(b []byte) error { return uncborBytes(id[:], b) }

// String is 13 characters of lower-case base32.
func (by By) String() string { return strings.ToLower(text.EncodeToString(by[:])) }

// IsZero reports whether the node itself acted.
func (by By) IsZero() bool { return by == By{} }

// MarshalText makes JSON show the string.
func (by By) MarshalText() ([]byte, error) { return []byte(by.String()), nil }

// UnmarshalText reads the string.
func (by *By) UnmarshalText(b []byte) (err error) {
	*by, err = ParseBy(string(b))
	return err
}

// MarshalCBOR stores the eight bytes.
func (by By) MarshalCBOR() ([]byte, error) { return cborBytes(by[:]), nil }

// UnmarshalCBOR reads exactly eight bytes.
func (by *By) UnmarshalCBOR(b []byte) error { return uncborBytes(by[:], b) }

// String is 32 hexadecimal digits.
func (l LogID) String() string { return hex.EncodeToString(l[:]) }

// IsZero reports whether the log id was never set.
func (l LogID) IsZero() bool { return l == LogID{} }

// MarshalText makes JSON show the digits.
func (l LogID) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads the digits.
func (l *LogID) UnmarshalText(b []byte) (err error) {
	*l, err = ParseLogID(string(b))
	return err
}

// MarshalCBOR stores the sixteen bytes.
func (l LogID) MarshalCBOR() ([]byte, error) { return cborBytes(l[:]), nil }

// UnmarshalCBOR reads exactly sixteen bytes.
func (l *LogID) UnmarshalCBOR(b []byte) error { return uncborBytes(l[:], b) }

// String is the log and the sequence, for logs and problems.
func (r Ref) String() string { return r.Log.String() + "/" + strconv.FormatUint(r.Seq, 10) }

// IsZero reports whether the reference points nowhere.
func (r Ref) IsZero() bool { return r == Ref{} }

// cborBytes is a definite byte string of less than 24 bytes (RFC 8949, major type 2).
func cborBytes(b []byte) []byte { return append([]byte{0x40 | byte(len(b))}, b...) }

func uncborBytes(dst, b []byte) error {
	if len(b) != len(dst)+1 || b[0] != 0x40|byte(len(dst)) {
		return errBadID()
	}
	copy(dst, b[1:])
	return nil
}

// before orders ops of a subject: logical clock, then log, then sequence.
func before(ac uint64, a Ref, bc uint64, b Ref) bool {
	if ac != bc {
		return ac < bc
	}
	if c := bytes.Compare(a.Log[:], b.Log[:]); c != 0 {
		return c < 0
	}
	return a.Seq < b.Seq
}

func be64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
