package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteAtomicReplacesAndCleansUp(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a")
	for _, content := range []string{"one", "two and longer", ""} {
		if err := WriteAtomic(OS(), name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Read(OS(), name, 64)
		if err != nil || string(got) != content {
			t.Fatalf("%q %v", got, err)
		}
	}
	st, err := os.Stat(name)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatal(st.Mode(), err)
	}
	if err := WriteAtomic(OS(), filepath.Join(dir, "none", "a"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	left, err := OS().ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Fatal(left, err)
	}
}

func TestReadIsBounded(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(name, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(OS(), name, 99); err == nil {
		t.Fatal("read more than allowed")
	}
	if b, err := Read(OS(), name, 100); err != nil || len(b) != 100 {
		t.Fatal(len(b), err)
	}
	if _, err := Open(OS(), name+"x"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}
