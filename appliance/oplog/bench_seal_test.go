//go:build unix

package oplog

import (
	"crypto/rand"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// onCore reports how long a core was at work for each op, whatever else the machine does.
func onCore(b *testing.B) func() {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

// BenchmarkSeal is what sealing adds to one op of the register: a person as they are
// registered is compressed and sealed under the epoch's key. "encoded" is the whole way
// from what the desk holds, "bare" the cipher alone over as many bytes, below which
// nothing can go; "open" is what each reader pays. The house's bar is 20 us an op.
func BenchmarkSeal(b *testing.B) {
	people := SamplePeople(1000, 1)
	r := &record{ref: Ref{Log: LogID{1}, Seq: 7}, clock: 300, comp: Register, epoch: 2, salt: [16]byte{4}}
	fine := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	encode := func(i int) []byte {
		body, err := encMode.Marshal(people[i%len(people)])
		fine(err)
		plain, err := encMode.Marshal(content{Kind: "registration.registered", Version: 1, By: make([]byte, 8), At: 1780315200, Body: body})
		fine(err)
		return plain
	}
	plains := make([][]byte, len(people))
	var before, after int
	for i := range plains {
		plains[i] = encode(i)
		fine(sealPayload(fixedKeys{}, r, plains[i], false))
		before, after = before+len(plains[i]), after+len(r.payload)
	}
	seal := func(tight bool) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			defer onCore(b)()
			for i := 0; b.Loop(); i++ {
				fine(sealPayload(fixedKeys{}, r, plains[i%len(plains)], tight))
			}
			b.ReportMetric(float64(before)/float64(len(plains)), "plainB/op")
			b.ReportMetric(float64(after)/float64(len(plains)), "sealedB/op")
		}
	}
	b.Run("op", seal(false))
	b.Run("op-of-an-import", seal(true))
	b.Run("encoded", func(b *testing.B) {
		b.ReportAllocs()
		defer onCore(b)()
		for i := 0; b.Loop(); i++ {
			fine(sealPayload(fixedKeys{}, r, encode(i), false))
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		defer onCore(b)()
		fine(sealPayload(fixedKeys{}, r, plains[0], false))
		for b.Loop() {
			_, err := openPayload(fixedKeys{}, r)
			fine(err)
		}
	})
	for name, size := range map[string]int{"bare-plain": before / len(plains), "bare-packed": after/len(plains) - chacha20poly1305.Overhead} {
		b.Run(name, func(b *testing.B) {
			var key [32]byte
			_, _ = rand.Read(key[:])
			aead, err := chacha20poly1305.NewX(key[:])
			fine(err)
			plain, bound := make([]byte, size), r.bound([16]byte{})
			out := make([]byte, 0, size+aead.Overhead())
			b.ReportAllocs()
			defer onCore(b)()
			for b.Loop() {
				out = aead.Seal(out[:0], r.nonce(), plain, bound)
			}
			b.ReportMetric(float64(size), "plainB/op")
		})
	}
}
