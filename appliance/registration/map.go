package registration

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// Map says which column of a list feeds which of our fields, and which of their
// values stands for which of ours. The zero map takes columns that are named like our
// fields.
type Map struct {
	Columns map[string]string            `json:"columns"`          // their column -> our field
	Values  map[string]map[string]string `json:"values,omitempty"` // our field -> their value -> our value
}

// Columns that are no field of a person: the row's own id in its source, the number
// of one document, what groups rows into a household, and the relation to its head.
const (
	columnID        = "id"
	columnDocument  = "document"
	columnHousehold = "household"
	columnRelation  = "relation"
)

// severalColumns are the fields that more than one column may feed.
var severalColumns = [...]string{"other_names", "notes", "languages", "needs", columnDocument}

// ImportFields are the names a map may give on its right side.
func ImportFields() []string {
	out := []string{columnID, columnDocument, columnHousehold, columnRelation}
	for _, f := range fields() {
		if f.name != "documents" {
			out = append(out, f.name)
		}
	}
	return out
}

// ReadMap reads a map in JSON. Faults: Invalid "fault.registration.map" when it is no
// such JSON, and "fault.registration.map_fields" naming each field on the right side
// that we do not have, or that two columns feed though it can hold only one.
func ReadMap(r io.Reader) (Map, error) {
	var m Map
	d := json.NewDecoder(io.LimitReader(r, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil || len(m.Columns) == 0 {
		return Map{}, fault.New(fault.Invalid, "fault.registration.map").Wrap(err)
	}
	if err := m.check(); err != nil {
		return Map{}, err
	}
	return m, nil
}

func (m Map) check() error {
	all, known := fault.New(fault.Invalid, "fault.registration.map_fields"), ImportFields()
	fed := map[string]bool{}
	for _, column := range sortedKeys(m.Columns) {
		to := m.Columns[column]
		switch {
		case !slices.Contains(known, to):
			all = all.With(clip(to, maxShort), "registration.problem.unknown_field")
		case fed[to] && !slices.Contains(severalColumns[:], to):
			all = all.With(to, "registration.problem.two_columns")
		}
		fed[to] = true
	}
	for _, to := range sortedKeys(m.Values) {
		if !slices.Contains(known, to) {
			all = all.With(clip(to, maxShort), "registration.problem.unknown_field")
		}
	}
	if len(all.Fields) > 0 {
		return all
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// fields tells which of our fields each column of a header feeds; "" for none.
func (m Map) fields(header []string) []string {
	byName := make(map[string]string, len(m.Columns))
	for column, to := range m.Columns {
		byName[columnName(column)] = to
	}
	known := ImportFields()
	out := make([]string, len(header))
	for i, h := range header {
		name := columnName(h)
		if m.Columns == nil {
			if name = strings.ReplaceAll(name, " ", "_"); slices.Contains(known, name) {
				out[i] = name
			}
			continue
		}
		out[i] = byName[name]
	}
	return out
}

// columnName compares headers without regard to case and blanks around them.
func columnName(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// Missing are the columns the map names and the header does not have.
func (m Map) Missing(header []string) []string {
	var out []string
	for _, column := range sortedKeys(m.Columns) {
		if !slices.ContainsFunc(header, func(h string) bool { return columnName(h) == columnName(column) }) {
			out = append(out, column)
		}
	}
	return out
}

// Fits refuses a header none of whose columns is taken: Invalid
// "fault.registration.no_columns".
func (m Map) Fits(header []string) error {
	for _, f := range m.fields(header) {
		if f != "" && f != columnID && f != columnHousehold && f != columnRelation {
			return nil
		}
	}
	return fault.New(fault.Invalid, "fault.registration.no_columns")
}

// ImportRow is one row of a list, ready to be registered. It is JSON for the control
// socket.
type ImportRow struct {
	Line      int    `json:"line"`
	Key       string `json:"key"` // hash of the content; see Prepare
	Person    Person `json:"person"`
	Household string `json:"household,omitempty"` // rows with the same value belong together
	Group     string `json:"group,omitempty"`     // key of the first row of the household; see Prepare
	Relation  string `json:"relation,omitempty"`
	SourceID  string `json:"source_id,omitempty"`

	Aside []Aside `json:"aside,omitempty"` // what is not for the register; no part of Key
}

// Problem is one thing wrong with a row: the field, and the message key of the
// sentence with what it names.
type Problem struct {
	Field string         `json:"field,omitempty"`
	Key   string         `json:"key"`
	Args  map[string]any `json:"args,omitempty"`
}

func problemsOf(faults []fault.Field) []Problem {
	out := make([]Problem, 0, len(faults))
	for _, f := range faults {
		out = append(out, Problem{Field: f.Name, Key: f.Key, Args: f.Args})
	}
	return out
}

// MapRow makes a person of a row's cells; line is where the row stands. It is pure:
// the same cells give the same row and key anywhere. A row with problems is not to be
// imported.
func (m Map) MapRow(header, cells []string, line int) (ImportRow, []Problem) {
	return m.mapRow(m.fields(header), cells, line)
}

func (m Map) mapRow(fields, cells []string, line int) (ImportRow, []Problem) {
	row, c := ImportRow{Line: line}, &checker{}
	for i, to := range fields {
		if to == "" || i >= len(cells) {
			continue
		}
		if value := m.value(to, cells[i]); value != "" {
			row.set(c, to, value)
		}
	}
	row.divert()
	row.Person = c.person(row.Person)
	row.Household = c.line(columnHousehold, row.Household, maxPlace)
	row.SourceID = c.line(columnID, row.SourceID, maxPlace)
	row.Relation = c.relation(columnRelation, row.Relation)
	row.Key = row.contentKey()
	return row, problemsOf(c.faults)
}

// value translates a cell: exactly first, then without regard to case.
func (m Map) value(to, cell string) string {
	cell = strings.TrimSpace(cell)
	values := m.Values[to]
	if ours, ok := values[cell]; ok {
		return ours
	}
	for _, theirs := range sortedKeys(values) {
		if strings.EqualFold(strings.TrimSpace(theirs), cell) {
			return values[theirs]
		}
	}
	return cell
}

// set takes one translated cell over.
func (row *ImportRow) set(c *checker, to, value string) {
	p := &row.Person
	switch to {
	case columnID:
		row.SourceID = value
	case columnHousehold:
		row.Household = value
	case columnRelation:
		row.Relation = value
	case columnDocument:
		p.Documents = append(p.Documents, Document{Number: value})
	case "sex":
		p.Sex = sexOf(value)
	case "age":
		n, err := strconv.Atoi(strings.TrimSuffix(digits(value), ".0")) // spreadsheets write 34.0
		if err != nil {
			c.wrong("age", "age", "Max", maxAge)
			return
		}
		p.Age = &n
	case "name_unknown":
		p.NameUnknown = isYes(value)
	case "languages":
		p.Languages = append(p.Languages, listOf(value)...)
	case "needs":
		p.Needs = append(p.Needs, needsOf(value)...)
	case "consent":
		for _, purpose := range listOf(value) {
			p.Consent = append(p.Consent, Consent{Purpose: purpose, Given: true})
		}
	default:
		f, _ := fieldNamed(to)
		text := f.of(p).Addr().Interface().(*string)
		if *text != "" {
			value = *text + " " + value // several columns feed it
		}
		*text = value
	}
}

// listOf splits a cell that holds several codes.
func listOf(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(",;|/ \t\n", r) })
}

// needsOf splits a cell of needs. A part of several words is kept whole where it says
// one thing, sensitive or not; else each word is one.
func needsOf(s string) []string {
	var out []string
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(",;|\t\n،؛", r) }) {
		if _, ok := needOf(part); ok {
			out = append(out, strings.TrimSpace(part))
			continue
		}
		if _, ok := sensitiveInside(part); !ok {
			out = append(out, listOf(part)...)
			continue
		}
		if words := listOf(part); allKnown(words) {
			out = append(out, words...)
		} else {
			out = append(out, strings.TrimSpace(part))
		}
	}
	return out
}

// allKnown tells whether each word by itself is a need or a sensitive code.
func allKnown(words []string) bool {
	return !slices.ContainsFunc(words, func(w string) bool {
		_, need := needOf(w)
		_, sensitive := sensitiveCode(w)
		return !need && !sensitive
	})
}

// divert takes out of a row what is not for the register.
func (row *ImportRow) divert() {
	p := row.Person.clone()
	divert(&p, &row.Relation, true)
	row.Aside = append(slices.Clone(row.Aside), p.Aside...)
	p.Aside = nil
	row.Person = p
}

// sexOf reads the one-letter codes of travel documents (ICAO Doc 9303: F, M) besides
// ours; U is what many lists write for unknown.
func sexOf(s string) string {
	switch strings.ToUpper(s) {
	case "F":
		return "female"
	case "M":
		return "male"
	case "U":
		return "unknown"
	}
	return s
}

func isYes(s string) bool {
	return slices.Contains([]string{"1", "true", "yes", "y", "x", "oui", "si", "sí", "نعم"}, strings.ToLower(s))
}

// contentKey hashes everything the row says, so that the same row of the same list is
// known again however often the file is imported.
func (row ImportRow) contentKey() string {
	b, err := json.Marshal([]any{"waypost/import/1", row.Person, row.Household, row.Relation, row.SourceID})
	if err != nil {
		return ""
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:16])
}

