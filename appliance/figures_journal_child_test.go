//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/badgerstore"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/station"
)

// TestJournalChild is one part of TestJournalFigures, in a process of its own.
func TestJournalChild(t *testing.T) {
	what, dir := os.Getenv("WAYPOST_FIGURES_CHILD"), os.Getenv("WAYPOST_FIGURES_HOME")
	if what == "" {
		t.Skip("TestJournalFigures runs it")
	}
	ops, err := strconv.Atoi(os.Getenv("WAYPOST_FIGURES_OPS"))
	if err != nil {
		t.Fatal(err)
	}
	c := &journalChild{t: t, dir: dir, ops: ops, people: registration.MadeUp(2000, 11)}
	stop := c.watchMemory()
	parts := map[string]func(){
		"make": c.makeMany, "rebuild": func() { c.opening(station.Views()) }, "rebuild-plain": func() { c.opening([]*oplog.View{plainView()}) },
		"open": func() { c.opening(station.Views()) }, "die": c.die, "serve": c.serve,
		"writers": func() { c.writers(ops, files.OS(), 3*time.Second) }, "writers-slow": func() { c.writers(ops, slowFiles{files.OS()}, 3*time.Second) },
		"bare-waypost": c.bareWaypost,
	}
	parts[what]()
	stop()
	raw, err := json.Marshal(c.measured)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("measured %s\n", raw)
}

type journalChild struct {
	t      *testing.T
	dir    string
	ops    int
	people []registration.NewHousehold
	measured
}

