//go:build linux

package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/waypost/waypost/appliance/identity"
)

// canaryMark stands in every planted text, so that one search finds all of them.
const canaryMark = "Qvzk"

// canaries are what was planted in a node through its own doors, and its keys.
type canaries struct {
	texts []string          // with the mark
	other map[string][]byte // by what it is: words, keys
}

func (c *canaries) text() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	for i := range b {
		b[i] = 'a' + b[i]%26
	}
	c.texts = append(c.texts, canaryMark+string(b[:]))
	return c.texts[len(c.texts)-1]
}

// in says which canaries are in raw; folded to lower case is found too.
func (c *canaries) in(raw []byte, found map[string]bool) {
	for _, mark := range []string{canaryMark, strings.ToLower(canaryMark)} {
		for at := 0; ; at++ {
			i := bytes.Index(raw[at:], []byte(mark))
			if i < 0 {
				break
			}
			at += i
			for _, text := range c.texts {
				if end := at + len(text); end <= len(raw) && strings.EqualFold(string(raw[at:end]), text) {
					found[text] = true
				}
			}
		}
	}
	for name, secret := range c.other {
		if !found[name] && bytes.Contains(raw, secret) {
			found[name] = true
		}
	}
}

func (c *canaries) count() int { return len(c.texts) + len(c.other) }

// canaryNode is a node that runs as a process of its own.
type canaryNode struct {
	t         *testing.T
	dir, data string
	url, key  string
	mesh      string // address
	cmd       *exec.Cmd
}

func (n *canaryNode) waypost(args ...string) string {
	n.t.Helper()
	cmd := exec.Command("waypost", args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		n.t.Fatalf("waypost %s: %v %s", args[0], err, errs.String())
	}
	return lastLine(string(out))
}

func (n *canaryNode) write(name, content string) string {
	n.t.Helper()
	path := filepath.Join(n.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		n.t.Fatal(err)
	}
	return path
}

func (n *canaryNode) call(method, path, body string) {
	n.t.Helper()
	req, err := http.NewRequest(method, n.url+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+n.key)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	if raw, _ := io.ReadAll(resp.Body); resp.StatusCode/100 != 2 {
		n.t.Fatalf("%s %s: %s %s", method, path, resp.Status, raw)
	}
}

// TestCanaries plants names, numbers, passphrases, words and keys in a real node through
// its own doors and looks for them where they must not be: in any file of the folder, and
// in the log. Then it locks the box and looks in the memory of the process (as root); what
// is found there is reported, and only keys and passphrases of the box make it fail. It
// also walks the folder's permissions after the day's work.
func TestCanaries(t *testing.T) {
	if os.Getenv("WAYPOST_SCRIPTS") == "" {
		t.Skip("set WAYPOST_SCRIPTS=1 (make scripts does)")
	}
	n, c := &canaryNode{t: t, dir: t.TempDir()}, &canaries{other: map[string][]byte{}}
	n.data = filepath.Join(n.dir, "d")
	secret := c.text() + " opens " + c.text()
	file := n.write("secret", secret+"\n")
	n.waypost("init", "--data", n.data, "--deployment", "Relief", "--site", c.text(), "--lead", "amina", "--passphrase-file", file)
	n.serve(file)
	n.plant(c)
	c.keysOf(t, n.data, secret)

	if found := n.memory(c); len(found) == 0 && os.Getuid() == 0 {
		t.Fatal("nothing is found in the memory of an open node: the search is no search")
	} else if os.Getuid() == 0 {
		t.Logf("memory while open: %d of %d", len(found), c.count())
	}
	n.files(c)
	n.waypost("lock", "--data", n.data)
	if state := n.waypost("status", "--data", n.data); state == "" {
		t.Fatal("no status")
	}
	n.files(c)
	if os.Getuid() != 0 {
		t.Log("memory: only root may look into the process, because it is not dumpable (PR_SET_DUMPABLE)")
		return
	}
	found := n.memory(c)
	t.Logf("memory after lock: %d of %d %v", len(found), c.count(), found)
	for name := range c.other {
		if slices.Contains(found, name) {
			t.Errorf("%s is in the memory of a locked box", name)
		}
	}
}

