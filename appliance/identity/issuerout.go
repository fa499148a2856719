package identity

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// IssuerRevoked is another issuer's word, or the root's, that an issuer is one no more. Its
// subject is the issuer's id. It takes the words of two issuers for the same cuts, or the
// root's: one stolen issuer must not be able to take the others' word away.
type IssuerRevoked struct {
	Issuer [32]byte  `cbor:"1,keyasint"` // its public key
	Cuts   []logMark `cbor:"2,keyasint"` // how far the logs were known: what the issuer had said there counts
	Signed [][]byte  `cbor:"3,keyasint"` // the two people who agreed at the box that says so: staff.Hand each
	Word   []byte    `cbor:"4,keyasint"` // another issuer's, or the root's
}

var issuerRevoked = oplog.NewKind[IssuerRevoked]("identity.issuer_revoked", 1, oplog.Deployment)

// signed is what each of the issuers signs: not whose hands were there, which differ.
func (r IssuerRevoked) signed(d DeploymentID) []byte {
	return slices.Concat([]byte("waypost/issuer-revoked/1"), d[:], r.Issuer[:], encode(r.Cuts))
}

// RevokeIssuerBody is what two people agree to when an issuer is revoked: which, and from
// where on.
func RevokeIssuerBody(issuer IssuerID, cuts IssuerCuts) []byte {
	return slices.Concat([]byte("revoke-issuer/1"), issuer[:], hashed("waypost/issuer-cuts/1", encode(append([]logMark{}, cuts.marks...))))
}

// IssuerCuts are how far the logs were known when an issuer was revoked.
type IssuerCuts struct{ marks []logMark }

// mutedRow is one IssuerRevoked as the view keeps it.
type mutedRow struct {
	_    struct{} `cbor:",toarray"`
	Fact IssuerRevoked
	Ref  oplog.Ref
}

var mutedKey = []byte("z")

func mutedRowOf(b *IssuerRevoked, subject oplog.ID, op oplog.Op) (row oplog.Row, ok bool) {
	long := func(h []byte) bool { return len(h) > 512 }
	if subject != oplog.ID(IssuerOf(b.Issuer)) || len(b.Cuts) > maxMarks || len(b.Word) > maxCertBytes || len(b.Signed) > maxHands || slices.ContainsFunc(b.Signed, long) {
		return row, false
	}
	key := saidIn(mutedKey, hashed("waypost/muted-row/1", encode(*b)), op.Log)
	return oplog.Row{Key: key, Value: encode(mutedRow{Fact: *b, Ref: op.Ref})}, true
}

// muted are the issuers that were revoked, each with the cuts of every revocation.
type muted map[[32]byte][][]logMark

// signs reports whether what an issuer said at a place counts: it was not revoked, or those
// who did had seen it.
func (m muted) signs(issuer [32]byte, log oplog.LogID, seq uint64) bool {
	for _, cuts := range m[issuer] {
		if !covers(cuts, log, seq) {
			return false
		}
	}
	return true
}

// knew reports whether a box may be one from which others are compared as far as its issuer
// goes: that was not revoked, or the box was known when it was.
func (m muted) knew(n Node) bool {
	for _, cuts := range m[n.Cert.Issuer.Public] {
		if !slices.ContainsFunc(cuts, func(k logMark) bool { return slices.Contains(n.Logs, k.Log) }) {
			return false
		}
	}
	return true
}

// vouches reports whether a box could still say at a place that words were compared.
func (m muted) vouches(n Node, at oplog.Ref) bool {
	return !n.Cert.Has(CapEnrol) || m.signs(n.Cert.Issuer.Public, at.Log, at.Seq)
}

// issuerWord is one voice for a statement, where it was said.
type issuerWord struct {
	by    [32]byte
	at    oplog.Ref
	state verdict
}

// issuerCase is a statement: that an issuer is one no more, from these cuts on.
type issuerCase struct {
	issuer [32]byte
	cuts   []logMark
	words  []*issuerWord
}

type verdict uint8

const (
	verdictUnsure verdict = iota
	verdictCounts
	verdictOut
)

// quorumIssuers is how many other issuers it takes.
const quorumIssuers = 2

// voices counts the issuers whose words have one of the states; the root is enough alone.
func (c *issuerCase) voices(states ...verdict) int {
	by := map[[32]byte]bool{}
	for _, w := range c.words {
		if slices.Contains(states, w.state) {
			if w.by == rootVoice {
				return quorumIssuers
			}
			by[w.by] = true
		}
	}
	return len(by)
}

