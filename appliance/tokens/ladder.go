package tokens

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/makiuchi-d/gozxing"
	multi "github.com/makiuchi-d/gozxing/multi/qrcode"
	"github.com/makiuchi-d/gozxing/qrcode"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/detector"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

// One pass of the decoder fails on most photos it could read: it wants modules
// of a few pixels and a clean threshold. So the same decoder climbs a ladder of
// sizes and filters, the cheap and likely rungs first, until one reads a code
// or the time is over.

// workSide is the longest side, in pixels, that a photo is shrunk to first. A
// 12-megapixel photo of a card is unreadable to the decoder at full size (the
// threshold blocks of 8 pixels are smaller than a module) and takes seconds.
const workSide = 1600

// rung is one attempt: the picture to look at and how.
type rung struct {
	picture func(l *ladder) (gray, bool) // false when this rung makes no sense for the photo
	read    func(g gray, stop func()) []string
}

// rungs in order.
func rungs() []rung {
	return []rung{
		{atWork, local},
		{atFactor(1, 2), local},
		{atWork, global},
		{enlarged, local},
		{sharpened, local},
		{atWork, cornerless},
		{squeezed(1, .7), local},
		{squeezed(.7, 1), local},
		{atFactor(1, 3), local},
		{atWork, several},
		{inverted, local},
		{atFactor(1, 2), global},
		{original, local},
		{sharpenedTwice, global},
	}
}

// ladder keeps what several rungs share.
type ladder struct {
	full, work gray
}

// search climbs the ladder. The budget is looked at between rungs and, through
// the decoder's callback, at every possible finder pattern inside one.
func search(ctx context.Context, c clock.Clock, full gray) (string, error) {
	l := &ladder{full: full, work: fit(full, workSide)}
	end := c.Now().Add(photoBudget)
	for i, r := range rungs() {
		if i > 0 && (ctx.Err() != nil || c.Now().After(end)) {
			break
		}
		g, ok := r.picture(l)
		if !ok || g.w < minSide || g.h < minSide {
			continue
		}
		texts := attempt(r, g, c, end.Add(photoBudget))
		if len(texts) == 0 {
			continue
		}
		if !isCard(pick(texts)) { // a poster may hang beside the card
			texts = append(texts, attempt(rung{read: several}, g, c, end)...)
		}
		return pick(texts), nil
	}
	return "", fault.New(fault.NotFound, "fault.tokens.no_code")
}

// minSide is the side of the smallest QR code, 21 modules, at one pixel each.
const minSide = 21

// maxPatterns is how many possible finder patterns a picture may have. The
// decoder compares every three of them, so a picture tiled with thousands would
// keep it busy for years. A sheet of twenty cards has 60.
const maxPatterns = 250

// attempt runs one rung; a decoder that panics, or that stop ended, read nothing.
func attempt(r rung, g gray, c clock.Clock, end time.Time) (texts []string) {
	defer func() {
		if recover() != nil {
			texts = nil
		}
	}()
	seen := 0
	stop := func() {
		if seen++; seen > maxPatterns || c.Now().After(end) {
			panic("enough") // the only way out of the decoder; caught above
		}
	}
	return r.read(g, stop)
}

// pick prefers the text of a card to another code in the same picture.
func pick(texts []string) string {
	for _, t := range texts {
		if isCard(t) {
			return t
		}
	}
	return texts[0]
}

func isCard(text string) bool { return strings.HasPrefix(upper(text), prefix) }

// Three ways of reading: threshold by neighbourhood, one threshold for all, and
// looking for several codes, which finds the one that belongs together when
// finder patterns of two are in the picture.

func local(g gray, stop func()) []string {
	return one(gozxing.NewHybridBinarizer(source(g)), stop)
}

func global(g gray, stop func()) []string {
	return one(gozxing.NewGlobalHistgramBinarizer(source(g)), stop)
}

func one(b gozxing.Binarizer, stop func()) []string {
	bitmap, err := gozxing.NewBinaryBitmap(b)
	if err != nil {
		return nil
	}
	found, err := qrcode.NewQRCodeReader().Decode(bitmap, hints(stop))
	if err != nil || found.GetText() == "" {
		return nil
	}
	return []string{found.GetText()}
}

