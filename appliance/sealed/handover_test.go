package sealed_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/sealed"
	"github.com/waypost/waypost/appliance/staff"
)

func court() sealed.HandOver {
	return sealed.HandOver{To: "Court of appeal, Judge K.", Basis: "order 17/2026 of the court", Agreed: true, Person: "Rosa I."}
}

func noPapers(sealed.Handed) []sealed.Paper {
	return []sealed.Paper{{Name: "record.txt", Body: []byte("as people read it")}}
}

// askOut asks to hand a file over.
func (p *post) askOut(t testing.TB, s staff.Session, id oplog.ID, h sealed.HandOver) oplog.ID {
	t.Helper()
	act, err := p.Sealed.AskHandOver(s, id, h, noPapers)
	must(t, err)
	return act
}

// unpack opens a parcel as stock tools do.
func unpack(t testing.TB, parcel []byte, with age.Identity) (map[string][]byte, error) {
	t.Helper()
	r, err := age.Decrypt(bytes.NewReader(parcel), with)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(r)
	must(t, err)
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	must(t, err)
	out := map[string][]byte{}
	for _, f := range z.File {
		in, err := f.Open()
		must(t, err)
		out[f.Name], err = io.ReadAll(in)
		must(t, err)
	}
	return out, nil
}

func byWords(t testing.TB, words string) age.Identity {
	t.Helper()
	i, err := age.NewScryptIdentity(words)
	must(t, err)
	return i
}

// checkSignatures checks every signature in a record with nothing but the record, and gives
// how many there are.
func checkSignatures(t *testing.T, doc sealed.Handed) (signed int) {
	t.Helper()
	unhex := func(s string) []byte { b, err := hex.DecodeString(s); must(t, err); return b }
	unbase := func(s string) []byte { b, err := base64.StdEncoding.DecodeString(s); must(t, err); return b }
	for _, e := range doc.Entries {
		if e.Signature == "" {
			continue
		}
		msg := slices.Concat([]byte("waypost/staff-signature/1"), []byte("waypost/sealed-entry/1"), unhex(doc.Deployment), unhex(doc.FileBytes), unbase(e.Record))
		if !ed25519.Verify(unhex(e.PublicKey), msg, unbase(e.Signature)) {
			t.Errorf("the signature of %s is wrong", e.Kind)
		}
		signed++
	}
	return signed
}

