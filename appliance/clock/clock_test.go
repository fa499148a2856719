package clock

import (
	"testing"
	"time"
)

func TestFakeFiresWhatIsDue(t *testing.T) {
	f := NewFake(time.Unix(1000, 0))
	soon, later := f.After(time.Second), f.After(time.Hour)
	select {
	case <-soon:
		t.Fatal("fired before its time")
	default:
	}
	f.Advance(time.Second)
	if got := <-soon; !got.Equal(time.Unix(1001, 0)) {
		t.Fatalf("fired with %v", got)
	}
	select {
	case <-later:
		t.Fatal("an hour is not a second")
	default:
	}
	f.Set(time.Unix(0, 0))
	if !f.Now().Equal(time.Unix(0, 0)) {
		t.Fatal("a clock can go back")
	}
}

func TestSystemMovesForward(t *testing.T) {
	a := System().Now()
	<-System().After(time.Millisecond)
	if d := System().Now().Sub(a); d < time.Millisecond {
		t.Fatalf("moved by %v", d)
	}
}
