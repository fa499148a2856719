package identity

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
)

func emergencyKey(b byte) func(string) [32]byte {
	return func(string) [32]byte { return [32]byte{b} }
}

// The file is there on every box, as long whatever it says, and says nothing without the
// key; who can only write on the card can switch it off and not on.
func TestTheEmergencySettingIsNotReadOffACard(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, emergencyName)
	f, err := OpenEmergency(dir, emergencyKey(1))
	must(t, err)
	if f.Get() != (EmergencySet{}) || f.Get().Mode != EmergencyLock {
		t.Fatalf("begins as %+v", f.Get())
	}
	off := read(t, path)
	set := EmergencySet{Mode: EmergencyDestroy, Serial: 1, By: [8]byte{1}, Second: [8]byte{2}, At: time.Unix(1e9, 0).UTC()}
	must(t, f.Set(set))
	on := read(t, path)
	if len(off) != len(on) || !bytes.Equal(off[:len(sealedMagic)], on[:len(sealedMagic)]) {
		t.Fatal("the card shows whether anybody decided")
	}
	for _, old := range []EmergencySet{{Mode: EmergencyDestroy}, set, {Mode: EmergencyDestroy, Serial: 3}} {
		if err := f.Set(old); !errors.Is(err, fault.New(fault.Conflict, "fault.identity.emergency_changed")) {
			t.Fatalf("%+v was taken: %v", old, err)
		}
	}
	again, err := OpenEmergency(dir, emergencyKey(1))
	must(t, err)
	if again.Get() != set {
		t.Fatalf("%+v", again.Get())
	}
	if bytes.Equal(read(t, path), on) {
		t.Error("it is not written anew at an opening: its time tells of the decision")
	}
	again.Forget()
	if again.Get().Mode != EmergencyLock {
		t.Error("a closed box may destroy")
	}
	if f, err := OpenEmergency(dir, emergencyKey(2)); err == nil || f.Get().Mode != EmergencyLock {
		t.Fatalf("opens with another key: %v", err)
	}
	for _, name := range EmergencyFiles() {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600))
	}
	if f, err := OpenEmergency(dir, emergencyKey(1)); fault.ClassOf(err) != fault.Internal || f.Get().Mode != EmergencyLock {
		t.Fatalf("spoiled: %v %+v", err, f.Get())
	}
}

// A number that means nothing is damage, and damage is locking alone.
func TestAnUnknownEmergencySettingIsLocking(t *testing.T) {
	for _, mode := range []Emergency{EmergencyDestroy + 1, 255} {
		dir := t.TempDir()
		f, err := OpenEmergency(dir, emergencyKey(1))
		must(t, err)
		must(t, f.Set(EmergencySet{Mode: mode, Serial: 1}))
		again, err := OpenEmergency(dir, emergencyKey(1))
		if !errors.Is(err, fault.New(fault.Internal, "fault.identity.damaged")) || again.Get() != (EmergencySet{}) {
			t.Fatalf("%d: %v %+v", mode, err, again.Get())
		}
		must(t, again.Set(EmergencySet{Mode: EmergencyDestroy, Serial: 1}))
	}
}

func TestTheEmergencySettingByteByByte(t *testing.T) {
	s := EmergencySet{Mode: EmergencyDestroy, Serial: 3, By: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, Second: [8]byte{9}, At: time.Unix(0x65000000, 0).UTC()}
	const golden = "0101" + "0000000000000003" + "0102030405060708" + "0900000000000000" + "0000000065000000"
	if got := hex.EncodeToString(s.Marshal()); got != golden {
		t.Fatalf("%s", got)
	}
	body := EmergencyBody(NodeID{7}, EmergencyDestroy, 2)
	if got := hex.EncodeToString(body); got != hex.EncodeToString([]byte("waypost/emergency/1"))+"07000000000000000000"+"01"+"0000000000000002" {
		t.Fatal(got)
	}
}

func FuzzEmergencySet(f *testing.F) {
	f.Add(EmergencySet{}.Marshal())
	f.Add(EmergencySet{Mode: EmergencyDestroy, Serial: 1, At: time.Unix(1e9, 0)}.Marshal())
	f.Add(EmergencySet{Mode: EmergencyDestroy + 1, Serial: 1, At: time.Unix(1e9, 0)}.Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := ParseEmergencySet(b); err == nil && !bytes.Equal(s.Marshal(), b) {
			t.Fatalf("%x is read as %+v", b, s)
		}
	})
}
