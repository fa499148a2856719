package identity

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

// storageOf is what Vault.Subkey is, for a storage key made of one byte.
func storageOf(b byte) func(string) [32]byte {
	return func(label string) [32]byte { return subkey(&[32]byte{b}, label) }
}

// caKey is the CA's key as it would lie in a file: the second line of its base64, which
// begins inside the number.
func caKey(t *testing.T, dir string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "ca.key"))
	must(t, err)
	return bytes.Split(raw, []byte("\n"))[2]
}

// holders are the files of dir that hold a text.
func holders(t *testing.T, dir string, text []byte) (out []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if bytes.Contains(raw, text) {
			out = append(out, filepath.Base(path))
		}
		return err
	}))
	return out
}

func TestTheCAsKeyGoesUnderTheStorageKey(t *testing.T) {
	c, dir := clock.NewFake(noon()), t.TempDir()
	w := openWeb(t, dir, c)
	fp, key := w.Fingerprint(), caKey(t, dir)
	must(t, os.WriteFile(filepath.Join(dir, ".ca.key.new-123"), key, 0o600)) // as a power cut leaves it
	if w.Sealed() {
		t.Error("sealed before there is a storage key")
	}
	must(t, w.Unlock(storageOf(1)))
	if !w.Sealed() || w.Fingerprint() != fp {
		t.Fatal("the CA does not survive the claim")
	}
	if found := holders(t, dir, key); len(found) > 0 {
		t.Errorf("the key lies in the clear in %v", found)
	}
	if leaf := leafOf(t, w, "10.9.8.7"); check(w, leaf, "10.9.8.7", noon()) != nil {
		t.Error("an open box makes no leaf")
	}
	w.Lock()
	before := leafOf(t, w, "")
	if leaf := leafOf(t, w, "10.1.1.1"); !bytes.Equal(leaf.Raw, before.Raw) {
		t.Error("a locked box does not serve the leaf it has")
	}
	again := openWeb(t, dir, c) // started, and locked
	if again.key != nil || again.Fingerprint() != fp || !bytes.Equal(leafOf(t, again, "10.1.1.1").Raw, before.Raw) {
		t.Error("a restart made something new, or found a key")
	}
	c.Advance(300 * 24 * time.Hour)
	if !bytes.Equal(leafOf(t, again, "").Raw, before.Raw) {
		t.Error("a locked box has a new leaf")
	}
	must(t, again.Unlock(storageOf(1)))
	if leaf := leafOf(t, again, "10.1.1.1"); check(again, leaf, "10.1.1.1", c.Now()) != nil || again.Fingerprint() != fp {
		t.Error("the key does not come back")
	}
}

// A power cut between the sealed copies and the removal of the clear one, and one between
// the two sealed copies.
func TestAPowerCutWhileTheKeyMoves(t *testing.T) {
	c, dir := clock.NewFake(noon()), t.TempDir()
	fp := openWeb(t, dir, c).Fingerprint()
	clearText, key := must2(os.ReadFile(filepath.Join(dir, "ca.key"))), caKey(t, dir)
	must(t, openWeb(t, dir, c).Unlock(storageOf(1)))
	for _, left := range []string{"both", "first"} {
		must(t, os.WriteFile(filepath.Join(dir, "ca.key"), clearText, 0o600))
		if left == "first" {
			must(t, os.Remove(filepath.Join(dir, "ca.sealed.2")))
		}
		w := openWeb(t, dir, c)
		must(t, w.Unlock(storageOf(1)))
		if found := holders(t, dir, key); w.Fingerprint() != fp || len(found) > 0 {
			t.Errorf("%s: %v", left, found)
		}
		if !anyCopy(dir, "ca.sealed") {
			t.Error("the sealed one is gone")
		}
	}
}

