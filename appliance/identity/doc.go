// Package identity knows who belongs: the deployment's root, its issuers, the
// certificates of nodes, the keys this node holds and how they lie on the card.
//
// # Trust
//
// The root (Ed25519) signs issuers, an issuer signs node certificates, a node
// signs everything else. A certificate names a number, two public keys and
// rights, never a place or a person. Dates in certificates are for people to
// look at; NodeCert.Verify ignores them, because a box without a battery boots
// in 1970 and no record may be lost over that.
//
// # Files in the data folder
//
//	unlock   unlock.2    who can open the box: slots that wrap the storage key
//	secrets  secrets.2   everything secret, sealed under the storage key
//	web/                 the node's own web CA and leaf; readable while locked
//	wiped                only when the keys were destroyed: says so
//
// Both of a pair hold the same bytes. They are replaced one after the other,
// each by writing a new file, flushing it, renaming it and flushing the folder;
// so at any moment of a power cut at least one is whole, and the first is never
// the older one. A damaged copy is made anew from the other at the next start.
// The folder has mode 0700, the files 0600.
//
// unlock is deterministic CBOR (RFC 8949 section 4.2.1): the array
// ["waypost/unlock/1", [slot…], SHA-256 of the encoded slots], a slot being
// [kind, salt (16), passes, KiB, nonce (24), wrapped key (48)], one to eight of them.
// Kinds made here are passphrase, words, recovery, stick and peers, each at most once. The
// wrapping key is Argon2id (RFC 9106) of the canonical passphrase, one lane. For the kinds
// stick and peers passes and KiB are zero, and only for them, and the wrapping key is
// HKDF-SHA256 of the key in the stick's file, or of that given to other boxes, with that
// salt and "waypost/slot/1" ‖ kind as info: 256 random bits need no stretching. The cipher is XChaCha20-Poly1305 with "waypost/slot/1" ‖ kind
// as associated data.
//
// The file of a key stick, waypost-key-<node id>.wpkey, is text: a line for whoever finds
// it, and a line of four words: "waypost-key/1", the node's id, 32 bytes in hexadecimal,
// and the first four bytes, in hexadecimal, of SHA-256("waypost/key-stick/1" ‖ node id ‖
// those bytes). Other lines count for nothing.
//
// DestroyKeys overwrites and removes unlock and unlock.2 first, and then everything else
// that holds a key. Without the slots nothing opens the storage key, and without that
// nothing opens anything. A card may keep old cells of what is overwritten; somebody who
// reads those still needs the words, the kit or the stick.
//
// # Two people at another box
//
// A box can give others the means to open it. Open, it draws a key, wraps its storage key
// under it in a slot of the kind peers, and seals the key to each of the chosen nodes'
// certificates, of nodes whose words were compared (identity.opener_given). The slot's mark
// is the first 8 bytes of SHA-256("waypost/slot-mark/1" ‖ its salt).
//
// Locked, it asks with a key pair that it draws and keeps in memory. The request is
// "WPO1" ‖ base32 of CBOR [1, deployment (16), node (10), mark (8), X25519 key (32), nonce
// (16)] and the first four bytes of its SHA-256. Both screens show five words of
// SHA-256("waypost/open-words/1" ‖ that CBOR), and people compare them by telephone. At the
// other box two people sign that CBOR (staff.Act, purpose "open-node"); it opens the key it
// was given and answers "WPA1" ‖ base32 of CBOR [1, the first 16 bytes of
// SHA-256("waypost/open-request/1" ‖ the request's CBOR), sealed key (80)] and four bytes of
// hash, and writes down who the two were (identity.opened_by) before it does. All sealing
// is HPKE (RFC 9180, base mode, X25519 with HKDF-SHA256, ChaCha20-Poly1305); its info is
// "waypost/opener/1" ‖ deployment ‖ box ‖ keeper ‖ mark for what is given and
// "waypost/open-answer/1" ‖ the request's CBOR for an answer. An answer fits one request;
// a request ends with the process that drew it.
//
// The slot alone opens nothing, and neither does what another box was given: that lies in
// the open compartment and needs the other box's own key, which lies under its storage key.
// So a thief with the cards of both, locked, has nothing. A thief with the card of one and
// the other box while it is open has the key in memory, and with it everything. A request is
// not signed, because a locked box has no key it could sign with: whoever holds the card can
// make one. What stands against that is people who compare words with a voice they know,
// and shutting a stolen box out, after which nobody answers it.
//
// # In memory
//
// While the vault is open its keys lie in one page that is not swapped or dumped (arena);
// Close overwrites them. Copies that cannot be avoided: keys that go by value to a cipher,
// what crypto/ed25519 keeps of the signing key, and buffers of the CBOR library. They go
// with the memory of the process, which the program replaces when a box is locked.
//
// secrets is "waypost/sealed/1" ‖ nonce (24) ‖ XChaCha20-Poly1305 ciphertext,
// keyed by HKDF-SHA256 of the storage key, with "waypost/sealed/1" ‖ file name as
// associated data. SealedFile is that format; the staff desk keeps its accounts
// in it too.
//
// # What it writes
//
//	identity.log_born            a node's log begins (certificate and nonce); written by oplog
//	identity.enrolled            an inviter admitted a node
//	identity.confirmed           somebody compared the five words with a node's
//	identity.node_named          what a node's site is called; in the register
//	identity.invitation_refused  an invitation was tried when it was used up or too old
//	identity.loss_accepted       somebody at a node knows that some of its ops are lost for good
//	identity.opener_given        a node gave others the means to open it: sealed keys
//	identity.opened_by           two people at a node opened another; in the register
//	identity.night_chosen        who opens a node at night; in the register
//
//	identity.opener_given {1: mark (8), 2: [[node (10), sealed key (80)]…]}
//	identity.opened_by    {1: the request's CBOR, 2: signature, 3: signature}
//	identity.night_chosen {1: "stick", "peers" or "wait"}
//
// Any node can write any of them about any other. So a certificate counts when
// the root vouches for it, a name when the node's own log gives it, and a
// confirmation when it comes from another node that is confirmed itself, the
// founder first; what a node nobody compared says about others changes nothing.
// Each says it in a row of its own (nodesView), so that no row grows until it is
// left out. ByNumber and Author tell other desks whose word a fact is.
//
// All but node_named, opened_by and night_chosen lie open in the deployment compartment, so that a locked
// node or a carrier knows them too. Never stored: passphrases, invitation
// secrets, and which person a key belongs to.
package identity