func (c *issuerCase) verdict() verdict {
	switch {
	case c.voices(verdictCounts) >= quorumIssuers:
		return verdictCounts
	case c.voices(verdictCounts, verdictUnsure) < quorumIssuers:
		return verdictOut
	}
	return verdictUnsure
}

// decideIssuers works out which statements count. What an issuer says behind the cuts of a
// statement against it that counts is out. Where that goes round in a circle all of it
// counts, and the root has the last word: being wrong the one way leaves a thief an issuer.
// The same facts give the same answer in any order.
func decideIssuers(cases []*issuerCase) muted {
	for changed := true; changed; {
		changed = false
		for _, c := range cases {
			for _, w := range c.words {
				if w.state != verdictUnsure {
					continue
				}
				if now := judgeWord(w, cases); now != verdictUnsure {
					w.state, changed = now, true
				}
			}
		}
	}
	m := muted{}
	for _, c := range cases {
		if c.verdict() != verdictOut { // whatever is unsure now goes round
			m[c.issuer] = append(m[c.issuer], c.cuts)
		}
	}
	return m
}

func judgeWord(w *issuerWord, cases []*issuerCase) verdict {
	if w.by == rootVoice {
		return verdictCounts
	}
	now := verdictCounts
	for _, c := range cases {
		if c.issuer != w.by || covers(c.cuts, w.at.Log, w.at.Seq) {
			continue
		}
		switch c.verdict() {
		case verdictCounts:
			return verdictOut
		case verdictUnsure:
			now = verdictUnsure
		}
	}
	return now
}

// issuerCases are the statements in rows that an issuer or the root, and two people at its
// box, gave their word for.
func (d *Desk) issuerCases(nodes []Node, rows []mutedRow) (cases []*issuerCase) {
	dep := DeploymentID(d.vault.Deployment())
	found := map[string]*issuerCase{}
	for _, row := range rows {
		msg := row.Fact.signed(dep)
		by := d.wordOf(row.Fact.Word, msg)
		if by == [32]byte{} || by == row.Fact.Issuer ||
			!d.handed(nodes, PurposeRevokeIssuer, RevokeIssuerBody(IssuerOf(row.Fact.Issuer), IssuerCuts{row.Fact.Cuts}), row.Fact.Signed) {
			continue
		}
		c := found[string(msg)]
		if c == nil {
			c = &issuerCase{issuer: row.Fact.Issuer, cuts: row.Fact.Cuts}
			found[string(msg)], cases = c, append(cases, c)
		}
		c.words = append(c.words, &issuerWord{by: by, at: row.Ref})
	}
	return cases
}

// IssuerStanding is how an issuer stands.
type IssuerStanding struct {
	Issuer
	Own     bool       // it lives here
	Revoked bool       // what it says from then on does not count
	Words   []IssuerID // the others that say that it is to be revoked; zeros for the root
}

// IssuerStandings lists every issuer that is known here with how it stands, by id.
func (d *Desk) IssuerStandings() ([]IssuerStanding, error) {
	all, err := d.Issuers()
	if err != nil {
		return nil, err
	}
	cases, err := d.statements()
	if err != nil {
		return nil, err
	}
	m := decideIssuers(cases)
	out := make([]IssuerStanding, 0, len(all))
	for _, i := range all {
		s := IssuerStanding{Issuer: i, Own: d.vault.CanEnrol() && i.Cert.Public == d.vault.Cert().Issuer.Public, Revoked: m[i.Cert.Public] != nil}
		for _, c := range cases {
			for _, w := range c.words {
				id := IssuerID{}
				if w.by != rootVoice {
					id = IssuerOf(w.by)
				}
				if c.issuer == i.Cert.Public && w.state != verdictOut && !slices.Contains(s.Words, id) {
					s.Words = append(s.Words, id)
				}
			}
		}
		slices.SortFunc(s.Words, func(a, b IssuerID) int { return bytes.Compare(a[:], b[:]) })
		out = append(out, s)
	}
	return out, nil
}

// errNoIssuer is for an id that is no issuer's.
func errNoIssuer() error { return fault.New(fault.NotFound, "fault.identity.no_such_issuer") }

