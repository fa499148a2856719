// Package tui is the dashboard in a terminal: one post at a glance for the field
// lead who looks in over SSH, from a phone as small as 40 by 20 cells.
//
// It is a client like any other: it asks a running node for control.Status once a
// second and shows counts and states, never a name of a person. What it shows is in
// the order of the questions asked at 23:00: other posts, what is only here, room,
// alerts. When the node goes away the last picture stays, says how old it is, and
// goes on by itself when the node is back, on the same screen.
//
// Of other posts it shows what the page about them shows: state, lag, round trip and clock,
// which are locked, relays of partners, run twice or have facts held back, what needs a
// look first (control.WorstFirst). A post without a name is called by its kind and number. With every answer the list is sorted anew
// and the cursor stays on its post. Options.ASCII draws our own signs in ASCII.
//
// One file per screen: overview.go, nodes.go with the list of posts in peers.go, alerts.go, keys.go (the help).
// Every string that came from a node passes control.Plain before it is drawn, and
// every line is cut to the width of the terminal.
package tui
