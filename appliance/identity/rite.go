package identity

import (
	"context"
	"crypto/ed25519"
	"crypto/subtle"
	"slices"
	"strings"

	"github.com/waypost/waypost/appliance/fault"
)

// The two ways to hold the ceremony.
const (
	CeremonyFull  = "full"  // two issuers, the root on five papers of which any three bring it back
	CeremonySmall = "small" // one issuer, the root on one sheet
)

// rite is a ceremony under way, in the inner part of secrets: a power cut in the middle
// loses nothing, and nothing of it lies on the card in the clear.
type rite struct {
	Variant    string      `cbor:"1,keyasint"`
	Issuer     []byte      `cbor:"2,keyasint,omitempty"` // certificate of the second issuer; its seed is in the file alone
	IssuerFile []byte      `cbor:"3,keyasint,omitempty"` // as it was sealed under the words, to be downloaded again
	IssuerRead bool        `cbor:"4,keyasint,omitempty"` // its words were typed back
	Shares     []riteShare `cbor:"5,keyasint,omitempty"`
	SheetRead  bool        `cbor:"6,keyasint,omitempty"`
}

// riteShare is a share until its holder has read it back; then only its sum is kept.
type riteShare struct {
	Content []byte   `cbor:"1,keyasint,omitempty"`
	Sum     [32]byte `cbor:"2,keyasint"`
}

func (r *rite) sound() bool {
	return (r.Variant == CeremonyFull && len(r.Shares) == ShareCount || r.Variant == CeremonySmall && len(r.Shares) == 0) &&
		!slices.ContainsFunc(r.Shares, func(s riteShare) bool { return len(s.Content) != 0 && len(s.Content) != shareLength })
}

// keep moves the shares into the arena.
func (r *rite) keep(a *arena) {
	for i := range r.Shares {
		r.Shares[i].Content = a.hold(r.Shares[i].Content)
	}
}

// clone shares the contents, which lie in the arena.
func (r *rite) clone() *rite {
	c := *r
	c.Shares = slices.Clone(r.Shares)
	return &c
}

func (r *rite) readBack() (n int) {
	for _, s := range r.Shares {
		if len(s.Content) == 0 {
			n++
		}
	}
	return n
}

// done reports whether nothing is left to do before the root can go.
func (r *rite) done() bool {
	if r.Variant == CeremonySmall {
		return r.SheetRead
	}
	return r.IssuerRead && r.readBack() == ShareCount
}

func errNoCeremony() error { return fault.New(fault.Conflict, "fault.identity.no_ceremony") }

// beginRite begins a ceremony; one under way is dropped with its papers. Faults: Invalid
// "fault.identity.variant", Conflict "fault.identity.root_gone", Denied
// "fault.identity.shut", Unavailable "fault.identity.cannot_write".
func (v *Vault) beginRite(variant string) error {
	if variant != CeremonyFull && variant != CeremonySmall {
		return fault.New(fault.Invalid, "fault.identity.variant").With("variant", "fault.identity.variant")
	}
	return v.update(func(s *secrets) error {
		switch {
		case v.shut():
			return errShut()
		case !v.rootHere():
			return fault.New(fault.Conflict, "fault.identity.root_gone")
		}
		s.dropRite()
		s.rite = &rite{Variant: variant}
		if variant == CeremonySmall {
			return nil
		}
		shares, err := splitRoot(v.deployment, s.RootSeed)
		if err != nil {
			return fault.Of(err)
		}
		for _, x := range shares {
			s.rite.Shares = append(s.rite.Shares, riteShare{Content: v.keys.hold(x.content()), Sum: x.sum()})
		}
		clear(shares)
		return nil
	})
}

// dropRite overwrites what is left of the papers.
func (s *secrets) dropRite() {
	if s.rite == nil {
		return
	}
	for _, x := range s.rite.Shares {
		clear(x.Content)
	}
	s.rite = nil
}

