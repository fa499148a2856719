package browser

import (
	"bufio"
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"testing"
)

// handheld is how somebody holds a phone over a card.
type handheld struct {
	width, height  int
	degrees, scale float64
	noise          float64 // of 255, added to every point
}

// photo gives what the phone sees of a card that lies on a table.
func (h handheld) photo(card image.Image) *image.Gray {
	sin, cos := math.Sincos(h.degrees * math.Pi / 180)
	grain := rand.New(rand.NewPCG(1, 2)) // the same photo in every run
	b := card.Bounds()
	out := image.NewGray(image.Rect(0, 0, h.width, h.height))
	for y := range h.height {
		for x := range h.width {
			dx, dy := float64(x-h.width/2)/h.scale, float64(y-h.height/2)/h.scale
			ink := 110.0 // the table
			if p, ok := at(card, dx*cos+dy*sin+float64(b.Dx())/2, dy*cos-dx*sin+float64(b.Dy())/2); ok {
				ink = 25 + p*0.8 // a room is never as bright as a screen
			}
			ink += h.noise * (2*grain.Float64() - 1)
			out.SetGray(x, y, color.Gray{Y: uint8(math.Round(max(0, min(255, ink))))})
		}
	}
	return out
}

// at is the brightness between four points of a picture.
func at(card image.Image, x, y float64) (float64, bool) {
	x0, y0 := math.Floor(x), math.Floor(y)
	b := card.Bounds()
	if x0 < 0 || y0 < 0 || int(x0)+1 >= b.Dx() || int(y0)+1 >= b.Dy() {
		return 0, false
	}
	fx, fy := x-x0, y-y0
	ink := func(dx, dy int) float64 {
		return float64(color.GrayModel.Convert(card.At(b.Min.X+int(x0)+dx, b.Min.Y+int(y0)+dy)).(color.Gray).Y)
	}
	return (ink(0, 0)*(1-fx)+ink(1, 0)*fx)*(1-fy) + (ink(0, 1)*(1-fx)+ink(1, 1)*fx)*fy, true
}

func opened(t *testing.T, raw []byte) image.Image {
	t.Helper()
	p, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func asJPEG(t *testing.T, p image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, p, &jpeg.Options{Quality: 80}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// film writes what Chromium's pretended camera sees, as YUV4MPEG2: a picture that
// does not move. The grey of the picture is its light; the colour is none.
func film(t *testing.T, path string, frame *image.Gray) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	size := frame.Bounds().Size()
	fmt.Fprintf(w, "YUV4MPEG2 W%d H%d F15:1 Ip A1:1 C420jpeg\n", size.X, size.Y)
	for range 3 {
		fmt.Fprint(w, "FRAME\n")
		_, _ = w.Write(frame.Pix)
		_, _ = w.Write(bytes.Repeat([]byte{128}, size.X*size.Y/2))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}
