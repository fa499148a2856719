package chunks

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"

	"golang.org/x/image/draw"

	"github.com/waypost/waypost/appliance/fault"
)

// What a photo of a person may be and what is kept of it.
const (
	MaxPhotoBytes  = 8 << 20    // of the file that is sent
	MaxPhotoPixels = 24_000_000 // width times height
	photoHeld      = 160 << 20  // bytes while decoding: what a 1 GB board has to spare
	photoSide      = 1024       // pixels of the longer side that is kept
	photoQuality   = 80
	// PhotoType is the media type of what Photo makes.
	PhotoType = "image/jpeg"
)

// Photo makes of a JPEG, PNG or WebP image the small JPEG that is kept: upright, at
// most 1024 pixels long, on white where it was transparent, and made anew from its
// pixels, so that nothing the camera wrote beside them is left: no place, no time, no
// serial number, no preview of what was cut off. It waits in line.
//
// Faults: TooLarge "fault.chunks.photo_too_large", Unsupported
// "fault.chunks.photo_unreadable", Busy "fault.chunks.photo_busy".
func Photo(ctx context.Context, line *Line, data []byte) ([]byte, error) {
	leave, ok := line.Join()
	if !ok {
		return nil, fault.New(fault.Busy, "fault.chunks.photo_busy")
	}
	defer leave()
	p, err := OpenPicture(data, Limits{Bytes: MaxPhotoBytes, Pixels: MaxPhotoPixels, Held: photoHeld})
	if err != nil {
		return nil, photoFault(err)
	}
	done, ok := line.Turn(ctx)
	if !ok {
		return nil, fault.New(fault.Busy, "fault.chunks.photo_busy")
	}
	defer done()
	img, err := p.Decode()
	if err != nil {
		return nil, photoFault(err)
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, upright(shrink(img), orientation(data)), &jpeg.Options{Quality: photoQuality}); err != nil {
		return nil, fault.New(fault.Internal, "fault.internal").Wrap(err)
	}
	return out.Bytes(), nil
}

func photoFault(err error) error {
	if errors.Is(err, ErrPictureTooLarge) {
		return fault.New(fault.TooLarge, "fault.chunks.photo_too_large", "Megabytes", MaxPhotoBytes>>20, "Megapixels", MaxPhotoPixels/1_000_000)
	}
	return fault.New(fault.Unsupported, "fault.chunks.photo_unreadable").Wrap(err)
}

// shrink copies img onto white, at most photoSide long. Whole steps are averaged over
// their pixels row by row, which needs no second picture in memory, and what is left
// is less than a halving.
func shrink(img image.Image) *image.RGBA {
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	if long := max(w, h); long > photoSide {
		if step := long / photoSide; step > 1 {
			img = average(img, step)
		}
		w, h = max(w*photoSide/long, 1), max(h*photoSide/long, 1)
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(out, out.Bounds(), image.White, image.Point{}, draw.Src)
	draw.ApproxBiLinear.Scale(out, out.Bounds(), img, img.Bounds(), draw.Over, nil)
	return out
}

// average makes one pixel of every step x step, and of what is left at the edges.
func average(img image.Image, step int) *image.RGBA {
	b := img.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, (b.Dx()+step-1)/step, (b.Dy()+step-1)/step))
	row := image.NewRGBA(image.Rect(0, 0, b.Dx(), 1))
	sum := make([][4]uint32, out.Rect.Dx())
	for y := range out.Rect.Dy() {
		clear(sum)
		rows := min(step, b.Dy()-y*step)
		for dy := range rows {
			// One row at a time goes through draw, which knows every kind of image fast.
			draw.Draw(row, row.Rect, img, image.Pt(b.Min.X, b.Min.Y+y*step+dy), draw.Src)
			for x, n := 0, 0; x < len(row.Pix); x, n = x+4, n+1 {
				s := &sum[n/step]
				for c := range s {
					s[c] += uint32(row.Pix[x+c])
				}
			}
		}
		for x, s := range sum {
			n := uint32(rows * min(step, b.Dx()-x*step))
			out.SetRGBA(x, y, color.RGBA{byte(s[0] / n), byte(s[1] / n), byte(s[2] / n), byte(s[3] / n)})
		}
	}
	return out
}

// upright turns and mirrors a picture as its camera said it was held (Exif 2.32,
// tag 274): 1 to 8, of which 1 is upright.
func upright(in *image.RGBA, how int) *image.RGBA {
	if how < 2 || how > 8 {
		return in
	}
	w, h := in.Rect.Dx(), in.Rect.Dy()
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	if how > 4 {
		out = image.NewRGBA(image.Rect(0, 0, h, w))
	}
	for y := range h {
		for x := range w {
			tx, ty := x, y
			switch how {
			case 2:
				tx = w - 1 - x
			case 3:
				tx, ty = w-1-x, h-1-y
			case 4:
				ty = h - 1 - y
			case 5:
				tx, ty = y, x
			case 6:
				tx, ty = h-1-y, x
			case 7:
				tx, ty = h-1-y, w-1-x
			case 8:
				tx, ty = y, w-1-x
			}
			out.SetRGBA(tx, ty, in.RGBAAt(x, y))
		}
	}
	return out
}

// orientation reads the one thing of a JPEG's Exif data that the pixels need; 1 when
// there is none or it makes no sense.
func orientation(data []byte) int {
	if !hasMagic(data, "\xff\xd8\xff") {
		return 1
	}
	for i := 2; i+4 <= len(data) && data[i] == 0xff; {
		marker, size := data[i+1], int(binary.BigEndian.Uint16(data[i+2:]))
		if marker == 0xff {
			i++
			continue
		}
		if marker == 0xda || marker == 0xd9 || size < 2 || i+2+size > len(data) {
			return 1 // the picture itself begins
		}
		if body := data[i+4 : i+2+size]; marker == 0xe1 && hasMagic(body, "Exif\x00\x00") {
			return tiffOrientation(body[6:])
		}
		i += 2 + size
	}
	return 1
}

// tiffOrientation looks through the first directory of a TIFF header (TIFF 6.0).
func tiffOrientation(b []byte) int {
	const tag, short, entry = 274, 3, 12
	if len(b) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.BigEndian
	if hasMagic(b, "II") {
		order = binary.LittleEndian
	}
	at := uint64(order.Uint32(b[4:]))
	if at+2 > uint64(len(b)) {
		return 1
	}
	n := int(order.Uint16(b[at:]))
	for i := range n {
		from := at + 2 + uint64(i)*entry
		if from+entry > uint64(len(b)) {
			return 1
		}
		if e := b[from : from+entry]; order.Uint16(e) == tag && order.Uint16(e[2:]) == short {
			return int(order.Uint16(e[8:]))
		}
	}
	return 1
}