// changeRite changes the ceremony under way. Faults: Denied "fault.identity.shut",
// Conflict "fault.identity.no_ceremony" when none of that variant is.
func (v *Vault) changeRite(variant string, change func(*secrets, *rite) error) error {
	return v.update(func(s *secrets) error {
		switch {
		case v.shut():
			return errShut()
		case s.rite == nil || s.rite.Variant != variant:
			return errNoCeremony()
		}
		return change(s, s.rite)
	})
}

// lookRite gives a copy of the ceremony under way; nil when there is none, or when it is
// closed to this way of opening.
func (v *Vault) lookRite() *rite {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended || v.shut() || v.s.rite == nil {
		return nil
	}
	return v.s.rite.clone()
}

// secondIssuer signs the second issuer. Its seed is in the file, under words that nobody
// but who reads them now has; what is kept here is the file and the certificate. Making it
// again makes another one, and the first was never used.
func (v *Vault) secondIssuer(number int) (NewIssuer, error) {
	v.mu.Lock()
	sheet := RootSheet{Root: v.root, Seed: slices.Clone(v.s.RootSeed)}
	ready := !v.ended && v.rootHere() && v.s.rite != nil && v.s.rite.Variant == CeremonyFull
	v.mu.Unlock()
	defer clear(sheet.Seed)
	if !ready {
		return NewIssuer{}, errNoCeremony()
	}
	made, err := NewIssuerFrom(sheet, number, v.clock.Now(), v.cost) // takes a second: not under the lock
	if err != nil {
		return NewIssuer{}, err
	}
	return made, v.changeRite(CeremonyFull, func(_ *secrets, r *rite) error {
		r.Issuer, r.IssuerFile, r.IssuerRead = encode(made.Cert.wire()), made.File, false
		return nil
	})
}

// readIssuer checks the words of the second issuer against its file. Fault: Denied
// "fault.identity.issuer_words".
func (v *Vault) readIssuer(ctx context.Context, words []byte) error {
	r := v.lookRite()
	if r == nil || len(r.IssuerFile) == 0 {
		return errNoCeremony()
	}
	o, err := openIssuerFile(ctx, r.IssuerFile, words, v.root)
	if err != nil {
		return err
	}
	clear(o.seed)
	return v.changeRite(CeremonyFull, func(_ *secrets, r *rite) error {
		if string(encode(o.cert.wire())) != string(r.Issuer) { // another one was made meanwhile
			return fault.New(fault.Denied, "fault.identity.issuer_words")
		}
		r.IssuerRead = true
		return nil
	})
}

// sharesLeft are the shares nobody has read back yet.
func (v *Vault) sharesLeft() ([]Share, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.ended:
		return nil, errEnded()
	case v.shut():
		return nil, errShut()
	case v.s.rite == nil || v.s.rite.Variant != CeremonyFull:
		return nil, errNoCeremony()
	}
	var out []Share
	for _, x := range v.s.rite.Shares {
		if len(x.Content) == 0 {
			continue
		}
		var code strings.Builder
		for _, l := range paperLines(markShare, x.Content) {
			code.WriteString(l)
		}
		s, err := ParseShare(code.String())
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// readShare takes a share back that was typed from its paper: it is the very one that was
// made here, and from now on it is on paper alone. Faults: those of ParseShare, Invalid
// "fault.identity.share_other" for one of another printing or deployment, Conflict
// "fault.identity.share_again".
func (v *Vault) readShare(text string) (number int, err error) {
	s, err := ParseShare(text)
	if err != nil {
		return 0, err
	}
	sum := s.sum()
	var gone []byte
	err = v.changeRite(CeremonyFull, func(_ *secrets, r *rite) error {
		x := &r.Shares[s.Number-1]
		if subtle.ConstantTimeCompare(x.Sum[:], sum[:]) != 1 {
			return fault.New(fault.Invalid, "fault.identity.share_other")
		}
		if len(x.Content) == 0 {
			return fault.New(fault.Conflict, "fault.identity.share_again", "Number", s.Number)
		}
		gone, x.Content = x.Content, nil
		return nil
	})
	if err == nil {
		clear(gone)
	}
	return s.Number, err
}

// rootSheet is the sheet to print, while the root is here.
func (v *Vault) rootSheet() (RootSheet, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.ended:
		return RootSheet{}, errEnded()
	case v.shut():
		return RootSheet{}, errShut()
	case !v.rootHere():
		return RootSheet{}, fault.New(fault.Conflict, "fault.identity.root_gone")
	}
	return RootSheet{Name: v.s.Name, Root: slices.Clone(v.root), Seed: slices.Clone(v.s.RootSeed), Nodes: []NodeCert{v.Cert()}}, nil
}

