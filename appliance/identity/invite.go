package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/waypost/waypost/appliance/fault"
)

// How long an invitation lives.
const (
	defaultTTL = 10 * time.Minute
	maxTTL     = 24 * time.Hour
)

// Limits of what is kept and carried.
const (
	maxOutstanding = 64 // older ones are forgotten, spent ones first
	maxCodeAddrs   = 8
	maxCodeAddr    = 100
	maxCodeLength  = 2048
)

// Invitation lets one node join, once.
type Invitation struct {
	Code    string    // one word, to be scanned or typed
	Expires time.Time // by this node's clock; for display
}

// InvitationCode is an invitation as the joining side reads it. Treat it as a
// secret: whoever has it may join until it is used.
type InvitationCode struct {
	Addrs       []string  // host:port of the inviter, to be tried in turn
	Fingerprint [16]byte  // of the inviter's node key
	Secret      [16]byte  // proves that the inviter gave this code out
	Expires     time.Time // the inviter's claim; only the inviter judges it
}

// codeWire is the code before base32: a CBOR array, followed by the first four
// bytes of its SHA-256 so that a mistyped code is told from an unknown one.
type codeWire struct {
	_           struct{} `cbor:",toarray"`
	Addrs       []string
	Fingerprint [16]byte
	Secret      [16]byte
	Expires     int64
}

const (
	codePrefix = "WPI1"
	codeSum    = 4
)

var codeText = base32.StdEncoding.WithPadding(base32.NoPadding)

// Pins reports whether public is the key the code names.
func (c InvitationCode) Pins(public ed25519.PublicKey) bool {
	if len(public) != ed25519.PublicKeySize {
		return false
	}
	f := Fingerprint([32]byte(public))
	return subtle.ConstantTimeCompare(f[:], c.Fingerprint[:]) == 1
}

// id names the invitation without giving its secret away.
func (c InvitationCode) id() [8]byte {
	return [8]byte(hashed("waypost/invitation-id/1", c.Secret[:])[:8])
}

// proof is the key that authenticates the request; the inviter keeps only this.
func (c InvitationCode) proof() [32]byte {
	return [32]byte(hashed("waypost/invitation-proof/1", c.Secret[:]))
}

// String is the code as text.
func (c InvitationCode) String() string {
	addrs := c.Addrs
	if addrs == nil {
		addrs = []string{}
	}
	b := encode(codeWire{Addrs: addrs, Fingerprint: c.Fingerprint, Secret: c.Secret, Expires: c.Expires.Unix()})
	sum := sha256.Sum256(b)
	return codePrefix + codeText.EncodeToString(append(b, sum[:codeSum]...))
}

// Invite makes a code that lets one node join within ttl (zero: ten minutes; at
// most a day). addrs is where that node finds us. It is on the card before it is
// returned, so a restart does not spoil it. Faults: Denied
// "fault.identity.cannot_enrol" where no issuer lives or its date is over,
// Invalid "fault.identity.bad_ttl", Unavailable "fault.identity.cannot_write".
func (v *Vault) Invite(ttl time.Duration, addrs []string) (Invitation, error) {
	return v.InviteTo(Place{}, ttl, addrs)
}

