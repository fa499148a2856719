//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/letterbox"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/station"
)

// plantedNames are as many names each as the figures ask for.
const plantedNames = 50

// threeDoors are three nodes of one operation that run as processes of their own: a post where
// 50 people are registered and 50 notes are written in sealed files, through its pages; a
// post that joined it; and one whose certificate names another area of the register, as a
// partner's relay has.
type threeDoors struct {
	t              *testing.T
	a, full, other *canaryNode
	secret, kit    string
	people, narrow []string // planted
	saved          []time.Duration
	worker         *caller
	wire           *wire // nil where nothing may be recorded
}

// TestDoors opens what somebody has who took a disk, or runs a node, with every key that
// comes with it, and looks for the 50 people and the 50 notes in every usual spelling.
// It can fail: the node next to it has all 50 people, and who works in the files all notes.
func TestDoors(t *testing.T) {
	if os.Getenv("WAYPOST_SCRIPTS") == "" {
		t.Skip("set WAYPOST_SCRIPTS=1 (make scripts does)")
	}
	t.Parallel()
	d := newDoors(t)
	d.plant()
	d.join()
	d.locked()
	d.readByItsOwn()
	people, notes := d.asked(d.other)
	d.want("a partner's node asks its own interface", people, 0, notes, 0)
	people, notes = d.asked(d.full)
	d.want("a post asks its own interface", people, plantedNames, notes, 0)
	for _, n := range []*canaryNode{d.a, d.full, d.other} {
		n.end()
	}
	kit, err := os.ReadFile(d.kit)
	if err != nil {
		t.Fatal(err)
	}
	words, err := os.ReadFile(d.secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, door := range []struct {
		name          string
		n             *canaryNode
		secret        []byte
		people, notes int
	}{
		{"disk and no key", d.a, nil, 0, 0},
		{"disk and recovery kit", d.a, bytes.TrimSpace(kit), plantedNames, 0},
		{"disk and the lead's words", d.a, bytes.TrimSpace(words), plantedNames, 0},
		{"a post that joined, with all its keys", d.full, bytes.TrimSpace(words), plantedNames, 0},
		{"a partner's node, with all its keys", d.other, bytes.TrimSpace(words), 0, 0},
	} {
		everything := door.n.opened(door.secret)
		d.want(door.name, d.found(everything, d.people), door.people, d.found(everything, d.narrow), door.notes)
	}
}

func (d *threeDoors) want(door string, people, wantPeople, notes, wantNotes int) {
	d.t.Helper()
	d.t.Logf("%s: %d of %d people, %d of %d notes", door, people, plantedNames, notes, plantedNames)
	if people != wantPeople || notes != wantNotes {
		d.t.Errorf("%s: wanted %d people and %d notes", door, wantPeople, wantNotes)
	}
}

func newDoors(t *testing.T) *threeDoors {
	dir, err := os.MkdirTemp("/tmp", "wp") // sockets need short paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	node := func(name string) *canaryNode {
		n := &canaryNode{t: t, dir: filepath.Join(dir, name)}
		n.data = filepath.Join(n.dir, "d")
		if err := os.Mkdir(n.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		return n
	}
	d := &threeDoors{t: t, a: node("a"), full: node("f"), other: node("o"), people: manyWords("Qvzk"), narrow: manyWords("Jxwq")}
	d.secret, d.kit = d.a.write("secret", "five plain words for doors\n"), filepath.Join(d.a.dir, "kit")
	d.a.waypost("init", "--data", d.a.data, "--deployment", "Relief", "--site", "North", "--lead", "amina", "--passphrase-file", d.secret, "--recovery-out", d.kit)
	d.a.serve(d.secret)
	if d.wire = listenIn(t); d.wire != nil {
		d.wire.watch(true, wirePort(t, d.a.url))
		d.wire.watch(false, wirePort(t, d.a.mesh))
	}
	return d
}

// manyWords are names that stand nowhere else.
func manyWords(mark string) (out []string) {
	for range plantedNames {
		var b [8]byte
		_, _ = rand.Read(b[:])
		for i := range b {
			b[i] = 'a' + b[i]%26
		}
		out = append(out, mark+string(b[:]))
	}
	return out
}

// page is the node as its pages are used.
func (n *canaryNode) page() *served {
	return &served{t: n.t, dir: n.data, http: n.url, cmd: n.cmd, control: control.New(n.data)}
}

func (n *canaryNode) end() { n.page().stop() }

// plant registers 50 people and writes 50 notes, each as somebody at a desk does.
func (d *threeDoors) plant() {
	d.t.Helper()
	words := map[string]string{}
	for user, role := range map[string]string{"cora": "coordinator", "mina": "caseworker", "rana": "registrar"} {
		words[user] = d.a.waypost("staff", "add", "--data", d.a.data, "--user", user, "--role", role, "--words")
	}
	lead := d.a.page().signIn("amina", "five plain words for doors")
	lead.form(d.t, "/box/desks", "/box/desks", url.Values{}, "officers", "workers")
	rana := d.a.page().signIn("rana", words["rana"])
	d.worker = d.a.page().signIn("mina", words["mina"])
	d.saved = d.worker.writeFiles(d.t, d.narrow[:plantedNames/2])
	var people []string
	for _, name := range d.people {
		id, err := (&caller{s: rana.s, http: rana.http, key: d.a.page().program("registrar").key}).register(name, "Haddad")
		if err != nil {
			d.t.Fatal(err)
		}
		people = append(people, id)
	}
	for i, name := range d.narrow[plantedNames/2:] { // passed on by a desk that cannot read it
		path := "/people/" + people[i]
		rana.form(d.t, path, path+"/tell", url.Values{"tell.codes": {"violence"}, "tell.note": {name}})
	}
}

// join lets the two others in and waits until they hold what the first one has.
func (d *threeDoors) join() {
	d.t.Helper()
	for n, area := range map[*canaryNode]string{d.full: "", d.other: "new"} {
		line := []string{"invite", "--data", d.a.data}
		if area != "" {
			line = append(line, "--area", area)
		}
		n.waypost("join", "--data", n.data, "--site", "Gate", "--lead", "sami", "--passphrase-file", d.secret, d.a.waypost(line...))
		n.serve(d.secret)
		if d.wire != nil {
			d.wire.watch(false, wirePort(d.t, n.mesh))
		}
		d.a.waypost("confirm", "--data", d.a.data, n.page().status().Node)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(pause) {
		want := d.a.page().status().Ops
		if full, other := d.full.page().status(), d.other.page().status(); full.Ops == want && other.Ops == want && full.People == plantedNames {
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("not the same: %d, %+v and %+v", want, d.full.page().status(), d.other.page().status())
		}
	}
}

// locked is a thief with a copy of the folder, who connects with all that can be read in it,
// and who recorded what went over the network since the first name was typed.
func (d *threeDoors) locked() {
	d.t.Helper()
	said := d.lockedCopy(d.full, d.full.page().program("lead").key)
	d.want("a locked copy of the folder, asked everything", d.found(said, d.people), 0, d.found(said, d.narrow), 0)
	if d.wire == nil {
		return
	}
	plain, all := d.wire.close()
	if len(all) < 20<<10 {
		d.t.Errorf("only %d bytes went between the nodes", len(all))
	}
	d.want("all traffic between the nodes", d.found(all, d.people), 0, d.found(all, d.narrow), 0)
	d.want("the recording of pages without TLS at the box itself, which shows that it records", d.found(plain, d.people), plantedNames, d.found(plain, d.narrow), plantedNames)
}

// readByItsOwn checks that the notes were written: who works in the files reads all of them.
func (d *threeDoors) readByItsOwn() {
	d.t.Helper()
	_, list, err := d.worker.do("GET", "/desk", "", "")
	if err != nil {
		d.t.Fatal(err)
	}
	var all bytes.Buffer
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`href="(/desk/[a-z0-9]{16})"`).FindAllSubmatch(list, -1) {
		if path := string(m[1]); !seen[path] {
			seen[path] = true
			_, raw, err := d.worker.do("GET", path, "", "")
			if err != nil {
				d.t.Fatal(err)
			}
			all.Write(raw)
		}
	}
	if got := d.found(all.Bytes(), d.narrow); got != plantedNames {
		d.t.Fatalf("who works in the files reads %d of %d notes in %d files", got, plantedNames, len(seen))
	}
}

// asked is what the node's own programs get by asking for each name.
func (d *threeDoors) asked(n *canaryNode) (people, notes int) {
	d.t.Helper()
	c := n.page().program("lead")
	hits := func(names []string) (found int) {
		for _, name := range names {
			resp, raw, err := c.do("GET", "/api/v1/people?q="+name, "", "")
			var page struct{ Items []json.RawMessage }
			if err != nil || resp.StatusCode != 200 || json.Unmarshal(raw, &page) != nil {
				d.t.Fatalf("%v %s", err, raw)
			}
			found += min(len(page.Items), 1)
		}
		return found
	}
	return hits(d.people), hits(d.narrow)
}

// found is how many of the names stand in raw, in any of the usual spellings.
func (d *threeDoors) found(raw []byte, names []string) (n int) {
	mark := names[0][:4]
	for form, m := range spellings(mark) {
		if !bytes.Contains(raw, m) {
			continue
		}
		for _, name := range names {
			if bytes.Contains(raw, spellings(name)[form]) {
				n++
			}
		}
		if n > 0 {
			return n
		}
	}
	return n
}

// spellings are the ways in which bytes of a word lie in files.
func spellings(word string) map[string][]byte {
	little, big := []byte{}, []byte{}
	for _, u := range utf16.Encode([]rune(word)) {
		little, big = binary.LittleEndian.AppendUint16(little, u), binary.BigEndian.AppendUint16(big, u)
	}
	out := map[string][]byte{
		"plain": []byte(word), "lower": []byte(strings.ToLower(word)), "upper": []byte(strings.ToUpper(word)), "UTF-16": little, "UTF-16 big": big,
		"hex": []byte(hex.EncodeToString([]byte(word))), "HEX": []byte(strings.ToUpper(hex.EncodeToString([]byte(word)))),
	}
	for shift := range 3 { // where the word begins within three bytes; the letters at the ends depend on its neighbours
		text := base64.StdEncoding.EncodeToString(append(make([]byte, shift), word...))
		from, to := (8*shift+5)/6, 8*(shift+len(word))/6
		out[fmt.Sprint("base64 ", shift)] = []byte(text[from:to])
	}
	return out
}

// opened is everything that lies in the node's folder: each file as it is, and with a
// secret what all keys behind it open: ops and how they travel, the views' rows, every row
// of the store, letters, and each file that a key of the storage key's seals.
func (n *canaryNode) opened(secret []byte) []byte {
	n.t.Helper()
	var out bytes.Buffer
	must := func(err error) {
		n.t.Helper()
		if err != nil {
			n.t.Fatal(err)
		}
	}
	var keys [][32]byte
	if secret != nil {
		unlock, err := lockFolder(n.data)
		must(err)
		defer unlock()
		node, err := openFolder(context.Background(), n.data, secret, slog.New(slog.NewTextHandler(&out, nil)))
		must(err)
		for _, label := range []string{"accounts", "chunks", "journal", "letterbox", "views", "secrets", "web"} {
			keys = append(keys, node.vault.Subkey(label))
		}
		must(node.pour(&out))
		must(node.Close()) // an open store puts its files in order, and some are gone when their turn comes
	}
	must(filepath.WalkDir(n.data, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		out.WriteString(path)
		raw, err := os.ReadFile(path)
		out.Write(raw)
		for _, key := range keys {
			if plain, err := identity.NewSealedFile(filepath.Dir(path), filepath.Base(path), key).Read(); err == nil {
				out.Write(plain)
			}
		}
		return err
	}))
	return out.Bytes()
}

