package registration

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// Page is one part of a list. Next continues it and is empty at the end.
type Page struct {
	Items []Record `json:"items"` // never nil
	Next  string   `json:"next,omitempty"`
}

// MaxPage is the largest number of people one page holds; a limit of 0 means
// defaultPage, a larger one MaxPage.
const (
	MaxPage     = 200
	defaultPage = 50
	maxQuery    = 200 // characters
)

// Scores: the worst of the words decides, the sum of all breaks ties within it.
const (
	scoreID     = 0
	scoreExact  = 1
	scorePrefix = 2
	scoreInside = 3
	scoreTypo   = 4
	scoreParent = 4 // added when only a parent's name fits
	scoreNone   = 15
)

// Search finds people by name in any script, by id, phone, document number or the
// typed code of a card. All words of q must fit; a word fits a name exactly, as its
// beginning, inside it, or with one slip of the pen, in this order of rank, and among
// equals whoever was registered later comes first. A word of four digits also fits
// the year of birth. An empty q lists everybody, the latest first. The cursor is
// Page.Next of the page before. Faults: Denied; Invalid "fault.registration.query",
// "fault.registration.cursor"; Unavailable "fault.registration.filling" for the first
// moments of a node with many people.
func (d *Desk) Search(ctx context.Context, actor staff.Actor, q string, limit int, cursor string) (Page, error) {
	if err := actor.Must(staff.ReadPeople); err != nil {
		return Page{}, err
	}
	if len(q) > 8*maxQuery || utf8.RuneCountInString(q) > maxQuery || !utf8.ValidString(q) {
		return Page{}, fault.New(fault.Invalid, "fault.registration.query", "Max", maxQuery)
	}
	after, err := parseCursor(cursor)
	if err != nil {
		return Page{}, err
	}
	b := &best{after: after, n: pageSize(limit) + 1}
	question := d.ask(q)
	if question.empty() && strings.TrimSpace(q) != "" {
		return Page{Items: []Record{}}, nil // only punctuation: nobody is called that
	}
	if err := d.wait(ctx, patience); err != nil {
		return Page{}, err
	}
	d.index.scan(b, question.score)
	return d.page(b)
}

// Recent lists everybody, the latest registration first by the logical clock.
func (d *Desk) Recent(ctx context.Context, actor staff.Actor, limit int, cursor string) (Page, error) {
	return d.Search(ctx, actor, "", limit, cursor)
}

func pageSize(limit int) int {
	switch {
	case limit <= 0:
		return defaultPage
	case limit > MaxPage:
		return MaxPage
	}
	return limit
}

// page reads the people of the hits; b.n is one more than the page holds.
func (d *Desk) page(b *best) (Page, error) {
	page, hits := Page{Items: []Record{}}, b.hits
	if len(hits) == b.n {
		hits = hits[:b.n-1]
		page.Next = hits[len(hits)-1].cursor()
	}
	rows := make([]personRow, 0, len(hits))
	ids := make([]oplog.ID, 0, len(hits))
	err := d.log.View(func(r oplog.Reader) error {
		for _, h := range hits {
			row, ok, err := readPerson(r, h.id)
			if err != nil {
				return err
			}
			if ok { // else they went away between the index and this snapshot
				rows, ids = append(rows, row), append(ids, h.id)
			}
		}
		return nil
	})
	if err != nil {
		return Page{}, err
	}
	for i, row := range rows {
		page.Items = append(page.Items, d.record(ids[i], row))
	}
	return page, nil
}

// cursor is the order of a hit in text; it stays right while people come and go.
func (h hit) cursor() string {
	s := strconv.Itoa(int(h.score)) + " " + strconv.FormatUint(h.clock, 10) + " " + h.id.String()
	return base64.RawURLEncoding.EncodeToString([]byte(s))
}

func parseCursor(s string) (*hit, error) {
	if s == "" {
		return nil, nil
	}
	bad := fault.New(fault.Invalid, "fault.registration.cursor")
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, bad
	}
	parts := strings.Split(string(b), " ")
	if len(parts) != 3 {
		return nil, bad
	}
	score, err1 := strconv.ParseUint(parts[0], 10, 16)
	clock, err2 := strconv.ParseUint(parts[1], 10, 64)
	id, err3 := oplog.ParseID(parts[2])
	if err1 != nil || err2 != nil || err3 != nil {
		return nil, bad
	}
	return &hit{uint16(score), clock, id}, nil
}

// question is a query made ready for the scan.
type question struct {
	words  []string // folded
	number string   // letters and digits only, when it could be a number
	digits string   // digits only, when it could be a phone
	id     oplog.ID
	typed  oplog.ID
}

