//go:build linux && (amd64 || arm64)

package badgerstore

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// Badger maps its files. When a page of one cannot be given (a write to a hole while the
// disk is full, a read of a bad sector, a file cut short) the kernel answers the
// instruction that touched it with SIGBUS. In a goroutine of ours that could be a panic
// (debug.SetPanicOnFault); in Badger's own writer, flusher and compactors it ends the
// process, and nothing in Go can catch it there.
//
// So the handler Go has for SIGBUS gets one of ours in front, a dozen instructions that
// run on Go's signal stack: it puts an empty page of memory where the kernel could give
// none, counts, and lets the instruction run again. Badger then goes on, on bytes that
// are not on the disk; whoever reads the store asks the count and throws the views away
// when it has moved (Store.lost). They are made of the journal, so nothing is lost by it.
// Everything that is not such a fault goes to Go's handler as before, and so does a page
// of the program itself: a card that cannot read its own program back must not go on with
// zeros in the place of a table or a key. Nothing else of Waypost maps a file.
//
// What was weighed instead: a child process for the store or for all of `serve`, started
// anew when it dies. It needs the storage key in a second process or the five words
// again, costs 20 MB more on a 1 GB board, and everybody's requests are cut at each
// death; on a disk that stays full the death comes back. The floor and the ballast
// (sizes.go, oplog/room.go) make the fault rare; they cannot exclude it, because another
// program may fill the disk between two looks at it.

// busHandler is what the kernel calls; never called from Go.
func busHandler()

// busHandlerPC is its address.
func busHandlerPC() uintptr

// Read by the handler; busFaults is counted by it.
var (
	busMask   uintptr // clears the part of an address inside its page
	busNext   uintptr // Go's own handler
	busFrom   uintptr // the program's own pages, from here
	busTo     uintptr // to here
	busFaults uint64
)

// sigaction as the kernel has it on both.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

var installBus = sync.OnceValue(func() bool {
	var old sigaction
	if !rtSigaction(nil, &old) || old.handler <= 1 { // 0 and 1: default and ignored
		return false
	}
	from, to, ok := ownPages()
	if !ok {
		return false
	}
	busFrom, busTo = from, to
	busMask, busNext = ^uintptr(os.Getpagesize()-1), old.handler
	ours := old // its flags, mask and way back
	ours.handler = busHandlerPC()
	return rtSigaction(&ours, nil)
})

// ownPages is where the program's file is mapped, from proc_pid_maps(5).
func ownPages() (from, to uintptr, ok bool) {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return 0, 0, false
	}
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return 0, 0, false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if !strings.HasSuffix(lines.Text(), " "+exe) {
			continue
		}
		span, _, _ := strings.Cut(lines.Text(), " ")
		low, high, _ := strings.Cut(span, "-")
		a, aerr := strconv.ParseUint(low, 16, 64)
		b, berr := strconv.ParseUint(high, 16, 64)
		if aerr != nil || berr != nil {
			return 0, 0, false
		}
		if from == 0 {
			from = uintptr(a)
		}
		to = uintptr(b)
	}
	return from, to, lines.Err() == nil && from < to
}

func rtSigaction(set, old *sigaction) bool {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGBUS),
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), 8, 0, 0) //nolint:gosec // the kernel's own structure
	return errno == 0
}

// pagesLost is how many pages could not be had since the start of the process. It moves
// before the instruction that met it goes on.
func pagesLost() uint64 { return atomic.LoadUint64(&busFaults) }
