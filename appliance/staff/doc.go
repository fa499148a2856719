// Package staff is the people who work at a site: who they are to the record,
// what their role lets them do, and nothing else.
//
// Actor.Can is the only policy in Waypost. Every command of every desk takes an
// Actor and asks it; no page, no call and no verb decides for itself. The table of
// roles and actions stands in actor.go and is pinned by a test, cell by cell, so
// that a right is never widened by accident.
//
// What it never holds: a passphrase, a PIN or anything that could be used to guess
// one at another node.
package staff
