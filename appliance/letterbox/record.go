package letterbox

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/waypost/waypost/appliance/oplog"
)

const (
	recordMagic   = "waypost/record/1"
	recordHead    = len(recordMagic) + 8 + recordOutline
	recordOutline = 16 + 8 + 8 + 32 + 32
	recordVersion = 1
	recordPlain   = 1 + 4
	recordSuffix  = ".wpr"
	maxRecord     = recordHead + letterEnc + ((oplog.MaxBatchBytes+recordPlain)/Step+1)*Step + letterTag + letterSum
)

// errRecord is damage or another key.
var errRecord = errors.New("letterbox: record does not open")

// outline is what the file of a record says openly: which ops of which log it holds.
type outline struct {
	number      uint64
	log         oplog.LogID
	first, last uint64
	hash        [32]byte // of the last
	key         [32]byte // the log's
}

func (o outline) encode() []byte {
	b := binary.BigEndian.AppendUint64([]byte(recordMagic), o.number)
	b = append(b, o.log[:]...)
	b = binary.BigEndian.AppendUint64(b, o.first)
	b = binary.BigEndian.AppendUint64(b, o.last)
	return append(append(b, o.hash[:]...), o.key[:]...)
}

func (o outline) known() oplog.Known {
	return oplog.Known{Head: oplog.Head{Log: o.log, Seq: o.last, Hash: o.hash}, Key: ed25519.PublicKey(bytes.Clone(o.key[:]))}
}

func recordInfo(a Address, head []byte) []byte {
	return slices.Concat([]byte(recordMagic), a.Deployment[:], a.Node[:], head)
}

// sealRecord makes the file of one batch.
func sealRecord(to Address, o outline, batch []byte) ([]byte, error) {
	public, err := kem().NewPublicKey(to.Public[:])
	if err != nil {
		return nil, err
	}
	n := recordPlain + len(batch)
	plain := make([]byte, recordPlain, (n+Step-1)/Step*Step)
	plain[0] = recordVersion
	binary.BigEndian.PutUint32(plain[1:], uint32(len(batch))) //nolint:gosec // at most oplog.MaxBatchBytes
	plain = append(plain, batch...)
	plain = plain[:cap(plain)]
	head := o.encode()
	sealed, err := hpke.Seal(public, kdf(), aead(), recordInfo(to, head), plain)
	if err != nil {
		return nil, err
	}
	b := append(head, sealed...)
	sum := sha256.Sum256(b)
	return append(b, sum[:letterSum]...), nil
}

// parseOutline reads what everybody can of a record's file, which may be anything.
func parseOutline(b []byte) (o outline, err error) {
	sealed := len(b) - recordHead - letterEnc - letterTag - letterSum
	if len(b) > maxRecord || sealed < Step || sealed%Step != 0 || !bytes.HasPrefix(b, []byte(recordMagic)) {
		return outline{}, errRecord
	}
	body := b[:len(b)-letterSum]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:letterSum], b[len(body):]) {
		return outline{}, errRecord
	}
	rest := b[len(recordMagic):]
	o.number, rest = binary.BigEndian.Uint64(rest), rest[8:]
	copy(o.log[:], rest)
	o.first, o.last = binary.BigEndian.Uint64(rest[16:]), binary.BigEndian.Uint64(rest[24:])
	copy(o.hash[:], rest[32:])
	copy(o.key[:], rest[64:])
	if o.number == 0 || o.first == 0 || o.last < o.first || o.last-o.first >= oplog.MaxBatchOps {
		return outline{}, errRecord
	}
	return o, nil
}

// openRecord reads a record's file.
func openRecord(k Key, b []byte) (o outline, batch []byte, err error) {
	if o, err = parseOutline(b); err != nil {
		return o, nil, err
	}
	plain, err := hpke.Open(k.private, kdf(), aead(), recordInfo(k.address, b[:recordHead]), b[recordHead:len(b)-letterSum])
	if err != nil {
		return o, nil, errRecord
	}
	if len(plain) < recordPlain || plain[0] != recordVersion {
		return o, nil, errRecord
	}
	n := int64(binary.BigEndian.Uint32(plain[1:]))
	if n > int64(len(plain)-recordPlain) || len(plain)-recordPlain-int(n) >= Step {
		return o, nil, errRecord
	}
	return o, plain[recordPlain : recordPlain+int(n)], nil
}

// recordName is what a record's file is called; sorted by name they come in their order.
func recordName(number uint64) string { return fmt.Sprintf("%010d%s", number, recordSuffix) }

func parseRecordName(name string) (number uint64, ok bool) {
	digits, found := strings.CutSuffix(name, recordSuffix)
	if !found {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, err == nil && number > 0 && recordName(number) == name
}
