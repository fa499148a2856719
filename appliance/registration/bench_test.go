package registration

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
)

// BenchmarkMapRows is the part of an import that runs in the program of the person
// importing.
func BenchmarkMapRows(b *testing.B) {
	rows, _ := madePeople(b, "10000")
	b.ReportMetric(float64(len(rows)), "rows")
	for b.Loop() {
		for i := range rows {
			c := checker{}
			c.person(rows[i].Person)
		}
	}
	b.ReportMetric(float64(len(rows))*float64(b.N)/b.Elapsed().Seconds(), "people/s")
}

// crowdIndex is an index of n people, as from a list.
func crowdIndex(b *testing.B, n int) *index {
	b.Helper()
	var people []Person
	for _, h := range MadeUp(n, 1) {
		people = append(people, h.Members...)
	}
	x := newIndex()
	for i, p := range people {
		p.FamilyName += fmt.Sprint(" ", i%997)
		x.put(newEntry(oplog.NewID(), personRow{Person: p, First: stamp{Clock: uint64(i)}}))
	}
	return x
}

func BenchmarkSearch100k(b *testing.B) {
	d := &Desk{index: crowdIndex(b, 100_000)}
	for _, q := range []string{"jose martinez", "محمد", "hodaan", "zzzzzz", "1234567", ""} {
		b.Run(q, func(b *testing.B) {
			for b.Loop() {
				question := d.ask(q)
				d.index.scan(&best{n: 51}, question.score)
			}
		})
	}
}

func BenchmarkIndexMemory(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		x := crowdIndex(b, n)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(x.people.n), "B/person")
	}
}

// BenchmarkImport10k is the desk's part of importing 10,000 people, on the journal
// and the store of the test harness.
func BenchmarkImport10k(b *testing.B) {
	rows, _ := madePeople(b, "10000")
	for b.Loop() {
		b.StopTimer()
		d, _ := openDesk(b)
		b.StartTimer()
		if _, err := d.Import(context.Background(), importer, rows); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(rows))*float64(b.N)/b.Elapsed().Seconds(), "people/s")
}
