package identity

import (
	"bytes"
	"math/big"
	"sync"

	"github.com/sethvargo/go-diceware/diceware"
)

// listLength is how many words the EFF large list has: five dice.
const listLength = 6 * 6 * 6 * 6 * 6

// wordSet is the list as a set; made once, only read.
var wordSet = sync.OnceValue(func() map[string]bool {
	set := make(map[string]bool, listLength)
	for i := range listLength {
		set[listWord(i)] = true
	}
	return set
})

// GenerateWords draws n different words from the EFF large list; five of them
// are 64 bits. The error comes from the random source and never happens on a
// system that runs.
func GenerateWords(n int) ([]string, error) { return diceware.Generate(n) }

// wordsOf says a hash in n words, 12.9 bits each.
func wordsOf(hash []byte, n int) []string {
	rest, size, place := new(big.Int).SetBytes(hash), big.NewInt(listLength), new(big.Int)
	words := make([]string, n)
	for i := range words {
		rest.DivMod(rest, size, place)
		words[i] = listWord(int(place.Int64()))
	}
	return words
}

// compareLength words are shown on both screens: 64 bits, against one try.
const compareLength = 5

// CompareWords are the five words two nodes show so that two people can say
// them to each other. Both compute the same from the deployment and both node
// keys, in any order; somebody in between has other keys and so other words.
func CompareWords(d DeploymentID, a, b [32]byte) []string {
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	return wordsOf(hashed("waypost/compare/1", d[:], a[:], b[:]), compareLength)
}

// Listed reports whether a word, in lower case, is on the list.
func Listed(word string) bool { return wordSet()[word] }
