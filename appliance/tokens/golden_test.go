package tokens

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"

	"github.com/waypost/waypost/appliance/fault"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	vectorFile  = "testdata/vectors.json"
	goldenTyped = "0340-GAWB-NG2D" // of holder 0102030405060708090a
)

// vectors is what another implementation needs to check itself: all bytes in
// hexadecimal. Ed25519 is deterministic, so the same key makes the same token.
type vectors struct {
	Comment    string
	Deployment string
	Seed       string // of the Ed25519 key, RFC 8032 section 5.1.5
	Public     string
	Valid      []vector
	Invalid    []invalidVector
}

type vector struct {
	Name       string
	Kind       Kind
	Node       uint16
	Holder     string
	Generation uint8
	Expiry     uint16
	ExpiryDate string
	Body       string
	Message    string // the Sig_structure that is signed
	Signature  string
	Text       string
	COSE       string // what Expand gives
	Typed      string
}

// invalidVector says why a text must be refused: malformed, newer-card, or
// signature when it reads well and does not verify under Public and Deployment.
type invalidVector struct{ Name, Why, Text string }

func makeVectors() vectors {
	key := testKey()
	v := vectors{
		Comment:    "WP1 tokens of one node. The format is written in doc.go.",
		Deployment: hex.EncodeToString(testDeployment[:]),
		Seed:       hex.EncodeToString(key.Seed()), Public: hex.EncodeToString(public(key)),
	}
	holder := [10]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	full := [10]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255}
	for _, c := range []struct {
		name string
		tok  Token
	}{
		{"individual", Token{Kind: Individual, Node: 7, Holder: holder, Generation: 3, Expiry: 2800}},
		{"all zero", Token{Kind: Individual}},
		{"all ones", Token{Kind: Device, Node: 65535, Holder: full, Generation: 255, Expiry: 65535}},
		{"household, node over 255", Token{Kind: Household, Node: 256, Holder: holder, Expiry: 2800}},
		{"collector, node over 23", Token{Kind: Collector, Node: 24, Holder: holder, Expiry: 2800}},
		{"voucher, last day of four-byte times", Token{Kind: Voucher, Node: 1, Holder: holder, Generation: 1, Expiry: 31447}},
		{"staff, first day of eight-byte times", Token{Kind: Staff, Node: 1, Holder: holder, Generation: 1, Expiry: 31448}},
	} {
		t := signedBy(key, testDeployment, c.tok)
		b := t.body()
		v.Valid = append(v.Valid, vector{
			Name: c.name, Kind: t.Kind, Node: t.Node, Holder: hex.EncodeToString(t.Holder[:]), Generation: t.Generation,
			Expiry: t.Expiry, ExpiryDate: t.LastDay().Format("2006-01-02"), Body: hex.EncodeToString(b[:]),
			Message: hex.EncodeToString(t.message(testDeployment)), Signature: hex.EncodeToString(t.Sig[:]),
			Text: t.String(), COSE: hex.EncodeToString(Expand(t)), Typed: TypedCode(t.Holder),
		})
	}
	v.Invalid = makeInvalid()
	return v
}

func makeInvalid() []invalidVector {
	good := someToken()
	text := good.String()
	raw, _ := decode45(text[len(prefix):])
	bent := func(at int, mask byte) string {
		b := bytes.Clone(raw)
		b[at] ^= mask
		return prefix + encode45(b)
	}
	foreign, unsigned := testDeployment, good
	foreign[0]++
	unsigned.Sig = [64]byte{}
	return []invalidVector{
		{"empty", "malformed", ""},
		{"another format", "malformed", "HC1:" + text[4:]},
		{"one character short", "malformed", text[:123]},
		{"three characters short", "malformed", text[:121]},
		{"trailing characters", "malformed", text + "00"},
		{"group over 65535", "malformed", text[:121] + ":::"},
		{"character outside base45", "malformed", text[:60] + "#" + text[61:]},
		{"version 0", "malformed", bent(0, 0x10)},
		{"kind 0", "malformed", bent(0, 0x01)},
		{"version 3", "newer-card", bent(0, 0x20)},
		{"kind 15", "newer-card", bent(0, 0x0e)},
		{"prefix of a later format", "newer-card", "WP2:" + text[4:]},
		{"kind changed", "signature", bent(0, 0x02)},
		{"node changed", "signature", bent(2, 0x01)},
		{"holder changed", "signature", bent(3, 0x80)},
		{"generation changed", "signature", bent(13, 0x01)},
		{"expiry changed", "signature", bent(15, 0x01)},
		{"signature changed", "signature", bent(16, 0x01)},
		{"last bit changed", "signature", bent(79, 0x01)},
		{"not signed", "signature", unsigned.String()},
		{"other deployment", "signature", signedBy(testKey(), foreign, good).String()},
		{"other key", "signature", signedBy(otherKey(), testDeployment, good).String()},
	}
}

