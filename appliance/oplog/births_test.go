package oplog

import (
	"crypto/ed25519"
	"encoding/binary"
	"testing"
)

// A node that makes up logs to carry from does not fill the memory of the others.
func TestRememberedBirthsAreBounded(t *testing.T) {
	e := &engine{logKey: func(LogID, []byte) (ed25519.PublicKey, error) { return ed25519.PublicKey{1}, nil }}
	for i := range uint64(3 * maxBirths) {
		var log LogID
		binary.BigEndian.PutUint64(log[:], i)
		if e.birthOf(log, nil) == nil {
			t.Fatal("no key")
		}
	}
	n := 0
	e.births.Range(func(any, any) bool { n++; return true })
	if n > maxBirths {
		t.Errorf("%d births remembered", n)
	}
}
