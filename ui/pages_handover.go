package ui

import (
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/sealed"
	"github.com/waypost/waypost/appliance/staff"
)

// What two people do together to a sealed file: hand it over to somebody outside, or erase
// it. Titles and addresses say neither.

// handPages are the pages of it.
func (s *Server) handPages() []route {
	work, sign := need(staff.WorkSealed), need(staff.SignForFiles)
	return []route{
		{method: "GET", path: "/desk/:id/out", policy: work, narrow: true, handle: (*visit).outPage},
		{method: "POST", path: "/desk/:id/out", policy: work, narrow: true, guess: bySignature, handle: (*visit).askOut},
		{method: "GET", path: "/desk/:id/receipt/:number", policy: work, narrow: true, handle: (*visit).receipt},
		{method: "GET", path: "/desk/:id/end", policy: work, narrow: true, handle: (*visit).endPage},
		{method: "POST", path: "/desk/:id/end", policy: work, narrow: true, guess: bySignature, handle: (*visit).askEnd},
		{method: "GET", path: "/second", policy: sign, narrow: true, handle: (*visit).second},
		{method: "GET", path: "/second/:id", policy: sign, narrow: true, handle: (*visit).secondAct},
		{method: "POST", path: "/second/:id/confirm", policy: sign, narrow: true, guess: bySignature, handle: (*visit).confirmSecond},
		{method: "POST", path: "/second/:id/decline", policy: sign, narrow: true, handle: (*visit).declineSecond},
		{method: "POST", path: "/second/:id/take", policy: work, narrow: true, handle: (*visit).takeOut},
	}
}

// aboutFile reports whether an act is about a sealed file: what it says is shown where
// sealed files are, and nowhere else.
func aboutFile(a staff.Act) bool {
	return a.Purpose == sealed.HandPurpose || a.Purpose == staff.EraseFilePurpose
}

// outModel asks for a hand-over, or an erasure.
type outModel struct{ Path, ID string }

// fileModel is the file a form is about. Nothing of it is shown, so no look is written; and
// for whoever does not work in it there is no form either.
func (v *visit) fileModel() (outModel, oplog.ID, error) {
	id, err := v.subject("fault.sealed.no_file")
	if err != nil {
		return outModel{}, id, err
	}
	s, err := v.own()
	if err == nil {
		err = v.desks().Sealed.Works(s, id)
	}
	if err != nil {
		return outModel{}, id, err
	}
	return outModel{Path: "/desk/" + id.String(), ID: fileNumber(id.String())}, id, nil
}

func (v *visit) outPage() error { return v.plainForm("sealed/out") }
func (v *visit) endPage() error { return v.plainForm("sealed/end") }

func (v *visit) plainForm(page string) error {
	m, _, err := v.fileModel()
	if err != nil {
		return err
	}
	return v.render(page, m)
}

// askSecond is what both forms share: the passphrase is asked for at that moment.
func (v *visit) askSecond(page string, ask func(s staff.Session, id oplog.ID) error) error {
	m, id, err := v.fileModel()
	if err != nil {
		return err
	}
	s, done, err := v.ownHand()
	defer done()
	if err == nil {
		err = ask(s, id)
	}
	if err != nil {
		f := v.sent()
		delete(f.values, "passphrase")
		return v.reshow(page, m, f, err, nil)
	}
	return v.redirect("/second")
}

func (v *visit) askOut() error {
	return v.askSecond("sealed/out", func(s staff.Session, id oplog.ID) error {
		f, err := v.desks().Sealed.Read(v.s.ctx, s, id)
		if err != nil {
			return err
		}
		h := sealed.HandOver{
			To: v.form("to"), Basis: v.form("basis"), Agreed: v.form("agreed") == "yes", Unasked: v.form("unasked"), Recipient: v.form("recipient"),
			Person: v.personName(f.About),
		}
		_, err = v.desks().Sealed.AskHandOver(s, id, h, v.words().papers)
		return err
	})
}

func (v *visit) askEnd() error {
	return v.askSecond("sealed/end", func(s staff.Session, id oplog.ID) error {
		_, err := v.desks().Sealed.AskErase(s, id, v.form("reason"))
		return err
	})
}

