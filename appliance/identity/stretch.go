package identity

import (
	"context"
	"crypto/rand"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/sethvargo/go-diceware/diceware"
	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/waypost/waypost/appliance/fault"
)

// Cost is how hard guessing a passphrase is made: Argon2id (RFC 9106) with one
// lane. It is stored beside every salt, so it can be raised later.
type Cost struct {
	_         struct{} `cbor:",toarray"`
	Passes    uint8
	MemoryKiB uint32
}

// StrongCost is what everything real is stretched with: about a second of a
// laptop, three of a Raspberry Pi.
func StrongCost() Cost { return Cost{Passes: 3, MemoryKiB: 64 << 10} }

// TestCost takes no time and protects nothing. It is for tests only.
func TestCost() Cost { return Cost{Passes: 1, MemoryKiB: 8} }

// maxCost bounds what a file from a card may ask of this machine.
var maxCost = Cost{Passes: 16, MemoryKiB: 256 << 10}

// or is c, or the strong cost when c was never set.
func (c Cost) or() Cost {
	if c == (Cost{}) {
		return StrongCost()
	}
	return c
}

// Check refuses what is below the floor of OWASP ASVS 5.0, appendix C (three
// passes over 12 MiB, two over 19, one over 46), the zero Cost and TestCost
// excepted. Fault: Internal "fault.identity.weak_cost".
func (c Cost) Check() error {
	c = c.or()
	floor := map[uint8]uint32{1: 46 << 10, 2: 19 << 10}[c.Passes]
	if floor == 0 {
		floor = 12 << 10
	}
	if c == TestCost() || (c.bounded() && c.MemoryKiB >= floor) {
		return nil
	}
	return fault.New(fault.Internal, "fault.identity.weak_cost")
}

func (c Cost) bounded() bool {
	return c.Passes > 0 && c.Passes <= maxCost.Passes && c.MemoryKiB >= 8 && c.MemoryKiB <= maxCost.MemoryKiB
}

// SaltSize is the length of a salt in bytes.
const SaltSize = 16

// How many wait for their turn; further ones are told to come back. Several phones may
// be behind one address, so one client has a few of the network's places, not all.
const (
	queueLength   = 8  // at this machine
	networkLength = 16 // of the network,
	clientLength  = 4  // … of one client
)

// clientKey is where a context keeps who asks.
type clientKey struct{}

// From says for whom ctx is used: a client of the network, by its address. Without
// it somebody at this machine asks.
func From(ctx context.Context, client string) context.Context {
	return context.WithValue(ctx, clientKey{}, client)
}

// Client is who asks; empty for this machine itself.
func Client(ctx context.Context) string {
	client, _ := ctx.Value(clientKey{}).(string)
	return client
}

// gate lets one Argon2 run at a time and a few wait. Twenty sign-ins at once
// would otherwise take 1.3 GB (measured, security.md) on a board with one. It
// is the process's, because memory is.
//
// A client of the network has a few places in line, so that one phone cannot fill it,
// and only the first of that line stands for the turn. So this machine, which has a
// line of its own, waits for two others at most, whatever the network does.
type gate struct {
	turn  chan struct{}
	queue chan struct{} // of this machine, whoever is at it included
	first chan struct{} // of the network: who stands for the turn or has it

	mu      sync.Mutex
	waiting map[string]int // by client, in the line of the network
	all     int
}

func newGate() *gate {
	return &gate{
		turn: make(chan struct{}, 1), queue: make(chan struct{}, queueLength+1),
		first: make(chan struct{}, 1), waiting: map[string]int{},
	}
}

var stretching = newGate()

// Stretch turns a passphrase into a key, one at a time in the whole process. Eight
// wait for this machine and sixteen for the network (see From), of these four for one
// client. Faults: Busy "fault.identity.busy" when there is no place; the context's
// error when it ended first.
func Stretch(ctx context.Context, passphrase, salt []byte, cost Cost) ([32]byte, error) {
	return stretching.run(ctx, passphrase, salt, cost)
}

func (g *gate) run(ctx context.Context, passphrase, salt []byte, cost Cost) ([32]byte, error) {
	if cost = cost.or(); !cost.bounded() {
		return [32]byte{}, fault.New(fault.Internal, "fault.identity.weak_cost")
	}
	leave, err := g.stand(ctx)
	if err != nil {
		return [32]byte{}, err
	}
	defer leave()
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return [32]byte{}, ctx.Err()
	}
	plain := CanonicalPassphrase(passphrase)
	defer clear(plain)
	// Each run leaves its memory behind; with nothing to hurry the collector, somebody
	// who guesses held three of them, 187 MB (measured), on a board with one thousand.
	if cost.MemoryKiB >= 1<<10 {
		defer debug.FreeOSMemory()
	}
	return [32]byte(argon2.IDKey(plain, salt, uint32(cost.Passes), cost.MemoryKiB, 1, 32)), nil
}

// stand takes a place in the line of whoever asks and, for the network, waits there
// until it is the first.
func (g *gate) stand(ctx context.Context) (leave func(), err error) {
	client := Client(ctx)
	if client == "" {
		select {
		case g.queue <- struct{}{}:
			return func() { <-g.queue }, nil
		default:
			return nil, fault.New(fault.Busy, "fault.identity.busy")
		}
	}
	if !g.enter(client) {
		return nil, fault.New(fault.Busy, "fault.identity.busy")
	}
	defer g.leave(client)
	select {
	case g.first <- struct{}{}:
		return func() { <-g.first }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (g *gate) enter(client string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting[client] >= clientLength || g.all >= networkLength {
		return false
	}
	g.waiting[client]++
	g.all++
	return true
}

func (g *gate) leave(client string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all--
	if g.waiting[client]--; g.waiting[client] <= 0 {
		delete(g.waiting, client)
	}
}

// CanonicalPassphrase is what is stretched: Unicode NFC, no space at the ends,
// single spaces inside. When all of it are words of the EFF list it is lower
// case too, because telephones like to begin with a capital. The caller may
// clear the result.
func CanonicalPassphrase(p []byte) []byte {
	words := strings.FieldsFunc(string(norm.NFC.Bytes(p)), unicode.IsSpace)
	lower := make([]string, len(words))
	for i, w := range words {
		lower[i] = strings.ToLower(w)
	}
	if known := wordSet(); !slices.ContainsFunc(lower, func(w string) bool { return !known[w] }) {
		words = lower
	}
	return []byte(strings.Join(words, " "))
}

// random never fails: crypto/rand ends the process instead of returning
// predictable bytes (Go 1.24).
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// listWord is the word with that place, from 0, in the EFF large list.
func listWord(i int) string {
	key := 0
	for unit := 1; unit <= 10000; unit *= 10 {
		key += (i%6 + 1) * unit
		i /= 6
	}
	return diceware.WordListEffLarge().WordAt(key)
}
