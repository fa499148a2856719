package oplog

import (
	"os"
	"slices"
	"testing"

	"github.com/waypost/waypost/appliance/files"
)

// sealedJournal writes segments of three frames each.
func sealedJournal(t *testing.T, segments uint64) (dir string, sizes []int) {
	t.Helper()
	dir = t.TempDir()
	deployment := [16]byte{1, 2, 3}
	for n := uint64(1); n <= segments; n++ {
		raw := newSegmentHeader(deployment, n)
		aead := newFrameCipher([32]byte{byte(n)})
		for i := range uint32(3) {
			raw = append(raw, sealFrame(aead, deployment, n, i, []byte("\x01some ops"))...)
		}
		if err := os.WriteFile(segmentPath(dir, n), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(raw))
	}
	if err := (&journal{fs: files.OS(), dir: dir, deployment: deployment}).saveKeys(); err != nil {
		t.Fatal(err)
	}
	return dir, sizes
}

func TestCheckSealedFindsDamageFromOutside(t *testing.T) {
	for name, tt := range map[string]struct {
		hurt func(t *testing.T, dir string, sizes []int)
		want []string
	}{
		"sound":                    {func(*testing.T, string, []int) {}, nil},
		"a flipped bit":            {func(t *testing.T, dir string, _ []int) { flip(t, dir, 1, segmentHeader+frameHeader+3) }, []string{"journal segment 1: damaged frame at byte 38"}},
		"a damaged frame header":   {func(t *testing.T, dir string, _ []int) { flip(t, dir, 2, segmentHeader+5) }, []string{"journal segment 2: damaged frame header at byte 38", "journal segment 2: missing frames at byte 83"}},
		"a damaged header":         {func(t *testing.T, dir string, _ []int) { flip(t, dir, 2, 12) }, []string{"journal segment 2: header is damaged"}},
		"a torn end of the last":   {func(t *testing.T, dir string, sizes []int) { cutTo(t, dir, 2, sizes[1]-3) }, nil},
		"a torn end of an earlier": {func(t *testing.T, dir string, sizes []int) { cutTo(t, dir, 1, sizes[0]-3) }, []string{"journal segment 1: incomplete frame at byte 128"}},
		"a start that was cut":     {func(t *testing.T, dir string, _ []int) { cutTo(t, dir, 2, 11) }, nil},
		"a copied segment": {func(t *testing.T, dir string, _ []int) {
			if err := os.Rename(segmentPath(dir, 1), segmentPath(dir, 9)); err != nil {
				t.Fatal(err)
			}
		}, []string{"journal segment 9: header names another segment"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, sizes := sealedJournal(t, 2)
			tt.hurt(t, dir, sizes)
			got, err := CheckSealed(dir)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Fatalf("%q %v", got, err)
			}
		})
	}
}

func flip(t *testing.T, dir string, number uint64, at int) {
	t.Helper()
	raw, err := os.ReadFile(segmentPath(dir, number))
	if err != nil {
		t.Fatal(err)
	}
	raw[at] ^= 1
	if err := os.WriteFile(segmentPath(dir, number), raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func cutTo(t *testing.T, dir string, number uint64, size int) {
	t.Helper()
	if err := os.Truncate(segmentPath(dir, number), int64(size)); err != nil {
		t.Fatal(err)
	}
}