func TestGoldenVectors(t *testing.T) {
	got, err := json.MarshalIndent(makeVectors(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(vectorFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("tokens come out otherwise than in testdata/vectors.json: cards in people's hands would stop working")
	}
}

func readVectors(t *testing.T) vectors {
	t.Helper()
	b, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestInvalidVectorsAreRefused(t *testing.T) {
	v := readVectors(t)
	key := ed25519.PublicKey(unhex(t, v.Public))
	for _, c := range v.Invalid {
		tok, err := Parse(c.Text)
		why := "accepted"
		switch {
		case errors.Is(err, fault.New(fault.Unsupported, "fault.tokens.newer_card")):
			why = "newer-card"
		case err != nil:
			why = "malformed"
		case !tok.Verify(testDeployment, key):
			why = "signature"
		}
		if why != c.Why {
			t.Errorf("%s: %s, want %s", c.Name, why, c.Why)
		}
	}
}

// TestExpandedTokensVerifyElsewhere hands every valid vector to a COSE library
// that is not ours, with the right deployment id and with a wrong one.
func TestExpandedTokensVerifyElsewhere(t *testing.T) {
	v := readVectors(t)
	verifier, err := cose.NewVerifier(cose.AlgorithmEdDSA, ed25519.PublicKey(unhex(t, v.Public)))
	if err != nil {
		t.Fatal(err)
	}
	deployment := unhex(t, v.Deployment)
	for _, c := range v.Valid {
		raw := unhex(t, c.COSE)
		var m cose.Sign1Message
		if err := m.UnmarshalCBOR(raw); err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		if err := m.Verify(deployment, verifier); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		if m.Verify(append(bytes.Clone(deployment[:15]), deployment[15]^1), verifier) == nil || m.Verify(nil, verifier) == nil {
			t.Errorf("%s: verified for another deployment", c.Name)
		}
		if len(raw) < 116 || len(raw) > 122 {
			t.Errorf("%s: %d bytes", c.Name, len(raw))
		}
		checkClaims(t, c, m)
	}
}

// checkClaims reads the CWT with a CBOR library and compares; and that library's
// deterministic encoding of the same claims must be the bytes we wrote.
func checkClaims(t *testing.T, c vector, m cose.Sign1Message) {
	t.Helper()
	var claims map[int64]any
	if err := cbor.Unmarshal(m.Payload, &claims); err != nil {
		t.Fatal(err)
	}
	tok, err := Parse(c.Text)
	if err != nil {
		t.Fatal(err)
	}
	kid, _ := m.Headers.Protected[cose.HeaderLabelKeyID].([]byte)
	cti, _ := claims[7].([]byte)
	if claims[4] != uint64(tok.Expires().Unix()) || hex.EncodeToString(cti) != c.Body || claims[-65537] != uint64(c.Kind) ||
		claims[-65538] != uint64(c.Node) || len(claims) != 4 || !bytes.Equal(kid, []byte{byte(c.Node >> 8), byte(c.Node)}) {
		t.Errorf("%s: claims %v, kid %x", c.Name, claims, kid)
	}
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := mode.Marshal(claims); err != nil || !bytes.Equal(again, m.Payload) {
		t.Errorf("%s: payload is %x, deterministic is %x", c.Name, m.Payload, again)
	}
}

// TestSignaturesAreDeterministic: RFC 8032 leaves nothing to chance, so a reprint
// from the same facts is the same card.
func TestSignaturesAreDeterministic(t *testing.T) {
	for range 3 {
		if a, b := someToken(), someToken(); a != b {
			t.Fatal("two signatures of one token")
		}
	}
}
