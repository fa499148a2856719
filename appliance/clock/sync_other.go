//go:build !linux

package clock

// synchronised cannot be asked here; the time is passed on as unsure.
func synchronised() bool { return false }
