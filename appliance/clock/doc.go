// Package clock is the only place that reads the wall clock.
//
// A box in a camp has no battery-backed clock, nobody to set it and peers that
// are wrong too. So wall time is carried with its quality (Sure), is used for
// display and for expiry a person can override, and never decides the order of
// facts: that is the logical clock's work in oplog. Tests use Fake.
package clock