func TestAFileIsHandedOverByTwo(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n := c.north
	mina, noor := n.as(t, "mina"), n.as(t, "noor")
	id := n.open(t, mina, "she was sold at the border")
	must(t, n.Sealed.Note(ctx, mina, id, "a second note", oplogNoon()))
	must(t, n.Sealed.Assign(ctx, mina, id, n.ids["noor"]))
	must(t, n.Sealed.Assign(ctx, mina, id, c.south.ids["bilal"]))
	act := n.askOut(t, mina, id, court())
	if got := n.Staff.Acts(noor.Actor); len(got) != 1 || len(n.Staff.Acts(n.as(t, "cora").Actor)) != 1 || len(n.Staff.Acts(n.as(t, "sami").Actor)) != 0 {
		t.Fatalf("%+v", got)
	}
	_, err := n.Sealed.Take(ctx, mina, act)
	refused(t, err, "fault.sealed.no_parcel") // nobody agreed yet
	words, err := n.Sealed.AgreeToHandOver(ctx, noor, act)
	must(t, err)
	if len(strings.Fields(words)) != 5 {
		t.Fatalf("%q", words)
	}
	_, err = n.Sealed.Take(ctx, noor, act)
	refused(t, err, "fault.sealed.no_parcel") // who has the words gets no parcel
	if got := n.Sealed.Takings(mina.Actor); len(got) != 1 || !got[0].Ready {
		t.Errorf("%+v", got)
	}
	parcel, err := n.Sealed.Take(ctx, mina, act)
	must(t, err)
	_, err = n.Sealed.Take(ctx, mina, act)
	refused(t, err, "fault.sealed.no_parcel") // once
	if _, err := unpack(t, parcel, byWords(t, "other words of no use")); err == nil {
		t.Fatal("it opens without its words")
	}
	in, err := unpack(t, parcel, byWords(t, words))
	must(t, err)
	var doc sealed.Handed
	must(t, json.Unmarshal(in["record.json"], &doc))
	if string(in["record.txt"]) != "as people read it" || doc.To != court().To || doc.Person != "Rosa I." || !strings.Contains(string(in["record.json"]), "she was sold at the border") {
		t.Errorf("%+v", doc)
	}
	if signed := checkSignatures(t, doc); signed < 3 {
		t.Errorf("%d signatures", signed)
	}
	for _, e := range doc.Entries {
		if e.Kind == "looked" || e.Kind == "keyed" {
			t.Errorf("%s is nobody's outside", e.Kind)
		}
	}
	c.meet(t)
	for at, user := range map[*post]string{n: "noor", c.south: "bilal"} {
		f, err := at.Sealed.Read(ctx, at.as(t, user), id)
		must(t, err)
		var r *sealed.Receipt
		for _, l := range f.Lines {
			if l.Out != nil {
				r = l.Out
			}
		}
		sum, record := sha256.Sum256(parcel), sha256.Sum256(in["record.json"])
		if r == nil || f.Dropped != 0 || r.To != court().To || r.First != "mina" || r.Second != "noor" || r.Parcel != hex.EncodeToString(sum[:]) || r.Record != hex.EncodeToString(record[:]) || r.Number.String() != doc.Number {
			t.Fatalf("%s reads %+v", user, r)
		}
	}
	for at, user := range map[*post]string{n: "cora", c.south: "bea"} {
		o, err := at.Sealed.Officers(at.as(t, user))
		must(t, err)
		if len(o.Out) != 1 || o.Out[0].First != "mina" || o.Out[0].Second != "noor" || len(o.Out[0].Parcel) != 64 {
			t.Errorf("%s sees %+v", user, o.Out)
		}
	}
	seen, _, err := n.Staff.LooksBy(ctx, n.as(t, "amal").Actor, n.ids["mina"], 10, nil)
	must(t, err)
	if len(seen) != 1 || seen[0].What != staff.TookOut || !seen[0].Person.IsZero() {
		t.Errorf("who looked: %+v", seen)
	}
	c.meet(t) // what they just looked at
	oplogtest.Same(t, n.log, c.south.log)
}

// A receiver's key instead of words, and an officer who is not in the file as second person.
func TestAFileIsHandedToAKey(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n := c.north
	mina := n.as(t, "mina")
	id := n.open(t, mina, "for the court alone")
	mine, err := age.GenerateX25519Identity()
	must(t, err)
	h := court()
	h.Agreed, h.Unasked, h.Recipient = false, "she is unconscious, article 9", mine.Recipient().String()
	act := n.askOut(t, mina, id, h)
	words, err := n.Sealed.AgreeToHandOver(ctx, n.as(t, "cora"), act)
	must(t, err)
	parcel, err := n.Sealed.Take(ctx, mina, act)
	must(t, err)
	in, err := unpack(t, parcel, mine)
	must(t, err)
	if words != "" || !strings.Contains(string(in["record.json"]), "for the court alone") || !strings.Contains(string(in["record.json"]), "article 9") {
		t.Errorf("%q %s", words, in["record.json"])
	}
	for name, bad := range map[string]sealed.HandOver{
		"nobody": {Basis: h.Basis, Agreed: true}, "no reason": {To: h.To, Agreed: true}, "not agreed": {To: h.To, Basis: h.Basis},
		"no key": {To: h.To, Basis: h.Basis, Agreed: true, Recipient: "age1nothing"}, "long": {To: strings.Repeat("x", 300), Basis: h.Basis, Agreed: true},
	} {
		if _, err := n.Sealed.AskHandOver(mina, id, bad, noPapers); err == nil {
			t.Errorf("%s: asked", name)
		}
	}
}

