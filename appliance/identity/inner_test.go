package identity

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// The kit opens the records of the site, and nothing that lets anybody in.
func TestTheKitGivesNeitherRootNorIssuer(t *testing.T) {
	c := clock.NewFake(noon())
	v, dir := founder(t, c)
	must(t, v.update(func(s *secrets) error { return nil }))
	kit, err := v.Recovery()
	must(t, err)
	more, err := v.MoreWords()
	must(t, err)
	stick, err := v.KeyStick()
	must(t, err)
	root, issuer := bytes.Clone(v.s.RootSeed), bytes.Clone(v.s.IssuerSeed)
	v.Close()

	k, err := Unlock(dir, c, words(kit))
	must(t, err)
	if k.CanEnrol() || k.RootOnBox() || len(k.s.RootSeed)+len(k.s.IssuerSeed) > 0 {
		t.Fatal("the kit gives more than the records")
	}
	if isKit, r, i := k.Shut(); !isKit || !r || !i {
		t.Fatal("nobody is told what is closed")
	}
	if bytes.Contains(encode(k.s), root) || bytes.Contains(encode(k.s), issuer) {
		t.Fatal("a seed lies under the storage key")
	}
	_, err = k.Invite(0, nil)
	wantFault(t, err, fault.Denied, "fault.identity.cannot_enrol")
	wantFault(t, k.ForgetRoot(), fault.Denied, "fault.identity.shut")
	wantFault(t, k.beginRite(CeremonyFull), fault.Denied, "fault.identity.shut")
	if _, ok := k.Countersign([]byte("x")); ok {
		t.Fatal("an issuer's word")
	}
	if _, _, ok := k.SignAsIssuer("waypost/x/1", nil); ok {
		t.Fatal("an issuer's word")
	}
	if _, ok := k.SignAsRoot("waypost/x/1", nil); ok {
		t.Fatal("the root's word")
	}
	if key, ok := k.CompartmentKey(oplog.Register, 0, 1); !ok || key == ([32]byte{}) || k.sign([]byte("x")) == nil {
		t.Fatal("and the records it does not open")
	}
	// What it writes keeps the inner part, and ways it makes do not carry its key.
	must(t, k.update(func(s *secrets) error { s.Site = "Renamed"; return nil }))
	late, err := k.KeyStick()
	must(t, err)
	again, err := Unlock(dir, c, late.Text())
	must(t, err)
	if again.CanEnrol() {
		t.Fatal("a stick that the kit made")
	}
	_, err = Unlock(dir, c, stick.Text())
	wantFault(t, err, fault.Denied, "fault.identity.wrong_key_file")
	for _, secret := range []string{open5, more} {
		full, err := Unlock(dir, c, words(secret))
		must(t, err)
		if !full.CanEnrol() || !full.RootOnBox() || full.SiteName() != "Renamed" || !bytes.Equal(full.s.RootSeed, root) {
			t.Fatal("the words lost something")
		}
	}
	inner, err := openPost(t, k).desk.InnerWays()
	must(t, err)
	if !slices.Equal(inner, []string{SlotLead, SlotWords}) {
		t.Fatal(inner)
	}
}

// undivided is a folder as the version before wrote it.
func undivided(t *testing.T, v *Vault, kinds map[string]string) {
	t.Helper()
	storage, _ := v.keysCopy()
	var slots []slot
	for _, kind := range []string{SlotLead, SlotRecovery, SlotWords} {
		if secret, ok := kinds[kind]; ok {
			s, err := newSlot(kind, words(secret), TestCost(), &storage, nil)
			must(t, err)
			slots = append(slots, s)
		}
	}
	must(t, writeTwice(v.dir, unlockName, encodeSlots(slots)))
	old := *v.s
	old.Version, old.Inner, old.Holds = secretsUndivided, nil, 0
	must(t, v.sealed.Write(encode(old)))
	v.Close()
}

