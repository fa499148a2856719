package registration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// slow is a store whose walks wait, each on the snapshot it began with.
type slow struct {
	oplog.Store
	walks atomic.Int32  // that wait or went on
	fails atomic.Int32  // as many walks end in a fault
	gate  chan struct{} // lets all of them go on
}

func (s *slow) View(fn func(oplog.StoreReader) error) error {
	return s.Store.View(func(r oplog.StoreReader) error { return fn(slowReader{r, s}) })
}

type slowReader struct {
	oplog.StoreReader
	s *slow
}

func (r slowReader) Scan(prefix, from []byte, fn func(k, v []byte) error) error {
	r.s.walks.Add(1)
	<-r.s.gate
	if r.s.fails.Add(-1) >= 0 {
		return errors.New("a page that could not be read")
	}
	return r.StoreReader.Scan(prefix, from, fn)
}

// closed is a channel nobody waits for.
func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// slowDesk is a log with n people whose store can be made slow.
func slowDesk(t *testing.T, n int) (*oplog.Log, *slow, []oplog.ID) {
	t.Helper()
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), Kinds(), Views())
	s := &slow{Store: o.Store, gate: closed()}
	o.Store = s
	log, err := oplog.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	d := deskOn(t, log)
	var ids []oplog.ID
	for len(ids) < n {
		var family NewHousehold
		for i := range min(20, n-len(ids)) {
			family.Members = append(family.Members, Person{GivenName: fmt.Sprintf("Layla %d", len(ids)+i)})
		}
		added, err := d.AddHousehold(context.Background(), importer, family, Request{})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range added.Members {
			ids = append(ids, m)
		}
	}
	d.Close()
	return log, s, ids
}

func exists(t *testing.T, d *Desk, id oplog.ID) bool {
	t.Helper()
	there, err := d.Exists(id)
	if err != nil {
		t.Fatal(err)
	}
	return there
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: waited 20 s", what)
		}
	}
}

// A desk that has just opened registers and corrects while it still reads who is there.
// It does not say of anybody that they are not there, and what it read is never put over
// what was written meanwhile.
func TestADeskWorksWhileItsIndexIsFilled(t *testing.T) {
	log, s, ids := slowDesk(t, 2*slice+100)
	ctx := t.Context()
	s.walks.Store(0)
	s.gate = make(chan struct{})
	letGo := sync.OnceFunc(func() { close(s.gate) })
	defer letGo()
	d := deskOn(t, log)
	defer func() { letGo(); d.Close() }()
	waitFor(t, "the filling begins", func() bool { return s.walks.Load() > 0 })

	late := add(t, d, Person{GivenName: "Karim"})
	if _, err := d.Correct(ctx, importer, ids[0], patch(t, `{"given_name":"Zahra"}`), Request{}); err != nil {
		t.Fatal(err)
	}
	d.index.mu.Lock() // as committed does when somebody is hidden
	d.index.touch(ids[1])
	d.index.drop(ids[1])
	d.index.mu.Unlock()
	if !exists(t, d, ids[2]) || !exists(t, d, late) || exists(t, d, oplog.ID{9}) {
		t.Error("who is registered must be known before the index is filled, and nobody else")
	}
	short, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
	defer cancel()
	if _, err := d.Search(short, clerk, "Layla", 0, ""); fault.ClassOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "registration.filling") {
		t.Errorf("a search without an index: %v", err)
	}
	if c, err := d.Counts(short); err != nil || !c.Counting || c.People > 2 {
		t.Errorf("counts without an index: %+v, %v", c, err)
	}

	letGo()
	if err := d.Filled(ctx); err != nil {
		t.Fatal(err)
	}
	if c, err := d.Counts(ctx); err != nil || c.Counting || c.People != len(ids) || c.Households != len(ids)/20 {
		t.Errorf("%+v, %v; %d people were registered, one came and one was hidden", c, err, len(ids))
	}
	finds := func(q string, n int) {
		t.Helper()
		if page, err := d.Search(ctx, clerk, q, 0, ""); err != nil || len(page.Items) != n {
			t.Errorf("%q: %d found, %v", q, len(page.Items), err)
		}
	}
	finds("Zahra", 1)
	finds("Karim", 1)
	finds(ids[0].String(), 1)
	finds(ids[len(ids)-1].String(), 1)
	d.index.mu.RLock()
	defer d.index.mu.RUnlock()
	if e := d.index.people.find(ids[0]); strings.Contains(e.text, "layla") {
		t.Errorf("what was read is put over what was written: %q", e.text)
	}
	if e := d.index.people.find(ids[1]); e != nil && !e.gone() {
		t.Error("who was hidden is back")
	}
}

