package tokens

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
)

// testKey is the key of node 7 in these tests, and otherKey of somebody else.
func testKey() ed25519.PrivateKey  { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)) }
func otherKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, 32)) }

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

var testDeployment = [16]byte{0xd0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

func signedBy(k ed25519.PrivateKey, deployment [16]byte, t Token) Token {
	return Sign(t, deployment, func(msg []byte) []byte { return ed25519.Sign(k, msg) })
}

func someToken() Token {
	return signedBy(testKey(), testDeployment, Token{
		Kind: Individual, Node: 7, Holder: [10]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, Generation: 3, Expiry: 2800,
	})
}

func TestTextOfAToken(t *testing.T) {
	tok := someToken()
	text := tok.String()
	if len(text) != TextSize || TextSize != 124 || !strings.HasPrefix(text, "WP1:") {
		t.Fatalf("%d characters: %q", len(text), text)
	}
	for _, typed := range []string{text, "  " + text + "\r\n", strings.ToLower(text), "\t" + strings.ToLower(text) + " "} {
		got, err := Parse(typed)
		if err != nil || got != tok {
			t.Errorf("%q: %v", typed, err)
		}
	}
	if !tok.Verify(testDeployment, public(testKey())) {
		t.Fatal("its own key does not verify it")
	}
}

func TestWhatIsNoTokenIsRefused(t *testing.T) {
	good := someToken().String()
	raw := func(change func(b []byte) []byte) string {
		b, _ := decode45(good[len(prefix):])
		return prefix + encode45(change(b))
	}
	malformed := fault.New(fault.Invalid, "fault.tokens.malformed")
	newer := fault.New(fault.Unsupported, "fault.tokens.newer_card")
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"nothing":              {"", malformed},
		"blanks":               {" \r\n", malformed},
		"prefix only":          {"WP1:", malformed},
		"no prefix":            {good[4:], malformed},
		"other prefix":         {"HC1:" + good[4:], malformed},
		"a link":               {"https://example.org/", malformed},
		"one short":            {good[:len(good)-1], malformed},
		"three short":          {good[:len(good)-3], malformed},
		"one more":             {good + "0", malformed},
		"three more":           {good + "000", malformed},
		"twice":                {good + good, malformed},
		"over 65535":           {good[:len(good)-3] + "::W", malformed},
		"a letter of no base":  {good[:50] + "_" + good[51:], malformed},
		"dotless i":            {strings.Replace(good, "I", "ı", 1) + "ı", malformed},
		"inner blank dropped":  {good[:60] + good[61:], malformed},
		"version 0":            {raw(func(b []byte) []byte { b[0] &= 15; return b }), malformed},
		"kind 0":               {raw(func(b []byte) []byte { b[0] &= 0xf0; return b }), malformed},
		"version 2":            {raw(func(b []byte) []byte { b[0] = 0x21; return b }), newer},
		"version 2, longer":    {raw(func(b []byte) []byte { b[0] = 0x21; return append(b, 1, 2) }), newer},
		"kind 7":               {raw(func(b []byte) []byte { b[0] = 0x17; return b }), newer},
		"the next prefix":      {"WP2:" + good[4:], newer},
		"too long to look at":  {strings.Repeat("A", 1<<20), malformed},
		"a page of characters": {"WP1:" + strings.Repeat("0", 4000), malformed},
	} {
		if _, err := Parse(c.text); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInnerBlanksBelongToTheText(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	seen := 0
	for seen < 50 {
		tok := randomToken(rng)
		text := tok.String()
		if !strings.Contains(text, " ") {
			continue
		}
		seen++
		if got, err := Parse(text); err != nil || got != tok {
			t.Fatalf("%q: %v", text, err)
		}
		if _, err := Parse(strings.ReplaceAll(text, " ", "")); err == nil {
			t.Fatalf("%q without its blanks is another text", text)
		}
	}
}

func TestTextNeverEndsInABlank(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		tok := randomToken(rng)
		tok.Sig[62], tok.Sig[63] = 0xff, byte(rng.Uint32()) // the largest last characters
		text := tok.String()
		if strings.TrimSpace(text) != text || text[len(text)-1] > 'W' {
			t.Fatalf("%q", text)
		}
	}
}

func TestExpiryDay(t *testing.T) {
	at := time.Date(2027, 11, 24, 8, 0, 0, 0, time.UTC)
	n, ok := expiryDay(at)
	tok := Token{Expiry: n}
	if !ok || !tok.LastDay().Equal(time.Date(2027, 11, 24, 0, 0, 0, 0, time.UTC)) || !tok.Expires().Equal(time.Date(2027, 11, 25, 0, 0, 0, 0, time.UTC)) {
		t.Fatalf("%d: %v %v", n, tok.LastDay(), tok.Expires())
	}
	for _, bad := range []time.Time{time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2019, 12, 31, 23, 0, 0, 0, time.UTC), time.Date(2201, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if _, ok := expiryDay(bad); ok {
			t.Errorf("%v cannot be written", bad)
		}
	}
}

// TestForgedTokensAreNeverAccepted bends a genuine token in every way a printer,
// a thumb or a forger does. None may verify.
func TestForgedTokensAreNeverAccepted(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(20261124, 1))
	tok, key := someToken(), public(testKey())
	accepted := func(text string) bool {
		got, err := Parse(text)
		return err == nil && got.Verify(testDeployment, key)
	}
	n := 100_000
	if raced {
		n = 2_000
	}
	bent := 0
	for i := range n {
		text := bend(rng, tok, i)
		if text == tok.String() {
			continue
		}
		if bent++; accepted(text) {
			t.Fatalf("accepted %q", text)
		}
	}
	if bent < n*9/10 {
		t.Fatalf("only %d were bent at all", bent)
	}
	if !accepted(tok.String()) {
		t.Fatal("the genuine one is accepted")
	}
	if tok.Verify(testDeployment, key[:31]) || tok.Verify(testDeployment, nil) {
		t.Fatal("a key of the wrong size verifies nothing")
	}
}

