package main

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// Photos for scripts:
//
//	camera FILE TEXT         a JPEG of 1600 x 1200 whose Exif block says TEXT
//	rot DIR                  flip a bit in every file below DIR that ends in .wpc
//	[!] planted TEXT DIR...  fail unless (with !, if) any file below has TEXT

// exifPhoto is a photo as a phone takes it, with what it knows about itself.
func exifPhoto(text string) []byte {
	img := image.NewRGBA(image.Rect(0, 0, 1600, 1200))
	for i := range img.Pix {
		img.Pix[i] = uint8(i/7 | 0x40)
	}
	img.Set(3, 3, color.White)
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: 90}); err != nil {
		panic(err) // to memory: cannot fail
	}
	body := append([]byte("Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00"), text...)
	segment := append([]byte{0xff, 0xe1, byte((len(body) + 2) >> 8), byte(len(body) + 2)}, body...)
	return append(append(append([]byte(nil), out.Bytes()[:2]...), segment...), out.Bytes()[2:]...)
}

func cameraCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: camera FILE TEXT")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), exifPhoto(args[1]), 0o600))
}

func rotCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: rot DIR")
	}
	n := 0
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".wpc") {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		b[len(b)/2] ^= 1
		n++
		return os.WriteFile(p, b, 0o600)
	}))
	if n == 0 {
		ts.Fatalf("no piece below %s", args[0])
	}
}

func plantedCmd(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] planted TEXT DIR...")
	}
	found, files := "", 0
	for _, dir := range args[1:] {
		ts.Check(filepath.WalkDir(ts.MkAbs(dir), func(p string, d fs.DirEntry, err error) error {
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if err != nil || !d.Type().IsRegular() {
				return nil // a running node moves its files
			}
			b, err := os.ReadFile(p)
			if err != nil {
				return nil
			}
			files++
			if bytes.Contains(b, []byte(args[0])) {
				found = p
			}
			return nil
		}))
	}
	if files == 0 {
		ts.Fatalf("no files")
	}
	if neg && found != "" {
		ts.Fatalf("%s has %q", found, args[0])
	}
	if !neg && found == "" {
		ts.Fatalf("%q is in none of %d files", args[0], files)
	}
}
