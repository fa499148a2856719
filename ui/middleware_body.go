package ui

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

// Limits of a form, besides its size.
const (
	maxFields = 4000      // values in a form: a household of 100 people has about 3,000
	maxParts  = 64        // of a multipart form
	maxField  = 192 << 10 // bytes of one value as it is sent: 64 KB of any letters
)

// A body may take as long as readTimeout, and longer only while it keeps coming:
// uploadPiece in every readTimeout, so that a photo on a weak link arrives and a
// client that trickles bytes does not hold a place.
const uploadPiece = 128 << 10

// readBody reads what was sent, up to the route's limit, and parses a form. A
// client that sends more hears so after the rest was read and thrown away.
// What is longer than strangerLimit needs a place, and beyond bodyLimit another, taken
// when so much has come: whoever only says that a large body follows holds nothing.
// Faults: TooLarge
// "fault.api.too_large", Busy "fault.api.busy", Unavailable "fault.api.slow",
// Invalid "fault.api.form", Unsupported "fault.api.form_type".
func (v *visit) readBody() error {
	limit := v.limit()
	declared := v.c.Request().Header.ContentLength() // negative where nobody said
	tooLarge := fault.New(fault.TooLarge, "fault.api.too_large", "Kilobytes", limit>>10)
	if declared > limit {
		return tooLarge
	}
	stream := v.c.Context().RequestBodyStream()
	if stream == nil {
		return nil
	}
	if v.crowded(declared) {
		return fault.New(fault.Busy, "fault.api.busy")
	}
	for pieces := 1; len(v.body) <= limit; {
		if len(v.body) == cap(v.body) {
			if err := v.takePlace(limit, len(v.body)); err != nil {
				return err
			}
			v.roomFor(limit, declared)
		}
		n, err := stream.Read(v.body[len(v.body):cap(v.body)])
		v.body = v.body[:len(v.body)+n]
		if errors.Is(err, io.EOF) {
			return v.parseForm()
		}
		if err != nil {
			return broken(err)
		}
		if limit > bodyLimit && len(v.body) >= pieces*uploadPiece {
			pieces++
			v.patience()
		}
	}
	return tooLarge
}

// takePlace takes what a body needs of which so many bytes have come. Whoever is at the
// control socket has the machine anyway.
func (v *visit) takePlace(limit, came int) (err error) {
	if v.surface == Control {
		return nil
	}
	if came >= shortBody && v.middle == nil {
		if v.middle, err = v.middling(); err != nil {
			return err
		}
	}
	if limit > strangerLimit && came >= strangerLimit && v.long == nil {
		if v.long, err = v.lengthy(); err != nil {
			return err
		}
	}
	if limit > bodyLimit && came >= bodyLimit && v.large == nil {
		v.patience() // the wait for a place is not the sender's
		v.large, err = v.upload()
		v.patience()
	}
	return err
}

// limit is how many bytes may come: few from somebody nobody knows yet.
func (v *visit) limit() int {
	if v.route.limit > 0 {
		return v.route.limit
	}
	switch v.route.policy.who {
	case anybody, claimant, opener, passer:
		return strangerLimit
	}
	return bodyLimit
}

// patience moves the deadline of a body that keeps coming. Deadlines of
// connections are the machine's own time, whatever clock the box goes by.
func (v *visit) patience() {
	_ = v.c.Context().SetReadDeadline(clock.System().Now().Add(v.s.wait)) // without it the old one holds
}

// broken says why a body did not arrive.
func broken(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fault.New(fault.Unavailable, "fault.api.slow").Wrap(err)
	}
	return fault.New(fault.Invalid, "fault.api.form").Wrap(err)
}

// drain throws away what is left of a body after a refusal. Without it the
// connection is closed under a client that is still sending, and it sees a
// broken connection instead of the sentence. Past drainLimit that is its lot.
func (v *visit) drain() {
	stream := v.c.Context().RequestBodyStream()
	if stream == nil || v.c.Request().Header.ContentLength() > drainLimit {
		return
	}
	_, _ = io.CopyN(io.Discard, stream, drainLimit)
}

// parseForm reads the fields of a form. A JSON document or a raw photo is left
// in v.body for its handler.
func (v *visit) parseForm() error {
	if len(v.body) == 0 {
		return nil
	}
	kind, params, err := mime.ParseMediaType(v.c.Get(fiber.HeaderContentType))
	if err != nil {
		kind = ""
	}
	switch kind {
	case fiber.MIMEApplicationForm:
		return v.parseFields()
	case fiber.MIMEMultipartForm:
		return v.parseParts(params["boundary"])
	}
	if !v.isCall() && v.route.limit == 0 {
		return fault.New(fault.Unsupported, "fault.api.form_type")
	}
	return nil
}

func (v *visit) parseFields() error {
	bad := fault.New(fault.Invalid, "fault.api.form")
	if bytes.Count(v.body, []byte("&")) > maxFields {
		return bad
	}
	for one := range bytes.SplitSeq(v.body, []byte("&")) {
		if len(one) > maxField {
			return bad
		}
	}
	fields, err := url.ParseQuery(string(v.body))
	if err != nil {
		return bad.Wrap(err)
	}
	v.fields = fields
	for _, values := range fields {
		for _, value := range values {
			if !utf8.ValidString(value) {
				return bad
			}
		}
	}
	return nil
}

// parseParts reads a multipart form: files into v.files, all else into v.fields.
// Everything is in memory already, so no temporary file is ever made.
func (v *visit) parseParts(boundary string) error {
	bad := fault.New(fault.Invalid, "fault.api.form")
	v.fields, v.files = map[string][]string{}, map[string][]byte{}
	if boundary == "" {
		return bad
	}
	r := multipart.NewReader(bytes.NewReader(v.body), boundary)
	for range maxParts {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return bad.Wrap(err)
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return bad.Wrap(err)
		}
		name := strings.Clone(part.FormName())
		switch {
		case part.FileName() != "":
			v.files[name] = data
		case !utf8.Valid(data):
			return bad
		default:
			v.fields[name] = append(v.fields[name], string(data))
		}
	}
	return bad
}
