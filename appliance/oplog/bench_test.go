package oplog_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"sync"
	"testing"

	"github.com/waypost/waypost/appliance/badgerstore"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

var registered = oplog.NewKind[oplog.SampleRegistered]("registration.registered", 1, oplog.Register)

// register is a view of the size a desk has: a record, a name key and a
// household key a person.
func register() *oplog.View {
	return &oplog.View{Name: "Register", Version: 1, Kinds: []oplog.Kind{registered}, Fold: func(_ oplog.ID, ops []oplog.Op) []oplog.Row {
		p := oplog.Body[oplog.SampleRegistered](ops[len(ops)-1])
		record, err := json.Marshal(p.Person)
		if err != nil {
			return nil
		}
		return []oplog.Row{
			{Key: []byte("p"), Value: record},
			{Key: append([]byte("n"), p.Person.FamilyName+" "+p.Person.GivenName...)},
			{Key: append([]byte("h"), p.Household[:]...), Value: []byte(p.Relation)},
		}
	}}
}

// onDisk opens a node with a Badger store, as the appliance does.
func onDisk(b testing.TB, a *oplogtest.Authority, dir string) *oplog.Log {
	b.Helper()
	store, err := badgerstore.Open(filepath.Join(dir, "views"), [32]byte{2}, nil)
	if err != nil {
		b.Fatal(err)
	}
	o := oplogtest.Options(b, a, nil, []*oplog.View{register()})
	o.Dir, o.Store, o.Clock, o.FreeSpace = filepath.Join(dir, "journal"), store, clock.System(), nil
	l, err := oplog.Open(context.Background(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	})
	return l
}

func add(l *oplog.Log, people ...oplog.SampleRegistered) error {
	return l.Do(context.Background(), oplog.By{1}, func(tx *oplog.Tx) error {
		for _, p := range people {
			if _, err := tx.Append(registered, oplog.NewID(), p); err != nil {
				return err
			}
		}
		return nil
	})
}

func perSecond(b *testing.B, ops int) {
	b.ReportMetric(float64(ops)/b.Elapsed().Seconds(), "ops/s")
}

// BenchmarkDo1: one registrar, every person acknowledged after a flush.
func BenchmarkDo1(b *testing.B) {
	l := onDisk(b, oplogtest.NewAuthority(b), b.TempDir())
	people := oplog.SamplePeople(1000, 1)
	b.ResetTimer()
	for i := range b.N {
		if err := add(l, people[i%1000]); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, b.N)
}

// BenchmarkDo16: sixteen registrars at once.
func BenchmarkDo16(b *testing.B) {
	l := onDisk(b, oplogtest.NewAuthority(b), b.TempDir())
	people := oplog.SamplePeople(1000, 1)
	var wait sync.WaitGroup
	next := make(chan int)
	b.ResetTimer()
	for range 16 {
		wait.Go(func() {
			for i := range next {
				if err := add(l, people[i%1000]); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range b.N {
		next <- i
	}
	close(next)
	wait.Wait()
	perSecond(b, b.N)
}

// BenchmarkBulk: an import of 200 people a command.
func BenchmarkBulk(b *testing.B) {
	l := onDisk(b, oplogtest.NewAuthority(b), b.TempDir())
	people := oplog.SamplePeople(1000, 1)
	b.ResetTimer()
	for i := range b.N {
		if err := add(l, people[i%5*200:i%5*200+200]...); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, b.N*200)
}

// BenchmarkMerge: an empty node takes batches of 1,000 ops from another one.
func BenchmarkMerge(b *testing.B) {
	a := oplogtest.NewAuthority(b)
	from := oplogtest.Node(b, a, nil, []*oplog.View{register()})
	people := oplog.SamplePeople(1000, 1)
	for i := range b.N {
		for k := range 10 {
			if err := add(from, people[(i+k)%10*100:(i+k)%10*100+100]...); err != nil {
				b.Fatal(err)
			}
		}
	}
	to := onDisk(b, a.Peer(b), b.TempDir())
	var after uint64
	var wire, ops int
	b.ResetTimer()
	for {
		raw, last, err := from.Range(from.Own(), after, 1000, 0)
		if err != nil {
			b.Fatal(err)
		}
		if raw == nil {
			break
		}
		r, err := to.Merge(context.Background(), raw)
		if err != nil {
			b.Fatal(err)
		}
		after, wire, ops = last, wire+len(raw), ops+r.Ops
	}
	perSecond(b, ops)
	b.ReportMetric(float64(wire)/float64(ops), "wireB/op")
}

// BenchmarkRebuild folds a journal of 20,000 people again.
func BenchmarkRebuild(b *testing.B) {
	l := onDisk(b, oplogtest.NewAuthority(b), b.TempDir())
	people := oplog.SamplePeople(1000, 1)
	for i := range 100 {
		if err := add(l, people[i%5*200:i%5*200+200]...); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for range b.N {
		if err := l.Rebuild(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, b.N*20000)
}
