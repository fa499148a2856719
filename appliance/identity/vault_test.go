package identity

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

func TestStartThenUnlock(t *testing.T) {
	c := clock.NewFake(noon())
	dir := filepath.Join(t.TempDir(), "data")
	if Exists(dir) {
		t.Fatal("nothing is there yet")
	}
	if _, err := Unlock(dir, c, words(open5)); fault.ClassOf(err) != fault.NotFound {
		t.Fatal(err)
	}
	v, sheet, err := Start(dir, c, StartOptions{Deployment: " Coast ", Site: "Nuevo Laredo", Passphrase: words(open5), KeepRoot: true, Cost: TestCost()})
	if err != nil {
		t.Fatal(err)
	}
	if v.DeploymentName() != "Coast" || v.SiteName() != "Nuevo Laredo" || !v.CanEnrol() || !v.RootOnBox() || v.CompareWords() != nil {
		t.Fatal("not what was asked for")
	}
	if cert := v.Cert(); cert.Number != 1 || cert.VerifyAt(v.Root(), noon()) != nil || cert.ID() != v.NodeID() || !cert.Has(CapEnrol|CapTokens) {
		t.Fatalf("%+v", cert)
	}
	if back, err := ParseRootSheet(sheet.Text()); err != nil || back.Deployment() != DeploymentID(v.Deployment()) || len(back.Seed) != 32 {
		t.Fatal(back, err)
	}
	again, err := Unlock(dir, c, words("  Abacus Abdomen abide\nability able "))
	if err != nil {
		t.Fatal(err)
	}
	if again.NodeID() != v.NodeID() || again.GossipKey() != v.GossipKey() || again.Subkey("journal") != v.Subkey("journal") || again.SiteName() != v.SiteName() {
		t.Fatal("another vault came back")
	}
	if again.Subkey("journal") == again.Subkey("views") || again.GossipKey() == ([32]byte{}) {
		t.Fatal("keys are not keys")
	}
	_, _, err = Start(dir, c, StartOptions{Deployment: "x", Site: "y", Passphrase: words("z"), Cost: TestCost()})
	wantFault(t, err, fault.Conflict, "fault.identity.exists")
}

