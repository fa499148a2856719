package staff

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"
)

// Device is the browser somebody signs in with.
type Device struct {
	Cookie string // what Session.Device gave it; empty on a new one
	Agent  string // what it calls itself (User-Agent); only for telling devices apart in a list
	Once   bool   // for one signature: nothing is remembered, and nothing can wake the session
}

// A device cookie is, in base64 without padding, 32 random bytes and then up to
// deviceMarks marks of 8 bytes: this node's MAC over the random bytes and an account, for
// each account that has signed in with it. The marks outlive a restart; they open nothing
// and only give the owner tries of their own (tryKey). Everything else about a device is
// kept in memory under the hash of the random bytes, so that a restart forgets it.
const (
	deviceNonce = 32
	deviceMark  = 8
	deviceMarks = 12
	maxDevices  = 2000 // remembered at once; the one not used for longest goes first
)

// DeviceKept is how long a browser should keep the device cookie.
const DeviceKept = 365 * 24 * time.Hour

// deviceKey is where a context keeps the device.
type deviceKey struct{}

// OnDevice says with which device ctx is used.
func OnDevice(ctx context.Context, on Device) context.Context {
	return context.WithValue(ctx, deviceKey{}, on)
}

func deviceOf(ctx context.Context) Device {
	on, _ := ctx.Value(deviceKey{}).(Device)
	return on
}

// deviceState is what is known about a device, in memory only.
type deviceState struct {
	used time.Time
	pins map[ID][32]byte // see pinMark
}

var deviceText = base64.RawURLEncoding.Strict()

// parseDevice reads a device cookie; ok is false for anything else.
func parseDevice(text string) (nonce, marks []byte, ok bool) {
	if len(text) > deviceText.EncodedLen(deviceNonce+deviceMarks*deviceMark) {
		return nil, nil, false
	}
	raw, err := deviceText.DecodeString(text)
	if err != nil || len(raw) < deviceNonce || (len(raw)-deviceNonce)%deviceMark != 0 {
		return nil, nil, false
	}
	return raw[:deviceNonce], raw[deviceNonce:], true
}

func (d *Desk) deviceMark(nonce []byte, id ID) []byte {
	mark := d.proof("waypost/staff-device/1", nonce, id[:])
	return mark[:deviceMark]
}

// marked reports whether a device's cookie carries this node's word that an account has
// signed in with it.
func (d *Desk) marked(nonce, marks []byte, id ID) bool {
	want, found := d.deviceMark(nonce, id), false
	for m := range slices.Chunk(marks, deviceMark) {
		found = hmac.Equal(m, want) || found
	}
	return found
}

// knownDevice is the hash of a device with which this account has signed in before.
func (d *Desk) knownDevice(on Device, id ID) (hash [32]byte, known bool) {
	nonce, marks, ok := parseDevice(on.Cookie)
	if !ok || !d.marked(nonce, marks, id) {
		return hash, false
	}
	return sha256.Sum256(nonce), true
}

// device notes that an account signs in with a device. It gives the text its cookie must
// have now, the hash it is known by, and the key that the session's private keys are
// wrapped with, which only the device can give again. A cookie that no account of this
// node ever got is not taken over: somebody could have planted it.
func (d *Desk) device(on Device, id ID) (text string, hash, wrapping [32]byte) {
	if on.Once {
		return "", hash, wrapping
	}
	nonce, marks, ok := parseDevice(on.Cookie)
	trusted := ok && slices.ContainsFunc(d.snapshot(), func(a account) bool { return d.marked(nonce, marks, idOf(a.Subject)) })
	if !trusted {
		nonce, marks = make([]byte, deviceNonce), nil
		_, _ = rand.Read(nonce) // never fails: crypto/rand ends the process instead
	}
	if !d.marked(nonce, marks, id) {
		if len(marks) >= deviceMarks*deviceMark {
			marks = marks[deviceMark:]
		}
		marks = append(slices.Clone(marks), d.deviceMark(nonce, id)...)
	}
	hash = sha256.Sum256(nonce)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.noteDeviceLocked(hash)
	return deviceText.EncodeToString(slices.Concat(nonce, marks)), hash, d.wrappingKey(nonce)
}

func (d *Desk) noteDeviceLocked(hash [32]byte) *deviceState {
	s := d.devices[hash]
	if s == nil {
		for len(d.devices) >= maxDevices {
			var oldest [32]byte
			var used time.Time
			for h, o := range d.devices {
				if used.IsZero() || o.used.Before(used) {
					oldest, used = h, o.used
				}
			}
			delete(d.devices, oldest)
		}
		s = &deviceState{pins: map[ID][32]byte{}}
		d.devices[hash] = s
	}
	s.used = d.clock.Now()
	return s
}

// wrappingKey is what a device's sessions are wrapped with while they rest. It is gone
// with the process.
func (d *Desk) wrappingKey(nonce []byte) [32]byte {
	h := hmac.New(sha256.New, d.processKey[:])
	h.Write([]byte("waypost/staff-resting/1"))
	h.Write(nonce)
	return [32]byte(h.Sum(nil))
}

// label is the kind of device, for its owner to know it by: a few words that the program
// made, never what the browser sent.
func (on Device) label() string {
	kinds := []struct{ found, label string }{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"CrOS", "Chromebook"},
		{"Macintosh", "Mac"}, {"Linux", "Linux"},
	}
	browsers := []struct{ found, label string }{
		{"Edg", "Edge"}, {"SamsungBrowser", "Samsung"}, {"OPR/", "Opera"}, {"Firefox", "Firefox"}, {"FxiOS", "Firefox"}, {"CriOS", "Chrome"},
		{"Chrome", "Chrome"}, {"Safari", "Safari"},
	}
	var out []string
	for _, k := range kinds {
		if strings.Contains(on.Agent, k.found) {
			out = append(out, k.label)
			break
		}
	}
	for _, b := range browsers {
		if strings.Contains(on.Agent, b.found) {
			out = append(out, b.label)
			break
		}
	}
	return strings.Join(out, " · ")
}