func (c *journalChild) check(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// watchMemory keeps the most anonymous memory this process had.
func (c *journalChild) watchMemory() (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			c.RSS = max(c.RSS, anonymous())
			select {
			case <-quit:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() { close(quit); <-done }
}

func anonymous() float64 {
	raw, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(raw)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "RssAnon:" {
			kb, _ := strconv.ParseFloat(words[1], 64)
			return kb / 1024
		}
	}
	return 0
}

// timed measures fn in wall and CPU seconds.
func (c *journalChild) timed(fn func()) {
	cpu := func() float64 {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
	}
	before, began := cpu(), time.Now()
	fn()
	c.Seconds, c.CPU = time.Since(began).Seconds(), cpu()-before
}

func kindNamed(name string) oplog.Kind {
	for _, k := range station.Kinds() {
		if k.Name() == name {
			return k
		}
	}
	panic(name)
}

// plainView is a record a person and nothing else.
func plainView() *oplog.View {
	k := kindNamed("registration.registered")
	return &oplog.View{Name: "plain", Version: 1, Kinds: []oplog.Kind{k}, Fold: func(_ oplog.ID, ops []oplog.Op) []oplog.Row {
		raw, err := json.Marshal(oplog.Body[registration.Registered](ops[0]).Person)
		if err != nil {
			return nil
		}
		return []oplog.Row{{Key: []byte("p"), Value: raw}}
	}}
}

// options are those of a folder; views nil stands for those of the desks.
func (c *journalChild) options(store oplog.Store, views []*oplog.View) oplog.Options {
	return oplog.Options{
		Dir: filepath.Join(c.dir, "journal"), Store: store, Authority: oplogtest.Seeded([32]byte{7}), StorageKey: [32]byte{1},
		Kinds: station.Kinds(), Views: views,
	}
}

func (c *journalChild) store() *badgerstore.Store {
	s, err := badgerstore.Open(filepath.Join(c.dir, "views"), [32]byte{2}, nil)
	c.check(err)
	return s
}

// forget is a store that keeps nothing, to make journals quickly.
type forget struct{ oplog.Store }

func (forget) View(fn func(oplog.StoreReader) error) error { return fn(forgetTx{}) }
func (forget) Begin() (oplog.StoreTx, error)               { return forgetTx{}, nil }
func (forget) DropAll() error                              { return nil }
func (forget) Close() error                                { return nil }

type forgetTx struct{}

func (forgetTx) Get([]byte) ([]byte, error)                        { return nil, oplog.ErrNoKey }
func (forgetTx) Scan(_, _ []byte, _ func(k, v []byte) error) error { return nil }
func (forgetTx) Put(_, _ []byte) error                             { return nil }
func (forgetTx) Delete([]byte) error                               { return nil }
func (forgetTx) Commit() error                                     { return nil }
func (forgetTx) Discard()                                          {}

// asJSON is how long a fact is as compact JSON: bare, and with who wrote it and when, as
// an op has it.
func (c *journalChild) asJSON(fact any) error {
	raw, err := json.Marshal(fact)
	c.Bare += float64(len(raw))
	c.JSON += float64(len(raw) + len(`,"at":"2026-11-24T18:22:04Z","by":"0100000000000000"`))
	return err
}

// household appends one as the desk does; it says how many ops that are.
func (c *journalChild) household(tx *oplog.Tx, h registration.NewHousehold) (ops int, err error) {
	registered, formed := kindNamed("registration.registered"), kindNamed("registration.household_formed")
	home, fact := oplog.NewID(), registration.Formed{}
	for i, p := range h.Members {
		id := oplog.NewID()
		fact.Members = append(fact.Members, id)
		r := registration.Registered{Person: p, Household: home, Relation: h.Relations[i]}
		if err := c.asJSON(struct {
			ID string `json:"id"`
			registration.Person
			Household string `json:"household"`
			Relation  string `json:"relation"`
		}{id.String(), p, home.String(), r.Relation}); err != nil {
			return 0, err
		}
		if _, err := tx.Append(registered, id, &r); err != nil {
			return 0, err
		}
	}
	fact.Head = fact.Members[0]
	if err := c.asJSON(map[string]any{"id": home.String(), "head": fact.Head, "members": fact.Members}); err != nil {
		return 0, err
	}
	_, err = tx.Append(formed, home, &fact)
	return len(h.Members) + 1, err
}

// makeMany fills a journal with households, 100 a command.
func (c *journalChild) makeMany() {
	l, err := oplog.Open(context.Background(), c.options(forget{}, nil))
	c.check(err)
	for at := 0; int(c.Ops) < c.ops; {
		c.check(l.Do(context.Background(), oplog.By{1}, func(tx *oplog.Tx) error {
			for range 100 {
				if int(c.Ops) >= c.ops {
					break
				}
				n, err := c.household(tx, c.people[at%len(c.people)])
				if err != nil {
					return err
				}
				at, c.Ops = at+1, c.Ops+float64(n)
			}
			return nil
		}))
	}
	c.Bytes = float64(l.Stats().JournalBytes)
	c.check(l.Close())
}

// opening opens a folder, which rebuilds the views when there are none.
func (c *journalChild) opening(views []*oplog.View) {
	var l *oplog.Log
	_, err := os.Stat(filepath.Join(c.dir, "views"))
	fresh := errors.Is(err, fs.ErrNotExist)
	c.timed(func() {
		var err error
		l, err = oplog.Open(context.Background(), c.options(c.store(), views))
		c.check(err)
	})
	s := l.Stats()
	if len(s.Problems) > 0 || int(s.Ops) < c.ops {
		c.t.Fatalf("%d ops, %v", s.Ops, s.Problems)
	}
	if fresh {
		c.Ops = float64(s.Ops)
	}
	c.check(l.Close())
}

// die registers people and ends as a kill does.
func (c *journalChild) die() {
	l, err := oplog.Open(context.Background(), c.options(c.store(), station.Views()))
	c.check(err)
	for i := range 2000 {
		c.check(c.register(l, i))
	}
	c.check(syscall.Kill(os.Getpid(), syscall.SIGKILL))
	select {}
}

// register saves one person on their own.
func (c *journalChild) register(l *oplog.Log, i int) error {
	p := c.people[i%len(c.people)].Members[0]
	return l.Do(context.Background(), oplog.By{1}, func(tx *oplog.Tx) error {
		_, err := tx.Append(kindNamed("registration.registered"), oplog.NewID(), &registration.Registered{Person: p})
		return err
	})
}

// serve has sixteen writers and two readers on the whole folder for some seconds.
func (c *journalChild) serve() {
	l, err := oplog.Open(context.Background(), c.options(c.store(), station.Views()))
	c.check(err)
	quit := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				c.check(l.View(func(r oplog.Reader) error {
					n := 0
					id := oplog.NewID()
					return r.Rows(station.Views()[0], nil, id[:], func(_ []byte, _ oplog.ID, _ []byte) error {
						if n++; n == 200 {
							return oplog.ErrStop
						}
						return nil
					})
				}))
			}
		})
	}
	c.crowd(16, 5*time.Second, func(i int) error { return c.register(l, i) })
	close(quit)
	readers.Wait()
	c.check(l.Close())
}

// crowd runs fn from n goroutines for a while, and notes rate and time of an answer.
func (c *journalChild) crowd(n int, how time.Duration, fn func(i int) error) {
	took := make([][]time.Duration, n)
	c.timed(func() {
		var wait sync.WaitGroup
		until := time.Now().Add(how)
		for w := range n {
			wait.Go(func() {
				for i := w; time.Now().Before(until); i += n {
					began := time.Now()
					c.check(fn(i))
					took[w] = append(took[w], time.Since(began))
				}
			})
		}
		wait.Wait()
	})
	var all []time.Duration
	for _, t := range took {
		all = append(all, t...)
	}
	c.Ops, c.P50, c.P99 = float64(len(all)), ms(percentile(all, 50)), ms(percentile(all, 99))
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// diskBytes is the room a file takes.
func diskBytes(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}
