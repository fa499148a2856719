package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// Lists of people that are not ours and so not in the repository. Scripts that use
// them stand behind the condition [shared]:
//
//	population N SEED DIR  write a made-up population with make_people
//
// and $SHARED is the folder they lie in.

// sharedLists is where a list lies, "" when it is not there. WAYPOST_TEST_DATA may
// name another folder than the one beside the repository.
func sharedLists(name string) string {
	dir := os.Getenv("WAYPOST_TEST_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "data")
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// populationMap is the import map of what make_people writes.
const populationMap = `{"columns":{"rec_id":"id","household_id":"household","relation":"relation","nationality":"nationality","sex":"sex",
"dob":"birth_date","dob_precision":"precision","given":"given_name","family":"family_name","given_native":"other_names","family_native":"other_names",
"father":"father_name","mother":"mother_name","birthplace":"origin","phone":"phone","doc_no":"document"},
"values":{"sex":{"M":"male","F":"female","U":"unknown"},"precision":{"exact":"day"}}}`

// writePopulation makes dir/persons.csv of about n people and dir/map.json.
func writePopulation(dir, n, seed string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	cmd := exec.Command("go", "run", ".", "--n", n, "--dup", "0.1", "--seed", seed, "--out", dir)
	cmd.Dir = sharedLists("make_people")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make_people: %w: %s", err, out)
	}
	return os.WriteFile(filepath.Join(dir, "map.json"), []byte(populationMap), 0o600)
}

func populationCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: population N SEED DIR")
	}
	ts.Check(writePopulation(ts.MkAbs(args[2]), args[0], args[1]))
}
