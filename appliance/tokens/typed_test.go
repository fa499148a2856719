package tokens

import (
	"errors"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
)

func typedSamples(n int) []string {
	rng := rand.New(rand.NewPCG(12, 10))
	out := make([]string, n)
	for i := range out {
		out[i] = TypedCode(randomToken(rng).Holder)
	}
	return out
}

func TestTypedCodeForm(t *testing.T) {
	form := regexp.MustCompile(`^([0-9A-HJKMNP-TV-Z]{4}-){2}[0-9A-HJKMNP-TV-Z]{4}$`)
	for _, code := range typedSamples(2000) {
		if got, err := ParseTyped(code); err != nil || got != code || !form.MatchString(code) {
			t.Fatalf("%q: %q %v", code, got, err)
		}
	}
	if got := TypedCode([10]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}); got != goldenTyped {
		t.Errorf("printed codes change: %q", got)
	}
}

func TestTypedCodeIsReadAsPeopleTypeIt(t *testing.T) {
	for _, code := range typedSamples(200) {
		bare := strings.ReplaceAll(code, "-", "")
		ways := []string{
			strings.ToLower(code), bare, " " + bare + "\n", strings.ReplaceAll(code, "-", " "), strings.ReplaceAll(code, "-", "\u2013"),
			strings.ReplaceAll(code, "0", "O"), strings.ReplaceAll(code, "0", "o"), strings.ReplaceAll(code, "1", "I"),
			strings.ReplaceAll(code, "1", "l"), "\u200e" + code, strings.Map(arabicDigit, code),
		}
		for _, w := range ways {
			if got, err := ParseTyped(w); err != nil || got != code {
				t.Fatalf("%q: %q %v, want %q", w, got, err, code)
			}
		}
	}
}

func arabicDigit(r rune) rune {
	if r >= '0' && r <= '9' {
		return r - '0' + '\u0660'
	}
	return r
}

func TestEveryTypingSlipIsNoticed(t *testing.T) {
	wrong := fault.New(fault.Invalid, "fault.tokens.typed_wrong")
	for _, code := range typedSamples(60) {
		bare := strings.ReplaceAll(code, "-", "")
		for i := range bare {
			for _, c := range crockford {
				bent := bare[:i] + string(c) + bare[i+1:]
				if _, err := ParseTyped(bent); bent != bare && !errors.Is(err, wrong) {
					t.Fatalf("%q for %q: %v", bent, bare, err)
				}
			}
			for j := i + 1; j < len(bare); j++ { // neighbours, and any other two
				b := []byte(bare)
				b[i], b[j] = b[j], b[i]
				if _, err := ParseTyped(string(b)); string(b) != bare && !errors.Is(err, wrong) {
					t.Fatalf("%q for %q: %v", b, bare, err)
				}
			}
		}
	}
}

func TestWhatIsNoTypedCode(t *testing.T) {
	form := fault.New(fault.Invalid, "fault.tokens.typed_form")
	for _, s := range []string{"", "-", "ABCD", "ABCD-EFGH-JKM", "ABCD-EFGH-JKMNP", "UBCD-EFGH-JKMN", "ABCD/EFGH/JKMN", "WP1:ABCD", "日本語日本語日本語日本語"} {
		if got, err := ParseTyped(s); !errors.Is(err, form) {
			t.Errorf("%q: %q %v", s, got, err)
		}
	}
}

func FuzzParseTyped(f *testing.F) {
	f.Add(TypedCode([10]byte{}))
	f.Fuzz(func(t *testing.T, s string) {
		code, err := ParseTyped(s)
		if err != nil {
			return
		}
		if again, err := ParseTyped(code); err != nil || again != code {
			t.Fatalf("%q: %q %v", code, again, err)
		}
	})
}
