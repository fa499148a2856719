package tokens

import (
	"bytes"
	"context"
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
)

var wide = flag.Bool("wide", false, "photograph 200 cards for each kind of trouble instead of a few")

// trouble is one column of the degradation table of the design, with the share
// of photos that must be read and the few that the everyday run takes.
type trouble struct {
	name  string
	level Level
	few   int
	bar   float64 // of 200
	shot  func(rng *rand.Rand) shot
}

// plain is what every photo has: a slight turn, sensor noise, JPEG at 75.
func plain(rng *rand.Rand) shot {
	return shot{side: 25, perMM: 12, turn: rng.Float64()*20 - 10, noise: 4, black: 40, white: 215, quality: 75}
}

func troubles() []trouble {
	with := func(change func(*shot, *rand.Rand)) func(*rand.Rand) shot {
		return func(rng *rand.Rand) shot {
			s := plain(rng)
			change(&s, rng)
			return s
		}
	}
	return []trouble{
		{"rotation 180", Standard, 2, 1, with(func(s *shot, r *rand.Rand) { s.turn += 180 })},
		{"any rotation", Standard, 4, .98, with(func(s *shot, r *rand.Rand) { s.turn = r.Float64() * 360 })},
		{"tilt 45", Standard, 4, .95, with(func(s *shot, r *rand.Rand) { s.tilt, s.lean = 45, r.Float64()*360 })},
		{"blur 0.20 mm", Standard, 4, .95, with(func(s *shot, r *rand.Rand) { s.blur = .2 })},
		{"6 px/mm", Standard, 4, .98, with(func(s *shot, r *rand.Rand) { s.perMM = 6 })},
		{"4 px/mm", Standard, 4, .90, with(func(s *shot, r *rand.Rand) { s.perMM = 4 })},
		{"low contrast", Standard, 4, .98, with(func(s *shot, r *rand.Rand) { s.black, s.white, s.noise = 110, 170, 8 })},
		{"10 % in one blob", Standard, 4, .97, with(func(s *shot, r *rand.Rand) { s.blobs, s.blobArea, s.sparePattern = 1, .1, true })},
		{"20 % in three blobs, H", Strong, 4, .60, with(func(s *shot, r *rand.Rand) { s.blobs, s.blobArea, s.sparePattern = 3, .2, true })},
		{"three-dot print", Standard, 4, .98, with(func(s *shot, r *rand.Rand) { s.side, s.dotGain = 53*.375, .1 })},
		{"wrist of 30 mm", Standard, 4, .98, with(func(s *shot, r *rand.Rand) { s.wrist = 30 })},
		{"field", Standard, 6, .85, with(func(s *shot, r *rand.Rand) {
			*s = shot{side: 25, perMM: 9, turn: r.Float64() * 360, tilt: 20, lean: r.Float64() * 360, blur: .12, noise: 8, black: 50, white: 200,
				quality: 60, blobs: 2, blobArea: .04, sparePattern: true, shade: 60}
		})},
	}
}

// TestTroubledPhotosAreRead holds the node's decoder to the bars of the design.
// The everyday run is small and allows one miss more than the bar; -wide takes
// 200 photos for each.
func TestTroubledPhotosAreRead(t *testing.T) {
	t.Parallel()
	if raced {
		t.Skip("the same without the race detector")
	}
	// A clock that stands still: a busy machine must not change what is read.
	scanner := NewScanner(clock.NewFake(time.Unix(0, 0)))
	for i, tr := range troubles() {
		t.Run(tr.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(20201123, uint64(i)))
			n, misses := tr.few, 1
			if *wide {
				n, misses = 200, 0
			}
			read := 0
			for range n {
				tok := randomToken(rng)
				code, err := QR(tok.String(), tr.level)
				if err != nil {
					t.Fatal(err)
				}
				text, err := scanner.Decode(context.Background(), bytes.NewReader(tr.shot(rng).take(t, code, rng)))
				if err == nil && text == tok.String() {
					read++
				} else if err == nil {
					t.Fatalf("read a card that was not there: %q", text)
				}
			}
			need := int(tr.bar*float64(n)+.999) - misses
			if *wide {
				t.Logf("%-24s %d of %d, needed %d", tr.name, read, n, need)
			}
			if read < need {
				t.Errorf("read %d of %d, needed %d", read, n, need)
			}
		})
	}
}

// randomToken is a token with a signature of noise: what a printer sees.
func randomToken(rng *rand.Rand) Token {
	t := Token{Version: 1, Kind: Individual, Node: uint16(rng.Uint32()), Generation: uint8(rng.Uint32()), Expiry: uint16(rng.Uint32())}
	for i := range t.Holder {
		t.Holder[i] = byte(rng.Uint32())
	}
	for i := range t.Sig {
		t.Sig[i] = byte(rng.Uint32())
	}
	return t
}
