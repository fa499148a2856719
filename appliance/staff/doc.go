// Package staff is the people who work at a site: who they are to the record,
// how they sign in, and what their role lets them do.
//
// Actor.Can is the only policy in Waypost. Every command of every desk takes an
// Actor and asks it; no page, no call and no verb decides for itself. The table of
// roles and actions stands in actor.go and is pinned by a test, cell by cell, so
// that a right is never widened by accident.
//
// # Accounts
//
// An account belongs to one node: it signs in there and nowhere else. It has an
// Ed25519 and an X25519 pair; the private halves lie in the sealed file
// "accounts" (and "accounts.2", see identity.SealedFile) of the data folder,
// wrapped under Argon2id of the passphrase, and are unwrapped for the time of a
// session. The file is the truth about who may sign in and in which role; the
// facts tell every node who wrote what. The file is written first and the fact
// second: a power cut in between leaves an account that cannot sign in and that
// adding it again replaces.
//
// # What it writes
//
//	staff.enrolled     id, public keys, role, node; open, so that carriers know it too
//	staff.named        user name and site; in the register
//	staff.disabled     nobody signs in under this id any more; open
//	staff.key_issued   a bearer key: hash, role, name, end; in the register
//	staff.key_revoked  it counts no more; open
//
// The subject of all of them is a random id whose first eight bytes are the
// staff.ID that other facts carry as their actor. Facts about this node's keys
// and about disabling carry a MAC under a key only this node has, so that another
// node of the deployment cannot open or close a door here.
//
// What it never holds: a passphrase, or anything that could be used to guess one
// at another node.
package staff
