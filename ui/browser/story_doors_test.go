package browser

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// What is planted: a person anybody at a desk may see, and what only the caseworker may.
const (
	openName   = "Qvzkrosalia"
	sealedNote = "Qvzkharvest is where she was made to work, the foreman keeps her passport"
	sealedMark = "Qvzkharvest"
	laterName  = "Qvzklater"
)

// arrives registers somebody and gives the path of their page.
func (p *somebody) arrives(given string) string {
	p.t.Helper()
	p.does("registering", register(p.at.https, given, "Ixchel"))
	var path string
	p.does("their page", chromedp.Evaluate(`document.querySelector('form[action$="/card"]').getAttribute('action').replace('/card', '')`, &path))
	return path
}

// passesOn lets the registrar pass on what she was told; then it is no longer hers.
func (s *tale) passesOn(dina *somebody, person string) {
	s.t.Helper()
	dina.does("telling it to those who may know", dina.opens(person, "details.tell summary"), chromedp.Click("details.tell summary", chromedp.ByQuery),
		chromedp.Click(`details.tell [value="trafficking"]`, chromedp.ByQuery), write("details.tell textarea", sealedNote), press("details.tell button", ".box.good"))
	if page := read(s.t, dina.phone, "body"); strings.Contains(page, sealedMark) {
		s.t.Errorf("what was passed on stands on the page: %q", page)
	}
}

// works lets the caseworker take the file; it gives its path.
func (s *tale) works(elif *somebody) string {
	s.t.Helper()
	until(s.t, elif.phone, "something waits", `!!document.querySelector('ul.list a[href^="/desk/"] .code')`, chromedp.Navigate(s.office.https+"/desk"))
	shot(s.t, elif.phone, "story-desk")
	var path string
	elif.does("opening it", chromedp.Evaluate(`document.querySelector('ul.list a[href^="/desk/"]').getAttribute('href')`, &path), press(`ul.list a[href^="/desk/"]`, `form[action$="/assign"]`))
	if page := elif.reads(); !strings.Contains(page, sealedMark) {
		s.t.Fatalf("the caseworker cannot read it: %q", page)
	}
	elif.does("taking it", press(`form[action$="/assign"] button.main`, `form[action$="/note"]`), write(`form[action$="/note"] textarea`, "Qvzkharvest: a place in a safe house from Monday"), press(`form[action$="/note"] button.main`, "ul.plain li:nth-child(4)"))
	shot(s.t, elif.phone, "story-file")
	return path
}

// refuses fails unless the box answers with one of the codes, and tells nothing.
func (s *tale) refuses(p *somebody, method, path string, form url.Values, codes ...int) {
	s.t.Helper()
	a := p.asks(method, path, form)
	ok := false
	for _, code := range codes {
		ok = ok || a.Status == code
	}
	if !ok || strings.Contains(a.Body, sealedMark) {
		s.t.Errorf("%s: %s %s is answered %d: %.200s", p.name, method, path, a.Status, a.Body)
	}
}

// doorOfTheDesk: the registrar would like to know what became of it, and so would the lead.
func (s *tale) doorOfTheDesk(elif *somebody, file string, curious ...*somebody) {
	s.t.Helper()
	for _, p := range curious {
		p.does("home", p.opens("/", ".tiles"))
		for _, path := range []string{"/desk", "/desk/new", "/desk/access", file} {
			s.refuses(p, "GET", path, nil, 403)
		}
		for _, do := range []string{"/note", "/assign", "/close", "/link"} {
			s.refuses(p, "POST", file+do, url.Values{"who": {"0"}, "note": {"x"}, "why": {"x"}}, 403)
		}
		a, b := p.asks("GET", file, nil), p.asks("GET", "/desk/"+strings.Repeat("0", len(file)-len("/desk/")), nil)
		if a.Status != b.Status || len(a.Body) != len(b.Body) {
			s.t.Errorf("%s can tell a file from none: %d with %d bytes, %d with %d", p.name, a.Status, len(a.Body), b.Status, len(b.Body))
		}
		if found := p.asks("GET", "/people?q="+sealedMark, nil); found.Status != 200 || strings.Contains(found.Body, `href="/people/`+sealedMark) || strings.Contains(found.Body, "safe house") {
			s.t.Errorf("%s searches for it: %d", p.name, found.Status)
		}
	}
	elif.does("it is still hers", elif.opens(file, `form[action$="/note"]`))
}

// doorOfErasing: a lead wants somebody gone, alone; then two people agree about another.
func (s *tale) doorOfErasing(amina, bo *somebody, person, other string) {
	s.t.Helper()
	asking := func(path string) string {
		amina.does("asking to erase", amina.opens(path+"/erase", "#f-passphrase"), write("#f-passphrase", amina.words), press(`form[action$="/erase"] button.danger`, `form[action$="/decline"]`))
		var approval string
		amina.does("what waits", chromedp.Location(&approval))
		return strings.TrimPrefix(approval, s.shelter.https)
	}
	approval := asking(person)
	shot(s.t, amina.phone, "story-erase-asked")
	s.refuses(amina, "POST", approval+"/confirm", url.Values{"passphrase": {amina.words}}, 403)
	puppet := amina.hires("amina-too", "coordinator")
	puppet.does("confirming as somebody else", puppet.opens(approval, "#f-passphrase"), write("#f-passphrase", puppet.words), press(`form[action$="/confirm"] button.danger`, "#problem"))
	shot(s.t, puppet.phone, "story-erase-alone")
	if said := read(s.t, puppet.phone, "#problem"); !strings.Contains(said, "one person alone") {
		s.t.Errorf("the second account is told %q", said)
	}
	if a := amina.asks("GET", person, nil); a.Status != 200 || !strings.Contains(a.Body, openName) {
		s.t.Errorf("one person alone erased somebody: %d", a.Status)
	}
	until(s.t, bo.phone, "the other post is asked", `!!document.querySelector('ul.list a[href="`+approval+`"]')`, chromedp.Navigate(s.office.https+"/approvals"))
	bo.does("saying no", press(`ul.list a[href="`+approval+`"]`, `form[action$="/decline"]`), press(`form[action$="/decline"] button`, `a[href="/"].btn`))

	approval = asking(other)
	until(s.t, bo.phone, "the other post is asked again", `!!document.querySelector('ul.list a[href="`+approval+`"]')`, chromedp.Navigate(s.office.https+"/approvals"))
	bo.does("agreeing", press(`ul.list a[href="`+approval+`"]`, "#f-passphrase"), write("#f-passphrase", bo.words), chromedp.Click(`form[action$="/confirm"] button.danger`, chromedp.ByQuery))
	until(s.t, amina.phone, "two people erased somebody", `document.title !== '' && !document.querySelector('main').innerText.includes('Qvzkomar')`, chromedp.Navigate(s.shelter.https+"/people?q=Qvzkomar"))
}