// Views that cannot be read for a moment put the filling off; nobody is left out.
func TestFillingGoesOnAfterAFault(t *testing.T) {
	log, s, ids := slowDesk(t, slice+10)
	s.fails.Store(3)
	d := deskOn(t, log)
	defer d.Close()
	if err := d.Filled(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c, _ := d.Counts(t.Context()); c.People != len(ids) || s.fails.Load() > 0 {
		t.Errorf("%+v, %d faults left", c, s.fails.Load())
	}
}

// A desk that is closed while it reads stops reading, and lets go of who waits for it.
func TestClosingEndsTheFilling(t *testing.T) {
	log, s, _ := slowDesk(t, 10)
	s.fails.Store(1 << 20)
	d := deskOn(t, log)
	waited := make(chan error, 1)
	go func() { waited <- d.Filled(context.Background()) }()
	d.Close()
	if err := <-waited; fault.ClassOf(err) != fault.Unavailable {
		t.Errorf("waiting for a closed desk: %v", err)
	}
}

// When anybody may have changed the index is read again beside the writer: who is missing,
// wrong or gone is put right, what was written meanwhile stays, and questions are answered.
func TestTheIndexIsFilledAgain(t *testing.T) {
	log, s, ids := slowDesk(t, slice+100)
	ctx := t.Context()
	d := deskOn(t, log)
	defer d.Close()
	if err := d.Filled(ctx); err != nil {
		t.Fatal(err)
	}
	x := d.index
	x.mu.Lock()
	kept := map[oplog.ID]string{}
	for e := range x.people.all {
		kept[e.id] = e.text
	}
	for _, id := range ids[:50] { // as if they had come with many others
		x.drop(id)
	}
	x.put(entry{id: ids[60], text: "somebody else"})
	for i := range 3 { // as if they were hidden
		x.put(entry{id: oplog.ID{9, byte(i)}, text: "nobody"})
		x.households[oplog.ID{8, byte(i)}] = struct{}{}
	}
	x.mu.Unlock()

	s.walks.Store(0)
	s.gate = make(chan struct{})
	letGo := sync.OnceFunc(func() { close(s.gate) })
	defer letGo()
	if err := d.committed(nil); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the filling begins", func() bool { return s.walks.Load() > 0 })
	if page, err := d.Search(ctx, clerk, "nobody", 0, ""); err != nil || len(page.Items) > 0 {
		t.Errorf("a search meanwhile: %d found, %v", len(page.Items), err) // of those found who are not there, none is shown
	}
	late := add(t, d, Person{GivenName: "Karim"})
	x.mu.Lock()
	x.put(entry{id: ids[61], text: "newer"})
	x.touch(ids[61])
	x.mu.Unlock()
	letGo()
	waitFor(t, "the filling ends", func() bool { x.mu.RLock(); defer x.mu.RUnlock(); return x.touched == nil })

	if c, err := d.Counts(ctx); err != nil || c.Counting || c.People != len(ids)+1 || c.Households != len(ids)/20 {
		t.Errorf("%+v, %v of %d people and one who came", c, err, len(ids))
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	for id, text := range kept {
		if e := x.people.find(id); e == nil || e.gone() || (e.text != text && id != ids[61]) {
			t.Fatalf("%s is %+v instead of %q", id, e, text)
		}
	}
	if e := x.people.find(ids[61]); e.text != "newer" {
		t.Error("what was read is put over what was written")
	}
	if e := x.people.find(late); e == nil || e.gone() {
		t.Error("who came meanwhile is missing")
	}
}
