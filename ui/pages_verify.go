package ui

import (
	"bytes"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/tokens"
)

// resultPage is a verdict, large.
type resultPage struct {
	Tone    string // good, warn or bad: colour and shape
	Word    string
	Reason  string
	Person  *personLine
	Expires string
}

// tones give each verdict its shape. A card that is merely old is amber: its holder
// is sent to staff and not away.
var tones = map[tokens.Verdict]string{
	tokens.Genuine: "good", tokens.Superseded: "warn", tokens.Expired: "warn", tokens.UnknownIssuer: "warn",
	tokens.Revoked: "bad", tokens.NotOurs: "bad", tokens.Malformed: "bad",
}

func (v *visit) verifyPage() error { return v.render("verify/verify", nil) }

// verify judges what was typed, scanned or photographed.
func (v *visit) verify() error {
	desk := v.desks().Tokens
	text := v.form("text")
	if photo, err := v.file("photo"); err == nil {
		if text, err = desk.Read(v.s.ctx, v.actor, bytes.NewReader(photo)); err != nil {
			return v.reshow("verify/verify", nil, newForm(), err, func(string) string { return "photo" })
		}
	}
	if text == "" {
		f := newForm()
		v.missing(f, "text")
		v.c.Status(fault.Invalid.Status())
		return v.renderForm("verify/verify", nil, f)
	}
	if _, err := tokens.ParseTyped(text); err == nil {
		return v.typed(text)
	}
	r, err := desk.Verify(v.s.ctx, v.actor, text)
	if err != nil {
		return err
	}
	m := resultPage{Tone: tones[r.Verdict], Word: v.lang.Text("tokens.verdict."+string(r.Verdict), nil), Reason: v.lang.Text(r.Reason, nil), Person: v.readable(r.Person)}
	if m.Tone == "" {
		m.Tone = "bad" // a verdict of a later version: nobody is let through by oversight
	}
	if m.Tone != "bad" && !r.Expires.IsZero() { // a date nobody vouches for is not shown
		m.Expires = r.Expires.Format(time.DateOnly)
	}
	return v.render("verify/result", m)
}

// typed looks a typed code up. It finds a person and proves nothing about the card:
// anybody can read a code off one and write it down.
func (v *visit) typed(code string) error {
	person, ok := v.desks().Tokens.ByTyped(code)
	if !ok {
		return v.render("verify/result", resultPage{Tone: "bad", Word: v.lang.Text("verify.typed.unknown", nil), Reason: v.lang.Text("verify.typed.unknown.why", nil)})
	}
	return v.render("verify/result", resultPage{
		Tone: "warn", Word: v.lang.Text("verify.typed.found", nil), Reason: v.lang.Text("verify.typed.found.why", nil), Person: v.readable(&person),
	})
}