func (n *canaryNode) serve(secret string) {
	n.t.Helper()
	log, err := os.Create(filepath.Join(n.dir, "log"))
	if err != nil {
		n.t.Fatal(err)
	}
	line := []string{"serve", "--data", n.data, "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--mesh", "127.0.0.1:0"}
	if secret != "" {
		line = append(line, "--passphrase-file", secret)
	}
	n.cmd = exec.Command("waypost", line...)
	n.cmd.Stderr = log
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = n.cmd.Process.Kill(); _ = n.cmd.Wait(); _ = log.Close() })
	var ready [256]byte
	k, err := out.Read(ready[:])
	if err != nil || !strings.HasPrefix(string(ready[:k]), "ready http=") {
		n.t.Fatalf("%q %v", ready[:k], err)
	}
	n.url = strings.TrimPrefix(strings.Fields(string(ready[:k]))[1], "http=")
	for _, word := range strings.Fields(string(ready[:k])) {
		if address, ok := strings.CutPrefix(word, "mesh="); ok {
			n.mesh = address
		}
	}
}

// plant uses the node as a day does.
func (n *canaryNode) plant(c *canaries) {
	n.t.Helper()
	n.key = n.waypost("apikey", "--data", n.data, "--role", "lead")
	c.other["bearer key"] = []byte(n.key)
	n.waypost("staff", "add", "--data", n.data, "--user", c.text(), "--role", "registrar", "--passphrase-file", n.write("staff", c.text()+" and more of it"))
	var made struct{ Secret string }
	cmd := exec.Command("waypost", "slots", "add-words", "--data", n.data, "--json")
	raw, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(raw, &made)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	c.other["five more words"] = []byte(made.Secret)
	stick := filepath.Join(n.dir, "stick")
	n.waypost("slots", "add-stick", "--data", n.data, "--out", stick)
	if raw, err = os.ReadFile(stick); err != nil {
		n.t.Fatal(err)
	}
	k, err := identity.ParseKeyFile(raw)
	if err != nil {
		n.t.Fatal(err)
	}
	c.other["key stick"] = k.Key[:]
	for range 15 {
		name := c.text()
		n.call("POST", "/api/v1/people", fmt.Sprintf(`{"given_name":%q,"family_name":%q,"notes":%q,"phone":"+502 5550 1234"}`, name, c.text(), c.text()))
		n.call("GET", "/api/v1/people?q="+name, "")
	}
}

