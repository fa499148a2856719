package main

import (
	"crypto/rand"
	"crypto/subtle"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

// A claim code proves that whoever answers the first page can see this box's
// own screen or log. It lives 30 minutes, and a restart makes a new one (contract).
// The pages let everybody try 10 times, and the network as a whole a few hundred
// times (ui.Server), so that a stranger can neither take an unclaimed box nor keep
// its owner from it. What is counted here is the bound on all of them together; the
// pages stay far below it.
const (
	claimLife  = 30 * time.Minute
	claimTries = 1000
	// No 0/O, 1/I/L or U: read aloud and typed at night. 8 of 30 letters are 39 bits:
	// with all tries one in 600 million.
	claimLetters = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
)

// claim is one box's outstanding claim code. Safe for concurrent use.
type claim struct {
	clock clock.Clock
	mu    sync.Mutex
	code  string
	made  time.Time
	tries int
	used  bool
}

func newClaim(c clock.Clock) (*claim, error) {
	code, err := randomLetters(claimLetters, 8)
	if err != nil {
		return nil, err
	}
	return &claim{clock: c, code: code[:4] + "-" + code[4:], made: c.Now()}, nil
}

// Code is what the first page asks for.
func (c *claim) Code() string { return c.code }

// check compares what was typed; it faults with Gone when the code is used up
// or too old, Denied when it is wrong.
func (c *claim) check(typed string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.used || c.tries >= claimTries || c.clock.Now().Sub(c.made) > claimLife {
		return fault.New(fault.Gone, "fault.node.claim_over")
	}
	if subtle.ConstantTimeCompare([]byte(plainClaim(typed)), []byte(plainClaim(c.code))) != 1 {
		c.tries++
		return fault.New(fault.Denied, "fault.node.claim_wrong")
	}
	return nil
}

// use marks the code as used, after the site was started, joined or practised.
func (c *claim) use() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used = true
}

// plainClaim forgives case, spaces and dashes.
func plainClaim(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' || r == '\t' || r == '\n' || r == '\r' {
			return -1
		}
		return r
	}, strings.ToUpper(s))
}

// randomLetters draws n letters evenly from alphabet.
func randomLetters(alphabet string, n int) (string, error) {
	out := make([]byte, 0, n)
	limit := byte(256 / len(alphabet) * len(alphabet)) // reject above, or early letters come up more often
	buf := make([]byte, 4*n)
	for len(out) < n {
		if _, err := rand.Read(buf); err != nil {
			return "", err
		}
		for _, b := range buf {
			if b < limit && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out), nil
}
