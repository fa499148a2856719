package clock

import "syscall"

// Values of adjtimex(2), from linux/timex.h.
const (
	staUnsync = 0x0040
	timeError = 5
)

// synchronised asks the kernel whether a time daemon holds the clock: STA_UNSYNC
// is set until one does. A Raspberry Pi without a battery starts at the time of
// its last shutdown, unsynchronised.
func synchronised() bool {
	var tx syscall.Timex
	state, err := syscall.Adjtimex(&tx)
	return err == nil && state != timeError && tx.Status&staUnsync == 0
}
