package staff

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
)

// The whole policy, cell by cell: y is may, . is may not. Columns in the order of
// Actions.
const policy = `
             read reg  corr erase undo imp  issue verify mesh invite confirm staff keys status check box backups
lead         y    y    y    y     y    y    y     y      y    y      y       y     y    y      y     y   y
registrar    y    y    y    .     .    .    y     y      y    .      .       .     .    y      .     .   .
distributor  y    .    .    .     .    .    .     y      .    .      .       .     .    y      .     .   .
caseworker   y    .    .    .     .    .    .     y      .    .      .       .     .    .      .     .   .
medical      y    .    .    .     .    .    .     y      .    .      .       .     .    .      .     .   .
tracing      y    .    .    .     .    .    .     y      .    .      .       .     .    .      .     .   .
coordinator  y    .    .    y     .    .    .     .      y    .      .       .     .    y      .     .   .
information  .    .    .    .     .    .    .     .      .    .      .       .     .    y      .     .   .
carrier      .    .    .    .     .    .    .     .      y    .      .       .     .    .      .     .   .
`

func TestPolicyIsTheTable(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(policy), "\n")
	if len(lines)-1 != len(Roles()) {
		t.Fatalf("%d rows for %d roles", len(lines)-1, len(Roles()))
	}
	for i, line := range lines[1:] {
		cells := strings.Fields(line)
		role := Roles()[i]
		if string(role) != cells[0] || len(cells)-1 != len(Actions()) {
			t.Fatalf("row %q does not fit role %s", line, role)
		}
		for j, x := range Actions() {
			a := Actor{ID: ID{1}, Role: role}
			if got, want := a.Can(x), cells[j+1] == "y"; got != want {
				t.Errorf("%s %s: %v, the table says %v", role, x, got, want)
			}
			if err := a.Must(x); (err == nil) != a.Can(x) || (err != nil && fault.ClassOf(err) != fault.Denied) {
				t.Errorf("%s %s: Must says %v", role, x, err)
			}
		}
	}
}

func TestNobodyMayDoNothing(t *testing.T) {
	for _, a := range []Actor{{}, {Role: Lead}, {ID: ID{1}}, {ID: ID{1}, Role: "chief"}} {
		for _, x := range Actions() {
			if a.Can(x) {
				t.Errorf("%+v can %s", a, x)
			}
		}
	}
	if err := (Actor{}).Must(ReadPeople); fault.ClassOf(err) != fault.Unauthenticated {
		t.Errorf("nobody gets %v", err)
	}
}

func TestParseRole(t *testing.T) {
	for _, r := range Roles() {
		if got, err := ParseRole(string(r)); err != nil || got != r {
			t.Errorf("%s: %v %v", r, got, err)
		}
	}
	for _, bad := range []string{"", "Lead", "root"} {
		if _, err := ParseRole(bad); fault.ClassOf(err) != fault.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestLogsCarryNoName(t *testing.T) {
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "actor", Actor{ID: ID{0xab}, Name: "Amina", Role: Lead})
	if strings.Contains(out.String(), "Amina") || !strings.Contains(out.String(), "actor=") {
		t.Fatal(out.String())
	}
}
