// Package sealed is the narrow compartments: files that only the people who work in them
// read. Not the site, not its lead, not whoever holds the box and every key of it.
//
// # What it keeps, and where
//
// The ops of a file lie in oplog's Narrow compartment: a random subject, ciphertext of one of
// four sizes, nothing else. Views hold that ciphertext and where it is. Everything a page
// shows is opened for that question, with the keys of the person's own session, and is
// forgotten with the answer: the desk has no cache, so nothing has to be taken out of one
// when somebody signs out. What Go's collector has not overwritten yet lies in memory for
// a while; that is not promised away.
//
// A person's list (which files are theirs, the files' keys, state and deadline) lies in the
// folder "sealed", sealed to that person: the file's name and key are made of their X25519
// key (HKDF "waypost/sealed-list-name/1" and "waypost/sealed-list/1"), its size is 4 KB
// doubled until it fits. It is never needed; one that does not open is made anew.
//
// # Facts
//
//	sealed.epoch_begun   the keys of a compartment from now on; open; about
//	                     SHA-256("waypost/sealed-compartment/1" ‖ name) cut to 10 bytes
//	sealed.seed_given    the seed of an epoch for one account; open; about that account
//	sealed.share_given   a share of the officers' key for one officer; open; about that account
//	sealed.glass_broken  two officers opened something; open; about a random id
//	sealed.handed_over   two people gave a file to somebody outside; open; about a random id
//	sealed               an entry of a file; see oplog.Sealed
//
// Bodies are CBOR maps with small integers as keys, deterministic (RFC 8949 section 4.2.1):
//
//	sealed.epoch_begun  {1: name, 2: epoch, 3: X25519 (32), 4: Ed25519 (32), 5: officers' X25519
//	                     (32; zeros: none), 6: officers (8 each), 7: hash of the epoch before (32),
//	                     8: the seed for the officers (HPKE), 9: who began it (8), 10: an issuer's
//	                     word, or Ed25519 by the epoch before (64), 11: Ed25519 by who began it (64),
//	                     12: where it has other officers than the one before: {1: first hand, 2: second
//	                     hand, 3: SHA-256 of each share, 4: HPKE of the officers' key before}}
//	sealed.seed_given   {1: hash of the epoch (32), 2: HPKE of the seed (80)}
//	sealed.share_given  {1: officers' X25519 (32), 2: HPKE of CBOR [index, scalar (32)], 3: an issuer's
//	                     word for "waypost/sealed-share/1" ‖ deployment ‖ officers' X25519 ‖ account (10) ‖
//	                     SHA-256 of 2; none where 3 of 12 above has that}
//	sealed.glass_broken {1: hash of the request (32), 2: first hand, 3: second hand}
//	sealed.handed_over  {1: hash of the request (32), 2: SHA-256 of the parcel (32), 3: first hand, 4: second hand}
//
// The hash of an epoch is SHA-256 of its body without 10 and 11; signed is
// "waypost/sealed-epoch/1" ‖ deployment ‖ hash. HPKE (RFC 9180) is base mode with
// DHKEM(X25519), HKDF-SHA256 and ChaCha20-Poly1305; its info is "waypost/sealed-seed/1" ‖
// deployment ‖ hash ‖ account (10), "waypost/sealed-share/1" ‖ deployment ‖ officers' key ‖
// account (10), "waypost/sealed-for-officers/1" ‖ deployment ‖ X25519 key of the epoch,
// "waypost/sealed-officers-before/1" ‖ deployment ‖ officers' key before ‖ officers' key.
//
// # Keys
//
// An epoch of a compartment has a seed of 32 bytes; HKDF-SHA256 makes of it an X25519 key
// ("waypost/sealed-seal/1"), which what is passed on is sealed to, and an Ed25519 key
// ("waypost/sealed-sign/1"), which signs the next epoch. Who holds the seed is who was given
// it by somebody who held it; first by the issuer's word, once. Nobody can tell this desk
// which key to seal to but (see compartment): a node whose words were compared and that is
// not shut out, with an issuer's word, or with the key of the epoch before and the hand of
// an account that may have the compartment, at its own node and before that node said that
// the account ended. So neither a node that was let in nor somebody who left with the seed
// moves what is passed on. Two that cross: the one more issuers' words lead to, then more
// changes of officers, then the higher number, then the smaller hash is in use on every node,
// both open what was sealed to them, and whoever holds a key is told.
//
// The officers' key is X25519 of HKDF(scalar, "waypost/sealed-officers/1"); the scalar of
// ristretto255 is split so that two of its 2 to 5 shares give it back (circl/secretsharing).
// It is whole for the moment in which two officers, both signed in at one node, agree.
//
// Two of the officers put others in their place (AskTurn): they sign the act
// "change-officers" of CBOR [key before, key, officers, SHA-256 of each share], and the key
// before, whole for that moment, opens the seeds that sign the next epoch of every
// compartment. Such an epoch counts by both hands, of officers before who had not left, and
// by the hand of the second at their own node. The key before is wrapped to the new one, so
// an emergency opens what nobody opened since; a file gets a key wrapped to the new officers
// with its next entry, which a look is too. Two of the officers before, with their shares
// and a copy of the ops, open what was written until then.
//
// # A file
//
// An entry from outside is described at entry.go. Its content is CBOR [record, Ed25519 of its
// author (64)], the signature over "waypost/staff-signature/1" ‖ "waypost/sealed-entry/1" ‖
// deployment ‖ file ‖ record. The record is a CBOR map {1: compartment, 2: kind, 3: version,
// 4: author, 5: Unix seconds, 6: unsure, 7: clock, 8: last entries seen (16 each), 9: name of
// the key it is under (16), 10: body, 11: whom that key is wrapped to, 12: the keys before it,
// 13: to which officers: the first 8 bytes of their key}; 11 to 13 only where a key begins.
// So whoever has the key of a file writes in nobody else's name, and no entry counts in
// another file or under another key. What nobody may have written is left out and counted,
// and who reads the file is told the number. Entries are in the order (clock, id); one that
// is there twice (see oplog) is one.
//
// What is passed on (TakeIn) is a file that nobody works in yet: its key is wrapped to the
// compartment and the officers, its one entry is not signed. Where the group of a file
// changes, the entry that says so is still under the old key, and a further one begins a
// key for the new group, the older keys inside: whoever is off reads that they are, and
// nothing after it. A key is used as long as it is wrapped to exactly who works in the file
// and hands on every other key its writer has: so keys that began apart come together.
//
// What waits under an epoch that ended is sealed anew by the next holder who opens their
// list, and listed as perhaps read by whoever left; the same for accounts that ended in the
// group of a file.
//
// # Handing over
//
// Somebody who works in a file asks (AskHandOver): the parcel is made and closed at that
// moment, of the age format (age-encryption.org/v1), with five words (scrypt, 2^15) or to a
// receiver's X25519 key. In it is a zip archive with record.json (see Handed) and papers as
// people read them. Both people sign, as an act (staff.Act), hash of the request ‖ SHA-256
// of the parcel: the very bytes that leave. The request is a CBOR map {1: file, 2:
// compartment, 3: to whom, 4: basis, 5: agreed, 6: why not asked, 7: the receiver's key, 8:
// SHA-256 of record.json, 9: number of the receipt (10), 10: nonce (16)}, and lies in the
// entry handed_over alone: {1: request, 2: SHA-256 of the parcel (32), 3: first hand, 4:
// second hand}, written by the first. The second is in the file, an officer, or a holder of
// the keys in use, which is asked again when they agree; a reader, who knows neither keys
// nor the list of that day, asks for both hands, that the first worked in the file, and that
// the role of the second reads the compartment or is an officer's. Entry and open fact are
// one command, on the disk before the first byte leaves. Parcels lie in memory, closed, at
// most 12 of 4 MB; their words until the second person was shown them; an hour of them is 5
// a person.
//
// # Erasing
//
// A file is erased by the fact that erases people (staff.erased), about its subject and
// those of what was put into it, by somebody in it and a lead or coordinator. Nothing of it
// lies in the register. See staff.AskFileErasure.
//
// # Promises
//
//   - Only holders read what is passed on, also not who wrote it: TestWhatIsPassedOnIsReadByThoseWhoHoldTheKeysAlone.
//   - Of 50 names in notes none is in any op opened with every key of the vault, row, file or log line; no register id
//     is in a narrow header: TestNothingOfASealedFileIsAnywhereElse.
//   - Sizes are the four: TestEntriesHaveFourSizesAndTellNothingElse.
//   - A node that was let in moves no intake: TestARogueNodeMovesNoIntake; nor does who left: TestWhoLeftBeginsNoEpoch.
//   - Who left, or was taken off, reads nothing new: TestWhoLeftReadsNothingNew, TestSomebodyTakenOffReadsNothingNew.
//   - Officers change by two of those before, and by nothing less: TestTwoOfficersPutAnotherInThePlaceOfOneWhoLeft,
//     TestNobodyElseChangesOfficers; one who holds the keys undoes it nowhere: TestAHolderAloneUndoesNoChangeOfOfficers.
//   - One officer opens nothing; two, with a reason, and everybody concerned is told: TestTwoOfficersOpenAFileInAnEmergency.
//   - A read that cannot be written down is refused: TestALookIsWrittenBeforeAnythingIsShown.
//   - Nobody hands a file over alone, and who has the words has no parcel: TestAFileIsHandedOverByTwo,
//     TestNobodyHandsAFileOverAlone; what leaves is what both signed, once and in time: TestAParcelThatIsNotTaken;
//     hand-overs nobody signed are on no list: TestHandOversThatNobodySigned; nothing of one stays on the disk:
//     TestAHandOverLeavesNothingBehind.
//   - Two erase a file: hidden at once, taken back by a lead, destroyed with what came late, nothing else along:
//     TestTwoPeopleEraseAFile, TestTheOnlyFileIsListedAgain, TestWhatIsErasedIsDestroyedAndStaysGone, TestErasingTakesNothingElseAlong.
//   - Forged entries are left out: TestWhatNobodyMayHaveWrittenIsLeftOut, FuzzEntry.
//   - Views do not depend on order: TestFactsDoNotDependOnOrder; files come together: TestEntriesWrittenApartComeTogether.
//   - A list that is damaged costs nothing: TestTheListIsNeverNeeded.
//
// Not promised: that nobody guesses from times, counts and sizes that files exist, or that
// somebody works in them (their list lies on the disk, under a name that says nothing; the
// open facts say which accounts were given a seed and who the officers are); that a person
// who could read something forgets it; that a lead who makes an account for a caseworker who
// does not exist is found out by this program and not by those who give it access; anything
// against a box whose program or memory was tampered with while somebody was signed in; that
// nobody who has the ops of a node sees by their places which file an open fact of a hand-over
// or an emergency is about, and so one number of a file with two accounts; that
// a receiver keeps to what they signed for, or that two people who agree to it do not hand
// over what they may read; that two accounts of a node that was let in do not hide a file
// whose number they know (a lead takes it back, nothing is destroyed); that copies of the
// ciphertext in old backups go with an erasure.
package sealed
