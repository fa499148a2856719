package registration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

func TestReadCSV(t *testing.T) {
	type row = []string
	for _, c := range []struct {
		name, in string
		header   row
		rows     []row
		problems map[int]string // line -> problem
	}{
		{"plain", "a,b\n1,2\n3,4", row{"a", "b"}, []row{{"1", "2"}, {"3", "4"}}, nil},
		{"byte order mark, CRLF", "\ufeffa,b\r\n1,2\r\n", row{"a", "b"}, []row{{"1", "2"}}, nil},
		{"old line ends", "a,b\r1,2\r3,4\r", row{"a", "b"}, []row{{"1", "2"}, {"3", "4"}}, nil},
		{"semicolons", "a;b\n1,5;2", row{"a", "b"}, []row{{"1,5", "2"}}, nil},
		{"tabs", "a\tb\n1\t\n", row{"a", "b"}, []row{{"1", ""}}, nil},
		{"comma in a quoted header", "\"a;b;c\",d\n1,2", row{"a;b;c", "d"}, []row{{"1", "2"}}, nil},
		{"leading blanks", "id, given\n1,  ana \n2, \"b, c\" ", row{"id", "given"}, []row{{"1", "ana"}, {"2", "b, c"}}, nil},
		{"quotes", "a,b\n\"x \"\"y\"\"\",\"l1\nl2\"\n3,4", row{"a", "b"}, []row{{`x "y"`, "l1\nl2"}, {"3", "4"}}, nil},
		{"quote inside", "a,b\n5\" pipe,x", row{"a", "b"}, []row{{`5" pipe`, "x"}}, nil},
		{"empty rows", "\n\na,b\n\n,\n1,2\n\n", row{"a", "b"}, []row{{"1", "2"}}, nil},
		{"short row", "a,b,c\n1\n", row{"a", "b", "c"}, []row{{"1"}}, nil},
		{"empty cells beyond the header", "a,b,,\n1,2,,\n", row{"a", "b"}, []row{{"1", "2", "", ""}}, nil},
		{"too many cells", "a,b\n1,2,3\n4,5", row{"a", "b"}, []row{{"1", "2", "3"}, {"4", "5"}}, map[int]string{2: "columns"}},
		{"open quote at the end", "a,b\n1,2\n\"3,4\n", row{"a", "b"}, []row{{"1", "2"}, nil}, map[int]string{3: "quotes"}},
		{"open quote, others follow", "a,b\n\"1,2\n3,4\n5,6", row{"a", "b"}, []row{nil, {"3", "4"}, {"5", "6"}}, map[int]string{2: "quotes"}},
		{"open quote closed by the next row", "a,b\n\"1,2\n\"3\",4\n5,6", row{"a", "b"}, []row{nil, {"3", "4"}, {"5", "6"}}, map[int]string{2: "quotes"}},
		{"open quote that swallows rows", "a,b,c\n1,2,\"x\n3,4,y\n5,6,\"z\"\n7,8,9", row{"a", "b", "c"}, []row{{"1", "2"}, {"3", "4", "y"}, {"5", "6", "z"}, {"7", "8", "9"}}, map[int]string{2: "quotes"}},
		{"text behind a quote", "a,b\n\"1\"x,2\n3,4", row{"a", "b"}, []row{nil, {"3", "4"}}, map[int]string{2: "quotes"}},
		{"broken bytes in one row", "a,b\nJosé,2\nJos\xe9,2\nÍñigo,4", row{"a", "b"}, []row{{"José", "2"}, {"Jos\ufffd", "2"}, {"Íñigo", "4"}}, map[int]string{3: "encoding"}},
	} {
		table, err := ReadCSV(strings.NewReader(c.in))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !reflect.DeepEqual(table.Header, []string(c.header)) {
			t.Errorf("%s: header %q", c.name, table.Header)
		}
		if len(table.Rows) != len(c.rows) {
			t.Errorf("%s: rows %+v", c.name, table.Rows)
			continue
		}
		for i, r := range table.Rows {
			if !reflect.DeepEqual(r.Cells, []string(c.rows[i])) && len(r.Cells)+len(c.rows[i]) > 0 {
				t.Errorf("%s: row %d: %q", c.name, i, r.Cells)
			}
			want, wrong := c.problems[r.Line]
			if wrong != (r.Problem != nil) || wrong && r.Problem.Key != "registration.problem."+want {
				t.Errorf("%s: line %d: %+v", c.name, r.Line, r.Problem)
			}
		}
	}
}

