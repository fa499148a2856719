package identity

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"slices"
	"strings"
	"unicode"

	"github.com/waypost/waypost/appliance/fault"
)

// A locked box can be opened by two people who stand at another, open one. While it was
// open it gave that box a key, sealed, which alone opens nothing: it wraps the storage key
// in a slot of the locked box's own unlock file. Locked again, the box asks with a key it
// has just drawn and keeps in memory alone; the other box hands the key over, sealed to
// that. Nothing of it needs a network: both texts can be photographed or read out.

// OpenRequest is what a locked box asks another with. It is public.
type OpenRequest struct {
	Deployment DeploymentID
	Node       NodeID   // the locked box
	Mark       [8]byte  // of its slot
	Public     [32]byte // X25519, drawn for this request alone
	Nonce      [16]byte
}

// openRequestWire is the request before base32: a CBOR array, followed by the first four
// bytes of its SHA-256.
type openRequestWire struct {
	_          struct{} `cbor:",toarray"`
	Version    uint8
	Deployment [16]byte
	Node       NodeID
	Mark       [8]byte
	Public     [32]byte
	Nonce      [16]byte
}

// openAnswerWire is the answer: which request it is for, and the key sealed to that.
type openAnswerWire struct {
	_       struct{} `cbor:",toarray"`
	Version uint8
	Request [16]byte
	Sealed  []byte // 80: HPKE encapsulated key, ciphertext
}

const (
	openRequestPrefix = "WPO1"
	openAnswerPrefix  = "WPA1"
	openVersion       = 1
	openSealed        = 32 + 32 + 16
	maxOpenText       = 1024
	openerPurpose     = "waypost/opener/1"
	openAnswerPurpose = "waypost/open-answer/1"
)

// Bytes are what two people sign and what words are made of: the request in CBOR.
func (r OpenRequest) Bytes() []byte {
	return encode(openRequestWire{Version: openVersion, Deployment: r.Deployment, Node: r.Node, Mark: r.Mark, Public: r.Public, Nonce: r.Nonce})
}

// Text is the request to photograph, send or read out.
func (r OpenRequest) Text() string { return sumText(openRequestPrefix, r.Bytes()) }

// Words are the five words that both screens show: whoever opens the box compares them
// with whoever stands at it, by telephone or radio.
func (r OpenRequest) Words() []string {
	return wordsOf(hashed("waypost/open-words/1", r.Bytes()), compareLength)
}

func (r OpenRequest) sum() [16]byte {
	return [16]byte(hashed("waypost/open-request/1", r.Bytes())[:16])
}

// sumText is a prefix and base32 of content and the first four bytes of its hash.
func sumText(prefix string, b []byte) string {
	sum := sha256.Sum256(b)
	return prefix + codeText.EncodeToString(append(bytes.Clone(b), sum[:codeSum]...))
}

// parseSumText reads one however it was typed, as ParseInvitation does.
func parseSumText(prefix, text string) ([]byte, bool) {
	if len(text) > maxOpenText {
		return nil, false
	}
	text = strings.ToUpper(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '-' || r == '\u200b' || r == '\ufeff' {
			return -1
		}
		return r
	}, text))
	text, found := strings.CutPrefix(text, prefix)
	b, err := codeText.DecodeString(strings.NewReplacer("0", "O", "1", "I", "8", "B").Replace(text))
	if !found || err != nil || len(b) <= codeSum {
		return nil, false
	}
	body, sum := b[:len(b)-codeSum], sha256.Sum256(b[:len(b)-codeSum])
	return body, bytes.Equal(sum[:codeSum], b[len(body):])
}

// ParseOpenRequest reads what Text wrote. Fault: Invalid "fault.identity.bad_open_request".
func ParseOpenRequest(text string) (OpenRequest, error) {
	bad := fault.New(fault.Invalid, "fault.identity.bad_open_request").With("request", "fault.identity.bad_open_request")
	var w openRequestWire
	b, ok := parseSumText(openRequestPrefix, text)
	if !ok || decode(b, &w) != nil || w.Version != openVersion || !bytes.Equal(encode(w), b) {
		return OpenRequest{}, bad
	}
	return OpenRequest{Deployment: w.Deployment, Node: w.Node, Mark: w.Mark, Public: w.Public, Nonce: w.Nonce}, nil
}

// Opening is a request of this box that waits for its answer. It lives in the memory of
// the locked process and ends with it. It is never changed.
type Opening struct {
	Request OpenRequest
	private hpke.PrivateKey
}

