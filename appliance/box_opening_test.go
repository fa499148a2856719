package main

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// While its records are read again a box is neither locked nor new, says how far it is,
// and opens nothing twice.
func TestABoxThatReadsItsRecordsAgain(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "camp")
	words := []byte("five plain words for tests")
	if err := initSite(context.Background(), initOptions{Data: dir, Deployment: "Relief", Site: "North", Lead: "amina", Passphrase: words}); err != nil {
		t.Fatal(err)
	}
	b := newBox(t, dir)
	if s := b.State(); s != "locked" {
		t.Fatalf("the box is %s", s)
	}
	b.reading.Store(&oplog.Progress{})
	b.tell(oplog.Progress{Phase: oplog.Folding, Done: 41, Total: 100, Percent: 41})
	st, err := b.Status(context.Background())
	if err != nil || st.State != "opening" || st.Rebuild == nil || st.Rebuild.Percent != 41 {
		t.Errorf("%+v %v", st, err)
	}
	if err := b.Unlock(context.Background(), []byte("whatever it is")); err != nil {
		t.Errorf("opening it twice: %v", err)
	}
	for what, err := range map[string]error{
		"check":   func() error { _, err := b.Check(context.Background()); return err }(),
		"rebuild": func() error { _, err := b.Rebuild(context.Background()); return err }(),
	} {
		if fault.Of(err).Key != "fault.api.opening" {
			t.Errorf("%s: %v", what, err)
		}
	}
	b.reading.Store(nil)
	if err := b.Unlock(context.Background(), words); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	r, err := b.Rebuild(context.Background())
	if err != nil || r.Ops == 0 {
		t.Errorf("%+v %v", r, err)
	}
	if st, err := b.Status(context.Background()); err != nil || st.Rebuild != nil || st.State != "open" {
		t.Errorf("after it: %+v %v", st, err)
	}
}