func TestNobodyHandsAFileOverAlone(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n := c.north
	mina, noor, amal := n.as(t, "mina"), n.as(t, "noor"), n.as(t, "amal")
	// An account that an officer made: the officer is no second person for it.
	a, err := n.Staff.Add(ctx, amal.Actor, staff.NewAccount{User: "puppet", Role: staff.Caseworker, Passphrase: []byte("anchor basket candle eagle harbor")})
	must(t, err)
	n.ids["puppet"] = a.ID
	puppet, err := n.Staff.SignIn(ctx, "puppet", []byte("anchor basket candle eagle harbor"))
	must(t, err)
	id := n.open(t, mina, "secret")
	_, err = n.Sealed.AskHandOver(noor, id, court(), noPapers)
	refused(t, err, "fault.sealed.no_file") // outside the file
	_, err = n.Sealed.AskHandOver(amal, id, court(), noPapers)
	if err == nil {
		t.Error("a lead asks")
	}
	act := n.askOut(t, mina, id, court())
	agree := func(s staff.Session, key string) {
		t.Helper()
		_, err := n.Sealed.AgreeToHandOver(ctx, s, act)
		refused(t, err, key)
	}
	agree(mina, "fault.staff.act_same")
	for _, user := range []string{"noor", "sami", "rana", "puppet"} {
		s := puppet
		if user != "puppet" {
			s = n.as(t, user)
		}
		agree(s, "fault.staff.no_act") // none of theirs, and they do not hear of it
	}
	must(t, n.Sealed.Assign(ctx, mina, id, n.ids["puppet"]))
	must(t, n.Staff.DeclineAct(mina.Actor, act))
	act = n.askOut(t, puppet, id, court())
	agree(amal, "fault.staff.act_made")
	// Somebody who was taken off after it was asked.
	must(t, n.Sealed.Assign(ctx, mina, id, n.ids["noor"]))
	act = n.askOut(t, mina, id, court())
	must(t, n.Sealed.Unassign(ctx, mina, id, n.ids["noor"]))
	agree(noor, "fault.sealed.not_second")
	// The one who asked is taken off after somebody agreed.
	must(t, n.Sealed.Assign(ctx, mina, id, n.ids["noor"]))
	_, err = n.Sealed.AgreeToHandOver(ctx, noor, act)
	must(t, err)
	must(t, n.Sealed.Unassign(ctx, noor, id, n.ids["mina"]))
	_, err = n.Sealed.Take(ctx, mina, act)
	refused(t, err, "fault.sealed.no_file")
	if o, err := n.Sealed.Officers(n.as(t, "cora")); err != nil || len(o.Out) != 0 {
		t.Errorf("%+v %v", o.Out, err)
	}
}

// Taken back, too late, tampered with, and too many.
func TestAParcelThatIsNotTaken(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n := c.north
	mina := n.as(t, "mina")
	id := n.open(t, mina, "secret")
	act := n.askOut(t, mina, id, court())
	must(t, n.Staff.DeclineAct(mina.Actor, act))
	if got := n.Sealed.Takings(mina.Actor); len(got) != 0 {
		t.Errorf("taken back: %+v", got)
	}
	act = n.askOut(t, mina, id, court())
	_, err := n.Sealed.AgreeToHandOver(ctx, n.as(t, "cora"), act)
	must(t, err)
	n.Sealed.Tamper(t, act)
	_, err = n.Sealed.Take(ctx, mina, act)
	refused(t, err, "fault.sealed.not_second") // not what they signed
	c.clock.Advance(31 * time.Minute)
	mina = n.as(t, "mina")
	_, err = n.Sealed.Take(ctx, mina, act)
	refused(t, err, "fault.sealed.no_parcel")
	for range 3 {
		n.askOut(t, mina, id, court())
	}
	_, err = n.Sealed.AskHandOver(mina, id, court(), noPapers)
	refused(t, err, "fault.sealed.out_many")
	if f, err := n.Sealed.Read(ctx, mina, id); err != nil || slices.ContainsFunc(f.Lines, func(l sealed.Line) bool { return l.Out != nil }) {
		t.Error("the file says that it was handed over", err)
	}
	n.Sealed.Forget()
	if got := n.Sealed.Takings(mina.Actor); len(got) != 0 {
		t.Errorf("a locked box keeps %+v", got)
	}
}