func TestAnOlderFolderIsDivided(t *testing.T) {
	c := clock.NewFake(noon())
	v, dir := founder(t, c)
	root := bytes.Clone(v.s.RootSeed)
	undivided(t, v, map[string]string{SlotLead: open5, SlotRecovery: "the kit", SlotWords: "more words"})
	raw, err := os.ReadFile(filepath.Join(dir, "unlock"))
	must(t, err)
	if !bytes.Contains(raw, []byte(unlockMagic)) {
		t.Fatal("not an older folder")
	}
	// The kit changes nothing and uses nothing.
	k, err := Unlock(dir, c, words("the kit"))
	must(t, err)
	if k.CanEnrol() || k.RootOnBox() || k.s.Version != secretsUndivided {
		t.Fatal("the kit enrols")
	}
	must(t, k.update(func(s *secrets) error { s.Site = "Renamed"; return nil }))
	// Other words go on as before, until the lead's have divided it.
	if w, err := Unlock(dir, c, words("more words")); err != nil || !w.CanEnrol() || w.s.Version != secretsUndivided {
		t.Fatal(err)
	}
	lead := unlock(t, dir, c)
	if !lead.CanEnrol() || !lead.RootOnBox() || lead.s.Version != secretsVersion || len(lead.Mended()) > 0 || !bytes.Equal(lead.s.RootSeed, root) {
		t.Fatal(lead.Mended())
	}
	if w, err := Unlock(dir, c, words("more words")); err != nil || w.CanEnrol() {
		t.Fatal("words nobody could write a key for", err)
	}
	if k, err := Unlock(dir, c, words("the kit")); err != nil || k.CanEnrol() || len(k.s.RootSeed) > 0 || k.SiteName() != "Renamed" {
		t.Fatal(err)
	}
	if again := unlock(t, dir, c); !again.CanEnrol() || !again.RootOnBox() {
		t.Fatal("gone after the second start")
	}
}

// Power goes between the two files: nothing is lost.
func TestDividingHalfway(t *testing.T) {
	c := clock.NewFake(noon())
	v, dir := founder(t, c)
	undivided(t, v, map[string]string{SlotLead: open5})
	before, err := os.ReadFile(filepath.Join(dir, "secrets"))
	must(t, err)
	unlock(t, dir, c).Close()
	for _, name := range []string{"secrets", "secrets.2"} {
		must(t, os.WriteFile(filepath.Join(dir, name), before, 0o600))
	}
	again := unlock(t, dir, c)
	if !again.CanEnrol() || !again.RootOnBox() || again.s.Version != secretsVersion {
		t.Fatal("lost")
	}
	if last := unlock(t, dir, c); !last.CanEnrol() {
		t.Fatal("lost at the next start")
	}
}

// The words are lost and the kit is not: with new words a new issuer can be put here, and
// only when no way is left that opens what was here before.
func TestANewIssuerAfterTheWordsWereLost(t *testing.T) {
	ctx, c := context.Background(), clock.NewFake(noon())
	v, dir := founder(t, c)
	sheet, err := v.rootSheet()
	must(t, err)
	made, err := NewIssuerFrom(sheet, 3, noon(), TestCost())
	must(t, err)
	kit, err := v.Recovery()
	must(t, err)
	v.Close()
	k, err := Unlock(dir, c, words(kit))
	must(t, err)
	p := openPost(t, k)
	_, err = p.desk.InstallIssuer(ctx, made.File, words(strings.Join(made.Words, " ")))
	wantFault(t, err, fault.Denied, "fault.identity.shut")
	fresh, err := k.MoreWords()
	must(t, err)
	w, err := Unlock(dir, c, words(fresh))
	must(t, err)
	q := openPost(t, w)
	_, err = q.desk.InstallIssuer(ctx, made.File, words(strings.Join(made.Words, " ")))
	wantFault(t, err, fault.Denied, "fault.identity.shut") // the lead's words may turn up
	must(t, w.RemoveSlot(SlotLead))
	cert, err := q.desk.InstallIssuer(ctx, made.File, words(strings.Join(made.Words, " ")))
	must(t, err)
	if cert.Issuer != made.Cert || !w.CanEnrol() || cert.Number != 1 {
		t.Fatalf("%+v", cert)
	}
	if n := joined(t, w, "Next"); n.Cert().Number != 2*blockSize {
		t.Fatalf("number %d", n.Cert().Number)
	}
	if again, err := Unlock(dir, c, words(fresh)); err != nil || !again.CanEnrol() || again.Cert().Issuer != made.Cert {
		t.Fatal(err)
	}
}

