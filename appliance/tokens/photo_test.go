package tokens

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/chunks"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

var (
	faultLarge      = fault.New(fault.TooLarge, "fault.tokens.photo_too_large")
	faultUnreadable = fault.New(fault.Unsupported, "fault.tokens.photo_unreadable")
	faultNoCode     = fault.New(fault.NotFound, "fault.tokens.no_code")
	faultBusy       = fault.New(fault.Busy, "fault.tokens.photo_busy")
)

// printOf is the picture of a text's code.
func printOf(t testing.TB, text string, dots int) image.Image {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(PNG(text, dots)))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func asJPEG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asPNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func painted(dst draw.Image, src image.Image) image.Image {
	draw.Draw(dst, dst.Bounds(), src, src.Bounds().Min, draw.Over)
	return dst
}

func TestEveryFormatAndPixelType(t *testing.T) {
	text := someToken().String()
	src := printOf(t, text, 4)
	r := src.Bounds()
	clear := image.NewNRGBA(r) // black on nothing: the page behind it is white
	for y := range r.Dy() {
		for x := range r.Dx() {
			if c, _, _, _ := src.At(x, y).RGBA(); c == 0 {
				clear.Set(x, y, color.Black)
			}
		}
	}
	inverse := image.NewGray(r)
	for y := range r.Dy() {
		for x := range r.Dx() {
			c, _, _, _ := src.At(x, y).RGBA()
			inverse.SetGray(x, y, color.Gray{Y: ^byte(c >> 8)})
		}
	}
	photos := map[string][]byte{
		"jpeg":               asJPEG(t, src),
		"png, palette":       asPNG(t, src),
		"png, grey":          asPNG(t, painted(image.NewGray(r), src)),
		"png, 16 bit grey":   asPNG(t, painted(image.NewGray16(r), src)),
		"png, colour":        asPNG(t, painted(image.NewRGBA(r), src)),
		"png, 16 bit":        asPNG(t, painted(image.NewRGBA64(r), src)),
		"png, transparent":   asPNG(t, clear),
		"png, light on dark": asPNG(t, inverse),
		"webp":               asWebP(src),
	}
	for name, b := range photos {
		if got, err := Decode(bytes.NewReader(b)); err != nil || got != text {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestAnyQRTextIsReadAsItStands(t *testing.T) {
	for _, text := range []string{"https://example.org/a?b=c", "HC1:6BF", "مرحبا", "wp1:lower", "0123456789", "two\nlines"} {
		if got, err := Decode(bytes.NewReader(PNG(text, 4))); err != nil || got != text {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// TestACardAmongOtherCodes: both copies of a card and a link in one picture.
func TestACardAmongOtherCodes(t *testing.T) {
	text := someToken().String()
	page := image.NewGray(image.Rect(0, 0, 900, 700))
	draw.Draw(page, page.Bounds(), image.White, image.Point{}, draw.Src)
	place := func(img image.Image, x, y int) {
		draw.Draw(page, img.Bounds().Add(image.Pt(x, y)), img, image.Point{}, draw.Src)
	}
	place(printOf(t, "https://example.org", 5), 30, 20)
	place(printOf(t, text, 4), 600, 40)
	place(printOf(t, text, 4), 320, 430)
	if got, err := Decode(bytes.NewReader(asPNG(t, page))); err != nil || got != text {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestLargePhotoIsReadInPieces(t *testing.T) {
	text := someToken().String()
	page := image.NewGray(image.Rect(0, 0, 4000, 3000))
	draw.Draw(page, page.Bounds(), image.NewUniform(color.Gray{Y: 200}), image.Point{}, draw.Src)
	code := printOf(t, text, 7)
	big := image.NewGray(image.Rect(0, 0, code.Bounds().Dx()*3, code.Bounds().Dy()*3))
	for y := range big.Rect.Dy() {
		for x := range big.Rect.Dx() {
			big.Set(x, y, code.At(x/3, y/3))
		}
	}
	draw.Draw(page, big.Bounds().Add(image.Pt(900, 1500)), big, image.Point{}, draw.Src)
	if got, err := Decode(bytes.NewReader(asJPEG(t, page))); err != nil || got != text {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	good := asJPEG(t, printOf(t, someToken().String(), 4))
	blank := image.NewGray(image.Rect(0, 0, 300, 200))
	for name, c := range map[string]struct {
		photo []byte
		want  error
	}{
		"nothing":                 {nil, faultUnreadable},
		"text":                    {[]byte("WP1:not a picture"), faultUnreadable},
		"gif":                     {[]byte("GIF89a\x01\x00\x01\x00"), faultUnreadable},
		"jpeg mark only":          {[]byte("\xff\xd8\xff"), faultUnreadable},
		"half a jpeg header":      {good[:10], faultUnreadable},
		"half a png":              {asPNG(t, blank)[:40], faultUnreadable},
		"webp without a picture":  {[]byte("RIFF\x04\x00\x00\x00WEBP"), faultUnreadable},
		"blank":                   {asPNG(t, blank), faultNoCode},
		"one pixel":               {asPNG(t, image.NewGray(image.Rect(0, 0, 1, 1))), faultNoCode},
		"a line":                  {asPNG(t, image.NewGray(image.Rect(0, 0, 5000, 1))), faultNoCode},
		"over 12 MB":              {append(bytes.Clone(good), make([]byte, MaxPhotoBytes)...), faultLarge},
		"png header of 41 MP":     {pngHeader(41_000, 1000, 8, 0), faultLarge},
		"png header of 2^62":      {pngHeader(1<<31-1, 1<<31-1, 8, 0), faultUnreadable},
		"16-bit colour of 36 MP":  {pngHeader(6000, 6000, 16, 6), faultLarge},
		"progressive jpeg, 30 MP": {jpegHeader(0xc2, 6000, 5000), faultLarge},
		"progressive, stray byte": {jpegBehind(0xc2, 6000, 5000, 0x00), faultLarge},
		"progressive, restart":    {jpegBehind(0xc2, 6000, 5000, 0xff, 0xd0, 0xff, 0xfe, 0x00, 0x02), faultLarge},
		"webp canvas of 64 MP":    {webpHeader(8000, 8000), faultLarge},
	} {
		if got, err := Decode(bytes.NewReader(c.photo)); !errors.Is(err, c.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	// A baseline JPEG of 40 MP passes the header check: only its body is missing.
	if _, err := openPhoto(jpegHeader(0xc0, 8000, 5000)); err != nil {
		t.Errorf("40 MP: %v", err)
	}
	if _, err := openPhoto(jpegHeader(0xc2, 3000, 2700)); err != nil {
		t.Errorf("progressive, 8 MP: %v", err)
	}
	if _, err := Decode(io.MultiReader(bytes.NewReader(good[:50]), failing{})); !errors.Is(err, fault.New(fault.Invalid, "fault.tokens.photo_unreadable")) {
		t.Errorf("a broken upload: %v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// pngHeader is a PNG that claims a size and has nothing to show for it.
func pngHeader(w, h uint32, depth, colour byte) []byte {
	ihdr := []byte("IHDR")
	ihdr = binary.BigEndian.AppendUint32(ihdr, w)
	ihdr = binary.BigEndian.AppendUint32(ihdr, h)
	ihdr = append(ihdr, depth, colour, 0, 0, 0)
	b := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), ihdr...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(ihdr))
}

// jpegHeader is a JPEG up to its frame header, of the given kind of frame.
func jpegHeader(sof byte, w, h uint16) []byte {
	b := append([]byte("\xff\xd8\xff\xe0\x00\x07JFIF\x00"), 0xff, sof, 0, 17, 8)
	b = binary.BigEndian.AppendUint16(b, h)
	b = binary.BigEndian.AppendUint16(b, w)
	return append(b, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1)
}

// jpegBehind is jpegHeader with bytes before the frame header that the decoder skips.
func jpegBehind(sof byte, w, h uint16, stray ...byte) []byte {
	b := jpegHeader(sof, w, h)
	const frame = 2 + 9 // behind the start of the image and the JFIF segment
	return slices.Concat(b[:frame], stray, b[frame:])
}

// webpHeader is an extended WebP that claims a canvas.
func webpHeader(w, h uint32) []byte {
	le24 := func(n uint32) []byte { return []byte{byte(n), byte(n >> 8), byte(n >> 16)} }
	b := []byte("RIFF\x16\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00")
	return append(append(b, le24(w-1)...), le24(h-1)...)
}

// asWebP writes a black and white picture as a lossless WebP, the shortest way
// that the format allows: one bit a pixel for green, the rest follows from it.
func asWebP(img image.Image) []byte {
	var bits []byte
	n := 0
	put := func(value uint32, count int) {
		for i := range count {
			if n%8 == 0 {
				bits = append(bits, 0)
			}
			bits[n/8] |= byte(value>>i&1) << (n % 8)
			n++
		}
	}
	r := img.Bounds()
	put(0x2f, 8)
	put(uint32(r.Dx()-1), 14)
	put(uint32(r.Dy()-1), 14)
	put(0, 4)           // no alpha, version 0
	put(1|2<<1, 3)      // a transform: subtract green
	put(0, 3)           // no more of them, no colour cache, one set of codes
	put(1|1<<1|1<<2, 3) // green: two symbols, of 8 bits
	put(0, 8)
	put(255, 8)
	put(1, 4)           // red: one symbol, 0
	put(1, 4)           // blue: the same
	put(1|0<<1|1<<2, 3) // alpha: one symbol of 8 bits
	put(255, 8)
	put(1, 4) // distance: unused
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			c, _, _, _ := img.At(x, y).RGBA()
			put(c&1, 1)
		}
	}
	if len(bits)%2 == 1 {
		bits = append(bits, 0)
	}
	b := binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(12+len(bits)))
	b = binary.LittleEndian.AppendUint32(append(b, "WEBPVP8L"...), uint32(len(bits)))
	return append(b, bits...)
}

// TestHostilePicturesEnd: the decoder compares every three finder patterns, so a
// picture full of them must be given up. The clock stands still: nothing but
// the count of patterns ends it.
func TestHostilePicturesEnd(t *testing.T) {
	tiles := image.NewGray(image.Rect(0, 0, 1600, 1600))
	draw.Draw(tiles, tiles.Bounds(), image.White, image.Point{}, draw.Src)
	for y := 0; y < 1600; y++ {
		for x := 0; x < 1600; x++ {
			if u, v := x%10, y%10; u < 7 && v < 7 {
				ring := max(max(u, 6-u), max(v, 6-v)) // 6 edge, 5 light, 4 and less: core
				if ring != 5 {
					tiles.SetGray(x, y, color.Gray{})
				}
			}
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	noise := image.NewGray(image.Rect(0, 0, 1600, 1600))
	for i := range noise.Pix {
		noise.Pix[i] = byte(rng.Uint32())
	}
	s := NewScanner(clock.NewFake(time.Unix(0, 0)))
	for name, img := range map[string]image.Image{"finder patterns": tiles, "noise": noise} {
		if got, err := s.Decode(context.Background(), bytes.NewReader(asPNG(t, img))); !errors.Is(err, faultNoCode) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// stepping is a clock that moves on by itself each time it is looked at.
type stepping struct {
	clock.Clock
	now   time.Time
	step  time.Duration
	looks int
}

func (s *stepping) Now() time.Time {
	s.looks++
	s.now = s.now.Add(s.step)
	return s.now
}

func TestTheSearchEndsWithItsTime(t *testing.T) {
	blank := newGray(400, 400)
	c := &stepping{Clock: clock.System(), step: photoBudget/2 + time.Millisecond}
	if _, err := search(context.Background(), c, blank); !errors.Is(err, faultNoCode) {
		t.Fatal(err)
	}
	if c.looks > 4 {
		t.Fatalf("looked at the clock %d times: went on after the budget", c.looks)
	}
	slow := &stepping{Clock: clock.System()}
	if _, err := search(context.Background(), slow, blank); !errors.Is(err, faultNoCode) || slow.looks < len(rungs()) {
		t.Fatalf("%v after %d looks: every rung is tried while there is time", err, slow.looks)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	slow.looks = 0
	if _, err := search(ctx, slow, blank); err == nil || slow.looks > 2 {
		t.Fatalf("%v after %d looks: nobody waits for it any more", err, slow.looks)
	}
}

func TestTheLineIsShort(t *testing.T) {
	s := NewScanner(clock.NewFake(time.Unix(0, 0)))
	photo := PNG(someToken().String(), 4)
	var open []*io.PipeWriter
	done := make(chan error)
	for range chunks.PictureLine + 1 {
		r, w := io.Pipe()
		open = append(open, w)
		go func() {
			_, err := s.Decode(context.Background(), r)
			done <- err
		}()
		if _, err := w.Write(photo[:8]); err != nil { // returns when the scanner has read it: it is in line
			t.Fatal(err)
		}
	}
	if _, err := s.Decode(context.Background(), bytes.NewReader(photo)); !errors.Is(err, faultBusy) {
		t.Fatalf("one too many: %v", err)
	}
	for _, w := range open {
		if _, err := w.Write(photo[8:]); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for range open {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Decode(context.Background(), bytes.NewReader(photo)); err != nil {
		t.Fatalf("the line is free again: %v", err)
	}
}

func TestNobodyWaitsForEver(t *testing.T) {
	fake := clock.NewFake(time.Unix(0, 0))
	s := NewScanner(fake)
	_, _ = s.line.Turn(context.Background()) // somebody's photo takes its time
	photo := PNG(someToken().String(), 4)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Decode(ctx, bytes.NewReader(photo)); !errors.Is(err, faultBusy) {
		t.Fatalf("gone away: %v", err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.Decode(context.Background(), bytes.NewReader(photo))
		done <- err
	}()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case err := <-done:
			if !errors.Is(err, faultBusy) {
				t.Fatal(err)
			}
			return
		case <-deadline:
			t.Fatal("still waiting")
		default:
			fake.Advance(chunks.PictureWait)
		}
	}
}

func TestADecoderThatPanicsReadNothing(t *testing.T) {
	bad := rung{atWork, func(gray, func()) []string { panic("index out of range") }}
	if got := attempt(bad, newGray(30, 30), clock.System(), time.Time{}); got != nil {
		t.Fatal(got)
	}
}

func FuzzPhoto(f *testing.F) {
	code := PNG(strings.Repeat("A", 20), 1)
	img, err := png.Decode(bytes.NewReader(code))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(code)
	f.Add(asJPEG(f, img))
	f.Add(asWebP(img))
	f.Add(pngHeader(100, 100, 8, 0))
	f.Add(webpHeader(100, 100))
	s := NewScanner(clock.System())
	f.Fuzz(func(t *testing.T, photo []byte) {
		if w, h := claimed(photo); w*h > 1<<20 {
			t.Skip("a large blank takes long and shows nothing new")
		}
		got, err := s.Decode(context.Background(), bytes.NewReader(photo))
		if class := fault.ClassOf(err); class == fault.Internal || class == fault.Busy || (err == nil) != (got != "") {
			t.Fatalf("%q, %v", got, err)
		}
	})
}

// claimed is the size in the header.
func claimed(photo []byte) (w, h int) {
	p, _ := openPhoto(photo)
	return p.Width, p.Height
}

// FuzzModules gives the decoder codes with any modules changed: what a forger,
// and not only a bad print, can put into a picture.
func FuzzModules(f *testing.F) {
	f.Add([]byte("HELLO"), []byte{0})
	f.Add([]byte("1234567"), []byte{1, 200, 31, 7})
	f.Fuzz(func(t *testing.T, text, flips []byte) {
		code, err := QR(string(text), Small)
		if err != nil || len(text) == 0 || code.Size() > 60 {
			t.Skip()
		}
		for i := 0; i+1 < len(flips); i += 2 {
			y, x := int(flips[i])%code.Size(), int(flips[i+1])%code.Size()
			code.rows[y][x] = !code.rows[y][x]
		}
		_, err = Decode(bytes.NewReader(code.PNG(3)))
		if class := fault.ClassOf(err); err != nil && class != fault.NotFound {
			t.Fatal(err)
		}
	})
}

func BenchmarkDecodeCardPhoto(b *testing.B) {
	rng := rand.New(rand.NewPCG(9, 9))
	tok := randomToken(rng)
	code, _ := QR(tok.String(), Standard)
	photo := plain(rng).take(b, code, rng)
	for b.Loop() {
		if got, err := Decode(bytes.NewReader(photo)); err != nil || got != tok.String() {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeNothingThere(b *testing.B) {
	rng := rand.New(rand.NewPCG(10, 10))
	img := image.NewGray(image.Rect(0, 0, 1600, 1200))
	for i := range img.Pix {
		img.Pix[i] = byte(128 + rng.NormFloat64()*20)
	}
	photo := asJPEG(b, img)
	for b.Loop() {
		if _, err := Decode(bytes.NewReader(photo)); !errors.Is(err, faultNoCode) {
			b.Fatal(err)
		}
	}
}
