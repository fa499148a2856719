package tokens

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"io"
	"time"

	"github.com/waypost/waypost/appliance/chunks"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

// Limits of an uploaded photo. Byte and pixel limits are those of the design;
// maxDecoded keeps one photo from taking more memory than a 1 GB board has to
// spare, whatever its header says about depth, alpha or progressive passes.
const (
	MaxPhotoBytes  = 12 << 20   // of the file
	MaxPhotoPixels = 40_000_000 // width times height
	maxDecoded     = 160 << 20  // bytes held while decoding
)

// photoBudget is for the search, after the image is decoded.
const photoBudget = 2 * time.Second

// Scanner finds QR codes in photos, one photo at a time: on a small board two at
// once would only make both late. Safe for concurrent use.
type Scanner struct {
	clock clock.Clock
	line  *chunks.Line
}

// NewScanner makes a Scanner with its own line.
func NewScanner(c clock.Clock) *Scanner { return &Scanner{clock: c, line: chunks.NewLine(c)} }

// whole is a photo in memory; what is there already is not copied.
func whole(r io.Reader) ([]byte, error) {
	if b, ok := r.(*bytes.Buffer); ok {
		return b.Bytes(), nil
	}
	data, err := io.ReadAll(io.LimitReader(r, MaxPhotoBytes+1))
	if err != nil {
		return nil, fault.New(fault.Invalid, "fault.tokens.photo_unreadable").Wrap(err)
	}
	return data, nil
}

// Decode finds a QR code in a JPEG, PNG or WebP image, in any orientation and
// of either polarity, and returns its text as it stands, whatever it says. With
// several codes in the picture a card's goes before others. The header is
// checked before anything is decoded, and nothing is kept.
//
// Faults: TooLarge "fault.tokens.photo_too_large", Unsupported
// "fault.tokens.photo_unreadable" (no such image, or a damaged one), NotFound
// "fault.tokens.no_code", Busy "fault.tokens.photo_busy".
func (s *Scanner) Decode(ctx context.Context, r io.Reader) (string, error) {
	leave, ok := s.line.Join()
	if !ok {
		return "", fault.New(fault.Busy, "fault.tokens.photo_busy")
	}
	defer leave()
	data, err := whole(r)
	if err != nil {
		return "", err
	}
	photo, err := openPhoto(data)
	if err != nil {
		return "", err
	}
	done, ok := s.line.Turn(ctx)
	if !ok {
		return "", fault.New(fault.Busy, "fault.tokens.photo_busy").Wrap(ctx.Err())
	}
	defer done()
	img, err := photo.Decode()
	if err != nil {
		return "", photoFault(err)
	}
	return search(ctx, s.clock, toGray(img))
}

// Decode reads one image with the machine's clock and no line, for a program
// that runs once. Faults as of Scanner.Decode.
func Decode(image io.Reader) (string, error) {
	return NewScanner(clock.System()).Decode(context.Background(), image)
}

// openPhoto refuses what is too large, from the header.
func openPhoto(data []byte) (chunks.Picture, error) {
	p, err := chunks.OpenPicture(data, chunks.Limits{Bytes: MaxPhotoBytes, Pixels: MaxPhotoPixels, Held: maxDecoded})
	if err != nil {
		return p, photoFault(err)
	}
	return p, nil
}

func photoFault(err error) error {
	if errors.Is(err, chunks.ErrPictureTooLarge) {
		return fault.New(fault.TooLarge, "fault.tokens.photo_too_large",
			"Megabytes", MaxPhotoBytes>>20, "Megapixels", MaxPhotoPixels/1_000_000)
	}
	return fault.New(fault.Unsupported, "fault.tokens.photo_unreadable").Wrap(err)
}

// gray is a picture of luminances, row by row.
type gray struct {
	w, h int
	pix  []byte
}

func newGray(w, h int) gray { return gray{w, h, make([]byte, w*h)} }

// toGray keeps an image's luminance. Transparent parts are white, as a browser would
// show them on a page.
func toGray(img image.Image) gray {
	r := img.Bounds()
	g := newGray(r.Dx(), r.Dy())
	for y := range g.h {
		row := g.pix[y*g.w:][:g.w]
		switch m := img.(type) {
		case *image.YCbCr: // the luminance as it is
			copy(row, m.Y[m.YOffset(r.Min.X, r.Min.Y+y):])
		case *image.Gray:
			copy(row, m.Pix[m.PixOffset(r.Min.X, r.Min.Y+y):])
		case *image.RGBA: // opaque, or already multiplied: white shows through
			p := m.Pix[m.PixOffset(r.Min.X, r.Min.Y+y):]
			for x := range row {
				q := p[4*x:][:4]
				row[x] = luma(q[0], q[1], q[2]) + (255 - q[3])
			}
		case *image.NRGBA:
			p := m.Pix[m.PixOffset(r.Min.X, r.Min.Y+y):]
			for x := range row {
				q := p[4*x:][:4]
				row[x] = onWhite(luma(q[0], q[1], q[2]), q[3])
			}
		default:
			for x := range row {
				c := color.NRGBA64Model.Convert(img.At(r.Min.X+x, r.Min.Y+y)).(color.NRGBA64)
				row[x] = onWhite(luma(byte(c.R>>8), byte(c.G>>8), byte(c.B>>8)), byte(c.A>>8))
			}
		}
	}
	return g
}

// luma weighs the channels as JPEG does (ITU-R BT.601), in 256ths.
func luma(r, g, b byte) byte {
	return byte((77*int(r) + 150*int(g) + 29*int(b)) >> 8)
}

func onWhite(l, alpha byte) byte {
	return byte((int(l)*int(alpha) + 255*(255-int(alpha))) / 255)
}