func TestReadCSVEncodings(t *testing.T) {
	const text = "given_name,family_name\nJosé,الحسن\n"
	units := utf16.Encode([]rune(text))
	var le, be bytes.Buffer
	for _, u := range units {
		le.Write([]byte{byte(u), byte(u >> 8)})
		be.Write([]byte{byte(u >> 8), byte(u)})
	}
	for name, in := range map[string]string{
		"utf8": text, "utf8 mark": "\ufeff" + text, "le": le.String(), "be": be.String(),
		"le mark": "\xff\xfe" + le.String(), "be mark": "\xfe\xff" + be.String(), "odd": "\xff\xfe" + le.String() + "\x0a",
	} {
		table, err := ReadCSV(strings.NewReader(in))
		if err != nil || len(table.Rows) != 1 || table.Rows[0].Cells[0] != "José" || table.Rows[0].Cells[1] != "الحسن" {
			t.Errorf("%s: %+v %v", name, table, err)
		}
	}
	for name, c := range map[string]struct {
		in    string
		class fault.Class
		key   string
	}{
		"windows-1252": {"name\nJos\xe9\nMu\xf1oz\n", fault.Unsupported, "encoding"},
		"windows-1256": {"name\n\xe3\xcd\xe3\xcf\n", fault.Unsupported, "encoding"},
		"xlsx":         {"PK\x03\x04\x00\x00\x00\x01abc\x00\x00", fault.Unsupported, "encoding"},
		"nothing":      {"", fault.Invalid, "no_rows"},
		"header only":  {"a,b\n", fault.Invalid, "no_rows"},
		"bad header":   {"a,\"b\n1,2\n", fault.Invalid, "header"},
	} {
		_, err := ReadCSV(strings.NewReader(c.in))
		t.Run(name, func(t *testing.T) { wantFault(t, err, c.class, "fault.registration."+c.key) })
	}
}

func TestReadMap(t *testing.T) {
	m, err := ReadMap(strings.NewReader(`{"columns":{"Nom":"family_name","Sexe":"sex","Alias":"other_names","Alias 2":"other_names"},"values":{"sex":{"H":"male"}}}`))
	if err != nil || m.Columns["Nom"] != "family_name" {
		t.Fatal(m, err)
	}
	for in, key := range map[string]string{
		``: "map", `{}`: "map", `[]`: "map", `{"columns":{"a":1}}`: "map", `{"columns":{"a":"sex"},"x":1}`: "map",
		`{"columns":{"a":"colour"}}`:                            "map_fields",
		`{"columns":{"a":"sex","b":"sex"}}`:                     "map_fields",
		`{"columns":{"a":"sex"},"values":{"colour":{"a":"b"}}}`: "map_fields",
		`{"columns":{"a":"documents"}}`:                         "map_fields",
	} {
		_, err := ReadMap(strings.NewReader(in))
		wantFault(t, err, fault.Invalid, "fault.registration."+key)
	}
}

func TestMapRow(t *testing.T) {
	m := Map{
		Columns: map[string]string{"No": "id", "Nom": "family_name", " prénom ": "given_name", "Surnom": "other_names", "Natif": "other_names", "Sexe": "sex",
			"Né": "birth_date", "Âge": "age", "Pièce": "document", "Foyer": "household", "Lien": "relation", "Langues": "languages", "Besoins": "needs", "Lieu": "site"},
		Values: map[string]map[string]string{"sex": {"H": "male"}, "needs": {"sait pas": ""}, "relation": {"épouse": "spouse"}},
	}
	header := []string{"no", "NOM", "Prénom", "Surnom", "Natif", "Sexe", "Né", "Âge", "Pièce", "Foyer", "Lien", "Langues", "Besoins", "Lieu", "Autre"}
	row, problems := m.MapRow(header, []string{"7", "Nur", "Ali", "Cali", "علي", "h", "19840521", "42", "X1", "F1", "Épouse", "so; ar", "Sait pas", "B", "x"}, 9)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	b, _ := json.Marshal(row)
	sameJSON(t, row, `{"line":9,"person":{"given_name":"Ali","family_name":"Nur","other_names":"Cali علي","sex":"male","birth_date":"1984-05-21","age":42,
		"precision":"day","languages":["so","ar"],"documents":[{"number":"X1"}],"site":"B"},"household":"F1","relation":"spouse","source_id":"7"}`, "key")
	var back ImportRow
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, row) {
		t.Error("does not survive the control socket")
	}
	if again, _ := m.MapRow(header, []string{"7", "Nur", " Ali", "Cali", "علي", "H", "1984-05-21", "42", "X1", "F1", "Épouse", "so; ar", "", "B"}, 100); again.Key != row.Key {
		t.Error("the same content has another key")
	}
	if other, _ := m.MapRow(header, []string{"8", "Nur", "Ali"}, 9); other.Key == row.Key {
		t.Error("other content has the same key")
	}
	_, problems = m.MapRow(header, []string{"1", "", "", "", "", "?", "31/12/1984", "old"}, 2)
	got := map[string]string{}
	for _, p := range problems {
		got[p.Field] = p.Key
	}
	for field, key := range map[string]string{"given_name": "name_required", "sex": "sex", "birth_date": "date", "age": "age"} {
		if got[field] != "registration.problem."+key {
			t.Errorf("%s: %q", field, got[field])
		}
	}
}

