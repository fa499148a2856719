package registration

import (
	"context"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
)

// TestGoldenDrawnMembers pins how ids are drawn: they are in every register for ever.
func TestGoldenDrawnMembers(t *testing.T) {
	d := Drawn{Seed: []byte{1, 2, 3, 4, 5, 6, 7, 8}, Count: 2, Head: 1}
	f := d.formed(oplog.ID{9, 8, 7})
	got := hex.EncodeToString(slices.Concat(f.Head[:], f.Members[0][:], f.Members[1][:]))
	if got != goldenDrawn {
		t.Errorf("%s", got)
	}
	for _, odd := range []Drawn{{}, {Count: 1 << 40, Head: 1 << 40}, {Seed: make([]byte, 60000), Count: 1}} {
		if f := odd.formed(oplog.ID{1}); len(f.Members) > MaxHousehold {
			t.Errorf("%d members", len(f.Members))
		}
	}
}

const goldenDrawn = "de02824aa1147cff98cfeaef813c76b64c79ed11de02824aa1147cff98cf"

// TestAnImportedHouseholdKnowsItsMembers: whoever is new is listed without being written
// down; a household with somebody who was there is listed in full; and nobody has the id
// of anybody else.
func TestAnImportedHouseholdKnowsItsMembers(t *testing.T) {
	d, log := openDesk(t)
	ctx := context.Background()
	rows, _ := rowsOf(t, "id,household,relation,given_name\n1,A,son,Ali\n2,A,head,Rosa\n3,A,son,Cumar\n3,A,son,Cumar\n4,B,head,Ines\n", Map{})
	results, err := d.Import(ctx, importer, rows)
	if err != nil {
		t.Fatal(err)
	}
	want := []oplog.ID{*results[0].ID, *results[1].ID, *results[2].ID}
	err = log.View(func(r oplog.Reader) error {
		row, ok, err := readHousehold(r, *results[0].Household)
		if !ok || row.Head != want[1] || !slices.Equal(row.Members, want) {
			t.Errorf("%+v instead of %v", row, want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if results[3].Status != RowThere || *results[3].ID != want[2] {
		t.Error("the same row twice is not the same person", results[3])
	}
	for _, id := range want {
		if get(t, d, id).Household == nil {
			t.Error("a member is not there")
		}
	}
}

// TestAnOlderImportIsGoneOnWith: keys of 16 bytes, as imports wrote them, are known.
func TestAnOlderImportIsGoneOnWith(t *testing.T) {
	d, log := openDesk(t)
	ctx := context.Background()
	rows, _ := rowsOf(t, "id,household,given_name\n1,A,Ali\n2,A,Rosa\n", Map{})
	home, ali := oplog.NewID(), oplog.NewID()
	err := log.Do(ctx, importer.ID, func(tx *oplog.Tx) error {
		tx.SetOnce(importOnce("household", rows[0].Group).hash, [8]byte{})
		if _, err := tx.Append(formedKind(), home, &Formed{Head: ali, Members: []oplog.ID{ali}}); err != nil {
			return err
		}
		tx.SetOnce(importOnce("row", rows[0].Key).hash, [8]byte{})
		_, err := tx.Append(registeredKind(), ali, &Registered{Person: rows[0].Person, Household: home})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		results, err := d.Import(ctx, importer, rows)
		if err != nil {
			t.Fatal(err)
		}
		if results[0].Status != RowThere || *results[0].ID != ali || *results[1].Household != home {
			t.Errorf("%+v", results)
		}
	}
	if c, _ := d.Counts(ctx); c.People != 2 || c.Households != 1 {
		t.Errorf("%+v", c)
	}
}