// Prepare numbers equal rows and ties households together, in place. It needs all
// rows of a file in the order of the file. Two equal rows without a source id may
// well be two people ("man, 30") and get keys of their own, the same ones at each
// import; with a source id they are the same person twice. Group is the key of a
// household's first row, so that its members find each other across batches, after a
// kill, and never mix with the household "12" of another file.
func Prepare(rows []ImportRow) []ImportRow {
	times, groups := map[string]int{}, map[string]string{}
	for i := range rows {
		row := &rows[i]
		key := row.Key
		times[key]++
		if n := times[key]; n > 1 && row.SourceID == "" {
			h := sha256.Sum256([]byte(key + "#" + strconv.Itoa(n)))
			row.Key = hex.EncodeToString(h[:16])
		}
		if row.Household == "" {
			continue
		}
		if groups[row.Household] == "" {
			groups[row.Household] = row.Key
		}
		row.Group = groups[row.Household]
	}
	return rows
}

// Rejected is a row that is not imported, with why.
type Rejected struct {
	Line     int
	Cells    []string
	Raw      string
	Problems []Problem
}

// MapTable maps all rows of a table, and prepares them. Faults: those of Fits.
func (m Map) MapTable(t Table) ([]ImportRow, []Rejected, error) {
	if err := m.Fits(t.Header); err != nil {
		return nil, nil, err
	}
	fields := m.fields(t.Header)
	rows := make([]ImportRow, 0, len(t.Rows))
	var bad []Rejected
	for _, r := range t.Rows {
		if r.Problem != nil {
			bad = append(bad, m.reject(fields, r, []Problem{*r.Problem}))
			continue
		}
		row, problems := m.mapRow(fields, r.Cells, r.Line)
		if len(problems) > 0 {
			bad = append(bad, m.reject(fields, r, problems))
			continue
		}
		rows = append(rows, row)
	}
	return Prepare(rows), bad, nil
}

