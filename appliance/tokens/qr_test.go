package tokens

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image"
	"image/png"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
)

func TestModulesOfAToken(t *testing.T) {
	rng := rand.New(rand.NewPCG(41, 53))
	for range 50 {
		text := randomToken(rng).String()
		for level, side := range map[Level]int{Standard: 45, Strong: 53, Small: 41} {
			c, err := QR(text, level)
			if err != nil || c.Size() != side {
				t.Fatalf("level %d: %d modules, %v", level, c.Size(), err)
			}
			for _, p := range [][2]int{{0, 0}, {side - 1, 0}, {0, side - 1}, {6, 0}, {3, 3}} {
				if !c.Dark(p[0], p[1]) {
					t.Fatalf("finder pattern is missing at %v", p)
				}
			}
			if c.Dark(-1, 0) || c.Dark(0, side) || c.Dark(1, 1) {
				t.Fatal("dark where it must be light")
			}
		}
	}
}

func TestPNGHasWholeModules(t *testing.T) {
	text := someToken().String()
	code, _ := QR(text, Standard)
	for _, c := range []struct{ asked, dots int }{{3, 3}, {4, 4}, {1, 1}, {0, 1}, {-5, 1}, {1 << 30, maxDots}} {
		img, err := png.Decode(bytes.NewReader(PNG(text, c.asked)))
		if err != nil {
			t.Fatal(err)
		}
		p, ok := img.(*image.Paletted)
		side := (45 + 8) * c.dots
		if !ok || len(p.Palette) != 2 || p.Bounds() != image.Rect(0, 0, side, side) {
			t.Fatalf("%d dots: %T %v", c.asked, img, img.Bounds())
		}
		for y := range side {
			for x := range side {
				r, _, _, _ := p.At(x, y).RGBA()
				if (r == 0) != code.Dark(x/c.dots-Quiet, y/c.dots-Quiet) {
					t.Fatalf("%d dots: pixel %d,%d is not its module's", c.asked, x, y)
				}
			}
		}
	}
}

func TestSVGIsTheSameMatrix(t *testing.T) {
	text := someToken().String()
	code, _ := QR(text, Standard)
	for asked, quiet := range map[int]int{4: 4, 0: 4, -1: 4, 6: 6, 1 << 30: maxQuiet} {
		svg := SVG(text, asked)
		if err := xml.Unmarshal(svg, new(struct{})); err != nil {
			t.Fatal(err)
		}
		side := strconv.Itoa(45 + 2*quiet)
		if !bytes.Contains(svg, []byte(`width="`+side+`" height="`+side+`" viewBox="0 0 `+side+` `+side+`" shape-rendering="crispEdges"`)) {
			t.Fatalf("quiet %d: %s", asked, svg[:200])
		}
		dark := map[[2]int]bool{}
		for _, m := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`).FindAllStringSubmatch(string(svg), -1) {
			x, _ := strconv.Atoi(m[1])
			y, _ := strconv.Atoi(m[2])
			n, _ := strconv.Atoi(m[3])
			for i := range n {
				dark[[2]int{x + i - quiet, y - quiet}] = true
			}
		}
		for y := -quiet; y < 45+quiet; y++ {
			for x := -quiet; x < 45+quiet; x++ {
				if dark[[2]int{x, y}] != code.Dark(x, y) {
					t.Fatalf("module %d,%d", x, y)
				}
			}
		}
	}
}

func TestTextTooLongForAnyCode(t *testing.T) {
	long := strings.Repeat("x", 5000)
	if _, err := QR(long, Standard); !errors.Is(err, fault.New(fault.TooLarge, "fault.tokens.qr_too_long")) {
		t.Fatal(err)
	}
	if SVG(long, 4) != nil || PNG(long, 3) != nil {
		t.Fatal("there is no such picture")
	}
}

// TestCleanPrintsAreRead: what we print, we read, whatever the size.
func TestCleanPrintsAreRead(t *testing.T) {
	rng := rand.New(rand.NewPCG(600, 1000))
	for i := range 40 {
		text := randomToken(rng).String()
		code, err := QR(text, []Level{Standard, Strong, Small}[i%3])
		if err != nil {
			t.Fatal(err)
		}
		dots := 1 + i%maxDots
		if got, err := Decode(bytes.NewReader(code.PNG(dots))); err != nil || got != text {
			t.Errorf("%d dots: %q, %v", dots, got, err)
		}
	}
}

func BenchmarkQR(b *testing.B) {
	text := someToken().String()
	for b.Loop() {
		if _, err := QR(text, Standard); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSVG(b *testing.B) {
	code, _ := QR(someToken().String(), Standard)
	b.SetBytes(int64(len(code.SVG(Quiet))))
	for b.Loop() {
		code.SVG(Quiet)
	}
}

func BenchmarkPNG(b *testing.B) {
	code, _ := QR(someToken().String(), Standard)
	for b.Loop() {
		code.PNG(4)
	}
}
