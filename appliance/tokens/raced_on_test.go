//go:build race

package tokens

// raced says that the race detector is on: it makes arithmetic on one goroutine
// ten times slower and finds nothing there.
const raced = true