// Reject is a row of a table with why it is not imported, as it may be copied: without
// the cells that hold something sensitive. Those stand in the list alone, and a problem
// says so, naming the line.
func (m Map) Reject(header []string, r TableRow, problems []Problem) Rejected {
	return m.reject(m.fields(header), r, problems)
}

func (m Map) reject(fields []string, r TableRow, problems []Problem) Rejected {
	out := Rejected{Line: r.Line, Cells: slices.Clone(r.Cells), Raw: r.Raw, Problems: problems}
	left := false
	for i, cell := range r.Cells {
		to := ""
		if i < len(fields) {
			to = fields[i]
		}
		if m.sensitiveCell(to, cell) {
			out.Cells[i], left = "", true
		}
	}
	if r.Problem != nil { // it may not have come apart into cells at all
		if _, ok := sensitiveInside(r.Raw); ok {
			left = true
		}
	}
	if left {
		out.Raw = ""
		out.Problems = append(slices.Clone(problems), Problem{Key: "registration.problem.left_out", Args: map[string]any{"Line": r.Line}})
	}
	return out
}

// sensitiveCell tells whether a cell is not to be copied: what it would put aside, and
// in a column that feeds no field, anything that names a sensitive code.
func (m Map) sensitiveCell(to, cell string) bool {
	cell = strings.TrimSpace(cell)
	if to == "" {
		_, word := sensitiveCode(cell)
		_, code := codeInText(cell)
		return word || code
	}
	row, c := ImportRow{}, &checker{}
	if value := m.value(to, cell); value != "" {
		row.set(c, to, value)
	}
	row.divert()
	return len(row.Aside) > 0
}

// RowResult says what became of a row.
type RowResult struct {
	Line      int       `json:"line"`
	Status    string    `json:"status"` // one of the Row constants
	ID        *oplog.ID `json:"id,omitempty"`
	Household *oplog.ID `json:"household,omitempty"`
	Problems  []Problem `json:"problems,omitempty"`

	// PassedOn counts what the row said aside that a narrow compartment was told.
	// NotPassedOn counts what nobody was told: there is no intake here, it refused, or
	// the row was there before, so that it was told then or never.
	PassedOn    int `json:"passed_on,omitempty"`
	NotPassedOn int `json:"not_passed_on,omitempty"`
}

// What became of a row.
const (
	RowRegistered = "registered"
	RowThere      = "already_there"
	RowRejected   = "rejected"
)
