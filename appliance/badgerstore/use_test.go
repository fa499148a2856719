package badgerstore

import (
	"runtime"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
)

// A reader that reads again inside is not kept out by somebody who waits to close:
// both would wait for each other for good, and the box would not stop.
func TestReadingInsideReadingWhileClosing(t *testing.T) {
	s := mustOpen(t, t.TempDir(), key)
	closed, read := make(chan error, 1), make(chan error, 1)
	go func() {
		read <- s.View(func(oplog.StoreReader) error {
			go func() { closed <- s.Close() }()
			for range 5000 { // somewhere in here Close has begun to wait
				runtime.Gosched()
				if err := s.View(func(oplog.StoreReader) error { return nil }); err != nil {
					return err
				}
			}
			return nil
		})
	}()
	for _, done := range []chan error{read, closed} {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("they wait for each other")
		}
	}
	if err := s.View(func(oplog.StoreReader) error { return nil }); err == nil {
		t.Error("a closed store is read")
	}
}
