package torture

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// model is what was asked of a box and what it promised, kept outside of it. Texts are
// unique, so that a text served twice was written twice. Safe for concurrent use.
type model struct {
	mu     sync.Mutex
	acked  map[string]string // id -> text that was acknowledged
	other  map[string]string // id -> a text it may read instead: its change was not answered
	gone   map[string]bool   // id -> erased; false where that was asked and not answered
	sent   map[string]bool   // every text that was ever asked to be written
	groups map[string]int    // texts that were written in one go, by group: how many
	member map[string]string // text -> its group
}

func newModel() *model {
	return &model{acked: map[string]string{}, other: map[string]string{}, gone: map[string]bool{}, sent: map[string]bool{}, groups: map[string]int{}, member: map[string]string{}}
}

// send notes what is about to be asked.
func (m *model) send(texts ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, text := range texts {
		m.sent[text] = true
		if len(texts) > 1 {
			m.groups[texts[0]] = len(texts)
			m.member[text] = texts[0]
		}
	}
}

// ack notes a promise.
func (m *model) ack(id, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.acked[id] = text
}

// change replaces what an id was promised to say.
func (m *model) change(id, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.acked[id], m.sent[text] = text, true
}

// either notes a change that was asked for and not acknowledged.
func (m *model) either(id, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.other[id] = text
}

// leave notes that an id was erased, or that this was asked.
func (m *model) leave(id string, answered bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone[id] = answered
}

// promised is a copy of what was acknowledged.
func (m *model) promised() map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[string]string, len(m.acked))
	for id, text := range m.acked {
		out[id] = text
	}
	return out
}

// tally counts what came of it.
type tally struct {
	runs, failures int
	acked          int
	lost           int // acknowledged and not served
	wrong          int // served and not what was written
	doubled        int // one text under two ids
	halves         int // written in one go and served in part
	worst          time.Duration
	examples       []string
}

// compare holds a box's answers against the model: served is id -> text of everything
// it has. What was sent and never acknowledged may be there or not, but once and whole.
func (m *model) compare(served map[string]string) (y tally) {
	m.mu.Lock()
	defer m.mu.Unlock()
	y.acked = len(m.acked)
	for id, text := range m.acked {
		got, ok := served[id]
		erased, asked := m.gone[id]
		switch {
		case erased && ok:
			y.wrong++
			y.say("%s (%s) was erased and is shown", text, id)
		case asked && !ok:
		case !ok:
			y.lost++
			y.say("%s (%s) is lost", text, id)
		case got != text && got != m.other[id]:
			y.wrong++
			y.say("%s reads %q instead of %q", id, got, text)
		}
	}
	times, parts := map[string]int{}, map[string]int{}
	for id, text := range served {
		if !m.sent[text] {
			y.wrong++
			y.say("%s reads %q, which nobody wrote", id, text)
		}
		if times[text]++; times[text] == 2 {
			y.doubled++
			y.say("%s is there twice", text)
		}
		if g := m.member[text]; g != "" {
			parts[g]++
		}
	}
	for g, n := range parts {
		if n != m.groups[g] {
			y.halves++
			y.say("%d of the %d written with %s are there", n, m.groups[g], g)
		}
	}
	return y
}

func (y *tally) say(format string, args ...any) {
	if len(y.examples) < 3 {
		y.examples = append(y.examples, fmt.Sprintf(format, args...))
	}
}

// bad reports whether a promise was broken.
func (y tally) bad() bool { return y.lost+y.wrong+y.doubled+y.halves > 0 }

func (y *tally) add(o tally) {
	y.acked += o.acked
	y.lost += o.lost
	y.wrong += o.wrong
	y.doubled += o.doubled
	y.halves += o.halves
}

func (y tally) String() string {
	s := fmt.Sprintf("%d runs, %d acknowledged, %d lost, %d doubled, %d wrong, %d halves", y.runs, y.acked, y.lost, y.doubled, y.wrong, y.halves)
	if y.worst > 0 {
		s += fmt.Sprintf(", worst reopen %v", y.worst.Round(time.Millisecond))
	}
	return s
}

func (y tally) detail() string { return strings.Join(y.examples, "; ") }