// bend makes the i-th forgery of tok; now and then it comes out unharmed.
func bend(rng *rand.Rand, tok Token, i int) string {
	text := tok.String()
	n := rng.IntN(len(text))
	switch i % 6 {
	case 0: // one to three flipped bits
		b, _ := decode45(text[len(prefix):])
		for range 1 + rng.IntN(3) {
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		}
		return prefix + encode45(b)
	case 1: // cut off
		return text[:n]
	case 2: // grown
		return text + text[n:]
	case 3: // one other character
		return text[:n] + string(alphabet45[rng.IntN(45)]) + text[n+1:]
	case 4: // another body under the same signature
		other := randomToken(rng)
		other.Sig = tok.Sig
		return other.String()
	}
	tok.Generation ^= uint8(rng.Uint32())
	foreign := testDeployment
	foreign[rng.IntN(16)]++
	switch rng.IntN(3) {
	case 0: // signed for another deployment
		return signedBy(testKey(), foreign, tok).String()
	case 1: // by another key
		return signedBy(otherKey(), testDeployment, tok).String()
	}
	tok.Sig = [64]byte{} // not at all
	return tok.String()
}

func FuzzParse(f *testing.F) {
	f.Add(someToken().String())
	f.Add("wp1:" + strings.ToLower(someToken().String()[4:]))
	f.Add("WP2:ABC")
	f.Add(" WP1:00 ")
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := Parse(text)
		if err != nil {
			if fault.ClassOf(err) == fault.Internal {
				t.Fatal(err)
			}
			return
		}
		if again, err := Parse(tok.String()); err != nil || again != tok {
			t.Fatalf("%q reads back as %v, %v", tok.String(), again, err)
		}
		if tok.String() != upper(strings.TrimSpace(text)) {
			t.Fatalf("%q and %q mean one token", text, tok.String())
		}
	})
}

func FuzzBase45(f *testing.F) {
	f.Add("QED8WEX0", []byte("ietf!"))
	f.Fuzz(func(t *testing.T, text string, b []byte) {
		if got, ok := decode45(text); ok && encode45(got) != text {
			t.Fatalf("%q is not the only text of %x", text, got)
		}
		if got, ok := decode45(encode45(b)); !ok || !bytes.Equal(got, b) {
			t.Fatalf("%x comes back as %x", b, got)
		}
	})
}

// The examples of RFC 9285 sections 4.3 and 4.4, and what it says is invalid.
func TestBase45Examples(t *testing.T) {
	for plain, text := range map[string]string{"AB": "BB8", "Hello!!": "%69 VD92EX0", "base-45": "UJCLQE7W581", "ietf!": "QED8WEX0", "": "", "\xff\xff": "FGW"} {
		if got := encode45([]byte(plain)); got != text {
			t.Errorf("%q: %q", plain, got)
		}
		if got, ok := decode45(text); !ok || string(got) != plain {
			t.Errorf("%q: %q", text, got)
		}
	}
	for _, bad := range []string{"GGW", ":::", "A", "AB8C", "ab8", "1A:", "::", "Z5", "A\xc3\xa9"} {
		if got, ok := decode45(bad); ok && encode45(got) != bad {
			t.Errorf("%q was read as %x", bad, got)
		}
	}
	for _, bad := range []string{"GGW", ":::", "A", "::", "bb8"} {
		if _, ok := decode45(bad); ok {
			t.Errorf("%q was read", bad)
		}
	}
}

func BenchmarkParseAndVerify(b *testing.B) {
	text, key := someToken().String(), public(testKey())
	b.ReportAllocs()
	for b.Loop() {
		t, err := Parse(text)
		if err != nil || !t.Verify(testDeployment, key) {
			b.Fatal("refused")
		}
	}
}

func BenchmarkSign(b *testing.B) {
	key := testKey()
	for b.Loop() {
		signedBy(key, testDeployment, Token{Kind: Individual, Node: 7})
	}
}