// must2 is for reading a file that a test has just written.
func must2(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// Where the sealed copy cannot be written the clear one stays.
func TestTheKeyStaysWhereItCannotBeSealed(t *testing.T) {
	c, dir := clock.NewFake(noon()), t.TempDir()
	w := openWeb(t, dir, c)
	fp := w.Fingerprint()
	must(t, os.Mkdir(filepath.Join(dir, "ca.sealed.2"), 0o700)) // no second copy can be made
	if err := w.Unlock(storageOf(1)); err == nil {
		t.Fatal("it says that all is well")
	}
	if leaf := leafOf(t, w, "10.9.8.7"); w.Fingerprint() != fp || check(w, leaf, "10.9.8.7", noon()) != nil {
		t.Error("the pages do not go on")
	}
	must(t, os.Remove(filepath.Join(dir, "ca.sealed.2")))
	w = openWeb(t, dir, c)
	must(t, w.Unlock(storageOf(1)))
	if w.Fingerprint() != fp || !w.Sealed() {
		t.Error("the next opening does not seal it")
	}
}

func TestSealedCAThatDoesNotOpen(t *testing.T) {
	c, dir := clock.NewFake(noon()), t.TempDir()
	w := openWeb(t, dir, c)
	fp := w.Fingerprint()
	must(t, w.Unlock(storageOf(1)))
	w = openWeb(t, dir, c)
	err := w.Unlock(storageOf(2)) // damage looks the same
	wantFault(t, err, fault.Internal, "fault.identity.damaged")
	if leaf := leafOf(t, w, "10.9.8.7"); w.Fingerprint() == fp || check(w, leaf, "10.9.8.7", noon()) != nil || !w.Sealed() {
		t.Error("no new CA goes on")
	}
	w = openWeb(t, dir, c)
	must(t, w.Unlock(storageOf(2)))
}

// What was sealed goes on, whatever lies beside it: files lost while locked, a backup
// brought back into the folder of an empty box.
func TestTheSealedCACounts(t *testing.T) {
	c, dir := clock.NewFake(noon()), t.TempDir()
	w := openWeb(t, dir, c)
	fp := w.Fingerprint()
	must(t, w.Unlock(storageOf(1)))
	for _, name := range []string{"ca.pem", "ca.pem.2", "leaf.pem", "leaf.pem.2"} {
		must(t, os.Remove(filepath.Join(dir, name)))
	}
	w = openWeb(t, dir, c)
	if w.Fingerprint() == fp {
		t.Fatal("a CA out of nothing")
	}
	_ = leafOf(t, w, "")
	must(t, w.Unlock(storageOf(1)))
	if w.Fingerprint() != fp || check(w, leafOf(t, w, ""), "localhost", noon()) != nil || !w.Sealed() {
		t.Error("the sealed CA does not come back")
	}
	// Only the leaf is lost, and the box is locked: it answers with something.
	must(t, os.Remove(filepath.Join(dir, "leaf.pem")))
	must(t, os.Remove(filepath.Join(dir, "leaf.pem.2")))
	w = openWeb(t, dir, c)
	if leaf := leafOf(t, w, ""); leaf == nil || check(w, leaf, "localhost", noon()) == nil || w.Fingerprint() != fp {
		t.Error("a stopgap that somebody vouches for")
	}
	must(t, w.Unlock(storageOf(1)))
	if check(w, leafOf(t, w, ""), "localhost", noon()) != nil {
		t.Error("the stopgap stays")
	}
}

func TestFoldersOfOlderVersions(t *testing.T) {
	c, dir := clock.NewFake(noon()), t.TempDir()
	w := openWeb(t, dir, c)
	fp, leaf := w.Fingerprint(), leafOf(t, w, "")
	raw := must2(os.ReadFile(filepath.Join(dir, "leaf.pem")))
	at := bytes.Index(raw, []byte("-----BEGIN PRIVATE KEY"))
	for _, name := range []string{"ca.pem.2", "leaf.pem.2"} {
		must(t, os.Remove(filepath.Join(dir, name)))
	}
	must(t, os.WriteFile(filepath.Join(dir, "leaf.pem"), raw[:at], 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "leaf.key"), raw[at:], 0o600))
	w = openWeb(t, dir, c)
	if w.Fingerprint() != fp || !bytes.Equal(leafOf(t, w, "").Raw, leaf.Raw) {
		t.Error("phones have to ask again")
	}
}

func TestWipingTakesTheWebKeys(t *testing.T) {
	c, dir := clock.NewFake(noon()), t.TempDir()
	w := openWeb(t, filepath.Join(dir, "web"), c)
	must(t, w.Unlock(storageOf(1)))
	fp := w.Fingerprint()
	_, err := w.Request([]string{"n1.camp.example.org"})
	must(t, err)
	must(t, DestroyKeys(dir))
	w.Lock()
	for _, path := range must3(filepath.Glob(filepath.Join(dir, "web", "*"))) {
		if !strings.HasPrefix(filepath.Base(path), "ca.pem") {
			t.Errorf("%s stays", path)
		}
	}
	must(t, w.Reset())
	if w.Fingerprint() == fp || check(w, leafOf(t, w, ""), "localhost", noon()) != nil {
		t.Error("no new CA")
	}
	if openWeb(t, filepath.Join(dir, "web"), c).Fingerprint() != w.Fingerprint() {
		t.Error("a restart makes another one")
	}
}

func must3(s []string, err error) []string {
	if err != nil {
		panic(err)
	}
	return s
}

func TestNamesInCertificatesSayNothing(t *testing.T) {
	w := openWeb(t, t.TempDir(), clock.NewFake(noon()))
	leaf := leafOf(t, w, "")
	for _, c := range []*x509.Certificate{w.ca, leaf} {
		if !strings.HasPrefix(c.Subject.String(), "CN=Local box") || strings.Contains(strings.ToLower(c.Subject.String()), "waypost") {
			t.Errorf("subject %q", c.Subject)
		}
	}
	for host, want := range map[string]bool{"north-shelter": false, "waypost-north": false, "WAYPOST-2.lan": true, "waypost7": true, "raspberrypi": true, "msf-clinic-3": false, "": false, "waypost-12345": false} {
		host, _, _ = strings.Cut(strings.ToLower(host), ".")
		if got := slices.Contains(namesOf(host), host+".local"); got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
}

// A leaf is made for every address the machine has before somebody comes by it, and for
// those of a network of its own.
func TestLeavesAreMadeEarly(t *testing.T) {
	w := openWeb(t, t.TempDir(), clock.NewFake(noon()))
	leaf := leafOf(t, w, "")
	for _, a := range append(present(), netip.MustParseAddr("10.42.0.1")) {
		if mayVouch(a) && !leafCovers(leaf, a) {
			t.Errorf("not for %s", a)
		}
	}
	if !errors.Is(leaf.CheckSignatureFrom(w.ca), nil) {
		t.Error("not signed by the CA")
	}
}