// readSheet takes the row of words at the foot of the printed sheet. Fault: Invalid
// "fault.identity.sheet_words".
func (v *Vault) readSheet(words string) error {
	return v.changeRite(CeremonySmall, func(s *secrets, r *rite) error {
		want := strings.Join(sheetOf(s.RootSeed).CheckWords(), " ")
		got := string(CanonicalPassphrase([]byte(words)))
		if subtle.ConstantTimeCompare([]byte(want), []byte(got)) != 1 {
			return fault.New(fault.Invalid, "fault.identity.sheet_words").With("words", "fault.identity.sheet_words")
		}
		r.SheetRead = true
		return nil
	})
}

// statement is what the root says of a ceremony that has come to its end.
func (v *Vault) statement(serial uint32) (CeremonyHeld, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := v.s.rite
	switch {
	case v.ended:
		return CeremonyHeld{}, errEnded()
	case v.shut():
		return CeremonyHeld{}, errShut()
	case r == nil:
		return CeremonyHeld{}, errNoCeremony()
	case !r.done():
		return CeremonyHeld{}, fault.New(fault.Conflict, "fault.identity.ceremony_open")
	}
	h := CeremonyHeld{Serial: serial, Variant: r.Variant, At: dated(v.clock.Now()).Unix(), Issuers: [][]byte{encode(v.Cert().Issuer.wire())}}
	if len(r.Issuer) > 0 {
		h.Issuers = append(h.Issuers, r.Issuer)
	}
	for _, s := range r.Shares {
		h.Shares = append(h.Shares, s.Sum)
	}
	h.sign(v.deployment, ed25519.NewKeyFromSeed(v.s.RootSeed))
	return h, nil
}

// endRite wipes the root and everything of the ceremony.
func (v *Vault) endRite() error {
	var seed []byte
	err := v.update(func(s *secrets) error {
		if v.shut() {
			return errShut()
		}
		seed, s.RootSeed = s.RootSeed, nil
		s.dropRite()
		return nil
	})
	if err == nil {
		clear(seed)
	}
	return err
}

// takeRoot puts the root of this deployment back on the box, for a ceremony. Faults: Denied
// "fault.identity.sheet_elsewhere" for another deployment's sheet, Invalid
// "fault.identity.sheet_verifies" for one without a seed, Denied "fault.identity.shut".
func (v *Vault) takeRoot(sheet RootSheet) error {
	return v.update(func(s *secrets) error {
		switch {
		case v.shut():
			return errShut()
		case !sheet.Root.Equal(v.root):
			return fault.New(fault.Denied, "fault.identity.sheet_elsewhere")
		case len(sheet.Seed) != ed25519.SeedSize:
			return fault.New(fault.Invalid, "fault.identity.sheet_verifies")
		}
		s.RootSeed = v.keys.hold(slices.Clone(sheet.Seed))
		return nil
	})
}

// signHeld signs a statement anew.
func (v *Vault) signHeld(h *CeremonyHeld) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.rootHere() {
		h.sign(v.deployment, ed25519.NewKeyFromSeed(v.s.RootSeed))
	}
}
