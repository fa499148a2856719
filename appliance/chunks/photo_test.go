package chunks

import (
	"bytes"
	"context"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

// corners is a picture whose corners tell how it was turned: red, green, blue and
// white, clockwise from the upper left.
func corners(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.RGBA{255, 0, 0, 255}
			switch {
			case x >= w/2 && y < h/2:
				c = color.RGBA{0, 255, 0, 255}
			case x >= w/2:
				c = color.RGBA{0, 0, 255, 255}
			case y >= h/2:
				c = color.RGBA{255, 255, 255, 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
	return img
}

// exif is an APP1 segment that says how the camera was held, and where and when.
func exif(order binary.AppendByteOrder, orientation uint16, planted string) []byte {
	b := []byte("MM\x00*")
	if order == binary.AppendByteOrder(binary.LittleEndian) {
		b = []byte("II*\x00")
	}
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 2) // entries
	b = order.AppendUint16(b, 271)
	b = order.AppendUint16(b, 2) // text
	b = order.AppendUint32(b, uint32(len(planted)))
	b = order.AppendUint32(b, 38)
	b = order.AppendUint16(b, 274)
	b = order.AppendUint16(b, 3)
	b = order.AppendUint32(b, 1)
	b = order.AppendUint16(b, orientation)
	b = append(b, 0, 0, 0, 0, 0, 0)
	b = append(b, planted...)
	body := append([]byte("Exif\x00\x00"), b...)
	return append([]byte{0xff, 0xe1, byte((len(body) + 2) >> 8), byte(len(body) + 2)}, body...)
}

// camera is img as a phone sends it.
func camera(t testing.TB, img image.Image, segments ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	must(t, jpeg.Encode(&out, img, &jpeg.Options{Quality: 95}))
	raw := out.Bytes()
	b := append([]byte(nil), raw[:2]...)
	for _, s := range segments {
		b = append(b, s...)
	}
	return append(b, raw[2:]...)
}

func kept(t testing.TB, data []byte) (image.Image, []byte) {
	t.Helper()
	out, err := Photo(context.Background(), NewLine(clock.System()), data)
	must(t, err)
	img, err := jpeg.Decode(bytes.NewReader(out))
	must(t, err)
	return img, out
}

// near tells a colour after JPEG.
func near(c color.Color, want color.RGBA) bool {
	r, g, b, _ := c.RGBA()
	far := func(a uint32, b uint8) bool { d := int(a>>8) - int(b); return d > 40 || d < -40 }
	return !far(r, want.R) && !far(g, want.G) && !far(b, want.B)
}

const planted = "GPS 31.5017 N 34.4668 E, camera 4711, 2026-11-24\x00"

func TestNothingTheCameraWroteIsLeft(t *testing.T) {
	comment := append([]byte{0xff, 0xfe, 0, byte(len(planted) + 2)}, planted...)
	xmp := append([]byte{0xff, 0xe1, 0, byte(len(planted) + 31)}, append([]byte("http://ns.adobe.com/xap/1.0/\x00"), planted...)...)
	data := camera(t, corners(200, 100), exif(binary.BigEndian, 1, planted), comment, xmp)
	data = append(data, planted...) // behind the end, too
	if bytes.Count(data, []byte("31.5017")) != 4 {
		t.Fatal("not planted")
	}
	if orientation(data) != 1 {
		t.Fatal("not a sound photo")
	}
	_, out := kept(t, data)
	for _, trace := range []string{"31.5017", "4711", "2026", "Exif", "GPS", "xap"} {
		if bytes.Contains(out, []byte(trace)) {
			t.Errorf("%q is left", trace)
		}
	}
	for i := 2; i+4 <= len(out) && out[i] == 0xff && out[i+1] != 0xda; i += 2 + int(binary.BigEndian.Uint16(out[i+2:])) {
		if m := out[i+1]; m >= 0xe0 && m <= 0xef || m == 0xfe {
			t.Errorf("a segment %x is left", m)
		}
	}
	var p bytes.Buffer
	must(t, png.Encode(&p, corners(30, 30)))
	text := []byte("\x00\x00\x00\x0ctEXtGPS\x00 31.5017\x00\x00\x00\x00")
	if _, out := kept(t, append(p.Bytes(), text...)); bytes.Contains(out, []byte("31.5017")) {
		t.Error("text of a PNG is left")
	}
}

// All eight ways to hold a camera come out upright. Where the red corner of the stored
// picture belongs is Exif's table for tag 274.
func TestPhotosStandUpright(t *testing.T) {
	red, green := color.RGBA{255, 0, 0, 255}, color.RGBA{0, 255, 0, 255}
	type at struct{ right, low bool }
	for how, want := range map[uint16][2]at{ // of the red and the green corner
		1: {{false, false}, {true, false}}, 2: {{true, false}, {false, false}}, 3: {{true, true}, {false, true}}, 4: {{false, true}, {true, true}},
		5: {{false, false}, {false, true}}, 6: {{true, false}, {true, true}}, 7: {{true, true}, {true, false}}, 8: {{false, true}, {false, false}},
	} {
		for _, order := range []binary.AppendByteOrder{binary.BigEndian, binary.LittleEndian} {
			img, _ := kept(t, camera(t, corners(80, 40), exif(order, how, planted)))
			w, h := img.Bounds().Dx(), img.Bounds().Dy()
			if turned := how > 4; turned != (h == 80) || turned == (w == 80) {
				t.Fatalf("%d: %d x %d", how, w, h)
			}
			for i, c := range []color.RGBA{red, green} {
				x, y := w/8, h/8
				if want[i].right {
					x = w - 1 - w/8
				}
				if want[i].low {
					y = h - 1 - h/8
				}
				if !near(img.At(x, y), c) {
					t.Errorf("%d: %v at %d,%d", how, img.At(x, y), x, y)
				}
			}
		}
	}
	for _, how := range []uint16{0, 9, 65535} {
		if img, _ := kept(t, camera(t, corners(80, 40), exif(binary.BigEndian, how, ""))); img.Bounds().Dx() != 80 {
			t.Error(how)
		}
	}
}

func TestLargePhotosShrinkAndSmallOnesStay(t *testing.T) {
	for _, c := range []struct{ w, h, toW, toH int }{
		{100, 50, 100, 50}, {1024, 10, 1024, 10}, {1025, 1025, 1024, 1024}, {2047, 1000, 1024, 500}, {4000, 3000, 1024, 768},
		{3000, 4000, 768, 1024}, {5000, 1, 1024, 1}, {1, 3000, 1, 1024},
	} {
		img, out := kept(t, camera(t, corners(c.w, c.h)))
		if img.Bounds().Dx() != c.toW || img.Bounds().Dy() != c.toH {
			t.Errorf("%dx%d became %v", c.w, c.h, img.Bounds())
		}
		if len(out) > PieceSize {
			t.Errorf("%dx%d: %d bytes", c.w, c.h, len(out))
		}
		if c.w > 99 && c.h > 40 && (!near(img.At(c.toW/8, c.toH/8), color.RGBA{255, 0, 0, 255}) || !near(img.At(c.toW*7/8, c.toH*7/8), color.RGBA{0, 0, 255, 255})) {
			t.Errorf("%dx%d: other colours", c.w, c.h)
		}
	}
	// What was transparent is white, as in a browser.
	clear := image.NewNRGBA(image.Rect(0, 0, 2200, 40))
	var p bytes.Buffer
	must(t, png.Encode(&p, clear))
	if img, _ := kept(t, p.Bytes()); !near(img.At(5, 5), color.RGBA{255, 255, 255, 255}) {
		t.Errorf("transparent became %v", img.At(5, 5))
	}
}

// jpegHeader is a JPEG that ends after its frame header.
func jpegHeader(sof byte, w, h int) []byte {
	return append([]byte("\xff\xd8\xff\xe0\x00\x07JFIF\x00"), 0xff, sof, 0, 17, 8, byte(h>>8), byte(h), byte(w>>8), byte(w), 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1)
}

func TestWhatIsTooLargeIsNotDecoded(t *testing.T) {
	line := NewLine(clock.System())
	good := camera(t, corners(20, 20))
	for name, c := range map[string]struct {
		data  []byte
		class fault.Class
	}{
		"over 8 MB":          {append(bytes.Clone(good), make([]byte, MaxPhotoBytes)...), fault.TooLarge},
		"25 megapixels":      {jpegHeader(0xc0, 5000, 5000), fault.TooLarge},
		"progressive, 20 MP": {jpegHeader(0xc2, 5000, 4000), fault.TooLarge},
		"no image":           {[]byte("%PDF-1.7"), fault.Unsupported},
		"nothing":            {nil, fault.Unsupported},
		"half":               {good[:len(good)/2], fault.Unsupported},
		"a header alone":     {jpegHeader(0xc0, 100, 100), fault.Unsupported},
	} {
		if _, err := Photo(context.Background(), line, c.data); fault.ClassOf(err) != c.class {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := guarded(func() (int, error) { panic("bad huffman table") }); err == nil {
		t.Error("a panic is no error")
	}
}

func TestOneImageAtATime(t *testing.T) {
	fake := clock.NewFake(time.Unix(0, 0))
	line := NewLine(fake)
	for range PictureLine + 1 {
		if _, ok := line.Join(); !ok {
			t.Fatal("the line is shorter than it says")
		}
	}
	_, err := Photo(context.Background(), line, camera(t, corners(20, 20)))
	wantFault(t, err, fault.Busy, "fault.chunks.photo_busy")
	line = NewLine(fake)
	done, _ := line.Turn(context.Background())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Photo(ctx, line, camera(t, corners(20, 20)))
	wantFault(t, err, fault.Busy, "fault.chunks.photo_busy")
	done()
	if _, err = Photo(context.Background(), line, camera(t, corners(20, 20))); err != nil {
		t.Fatal(err)
	}
}

// Nothing a stranger writes into an Exif block does more than turn a picture.
func FuzzOrientation(f *testing.F) {
	f.Add(camera(f, corners(8, 8), exif(binary.BigEndian, 6, planted)))
	f.Add(camera(f, corners(8, 8), exif(binary.LittleEndian, 3, "")))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_ = orientation(data)
		_ = tiffOrientation(data)
	})
}

func BenchmarkPhoto12MP(b *testing.B) {
	data := camera(b, corners(4000, 3000))
	line := NewLine(clock.System())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Photo(context.Background(), line, data); err != nil {
			b.Fatal(err)
		}
	}
}