func TestWithoutAMapOurNamesAreTaken(t *testing.T) {
	var m Map
	header := []string{"ID", "Given Name", "family_name", "shoe size", "name_unknown", "description"}
	row, problems := m.MapRow(header, []string{"1", "Ana", "Lux", "37"}, 2)
	if len(problems) > 0 || row.Person.GivenName != "Ana" || row.SourceID != "1" {
		t.Fatal(row.SourceID, problems)
	}
	if row, problems = m.MapRow(header, []string{"1", "", "", "", "yes", "man with a cane"}, 2); len(problems) > 0 || !row.Person.NameUnknown {
		t.Fatal(problems)
	}
	if err := m.Fits(header); err != nil {
		t.Error(err)
	}
	wantFault(t, m.Fits([]string{"id", "nom"}), fault.Invalid, "fault.registration.no_columns")
	if miss := (Map{Columns: map[string]string{"Nom": "sex", "X": "age"}}).Missing([]string{"nom "}); !reflect.DeepEqual(miss, []string{"X"}) {
		t.Error(miss)
	}
}

func TestPrepareTellsEqualRowsApart(t *testing.T) {
	table, err := ReadCSV(strings.NewReader("id,given_name,age\n,man,30\n,man,30\n7,Ana,5\n7,Ana,5\n"))
	if err != nil {
		t.Fatal(err)
	}
	rows, bad, err := Map{}.MapTable(table)
	if err != nil || len(bad) > 0 || len(rows) != 4 {
		t.Fatal(rows, bad, err)
	}
	if rows[0].Key == rows[1].Key || rows[2].Key != rows[3].Key {
		t.Error("two men are one, or one Ana is two")
	}
	again, _, _ := Map{}.MapTable(table)
	if !reflect.DeepEqual(rows, again) {
		t.Error("not the same keys again")
	}
}

const families = `id,household,relation,given_name,family_name,age
1,H1,head,Ali,Nur,40
2,H2,wife,Rosa,Lux,30
3,H1,son,Cumar,Nur,12
4,H2,husband,Diego,Lux,33
5,,,Solo,,70
6,H2,head,Tomasa,Lux,60
7,H1,daughter,Hodan,Nur,
`

func rowsOf(t testing.TB, csv string, m Map) ([]ImportRow, []Rejected) {
	t.Helper()
	table, err := ReadCSV(strings.NewReader(csv))
	if err != nil {
		t.Fatal(err)
	}
	rows, bad, err := m.MapTable(table)
	if err != nil {
		t.Fatal(err)
	}
	return rows, bad
}

func statuses(results []RowResult) map[string]int {
	out := map[string]int{}
	for _, r := range results {
		out[r.Status]++
	}
	return out
}

