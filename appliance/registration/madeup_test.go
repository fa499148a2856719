package registration

import (
	"reflect"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
)

func TestMadeUpPeopleCanBeRegistered(t *testing.T) {
	d, _ := openDesk(t)
	homes := MadeUp(300, 7)
	if !reflect.DeepEqual(homes, MadeUp(300, 7)) || reflect.DeepEqual(homes, MadeUp(300, 8)) {
		t.Fatal("the seed does not decide")
	}
	people, countries, needs := 0, map[string]bool{}, 0
	for _, h := range homes {
		people += len(h.Members)
		if _, _, err := d.checkHousehold(h, staff.Actor{}, d.now()); err != nil {
			t.Fatal(err, fault.Of(err).Fields)
		}
		if h.Relations[0] != "head" {
			t.Error(h.Relations)
		}
		for i, p := range h.Members {
			countries[p.Nationality] = true
			needs += len(p.Needs)
			if (h.Relations[i] == "son" || h.Relations[i] == "daughter") && *p.Age > *h.Members[0].Age-16 {
				t.Errorf("a child of %d, a head of %d", *p.Age, *h.Members[0].Age)
			}
		}
	}
	if people < 300 || people > 306 || len(countries) != len(origins) || needs < 20 {
		t.Error(people, countries, needs)
	}
}
