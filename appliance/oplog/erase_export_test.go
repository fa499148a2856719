package oplog

import (
	"bytes"
	"testing"

	"github.com/waypost/waypost/appliance/files"
)

// Plaintexts is everything the files of a journal say to whoever has every key: all
// frames of all segments, and all payloads in them opened.
func Plaintexts(t testing.TB, o Options) []byte {
	t.Helper()
	j, err := openJournal(&journal{
		dir: o.Dir, fs: files.OS(), deployment: o.Authority.Deployment(), storageKey: o.StorageKey, problem: func(string) {}, note: func(string) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	batches := func(raw []byte) error {
		b, err := parseBatch(raw)
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.ops {
			if plain, err := openPayload(o.Authority, &b.ops[i]); err == nil {
				out.Write(plain)
			}
		}
		return nil
	}
	for _, s := range j.segs {
		raw, err := j.load(s)
		if err != nil {
			t.Fatal(err)
		}
		_ = walkFrames(raw, func(f found) error {
			body, err := j.open(s, f.index, f.cipher)
			if err != nil {
				return nil
			}
			out.Write(body)
			if body[0] == frameEvidence {
				_ = batches(body[33:])
			}
			return eachBatch(body, batches)
		})
	}
	return out.Bytes()
}

// Bared is a batch without the payloads of a subject, as a node serves it that has
// destroyed them; or one that lies.
func Bared(raw []byte, subject ID) []byte {
	b, err := parseBatch(raw)
	if err != nil {
		panic(err)
	}
	b.link()
	return b.stripped(func(id ID) bool { return id == subject }).encode(nil)
}
