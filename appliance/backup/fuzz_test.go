package backup_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/waypost/waypost/appliance/backup"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
)

// Whatever a file holds, it is a sound backup or it is refused with a fault of ours.
func FuzzVerify(f *testing.F) {
	b := newBox(f, 300)
	file := filepath.Join(f.TempDir(), "day.wpb")
	b.write(file)
	raw, err := os.ReadFile(file)
	must(f, err)
	f.Add(raw)
	f.Add(raw[:len(raw)/2])
	f.Add([]byte("WAYPOSTB\x00\x01\x00\x00\x00\x10"))
	f.Add([]byte("WAYPOSTB\x00\x02\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, content []byte) {
		fsys := memory{files.OS(), content}
		info, err := backup.Verify(context.Background(), fsys, "x", nil, nil)
		if err != nil {
			if fault.Of(err).Key == "fault.internal" {
				t.Fatal(err)
			}
			return
		}
		if info.Bytes != int64(len(content)) || info.Node.IsZero() {
			t.Fatalf("%d bytes taken as %+v", len(content), info)
		}
	})
}

// Paths of a backup stay in the folder, and what is left out is known.
func FuzzLeft(f *testing.F) {
	for _, s := range []string{"journal/00000001.wpj", "views/x", "views", "views.new/000001.sst", "a/b.part", "lock", "journal/lock", ".x", "a/.b/c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, rel string) {
		if backup.Left(rel) && !backup.Known(rel) {
			t.Fatalf("%q is left out and unknown", rel)
		}
	})
}

func TestWhatIsLeftOut(t *testing.T) {
	for rel, left := range map[string]bool{
		"views/000001.sst": true, "views.new/MANIFEST": true, "lock": true, "control.sock": true, "place": true, "restored": true,
		"restoring/journal/00000001.wpj": true, "backup.json": true, "day.wpb.part": true, "chunks/ab/.tmp": true, "ballast": true, "journal/keys.new": true,
		"secrets": false, "journal/00000001.wpj": false, "journal/keys": false, "chunks/ab/cd": false, "letterbox/lock": false, "something": false,
	} {
		if backup.Left(rel) != left {
			t.Errorf("%s: left out %v", rel, !left)
		}
	}
	for _, rel := range []string{"something", "deep/something"} {
		if backup.Known(rel) {
			t.Errorf("%s: known", rel)
		}
	}
}
