package identity

import (
	"bytes"
	"crypto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

func TestAnInvitationLetsOneNodeIn(t *testing.T) {
	c := clock.NewFake(noon())
	v, _ := founder(t, c)
	a := applicant(t, v)
	reply, cert, err := v.Admit(a.Request())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	n, err := a.Accept(dir, c, reply, "South gate", words(open5))
	if err != nil {
		t.Fatal(err)
	}
	if n.NodeID() != cert.ID() || cert.Number != 2 || cert.Has(CapEnrol) || !cert.Has(CapTokens) || n.CanEnrol() || n.RootOnBox() ||
		n.GossipKey() != v.GossipKey() || n.Deployment() != v.Deployment() || n.DeploymentName() != "Coast" || n.SiteName() != "South gate" {
		t.Fatalf("%+v", cert)
	}
	if err := n.Cert().VerifyAt(v.Root(), noon()); err != nil {
		t.Fatal(err)
	}
	shown := CompareWords(v.Deployment(), v.Cert().Public, cert.Public)
	if len(shown) != 5 || !slices.Equal(shown, n.CompareWords()) {
		t.Fatalf("both screens must show the same: %v %v", shown, n.CompareWords())
	}
	again := unlock(t, dir, c)
	if inviter, ok := again.Inviter(); !ok || inviter.ID() != v.NodeID() || !slices.Equal(again.CompareWords(), shown) {
		t.Fatal("who let us in is forgotten")
	}
	_, err = n.Invite(0, nil)
	wantFault(t, err, fault.Denied, "fault.identity.cannot_enrol")
}

func TestAnInvitationWorksOnce(t *testing.T) {
	c := clock.NewFake(noon())
	v, dir := founder(t, c)
	inv, err := v.Invite(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	first, second := applicantFor(t, inv.Code), applicantFor(t, inv.Code)
	_, cert, err := v.Admit(first.Request())
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []*Vault{v, unlock(t, dir, c)} { // before and after a restart
		_, _, err := who.Admit(second.Request())
		wantFault(t, err, fault.Conflict, "fault.identity.invitation_used")
		if fault.Of(err).Args[refusedArg] == nil {
			t.Fatal("which one is not said")
		}
		// The answer was lost on the way: the same node asks again.
		_, same, err := who.Admit(first.Request())
		if err != nil || same.Number != cert.Number || same.Sig != cert.Sig {
			t.Fatalf("%+v %v", same, err)
		}
	}
	if n := joined(t, v, "Third"); n.Cert().Number != 3 {
		t.Fatalf("number %d", n.Cert().Number)
	}
}

// Ten nodes with one secret at the same moment: one certificate.
func TestTwoAtOnceOneWins(t *testing.T) {
	v, _ := founder(t, clock.NewFake(noon()))
	inv, err := v.Invite(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	const many = 10
	var wg sync.WaitGroup
	errs := make(chan error, many)
	for range many {
		a := applicantFor(t, inv.Code)
		wg.Go(func() {
			_, _, err := v.Admit(a.Request())
			errs <- err
		})
	}
	wg.Wait()
	won := 0
	for range many {
		if err := <-errs; err == nil {
			won++
		} else {
			wantFault(t, err, fault.Conflict, "fault.identity.invitation_used")
		}
	}
	if won != 1 {
		t.Fatalf("%d nodes were let in", won)
	}
}

// Used is on the card before anybody learns a certificate.
func TestNothingIsGivenThatIsNotOnTheCard(t *testing.T) {
	c := clock.NewFake(noon())
	v, _ := founder(t, c)
	a := applicant(t, v)
	good := v.sealed
	v.sealed = NewSealedFile(t.TempDir()+"/nowhere", "secrets", *v.storage)
	reply, _, err := v.Admit(a.Request())
	wantFault(t, err, fault.Unavailable, "fault.identity.cannot_write")
	if reply != nil {
		t.Fatal("a reply all the same")
	}
	v.sealed = good
	if _, cert, err := v.Admit(a.Request()); err != nil || cert.Number != 2 {
		t.Fatalf("%+v %v", cert, err)
	}
}

func TestAnInvitationEnds(t *testing.T) {
	c := clock.NewFake(noon())
	v, dir := founder(t, c)
	inv, err := v.Invite(0, nil)
	if err != nil || !inv.Expires.Equal(noon().Add(10*time.Minute)) {
		t.Fatal(inv, err)
	}
	a := applicantFor(t, inv.Code)
	c.Advance(10*time.Minute + time.Second)
	_, _, err = v.Admit(a.Request())
	wantFault(t, err, fault.Gone, "fault.identity.invitation_expired")
	_, _, err = unlock(t, dir, c).Admit(a.Request())
	wantFault(t, err, fault.Gone, "fault.identity.invitation_expired")
	for _, ttl := range []time.Duration{-time.Second, 25 * time.Hour} {
		_, err := v.Invite(ttl, nil)
		wantFault(t, err, fault.Invalid, "fault.identity.bad_ttl")
	}
}

// A restart keeps what is left of an invitation, and a clock that went back to
// 1970 meanwhile does not spoil it.
func TestAnInvitationOutlivesARestart(t *testing.T) {
	c := clock.NewFake(noon())
	v, dir := founder(t, c)
	a := applicant(t, v)
	c.Advance(6 * time.Minute)
	again := unlock(t, dir, c)
	c.Advance(5 * time.Minute)
	_, _, err := again.Admit(a.Request())
	wantFault(t, err, fault.Gone, "fault.identity.invitation_expired")

	c.Set(time.Unix(0, 0))
	reset := unlock(t, dir, c)
	c.Advance(9 * time.Minute)
	if _, cert, err := reset.Admit(a.Request()); err != nil || cert.VerifyAt(reset.Root(), noon()) != nil {
		t.Fatal(err)
	}
}

func TestStrangersAreNotLetIn(t *testing.T) {
	c := clock.NewFake(noon())
	v, _ := founder(t, c)
	other, _ := founder(t, c)
	a := applicant(t, v)
	raw := a.Request()
	_, _, err := other.Admit(raw) // signed for v
	wantFault(t, err, fault.Invalid, "fault.identity.bad_request")
	for i := range raw {
		forged := bytes.Clone(raw)
		forged[i] ^= 1
		if _, _, err := v.Admit(forged); err == nil {
			t.Fatalf("byte %d can be changed", i)
		}
	}
	for _, junk := range [][]byte{nil, {0xf6}, raw[:len(raw)-1], append(bytes.Clone(raw), 0), make([]byte, 4096)} {
		_, _, err := v.Admit(junk)
		wantFault(t, err, fault.Invalid, "fault.identity.bad_request")
	}
	code := a.code
	code.Secret[0]++
	guess, err := NewApplicant(code)
	must(t, err)
	_, _, err = v.Admit(guess.Request())
	wantFault(t, err, fault.Denied, "fault.identity.invitation_unknown")
	// The right invitation without its secret: the id is not enough.
	var r request
	must(t, decode(guess.Request(), &r))
	r.ID = a.code.id()
	r.Sig = [64]byte(mustSign(guess, r.signed(code.Fingerprint)))
	_, _, err = v.Admit(encode(r))
	wantFault(t, err, fault.Denied, "fault.identity.invitation_unknown")
	// None of this used the invitation up.
	if _, _, err := v.Admit(raw); err != nil {
		t.Fatal(err)
	}
}

func mustSign(a *Applicant, msg []byte) []byte {
	sig, err := a.node.Sign(nil, msg, crypto.Hash(0))
	if err != nil {
		panic(err)
	}
	return sig
}

func TestAForgedReplyIsNotAccepted(t *testing.T) {
	c := clock.NewFake(noon())
	v, _ := founder(t, c)
	a := applicant(t, v)
	good, _, err := v.Admit(a.Request())
	must(t, err)
	dir := t.TempDir()
	for i := range good {
		forged := bytes.Clone(good)
		forged[i] ^= 1
		if _, err := a.parseReply(forged); err == nil {
			t.Fatalf("byte %d can be changed", i)
		}
	}
	b := applicant(t, v) // another node's reply
	theirs, _, err := v.Admit(b.Request())
	must(t, err)
	for _, reply := range [][]byte{nil, theirs, good[:len(good)-1]} {
		_, err := a.Accept(dir, c, reply, "South gate", words(open5))
		wantFault(t, err, fault.Invalid, "fault.identity.bad_reply")
	}
	if Exists(dir) {
		t.Fatal("something was written")
	}
	_, err = a.Accept(dir, c, good, " ", words(open5))
	wantFault(t, err, fault.Invalid, "fault.identity.bad_site")
	_, taken := founder(t, c)
	_, err = a.Accept(taken, c, good, "South gate", words(open5))
	wantFault(t, err, fault.Conflict, "fault.identity.exists")
	if _, err := a.Accept(dir, c, good, "South gate", words(open5)); err != nil {
		t.Fatal(err)
	}
}

func TestNumbersAreGivenOnce(t *testing.T) {
	v, _ := founder(t, clock.NewFake(noon()))
	v.reserve(40) // the register knows more than a restored folder
	if n := joined(t, v, "Next"); n.Cert().Number != 41 {
		t.Fatalf("number %d", n.Cert().Number)
	}
	v.reserve(blockSize - 1)
	_, _, err := v.Admit(applicant(t, v).Request())
	wantFault(t, err, fault.Full, "fault.identity.numbers_spent")
}

func TestAnIssuerPastItsDate(t *testing.T) {
	c := clock.NewFake(noon())
	v, _ := founder(t, c)
	a := applicant(t, v)
	c.Set(noon().AddDate(0, 0, 731))
	_, err := v.Invite(0, nil)
	wantFault(t, err, fault.Denied, "fault.identity.issuer_over")
	c.Set(noon())
	if _, _, err := v.Admit(a.Request()); err != nil {
		t.Fatal(err)
	}
	// A clock nobody set may not stop a camp from growing.
	c.Set(noon().AddDate(50, 0, 0))
	c.SetSure(false)
	if _, err := v.Invite(0, nil); err != nil {
		t.Fatal(err)
	}
}

func TestOldInvitationsMakeRoom(t *testing.T) {
	v, _ := founder(t, clock.NewFake(noon()))
	first := applicant(t, v)
	var last *Applicant
	for range maxOutstanding {
		last = applicant(t, v)
	}
	if n := len(v.s.Invitations); n != maxOutstanding {
		t.Fatalf("%d are kept", n)
	}
	_, _, err := v.Admit(first.Request())
	wantFault(t, err, fault.Denied, "fault.identity.invitation_unknown")
	if _, _, err := v.Admit(last.Request()); err != nil {
		t.Fatal(err)
	}
}

func TestCodesAreReadHoweverTheyAreTyped(t *testing.T) {
	v, _ := founder(t, clock.NewFake(noon()))
	inv, err := v.Invite(time.Minute, []string{"192.0.2.1:7946", "[2001:db8::1]:7946", strings.Repeat("x", 200)})
	must(t, err)
	if strings.ContainsAny(inv.Code, " \n") || !strings.HasPrefix(inv.Code, "WPI1") {
		t.Fatal(inv.Code)
	}
	want, err := ParseInvitation(inv.Code)
	must(t, err)
	if !slices.Equal(want.Addrs, []string{"192.0.2.1:7946", "[2001:db8::1]:7946"}) || !want.Pins(v.cert.Public[:]) || want.Pins(v.Root()) || want.Pins(nil) {
		t.Fatalf("%+v", want)
	}
	spaced := strings.Join(strings.Split(inv.Code, ""), " ")
	for name, code := range map[string]string{
		"lines": "\n " + inv.Code[:20] + "\r\n" + inv.Code[20:] + "\t\n", "lower": strings.ToLower(inv.Code), "spaced": spaced,
		"dashes": inv.Code[:8] + "-" + inv.Code[8:], "typed digits": "WPI1" + strings.NewReplacer("O", "0", "I", "1", "B", "8").Replace(inv.Code[4:]),
	} {
		got, err := ParseInvitation(code)
		if err != nil || got.Secret != want.Secret || got.Fingerprint != want.Fingerprint {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, junk := range map[string]string{
		"empty": "", "prefix": "WPI1", "nonsense": "WPI1NONSENSE", "cut": inv.Code[:len(inv.Code)-2], "a letter": flip(inv.Code, 30),
		"a card": "WP1:ABC", "another version": "WPI2" + inv.Code[4:], "twice": inv.Code + inv.Code, "huge": strings.Repeat("A", 1<<20), "not text": "WPI1\xff\xfe",
	} {
		_, err := ParseInvitation(junk)
		if err == nil {
			t.Fatalf("%s was read", name)
		}
		wantFault(t, err, fault.Invalid, "fault.identity.bad_invitation")
	}
}

func flip(code string, at int) string {
	letter := "A"
	if code[at] == 'A' {
		letter = "C"
	}
	return code[:at] + letter + code[at+1:]
}

func FuzzParseInvitation(f *testing.F) {
	v, _ := founder(f, clock.NewFake(noon()))
	inv, err := v.Invite(0, []string{"192.0.2.1:7946"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(inv.Code)
	f.Add("WPI1")
	f.Add("wpi1 aaaa")
	f.Fuzz(func(t *testing.T, in string) {
		c, err := ParseInvitation(in)
		if err != nil {
			return
		}
		back, err := ParseInvitation(c.String())
		if err != nil || back.Secret != c.Secret || !slices.Equal(back.Addrs, c.Addrs) || !back.Expires.Equal(c.Expires) {
			t.Fatalf("%+v became %+v, %v", c, back, err)
		}
	})
}

func FuzzAdmit(f *testing.F) {
	v, _ := founder(f, clock.NewFake(noon()))
	inv, err := v.Invite(0, nil)
	if err != nil {
		f.Fatal(err)
	}
	a := applicantFor(f, inv.Code)
	f.Add(a.Request())
	f.Add([]byte{0x86, 0x01})
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, _, err := v.Admit(in); err == nil && !bytes.Equal(in, a.Request()) {
			t.Fatalf("%x was let in", in)
		}
	})
}

func FuzzParseReply(f *testing.F) {
	v, _ := founder(f, clock.NewFake(noon()))
	a := applicant(f, v)
	reply, _, err := v.Admit(a.Request())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(reply)
	f.Add([]byte{0x88, 0x01})
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, err := a.parseReply(in); err == nil && !bytes.Equal(in, reply) {
			t.Fatal("another reply was accepted")
		}
	})
}