// keysOf opens the folder's unlock file and secrets with the passphrase, as doc.go of
// identity describes them.
func (c *canaries) keysOf(t *testing.T, data, passphrase string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(filepath.Join(data, "unlock"))
	must(err)
	var f struct {
		_     struct{} `cbor:",toarray"`
		Magic string
		Slots []struct {
			_       struct{} `cbor:",toarray"`
			Kind    string
			Salt    []byte
			Passes  uint8
			KiB     uint32
			Nonce   []byte
			Wrapped []byte
		}
		Sum []byte
	}
	must(cbor.Unmarshal(raw, &f))
	s := f.Slots[0]
	wrapping, err := identity.Stretch(t.Context(), []byte(passphrase), s.Salt, identity.Cost{Passes: s.Passes, MemoryKiB: s.KiB})
	must(err)
	aead, err := chacha20poly1305.NewX(wrapping[:])
	must(err)
	both, err := aead.Open(nil, s.Nonce, s.Wrapped, []byte("waypost/slot/1"+s.Kind))
	must(err)
	storage, inner := both[:32], both[32:]
	c.other["storage key"], c.other["inner key"] = storage, inner
	c.other["wrapping key"] = wrapping[:]
	for _, label := range []string{"secrets", "journal", "views", "accounts", "web"} {
		key := derivedKey(storage, "waypost/subkey/1/"+label)
		c.other["key of "+label] = key[:]
		if label == "secrets" {
			plain, err := identity.NewSealedFile(data, "secrets", key).Read()
			must(err)
			var fields map[int]any
			must(cbor.Unmarshal(plain, &fields))
			for number, name := range map[int]string{6: "node seed", 7: "seal key"} {
				c.other[name] = fields[number].([]byte)
			}
			node := ed25519.NewKeyFromSeed(fields[6].([]byte)).Public().(ed25519.PublicKey)
			part := openInner(t, inner, fields[15].([]byte), slices.Concat([]byte("waypost/inner/1"), fields[3].([]byte), node))
			for number, name := range map[int]string{1: "root seed", 2: "issuer seed"} {
				c.other[name] = part[number].([]byte)
			}
			c.other["gossip key"] = fields[11].([]any)[0].([]byte)
			c.other["register key"] = fields[12].([]any)[0].([]any)[2].([]byte)
		}
	}
	ca, err := identity.NewSealedFile(filepath.Join(data, "web"), "ca.sealed", [32]byte(c.other["key of web"])).Read()
	must(err)
	_, rest := pem.Decode(ca)
	block, _ := pem.Decode(rest)
	c.other["key of the web CA"] = block.Bytes[36:68] // the number in PKCS #8 of P-256
	c.other["key of the web CA as text"] = bytes.Split(rest, []byte("\n"))[2]
	if c.count() < 50 {
		t.Fatalf("only %d canaries", c.count())
	}
}

// openInner opens the inner part of the secrets.
func openInner(t *testing.T, key, sealed, bound []byte) (part map[int]any) {
	t.Helper()
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := aead.Open(nil, sealed[:24], sealed[24:], bound)
	if err != nil {
		t.Fatal(err)
	}
	if err := cbor.Unmarshal(plain, &part); err != nil {
		t.Fatal(err)
	}
	return part
}

// files looks for canaries in every file and in the log, and at every permission.
func (n *canaryNode) files(c *canaries) {
	n.t.Helper()
	found, looked := map[string]bool{}, 0
	look := func(path string) {
		raw, err := os.ReadFile(path)
		if err != nil {
			n.t.Fatal(err)
		}
		before := len(found)
		if c.in(raw, found); len(found) > before {
			n.t.Errorf("%s holds a canary", path)
		}
		looked++
	}
	look(filepath.Join(n.dir, "log"))
	err := filepath.WalkDir(n.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			n.t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		if info.Mode().IsRegular() {
			look(path)
		}
		return nil
	})
	if err != nil || looked < 15 {
		n.t.Fatalf("%d files, %v", looked, err)
	}
	if len(found) > 0 {
		n.t.Errorf("%d of %d canaries in files", len(found), c.count())
	}
}

// memory looks for canaries in everything the process has mapped; nil for all but root.
func (n *canaryNode) memory(c *canaries) (names []string) {
	n.t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	pid := n.cmd.Process.Pid
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		n.t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		n.t.Fatal(err)
	}
	defer mem.Close()
	const step, lap = 4 << 20, 128
	buf, found, seen := make([]byte, step+lap), map[string]bool{}, 0
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil || mode[0] != 'r' || strings.Contains(line, "[v") {
			continue
		}
		for ; from < to; from += step {
			k, _ := mem.ReadAt(buf[:min(step+lap, to-from)], from) // a page of a file that is gone reads as none
			c.in(buf[:k], found)
			seen += k
		}
	}
	if seen < 1<<20 {
		n.t.Fatalf("only %d bytes could be read", seen)
	}
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func derivedKey(storage []byte, label string) [32]byte {
	key, err := hkdf.Key(sha256.New, storage, nil, label, 32)
	if err != nil {
		panic(err)
	}
	return [32]byte(key)
}
