package identity

import (
	"slices"
	"strings"
	"testing"
)

const goldenWords = "ripple edginess confident recluse spry"

func TestBothScreensShowTheSameWords(t *testing.T) {
	a, b, c := public(seeded(3)), public(seeded(4)), public(seeded(5))
	d := DeploymentID{1}
	one := CompareWords(d, a, b)
	if len(one) != 5 || !slices.Equal(one, CompareWords(d, b, a)) {
		t.Fatalf("%v %v", one, CompareWords(d, b, a))
	}
	for _, other := range [][]string{CompareWords(DeploymentID{2}, a, b), CompareWords(d, a, c), CompareWords(d, c, b)} {
		if slices.Equal(one, other) {
			t.Fatal("another meeting, the same words")
		}
	}
	// The words are on paper and in two versions of the program at once.
	if got := strings.Join(one, " "); got != goldenWords {
		t.Fatalf("the words changed: %q", got)
	}
}

func TestListHasEveryWordOnce(t *testing.T) {
	if set := wordSet(); len(set) != listLength || set[""] {
		t.Fatalf("%d words", len(set))
	}
	if listWord(0) != "abacus" || listWord(listLength-1) != "zoom" {
		t.Fatalf("%s … %s", listWord(0), listWord(listLength-1))
	}
}

func TestGeneratedWordsDiffer(t *testing.T) {
	a, err := GenerateWords(5)
	if err != nil || len(a) != 5 {
		t.Fatal(a, err)
	}
	b, _ := GenerateWords(5)
	if slices.Equal(a, b) {
		t.Fatal("the same words twice")
	}
}
