package sealed

import (
	"bytes"
	"cmp"
	"crypto/ecdh"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// file is what the entries of one case id add up to, for somebody who has keys of it. It
// is made for one question and forgotten with the answer.
type file struct {
	bind    binder
	narrow  staff.Narrow
	entries []entry // by clock and id
	members map[staff.ID]bool
	about   oplog.ID
	codes   []string
	due     int64
	began   int64
	closed  bool
	marked  bool
	exposed bool
	intake  bool // it was passed on
	linked  bool // … and belongs to another file
	dropped int  // entries that nobody may have written
	shut    int  // entries that no key here opens
	keys    []key
	begins  map[key]*entry // the entry that began a key
	first   bool           // the file has a beginning
}

// judge says whether two people agreed to what an entry claims: break-glass, whose author
// is given, and a hand-over.
type judge struct {
	glass  func(marked, staff.ID) bool
	handed func(handedOver) bool
}

// unsealed is an entry opened: its content and the key it was under.
type unsealed struct {
	content []byte
	key     key
}

// openAll opens what can be opened of a file's payloads, each once: with the keys given,
// with those wrapped to one of privs, and with those that entries hand on.
func (b binder) openAll(payloads [][]byte, privs []*ecdh.PrivateKey, keys []key) (out []unsealed, all []key, shut int) {
	var left []sealedEntry
	seen := map[string]bool{}
	for _, p := range payloads {
		if e, ok := parseEntry(p); ok && !seen[string(p)] {
			seen[string(p)] = true // written again after a parting or a loss
			left = append(left, e)
		}
	}
	all = slices.Clone(keys)
	add := func(k key) {
		if !slices.Contains(all, k) {
			all = append(all, k)
		}
	}
	for _, e := range left {
		for _, p := range privs {
			if k, ok := b.given(e, p); ok {
				add(k)
			}
		}
	}
	used := map[key]bool{}
	for again := true; again; {
		again = false
		rest := left[:0:0]
		for _, e := range left {
			u, ok := b.openAny(e, all)
			if !ok {
				rest = append(rest, e)
				continue
			}
			out, again, used[u.key] = append(out, u), true, true
			for _, k := range olderIn(u.content) {
				add(k)
			}
		}
		left = rest
	}
	return out, slices.DeleteFunc(all, func(k key) bool { return !used[k] }), len(left)
}

func (b binder) openAny(e sealedEntry, keys []key) (unsealed, bool) {
	for _, k := range slices.Backward(keys) { // the newest are behind
		if content, ok := b.open(e, k); ok {
			return unsealed{content, k}, true
		}
	}
	return unsealed{}, false
}

func olderIn(content []byte) []key {
	var s signedRecord
	var r record
	if decode(content, &s) != nil || decode(s.Record, &r) != nil || len(r.Older) > maxOlder {
		return nil
	}
	return r.Older
}

// fold adds up a file. It never refuses: what nobody may have written is left out and
// counted. judge says what two people signed.
func (b binder) fold(in []unsealed, who people, judge judge) *file {
	f := &file{bind: b, members: map[staff.ID]bool{}, begins: map[key]*entry{}}
	byKey := map[[16]byte]key{}
	have := map[[16]byte]bool{}
	for _, u := range in {
		e, ok := b.parseRecord(u.content, u.key, who)
		if !ok {
			f.dropped++
			continue
		}
		if have[e.id] {
			continue
		}
		have[e.id] = true
		byKey[e.id] = u.key
		f.entries = append(f.entries, e)
	}
	slices.SortFunc(f.entries, func(x, y entry) int {
		return cmp.Or(cmp.Compare(x.Clock, y.Clock), bytes.Compare(x.id[:], y.id[:]))
	})
	f.putFirst(who)
	kept := f.entries[:0]
	for i := range f.entries {
		e := f.entries[i]
		if !f.take(&e, who, judge) {
			f.dropped++
			continue
		}
		kept = append(kept, e)
		if len(e.Group) > 0 || e.Kind == kindTakenIn || e.Kind == kindResealed {
			f.begins[byKey[e.id]] = &kept[len(kept)-1]
		}
	}
	f.entries = kept
	return f
}

// putFirst puts the entry that a person signed as the file's beginning before all others:
// nothing unsigned takes its place.
func (f *file) putFirst(who people) {
	i := slices.IndexFunc(f.entries, func(e entry) bool { return e.Kind == kindOpened && who[e.By].Opens(e.Narrow) })
	if i > 0 {
		e := f.entries[i]
		copy(f.entries[1:], f.entries[:i])
		f.entries[0] = e
	}
}

// take applies one entry; false when it does not count.
func (f *file) take(e *entry, who people, judge judge) bool {
	if !f.first {
		return f.begin(e, who)
	}
	if e.Narrow != f.narrow || e.Kind != kindMarked && !who[e.By].Opens(f.narrow) {
		return false
	}
	switch b := e.body.(type) {
	case *takenIn, *opened:
		return false // a file begins once
	case *noted:
		if b.Due != 0 {
			f.due = b.Due
		}
	case *assigned:
		return f.change(e, b.Who, who)
	case *closed:
		f.closed = true
	case *linked:
		f.linked = f.linked || f.intake && b.Intake == nil
	case *resealed:
		f.exposed = true
	case *marked:
		if b.Request.Narrow != f.narrow || !who[b.Request.To].Opens(f.narrow) || !judge.glass(*b, e.By) {
			return false
		}
		f.marked = true
		f.members[b.Request.To] = true
	case *handedOver:
		second := who[b.Second.Signer()]
		return b.Request.File == f.bind.file && b.Request.Narrow == f.narrow && f.members[e.By] && b.First.Signer() == e.By &&
			(second.Opens(f.narrow) || second.Actor().Can(staff.BreakGlass)) && judge.handed(*b)
	}
	return true
}

// begin takes the first entry.
func (f *file) begin(e *entry, who people) bool {
	switch b := e.body.(type) {
	case *takenIn:
		f.intake, f.about, f.codes = true, b.About, b.Codes
	case *opened:
		if !who[e.By].Opens(e.Narrow) {
			return false
		}
		f.about, f.codes, f.due = b.About, b.Codes, b.Due
		f.members[e.By] = true
		for _, id := range b.Group {
			f.members[id] = who[id].Opens(e.Narrow)
		}
	default:
		return false
	}
	f.first, f.narrow, f.began = true, e.Narrow, e.At
	return true
}

// change assigns and unassigns: whoever works in a file does it, or, while nobody does,
// whoever may have the compartment.
func (f *file) change(e *entry, id staff.ID, who people) bool {
	nobody := len(groupOf(f.members)) == 0
	if !f.members[e.By] && !(nobody && who[e.By].Opens(f.narrow)) && !f.tookToo(e, id, who) {
		return false
	}
	if e.Kind == kindUnassigned {
		delete(f.members, id)
		return true
	}
	if !who[id].Opens(f.narrow) {
		return false
	}
	f.members[id] = true
	return true
}

// tookToo reports whether somebody took what waited for themselves and had not seen that
// somebody else did: both work in it then. Not whoever was taken off later, who has the key
// it was under, and not an account that ended. Whoever says that they had not seen it may
// lie; they hold the compartment's keys, could have taken it first, and everybody reads it.
func (f *file) tookToo(e *entry, id staff.ID, who people) bool {
	if !f.intake || e.Kind != kindAssigned || id != e.By || who[e.By].Off {
		return false
	}
	byID := map[[16]byte]*entry{}
	for i := range f.entries {
		x := &f.entries[i]
		if b, is := x.body.(*assigned); is && x.Kind == kindUnassigned && b.Who == e.By {
			return false
		}
		byID[x.id] = x
	}
	saw := map[[16]byte]bool{}
	for next := slices.Clone(e.Seen); len(next) > 0; {
		x := byID[next[0]]
		next = next[1:]
		if x == nil || saw[x.id] {
			continue
		}
		if x.Kind == kindAssigned || x.Kind == kindMarked || x.Kind == kindKeyed {
			return false
		}
		saw[x.id] = true
		next = append(next, x.Seen...)
	}
	return true
}

// clock is what the next entry has.
func (f *file) clock() (n uint64) {
	for i := range f.entries {
		n = max(n, f.entries[i].Clock)
	}
	return n + 1
}

// heads are the entries no other one had seen: what the next one says that it saw.
func (f *file) heads() (out [][16]byte) {
	seen := map[[16]byte]bool{}
	for i := range f.entries {
		for _, s := range f.entries[i].Seen {
			seen[s] = true
		}
	}
	for i := range slices.Backward(f.entries) {
		if e := &f.entries[i]; !seen[e.id] && len(out) < maxSeen {
			out = append(out, e.id)
		}
	}
	return out
}

// key is the newest key that is wrapped to exactly those who work in the file now and to the
// officers there are (wrapped; nil: whoever they were), and
// hands on every other key that is known here; false when there is none, and the next entry
// has to begin one. So of keys that were begun apart everybody gets the others' in the end.
func (f *file) key(group []staff.ID, wrapped []byte) (best key, ok bool) {
	var from *entry
	for k, e := range f.begins {
		if !slices.Equal(e.Group, group) || wrapped != nil && !bytes.Equal(e.Wrapped, wrapped) || from != nil && (e.Clock < from.Clock || e.Clock == from.Clock && bytes.Compare(e.id[:], from.id[:]) < 0) {
			continue
		}
		if slices.ContainsFunc(f.keys, func(other key) bool { return other != k && !slices.Contains(e.Older, other) }) {
			continue
		}
		best, from = k, e
	}
	return best, from != nil
}

// at is a time for people.
func at(seconds int64) time.Time {
	if seconds <= 0 || seconds > 253402300799 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}
