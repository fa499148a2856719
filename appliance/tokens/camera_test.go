package tokens

import (
	"bytes"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"testing"
)

// shot is one photo of a printed code by a made-up camera. Lengths in
// millimetres, angles in degrees, luminances 0 to 255.
type shot struct {
	side         float64 // of the symbol with its quiet zone
	perMM        float64 // pixels per millimetre
	turn, tilt   float64
	lean         float64 // direction in which it is tilted
	blur         float64 // sigma of the lens, mm
	noise        float64 // sigma of the sensor
	black, white float64
	quality      int     // JPEG
	blobs        int     // random black or white patches
	blobArea     float64 // share of the symbol they cover together
	sparePattern bool    // no patch on a finder pattern
	wrist        float64 // radius it is wrapped on; 0 is flat
	shade        float64 // luminance lost from one side to the other
	dotGain      float64 // mm by which print grows over its edge
}

// take photographs code. The same rng state gives the same photo.
func (s shot) take(t testing.TB, code Code, rng *rand.Rand) []byte {
	t.Helper()
	ink := printed(code, s, rng)
	n := int(s.side * s.perMM * 1.6)
	img := image.NewGray(image.Rect(0, 0, n, n))
	plane := make([]float64, n*n)
	for y := range n {
		for x := range n {
			plane[y*n+x] = s.sample(ink, float64(x)-float64(n)/2, float64(y)-float64(n)/2)
		}
	}
	plane = gaussian(plane, n, s.blur*s.perMM)
	for i, v := range plane {
		l := s.black + (s.white-s.black)*v - s.shade*float64(i%n)/float64(n) + rng.NormFloat64()*s.noise
		img.Pix[i] = byte(min(max(l, 0), 255))
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: s.quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// grid is the print at 8 cells a module, quiet zone included: 0 dark, 1 light.
type grid struct {
	n     int
	cells []float64
}

const cellsPerModule = 8

func printed(code Code, s shot, rng *rand.Rand) grid {
	modules := code.Size() + 2*Quiet
	g := grid{n: modules * cellsPerModule}
	g.cells = make([]float64, g.n*g.n)
	gain := s.dotGain / (s.side / float64(modules)) / 2
	for y := range g.n {
		for x := range g.n {
			fx, fy := (float64(x)+.5)/cellsPerModule, (float64(y)+.5)/cellsPerModule
			dark := false
			for _, d := range [][2]float64{{0, 0}, {gain, 0}, {-gain, 0}, {0, gain}, {0, -gain}} {
				dark = dark || code.Dark(int(fx+d[0])-Quiet, int(fy+d[1])-Quiet)
			}
			if !dark {
				g.cells[y*g.n+x] = 1
			}
		}
	}
	for range s.blobs {
		g.damage(code.Size(), s, rng)
	}
	return g
}

func (g grid) damage(size int, s shot, rng *rand.Rand) {
	radius := math.Sqrt(s.blobArea/float64(s.blobs)/math.Pi) * float64(size)
	var cx, cy float64
	for try := 0; try < 1000; try++ {
		cx, cy = rng.Float64()*float64(size), rng.Float64()*float64(size)
		if !s.sparePattern {
			break
		}
		near := func(x, y float64) bool { return math.Hypot(cx-x, cy-y) < radius+5 }
		far := float64(size) - 3.5
		if !near(3.5, 3.5) && !near(far, 3.5) && !near(3.5, far) {
			break
		}
	}
	colour := float64(rng.IntN(2))
	for y := range g.n {
		for x := range g.n {
			if math.Hypot(float64(x)/cellsPerModule-Quiet-cx, float64(y)/cellsPerModule-Quiet-cy) < radius {
				g.cells[y*g.n+x] = colour
			}
		}
	}
}

// sample is what reaches the pixel at (u, v) from the centre: 0 dark, 1 light.
func (s shot) sample(ink grid, u, v float64) float64 {
	sum := 0.0
	for i := range 9 {
		sum += s.point(ink, u+float64(i%3-1)/3, v+float64(i/3-1)/3)
	}
	return sum / 9
}

func (s shot) point(ink grid, u, v float64) float64 {
	const distance = 150 // mm from lens to card
	u, v = rotate(u/s.perMM, v/s.perMM, s.lean)
	sin, cos := math.Sincos(s.tilt * math.Pi / 180)
	x := u * distance / (distance*cos - u*sin)
	y := v * (distance + x*sin) / distance
	x, y = rotate(x, y, s.turn-s.lean)
	if s.wrist > 0 {
		if math.Abs(x) >= s.wrist {
			return 1
		}
		x = math.Asin(x/s.wrist) * s.wrist
	}
	cx := int(math.Floor((x/s.side + .5) * float64(ink.n)))
	cy := int(math.Floor((y/s.side + .5) * float64(ink.n)))
	if cx < 0 || cy < 0 || cx >= ink.n || cy >= ink.n {
		return 1
	}
	return ink.cells[cy*ink.n+cx]
}

func rotate(x, y, degrees float64) (float64, float64) {
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	return x*cos - y*sin, x*sin + y*cos
}

func gaussian(p []float64, n int, sigma float64) []float64 {
	if sigma <= 0 {
		return p
	}
	r := int(3*sigma) + 1
	kernel, sum := make([]float64, 2*r+1), 0.0
	for i := range kernel {
		kernel[i] = math.Exp(-float64((i-r)*(i-r)) / (2 * sigma * sigma))
		sum += kernel[i]
	}
	pass := func(in []float64, step, line int) []float64 {
		out := make([]float64, len(in))
		for a := range n {
			for b := range n {
				v := 0.0
				for i, k := range kernel {
					v += k * in[a*line+min(max(b+i-r, 0), n-1)*step]
				}
				out[a*line+b*step] = v / sum
			}
		}
		return out
	}
	return pass(pass(p, 1, n), n, 1)
}
