package ui

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
)

// carryPages are for posts that cannot hear each other: a file is made here and carried
// there, and one comes back. Whoever may see the mesh may carry for it: the file opens for
// nobody but a box of the operation.
func (s *Server) carryPages() []route {
	may := need(staff.SeeMesh)
	return []route{
		{method: "GET", path: "/carry", policy: may, handle: (*visit).carry},
		{method: "POST", path: "/carry/take", policy: may, handle: (*visit).takeRecords},
		{method: "POST", path: "/carry/bring", policy: may, raw: true, handle: (*visit).bringRecords},
		{method: "POST", path: "/carry/stick", policy: may, handle: (*visit).bringFromStick},
		{method: "POST", path: "/carry/stop", policy: may, handle: (*visit).stopCarrying},
	}
}

// carryPage is where records are taken away and brought.
type carryPage struct {
	Posts   []carryPost
	Places  []placeLine
	Files   []carryFile
	Running bool
	Step    string // in words
	Percent int
	Known   bool // Percent means something
	Failed  string
	Hint    string
	Broke   bool   // the file did not arrive whole here
	From    string // the post the file that was read is of
	Empty   bool   // the file that was written holds nothing: its post lacks nothing
	Written *control.BundleWritten
	Read    *control.BundleRead
	Answer  string // the number of the post that waits for an answer
}

type carryPost struct{ Number, Site string }

type carryFile struct{ File, Name, Size string }

// onPhone is the place that is whatever the page is looked at with.
const onPhone = "phone"

func (v *visit) carryModel() (carryPage, error) {
	box := v.s.config.Box
	status, err := box.Status(v.s.ctx)
	if err != nil {
		return carryPage{}, err
	}
	state, failed := box.BundleState(v.s.ctx)
	m := carryPage{Running: state.Running, Percent: state.Percent(), Known: state.Total > 0, Written: state.Written, Read: state.Read}
	w := &view{Lang: v.lang}
	for _, p := range status.Peers {
		if p.Standing == "" {
			m.Posts = append(m.Posts, carryPost{strconv.Itoa(int(p.Number)), peerName(w, p)})
		}
	}
	for _, p := range box.BundlePlaces() {
		m.Places = append(m.Places, placeLine{Folder: p.Folder, File: p.File, Name: filepath.Base(p.Folder), Free: sizeText(int64(min(p.Free, 1<<62)))}) //nolint:gosec // bounded
	}
	for _, f := range box.BundleFiles() {
		m.Files = append(m.Files, carryFile{f.File, filepath.Base(f.File), sizeText(f.Bytes)})
	}
	switch {
	case state.Running:
		m.Step = v.lang.Text("carry.step."+state.Step, nil)
	case failed != nil:
		f := fault.Of(failed)
		m.Failed = say(v.lang, f.Key, f.Args)
		if v.lang.Has(f.Key + ".hint") {
			m.Hint = say(v.lang, f.Key+".hint", f.Args)
		}
	}
	m.Broke = !state.Running && v.s.brokeOff.Load() == int64(state.Number)+1
	if m.Broke {
		m.Hint = ""
	}
	m.Empty = m.Written != nil && m.Written.Ops+m.Written.Pieces == 0
	if m.Read != nil && m.Read.From == "" {
		m.Read = nil
	}
	if m.Read != nil {
		m.From = postName(w, "", m.Read.Number, false)
		for _, p := range status.Peers {
			if p.Number == m.Read.Number {
				m.From = peerName(w, p)
			}
		}
	}
	if m.Read != nil && slices.ContainsFunc(m.Posts, func(p carryPost) bool { return p.Number == strconv.Itoa(int(m.Read.Number)) }) {
		m.Answer = strconv.Itoa(int(m.Read.Number))
	}
	v.refreshSoon(state.Running)
	return m, nil
}

func (v *visit) carry() error {
	m, err := v.carryModel()
	if err != nil {
		return err
	}
	return v.render("carry/carry", m)
}

// carryAgain shows the page with what went wrong.
func (v *visit) carryAgain(err error) error {
	m, merr := v.carryModel()
	if merr != nil {
		return merr
	}
	m.Failed, m.Hint, m.Broke = "", "", false // of an earlier one; what is said now is enough
	return v.reshow("carry/carry", m, newForm(), err, nil)
}

// takeRecords makes a file: onto a stick that was offered, or to whoever asks.
func (v *visit) takeRecords() error {
	order := control.BundleOrder{For: v.form("for"), File: v.form("where"), Bare: v.form("bare") == "yes"}
	if order.For == "" {
		order.For = "any"
	}
	if order.File == onPhone {
		return v.sendRecords(order)
	}
	err := error(fault.New(fault.NotFound, "fault.bundle.no_stick"))
	if slices.ContainsFunc(v.s.config.Box.BundlePlaces(), func(p control.BackupPlace) bool { return p.File == order.File }) {
		err = v.s.config.Box.WriteBundle(v.s.ctx, v.actor, order)
	}
	if err != nil {
		return v.carryAgain(err)
	}
	return v.redirect("/carry")
}

// maxSent is how many files are being sent at once.
const maxSent = 2