func (d *Desk) ask(q string) question {
	trimmed := strings.TrimSpace(q)
	folded := foldName(trimmed)
	out := question{words: strings.Fields(folded)}
	if id, err := oplog.ParseID(trimmed); err == nil {
		out.id = id
	}
	if compact := strings.ReplaceAll(folded, " ", ""); strings.ContainsAny(compact, "0123456789") && len(compact) >= 3 {
		out.number = compact
		if all := onlyDigits(trimmed); all == compact {
			out.digits = strings.TrimLeft(all, "0") // 00963… and 0963… are +963…
		}
	}
	if d.byTyped != nil && len(onlyCode(trimmed)) == 12 {
		if id, ok := d.byTyped(trimmed); ok {
			out.typed = id
		}
	}
	return out
}

// onlyCode leaves the letters and digits a typed code is made of.
func onlyCode(s string) string { return strings.ToUpper(foldNumber(s)) }

func (q *question) empty() bool {
	return len(q.words) == 0 && q.id.IsZero() && q.typed.IsZero()
}

// score says how well a person fits. The score is worst word × 16 + average.
func (q *question) score(e *entry) (uint16, bool) {
	if len(q.words) == 0 && q.id.IsZero() {
		return 0, true
	}
	if e.id == q.id || e.id == q.typed && !q.typed.IsZero() {
		return scoreID, true
	}
	own, rest, _ := strings.Cut(e.text, unit)
	parents, numbers, _ := strings.Cut(rest, unit)
	if s, ok := q.scoreNumbers(numbers); ok {
		return s, true
	}
	worst, sum := 0, 0
	for _, w := range q.words {
		s := scoreWord(own, w, true)
		if s > scoreExact && len(w) == 4 && e.year > 0 && w == strconv.Itoa(int(e.year)) {
			s = scoreExact
		}
		if s > scoreInside && parents != "" {
			s = min(s, scoreParent+scoreWord(parents, w, false))
		}
		if s >= scoreNone {
			return 0, false
		}
		worst, sum = max(worst, s), sum+s
	}
	// Fewer names beside the ones asked for is a better answer: "Ali" before "Ali Reza".
	extra := min(15, max(0, strings.Count(own, " ")+1-len(q.words)))
	return uint16(worst<<12 | min(sum/len(q.words), 15)<<8 | extra<<4), true
}

// scoreNumbers looks for the question among phone and document numbers.
func (q *question) scoreNumbers(numbers string) (uint16, bool) {
	if q.number == "" || !strings.Contains(numbers, q.number) && (q.digits == "" || !strings.Contains(numbers, q.digits)) {
		return 0, false // nearly everybody
	}
	found := scoreNone
	for i, n := range strings.Split(numbers, unit) {
		if i == 0 { // the phone
			if q.digits != "" && strings.Contains(n, q.digits) {
				found = min(found, scoreInside)
				if strings.TrimLeft(n, "0") == q.digits {
					found = scoreExact
				} else if strings.HasSuffix(n, q.digits) {
					found = min(found, scorePrefix)
				}
			}
			continue
		}
		switch {
		case n == q.number:
			found = scoreExact
		case strings.HasPrefix(n, q.number):
			found = min(found, scorePrefix)
		case strings.Contains(n, q.number):
			found = min(found, scoreInside)
		}
	}
	return uint16(found << 12), found < scoreNone
}

// scoreWord says how well a word fits one of the words of a name.
func scoreWord(name, w string, typos bool) int {
	found := scoreNone
	if i := strings.Index(name, w); i >= 0 {
		found = scoreInside
		for rest := name; i >= 0; i = strings.Index(rest, w) {
			begins := i == 0 || rest[i-1] == ' '
			end := i + len(w)
			if begins && (end == len(rest) || rest[end] == ' ') {
				return scoreExact
			}
			if begins {
				found = scorePrefix
			}
			cut := strings.IndexByte(rest[end:], ' ')
			if cut < 0 {
				break
			}
			rest = rest[end+cut+1:]
		}
		return found
	}
	if !typos || utf8.RuneCountInString(w) < 4 {
		return found
	}
	for rest := name; rest != ""; {
		var token string
		token, rest, _ = strings.Cut(rest, " ")
		if mayBe(token, w) && within1(token, w) {
			return scoreTypo
		}
	}
	return found
}

// mayBe rules out most words before they are compared letter by letter: one slip in a
// word of four letters or more leaves its last letter or its first one in place.
func mayBe(token, w string) bool {
	return len(token) > 1 && (token[len(token)-1] == w[len(w)-1] || token[0] == w[0] && token[1] == w[1])
}
