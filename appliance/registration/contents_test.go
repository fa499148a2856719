package registration

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

var (
	writeContents = flag.String("write-contents", "", "write the contents of ops into this file, to train the model of package oplog")
	contentsList  = flag.String("contents-list", "", "a persons.csv of make_people for that, whose names may be built into a product: --mix without mya and amh")
)

// makePeopleMap is the import map of what make_people writes.
const makePeopleMap = `{"columns":{"rec_id":"id","household_id":"household","relation":"relation","nationality":"nationality","sex":"sex",
"dob":"birth_date","dob_precision":"precision","given":"given_name","family":"family_name","given_native":"other_names","family_native":"other_names",
"father":"father_name","mother":"mother_name","birthplace":"origin","phone":"phone","doc_no":"document"},
"values":{"sex":{"M":"male","F":"female","U":"unknown"},"precision":{"exact":"day"}}}`

// TestWriteContents writes what an import of made-up people and pages write.
func TestWriteContents(t *testing.T) {
	if *writeContents == "" {
		t.Skip("asks for -write-contents")
	}
	var contents [][]byte
	collect := &oplog.View{Name: "collect", Version: 1, Kinds: Kinds(), Fold: func(_ oplog.ID, ops []oplog.Op) []oplog.Row {
		op := ops[len(ops)-1]
		var once []byte
		switch op.Body.(type) {
		case *Registered, *Drawn:
			once = make([]byte, 8)
		}
		raw, err := encoding.Marshal([]any{op.Kind, op.Version, op.By[:], op.At.Unix(), op.Unsure, once, op.Body})
		if err != nil {
			t.Error(err)
		}
		contents = append(contents, raw)
		return nil
	}}
	log := oplogtest.Harness(t, Kinds(), append(Views(), collect))
	d := deskOn(t, log)
	ctx := context.Background()
	for _, h := range MadeUp(6000, 3) {
		if _, err := d.AddHousehold(ctx, clerk, h, Request{}); err != nil {
			t.Fatal(err)
		}
	}
	if *contentsList != "" {
		raw, err := os.ReadFile(*contentsList)
		if err != nil {
			t.Fatal(err)
		}
		m, err := ReadMap(strings.NewReader(makePeopleMap))
		if err != nil {
			t.Fatal(err)
		}
		table, err := ReadCSV(strings.NewReader(string(raw)))
		if err != nil {
			t.Fatal(err)
		}
		rows, _, err := m.MapTable(table)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Import(ctx, importer, rows); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := json.Marshal(contents)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(*writeContents, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d contents", len(contents))
}
