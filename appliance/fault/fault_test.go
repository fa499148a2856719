package fault

import (
	"errors"
	"io"
	"testing"
)

func TestFaultCarriesClassKeyAndCause(t *testing.T) {
	err := error(New(Gone, "fault.identity.expired", "Minutes", 10).Wrap(io.EOF))
	if !errors.Is(err, io.EOF) || ClassOf(err) != Gone || Of(err).Args["Minutes"] != 10 {
		t.Fatalf("lost something: %v", err)
	}
	if !errors.Is(err, New(Gone, "fault.identity.expired")) || errors.Is(err, New(Gone, "fault.other")) {
		t.Fatal("faults compare by class and key")
	}
}

func TestUnknownErrorIsInternal(t *testing.T) {
	if Of(nil) != nil || ClassOf(nil) != "" {
		t.Fatal("nil is no fault")
	}
	if f := Of(io.ErrUnexpectedEOF); f.Class != Internal || f.Class.Status() != 500 || !errors.Is(f, io.ErrUnexpectedEOF) {
		t.Fatalf("got %v", f)
	}
}

func TestWithLeavesTheOriginalAlone(t *testing.T) {
	base := New(Invalid, "fault.invalid")
	a := base.With("sex", "fault.registration.sex")
	b := a.With("age", "fault.registration.age", "Max", 130)
	if len(base.Fields) != 0 || len(a.Fields) != 1 || len(b.Fields) != 2 || b.Fields[1].Args["Max"] != 130 {
		t.Fatalf("%v %v %v", base.Fields, a.Fields, b.Fields)
	}
}

func TestEveryClassHasItsOwnStatus(t *testing.T) {
	for c, s := range statuses {
		if c.Status() != s || s < 400 {
			t.Errorf("%s: %d", c, s)
		}
	}
	if Class("later").Status() != 500 {
		t.Error("an unknown class is ours to answer for")
	}
}
