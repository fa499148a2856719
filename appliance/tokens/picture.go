package tokens

// fit shrinks g so that its longest side is at most side; a smaller picture is
// returned as it is, and the two then share their pixels.
func fit(g gray, side int) gray {
	longest := max(g.w, g.h)
	if longest <= side {
		return g
	}
	return shrink(g, g.w*side/longest, g.h*side/longest)
}

// shrink averages the area under each new pixel (with whole source pixels): a
// lens would blur the same way, and no thin line is lost between samples.
func shrink(g gray, w, h int) gray {
	w, h = max(w, 1), max(h, 1)
	out := newGray(w, h)
	sums := make([]uint32, w)
	counts := make([]uint32, w)
	for y := range h {
		top, bottom := y*g.h/h, max((y+1)*g.h/h, y*g.h/h+1)
		clear(sums)
		clear(counts)
		for sy := top; sy < bottom; sy++ {
			row := g.pix[sy*g.w:][:g.w]
			for x := range w {
				left, right := x*g.w/w, max((x+1)*g.w/w, x*g.w/w+1)
				for _, v := range row[left:right] {
					sums[x] += uint32(v)
				}
				counts[x] += uint32(right - left)
			}
		}
		for x := range w {
			out.pix[y*w+x] = byte((sums[x] + counts[x]/2) / counts[x])
		}
	}
	return out
}

// enlarge makes g factor times as large, blending between pixels (bilinear):
// repeating them would give the threshold steps that are not there.
func enlarge(g gray, factor int) gray {
	if factor <= 1 {
		return g
	}
	out := newGray(g.w*factor, g.h*factor)
	den := 2 * factor
	for y := range out.h {
		y0, y1, fy := between(y, factor, g.h)
		a, b := g.pix[y0*g.w:][:g.w], g.pix[y1*g.w:][:g.w]
		for x := range out.w {
			x0, x1, fx := between(x, factor, g.w)
			top := int(a[x0])*(den-fx) + int(a[x1])*fx
			bottom := int(b[x0])*(den-fx) + int(b[x1])*fx
			out.pix[y*out.w+x] = byte((top*(den-fy) + bottom*fy) / (den * den))
		}
	}
	return out
}

// between finds the two source pixels whose centres lie around that of new
// pixel i, and how far towards the second it lies, in 2*factor-ths.
func between(i, factor, n int) (lo, hi, part int) {
	pos := 2*i + 1 - factor // centre in 2*factor-ths of a source pixel
	if pos < 0 {
		return 0, 0, 0
	}
	lo = pos / (2 * factor)
	return lo, min(lo+1, n-1), pos % (2 * factor)
}

// sharpen adds back three times what a blur over a square of 2*radius+1 pixels
// takes away (an unsharp mask), which undoes part of a lens out of focus.
func sharpen(g gray, radius int) gray {
	soft := boxBlur(boxBlur(g, radius), radius)
	out := newGray(g.w, g.h)
	for i, v := range g.pix {
		out.pix[i] = byte(min(max(4*int(v)-3*int(soft.pix[i]), 0), 255))
	}
	return out
}

// boxBlur averages along the rows, then along the columns, with running sums;
// pixels beyond the edge count as the edge's.
func boxBlur(g gray, radius int) gray {
	rows, out := newGray(g.w, g.h), newGray(g.w, g.h)
	for y := range g.h {
		blurLine(g.pix[y*g.w:], rows.pix[y*g.w:], g.w, 1, radius)
	}
	for x := range g.w {
		blurLine(rows.pix[x:], out.pix[x:], g.h, g.w, radius)
	}
	return out
}

func blurLine(in, out []byte, n, stride, radius int) {
	at := func(i int) int { return int(in[min(max(i, 0), n-1)*stride]) }
	sum := 0
	for i := -radius; i <= radius; i++ {
		sum += at(i)
	}
	for i := range n {
		out[i*stride] = byte(sum / (2*radius + 1))
		sum += at(i+radius+1) - at(i-radius)
	}
}