// papers are what a receiver reads without any program.
func (s speaker) papers(h sealed.Handed) []sealed.Paper {
	var b strings.Builder
	line := func(parts ...string) { b.WriteString(strings.Join(parts, " ") + "\r\n") }
	field := func(key, value string) {
		if value != "" {
			line(s.T(key)+":", oneLine(value))
		}
	}
	agreed := s.T("out.agreed.yes")
	if !h.Agreed {
		agreed = s.T("out.agreed.no") + ": " + oneLine(h.Unasked)
	}
	head := func(title string) {
		line(s.T(title))
		line("")
		field("receipt.number", h.Number)
		field("receipt.file", h.File)
		field("out.to", h.To)
		field("out.basis", h.Basis)
		field("out.agreed", agreed)
		field("receipt.asked", h.AskedBy)
		field("receipt.at", h.AskedAt.Format(time.RFC3339))
	}
	head("parcel.title")
	field("parcel.person", h.Person)
	for _, e := range h.Entries {
		line("")
		what := s.T("sealed.entry.unknown")
		if key := "sealed.entry." + e.Kind; s.Lang.Has(key) {
			what = s.T(key)
		}
		line("--", e.At.Format(time.RFC3339), "·", what, "·", oneLine(e.Name))
		for _, code := range e.Codes {
			line("*", s.Label("registration.aside", code))
		}
		for _, text := range strings.Split(plainText(strings.TrimSpace(e.Text+"\n"+e.Who)), "\n") {
			line(" ", text) // never where an entry begins: nobody writes a line in another's name
		}
		field("sealed.due.field", e.Due)
	}
	line("")
	line(s.T("parcel.left_out", "Count", h.LeftOut))
	record := b.String()
	b.Reset()
	head("parcel.receipt")
	line("")
	line(s.T("parcel.receipt.sign"))
	line("")
	line(s.T("receipt.received") + ": ______________________________")
	return []sealed.Paper{{Name: "record.txt", Body: []byte(record)}, {Name: "receipt.txt", Body: []byte(b.String())}}
}

// plainText leaves nothing in a text that a terminal obeys.
func plainText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

// oneLine is plainText without the lines that somebody broke it into.
func oneLine(s string) string { return strings.ReplaceAll(plainText(s), "\n", " ") }

// secondLine is an act that waits.
type secondLine struct {
	Path, Text, By string
	At             time.Time
	Own            bool
}

// takingLine is a parcel of whoever looks.
type takingLine struct {
	Path, ID, To string
	Ready        bool
	Until        time.Time
}

// secondPage is what waits for a second person, and what whoever looks may take.
type secondPage struct {
	Waiting []secondLine
	Taking  []takingLine
	Done    bool
}

func (v *visit) secondModel() (m secondPage) {
	for _, a := range v.desks().Staff.Acts(v.actor) {
		if aboutFile(a.Act) {
			m.Waiting = append(m.Waiting, secondLine{Path: "/second/" + a.ID.String(), Text: v.lang.Text("second."+a.Act.Purpose, nil), By: a.ByName, At: a.At, Own: a.By == v.actor.ID})
		}
	}
	for _, t := range v.desks().Sealed.Takings(v.actor) {
		if t.Ready {
			m.Taking = append(m.Taking, takingLine{Path: "/second/" + t.ID.String() + "/take", ID: fileNumber(t.File.String()), To: t.To, Ready: t.Ready, Until: t.Until})
		}
	}
	return m
}

func (v *visit) second() error {
	m := v.secondModel()
	m.Done = v.query("done") != ""
	return v.render("sealed/second", m)
}

// agreePage is one act, for the second person.
type agreePage struct {
	secondLine
	Out                                               bool
	File, Desk, To, Basis, Unasked, Reason, Recipient string
}

func (v *visit) agreeModel() (agreePage, staff.Waiting, error) {
	id, err := v.subject("fault.staff.no_act")
	if err != nil {
		return agreePage{}, staff.Waiting{}, err
	}
	all := v.desks().Staff.Acts(v.actor)
	i := slices.IndexFunc(all, func(a staff.Waiting) bool { return a.ID == id && aboutFile(a.Act) })
	if i < 0 {
		return agreePage{}, staff.Waiting{}, fault.New(fault.NotFound, "fault.staff.no_act")
	}
	return v.words().agreePage(all[i], v.actor.ID), all[i], nil
}