func TestFilesAreOursAlone(t *testing.T) {
	v, dir := founder(t, clock.NewFake(noon()))
	for _, name := range []string{"unlock", "unlock.2", "secrets", "secrets.2"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
		b, _ := os.ReadFile(filepath.Join(dir, name))
		for secret, s := range map[string][]byte{"node seed": v.s.NodeSeed, "root seed": v.s.RootSeed, "site": []byte("North gate"), "storage key": v.storage[:], "words": []byte("abacus")} {
			if bytes.Contains(b, s) {
				t.Errorf("%s lies in the clear in %s", secret, name)
			}
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v %v", info, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 4 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestStartRefuses(t *testing.T) {
	good := StartOptions{Deployment: "Coast", Site: "Gate", Passphrase: words(open5), Cost: TestCost()}
	for key, change := range map[string]func(*StartOptions){
		"fault.identity.bad_deployment":   func(o *StartOptions) { o.Deployment = " " },
		"fault.identity.bad_site":         func(o *StartOptions) { o.Site = "a\x00b" },
		"fault.identity.empty_passphrase": func(o *StartOptions) { o.Passphrase = words(" \n") },
	} {
		o, dir := good, filepath.Join(t.TempDir(), "data")
		change(&o)
		_, _, err := Start(dir, clock.NewFake(noon()), o)
		wantFault(t, err, fault.Invalid, key)
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: something was written", key)
		}
	}
	if err := CheckSite(strings.Repeat("ü", 64)); err != nil {
		t.Error(err)
	}
	if err := CheckSite(strings.Repeat("ü", 65)); err == nil {
		t.Error("65 characters")
	}
}

func TestWrongPassphrase(t *testing.T) {
	_, dir := founder(t, clock.NewFake(noon()))
	for _, p := range []string{"", "abacus", "abacus abdomen abide ability abel"} {
		_, err := Unlock(dir, clock.NewFake(noon()), words(p))
		wantFault(t, err, fault.Denied, "fault.identity.wrong_passphrase")
	}
}

func TestSlots(t *testing.T) {
	c := clock.NewFake(noon())
	v, dir := founder(t, c)
	first, err := v.Recovery()
	if err != nil || len(strings.Fields(first)) != 10 {
		t.Fatal(first, err)
	}
	second, err := v.Recovery()
	if err != nil || second == first {
		t.Fatal(err)
	}
	if err := v.AddSlot("deputy", words("another way in")); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{open5, second, "another way in"} {
		if _, err := Unlock(dir, c, words(p)); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
	if _, err := Unlock(dir, c, words(first)); err == nil {
		t.Error("the old kit still opens")
	}
	wantFault(t, v.AddSlot("deputy", nil), fault.Invalid, "fault.identity.empty_passphrase")
	wantFault(t, v.AddSlot("", words("x")), fault.Invalid, "fault.identity.slot_kind")
	for i := 0; ; i++ {
		if err := v.AddSlot(strings.Repeat("x", i+1), words("more")); err != nil {
			wantFault(t, err, fault.Conflict, "fault.identity.slots_full")
			break
		}
		if i > maxSlots {
			t.Fatal("no end")
		}
	}
	unlock(t, dir, c)
}

// Every way one copy can go bad, for both files: the node opens, and both copies
// are whole again.
func TestOneDamagedCopyIsMended(t *testing.T) {
	c := clock.NewFake(noon())
	for _, name := range []string{"unlock", "secrets"} {
		for what, damage := range map[string]func(t *testing.T, path string){
			"gone":  func(t *testing.T, path string) { must(t, os.Remove(path)) },
			"empty": func(t *testing.T, path string) { must(t, os.WriteFile(path, nil, 0o600)) },
			"cut":   func(t *testing.T, path string) { b := read(t, path); must(t, os.WriteFile(path, b[:len(b)-1], 0o600)) },
			"flipped": func(t *testing.T, path string) {
				b := read(t, path)
				b[len(b)/2] ^= 1
				must(t, os.WriteFile(path, b, 0o600))
			},
			"too large": func(t *testing.T, path string) { must(t, os.Truncate(path, maxSecretFile+1)) },
		} {
			for _, suffix := range []string{"", ".2"} {
				t.Run(name+suffix+" "+what, func(t *testing.T) {
					v, dir := founder(t, c)
					whole := read(t, filepath.Join(dir, name))
					damage(t, filepath.Join(dir, name+suffix))
					again := unlock(t, dir, c)
					if again.NodeID() != v.NodeID() {
						t.Fatal("another node")
					}
					if said := again.Mended(); len(said) != 1 || !strings.Contains(said[0], name+suffix+" ") {
						t.Errorf("said: %q", said)
					}
					if said := unlock(t, dir, c).Mended(); len(said) > 0 {
						t.Errorf("said again: %q", said)
					}
					for _, s := range []string{"", ".2"} {
						if !bytes.Equal(read(t, filepath.Join(dir, name+s)), whole) {
							t.Errorf("%s is not mended", name+s)
						}
					}
				})
			}
		}
	}
}

func TestTwoDamagedCopiesAreSaid(t *testing.T) {
	c := clock.NewFake(noon())
	for _, name := range []string{"unlock", "secrets"} {
		_, dir := founder(t, c)
		for _, s := range []string{"", ".2"} {
			must(t, os.WriteFile(filepath.Join(dir, name+s), []byte("rot"), 0o600))
		}
		_, err := Unlock(dir, c, words(open5))
		wantFault(t, err, fault.Internal, "fault.identity.damaged")
		if got := read(t, filepath.Join(dir, name)); string(got) != "rot" {
			t.Error("damage was overwritten")
		}
	}
}

// A power cut after the first copy: the first is newer, and it counts.
func TestPowerCutBetweenTheCopies(t *testing.T) {
	c := clock.NewFake(noon())
	v, dir := founder(t, c)
	old := read(t, filepath.Join(dir, "secrets.2"))
	if err := v.ForgetRoot(); err != nil {
		t.Fatal(err)
	}
	must(t, os.WriteFile(filepath.Join(dir, "secrets.2"), old, 0o600))
	if again := unlock(t, dir, c); again.RootOnBox() {
		t.Fatal("the older copy won")
	}
	// … and the second is the new one from now on.
	must(t, os.Remove(filepath.Join(dir, "secrets")))
	if again := unlock(t, dir, c); again.RootOnBox() {
		t.Fatal("the second copy was left behind")
	}
}

// A power cut while init was writing: what is there is not a node yet.
func TestSlotsWithoutSecretsAreNoNode(t *testing.T) {
	c := clock.NewFake(noon())
	_, dir := founder(t, c)
	must(t, os.Remove(filepath.Join(dir, "secrets")))
	must(t, os.Remove(filepath.Join(dir, "secrets.2")))
	if Exists(dir) {
		t.Fatal("it counts as a node")
	}
	if _, _, err := Start(dir, c, StartOptions{Deployment: "Coast", Site: "Gate", Passphrase: words(open5), Cost: TestCost()}); err != nil {
		t.Fatal(err)
	}
	unlock(t, dir, c)
}

func TestUnwritableFolderIsAFault(t *testing.T) {
	if os.Getuid() == 0 {
		dir := t.TempDir()
		v, _ := founder(t, clock.NewFake(noon()))
		v.sealed = NewSealedFile(filepath.Join(dir, "nowhere"), "secrets", *v.storage)
		err := v.ForgetRoot()
		wantFault(t, err, fault.Unavailable, "fault.identity.cannot_write")
		if !v.RootOnBox() {
			t.Fatal("what is not on the card is not so")
		}
		return
	}
	v, dir := founder(t, clock.NewFake(noon()))
	must(t, os.Chmod(dir, 0o500))
	t.Cleanup(func() { must(t, os.Chmod(dir, 0o700)) })
	wantFault(t, v.ForgetRoot(), fault.Unavailable, "fault.identity.cannot_write")
	if !v.RootOnBox() {
		t.Fatal("what is not on the card is not so")
	}
}

// A board that thinks it is 1970 makes certificates the others can use.
func TestAClockThatWasNeverSet(t *testing.T) {
	v, _ := founder(t, clock.NewFake(time.Unix(0, 0)))
	if err := v.Cert().VerifyAt(v.Root(), noon()); err != nil {
		t.Fatal(err)
	}
}

func TestLogsHaveKeysWhateverTheClockSays(t *testing.T) {
	c := clock.NewFake(noon())
	v, _ := founder(t, c)
	n := joined(t, v, "South gate")
	log, birth := n.Birth([16]byte{7})
	for _, at := range []time.Time{noon(), time.Unix(0, 0), noon().AddDate(50, 0, 0)} {
		c.Set(at)
		key, err := v.LogKey(log, birth)
		if err != nil || !bytes.Equal(key, n.cert.Public[:]) {
			t.Fatalf("at %v: %v", at, err)
		}
	}
	other, _ := founder(t, c)
	_, err := other.LogKey(log, birth)
	wantFault(t, err, fault.Denied, "fault.identity.not_ours")
	_, err = v.LogKey(oplog.LogID{1}, birth)
	wantFault(t, err, fault.Denied, "fault.identity.not_ours")
	for _, junk := range [][]byte{nil, {0xa0}, birth[:len(birth)-1], append(bytes.Clone(birth), 0)} {
		_, err = v.LogKey(log, junk)
		wantFault(t, err, fault.Invalid, "fault.identity.bad_certificate")
	}
}

func TestRegisterKeys(t *testing.T) {
	v, _ := founder(t, clock.NewFake(noon()))
	area, epoch := v.CurrentEpoch(oplog.Register)
	if area != 0 || epoch != 1 {
		t.Fatal(area, epoch)
	}
	key, ok := v.CompartmentKey(oplog.Register, 0, 1)
	n := joined(t, v, "South gate")
	if same, ok2 := n.CompartmentKey(oplog.Register, 0, 1); !ok || !ok2 || same != key || key == ([32]byte{}) {
		t.Fatal("both open the same register")
	}
	for _, bad := range []struct {
		c     oplog.Compartment
		area  uint16
		epoch uint32
	}{{oplog.Deployment, 0, 1}, {oplog.Register, 1, 1}, {oplog.Register, 0, 2}, {9, 0, 1}} {
		if _, ok := v.CompartmentKey(bad.c, bad.area, bad.epoch); ok {
			t.Errorf("%+v has a key", bad)
		}
	}
}

func FuzzParseSlots(f *testing.F) {
	s, err := newSlot("passphrase", words("x"), TestCost(), &[32]byte{1}, nil)
	if err != nil {
		f.Fatal(err)
	}
	stick, wrapping := emptyStick([32]byte{2})
	if err := stick.wrap(&wrapping, &[32]byte{1}, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(encodeSlots([]slot{s}))
	f.Add(encodeSlots([]slot{stick, s}))
	f.Add([]byte{0x83})
	f.Fuzz(func(t *testing.T, in []byte) {
		slots, err := parseSlots(in)
		if err != nil {
			return
		}
		if !bytes.Equal(encodeSlots(slots), in) {
			t.Fatal("two spellings")
		}
		for _, s := range slots {
			if !s.stretchedRight() {
				t.Fatalf("a file asks for %+v", s.cost())
			}
		}
	})
}

func FuzzParseSecrets(f *testing.F) {
	v, _ := founder(f, clock.NewFake(noon()))
	out, err := v.s.outer(v.inner)
	must(f, err)
	f.Add(encode(out))
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := parseSecrets(in)
		if err != nil {
			return
		}
		// Whatever was accepted can be opened and used without a panic.
		dir := t.TempDir()
		v, err := open(dir, clock.NewFake(noon()), &opened{inner: make([]byte, 32)}, s)
		if err != nil {
			return
		}
		defer v.Close()
		v.GossipKey()
		v.CurrentEpoch(oplog.Register)
		v.CanEnrol()
	})
}

func FuzzSealedFile(f *testing.F) {
	dir := f.TempDir()
	s := NewSealedFile(dir, "x", [32]byte{1})
	if err := s.Write([]byte("hello")); err != nil {
		f.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "x"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(sealedMagic))
	f.Fuzz(func(t *testing.T, in []byte) {
		// Only what was sealed opens; the nonce differs from run to run.
		if got, err := s.open(in); err == nil && string(got) != "hello" {
			t.Fatalf("opened %q from other bytes", got)
		}
	})
}

func TestSealedFilesDoNotStandForEachOther(t *testing.T) {
	dir := t.TempDir()
	must(t, NewSealedFile(dir, "a", [32]byte{1}).Write([]byte("secret")))
	for _, s := range []string{"", ".2"} {
		must(t, os.WriteFile(filepath.Join(dir, "b"+s), read(t, filepath.Join(dir, "a"+s)), 0o600))
	}
	if _, err := NewSealedFile(dir, "b", [32]byte{1}).Read(); fault.ClassOf(err) != fault.Internal {
		t.Fatal("a file under another name opens")
	}
	if _, err := NewSealedFile(dir, "a", [32]byte{2}).Read(); fault.ClassOf(err) != fault.Internal {
		t.Fatal("another key opens it")
	}
	if _, err := NewSealedFile(dir, "c", [32]byte{1}).Read(); err != fs.ErrNotExist {
		t.Fatalf("nothing there: %v", err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
