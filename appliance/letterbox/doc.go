// Package letterbox takes in what a locked box cannot write down itself: sealed letters
// that only the opened box reads. A box without its keys knows one thing, its own public
// key; whatever is put in can be read by nobody, the box included, until somebody opens
// it. Then each letter becomes ordinary facts, once, and is destroyed.
//
// # What a thief of a locked card learns
//
// How many letters wait, when each was written (file times), and how long each is in
// steps of 4 KB, which nearly every letter fits in. And what the public files hold: the
// deployment's public key, the certificates of its nodes, and this box's public key.
// No name, no number of people, not whether a letter is a family or a head count.
//
// Somebody who can write on the card can put a key of their own in the place of the box's,
// and read what is taken in from then on if they get at the card again. It is noticed when
// the box is opened and the other key still lies there; Ready says so. Nothing on a card
// that others write on can prevent it.
//
// # Records of other posts
//
// Neighbours give a locked box what they write (mesh.Locked): batches of the journal, which
// are ciphertext but for ids and keys. Records checks each with public keys alone: form,
// limits, that it continues what is held, and the signature of its log. So nobody fills it
// with what is no record. Each is sealed to the box as a letter is and flushed before it is
// acknowledged; when the box is opened they are merged in their order, verified again, and
// destroyed. A power cut in between means that some are merged twice, which changes nothing.
//
// A thief of the card sees besides: how far the box holds each log, the logs' keys, who was
// shut out, and of each record its log, its numbers, its hash, when it came, and its length
// in steps of 4 KB. And the key pair of the locked box: with it he is given what the box
// would be, ciphertext, until the box is shut out or was opened once more (mesh/doc.go). He
// can take nothing out of other nodes that way that he could read, sign no record, card or
// token, let nobody in, and has no key of the membership traffic. That he may be asked what
// the box holds does not count as a copy.
//
// Somebody who writes on the card can make the box say that it holds what it does not; then
// it is not given that until it is opened.
//
// # Files, in the folder letterbox of the data folder
//
//	key    key.2      the box's public key: 106 bytes
//	trust  trust.2    what card signatures are checked with
//	known  known.2    how far the journal holds each log, and who was shut out
//	locked locked.2   the key pair that the locked box proves with who it is
//	records/NNNNNNNNNN.wpr  one batch of another post
//	records/aside/…         those that could not be merged, whole; asked for again
//	NNNNNNNNNN-ID     one letter; NNNNNNNNNN its number, ID its id in hexadecimal
//	aside/…           letters that could not be filed, whole: never thrown away, and
//	                  destroyed as any other when their facts are in the journal
//
// Both of a pair hold the same bytes and are replaced one after the other, each by writing
// a new file, flushing it, renaming it and flushing the folder. A letter is written the
// same way, and whoever brought it is answered after that. Numbers are big-endian.
//
//	key     "waypost/letterbox/1" (19) ‖ deployment (16) ‖ node (10) ‖ X25519 key (32) ‖
//	        the first 29 bytes of SHA-256 over all that
//	trust   "waypost/trust/1" (15) ‖ root key (32) ‖ number of certificates (2) ‖
//	        for each: length (2), certificate ‖ SHA-256 over all that (32)
//	known   "waypost/known/1" (15) ‖ number of nodes that were shut out (2) ‖ their ids (10
//	        each), sorted ‖ number of logs (4) ‖ for each: log (16), sequence (8), hash of
//	        its header (32), the log's key (32) ‖ SHA-256 over all that
//	locked  "waypost/locked-box/1" (20) ‖ Ed25519 seed (32) ‖ length (2), certificate of the
//	        locked node ‖ SHA-256 over all that
//	record  "waypost/record/1" (16) ‖ number (8) ‖ log (16) ‖ first (8) ‖ last (8) ‖ hash of
//	        the last (32) ‖ the log's key (32) ‖ HPKE encapsulated key (32) ‖ ciphertext
//	        (4096·k + 16) ‖ the first 8 bytes of SHA-256 over all that
//	letter  "waypost/letter/1" (16) ‖ number (8) ‖ id (16) ‖ HPKE encapsulated key (32) ‖
//	        ciphertext (4096·k + 16) ‖ the first 8 bytes of SHA-256 over all that
//
// The letter is HPKE (RFC 9180, base mode; DHKEM X25519 with HKDF-SHA256, HKDF-SHA256,
// ChaCha20-Poly1305), one message, its info "waypost/letterbox/1" ‖ deployment ‖ node ‖
// number ‖ id: so a letter is bound to one box and to its name. The plaintext:
//
//	offset size
//	     0    1 version, 1
//	     1    1 kind: 1 a household, 2 a head count
//	     2    8 wall time, Unix seconds
//	    10    1 1 when nobody had set that clock
//	    11    4 length of the body
//	    15    n body, of which this package knows nothing
//	            zeros, up to the next multiple of 4096
//
// The id is the first 16 bytes of SHA-256("waypost/letter-id/1" ‖ length of the form's
// key ‖ the form's key ‖ kind ‖ body). The same form sent twice is one letter; a form that
// was changed and sent again is another, because a locked box cannot ask which is right.
//
// A record is sealed like a letter, its info "waypost/record/1" ‖ deployment ‖ node ‖ its
// first 120 bytes, its plaintext version 1 (1) ‖ length (4) ‖ batch ‖ zeros.
//
// # The private half
//
// is derived from the storage key (HPKE DeriveKeyPair over a subkey), so there is no file
// of it to lose, and nothing is sealed to a key that is not there any more. The price: a
// letter is readable for whoever has the storage key and the old cells of the card it lay
// on, as long as those are not overwritten. It is overwritten before it is removed.
//
// # Limits
//
// 4,000 letters or 64 MB wait at most, and of those the last 500 are kept for somebody at
// the box itself; a letter's body has 32 KB. What does not fit is refused in a sentence:
// write it on paper.
//
// Of records 20,000 files or 256 MB wait at most, and none is taken in where the disk has
// less left than opening needs and 64 MB. Then the box asks for no more and says so.
//
// # Promises
//
//	acknowledged is on the card       TestACutAtEveryStep
//	a locked box cannot read it       TestOnlyTheBoxReads
//	nothing is dropped silently       TestBrokenLettersAreSetAside
//	the bytes stay the bytes          TestGolden
//	any bytes can be given to it      FuzzLetter, FuzzAddress, FuzzTrust, FuzzRecord, FuzzKnown, FuzzLocked
//	records come out as they went     TestRecordsComeOutAsTheyWent, script lockedmesh
//	nothing else gets in              TestRubbishIsNoRecord, TestAnotherHistoryIsNotTakenIn
//	acknowledged is on the card       TestRecordsSurviveAPowerCutAtEveryStep
//	and stays until it is merged      TestAPowerCutWhileRecordsAreMerged
//	it does not fill the disk         TestRecordsAreBounded
//	no key that signs lies there      TestALockedFolderHasNoSigningKey (package main)
package letterbox
