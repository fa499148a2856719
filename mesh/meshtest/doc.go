// Package meshtest plays a camp: many nodes in one goroutine, on lines and a clock of its
// own, from a seed. The nodes are real ones (their journals, desks, vaults and everything
// package mesh decides, locked or open); made up are the network, the membership, the disk's
// slowness and what a power cut takes of it, and the time with its two faces. Two runs of one
// seed give equal traces, each frame byte by byte, so a failure is repeated by its seed.
package meshtest
