package identity

import (
	"bytes"
	"crypto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

func TestAKeyStickOpensTheBox(t *testing.T) {
	c := clock.NewFake(noon())
	v, dir := founder(t, c)
	first, err := v.KeyStick()
	must(t, err)
	stick, err := v.KeyStick()
	must(t, err)
	for what, file := range map[string][]byte{
		"as made": stick.Text(), "Windows line ends": bytes.ReplaceAll(stick.Text(), []byte("\n"), []byte("\r\n")),
		"the line alone": []byte("  " + strings.Split(string(stick.Text()), "\n")[1]),
	} {
		again, err := Unlock(dir, c, file)
		if err != nil || again.NodeID() != v.NodeID() || again.Subkey("journal") != v.Subkey("journal") {
			t.Fatalf("%s: %v", what, err)
		}
	}
	_, err = Unlock(dir, c, first.Text())
	wantFault(t, err, fault.Denied, "fault.identity.wrong_key_file")
	unlock(t, dir, c) // the words go on

	// A box opened by its stick makes strong slots.
	again, err := Unlock(dir, c, stick.Text())
	must(t, err)
	if again.cost.or() != StrongCost() {
		t.Fatalf("%+v", again.cost)
	}
	if strings.Contains(stick.Name(), v.SiteName()) || !strings.HasPrefix(stick.Name(), "waypost-key-"+v.NodeID().String()) {
		t.Fatal(stick.Name())
	}
}

func TestADamagedKeyFileIsSaid(t *testing.T) {
	c := clock.NewFake(noon())
	v, dir := founder(t, c)
	stick, err := v.KeyStick()
	must(t, err)
	text := stick.Text()
	at := bytes.Index(text, []byte(keyFileMark))
	for i := at + len(keyFileMark); i < len(text)-1; i++ {
		bad := bytes.Clone(text)
		bad[i] ^= 1
		if _, err := Unlock(dir, c, bad); fault.Of(err).Key != "fault.identity.bad_key_file" {
			t.Fatalf("byte %d (%q): %v", i, text[i], err)
		}
	}
	for _, bad := range [][]byte{nil, []byte(keyFileMark), text[:len(text)-3], bytes.Repeat([]byte(keyFileMark+" "), 1000)} {
		if _, err := ParseKeyFile(bad); fault.Of(err).Key != "fault.identity.bad_key_file" {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

func FuzzParseKeyFile(f *testing.F) {
	f.Add(KeyFile{Node: NodeID{1}, Key: [32]byte{2}}.Text())
	f.Add([]byte(keyFileMark + " a b c"))
	f.Fuzz(func(t *testing.T, in []byte) {
		k, err := ParseKeyFile(in)
		if err != nil {
			return
		}
		if again, err := ParseKeyFile(k.Text()); err != nil || again != k {
			t.Fatalf("%+v %v", again, err)
		}
	})
}

func TestTheLastWayInStays(t *testing.T) {
	c := clock.NewFake(noon())
	v, dir := founder(t, c)
	wantFault(t, v.RemoveSlot(SlotLead), fault.Conflict, "fault.identity.last_slot")
	wantFault(t, v.RemoveSlot("king"), fault.NotFound, "fault.identity.no_such_slot")
	more, err := v.MoreWords()
	if err != nil || len(strings.Fields(more)) != 5 {
		t.Fatal(more, err)
	}
	stick, err := v.KeyStick()
	must(t, err)
	if kinds, err := Ways(dir); err != nil || !slices.Equal(kinds, []string{SlotLead, SlotWords, SlotStick}) {
		t.Fatal(kinds, err)
	}
	must(t, v.RemoveSlot(SlotLead))
	_, err = Unlock(dir, c, words(open5))
	wantFault(t, err, fault.Denied, "fault.identity.wrong_passphrase")
	if _, err := Unlock(dir, c, words(more)); err != nil {
		t.Fatal(err)
	}
	must(t, v.RemoveSlot(SlotWords))
	wantFault(t, v.RemoveSlot(SlotStick), fault.Conflict, "fault.identity.last_slot")
	if _, err := Unlock(dir, c, stick.Text()); err != nil {
		t.Fatal(err)
	}
	wantFault(t, v.AddSlot(SlotStick, words("typed")), fault.Invalid, "fault.identity.slot_kind")
}

// A stick's slot that asks for stretching, and a passphrase's that asks for none, are not
// what this program writes.
func TestASlotIsStretchedByItsKind(t *testing.T) {
	stick, wrapping := emptyStick([32]byte{2})
	must(t, stick.wrap(&wrapping, &[32]byte{1}, nil))
	plain, err := newSlot(SlotLead, words("x"), TestCost(), &[32]byte{1}, nil)
	must(t, err)
	if _, err := parseSlots(encodeSlots([]slot{stick, plain})); err != nil {
		t.Fatal(err)
	}
	wrong, weak := stick, plain
	wrong.Passes, wrong.KiB = 1, 8
	weak.Passes, weak.KiB = 0, 0
	for _, s := range []slot{wrong, weak} {
		if _, err := parseSlots(encodeSlots([]slot{s})); err == nil {
			t.Errorf("%s with %+v was taken", s.Kind, s.cost())
		}
	}
}

func TestAClosedVaultHasNoKeys(t *testing.T) {
	v, dir := founder(t, clock.NewFake(noon()))
	storage, node, register, gossip := v.storage[:], v.s.NodeSeed, v.s.Registers[0].Key, v.s.Gossip[0]
	root, journal, signer := v.s.RootSeed, v.Subkey("journal"), v.Signer()
	if before := read(t, filepath.Join(dir, "secrets")); len(before) == 0 || v.SignHead([]byte("x")) == nil {
		t.Fatal("it does not work before")
	}
	v.Close()
	v.Close()
	for name, key := range map[string][]byte{"storage": storage, "node": node, "register": register, "gossip": gossip, "root": root, "file": v.sealed.key[:]} {
		if len(key) != 32 || !bytes.Equal(key, make([]byte, 32)) {
			t.Errorf("the key %s is still there", name)
		}
	}
	if v.SignHead([]byte("x")) != nil || v.SignToken([]byte("x")) != nil {
		t.Error("it signs")
	}
	if _, err := signer.Sign(nil, []byte("x"), noHash{}); fault.Of(err).Key != "fault.identity.closed" {
		t.Error(err)
	}
	if _, ok := v.CompartmentKey(oplog.Register, 0, 1); ok {
		t.Error("it has a key of the register")
	}
	if zero := subkey(&[32]byte{}, "journal"); v.Subkey("journal") == journal || v.Subkey("journal") == zero {
		t.Error("it gives a key somebody knows")
	}
	whole := read(t, filepath.Join(dir, "secrets"))
	for what, err := range map[string]error{"root": v.ForgetRoot(), "slot": v.AddSlot("x", words("y")), "remove": v.RemoveSlot("x"), "write": v.sealed.Write(nil)} {
		if fault.Of(err).Key != "fault.identity.closed" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := v.KeyStick(); fault.Of(err).Key != "fault.identity.closed" {
		t.Error(err)
	}
	if _, _, err := v.Admit(nil); err == nil {
		t.Error("it lets others in")
	}
	if !bytes.Equal(whole, read(t, filepath.Join(dir, "secrets"))) {
		t.Error("the file was written under a key of zeros")
	}
	unlock(t, dir, v.clock)
}

type noHash struct{}

func (noHash) HashFunc() crypto.Hash { return 0 }

func TestTheRootSeedIsOverwritten(t *testing.T) {
	v, _ := founder(t, clock.NewFake(noon()))
	seed := v.s.RootSeed
	must(t, v.ForgetRoot())
	if !bytes.Equal(seed, make([]byte, 32)) {
		t.Fatal("it is still in memory")
	}
}

func TestTheArenaHoldsWhatItCan(t *testing.T) {
	a := newArena()
	var held [][]byte
	for i := range os.Getpagesize()/32 + 3 {
		from := bytes.Repeat([]byte{byte(i + 1)}, 32)
		k := a.hold(from)
		if !bytes.Equal(from, make([]byte, 32)) || !bytes.Equal(k, bytes.Repeat([]byte{byte(i + 1)}, 32)) {
			t.Fatal("not moved")
		}
		held = append(held, k)
	}
	if a.locked || len(a.beside) != 3 {
		t.Fatalf("%d beside a full page, and it says locked: %v", len(a.beside), a.locked)
	}
	_ = append(held[0], 9) // does not reach the next key
	if held[1][0] != 2 {
		t.Fatal("keys run into each other")
	}
	a.wipe()
	for _, k := range held {
		if !bytes.Equal(k, make([]byte, 32)) {
			t.Fatal("not wiped")
		}
	}
}

// After the keys are destroyed nothing opens the folder, with any secret it ever had,
// also when every file but the slots is put back.
func TestDestroyedKeysOpenNothing(t *testing.T) {
	c := clock.NewFake(noon())
	v, dir := founder(t, c)
	kit, err := v.Recovery()
	must(t, err)
	stick, err := v.KeyStick()
	must(t, err)
	journal := filepath.Join(dir, "journal")
	must(t, os.Mkdir(journal, 0o700))
	for _, name := range []string{"keys", "keys.2", "keys.3", "keys.new"} {
		must(t, os.WriteFile(filepath.Join(journal, name), []byte("wrapped"), 0o600))
	}
	must(t, os.WriteFile(filepath.Join(dir, "accounts.2"), []byte("wrapped"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, ".unlock.new-123"), []byte("a write that was cut"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "mine.txt"), []byte("not ours"), 0o600))
	saved := map[string][]byte{}
	for _, name := range []string{"secrets", "secrets.2"} {
		saved[name] = read(t, filepath.Join(dir, name))
	}
	must(t, DestroyKeys(dir))
	for _, again := range []bool{false, true} {
		for _, secret := range [][]byte{words(open5), words(kit), stick.Text()} {
			if _, err := Unlock(dir, c, secret); fault.Of(err).Key != "fault.identity.wiped" {
				t.Fatalf("%v", err)
			}
		}
		if !again {
			for name, content := range saved {
				must(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
			}
		}
	}
	must(t, unmarkWiped(dir))
	for _, secret := range [][]byte{words(open5), words(kit), stick.Text()} {
		if _, err := Unlock(dir, c, secret); fault.Of(err).Key != "fault.identity.damaged" {
			t.Fatalf("without the slots: %v", err)
		}
	}
	must(t, DestroyKeys(dir)) // twice is fine
	for _, d := range []string{dir, journal} {
		entries, err := os.ReadDir(d)
		must(t, err)
		for _, e := range entries {
			if !slices.Contains([]string{"wiped", "mine.txt", "journal"}, e.Name()) {
				t.Errorf("%s is left", e.Name())
			}
		}
	}
	// A site can be started there again.
	_, _, err = Start(dir, c, StartOptions{Deployment: "Coast", Site: "Gate", Passphrase: words(open5), Cost: TestCost()})
	must(t, err)
	unlock(t, dir, c)
	if Wiped(dir) {
		t.Fatal("still called wiped")
	}
}

// What is destroyed is overwritten where it lies: another name of the same file holds
// nothing of it afterwards.
func TestSlotsAreOverwrittenInPlace(t *testing.T) {
	_, dir := founder(t, clock.NewFake(noon()))
	whole := map[string][]byte{}
	for _, name := range []string{"unlock", "unlock.2", "secrets", "secrets.2"} {
		whole[name] = read(t, filepath.Join(dir, name))
		must(t, os.Link(filepath.Join(dir, name), filepath.Join(dir, "linked-"+name)))
	}
	must(t, DestroyKeys(dir))
	for name, before := range whole {
		after := read(t, filepath.Join(dir, "linked-"+name))
		if len(after) != len(before) || bytes.Contains(after, before[40:72]) || bytes.Equal(after[:16], before[:16]) {
			t.Errorf("%s: the old bytes are still on the disk", name)
		}
	}
}

// A folder may be called anything.
func TestDestroyInAnOddlyNamedFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "[north] *?")
	_, _, err := Start(dir, clock.NewFake(noon()), StartOptions{Deployment: "Coast", Site: "Gate", Passphrase: words(open5), Cost: TestCost()})
	must(t, err)
	must(t, DestroyKeys(dir))
	if Exists(dir) {
		t.Fatal("still there")
	}
}