// While somebody says yes, the lists that others look at throw no parcel away.
func TestAParcelStaysWhileSomebodyAgrees(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n := c.north
	mina, amal, noor := n.as(t, "mina"), n.as(t, "amal"), n.as(t, "noor")
	id := n.open(t, mina, "to be handed over")
	for range 3 {
		act := n.askOut(t, mina, id, court())
		stop, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for {
				select {
				case <-stop:
					return
				default:
					n.Sealed.Takings(noor.Actor)
				}
			}
		}()
		words, err := n.Sealed.AgreeToHandOver(ctx, amal, act)
		close(stop)
		<-ended
		must(t, err)
		if len(strings.Fields(words)) != 5 {
			t.Fatalf("%q", words)
		}
		_, err = n.Sealed.Take(ctx, mina, act)
		must(t, err)
	}
}

// hands are two people's hands under an act, each given for it with somebody else.
func hands(t *testing.T, p *post, first, second staff.Session, act staff.Act) (one, two staff.Hand) {
	t.Helper()
	id, err := p.Staff.AskAct(first, act, func(_ context.Context, _ staff.ID, a, b staff.Hand) error { one, two = a, b; return nil })
	must(t, err)
	must(t, p.Staff.ConfirmAct(ctx, second, id))
	return one, two
}

// What a node without valid hands writes is on nobody's list, and in no file.
func TestHandOversThatNobodySigned(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n, s := c.north, c.south
	amal, mina, noor, bilal := n.as(t, "amal"), n.as(t, "mina"), n.as(t, "noor"), s.as(t, "bilal")
	// Mina's second account, at the other post.
	var person oplog.ID
	colleagues, err := s.Staff.Colleagues(ctx, s.as(t, "bea").Actor)
	must(t, err)
	for _, x := range colleagues {
		if x.User == "mina" {
			person = x.Person
		}
	}
	_, err = s.Staff.Add(ctx, operator, staff.NewAccount{User: "mina2", Role: staff.Caseworker, Passphrase: secret, Person: person})
	must(t, err)
	c.meet(t)
	request, parcel := [32]byte{1}, [32]byte{2}
	act := sealed.HandAct(request, parcel)
	m, nr := hands(t, n, mina, noor, act)
	m2, b := hands(t, s, s.as(t, "mina2"), bilal, act)
	other, _ := hands(t, n, mina, noor, sealed.HandAct(request, [32]byte{3}))
	must(t, s.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error {
		for _, pair := range [][2]staff.Hand{{m, m}, {m, m2}, {other, nr}, {nil, nil}, {[]byte("x"), nr}} {
			if err := sealed.HandedFact(tx, request, parcel, pair[0], pair[1]); err != nil {
				return err
			}
		}
		return sealed.HandedFact(tx, request, [32]byte{9}, m, nr) // other bytes than they signed
	}))
	c.meet(t)
	o, err := n.Sealed.Officers(amal)
	must(t, err)
	if len(o.Out) != 0 {
		t.Errorf("%+v", o.Out)
	}
	must(t, s.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error { // the true one, twice, behind the forged ones
		if err := sealed.HandedFact(tx, request, parcel, m, nr); err != nil {
			return err
		}
		return sealed.HandedFact(tx, request, parcel, nr, b)
	}))
	c.meet(t)
	if o, err = n.Sealed.Officers(amal); err != nil || len(o.Out) != 1 {
		t.Errorf("%+v %v", o.Out, err)
	}
	// Written down again at another time, by whoever may write: it stays as new as it was.
	latest := o.Out[0].At
	for range 4 {
		n.clock.Advance(-30 * 24 * time.Hour)
		must(t, s.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error { return sealed.HandedFact(tx, request, parcel, m, nr) }))
	}
	n.clock.Advance(120 * 24 * time.Hour)
	c.meet(t)
	if o, err = n.Sealed.Officers(amal); err != nil || len(o.Out) != 1 || !o.Out[0].At.Equal(latest) {
		t.Errorf("%+v %v", o.Out, err)
	}
	// In a file: by one hand twice, by hands for another file, by somebody who may not.
	id, elsewhere := n.open(t, mina, "secret"), n.open(t, mina, "another")
	good := func(request, parcel [32]byte) (staff.Hand, staff.Hand) {
		return hands(t, n, mina, amal, sealed.HandAct(request, parcel))
	}
	n.Sealed.ForgeHanded(t, mina, id, id, func(request, parcel [32]byte) (staff.Hand, staff.Hand) { a, _ := good(request, parcel); return a, a })
	n.Sealed.ForgeHanded(t, mina, id, elsewhere, good)
	n.Sealed.ForgeHanded(t, mina, id, id, func(request, parcel [32]byte) (staff.Hand, staff.Hand) { a, b := good(request, parcel); return b, a })
	n.Sealed.ForgeHanded(t, mina, id, id, func(request, parcel [32]byte) (staff.Hand, staff.Hand) {
		return hands(t, n, mina, n.as(t, "sami"), sealed.HandAct(request, parcel))
	})
	f, err := n.Sealed.Read(ctx, mina, id)
	must(t, err)
	if f.Dropped != 4 || slices.ContainsFunc(f.Lines, func(l sealed.Line) bool { return l.Out != nil }) {
		t.Errorf("%d left out", f.Dropped)
	}
	n.Sealed.ForgeHanded(t, mina, id, id, good) // with what it takes it counts
	if f, err = n.Sealed.Read(ctx, mina, id); err != nil || f.Dropped != 4 || !slices.ContainsFunc(f.Lines, func(l sealed.Line) bool { return l.Out != nil }) {
		t.Errorf("%d left out, %v", f.Dropped, err)
	}
}

