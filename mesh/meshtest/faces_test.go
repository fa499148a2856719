package meshtest

import (
	"testing"
	"time"
)

// TestTwoFaced: a made-up time is what package time makes: somebody who sets the clock changes
// what it says, and not how long ago something was.
func TestTwoFaced(t *testing.T) {
	for _, wall := range []time.Time{time.Unix(0, 0), time.Unix(1764530000, 5), time.Date(2100, 2, 3, 4, 5, 6, 7, time.UTC)} {
		before, after := twoFaced(wall, time.Minute), twoFaced(wall.AddDate(-30, 0, 0), time.Hour)
		if !before.Round(0).Equal(wall) || before.UnixNano() != wall.UnixNano() || before.Location() != time.UTC {
			t.Errorf("%v is %v", wall, before)
		}
		if d := after.Sub(before); d != 59*time.Minute || !before.Before(after) {
			t.Errorf("%v passed", d)
		}
		if d := after.Add(time.Second).Sub(before); d != 59*time.Minute+time.Second {
			t.Errorf("%v passed", d)
		}
		if d := before.Sub(wall); d != 0 { // what was read from a file has one face
			t.Errorf("%v", d)
		}
	}
	if real := time.Now(); twoFaced(real, 0).String()[:19] != real.UTC().String()[:19] {
		t.Error("the layout of time.Time is another one")
	}
}