// AskToOpen begins a request of the locked box in dir; d and node are whose it is. Faults:
// NotFound "fault.identity.no_openers" when no other box was given the means, Internal
// "fault.identity.damaged".
func AskToOpen(dir string, d DeploymentID, node NodeID) (*Opening, error) {
	slots, err := readSlots(dir)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(slots, func(s slot) bool { return s.Kind == SlotPeers })
	if i < 0 {
		return nil, fault.New(fault.NotFound, "fault.identity.no_openers")
	}
	private, err := sealKEM().GenerateKey()
	if err != nil {
		return nil, fault.Of(err)
	}
	r := OpenRequest{Deployment: d, Node: node, Mark: slots[i].mark(), Nonce: [16]byte(random(16))}
	copy(r.Public[:], private.PublicKey().Bytes())
	return &Opening{Request: r, private: private}, nil
}

// Take reads the answer and gives the secret that Unlock takes. Faults: Invalid
// "fault.identity.bad_open_answer" for what is no answer, Denied
// "fault.identity.other_open_answer" for one to another request.
func (o *Opening) Take(text string) (secret []byte, err error) {
	bad := fault.New(fault.Invalid, "fault.identity.bad_open_answer").With("answer", "fault.identity.bad_open_answer")
	var w openAnswerWire
	b, ok := parseSumText(openAnswerPrefix, text)
	if !ok || decode(b, &w) != nil || w.Version != openVersion || len(w.Sealed) != openSealed || !bytes.Equal(encode(w), b) {
		return nil, bad
	}
	other := fault.New(fault.Denied, "fault.identity.other_open_answer")
	if w.Request != o.Request.sum() {
		return nil, other
	}
	key, err := hpke.Open(o.private, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), o.Request.answerInfo(), w.Sealed)
	if err != nil || len(key) != 32 {
		return nil, other
	}
	defer clear(key)
	return peersSecret([32]byte(key)), nil
}

func (r OpenRequest) answerInfo() []byte { return append([]byte(openAnswerPurpose), r.Bytes()...) }

// answer seals the key to the request.
func (r OpenRequest) answer(key []byte) (string, error) {
	sealed, err := sealTo(r.Public, r.answerInfo(), key)
	if err != nil {
		return "", fault.New(fault.Invalid, "fault.identity.bad_open_request").Wrap(err)
	}
	sum := r.sum()
	return sumText(openAnswerPrefix, encode(openAnswerWire{Version: openVersion, Request: sum, Sealed: sealed})), nil
}

func sealKEM() hpke.KEM { return hpke.DHKEM(ecdh.X25519()) }

// sealTo is HPKE (RFC 9180, base mode) to an X25519 key.
func sealTo(public [32]byte, info, plain []byte) ([]byte, error) {
	k, err := sealKEM().NewPublicKey(public[:])
	if err != nil {
		return nil, err
	}
	return hpke.Seal(k, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, plain)
}

// unseal opens what was sealed to this node's certificate.
func (v *Vault) unseal(info, sealed []byte) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return nil, errEnded()
	}
	k, err := sealKEM().NewPrivateKey(v.s.SealKey)
	if err != nil {
		return nil, err
	}
	return hpke.Open(k, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, sealed)
}

// openerInfo binds a key to whose box it opens, who may hand it over, and which slot.
func openerInfo(d DeploymentID, box, keeper NodeID, mark [8]byte) []byte {
	return slices.Concat([]byte(openerPurpose), d[:], box[:], keeper[:], mark[:])
}

// peersMagic begins the secret that Take gives.
const peersMagic = "waypost-peers/1 "

func peersSecret(key [32]byte) []byte { return append([]byte(peersMagic), key[:]...) }

// parsePeersSecret tells such a secret from words.
func parsePeersSecret(secret []byte) (key [32]byte, ok bool) {
	raw, ok := bytes.CutPrefix(secret, []byte(peersMagic))
	if !ok || len(raw) != 32 {
		return key, false
	}
	return [32]byte(raw), true
}

// newPeers wraps the storage key under a key that other boxes are given.
func newPeers(key [32]byte, storage *[32]byte) (slot, error) {
	s := slot{Kind: SlotPeers}
	copy(s.Salt[:], random(len(s.Salt)))
	wrapping := fileKey(SlotPeers, key, s.Salt[:])
	return s, s.wrap(&wrapping, storage, nil)
}

// mark names a slot without giving anything of it away.
func (s slot) mark() [8]byte { return [8]byte(hashed("waypost/slot-mark/1", s.Salt[:])[:8]) }
