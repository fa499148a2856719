package ui

import (
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/ui/locale"
)

// phoneRoutes are the ladder: what a phone can do here, how it gets further, and how the box
// learns that it did.
func (s *Server) phoneRoutes() []route {
	return []route{
		{method: "GET", path: "/phone", policy: public(), where: onPublic, handle: (*visit).phonePage},
		{method: "GET", path: "/phone/ca.crt", policy: public(), where: onPublic, handle: phoneCA},
		{method: "GET", path: "/phone/ca.mobileconfig", policy: public(), where: onPublic, handle: phoneProfile},
		{method: "GET", path: "/phone/ca.pem", policy: public(), where: onPublic, handle: phonePEM},
		{method: "GET", path: offlinePath, policy: public(), where: onPublic, handle: (*visit).offlinePage},
		{method: "GET", path: "/sw.js", policy: public(), handle: (*visit).worker},
		{method: "POST", path: "/phone/rung", policy: public(), handle: (*visit).startRung},
		{method: "POST", path: "/phone/proof", policy: public(), handle: (*visit).proveRung},
		{method: "POST", path: "/phone/forget", policy: public(), handle: (*visit).forgetRung},
	}
}

// phoneCA is the box's certificate in the form and under the name and type by which phones
// offer to install it.
func phoneCA(v *visit) error {
	if err := getCADER(v); err != nil {
		return err
	}
	v.c.Set(fiber.HeaderContentDisposition, `attachment; filename="box.crt"`)
	return nil
}

// phonePEM is the same as text, for browsers that keep certificates of their own.
func phonePEM(v *visit) error {
	if err := getCA(v); err != nil {
		return err
	}
	v.c.Set(fiber.HeaderContentDisposition, `attachment; filename="box.pem"`)
	return nil
}

// phonePage is the ladder as a phone sees it.
type phonePage struct {
	Rungs       []rungStep
	Here        bool // on the box itself: nothing to install
	Plain       bool // over plain HTTP, where nothing proves anything
	Gate        bool // this phone must climb before it can go where it was sent from
	To          string
	Address     string // the encrypted address; empty when there is none
	Names       []string
	Words       wordList
	Fingerprint string
	Ends        [2]string // what to compare of it: its first and its last four pairs
	Guides      []guide
	Apple       bool // an iPhone or iPad asks: it takes a profile
}

// rungStep is one rung.
type rungStep struct {
	N          int
	Title, Why string
	Here       bool
}

// guide is how one sort of device learns to trust the box.
type guide struct {
	Name, Title string
	Steps       []string
	Open        bool
}

// guideNames are the guides, phones first.
func guideNames() []string {
	return []string{"android", "samsung", "iphone", "firefox", "windows", "mac", "linux"}
}

// guidesFor opens the guide of the device that asks, as far as it says what it is.
func guidesFor(lang locale.Language, agent string) []guide {
	mine := deviceOf(agent)
	var out []guide
	for _, name := range guideNames() {
		key := "phone.guide." + name + "."
		g := guide{Name: name, Title: lang.Text(key+"title", nil), Open: name == mine}
		for n := 1; lang.Has(key + strconv.Itoa(n)); n++ {
			g.Steps = append(g.Steps, lang.Text(key+strconv.Itoa(n), nil))
		}
		out = append(out, g)
	}
	return out
}

// deviceOf reads a User-Agent. A wrong guess only opens another guide.
func deviceOf(agent string) string {
	for _, d := range [][2]string{
		{"SamsungBrowser", "samsung"}, {"iPhone", "iphone"}, {"iPad", "iphone"}, {"Android", "android"},
		{"Windows", "windows"}, {"Mac OS X", "mac"}, {"Linux", "linux"},
	} {
		if strings.Contains(agent, d[0]) {
			if strings.Contains(agent, "Firefox/") && d[1] == "android" {
				return "firefox"
			}
			return d[1]
		}
	}
	return ""
}

// rungsOf are the four rungs with the present one marked; -1 marks none.
func rungsOf(lang locale.Language, now int) []rungStep {
	var out []rungStep
	for n := range 4 {
		key := "phone.rung." + strconv.Itoa(n)
		out = append(out, rungStep{n, lang.Text(key, nil), lang.Text(key+".why", nil), n == now})
	}
	return out
}

func (v *visit) phonePage() error {
	ca := v.s.config.Box.CA()
	m := phonePage{
		Here: v.surface == Loopback, Plain: v.surface == Public, To: ownPath(v.query("to")), Names: v.s.config.Box.PublicNames(),
		Apple: deviceOf(v.c.Get(fiber.HeaderUserAgent)) == "iphone",
		Words: wordList{ca.Words, true}, Fingerprint: grouped(ca.Fingerprint), Ends: endsOf(ca.Fingerprint), Guides: guidesFor(v.lang, v.c.Get(fiber.HeaderUserAgent)),
	}
	now := -1
	if line := v.rungLine(); line != nil {
		now = line.Now
		m.Gate = line.Now > 0 && !line.Proven && v.query("to") != ""
	}
	m.Rungs = rungsOf(v.lang, now)
	if addresses := v.addresses(); m.Plain && len(addresses) > 0 {
		m.Address = addresses[0]
	}
	return v.render("phone/phone", m)
}

// grouped parts a fingerprint after every fourth pair, so that it breaks there and can be
// read aloud.
func grouped(fingerprint string) string {
	pairs := strings.Split(fingerprint, ":")
	var out []string
	for four := range slices.Chunk(pairs, 4) {
		out = append(out, strings.Join(four, ":"))
	}
	return strings.Join(out, " ")
}

// endsOf are the first and the last four pairs of a fingerprint: what a person compares.
func endsOf(fingerprint string) [2]string {
	pairs := strings.Split(fingerprint, ":")
	if len(pairs) < 8 {
		return [2]string{fingerprint, ""}
	}
	return [2]string{strings.Join(pairs[:4], ":"), strings.Join(pairs[len(pairs)-4:], ":")}
}

// offlinePage is what the worker shows when the box does not answer. It is fetched without
// cookies and says nothing of anybody.
func (v *visit) offlinePage() error { return v.render("phone/offline", nil) }

// hostOf is the name in a Host header.
func hostOf(host string) string {
	if at := strings.LastIndex(host, ":"); at > strings.LastIndex(host, "]") {
		host = host[:at]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// publicName tells whether a Host header has a name of the public certificate.
func (s *Server) publicName(host string) bool {
	return slices.Contains(s.config.Box.PublicNames(), host)
}
