package mesh

import "time"

// timing is what a mesh does how often. There are two of it: usual, and low for
// connections that cost money, run on a battery or are a radio.
type timing struct {
	// A PING goes out when nothing came in for pingEvery; after silence without one byte
	// a connection is dead. On one link both ends take the longer of their two.
	pingEvery, silence time.Duration

	relayAfter time.Duration // facts of others are passed on together
	lazyMost   time.Duration // and what only matters for "held by" at the latest then
	claimTime  time.Duration // until another node is asked for what one does not begin to give
	mostWait   time.Duration // between two tries to reach an absent node

	announceEvery time.Duration // how often a node says on the local network that it is there

	// What memberlist is run with. It takes new values at the next start only.
	probeTimeout, probeInterval   time.Duration
	gossipInterval, pushPullEvery time.Duration
	gossipNodes                   int
	gossipTCP                     time.Duration
	rejoinEvery                   time.Duration
}

// usual is memberlist's LAN profile, made patient for Wi-Fi: a box with one busy core
// answers a probe within probeTimeout, and six more probes of others have to fail before
// it counts as gone (TestStarvedNodeIsNotTakenForDead).
var usual = timing{
	pingEvery: 10 * time.Second, silence: Silence,
	relayAfter:    100 * time.Millisecond,
	lazyMost:      10 * time.Second,
	claimTime:     2 * time.Second,
	mostWait:      4 * time.Second, // with the jitter of half of it still below a healed cut's 10 s
	announceEvery: time.Minute,
	probeTimeout:  1500 * time.Millisecond, probeInterval: 2 * time.Second,
	gossipInterval: 200 * time.Millisecond, gossipNodes: 3,
	// Exchange carries the records and makes members meet (gossip.rejoin), so this is for the
	// list of members only. At one a minute it cost more than all else: 13 KB each with 10 nodes.
	pushPullEvery: 10 * time.Minute,
	gossipTCP:     5 * time.Second,
	rejoinEvery:   10 * time.Second,
}

// low is memberlist's WAN profile with longer rounds still.
var low = timing{
	pingEvery: 45 * time.Second, silence: 150 * time.Second,
	relayAfter:    2 * time.Second,
	lazyMost:      2 * time.Minute,
	claimTime:     answerTime,
	mostWait:      time.Minute,
	announceEvery: 5 * time.Minute,
	probeTimeout:  3 * time.Second, probeInterval: 15 * time.Second,
	gossipInterval: 500 * time.Millisecond, gossipNodes: 4,
	pushPullEvery: 30 * time.Minute,
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
