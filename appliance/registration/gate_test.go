package registration

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/staff"
)

var gateNight = time.Date(2026, 11, 24, 3, 5, 0, 0, time.UTC)

func left(n byte) Left { return Left{ID: [16]byte{n}, Number: uint64(n), At: gateNight} }

func TestWhatWasTakenInIsWrittenOnce(t *testing.T) {
	d, _ := openDesk(t)
	ctx := t.Context()
	family := NewHousehold{Members: []Person{{GivenName: "Rosa"}, {GivenName: "Luz"}}}
	for range 3 { // the unlock was killed, twice
		if err := d.TakeIn(ctx, staff.Letterbox(), left(1), family); err != nil {
			t.Fatal(err)
		}
		if err := d.TakeIn(ctx, staff.Letterbox(), left(2), NewHousehold{Members: []Person{{GivenName: "Omar"}}}); err != nil {
			t.Fatal(err)
		}
		if err := d.CountGate(ctx, staff.Letterbox(), left(3), Gate{Adults: 2, Infants: 1, Code: "ABCD"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.CountGate(ctx, staff.Letterbox(), Left{ID: [16]byte{4}, At: gateNight.Add(time.Minute), Unsure: true}, Gate{Children: 1, Alone: true, Code: "ABCD"}); err != nil {
		t.Fatal(err)
	}
	if c, err := d.Counts(ctx); err != nil || c.People != 3 || c.Households != 1 {
		t.Fatalf("%+v %v", c, err)
	}
	list, err := d.Arrivals(ctx, clerk, 10)
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v %v", list, err)
	}
	for _, a := range list {
		rosa := a.Household
		if rosa != (a.People == 2) || rosa != (a.First.GivenName == "Rosa") || !a.At.Equal(gateNight) || a.Looked || a.Site != "North" {
			t.Errorf("%+v", a)
		}
	}
	counts, err := d.GateCounts(ctx, clerk, 10)
	if err != nil || len(counts) != 2 || counts[1].Adults != 2 || counts[1].Code != "ABCD" {
		t.Fatalf("%+v %v", counts, err)
	}
	if counts[0].Code != "" || !counts[0].Alone || !counts[0].Unsure {
		t.Errorf("a child alone is counted with a card: %+v", counts[0])
	}
	for range 2 {
		if err := d.LookThrough(ctx, clerk, list[0].Subject); err != nil {
			t.Fatal(err)
		}
	}
	again, err := d.Arrivals(ctx, clerk, 10)
	if err != nil || !again[0].Looked || again[0].LookedBy != clerk.Name || again[1].Looked {
		t.Fatalf("%+v %v", again, err)
	}
	if n, err := d.Unlooked(10); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	for _, a := range list {
		if !a.Household {
			r := get(t, d, a.Subject)
			if r.ArrivedAt != gateNight.Format(time.RFC3339) || r.RegisteredBy != staff.Letterbox().ID.String() || r.Relation != "" {
				t.Errorf("%+v", r)
			}
		}
	}
}

func TestWhatTheGateRefuses(t *testing.T) {
	d, _ := openDesk(t)
	ctx := t.Context()
	for _, g := range []Gate{{}, {Adults: -1, Children: 2}, {Adults: 501}, {Adults: 1, Code: "123456789012345678901"}} {
		wantFault(t, d.CountGate(ctx, staff.Letterbox(), left(1), g), fault.Invalid, "fault.registration.invalid")
	}
	wantFault(t, CheckLeft(NewHousehold{Members: []Person{{GivenName: "x", Sex: "?"}}}, gateNight, true), fault.Invalid, "fault.registration.invalid")
	wantFault(t, d.LookThrough(ctx, clerk, oplog.ID{1}), fault.NotFound, "fault.registration.no_person")
	reader := staff.Actor{ID: oplog.By{9}, Role: staff.Distributor}
	wantFault(t, d.LookThrough(ctx, reader, oplog.ID{1}), fault.Denied, "fault.staff.not_allowed")
	_, err := d.Arrivals(ctx, staff.Actor{}, 1)
	wantFault(t, err, fault.Unauthenticated, "fault.staff.sign_in")
}

func TestGateDoesNotDependOnOrder(t *testing.T) {
	home, count := oplog.ID{1}, oplog.ID{2}
	oplogtest.CheckOrder(t, Views(),
		oplogtest.Fact{Node: 0, Kind: takenInKind(), Subject: home, Body: &TakenIn{Number: 1, At: 5}},
		oplogtest.Fact{Node: 1, Kind: takenInKind(), Subject: home, Body: &TakenIn{Number: 2, At: -5}},
		oplogtest.Fact{Node: 2, Kind: lookedThroughKind(), Subject: home, Body: &LookedThrough{}},
		oplogtest.Fact{Node: 1, Kind: lookedThroughKind(), Subject: home, Body: &LookedThrough{}, Seen: true},
		oplogtest.Fact{Node: 0, Kind: gateCountedKind(), Subject: count, Body: &GateCounted{Gate: Gate{Adults: 1}, At: 7}},
		oplogtest.Fact{Node: 2, Kind: gateCountedKind(), Subject: count, Body: &GateCounted{Gate: Gate{Adults: 2}, At: 7}},
	)
}

func TestNewestGateFirst(t *testing.T) {
	for _, pair := range [][2]int64{{1, 0}, {0, -1}, {1 << 40, 1}, {-1, -1 << 40}} {
		if bytes.Compare(gateKey('g', pair[0]), gateKey('g', pair[1])) >= 0 {
			t.Error(pair)
		}
	}
}

func FuzzDecodeGate(f *testing.F) {
	f.Add([]byte(`{"adults":1,"code":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := DecodeGate(b)
		if err != nil || g.Check() != nil {
			return
		}
		raw, err := json.Marshal(g)
		if back, again := DecodeGate(raw); err != nil || again != nil || back != g {
			t.Fatal(err, again)
		}
	})
}
