package mesh

import (
	"bytes"
	"log/slog"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/clock"
)

// quiet passes on at most one line of each message every minute: an absent peer
// is an ordinary state, and a card's life is not for writing logs.
type quiet struct {
	log   *slog.Logger
	clock clock.Clock
	mu    sync.Mutex
	last  map[string]time.Time
}

const (
	quietFor  = time.Minute
	quietKeys = 200
)

func newQuiet(log *slog.Logger, c clock.Clock) *quiet {
	return &quiet{log: log, clock: c, last: map[string]time.Time{}}
}

func (q *quiet) pass(msg string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock.Now()
	if last, ok := q.last[msg]; ok && now.Sub(last) < quietFor {
		return false
	}
	if len(q.last) >= quietKeys {
		clear(q.last)
	}
	q.last[msg] = now
	return true
}

func (q *quiet) warn(msg string, args ...any) {
	if q.pass(msg) {
		q.log.Warn(msg, args...)
	}
}

func (q *quiet) debug(msg string, args ...any) {
	if q.pass(msg) {
		q.log.Debug(msg, args...)
	}
}

// Write takes memberlist's log lines. They are of use to somebody looking for a
// fault in the network only, so they go out as debug, one of a kind a minute; the
// kind is the text up to the first colon after the package name.
func (q *quiet) Write(b []byte) (int, error) {
	line := bytes.TrimSpace(b)
	name := line
	if i := bytes.Index(name, []byte("memberlist: ")); i >= 0 {
		name = name[i+len("memberlist: "):]
	}
	if i := bytes.IndexByte(name, ':'); i > 0 {
		name = name[:i]
	}
	if bytes.HasPrefix(line, []byte("[DEBUG]")) {
		return len(b), nil
	}
	q.debug("memberlist "+string(name[:min(len(name), 40)]), "line", string(line))
	return len(b), nil
}
