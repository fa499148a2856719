// Package stafftest is a phone for the tests of passkeys: an authenticator in software that
// answers as browsers do (W3C Web Authentication, level 3, section 6), or wrongly on purpose.
package stafftest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math/big"

	"github.com/fxamacker/cbor/v2"
)

// Flags of authenticator data (section 6.1).
const (
	Present  = 1 << 0
	Verified = 1 << 2
	Synced   = 1 << 3 // may be copied by its maker
	Backed   = 1 << 4
	Attested = 1 << 6
)

// Phone holds one passkey. What is exported may be changed to answer wrongly; an empty value
// of a string means the right one. Not safe for concurrent use.
type Phone struct {
	ID     []byte // of the credential
	Alg    int    // COSE algorithm: -7, -8 or -257
	Count  uint32 // added to before each answer, unless Counts is false
	Counts bool
	Flags  byte // Present and Verified, and more on purpose

	RP, Type, Challenge, Origin string // in place of what was asked
	Format                      string // of the attestation; empty: "none"
	User                        []byte // handle in assertions
	Top                         string // origin of a page around it

	key crypto.Signer
}

// New is a phone that has made nothing yet.
func New() *Phone { return NewAlg(-7) }

// NewAlg is New with signatures of a kind.
func NewAlg(alg int) *Phone {
	p := &Phone{ID: make([]byte, 32), Alg: alg, Flags: Present | Verified, Counts: true}
	_, _ = rand.Read(p.ID)
	var err error
	switch alg {
	case -8:
		_, p.key, err = ed25519.GenerateKey(rand.Reader)
	case -257:
		p.key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		p.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		panic(err)
	}
	return p
}

// Options is what a page hands to the browser, as far as a phone reads it.
type Options struct {
	PublicKey struct {
		Challenge string
		RPID      string `json:"rpId"`
		RP        struct{ ID, Name string }
		User      struct{ ID, Name, DisplayName string }
		Params    []struct {
			Type string
			Alg  int
		} `json:"pubKeyCredParams"`
		Allow     []struct{ Type, ID string } `json:"allowCredentials"`
		Exclude   []struct{ Type, ID string } `json:"excludeCredentials"`
		Verify    string                      `json:"userVerification"`
		Selection struct {
			ResidentKey      string
			UserVerification string
		} `json:"authenticatorSelection"`
		Attestation string
		Timeout     int
	}
}

// Read reads options; it panics on what is none.
func Read(options []byte) (o Options) {
	if err := json.Unmarshal(options, &o); err != nil {
		panic(err)
	}
	return o
}

// Make answers options for a new passkey, for a page of origin.
func (p *Phone) Make(origin string, options []byte) []byte {
	o := Read(options).PublicKey
	data := p.clientData("webauthn.create", o.Challenge, origin)
	auth := p.authData(or(p.RP, o.RP.ID), Attested)
	auth = append(auth, make([]byte, 16)...) // make of phone: not told
	auth = binary.BigEndian.AppendUint16(auth, uint16(len(p.ID)))
	auth = append(append(auth, p.ID...), p.cose()...)
	object := encode(map[string]any{"fmt": or(p.Format, "none"), "attStmt": map[string]any{}, "authData": auth})
	return p.answer(map[string]any{"clientDataJSON": text(data), "attestationObject": text(object), "transports": []string{"internal"}})
}

// Use answers options for a passkey that exists, for a page of origin.
func (p *Phone) Use(origin string, options []byte) []byte {
	o := Read(options).PublicKey
	data := p.clientData("webauthn.get", o.Challenge, origin)
	auth := p.authData(or(p.RP, o.RPID), 0)
	sum := sha256.Sum256(data)
	response := map[string]any{"clientDataJSON": text(data), "authenticatorData": text(auth), "signature": text(p.sign(append(auth, sum[:]...)))}
	if p.User != nil {
		response["userHandle"] = text(p.User)
	}
	return p.answer(response)
}

func (p *Phone) answer(response map[string]any) []byte {
	raw, err := json.Marshal(map[string]any{"id": text(p.ID), "rawId": text(p.ID), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{}})
	if err != nil {
		panic(err)
	}
	return raw
}

func (p *Phone) clientData(kind, challenge, origin string) []byte {
	fields := map[string]any{"type": or(p.Type, kind), "challenge": or(p.Challenge, challenge), "origin": or(p.Origin, origin), "crossOrigin": p.Top != ""}
	if p.Top != "" {
		fields["topOrigin"] = p.Top
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return raw
}

func (p *Phone) authData(rp string, more byte) []byte {
	if p.Counts {
		p.Count++
	}
	sum := sha256.Sum256([]byte(rp))
	return binary.BigEndian.AppendUint32(append(sum[:], p.Flags|more), p.Count)
}

func (p *Phone) cose() []byte {
	switch key := p.key.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			panic(err)
		}
		return encode(map[int]any{1: 2, 3: p.Alg, -1: 1, -2: point[1:33], -3: point[33:]})
	case ed25519.PublicKey:
		return encode(map[int]any{1: 1, 3: p.Alg, -1: 6, -2: []byte(key)})
	case *rsa.PublicKey:
		return encode(map[int]any{1: 3, 3: p.Alg, -1: key.N.Bytes(), -2: big.NewInt(int64(key.E)).Bytes()})
	}
	panic("no such key")
}

func (p *Phone) sign(msg []byte) []byte {
	opts := crypto.SignerOpts(crypto.SHA256)
	if p.Alg == -8 {
		opts = crypto.Hash(0)
	} else {
		sum := sha256.Sum256(msg)
		msg = sum[:]
	}
	sig, err := p.key.Sign(rand.Reader, msg, opts)
	if err != nil {
		panic(err)
	}
	return sig
}

func encode(v any) []byte {
	mode, err := cbor.CTAP2EncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	raw, err := mode.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

func text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func or(given, right string) string {
	if given != "" {
		return given
	}
	return right
}