// doorWithoutKey: somebody with a phone and no account, and somebody at the wire.
func (s *tale) doorWithoutKey(person, file string) {
	s.t.Helper()
	p := &somebody{tale: s, name: "a stranger", at: &s.shelter, phone: s.stranger()}
	p.does("the first page", p.opens("/signin", "#f-user"))
	for _, path := range []string{"/people", person, "/people?q=" + openName, "/desk", file, "/staff", "/box", "/backup", "/ceremony", "/mesh", "/lost", "/reads", "/approvals", "/officers", "/api/v1/people", "/api/v1/mesh"} {
		a := p.asks("GET", path, nil)
		signIn := a.Status == 200 && strings.Contains(a.Body, `action="/signin"`)
		if strings.Contains(a.Body, "Ixchel") || !signIn && a.Status != 401 {
			s.t.Errorf("a stranger asks for %s: %d %.200s", path, a.Status, a.Body)
		}
	}
	p.does("guessing", p.opens("/signin", "#f-user"), write("#f-user", lead), write("#f-passphrase", "open sesame"), press(`form[action="/signin"] button.main`, "#problem"))
	conn, err := tls.Dial("tcp", s.shelter.mesh, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}) // the stranger checks nobody
	if err == nil {
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, err = conn.Read(make([]byte, 1))
	}
	if ne, slow := err.(net.Error); err == nil || slow && ne.Timeout() {
		s.t.Errorf("the mesh listens to whoever has no certificate: %v", err)
	}
}

// doorOfThePhones: the registrar's phone is stolen while it rests, the caseworker's while
// her desk is open.
func (s *tale) doorOfThePhones(amina, dina, elif *somebody, file string) {
	s.t.Helper()
	for _, p := range []*somebody{dina, elif} {
		p.does("its own clock", chromedp.ActionFunc(func(ctx context.Context) error {
			_, err := page.AddScriptToEvaluateOnNewDocument(hurry).Do(ctx)
			return err
		}))
	}
	elif.does("called away", elif.opens(file, `form[action$="/note"]`), chromedp.Evaluate(`wait(61)`, nil), chromedp.WaitVisible(`form[action="/wake"]`, chromedp.ByQuery))
	shot(s.t, elif.phone, "story-narrow-closed")
	if page := read(s.t, elif.phone, "body"); strings.Contains(page, "Qvzk") {
		s.t.Errorf("the desk stands open after a minute: %q", page)
	}
	s.refuses(elif, "GET", file, nil, 200, 401, 403)
	elif.does("she is back", write("#f-pin", elif.words), press(`form[action="/wake"] button.main`, `form[action$="/note"]`))

	dina.does("a PIN", dina.opens("/me", `form[action="/me/pin"]`), write("#f-pin", "482915"), press(`form[action="/me/pin"] button.main`, ".box.good"))
	dina.does("her phone lies there", dina.opens("/people?q="+openName, `a[href^="/people/"]`), chromedp.Evaluate(`wait(20 * 60 + 2)`, nil), chromedp.WaitVisible(`form[action="/wake"]`, chromedp.ByQuery))
	if page := read(s.t, dina.phone, "body"); strings.Contains(page, "Qvzk") {
		s.t.Errorf("the phone shows people while it rests: %q", page)
	}
	dina.does("a thief guesses", write("#f-pin", "000000"), press(`form[action="/wake"] button.main`, "#problem"))
	amina.does("ending what is on the phone", amina.opens("/staff/sessions", "ul.list"), chromedp.Evaluate(`[...document.querySelectorAll('ul.list li')].filter((l) => l.querySelector('bdi').textContent === 'dina').forEach((l) => { l.querySelector('form').id = 'lost'; })`, nil),
		chromedp.Click("#lost button", chromedp.ByQuery), chromedp.WaitNotPresent("#lost", chromedp.ByQuery))
	until(s.t, amina.phone, "it is off the list", `!!document.querySelector('ul.list') && ![...document.querySelectorAll('ul.list li')].some((l) => l.querySelector('bdi').textContent === 'dina')`, chromedp.Navigate(s.shelter.https+"/staff/sessions"))
	dina.does("the thief knows the PIN by now", chromedp.Navigate(s.shelter.https+"/people?q="+openName), chromedp.WaitVisible(`form[action="/signin"]`, chromedp.ByQuery))
	if page := read(s.t, dina.phone, "body"); strings.Contains(page, "Qvzkrosalia Ixchel") {
		s.t.Errorf("the stolen phone still shows people: %q", page)
	}
	dina.in()
}
