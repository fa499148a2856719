package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestBrowserStory: a shelter, an office for protection and a post at the pier; seven people
// work there, and at each door stands somebody who wants in.
func TestBrowserStory(t *testing.T) {
	needsChromium(t)
	s := newTale(t)
	amina := s.comes(lead, secret, &s.shelter)
	shot(t, amina.phone, "story-home")
	s.ceremony(amina)
	s.compares(amina)
	gul, hadi, dina := amina.hires("gul", "coordinator"), amina.hires("hadi", "coordinator"), amina.hires("dina", "registrar")
	bo := s.comes("bo", secret, &s.office)
	elif := bo.hires("elif", "caseworker")
	cid := s.comes("cid", secret, &s.pier)
	s.desks(amina, "gul", "hadi", "elif")
	rosa, omar := dina.arrives(openName), dina.arrives("Qvzkomar")
	s.passesOn(dina, rosa)
	file := s.works(elif)
	s.doorOfTheDesk(elif, file, dina, amina, bo, gul)
	s.doorOfErasing(amina, bo, rosa, omar)
	s.doorWithoutKey(rosa, file)
	s.doorOfThePhones(amina, dina, elif, file)
	s.doorOfTheRogue(cid, amina, gul, hadi, dina, bo, file)
	seized := s.doorOfTheLockedBox()
	s.doorOfTheKeys(seized, file)
	s.seen.check(t)
}

// newTale starts three boxes and one Chromium that trusts them all.
func newTale(t *testing.T) *tale {
	t.Helper()
	s := &tale{t: t, shelter: openedBox(t, "Shelter")}
	s.office, s.pier = joined(t, s.shelter, "Office", "bo"), joined(t, s.shelter, "Pier", "cid")
	home := trustingHome(t, s.shelter.carried(t), s.office.carried(t), s.pier.carried(t))
	s.browser, s.seen = phone(t, []string{s.shelter.https, s.office.https, s.pier.https}, chromedp.Env("HOME="+home))
	return s
}

// banner is what every page of a box says that nobody may use for real people yet.
const banner = "Practice data only"

// ceremony holds the full ceremony; after it the banner is gone, for everybody.
func (s *tale) ceremony(amina *somebody) {
	s.t.Helper()
	if page := read(s.t, amina.phone, "body"); !strings.Contains(page, banner) {
		s.t.Fatalf("no banner before the ceremony: %q", page)
	}
	amina.does("two issuers", amina.opens("/ceremony", `form[action="/ceremony/begin"] button.main`), press(`form[action="/ceremony/begin"] button.main`, `form[action="/ceremony/issuer"]`),
		press(`form[action="/ceremony/issuer"] button.main`, "ol.words"))
	words := strings.Join(strings.Fields(read(s.t, amina.phone, "ol.words")), " ")
	amina.does("the second issuer's words", press(".actions a.main", "#f-words"), write("#f-words", words), press(`form[action="/ceremony/words"] button.main`, `a[href="/ceremony/shares"]`))
	var papers []string
	amina.does("five papers", press(`a[href="/ceremony/shares"]`, ".paper"), chromedp.Evaluate(`[...document.querySelectorAll('.paper .lines')].map((p) => [...p.children].map((l) => l.textContent).join('\n'))`, &papers))
	shot(s.t, amina.phone, "story-papers")
	if len(papers) != 5 {
		s.t.Fatalf("%d papers", len(papers))
	}
	amina.does("back", amina.opens("/ceremony", "#f-text"))
	for i, paper := range papers {
		amina.does("reading a paper back", write("#f-text", paper), chromedp.Click(`form[action="/ceremony/read"] button.main`, chromedp.ByQuery))
		until(s.t, amina.phone, "the paper is read", `document.querySelectorAll('.pill.good').length === `+string(rune('1'+i))+` || !!document.querySelector('form[action="/ceremony/finish"]')`)
	}
	amina.does("taking the root off", press(`form[action="/ceremony/finish"] button.main`, ".box.good"))
	shot(s.t, amina.phone, "story-ceremony")
	for who, page := range map[string]string{"the lead": read(s.t, amina.phone, "body"), "a stranger": s.said(&s.shelter, "/signin")} {
		if strings.Contains(page, banner) {
			s.t.Errorf("the banner still stands there for %s: %q", who, page)
		}
	}
}

// said is what a stranger reads on a page.
func (s *tale) said(at *box, path string) string {
	s.t.Helper()
	ctx := s.stranger()
	run(s.t, ctx, path, see(at.https+path, "main"))
	return read(s.t, ctx, "body")
}

// compares lets the lead compare the words of both boxes.
func (s *tale) compares(amina *somebody) {
	s.t.Helper()
	until(s.t, amina.phone, "words to compare", `document.querySelectorAll('form[action$="/confirm"]').length === 2`, chromedp.Navigate(s.shelter.https+"/mesh"))
	var forms []string
	amina.does("looking at the words", chromedp.Evaluate(`[...document.querySelectorAll('form[action$="/confirm"]')].map((f) => f.getAttribute('action'))`, &forms))
	for _, form := range forms {
		sel := `form[action="` + form + `"]`
		amina.does("they are the same", chromedp.Click(sel+" button.main", chromedp.ByQuery), chromedp.WaitNotPresent(sel, chromedp.ByQuery))
	}
	until(s.t, amina.phone, "both boxes count", `document.querySelectorAll('[data-live] .peers tbody tr').length === 2 && !document.querySelector('[data-live] .pill.bad, ol.words.few')`, chromedp.Navigate(s.shelter.https+"/mesh"))
}

// desks gives the sealed desks their keys: two officers, one caseworker at another box.
func (s *tale) desks(amina *somebody, names ...string) {
	s.t.Helper()
	for _, name := range names {
		find := `[...document.querySelectorAll('form[action="/box/desks"] label.opt')].find((l) => l.querySelector('bdi').textContent.startsWith('` + name + ` '))`
		until(s.t, amina.phone, name+" is known at the shelter", `!!`+find, chromedp.Navigate(s.shelter.https+"/box/desks"))
	}
	for _, name := range names {
		amina.does("choosing "+name, chromedp.Evaluate(`[...document.querySelectorAll('form[action="/box/desks"] label.opt')].find((l) => l.querySelector('bdi').textContent.startsWith('`+name+` ')).click()`, nil))
	}
	shot(s.t, amina.phone, "story-desks")
	amina.does("opening the desks", press(`form[action="/box/desks"] button.main`, ".box.good"))
}