// pour writes out what an open node can read.
func (n *node) pour(out *bytes.Buffer) error {
	subjects := map[oplog.ID]bool{}
	err := n.journal.View(func(r oplog.Reader) error {
		for _, v := range station.Views() {
			if err := r.Rows(v, nil, nil, func(k []byte, subject oplog.ID, value []byte) error {
				subjects[subject] = true
				fmt.Fprintf(out, "%s%s%s", k, subject[:], value)
				return nil
			}); err != nil {
				return err
			}
		}
		for subject := range subjects {
			ops, err := r.Ops(subject)
			if err != nil {
				return err
			}
			for _, op := range ops {
				text, err := json.Marshal(op.Body)
				if err != nil {
					return err
				}
				fmt.Fprintf(out, "%+v %s", op, text)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, h := range n.journal.Heads() {
		for after := uint64(0); after < h.Seq; {
			raw, last, err := n.journal.Range(h.Log, after, 0, 0)
			if err != nil {
				return err
			}
			out.Write(raw)
			after = last
		}
	}
	if err := n.store.View(func(r oplog.StoreReader) error {
		return r.Scan(nil, nil, func(k, v []byte) error { out.Write(k); out.Write(v); return nil })
	}); err != nil {
		return err
	}
	key, err := n.letterboxKey()
	if err != nil {
		return err
	}
	pile := letterbox.Empty(files.OS(), n.dir, key)
	names, err := pile.Names()
	for _, name := range names {
		if l, err := pile.Read(name); err == nil {
			out.Write(l.Body)
		}
	}
	return err
}