// After a hand-over, opened with every key of the vault: nothing of what left, to whom, or
// why.
func TestAHandOverLeavesNothingBehind(t *testing.T) {
	onceOver(t)
	c := newCamp(t)
	c.begin(t)
	n := c.north
	mina := n.as(t, "mina")
	id := n.open(t, mina, "begin")
	planted := names()
	for i := range 110 {
		must(t, n.Sealed.Note(ctx, mina, id, fmt.Sprint("note ", planted[i%len(planted)]), time.Time{}))
	}
	h := court()
	h.To, h.Basis, h.Agreed, h.Unasked, h.Person = "Qvzkcourt", "because Qvzkorder says so", false, "because Qvzkunasked", "Qvzkperson"
	planted = append(planted, h.To, "Qvzkorder", "Qvzkunasked", h.Person)
	act := n.askOut(t, mina, id, h)
	words, err := n.Sealed.AgreeToHandOver(ctx, n.as(t, "cora"), act)
	must(t, err)
	parcel, err := n.Sealed.Take(ctx, mina, act)
	must(t, err)
	in, err := unpack(t, parcel, byWords(t, words))
	must(t, err)
	for user := range n.ids {
		n.out(user)
	}
	c.meet(t)
	for _, p := range []*post{n, c.south} {
		everything := p.everything(t, map[oplog.ID]bool{})
		for _, name := range append(planted, words) {
			if bytes.Contains(everything, []byte(name)) {
				t.Errorf("%s is readable", name)
			}
		}
		if bytes.Contains(everything, parcel[200:232]) {
			t.Error("the parcel lies somewhere")
		}
	}
	for _, name := range planted {
		if !bytes.Contains(in["record.json"], []byte(name)) {
			t.Errorf("%s is not in the parcel", name)
		}
	}
}