func several(g gray, stop func()) []string {
	bitmap, err := gozxing.NewBinaryBitmap(gozxing.NewHybridBinarizer(source(g)))
	if err != nil {
		return nil
	}
	found, err := multi.NewQRCodeMultiReader().DecodeMultiple(bitmap, hints(stop))
	if err != nil {
		return nil
	}
	var texts []string
	for _, f := range found {
		if f.GetText() != "" {
			texts = append(texts, f.GetText())
		}
	}
	return texts
}

// cornerless places the grid by the three finder patterns alone. The decoder
// trusts the alignment pattern in the fourth corner, and takes the edge of a
// stain or a thumb there for it.
func cornerless(g gray, stop func()) []string {
	matrix, err := gozxing.NewHybridBinarizer(source(g)).GetBlackMatrix()
	if err != nil {
		return nil
	}
	found, _ := detector.NewFinderPatternFinder(matrix, func(gozxing.ResultPoint) { stop() }).Find(hints(stop))
	if found == nil {
		return nil
	}
	tl, tr, bl := found.GetTopLeft(), found.GetTopRight(), found.GetBottomLeft()
	module := (tl.GetEstimatedModuleSize() + tr.GetEstimatedModuleSize() + bl.GetEstimatedModuleSize()) / 3
	side := (gozxing.ResultPoint_Distance(tl, tr) + gozxing.ResultPoint_Distance(tl, bl)) / 2
	version := int(math.Round((side/module + 7 - 17) / 4))
	for _, v := range []int{version, version - 1, version + 1} {
		size := 17 + 4*v
		if v < 1 || v > 40 {
			continue
		}
		bits, err := detector.Detector_sampleGrid(matrix, detector.Detector_createTransform(tl, tr, bl, nil, size), size)
		if err != nil {
			continue
		}
		if r, err := decoder.NewDecoder().Decode(bits, hints(stop)); err == nil && r.GetText() != "" {
			return []string{r.GetText()}
		}
	}
	return nil
}

func hints(stop func()) map[gozxing.DecodeHintType]any {
	return map[gozxing.DecodeHintType]any{
		gozxing.DecodeHintType_TRY_HARDER:                 true,
		gozxing.DecodeHintType_NEED_RESULT_POINT_CALLBACK: gozxing.ResultPointCallback(func(gozxing.ResultPoint) { stop() }),
	}
}

func source(g gray) gozxing.LuminanceSource {
	s, err := gozxing.NewPlanarYUVLuminanceSource(g.pix, g.w, g.h, 0, 0, g.w, g.h, false)
	if err != nil {
		panic(err) // a rectangle always fits into itself
	}
	return s
}

// The pictures of the rungs.

func atWork(l *ladder) (gray, bool) { return l.work, true }

// atFactor is the work picture made smaller: more noise and blur averaged away.
func atFactor(num, den int) func(*ladder) (gray, bool) {
	return func(l *ladder) (gray, bool) {
		return shrink(l.work, l.work.w*num/den, l.work.h*num/den), max(l.work.w, l.work.h) > 300
	}
}

// squeezed undoes a tilt: the decoder gives up on a finder pattern that is 1.4
// times as high as wide, which a card leaned back by 45 degrees is.
func squeezed(x, y float64) func(*ladder) (gray, bool) {
	return func(l *ladder) (gray, bool) {
		return shrink(l.work, int(float64(l.work.w)*x), int(float64(l.work.h)*y)), true
	}
}

// original is the photo before it was shrunk, for a small code in a large scene.
func original(l *ladder) (gray, bool) {
	return fit(l.full, 2*workSide), max(l.full.w, l.full.h) > workSide
}

// enlarged doubles a small picture: the decoder's blocks of 8 pixels then hold
// few modules.
func enlarged(l *ladder) (gray, bool) {
	return enlarge(l.work, 2), max(l.work.w, l.work.h) <= workSide/2
}

func sharpened(l *ladder) (gray, bool) {
	g, _ := growSmall(l)
	return sharpen(g, 2), true
}

func sharpenedTwice(l *ladder) (gray, bool) {
	g, factor := growSmall(l)
	return sharpen(g, 3*factor), true
}

func growSmall(l *ladder) (gray, int) {
	factor := min(max(workSide/max(l.work.w, l.work.h, 1), 1), 3)
	return enlarge(l.work, factor), factor
}

// inverted is for light codes on dark ground.
func inverted(l *ladder) (gray, bool) {
	g := newGray(l.work.w, l.work.h)
	for i, v := range l.work.pix {
		g.pix[i] = 255 - v
	}
	return g, true
}