// sendRecords sends a file as it is made, so that it takes no room here.
func (v *visit) sendRecords(order control.BundleOrder) error {
	if v.s.sent.Add(1) > maxSent {
		v.s.sent.Add(-1)
		return v.carryAgain(fault.New(fault.Busy, "fault.bundle.busy"))
	}
	name, send, err := v.s.config.Box.Bundle(v.s.ctx, v.actor, order)
	if err != nil {
		v.s.sent.Add(-1)
		return v.carryAgain(err)
	}
	v.c.Set(fiber.HeaderContentType, fiber.MIMEOctetStream)
	v.c.Set(fiber.HeaderContentDisposition, "attachment; filename="+name)
	s, conn := v.s, v.c.Context().Conn()
	v.c.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		defer s.sent.Add(-1)
		out := &slowWriter{w, conn}
		err := send(s.ctx, out)
		if err == nil {
			err = w.Flush()
		}
		if err != nil { // a file that is not whole must not look as if it were
			s.config.Logger.Info("a bundle was not sent to its end", "err", err)
			if conn != nil {
				_ = conn.Close()
			}
		}
	})
	return nil
}

// slowWriter gives each piece of a long answer its own time.
type slowWriter struct {
	*bufio.Writer
	conn net.Conn
}

func (w *slowWriter) Write(b []byte) (int, error) {
	if w.conn != nil {
		if err := w.conn.SetWriteDeadline(clock.System().Now().Add(writeTimeout)); err != nil {
			return 0, err
		}
	}
	return w.Writer.Write(b)
}

// bringRecords takes in a file as it comes: it may be larger than any memory. The token of
// the form comes before the file, and without it nothing is taken.
func (v *visit) bringRecords() error {
	sent, size, err := v.sentFile("file")
	if err != nil {
		return v.notBrought(err)
	}
	whole := &wholly{in: sent}
	file, err := v.s.config.Box.TakeBundle(v.s.ctx, v.actor, whole, size)
	if err == nil {
		err = v.s.config.Box.ReadBundle(v.s.ctx, v.actor, file, true)
	}
	if whole.broke { // nobody is there to be answered: the page says so when it is opened again
		state, _ := v.s.config.Box.BundleState(v.s.ctx)
		v.s.brokeOff.Store(int64(state.Number) + 1)
	}
	if err != nil {
		return v.notBrought(err)
	}
	return v.redirect("/carry")
}

// wholly notes whether what it reads broke off before its end.
type wholly struct {
	in    io.Reader
	broke bool
}

func (w *wholly) Read(b []byte) (int, error) {
	n, err := w.in.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		w.broke = true
	}
	return n, err
}

// notBrought says so on the page, unless it was no form of ours.
func (v *visit) notBrought(err error) error {
	if fault.Of(err).Key == "fault.api.csrf" {
		return err
	}
	return v.carryAgain(err)
}

// maxToken is how long the field before a file may be.
const maxToken = 512

// sentFile finds the file of a multipart form without reading it. What comes before it are
// short fields, the token among them. size is about what will come; negative when not
// known. Faults: Invalid "fault.api.form", "fault.api.no_file"; Denied "fault.api.csrf".
func (v *visit) sentFile(name string) (file io.Reader, size int64, err error) {
	bad := fault.New(fault.Invalid, "fault.api.form")
	kind, params, err := mime.ParseMediaType(v.c.Get(fiber.HeaderContentType))
	if err != nil || kind != fiber.MIMEMultipartForm || params["boundary"] == "" {
		return nil, 0, bad
	}
	var body io.Reader = bytes.NewReader(nil)
	if stream := v.c.Context().RequestBodyStream(); stream != nil {
		body = &patient{v: v, in: stream}
	}
	r := multipart.NewReader(body, params["boundary"])
	v.fields = map[string][]string{}
	for range maxParts {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, 0, broken(err)
		}
		if part.FormName() == name && part.FileName() != "" {
			return part, int64(v.c.Request().Header.ContentLength()), v.csrfFits()
		}
		value, err := io.ReadAll(io.LimitReader(part, maxToken+1))
		if err != nil || len(value) > maxToken {
			return nil, 0, bad
		}
		v.fields[part.FormName()] = append(v.fields[part.FormName()], string(value))
	}
	return nil, 0, fault.New(fault.Invalid, "fault.api.no_file")
}

// patient reads a body that may take as long as it keeps coming; see uploadPiece.
type patient struct {
	v    *visit
	in   io.Reader
	came int
}

func (p *patient) Read(b []byte) (int, error) {
	n, err := p.in.Read(b)
	if p.came += n; p.came >= uploadPiece {
		p.came = 0
		p.v.patience()
	}
	return n, err
}

// bringFromStick reads a file that was offered.
func (v *visit) bringFromStick() error {
	file := v.form("file")
	err := error(fault.New(fault.NotFound, "fault.bundle.no_stick"))
	if slices.ContainsFunc(v.s.config.Box.BundleFiles(), func(f control.BundleFile) bool { return f.File == file }) {
		err = v.s.config.Box.ReadBundle(v.s.ctx, v.actor, file, false)
	}
	if err != nil {
		return v.carryAgain(err)
	}
	return v.redirect("/carry")
}

func (v *visit) stopCarrying() error {
	if err := v.s.config.Box.StopBundle(v.s.ctx, v.actor); err != nil {
		return err
	}
	return v.redirect("/carry")
}
