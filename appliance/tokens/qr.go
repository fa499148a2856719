package tokens

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"

	"github.com/skip2/go-qrcode"

	"github.com/waypost/waypost/appliance/fault"
)

// Level is how much of a printed code may be missing (ISO/IEC 18004).
type Level uint8

// The levels that are printed. A token makes 41, 45 and 53 modules.
const (
	Standard Level = iota // Q, 25 %: the rule. 26.5 mm at 4 dots of 203 dpi
	Strong                // H, 30 %: for cards with room for 30.5 mm
	Small                 // M, 15 %: for a wristband too narrow for 19.9 mm
)

// Quiet is the white border a QR code needs, in modules (ISO/IEC 18004).
const Quiet = 4

// Limits of a picture: a border of up to maxQuiet modules, 1 to maxDots pixels
// a module. A code has at most 177 modules, so a PNG stays under 2 million
// pixels whatever was asked for.
const (
	maxQuiet = 8
	maxDots  = 7
)

// Code is a QR code as a square of modules. The zero value is an empty picture.
type Code struct{ rows [][]bool }

// QR makes the code of any text; for a token Standard gives 45 modules. Fault:
// TooLarge "fault.tokens.qr_too_long" when no QR code of that level holds it.
func QR(text string, level Level) (Code, error) {
	recovery := qrcode.High
	switch level {
	case Strong:
		recovery = qrcode.Highest
	case Small:
		recovery = qrcode.Medium
	}
	q, err := qrcode.New(text, recovery)
	if err != nil {
		return Code{}, fault.New(fault.TooLarge, "fault.tokens.qr_too_long").Wrap(err)
	}
	q.DisableBorder = true
	return Code{q.Bitmap()}, nil
}

// Size is the number of modules on a side, without the quiet zone.
func (c Code) Size() int { return len(c.rows) }

// Dark tells whether the module in column x of row y is dark; outside the code,
// in the quiet zone, all are light.
func (c Code) Dark(x, y int) bool {
	return y >= 0 && y < len(c.rows) && x >= 0 && x < len(c.rows) && c.rows[y][x]
}

// SVG draws the code as one path on white with a border of quiet modules (4 to
// 8; anything else counts as the nearest). One unit is one module and
// crispEdges keeps a renderer from blurring between them.
func (c Code) SVG(quiet int) []byte {
	quiet = min(max(quiet, Quiet), maxQuiet)
	side := c.Size() + 2*quiet
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" shape-rendering="crispEdges">`, side, side, side, side)
	fmt.Fprintf(&b, `<path fill="#fff" d="M0 0h%dv%dH0z"/><path fill="#000" d="`, side, side)
	for y, row := range c.rows {
		for x := 0; x < len(row); {
			run := 0
			for x+run < len(row) && row[x+run] {
				run++
			}
			if run > 0 {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, run, run)
			}
			x += run + 1
		}
	}
	b.WriteString(`"/></svg>`)
	return b.Bytes()
}

// PNG draws the code with its quiet zone in black and white, each module a
// square of dots by dots pixels (1 to 7; anything else counts as the nearest).
// A printer that is given whole dots prints even modules.
func (c Code) PNG(dots int) []byte {
	dots = min(max(dots, 1), maxDots)
	side := (c.Size() + 2*Quiet) * dots
	img := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y, row := range c.rows {
		line := img.Pix[(y+Quiet)*dots*img.Stride:][:img.Stride]
		for x, dark := range row {
			if dark {
				for i := range dots {
					line[(x+Quiet)*dots+i] = 1
				}
			}
		}
		for i := 1; i < dots; i++ {
			copy(img.Pix[((y+Quiet)*dots+i)*img.Stride:], line)
		}
	}
	var b bytes.Buffer
	enc := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := enc.Encode(&b, img); err != nil {
		return nil // a buffer accepts every write
	}
	return b.Bytes()
}

// SVG draws any text at level Standard with a border of quiet modules; empty
// when the text fits no QR code (over 1,600 bytes).
func SVG(text string, quiet int) []byte {
	c, err := QR(text, Standard)
	if err != nil {
		return nil
	}
	return c.SVG(quiet)
}

// PNG draws any text at level Standard with dots pixels a module; empty when
// the text fits no QR code (over 1,600 bytes).
func PNG(text string, dots int) []byte {
	c, err := QR(text, Standard)
	if err != nil {
		return nil
	}
	return c.PNG(dots)
}
