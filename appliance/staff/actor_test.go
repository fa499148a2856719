package staff

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
)

// The whole policy, cell by cell: y is may, . is may not. Columns in the order of
// Actions.
const policy = `
             read reg corr erase undo imp issue verify mesh invite confirm staff keys status check box backups intake sealed glass files suspend revoke open ceremony reads
lead         y    y   y    y     y    y   y     y      y    y      y       y     y    y      y     y   y       y      .      y     y     y       y      y    y        y
registrar    y    y   y    .     .    .   y     y      y    .      .       .     .    y      .     .   .       y      .      .     .     .       .      .    .        .
distributor  .    .   .    .     .    .   .     y      .    .      .       .     .    y      .     .   .       y      .      .     .     .       .      .    .        .
caseworker   y    .   .    .     .    .   .     y      .    .      .       .     .    .      .     .   .       y      y      .     y     .       .      .    .        .
medical      y    .   .    .     .    .   .     y      .    .      .       .     .    .      .     .   .       y      y      .     y     .       .      .    .        .
tracing      y    .   .    .     .    .   .     y      .    .      .       .     .    .      .     .   .       y      y      .     y     .       .      .    .        .
coordinator  y    .   .    y     .    .   .     .      y    .      .       .     .    y      .     .   .       y      .      y     y     y       y      y    y        y
information  .    .   .    .     .    .   .     .      .    .      .       .     .    y      .     .   .       y      .      .     .     .       .      .    .        .
carrier      .    .   .    .     .    .   .     .      y    .      .       .     .    .      .     .   .       .      .      .     .     .       .      .    .        .
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

// TestNarrowIsForThoseWhoWereGivenIt: a role opens its own compartments and nothing else,
// an account may be given fewer, and no program and nobody at the machine opens any.
func TestNarrowIsForThoseWhoWereGivenIt(t *testing.T) {
	want := map[Role][]Narrow{Caseworker: {NarrowProtection, NarrowChild}, Medical: {NarrowMedical}, Tracing: {NarrowTracing}}
	for _, r := range Roles() {
		for _, n := range Narrows() {
			a := Actor{ID: ID{1}, Role: r}
			if got := a.Opens(n); got != slices.Contains(want[r], n) {
				t.Errorf("%s opens %s: %v", r, n, got)
			}
			for name, b := range map[string]Actor{
				"a key": {ID: ID{1}, Role: r, Key: true}, "the operator": {ID: ID{1}, Role: r, Operator: true},
				"nobody": {Role: r}, "given none": {ID: ID{1}, Role: r, Narrow: []Narrow{}},
			} {
				if b.Opens(n) {
					t.Errorf("%s as %s opens %s", name, r, n)
				}
			}
		}
	}
	given := Actor{ID: ID{1}, Role: Caseworker, Narrow: []Narrow{NarrowChild, NarrowMedical}}
	if given.Opens(NarrowProtection) || !given.Opens(NarrowChild) || given.Opens(NarrowMedical) {
		t.Error("an account opens what it was given and its role may, no more")
	}
	if Operator().Can(WorkSealed) {
		t.Error("whoever is at the machine works in sealed files")
	}
}

// The letterbox registers and manages nothing, and nobody can be called like it.
func TestTheLetterboxIsARegistrar(t *testing.T) {
	a := Letterbox()
	for _, x := range []Action{ManageStaff, ManageBox, ErasePeople, OpenNodes, WorkSealed, ImportPeople} {
		if a.Can(x) {
			t.Errorf("it can %s", x)
		}
	}
	if !a.Can(RegisterPeople) || !IsLetterbox(a.ID) || IsLetterbox(Operator().ID) {
		t.Error(a)
	}
	if err := CheckNew("LetterBox", []byte("five plain words")); fault.ClassOf(err) != fault.Invalid {
		t.Error(err)
	}
}

// TestNobodyWorksAtACarrier: what was registered there nobody could ever read, and it sees
// to its own people, its box and what passes through in numbers.
func TestNobodyWorksAtACarrier(t *testing.T) {
	may := map[Action]bool{SeeMesh: true, ManageStaff: true, ManageKeys: true, SeeStatus: true, Check: true, ManageBox: true, KeepBackups: true}
	for _, role := range Roles() {
		there := Actor{ID: ID{1}, Role: role}
		here := there
		here.Carries = true
		for _, x := range Actions() {
			if want := there.Can(x) && may[x]; here.Can(x) != want {
				t.Errorf("%s may %s at a carrier: %v", role, x, !want)
			}
		}
	}
	if err := (Actor{ID: ID{1}, Role: Lead, Carries: true}).Must(RegisterPeople); fault.Of(err).Key != "fault.staff.carries" {
		t.Error(err)
	}
}
