// Package filestest has file systems that misbehave, for tests.
//
// Failing counts operations and lets the k-th fail. Lossy remembers what was not
// flushed and makes the folder a power cut might leave. Slow takes its time for each
// flush. They stack: Failing over Lossy fails a flush whose data is then really lost.
package filestest
