//go:build firstlight

package identity

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"math/big"

	"github.com/sethvargo/go-diceware/diceware"
)

// compareCount words of the EFF large list are 64 bits: enough that nobody makes a
// key in the time two people stand together whose words come out the same.
const compareCount = 5

// word gives one word of the EFF large list (7,776 words, eff.org/dice, 2016,
// CC BY 3.0) by its index.
func word(i int) string {
	digits := 0
	for place := 1; place <= 10000; place *= 10 {
		digits += (i%6 + 1) * place
		i /= 6
	}
	return diceware.WordListEffLarge().WordAt(digits)
}

// listSize is 6^5, the dice rolls the list is made for.
const listSize = 7776

// CompareWords are the five words both screens show when two nodes meet: the same
// whichever node asks. a and b are the nodes' public keys.
func CompareWords(d DeploymentID, a, b [32]byte) []string {
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	h := sha256.New()
	h.Write([]byte("waypost/words/1"))
	h.Write(d[:])
	h.Write(a[:])
	h.Write(b[:])
	return wordsOf(h.Sum(nil))
}

// wordsOf turns a hash of at least 10 bytes into five words, two bytes a word: the
// remainder's bias is below 2^-13 a word.
func wordsOf(sum []byte) []string {
	out := make([]string, compareCount)
	for i := range out {
		out[i] = word(int(binary.BigEndian.Uint16(sum[2*i:])) % listSize)
	}
	return out
}

// GenerateWords draws n words evenly from the EFF large list, 12.9 bits each.
func GenerateWords(n int) ([]string, error) {
	out := make([]string, n)
	for i := range out {
		k, err := rand.Int(rand.Reader, big.NewInt(listSize))
		if err != nil {
			return nil, err
		}
		out[i] = word(int(k.Int64()))
	}
	return out, nil
}