// InviteTo is Invite for a node that stands at a place of that kind. Further fault:
// NotFound "fault.identity.no_such_area".
func (v *Vault) InviteTo(where Place, ttl time.Duration, addrs []string) (Invitation, error) {
	if ttl == 0 {
		ttl = defaultTTL
	}
	if ttl < 0 || ttl > maxTTL {
		return Invitation{}, fault.New(fault.Invalid, "fault.identity.bad_ttl").With("ttl", "fault.identity.bad_ttl")
	}
	now := v.clock.Now()
	code := InvitationCode{Fingerprint: Fingerprint(v.cert.Public), Secret: [16]byte(random(16)), Expires: now.Add(ttl)}
	for _, a := range addrs {
		if len(a) <= maxCodeAddr && len(code.Addrs) < maxCodeAddrs {
			code.Addrs = append(code.Addrs, a)
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.mayEnrol(now); err != nil {
		return Invitation{}, err
	}
	if where.Area != 0 && !where.Apart && !v.areas[where.Area] && !slices.Contains(v.cert.Areas, where.Area) {
		return Invitation{}, fault.New(fault.NotFound, "fault.identity.no_such_area", "Area", where.Area).With("area", "fault.identity.no_such_area")
	}
	o := outstanding{ID: code.id(), Proof: code.proof(), Made: now.UnixMilli(), Life: ttl.Milliseconds(), Area: where.Area, Apart: where.Apart, Carrier: where.Carrier}
	err := v.updateLocked(func(s *secrets) error {
		s.Invitations = v.forget(s.Invitations)
		s.Invitations = append(s.Invitations, o)
		return nil
	})
	if err != nil {
		return Invitation{}, err
	}
	v.deadlines[o.ID] = now.Add(ttl)
	return Invitation{Code: code.String(), Expires: code.Expires}, nil
}

// mayEnrol looks at the issuer's rights, and at its date only when the clock
// was set by something sure: a wrong clock must not stop a camp from growing.
func (v *Vault) mayEnrol(now time.Time) error {
	if !v.canEnrol() {
		return fault.New(fault.Denied, "fault.identity.cannot_enrol")
	}
	if v.clock.Sure() && now.Unix() > v.Cert().Issuer.NotAfter {
		return fault.New(fault.Denied, "fault.identity.issuer_over")
	}
	return nil
}

// forget makes room for one more: spent invitations go first, then the oldest.
func (v *Vault) forget(list []outstanding) []outstanding {
	for len(list) >= maxOutstanding {
		i := max(0, slices.IndexFunc(list, func(o outstanding) bool { return len(o.UsedFor) > 0 || v.over(o) }))
		delete(v.deadlines, list[i].ID)
		list = slices.Delete(list, i, i+1)
	}
	return list
}

// over reports whether an invitation's time has passed, by the running clock.
func (v *Vault) over(o outstanding) bool {
	deadline, known := v.deadlines[o.ID]
	return !known || v.clock.Now().After(deadline)
}

// resumeDeadlines gives invitations from before a restart what is left of their
// life. Only the wall clock can tell how long the box was off; when it went
// back, they get a whole life again, once, rather than none.
func (v *Vault) resumeDeadlines() {
	now := v.clock.Now()
	for _, o := range v.s.Invitations {
		made, life := time.UnixMilli(o.Made), time.Duration(o.Life)*time.Millisecond
		left := life
		if gone := now.Sub(made); gone > 0 {
			left -= gone
		}
		v.deadlines[o.ID] = now.Add(left)
	}
}

// ParseInvitation reads a code however it was typed: spaces, line breaks, dashes
// and letter case do not matter, and 0, 1 and 8, which the alphabet lacks, are
// taken for O, I and B. Fault: Invalid "fault.identity.bad_invitation".
func ParseInvitation(code string) (InvitationCode, error) {
	bad := fault.New(fault.Invalid, "fault.identity.bad_invitation").With("code", "fault.identity.bad_invitation")
	if len(code) > 4*maxCodeLength {
		return InvitationCode{}, bad
	}
	text := strings.ToUpper(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '-' || r == '\u200b' || r == '\ufeff' {
			return -1
		}
		return r
	}, code))
	text, found := strings.CutPrefix(text, codePrefix)
	if !found || len(text) > maxCodeLength {
		return InvitationCode{}, bad
	}
	b, err := codeText.DecodeString(strings.NewReplacer("0", "O", "1", "I", "8", "B").Replace(text))
	if err != nil || len(b) <= codeSum {
		return InvitationCode{}, bad
	}
	body, sum := b[:len(b)-codeSum], b[len(b)-codeSum:]
	want := sha256.Sum256(body)
	var w codeWire
	if !bytes.Equal(sum, want[:codeSum]) || decode(body, &w) != nil || !bytes.Equal(encode(w), body) || !plausible(w) {
		return InvitationCode{}, bad
	}
	return InvitationCode{Addrs: w.Addrs, Fingerprint: w.Fingerprint, Secret: w.Secret, Expires: time.Unix(w.Expires, 0).UTC()}, nil
}

func plausible(w codeWire) bool {
	long := func(a string) bool { return a == "" || len(a) > maxCodeAddr }
	return w.Addrs != nil && len(w.Addrs) <= maxCodeAddrs && !slices.ContainsFunc(w.Addrs, long) && w.Expires >= -1<<40 && w.Expires < 1<<40
}