func TestImportGroupsHouseholdsAndResumes(t *testing.T) {
	ctx := context.Background()
	for first := range 8 { // how many rows came in before the kill
		d, log := openDesk(t)
		rows, _ := rowsOf(t, families, Map{})
		if _, err := d.Import(ctx, importer, rows[:first]); err != nil {
			t.Fatal(err)
		}
		d = deskOn(t, log)
		results, err := d.Import(ctx, importer, rows)
		if err != nil {
			t.Fatal(err)
		}
		if s := statuses(results); s[RowThere] != first || s[RowRegistered] != 7-first {
			t.Fatalf("after %d: %v", first, s)
		}
		if c, _ := d.Counts(t.Context()); c.People != 7 || c.Households != 2 {
			t.Fatalf("after %d: %+v", first, c)
		}
		for i, want := range []int{3, 3, 3, 3, 0, 3, 3} {
			if results[i].Line != i+2 {
				t.Errorf("line %d", results[i].Line)
			}
			rec := get(t, d, *results[i].ID)
			if (rec.Household == nil) != (want == 0) {
				t.Fatalf("after %d: row %d has household %v", first, i, rec.Household)
			}
			if want == 0 {
				continue
			}
			if h, err := d.Household(ctx, clerk, *rec.Household); err != nil || len(h.Members) != want || *results[i].Household != h.ID {
				t.Fatalf("after %d: row %d lives with %d, %v", first, i, len(h.Members), err)
			}
		}
		if first == 0 {
			h, _ := d.Household(ctx, clerk, *results[1].Household)
			if h.Head == nil || *h.Head != *results[5].ID {
				t.Error("the head is not who is called head")
			}
		}
	}
}

// The household "1" of two files is two households.
func TestImportKeepsFilesApart(t *testing.T) {
	d, _ := openDesk(t)
	ctx := context.Background()
	a, _ := rowsOf(t, "household,given_name\n1,Ana\n1,Berta\n", Map{})
	b, _ := rowsOf(t, "household,given_name\n1,Carla\n1,Dora\n", Map{})
	for _, rows := range [][]ImportRow{a, b, a} {
		if _, err := d.Import(ctx, importer, rows); err != nil {
			t.Fatal(err)
		}
	}
	if c, _ := d.Counts(t.Context()); c.People != 4 || c.Households != 2 {
		t.Errorf("%+v", c)
	}
}

func TestImportWithoutPrepare(t *testing.T) {
	d, _ := openDesk(t)
	row := func(name, household string) ImportRow {
		return ImportRow{Person: Person{GivenName: name}, Household: household}
	}
	rows := []ImportRow{row("A", "1"), row("B", "1"), {Line: 9, Person: Person{Sex: "?"}}, row("A", "1")}
	results, err := d.Import(context.Background(), importer, rows)
	if err != nil {
		t.Fatal(err)
	}
	if s := statuses(results); s[RowRegistered] != 2 || s[RowThere] != 1 || s[RowRejected] != 1 || len(results[2].Problems) != 2 || results[2].Line != 9 {
		t.Fatalf("%+v", results)
	}
	results, err = d.Import(context.Background(), importer, append(rows, row("C", "1")))
	if err != nil || *results[4].Household != *results[0].Household {
		t.Fatal("did not find the household by its members", err)
	}
}

// A context that ends stops between two commands; what was done stays done.
func TestImportStops(t *testing.T) {
	d, _ := openDesk(t)
	var rows []ImportRow
	for i := range importBatch + 50 {
		rows = append(rows, ImportRow{Line: i + 2, SourceID: oplog.NewID().String(), Person: Person{GivenName: "A"}})
	}
	for i := range rows {
		rows[i].Key = rows[i].contentKey()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	results, err := d.Import(ctx, importer, rows)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	n := statuses(results)[RowRegistered]
	if c, _ := d.Counts(t.Context()); c.People != n {
		t.Fatalf("%d people, %d reported", c.People, n)
	}
	if _, err := d.Import(context.Background(), importer, rows); err != nil {
		t.Fatal(err)
	}
	if c, _ := d.Counts(t.Context()); c.People != len(rows) {
		t.Fatalf("%d of %d", c.People, len(rows))
	}
}

// The lists below lie beside the repository on a builder's machine.
func sharedData(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("WAYPOST_TEST_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no %s: set WAYPOST_TEST_DATA to the folder of test lists", path)
	}
	return path
}

