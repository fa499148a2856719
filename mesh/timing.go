package mesh

import "time"

// timing is what a mesh does how often. There are two of it: usual, and low for
// connections that cost money, run on a battery or are a radio.
//
// What fifty nodes say when there is nothing to say is made of four things, and each has a
// line here. A PING with its PONG and the acknowledgement is 226 bytes on the wire, and a
// node among many has a share in three links. A probe of memberlist with its answer is 270
// bytes. Its meeting of two lists of members is 13 KB with ten nodes and grows with them.
// An announcement on the local network is 400 bytes. What it comes to is measured by make
// bench-air and, for the exchange, held by meshtest's TestIdleStaysQuiet.
type timing struct {
	// A PING goes out when nothing came in for pingEvery; after silence without one byte
	// a connection is dead. On one link both ends take the longer of their two.
	pingEvery, silence time.Duration
	// Who has said something and heard nothing since asks sooner: then there is something
	// to miss. So a cut is noticed as soon as it matters, and costs nothing before.
	askAfter time.Duration
	// A round trip that was measured so long ago is measured again. One end of a link often
	// hears enough never to ask by itself.
	tripEvery time.Duration

	relayAfter time.Duration // facts of others are passed on together
	lazyMost   time.Duration // and what only matters for "held by" at the latest then
	claimTime  time.Duration // until another node is asked for what one does not begin to give
	mostWait   time.Duration // between two tries to reach an absent node

	reportAPeer, reportMost time.Duration // report.go: the time between two grows by the first with every node, up to the second

	announceEvery time.Duration // how often a node says on the local network that it is there

	// What memberlist is run with. It takes new values at the next start only.
	probeTimeout, probeInterval   time.Duration
	gossipInterval, pushPullEvery time.Duration
	gossipNodes                   int
	gossipTCP                     time.Duration
	rejoinEvery                   time.Duration
}

// usual is memberlist's LAN profile, made patient for Wi-Fi: a box with one busy core
// answers a probe within probeTimeout, and probes of others have to fail for suspicion
// rounds before it counts as gone (TestStarvedNodeIsNotTakenForDead).
var usual = timing{
	pingEvery: 30 * time.Second, silence: Silence,
	askAfter:      5 * time.Second,
	tripEvery:     5 * time.Minute,
	relayAfter:    100 * time.Millisecond,
	lazyMost:      10 * time.Second,
	claimTime:     time.Second,
	mostWait:      4 * time.Second, // with the jitter of half of it still below a healed cut's 10 s
	reportAPeer:   2 * time.Second,
	reportMost:    5 * time.Minute,
	announceEvery: time.Minute,
	// Every node probes one other a round, so a round is what all of memberlist costs. A node
	// that is gone is missed by its links first: memberlist need not be quick about it.
	probeTimeout: 1500 * time.Millisecond, probeInterval: 5 * time.Second,
	gossipInterval: 200 * time.Millisecond, gossipNodes: 3, // costs nothing while there is nothing to say
	// Exchange carries the records and makes members meet (gossip.rejoin), and a member that
	// somebody never heard of is dialled and met so, too: this is for lists that differ in
	// nothing that matters. Above 32 nodes memberlist doubles the time.
	pushPullEvery: time.Hour,
	gossipTCP:     5 * time.Second,
	rejoinEvery:   10 * time.Second,
}

// low is memberlist's WAN profile with longer rounds still. Two minutes without a byte are
// no more than address translators of mobile networks bear.
var low = timing{
	pingEvery: 2 * time.Minute, silence: 5 * time.Minute,
	askAfter:      20 * time.Second,
	tripEvery:     30 * time.Minute,
	relayAfter:    2 * time.Second,
	lazyMost:      2 * time.Minute,
	claimTime:     answerTime,
	mostWait:      time.Minute,
	reportAPeer:   10 * time.Second, // a round of fifty is 37 KB a node
	reportMost:    15 * time.Minute,
	announceEvery: 5 * time.Minute,
	probeTimeout:  3 * time.Second, probeInterval: 20 * time.Second,
	gossipInterval: 500 * time.Millisecond, gossipNodes: 4,
	pushPullEvery: 2 * time.Hour,
	gossipTCP:     30 * time.Second,
	rejoinEvery:   time.Minute,
}

// timing is the one in force here.
func (m *Mesh) timing() *timing {
	if m.pace.profile().Low {
		return &low
	}
	return &usual
}

// timing is the one in force on a link: the slower of its two ends.
func (l *link) timing() *timing {
	if l.pace.asksLow.Load() {
		return &low
	}
	return l.m.timing()
}
