package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/waypost/waypost/appliance/bundle"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
)

// One bundle at a time, and nobody sends one while another is read.
func TestOneBundleAtATime(t *testing.T) {
	var c carriage
	ctx := context.Background()
	do := func(ctx context.Context, progress func(bundle.Progress)) (*control.BundleWritten, *control.BundleRead, error) {
		progress(bundle.Progress{Done: 1, Total: 2, Ops: 3})
		<-ctx.Done()
		return nil, &control.BundleRead{Ops: 3}, ctx.Err()
	}
	if !c.take(true) || c.take(true) {
		t.Fatal("two send at once")
	}
	c.take(false)
	if err := c.begin(ctx, "reading", "x", do); err != nil {
		t.Fatal(err)
	}
	if err := c.begin(ctx, "reading", "x", do); fault.ClassOf(err) != fault.Busy {
		t.Fatal(err)
	}
	if c.take(true) {
		t.Fatal("somebody sends while one is read")
	}
	c.stop()
	state, err := c.look()
	if state.Running || state.Number != 1 || state.Read == nil || state.Read.Ops != 3 || state.Done != 1 || !errors.Is(err, context.Canceled) {
		t.Fatalf("%+v %v", state, err)
	}
}

// What is sent is kept as far as it came, never more than the disk has room for.
func TestWhatIsSentIsKeptAsFarAsItCame(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	sent := bytes.Repeat([]byte{7}, 600<<10)
	if err := copyRoomy(&out, iotest.HalfReader(bytes.NewReader(sent)), -1, dir); err != nil || !bytes.Equal(out.Bytes(), sent) {
		t.Fatalf("%d bytes: %v", out.Len(), err)
	}
	out.Reset()
	if err := copyRoomy(&out, iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(sent))), -1, dir); err != nil || out.Len() == 0 {
		t.Fatalf("what came before the connection broke is not there: %v", err)
	}
	if err := copyRoomy(&out, strings.NewReader(""), 0, dir); fault.Of(err) == nil || fault.Of(err).Key != "fault.bundle.empty" {
		t.Fatal(err)
	}
	if err := copyRoomy(&out, bytes.NewReader(sent), 1<<62, dir); fault.ClassOf(err) != fault.Full {
		t.Fatal(err)
	}
}

func TestWhereABundleGoes(t *testing.T) {
	data, stick := t.TempDir(), t.TempDir()
	file, err := bundleTarget(data, stick)
	if err != nil || filepath.Dir(file) != stick || !strings.HasPrefix(filepath.Base(file), "data-") {
		t.Fatal(file, err)
	}
	if _, err := bundleTarget(data, filepath.Join(data, "x")); fault.Of(err) == nil || fault.Of(err).Key != "fault.bundle.inside" {
		t.Fatal(err)
	}
	if _, err := bundleTarget(data, "relative"); fault.ClassOf(err) != fault.Invalid {
		t.Fatal(err)
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(data, bundleFolder), 0o700))
	left := filepath.Join(data, bundleFolder, "taken-1.part")
	must(os.WriteFile(left, nil, 0o600))
	clearTaken(data)
	if _, err := os.Stat(left); err == nil {
		t.Fatal("what a stop left is still there")
	}
}