// A way that does not reach the issuer never takes the place of the last one that does.
func TestTheIssuerIsNotLostWithAWay(t *testing.T) {
	c := clock.NewFake(noon())
	v, dir := founder(t, c)
	kit, err := v.Recovery()
	must(t, err)
	wantFault(t, v.RemoveSlot(SlotLead), fault.Conflict, "fault.identity.last_inner")
	v.Close()
	k, err := Unlock(dir, c, words(kit))
	must(t, err)
	wantFault(t, k.AddSlot(SlotLead, words("another five words altogether")), fault.Conflict, "fault.identity.last_inner")
	k.Close()
	v, err = Unlock(dir, c, words(open5))
	must(t, err)
	stick, err := v.KeyStick()
	must(t, err)
	must(t, v.RemoveSlot(SlotLead))
	v.Close()
	v, err = Unlock(dir, c, stick.Text())
	must(t, err)
	if !v.CanEnrol() || !v.RootOnBox() {
		t.Fatal("the stick does not reach the issuer")
	}
	wantFault(t, v.RemoveSlot(SlotStick), fault.Conflict, "fault.identity.last_inner")
}

// What another box handed over never opens the inner part, nor begins one that nothing
// would open afterwards.
func TestPeersNeverReachTheInnerPart(t *testing.T) {
	c := clock.NewFake(noon())
	v, dir := founder(t, c)
	key := [32]byte{7}
	storage, inner := v.keysCopy()
	made, err := newPeers(key, &storage)
	must(t, err)
	must(t, v.setSlot(made))
	v.Close()
	p, err := Unlock(dir, c, peersSecret(key))
	must(t, err)
	if _, _, issuer := p.Shut(); !issuer || p.CanEnrol() || p.RootOnBox() {
		t.Fatal("another box reaches the issuer")
	}
	// The lead's words are gone: nobody can write a key for words that nobody has typed.
	must(t, writeTwice(dir, unlockName, encodeSlots([]slot{made})))
	p.mu.Lock()
	err = p.reach()
	p.mu.Unlock()
	wantFault(t, err, fault.Denied, "fault.identity.shut")
	p.Close()
	fat := made
	fat.Wrapped = append(bytes.Clone(made.Wrapped), inner...)
	if _, err := parseSlots(encodeSlots([]slot{fat})); err == nil {
		t.Fatal("a slot of other boxes with an inner key is taken")
	}
}

// A folder of before the inner part gives its seeds to nobody who came through another box.
func TestPeersDoNotOpenAnOlderFolder(t *testing.T) {
	c := clock.NewFake(noon())
	v, dir := founder(t, c)
	storage, _ := v.keysCopy()
	undivided(t, v, map[string]string{SlotRecovery: "ten words of a kit that lie in a drawer here"})
	key := [32]byte{7}
	made, err := newPeers(key, &storage)
	must(t, err)
	must(t, writeTwice(dir, unlockName, encodeSlots([]slot{made})))
	v.Close()
	p, err := Unlock(dir, c, peersSecret(key))
	must(t, err)
	if p.CanEnrol() || p.RootOnBox() {
		t.Fatal("another box reaches the issuer")
	}
}

// Words are stretched for a second, and meanwhile the inner part may be begun anew (by a
// second page, or a power-on that divides it). They carry the key that counts when they are
// written, or the issuer would be gone with the day the older way is lost.
func TestWordsThatWereBeingStretchedReachTheNewInnerPart(t *testing.T) {
	c := clock.NewFake(noon())
	first, dir := founder(t, c)
	first.Close()
	v := unlock(t, dir, c)
	stretching.turn <- struct{}{} // nobody is stretched
	done := make(chan error)
	go func() { done <- v.AddSlot(SlotWords, words("five words for the deputy")) }()
	for len(stretching.queue) == 0 { // it stands in line
		runtime.Gosched()
	}
	v.mu.Lock()
	slots, err := readSlots(dir)
	must(t, err)
	err = v.renewInner(slots)
	v.mu.Unlock()
	<-stretching.turn
	must(t, err)
	must(t, <-done)
	v.Close()
	again, err := Unlock(dir, c, words("five words for the deputy"))
	must(t, err)
	if _, _, issuer := again.Shut(); issuer || !again.CanEnrol() {
		t.Error("the new words do not reach the issuer")
	}
}
