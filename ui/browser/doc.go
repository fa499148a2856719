// Package browser holds the journeys a person takes through the pages, driven in a
// real Chromium against the real binary. It has no code of its own outside tests:
// what a person sees is the only thing it may know.
package browser
