// Package bundle carries what another node lacks in a file: by stick, by a courier's phone.
// Two nodes that never hear each other become equal by one file there and one back.
//
// A bundle has the batches of ops that the exchange would send (oplog.Log.Range), then
// pieces of photos, and first of all how far its writer holds every log, so that whoever
// reads it can write an answer with only what the writer lacks. What is read goes through
// oplog.Log.Merge like everything that comes over the network: chains and signatures are
// checked, erasures and what is held back hold. Reading needs no key of the register, so a
// node that cannot read people carries their records on.
//
// # What somebody learns who finds one
//
// How long it is, in steps of 64 KB, and roughly how many nodes it is for, in five steps
// (slots, below); one for a node and one for any of up to seven look alike. There is no
// magic number and no name in it, and the name NewName draws says nothing. Whoever knows
// this format and looks for it can tell that the front is made of X25519 keys. For a moment
// while it is written it has .part at its end. The medium's own records, such as when a
// file was written, are not ours.
//
// # Who can read one
//
// One for a node: that node, by the key in its certificate. One for any: each node in good
// standing whose certificate the writer knows, however long it was away and whatever keys
// were changed meanwhile; and, unless somebody who was shut out may hold it, whoever holds
// the key that the writer's membership traffic goes under, which a node that joined
// elsewhere was given. Not promised: a node that the
// writer has not heard of, let in after the keys were changed where the writer has not heard
// of that either. Of more than 2,047 nodes those with the lowest numbers have a slot. A node
// that was shut out has none, as soon as the writer knows. A node cannot read its own file
// for another one. Whoever reads one learns which logs the writer holds and how far, which every
// node knows of every other.
//
// # The file
//
// Numbers are big-endian, CBOR is deterministic (RFC 8949 section 4.2.1).
//
//	id (16) ‖ slots, 81 each ‖ chunks, 65,552 each
//
// There are 8, 32, 128, 512 or 2,048 slots. A slot is HPKE (RFC 9180, base mode, X25519 with
// HKDF-SHA256, ChaCha20-Poly1305), the encapsulated key (32) before the ciphertext (49), its
// info "waypost/bundle-slot/1" ‖ deployment (16) ‖ id. Inside are the file's key (32) and
// which of the five counts it is (1). The first slot is to the key pair that DeriveKeyPair
// (RFC 9180 section 7.1.3) makes of HKDF-SHA256(key of the membership traffic, info
// "waypost/bundle-key/1" ‖ deployment), the others to the keys in certificates, and those
// that are left over, the first one where it is not used included, to keys that were thrown away.
//
// The chunks are ChaCha20-Poly1305 under the file's key in the STREAM construction, as in
// age: each of 65,536 bytes, nonce 3 zeros ‖ number (8) ‖ 1 for the last and 0 for others,
// associated data the id. Joined they are records and then zeros:
//
//	kind (1) ‖ length (4) ‖ body
//
//	1 head    at most 4 MB   CBOR [version 1, certificate of the writer, id of the node it is
//	                         for or nothing, stamp, ops, pieces, [[log, sequence, the first 16
//	                         bytes of the header's hash]…]], by log
//	2 has     at most 1 MB   the first 8 bytes of the ids of the pieces the writer holds
//	3 batch   at most 1 MB   as package oplog has it
//	4 piece   at most 256 KB as package chunks has it; its id is its SHA-256
//	5 seal    65             whether it is the last (1) ‖ signature (64)
//
// A seal ends a part; a part has at most 9 MB. The first is the head and what is in has, the
// others are batches and then pieces. The signature is Ed25519 by the writer's node key over
// "waypost/bundle-part/1" ‖ deployment (16) ‖ number of the part (4) ‖ whether it is the
// last (1) ‖ sum. The sum begins as SHA-256("waypost/bundle/1" ‖ deployment ‖ all before the
// chunks) and is, after each record, SHA-256(sum ‖ kind ‖ length ‖ body), as in a backup.
//
// The stamp is the second it was written in, or one more than the last: of two bundles of
// one node the higher counts. Of the head's number of ops a journal that is damaged may give
// fewer.
//
// # The memory
//
// The folder bundles of a data folder has a file for each node, named by its id, with what
// its newest bundle said: JSON {version 1, stamp, read, marks, pieces}; and own, with the
// stamp of the last that was written. They lie open: they hold what peers.json does.
//
// # Promises
//
//	equal after one stick both ways             TestOneStickBothWays, script bundle
//	a file that is cut gives all whole parts    TestAnyCutGivesWhatIsWhole
//	no changed bit is taken for what was there  TestAnyFlippedBit, TestChunksKeepTheirPlaces
//	nothing is refused without a sentence       TestWhatIsNoBundle
//	reading again changes nothing               TestOneStickBothWays, TestAnOldBundleIsHarmless
//	who is shut out is not heard, and not told  TestAShutOutNodeIsRefusedWhole
//	a node that was away reads when keys changed TestAShutOutNodeIsRefusedWhole
//	a file is there whole or not at all         TestAFileIsWholeOrNotThere
//	from outside it says its length             TestABundleShowsNothingFromOutside
//	any bytes can be given to it                FuzzRead, FuzzRecords, FuzzHead
//	the bytes stay the bytes                    TestGolden
//
// Not promised: that a node which lost what its last bundle said is understood by a bundle
// for that node. It hears that records are missing (fault.bundle.gap), and reads one for any.
package bundle