func (s speaker) agreePage(a staff.Waiting, me staff.ID) agreePage {
	m := agreePage{Out: a.Act.Purpose == sealed.HandPurpose}
	m.secondLine = secondLine{Path: "/second/" + a.ID.String(), Text: s.T("second." + a.Act.Purpose), By: a.ByName, At: a.At, Own: a.By == me}
	for i := 0; i+1 < len(a.Act.Args); i += 2 {
		name, _ := a.Act.Args[i].(string)
		if n, is := a.Act.Args[i+1].(staff.Narrow); is {
			m.Desk = s.narrow(n)
			continue
		}
		value, _ := a.Act.Args[i+1].(string)
		switch name {
		case "File":
			m.File = fileNumber(value)
		case "To":
			m.To = value
		case "Basis":
			m.Basis = value
		case "Unasked":
			m.Unasked = value
		case "Reason":
			m.Reason = value
		case "Recipient":
			m.Recipient = value
		}
	}
	return m
}

func (v *visit) secondAct() error {
	m, _, err := v.agreeModel()
	if err != nil {
		return err
	}
	return v.render("sealed/agree", m)
}

// agreedPage is what the second person tells the receiver.
type agreedPage struct {
	To    string
	Words wordList // none where a key opens it
}

// confirmSecond is the second half. The words are in its answer and nowhere else.
func (v *visit) confirmSecond() error {
	m, a, err := v.agreeModel()
	if err != nil {
		return err
	}
	s, done, err := v.ownHand()
	defer done()
	words := ""
	switch {
	case err != nil:
	case m.Out:
		words, err = v.desks().Sealed.AgreeToHandOver(v.s.ctx, s, a.ID)
	default:
		err = v.desks().Staff.ConfirmAct(v.s.ctx, s, a.ID)
	}
	switch {
	case err != nil:
		return v.reshow("sealed/agree", m, newForm(), err, nil)
	case m.Out:
		return v.render("sealed/agreed", agreedPage{To: m.To, Words: wordList{Words: strings.Fields(words)}})
	}
	return v.redirect("/second?done=1")
}

func (v *visit) declineSecond() error {
	_, a, err := v.agreeModel()
	if err != nil {
		return err
	}
	if err := v.desks().Staff.DeclineAct(v.actor, a.ID); err != nil {
		return err
	}
	return v.redirect("/second")
}

// takeOut gives the parcel to whoever asked for it, once, under a name that says nothing.
func (v *visit) takeOut() error {
	s, err := v.own()
	if err != nil {
		return err
	}
	id, err := v.subject("fault.sealed.no_parcel")
	if err != nil {
		return err
	}
	parcel, err := v.desks().Sealed.Take(v.s.ctx, s, id)
	if err != nil {
		return v.reshow("sealed/second", v.secondModel(), newForm(), err, nil)
	}
	v.c.Set(fiber.HeaderContentType, fiber.MIMEOctetStream)
	v.c.Set(fiber.HeaderCacheControl, "no-store")
	v.c.Set(fiber.HeaderContentDisposition, `attachment; filename="file.age"`)
	return v.c.Send(parcel)
}

// receiptPage is a receipt, to print: not what was handed over, and not whose it is.
type receiptPage struct {
	Back, To, Basis, Unasked, Recipient string
	Number, File, Record, Parcel        string
	First, Second                       string
	Agreed                              bool
	At                                  time.Time
}

func receiptPageOf(r sealed.Receipt) receiptPage {
	return receiptPage{
		Back: "/desk/" + r.File.String(), To: r.To, Basis: r.Basis, Unasked: r.Unasked, Recipient: r.Recipient, Number: r.Number.String(), File: fileNumber(r.File.String()),
		Record: inFours(r.Record), Parcel: inFours(r.Parcel), First: r.First, Second: r.Second, Agreed: r.Agreed, At: r.At,
	}
}

// inFours is a hash as two people compare it.
func inFours(hash string) string {
	var parts []string
	for part := range slices.Chunk([]byte(hash), 4) {
		parts = append(parts, string(part))
	}
	return strings.Join(parts, " ")
}

func (v *visit) receipt() error {
	s, err := v.own()
	if err != nil {
		return err
	}
	id, err := v.subject("fault.sealed.no_file")
	if err != nil {
		return err
	}
	f, err := v.desks().Sealed.Read(v.s.ctx, s, id)
	if err != nil {
		return err
	}
	number := v.param("number")
	for _, l := range f.Lines {
		if l.Out != nil && l.Out.Number.String() == number {
			return v.render("sealed/receipt", receiptPageOf(*l.Out))
		}
	}
	return fault.New(fault.NotFound, "fault.sealed.no_file")
}
