package identity

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/fault"
)

// Emergency is what a box may do to its own keys when somebody stands at the door. It is
// decided beforehand and in calm; nothing destroys keys on a page, by a call or by `waypost
// lock --destroy` unless this says so.
//
// Pulling the key stick locks, and there is no setting by which it destroys. No record lost
// comes before everything: a USB reset or a brownout on a small board makes a stick vanish and
// come back under another name, which looks exactly like pulling it, and nobody can take a
// destruction back. Only what a person asks for, in words, may cost the keys.
type Emergency uint8

// The settings, each allowing what the one before does. Numbers are stored.
const (
	EmergencyLock    Emergency = 0 // lock, and destroy nothing
	EmergencyDestroy Emergency = 1 // and destroy the keys when somebody asks for that; a pulled stick locks
)

// String is the setting as calls and verbs spell it.
func (e Emergency) String() string {
	if e == EmergencyDestroy {
		return "destroy"
	}
	return "lock"
}

// ParseEmergency reads a setting as String spells it. Fault: Invalid
// "fault.identity.emergency_mode".
func ParseEmergency(s string) (Emergency, error) {
	for _, e := range []Emergency{EmergencyLock, EmergencyDestroy} {
		if e.String() == s {
			return e, nil
		}
	}
	return EmergencyLock, fault.New(fault.Invalid, "fault.identity.emergency_mode").With("mode", "fault.identity.emergency_mode")
}

// EmergencySet is the setting, and who made it. The zero value is how every box begins.
type EmergencySet struct {
	Mode   Emergency
	Serial uint64    // of the change, from 1; 0 when nobody ever made one
	By     [8]byte   // who asked for it; zero when nobody did
	Second [8]byte   // who agreed; zero when one person was enough
	At     time.Time // whole seconds UTC, by the box's clock
}

// emergencyName is the file, and the label of the subkey it is sealed under.
const emergencyName = "emergency"

// The content, sealed; always as long, so that the file says nothing to whoever cannot open
// it. Numbers are big-endian.
//
//	offset size
//	     0    1 version, 1
//	     1    1 setting: 0 lock, 1 destroy; all else is damage
//	     2    8 serial
//	    10    8 who asked
//	    18    8 who agreed
//	    26    8 wall time, Unix seconds
const (
	emergencyVersion = 1
	emergencySize    = 34
)

var errEmergency = errors.New("identity: emergency setting is malformed")

// Marshal is the content of the file.
func (s EmergencySet) Marshal() []byte {
	b := make([]byte, 2, emergencySize)
	b[0], b[1] = emergencyVersion, byte(s.Mode)
	b = binary.BigEndian.AppendUint64(b, s.Serial)
	b = append(append(b, s.By[:]...), s.Second[:]...)
	at := int64(0)
	if !s.At.IsZero() {
		at = s.At.Unix()
	}
	return binary.BigEndian.AppendUint64(b, uint64(at)) //nolint:gosec // a time is a time, also before 1970
}

// ParseEmergencySet reads the content of the file, which may be anything.
func ParseEmergencySet(b []byte) (EmergencySet, error) {
	if len(b) != emergencySize || b[0] != emergencyVersion || b[1] > byte(EmergencyDestroy) {
		return EmergencySet{}, errEmergency
	}
	s := EmergencySet{Mode: Emergency(b[1]), Serial: binary.BigEndian.Uint64(b[2:]), By: [8]byte(b[10:18]), Second: [8]byte(b[18:26])}
	if at := int64(binary.BigEndian.Uint64(b[26:])); at != 0 { //nolint:gosec // as it was written
		s.At = time.Unix(at, 0).UTC()
	}
	return s, nil
}

// EmergencyFile keeps the setting of one box, sealed under a subkey of the storage key: who
// has the card alone can neither read nor set it. Taking both copies away, or spoiling them,
// turns it off, and an older copy put back in their place is believed. Every box has the file,
// as long whatever it says, and it is written anew at every opening. It is in no backup: what is brought back on another machine begins with
// locking alone. Safe for concurrent use.
type EmergencyFile struct {
	mu   sync.Mutex
	file *SealedFile
	now  EmergencySet
}

// OpenEmergency reads the setting in dir, and writes one where there is none. subkey is
// Vault.Subkey. A file that does not open is locking alone; the fault says so: Internal
// "fault.identity.damaged". A card that takes no writes is Unavailable
// "fault.identity.cannot_write". The file is good after a fault, too.
func OpenEmergency(dir string, subkey func(label string) [32]byte) (*EmergencyFile, error) {
	f := &EmergencyFile{file: NewSealedFile(dir, emergencyName, subkey(emergencyName))}
	content, err := f.file.Read()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f, f.file.Write(f.now.Marshal())
	case err != nil:
		return f, err
	}
	set, err := ParseEmergencySet(content)
	if err != nil {
		return f, fault.New(fault.Internal, "fault.identity.damaged").Wrap(err)
	}
	f.now = set
	return f, f.file.Write(content) // or the file's time would tell whether anybody ever changed it
}

// Get is the present setting.
func (f *EmergencyFile) Get() EmergencySet {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Set makes s the setting if the present one is still that of the serial before, and is on
// the card when it returns. Faults: Conflict "fault.identity.emergency_changed", Unavailable
// "fault.identity.cannot_write".
func (f *EmergencyFile) Set(s EmergencySet) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.Serial != f.now.Serial+1 {
		return fault.New(fault.Conflict, "fault.identity.emergency_changed")
	}
	if err := f.file.Write(s.Marshal()); err != nil {
		return err
	}
	f.now = s
	return nil
}

// Forget overwrites the key; the setting is locking alone from now on.
func (f *EmergencyFile) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.file.Forget()
	f.now = EmergencySet{}
}

// EmergencyFiles are the names of the file's copies in a data folder.
func EmergencyFiles() []string {
	var out []string
	for _, path := range copies("", emergencyName) {
		out = append(out, filepath.Base(path))
	}
	return out
}

// EmergencyBody is what two people sign for: the setting, of which box, in the place of
// which one.
func EmergencyBody(node NodeID, mode Emergency, before uint64) []byte {
	b := append([]byte("waypost/emergency/1"), node[:]...)
	return binary.BigEndian.AppendUint64(append(b, byte(mode)), before)
}
