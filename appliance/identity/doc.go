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
// Kinds made here are passphrase, words, recovery and stick, each at most once. The
// wrapping key is Argon2id (RFC 9106) of the canonical passphrase, one lane. For the kind
// stick passes and KiB are zero, and only for it, and the wrapping key is HKDF-SHA256 of
// the key in the stick's file with that salt and "waypost/slot/1stick" as info: 256 random
// bits need no stretching. The cipher is XChaCha20-Poly1305 with "waypost/slot/1" ‖ kind
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
//	identity.node_named          what a node's site is called (the only one in the register)
//	identity.invitation_refused  an invitation was tried when it was used up or too old
//	identity.loss_accepted       somebody at a node knows that some of its ops are lost for good
//	identity.suspended           a node is lost: nobody deals with it until an issuer lifts it
//	identity.suspension_lifted   an issuer's word that suspensions of a node are over
//	identity.revoked             two people and an issuer: a node is shut out for good, with cuts
//	identity.released            an issuer's word that ops behind a cut count after all
//	identity.epoch_begun         a new key of an area or of the membership traffic, sealed to nodes
//
// Any node can write any of them about any other. So a certificate counts when
// the root vouches for it, a name when the node's own log gives it, and a
// confirmation when it comes from another node that is confirmed itself, the
// founder first; what a node nobody compared says about others changes nothing.
// Each says it in a row of its own (nodesView), so that no row grows until it is
// left out. ByNumber and Author tell other desks whose word a fact is.
//
// # Who is shut out
//
// court (standing.go) judges all suspensions, lifts and revocations together, so that the
// same facts give the same answer in any order; its rules stand there. A suspension says
// how far its writer had seen the logs of the node it is about: what that node says behind
// counts no more. An issuer's word is a countersignature (countersign.go) over
// "waypost/suspended/1", "waypost/suspension-lifted/1", "waypost/revoked/1" or
// "waypost/released/1" ‖ deployment (16) ‖ node (10) ‖ the fact without its word; the
// root's is its public key (32) ‖ Ed25519 (64) over "waypost/root-word/1" ‖ the same.
// A revocation holds back what lies behind its cuts (heldback.go; oplog.Holding): it is
// stored and passed on and no view has it, until it is released.
//
// # Epochs
//
// The number of an epoch is a counter (16 bits) and the number of the node that began it
// (16 bits): two nodes that begin one at once never give two keys one number. Each copy is
// HPKE (RFC 9180, base mode, X25519, HKDF-SHA256, ChaCha20-Poly1305) to the certificate's
// key, with "waypost/epoch/1" ‖ deployment (16) ‖ what (1; 1 register, 2 membership) ‖ area
// (2) ‖ epoch (4) ‖ node (10) as info. Check is the first 8 bytes of
// SHA-256("waypost/epoch-check/1" ‖ what ‖ area ‖ epoch ‖ key): a copy that anybody gives
// counts when it fits what the maker said. A node writes under the newest epoch it holds
// whose maker is in good standing. After somebody was shut out the compared nodes that have
// an area begin a new epoch in turn, five seconds apart, until one has; likewise they give
// keys to nodes that lack them. Of an area apart (areas.go) only compared nodes are given
// any, and its first key is made by the joining node.
//
// Promised, and by which test: who is shut out does not depend on order
// (TestWhoIsShutOut, TestSuspensionsDoNotDependOnOrder); a box that was shut out reads
// nothing written since, with everything its folder holds (TestAStolenBoxReadsNothingNew,
// script lost); given back it reads all (TestALiftGivesTheKeysBack); what comes before its
// key is read when the key comes (TestWhatComesBeforeItsKeyIsReadWhenTheKeyComes); two
// rotations at once lose nothing (TestTwoWhoRotateAtOnce); the keys change though the node
// where somebody pressed is gone (TestWhoeverPressedIsGone); what a revoked box wrote
// behind its cut counts nowhere, in any order and after a rebuild
// (TestWhatARevokedBoxWroteIsHeldBack); a protected address is read by its own boxes only
// (TestAProtectedAddress).
//
// All but node_named lie open in the deployment compartment, so that a locked
// node or a carrier knows them too. Never stored: passphrases, invitation
// secrets, and which person a key belongs to.
package identity
