package registration

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Watch finds words in a note that suggest it is not for everybody who registers. It
// only ever warns: people must be able to write what they need to, and a list of words
// is never right. Safe for concurrent use.
type Watch struct {
	words   map[string]bool
	begins  []string   // of a word
	phrases [][]string // words in a row; the last may be a beginning, with its star
}

// NewWatch reads lists of words, separated by commas: a word as it is, several words in
// a row, a star at the end for whatever goes on from there. Case, accents, Arabic vowel
// signs, tatweel, the forms of alef, ya and ta marbuta make no difference, nor do the
// Arabic article and the letters that are written to the front of a word.
func NewWatch(lists ...string) *Watch {
	w := &Watch{words: map[string]bool{}}
	for _, entry := range WatchWords(lists...) {
		parts := strings.Fields(entry)
		switch stem, open := strings.CutSuffix(entry, "*"); {
		case len(parts) > 1:
			w.phrases = append(w.phrases, parts)
		case open:
			w.begins = append(w.begins, stem)
		default:
			w.words[entry] = true
		}
	}
	return w
}

// WatchWords are the entries of the lists as NewWatch compares them, each once, in
// order: a script in a page that has them needs no tables of letters for them.
func WatchWords(lists ...string) []string {
	var out []string
	for _, list := range lists {
		for entry := range strings.SplitSeq(list, ",") {
			stem, open := strings.CutSuffix(strings.TrimSpace(entry), "*")
			if stem = foldName(apart.Replace(stem)); stem == "" {
				continue
			}
			if open {
				stem += "*"
			}
			out = append(out, stem)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Finds reports whether a text has one of the words.
func (w *Watch) Finds(text string) bool {
	words := strings.Fields(foldName(apart.Replace(text)))
	for i, word := range words {
		for _, x := range withoutFront(word) {
			if w.words[x] || slices.ContainsFunc(w.begins, func(b string) bool { return strings.HasPrefix(x, b) }) {
				return true
			}
		}
		for _, phrase := range w.phrases {
			if startsWith(words[i:], phrase) {
				return true
			}
		}
	}
	return false
}

// apart takes French elisions apart: l'esclavage.
var apart = strings.NewReplacer("'", " ", "’", " ", "ʼ", " ")

// startsWith compares words in a row.
func startsWith(words, phrase []string) bool {
	if len(words) < len(phrase) {
		return false
	}
	for i, p := range phrase {
		stem, open := strings.CutSuffix(p, "*")
		if !slices.ContainsFunc(withoutFront(words[i]), func(x string) bool { return x == stem || open && strings.HasPrefix(x, stem) }) {
			return false
		}
	}
	return true
}

// fronts are the letters Arabic writes to the front of a word, in their order: and, so;
// with, like, to; the.
var fronts = [][]string{{"و", "ف"}, {"ب", "ك", "ل"}, {"ال", "ل"}}

// withoutFront is a word, and what is left of it without each of those.
func withoutFront(word string) []string {
	out := []string{word}
	if r, _ := utf8.DecodeRuneInString(word); r < 0x600 || r > 0x6ff {
		return out
	}
	for _, set := range fronts {
		for _, x := range out {
			for _, f := range set {
				if rest, ok := strings.CutPrefix(x, f); ok && utf8.RuneCountInString(rest) > 2 {
					out = append(out, rest)
				}
			}
		}
	}
	return out
}