func TestImportFebrl(t *testing.T) {
	b, err := os.ReadFile(sharedData(t, "febrl/dataset1.csv"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := ReadMap(strings.NewReader(`{"columns":{"rec_id":"id","surname":"family_name","given_name":"given_name","date_of_birth":"birth_date","soc_sec_id":"document"}}`))
	if err != nil {
		t.Fatal(err)
	}
	rows, bad := rowsOf(t, string(b), m)
	if len(rows)+len(bad) != 1000 || len(rows) < 900 {
		t.Fatalf("%d rows, %d rejected", len(rows), len(bad))
	}
	t.Logf("%d rows, %d rejected", len(rows), len(bad))
	for _, r := range bad {
		if len(r.Problems) == 0 || r.Raw == "" || r.Line < 2 {
			t.Errorf("line %d is rejected without a reason", r.Line)
		}
	}
	d, _ := openDesk(t)
	results, err := d.Import(context.Background(), importer, rows)
	if err != nil || statuses(results)[RowRegistered] != len(rows) {
		t.Fatal(statuses(results), err)
	}
	if p, err := d.Search(context.Background(), clerk, "sondergeld deakin", 0, ""); err != nil || len(p.Items) == 0 {
		t.Error("nobody found", err)
	}
}

const peopleMap = `{"columns":{"rec_id":"id","household_id":"household","relation":"relation","site":"site","nationality":"nationality","sex":"sex",
	"dob":"birth_date","dob_precision":"precision","age":"age","given":"given_name","family":"family_name","given_native":"other_names","family_native":"other_names",
	"father":"father_name","mother":"mother_name","birthplace":"origin","phone":"phone","doc_no":"document"},
	"values":{"precision":{"exact":"day"},"sex":{"M":"male","F":"female","U":"unknown"}}}`

// madePeople runs the generator of test populations.
func madePeople(t testing.TB, n string) ([]ImportRow, []Rejected) {
	t.Helper()
	dir, out := sharedData(t, "make_people"), t.TempDir()
	cmd := exec.Command("go", "run", ".", "--n", n, "--dup", "0.1", "--seed", "7", "--out", out)
	cmd.Dir = dir
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("make_people does not run: %v %s", err, b)
	}
	b, err := os.ReadFile(filepath.Join(out, "persons.csv"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := ReadMap(strings.NewReader(peopleMap))
	if err != nil {
		t.Fatal(err)
	}
	return rowsOf(t, string(b), m)
}

func TestImportMadePeople(t *testing.T) {
	rows, bad := madePeople(t, "2000")
	why := map[string]int{}
	for _, r := range bad {
		for _, p := range r.Problems {
			why[p.Field+" "+p.Key]++
		}
	}
	t.Logf("%d rows, %d rejected: %v", len(rows), len(bad), why)
	if len(bad) > len(rows)/50 {
		t.Errorf("%d of %d rejected", len(bad), len(bad)+len(rows))
	}
	d, _ := openDesk(t)
	results, err := d.Import(context.Background(), importer, rows)
	if err != nil {
		t.Fatal(err)
	}
	s := statuses(results)
	for _, r := range results {
		for _, p := range r.Problems {
			why["desk "+p.Field+" "+p.Key]++
		}
	}
	if s[RowRegistered] < len(rows)*98/100 {
		t.Errorf("%v %v", s, why)
	}
	if again, err := d.Import(context.Background(), importer, rows); err != nil || statuses(again)[RowRegistered] != 0 {
		t.Error(statuses(again), err)
	}
}

func FuzzReadCSV(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "a;b\n\"1;2\n3;4", "\xff\xfea\x00\n\x00b\x00\n\x00", "a\tb\r\"\"\"\",\r\n", "\ufeffa,b\n\"x\"y,2"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		table, err := ReadCSV(bytes.NewReader(in))
		if err != nil {
			if c := fault.ClassOf(err); c != fault.Invalid && c != fault.Unsupported {
				t.Fatal(err)
			}
			return
		}
		last := 0
		for _, r := range table.Rows {
			if r.Line <= last {
				t.Fatalf("line %d after %d", r.Line, last)
			}
			last = r.Line
			if r.Problem == nil && len(trimRight(r.Cells)) > len(table.Header) {
				t.Fatal("cells without a column")
			}
		}
		if rows, bad, err := (Map{}).MapTable(table); err == nil && len(rows)+len(bad) != len(table.Rows) {
			t.Fatal("a row was lost")
		}
	})
}

func FuzzReadMap(f *testing.F) {
	f.Add([]byte(peopleMap), "rec_id,given", "1,Ana")
	f.Add([]byte(`{"columns":{"":"sex"}}`), ",", "f,")
	f.Fuzz(func(t *testing.T, in []byte, header, cells string) {
		m, err := ReadMap(bytes.NewReader(in))
		if err != nil {
			if fault.ClassOf(err) != fault.Invalid {
				t.Fatal(err)
			}
			m = Map{}
		}
		h, c := strings.Split(header, ","), strings.Split(cells, ",")
		a, p1 := m.MapRow(h, c, 2)
		b, p2 := m.MapRow(h, c, 2)
		if !reflect.DeepEqual(a, b) || len(p1) != len(p2) {
			t.Fatal("not pure")
		}
		m.Missing(h)
	})
}
