package staff

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
)

// Accounts that are off and keys that are over do not count, roles that may not look people
// up neither, and whoever may not either is told nothing.
func TestWhoMayIsCountedByRole(t *testing.T) {
	p := openPlace(t)
	ctx := context.Background()
	for user, role := range map[string]Role{"lea": Lead, "rosa": Registrar, "rami": Registrar, "off": Registrar, "dina": Distributor, "ines": Information} {
		if _, err := p.Add(ctx, Operator(), NewAccount{User: user, Role: role, Passphrase: []byte("correct horse battery staple")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Disable(ctx, Operator(), "off"); err != nil {
		t.Fatal(err)
	}
	for _, role := range []Role{Registrar, Distributor} {
		if _, err := p.IssueKey(ctx, Operator(), role, "till", time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	got, err := p.WhoMay(Operator(), ReadPeople)
	if want := []RoleCount{{Lead, 1, 0}, {Registrar, 2, 1}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v %v", got, err)
	}
	p.clock.Advance(2 * time.Hour)
	if got, _ = p.WhoMay(Operator(), ReadPeople); got[1].Keys != 0 {
		t.Error("a key that is over counts")
	}
	for _, role := range Roles() {
		_, err := p.WhoMay(Actor{ID: ID{1}, Role: role}, ReadPeople)
		if may := (Actor{ID: ID{1}, Role: role}).Can(ReadPeople); (err == nil) != may || !may && fault.ClassOf(err) != fault.Denied {
			t.Errorf("%s: %v", role, err)
		}
	}
}