// IssuerCutsFor is from where on an issuer is to be revoked: what another issuer that is not
// ours said already, so that both say the same, or how far the logs are known here. Fault:
// NotFound "fault.identity.no_such_issuer".
func (d *Desk) IssuerCutsFor(issuer IssuerID) (IssuerCuts, error) {
	public, err := d.issuerKey(issuer)
	if err != nil {
		return IssuerCuts{}, err
	}
	cases, err := d.statements()
	if err != nil {
		return IssuerCuts{}, err
	}
	own := d.vault.Cert().Issuer.Public
	best := -1
	for i, c := range cases {
		if c.issuer == public && c.verdict() == verdictOut && c.voices(verdictCounts, verdictUnsure) > 0 &&
			!slices.ContainsFunc(c.words, func(w *issuerWord) bool { return w.by == own }) &&
			(best < 0 || bytes.Compare(encode(c.cuts), encode(cases[best].cuts)) < 0) {
			best = i
		}
	}
	if best >= 0 {
		return IssuerCuts{cases[best].cuts}, nil
	}
	return IssuerCuts{d.allMarks()}, nil
}

// allMarks is how far logs are known here, those of issuers' boxes before the others.
func (d *Desk) allMarks() []logMark {
	heads := d.ends()
	first := func(l oplog.LogID) int {
		if n, ok := d.Author(l); ok && n.Founder {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(heads, func(a, b oplog.Head) int { return first(a.Log) - first(b.Log) })
	out := []logMark{}
	for _, h := range heads[:min(len(heads), maxMarks)] {
		out = append(out, logMark{Log: h.Log, Seq: h.Seq})
	}
	return sortMarks(out)
}

func (d *Desk) issuerKey(issuer IssuerID) ([32]byte, error) {
	all, err := d.Issuers()
	i := slices.IndexFunc(all, func(i Issuer) bool { return i.Cert.ID() == issuer })
	if err != nil || i < 0 {
		return [32]byte{}, cmp.Or(err, errNoIssuer())
	}
	return all[i].Cert.Public, nil
}

// RevokeIssuer says by the word of the issuer that lives here, or of the root where a sheet
// with its seed is given, that an issuer is one no more from cuts on; a second issuer has to
// say the same, the root alone is enough. hands are the two people who agreed. Saying it
// twice writes it once. Faults: NotFound "fault.identity.no_such_issuer", Denied
// "fault.identity.revoke_issuer" where nobody lives who may, "fault.identity.not_ours" for
// another deployment's root.
func (d *Desk) RevokeIssuer(ctx context.Context, by oplog.By, issuer IssuerID, cuts IssuerCuts, root *RootSheet, hands [2][]byte) error {
	public, err := d.issuerKey(issuer)
	if err != nil {
		return err
	}
	fact := IssuerRevoked{Issuer: public, Cuts: append([]logMark{}, cuts.marks...), Signed: [][]byte{hands[0], hands[1]}}
	fact.Word, err = d.issuerWordFor(public, fact.signed(DeploymentID(d.vault.Deployment())), root)
	if err != nil {
		return err
	}
	said, err := d.saidOfIssuer(fact)
	if err != nil || said {
		return err
	}
	err = d.log.Do(ctx, by, func(tx *oplog.Tx) error {
		_, err := tx.Append(issuerRevoked, oplog.ID(issuer), fact)
		return err
	})
	if err != nil {
		return err
	}
	return d.Follow(ctx)
}

// issuerWordFor is the root's word where there is a sheet, or else that of the issuer here.
func (d *Desk) issuerWordFor(public [32]byte, msg []byte, root *RootSheet) ([]byte, error) {
	if root != nil {
		sig, ok := root.Sign(rootWordPurpose, msg)
		if !ok || !bytes.Equal(root.Root, d.vault.Root()) {
			return nil, fault.New(fault.Denied, "fault.identity.not_ours")
		}
		return slices.Concat(root.Root, sig[:]), nil
	}
	s, err := d.judge()
	if err != nil {
		return nil, err
	}
	own := d.vault.Cert().Issuer.Public
	word, ok := d.vault.Countersign(msg)
	if !ok || own == public || !d.inOffice(s) {
		return nil, fault.New(fault.Denied, "fault.identity.revoke_issuer")
	}
	return word, nil
}

// inOffice reports whether others listen to the issuer that lives here: its box is not shut
// out, and it was not revoked.
func (d *Desk) inOffice(s *standings) bool {
	return s.of[d.vault.NodeID()] == StandingGood && s.muted[d.vault.Cert().Issuer.Public] == nil
}

// saidOfIssuer reports whether the same voice has said the same, with two people's hands.
func (d *Desk) saidOfIssuer(fact IssuerRevoked) (said bool, err error) {
	by := d.wordOf(fact.Word, fact.signed(DeploymentID(d.vault.Deployment())))
	cases, err := d.statements()
	return slices.ContainsFunc(cases, func(c *issuerCase) bool {
		return c.issuer == fact.Issuer && slices.Equal(c.cuts, fact.Cuts) && slices.ContainsFunc(c.words, func(w *issuerWord) bool { return w.by == by })
	}), err
}
