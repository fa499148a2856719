// Package oplog keeps the facts: a signed, hash-chained journal of ops per node,
// and views folded from them. One writer appends, flushes once for a group of
// commands, and then commits the views; a peer's batches are verified completely
// and go the same way; when they come in bulk their ops are folded together, a moment
// after they are durable and beside the writer when they are many (Options.Later).
// Numbers are big-endian; uvarint is that of encoding/binary, in its shortest spelling.
//
// # An op
//
// The hash of an op is SHA-256 over
//
//	"wpo1" ‖ log (16) ‖ sequence (8) ‖ clock (8) ‖ subject (10) ‖ compartment (1) ‖
//	area (2) ‖ epoch (4) ‖ count (1) ‖ count × (log (16) ‖ sequence (8)) of the ops it
//	takes the place of ‖ hash of the op before (32, zero for the first) ‖ digest (32)
//
// with digest = SHA-256(salt (16; not in the deployment compartment) ‖ payload). The
// end of a batch is signed with Ed25519 over "waypost/head/1" ‖ deployment (16) ‖
// log ‖ sequence ‖ hash.
//
// # A payload
//
// Its content is deterministic CBOR (RFC 8949 section 4.2.1), an array of seven:
// kind, version, actor (8 bytes or null), wall time in Unix seconds, whether that
// clock was unsure, idempotency (16 bytes of key and, unless the key is made of the
// request, 8 of request; 8 bytes of key where the other 8 are zero; or null), body. It is packed
// behind a form byte: 0 is the content as it is, 1 a single-
// segment zstd frame (RFC 8878) with dictionary 1, its magic and dictionary id
// left out, 2 the content squeezed under model 2 (below). What is written open has no form 2.
//
// In the register compartment it is sealed with XChaCha20-Poly1305
// under the key of its area and epoch. The nonce is salt ‖ sequence, the
// associated data "waypost/payload/1" ‖ deployment ‖ the fields of the op's hash
// from log to the references.
//
// In the narrow compartment (3) a desk has sealed it before it comes here: it is stored as
// it was given, of 1, 4, 16 or 64 KB. Area and epoch are 0 and it has no references, so that
// a header says a random subject and nothing else; another op of it is not understood. The
// views keep it as content of the kind "sealed", version 1, by nobody, at 0, unsure, its
// body the payload as a byte string; the same in another compartment is not understood.
//
// # Form 2
//
// The size of the content, one byte, or FF and the size as uvarint when it is 255 or more;
// then the code of a range coder, most significant byte first, without the zeros at its
// end, which stand behind it as many as are read. The coder has 32 bits: low = 0, width =
// 2^32-1. For each byte x of the content, T being the table of its context, of numbers
// T[0] = 0 to T[256] = 2^14:
//
//	width = width >> 14; low += width × T[x], a carry goes into the bytes before;
//	width *= T[x+1] - T[x]; while width < 2^24: the upper byte of low is put out, low <<= 8, width <<= 8
//
// At the end the number within [low, low+width) that has the most zeros at its end is put out.
//
// The context of a byte is a space and two bytes a, b. Space 0 is the first byte of a CBOR
// item; a and b are the two such bytes before, 60 for that of any text. Space 1 is the
// argument of 1, 2, 4 or 8 bytes behind a first byte: a is that byte, b how many are to come. Spaces 2
// to 5 are text: 3 when it begins with a to z, 4 with 0 to 9, 5 with "+", else 2; a and b are
// the two bytes before; of its first byte, which is in space 2, a is 0 and b the first byte of
// the item before; of its second, a is that byte. A byte of a byte string has 2^6 numbers, whatever its
// value. Items of no definite length are taken as items without content.
//
// model2.bin has the tables: three levels, each uvarint count ‖ count × (uvarint step from
// the context before ‖ uvarint n ‖ n × (byte ‖ weight)). A context is space << 16 ‖ a << 8 ‖ b,
// a and b zero in the first level and a zero in the second; a level stands for all contexts
// that differ from it in what it does not know, until a later one says otherwise. With B the
// table that stood there before (in the beginning 64 numbers for each byte), a byte has the
// weight 2^14 × its own + n × (B[x+1] - B[x]), and 1 + weight × (2^14 - 256) / sum of all
// weights numbers, rounded down; what is left of 2^14 goes to the first byte of the largest weight.
//
// # A batch
//
//	"WPB" 01 ‖ log (16) ‖ uvarint first sequence ‖ hash before it (32) ‖
//	uvarint count ‖ count ops ‖ signature (64)
//
// and each op in it
//
//	flags (1) ‖ uvarint clock step ‖ subject (10) ‖
//	flag 1: compartment (1) ‖ uvarint area ‖ uvarint epoch, else as the op before ‖
//	flag 2: salt (16), else as the op before ‖
//	flag 4: count (1) ‖ references: uvarint how far back in this log, or 0 ‖ log ‖ uvarint sequence ‖
//	flag 8: digest (32), for an op whose payload is gone, else uvarint length ‖ payload
//
// Between two nodes that both know it, never in a file, a batch may come packed:
//
//	"WPB" 02 ‖ log (16) ‖ uvarint first sequence ‖ hash before it (32) ‖ uvarint count ‖
//	flags (1): 1, tags are left out ‖ uvarint length ‖ columns, a zstd frame ‖
//	count × subject (10) ‖ the payloads ‖ signature (64)
//
// The columns are, of all ops one after the other: the flags; of those with a payload the
// lowest byte of its length, and then as uvarint what is above; the clock steps as uvarint;
// and what else stands between subject and payload above. Where tags are left out the
// payloads of the register compartment are without their last 16 bytes, which whoever has
// the key computes from the rest (RFC 8439 section 2.8); the chain says whether they are right.
//
// An op whose payload is gone says no salt (flag 2); the next one follows the last
// that was said. In the deployment compartment no payload ever goes.
//
// # Limits
//
// A payload has at most 64 KB of content, an op 255 references, a batch 1,000 ops
// and 1 MB. A packed payload of n bytes opens to at most 1 KB + 4 n; the writer
// stores what would pack better as it is. Length is read from the frame, or stands before the
// code, before anything is opened, so a whole batch never opens to more than 5 MB. Merge
// refuses a batch with a payload beyond that; a node without the key cannot see
// it and forwards it, and where it is found later it is kept and not understood.
// The bound is on the payload so that it holds for batches that anybody joined.
// Merge opens one batch at a time; a rebuild by transactions opens 4 MB and the
// batch that goes beyond, one by sorting keeps twice 4 MB a goroutine and writes what is
// more to a temporary file.
//
// # Files
//
// A segment NNNNNNNN.wpj is a header, "WAYPOSTJ" ‖ format 1 (2) ‖ deployment (16) ‖
// number (8) ‖ CRC-32C (4), and frames. A frame is F757504A ‖ length (4) ‖ index (4) ‖
// CRC-32C of what follows the header (4) ‖ CRC-32C of these 16 bytes (4), and
// ChaCha20-Poly1305 under the segment's key: nonce 8 zeros ‖ index (4), associated
// data "waypost/frame/1" ‖ deployment ‖ number (8) ‖ index (4). Inside, the first
// byte says what it is: 1 batches, each behind its length as uvarint; 2 a clean
// stop: log ‖ sequence (8) ‖ hash (32) of every head; 3 evidence of a fork: our hash
// (32) ‖ the other batch; 4 how far every log was held when the segment began, as in 2,
// the first frame of a segment; 5 ops that the journal lost, as the views had them, each
// subject ‖ uvarint length ‖ as in the view store: applied where the op is not held,
// never sent as it is, gone with the next rewrite after it is held again. Of who was
// erased they have no payload.
//
// keys, keys.2 and keys.3 are alike: a head, "WPK" 02 ‖ generation (8) ‖ uvarint count ‖
// count × (uvarint segment ‖ uvarint size, 0 while it is not finished) ‖ nonce (24) ‖
// XChaCha20-Poly1305 under the storage key, associated data "waypost/journal-keys/1" ‖
// deployment ‖ the head up to the nonce, of the CBOR array [generation, own log, next
// segment, [[segment, key, size, rewritten]…], [[segment, new file, file aside]…],
// [[file, segment, key, what was wrong, Unix seconds]…]] ‖ CRC-32C (4) of all before.
// They are written in this order, each flushed before the next; the newest that opens
// is right. Form 01 has no head but the magic, no checksum, and three items.
//
// NNNNNNNN-G.new is a segment being rewritten and takes the place of its number when
// the keys say so; damaged/ holds the newest 64 MB of files that were set aside.
//
// rebuild-*.tmp is there for a moment when the views of many ops are made anew: ops
// and rows while they are sorted, sealed under a key that was never written down. The
// name is taken away as soon as the file is open.
//
// # Damage
//
// What cannot be read is found at open, which reads everything, by a scrub that takes a
// day for a pass, by a check, a rebuild, and whoever wants to read it. The segment is
// then rewritten with what is sound of it under a fresh key, and the old file set aside.
// Chains go back to what is contiguous, so that the exchange asks for the rest. What is
// below the head a log is known to have had (frames 2 and 4, head rows of the views) and
// is not held is lost and reported (Losses) until it is back. Ops that only the views
// have are written down first (frame 5). Where the own log was hit a new one is opened.
// Keys of files aside are kept so that somebody can look at them; an erasure destroys
// both.
//
// What lies behind a hole no other node can take, nor what only the views had. When no
// other node fills a hole in a log of this node's within ten minutes, both are written
// again under the new log (Rescue), as in the next section, with "stranded" as their
// history; what was saved from the views is no longer lost then. Of other nodes' logs
// nothing can be written again.
//
// # Two histories
//
// A folder that was copied, or an old copy of it put back, can write numbers of its log
// out a second time before anybody tells it. Both are signed; no node can hold both,
// because an op is known by log and sequence: the first that came stays, a batch of the
// other is kept as evidence (frame 3), and the log is written no more. The node that has
// the key writes the ops of both again under its new log (Rejoin), each inside an op of
// the kind oplog.carried, version 1, in the compartment and about the subject it had:
//
//	[log, sequence, history (8), clock, references, [birth of that log, birth of this one],
//	places, kind, version, body]
//
// with the actor, time and idempotency key of the op that was. The births show that it is
// one node; otherwise the op is not understood. places is null, or where earlier copies of
// the op were in logs that parted as well: up to 16 of [log, sequence, history, birth].
// history is the first 8 bytes of the hash of that history's first op that the other does
// not have. Folds see the op that was, with its clock, under the name of its new place:
// the smallest of those it was written again at that no later copy names among its places,
// and no more at the place where it was first, on nodes that hold that one.
// References follow: of a carried op to the ops of its own history, of others to the
// only op about the subject that had that name; where both histories had one about the
// same subject, to none, so that nothing is hidden.
//
// An op of the narrow compartment is written again as it is, with a new clock. A node that
// holds both places has it twice; whoever opens it knows it by its bytes.
//
// # Witnesses
//
// Where the node that has the key does not do that, those who hold a history do, each its
// own half from the parting on (Testify, witness.go), once a signed batch shows where that
// is (Prove, Parting). The kind is oplog.carried, version 2; the bytes are those of version
// 1. It is understood only in the register compartment, of kinds that are not bound to
// their writer (Kind.Bound), where every log it names was born in this deployment, whoever
// wrote them. What is in another area than the witness writes in is not carried out of it.
// A copy is held back where it is, and wherever the ops it names were: by the author that
// the birth proves. It is released by the old place. To folds, copies by whomever are one op.
//
// Of a sealed op a witness says in the open, about the same subject and right before the
// copy, what it is a copy of, by the kind oplog.sealed_again, version 1, without an actor:
//
//	[number of the copy in this log, log, sequence, birth of that log]
//
// and the copy is held back when the op was. Facts of the deployment compartment are moved
// by nobody but their writer.
//
// # Promises
//
// Each with the test that holds it, here unless a package is named.
//
//   - What was answered is on the disk: TestNothingAcknowledgedIsLostInAKill,
//     TestWhatWasAnsweredIsThereAfterAReopenWithoutItsViews.
//   - A torn end costs only what was not answered: TestEveryTornLengthOfTheLastFrameCostsOnlyThatFrame.
//   - After a failed flush nothing more is written: TestAFailedFlushMakesTheNodeReadOnly,
//     TestAFlushThatFailsStopsWhatArrivesToo.
//   - A changed byte anywhere is found and never served: TestAFlippedByteAnywhereIsReportedAndTheRestServed,
//     TestRotInARunningJournalIsFoundSetAsideAndFetchedBack.
//   - What is damaged comes back from one healthy node, without a restart and by itself:
//     TestAClosedFolderIsMendedAndRefilled, mesh TestARunningBoxGetsBackWhatRotted, script rot.
//   - What a damaged log of this node still has, or its views have, reaches nodes that join later, each op once:
//     TestWhatNoOtherNodeCouldHaveIsWrittenAgain, TestAnyDamageIsRescued, script alone.
//   - The loss of the end of a log is known, also without views: TestAClosedFolderIsMendedAndRefilled.
//   - The views are never thrown away while they hold the last copy: TestWhatOnlyTheViewsHoldIsKept.
//   - An old file put back is noticed: TestAnOldCopyPutBackIsNoticed.
//   - No number of an own log is given out twice: TestDamageIsFetchedBackFromAPeer, TestViewsAheadOfTheJournal.
//   - Any two of three key files may go: TestAClosedFolderIsMendedAndRefilled.
//   - A rewrite may be cut anywhere, and its old keys are nowhere: TestARewriteMayBeCutAtEveryFileOperation,
//     TestARewriteDestroysTheOldKeys.
//   - The same ops give the same views in any order: TestThreeNodesAgreeInAnyOrder.
//   - Nothing answered is lost, doubled or halved by kills, power cuts, writes that are torn and reordered, or
//     a file operation that fails, and none of them is called damage: package torture TestKill, TestPowerCut,
//     TestLossy, TestEveryOperation, TestMendingIsCutOff.
//   - What a kill left unflushed is flushed before anything is built on it: torture TestLossy.
//   - Whatever file of a folder rots: said, or harmless, and mended by one neighbour: torture TestRot.
//   - Wrong clocks delete and reorder nothing: torture TestClock.
//   - What two boxes with one folder wrote before they met is at every node, each op once, also when one of them is
//     no more: TestBothHistoriesOfACopiedFolderAreEverywhere, TestAnOldCardPutBackGivesAndGetsWhatWasWritten,
//     mesh.TestTwinsThatWroteApart, script clone.
//   - Where its writer does not, nodes that hold a history each bring both everywhere, each op once, whichever of
//     them speak: TestWitnessesBringTwoHistoriesEverywhere, TestAWitnessIsEnough, TestTheOwnerComesAfterTheWitnesses,
//     TestWitnessesCarrySealedOps; a place that was proved is remembered: TestThePartingIsRemembered.
//   - Nobody gets past a cut in a witness's copy, a witness's own end takes its copies along, and what rests on who
//     says it stays: TestCopiesByWitnessesAreHeldBackWithTheirOp, TestWhatAThiefCarriesGoesWithIt,
//     TestWhatNoWitnessMoves, TestWitnessesLeaveWhatIsOpen, FuzzWitnessed, TestGoldenWitnessed.
//   - What came in bulk is durable when Merge returns, in the views a moment later, before somebody's command when it
//     is little, and after any end: TestWhatArrivesIsFoldedLater, TestACommandSeesWhatArrived, TestWhatIsLateOutlivesAnEnd, torture TestLossy.
//     When it is much nobody waits for it, what is written meanwhile is shown and counted once, and whoever needs the
//     whole gets it: TestNobodyWaitsWhileMuchIsLate, TestAPieceAtATime, TestWhoNeedsTheWholeWaitsForIt,
//     TestMakingAnewMayFail, TestRotWhileMakingAnew, TestWhateverIsLate.
//     No backup, check, suspension, rebuild or repeated request looks past it, it is shown soon though it never stops
//     coming, and neither rot nor a full disk in between loses it: TestNothingLooksPastWhatIsLate,
//     TestAKeyIsKnownThoughItIsLate, TestASlowLinkIsFoldedAllTheSame, TestRotBeforeTheFolding, TestAFullDiskKeepsWhatIsLate.
//   - Programs on every machine read form 2 alike: TestTheModel, TestGoldenSqueezed, TestWhatIsSqueezedComesBack, FuzzExpand.
//   - However a batch is spelled on its way, the same bytes are kept: TestAPackedBatchComesBackAsItWas,
//     TestAnOpWithAWrongTagTravelsWithIt, TestNodesOfEveryKindGetPackedBatches.
//   - Views that are being filled are shown to nobody, so nobody looks as if they were not here:
//     TestNobodyReadsViewsThatAreBeingFilled, torture TestFullDisk.
//   - Lists and search know everybody who was answered for, whatever became of the views meanwhile:
//     TestHooksHearWhatTheViewsGotLater, TestHooksHearOfEverybody, registration.TestTheIndexOutlivesViewsThatCannotBeRead,
//     registration.TestTheIndexIsFilledAgain.
//   - Sealed ops go through nodes of every kind unchanged, survive damage and partings, and their headers say nothing
//     but a random subject: TestNarrowOps…, TestGoldenNarrowOp, TestWhatIsNoNarrowOp.
//   - What is damaged is named, also when it is mended: torture TestRot, identity TestOneDamagedCopyIsMended.
//   - What a record is made of, and what lies behind a place in a log, says nothing of sealed files and nothing that is
//     held back: TestWhatARecordIsMadeOf, TestWhatIsHeldBackIsNoPartOfARecord, TestSealedFilesAreInNoRecordAndNoStretch.
//   - A damaged view file never ends the process: torture TestRot, badgerstore.TestDamagedStoresAreMadeAnew.
//
// # Erasure
//
// One view may know erasures (View.Erases): from facts of the deployment compartment
// about a subject it tells whether the subject was erased, and whether an issuer has
// made that final. From then on no other view has rows of it, Reader.Ops gives those
// facts only, and its idempotency keys are gone; taken back, all is there again.
// Payloads stay where they are, sealed and hidden, until Log.Erase takes them away:
// every segment with one is rewritten under a fresh key, evidence of forks and
// salvaged ops included, files set aside as damaged go with their keys, and the views
// are thrown away with their files. What arrives for a subject that is final, or
// whose payloads are all gone here, is stored without its payload.
//
// A payload that is gone without an erasure is kept as it is and counted: the facts
// may come later, or a peer lies. Check names it, Wanting lists it, and any batch
// that has the payload fills it, written again as a frame of its own: of two
// batches with the same ops the one with all payloads counts.
//
// Promised, and by which test: the same rows in any order of the facts
// (TestErasedInAnyOrder; signed ones, staff.TestErasuresInEveryOrderOfLogs); rows, ops and
// keys gone at once and back when taken back (TestAnErasedSubjectShowsNowhere); no
// planted word in any frame or table afterwards, opened with every key there is
// (TestErasingLeavesNothingInAnyFile); finished after a cut at any file operation
// (TestDestroyingMayBeCutAtEveryFileOperation); nobody brought back by a peer with an
// old copy (TestAnOldPeerBringsNobodyBack); nothing lost to a peer that leaves payloads
// out (TestAPayloadThatIsGoneIsWanted, mesh.TestPayloadsThatAreGoneAreFetched).
//
// # Held back
//
// An Authority that is a Warden, and later Log.Hold, say which ops do not count for now,
// by author and place. They are stored, chained and passed on as all others; no fold,
// Reader.Ops or idempotency key knows them. When that changes, each subject of an op
// concerned is folded again. The digest of the Holding is part of the schema in the state
// row, so views made under another one are made anew. The birth of a log always counts. A
// HereHolding holds back more of a log here than of copies of it elsewhere, where this node
// has the history of it that does not count.
//
// Ops under a key that is not here are kept and passed on; KeysChanged opens and applies
// those whose key has come, without a restart.
//
// # The view store
//
//	m                                   state: position in the journal and counters
//	h ‖ log                             [sequence, hash] that is applied
//	o ‖ subject ‖ chunk (4)             its ops, opened: uvarint length ‖ log ‖ uvarint sequence ‖ uvarint
//	                                    clock ‖ flags: 1 not understood, 2 payload gone, 4 sealed, 8 narrow ‖
//	                                    count ‖ references ‖ content
//	w ‖ log ‖ subject                   a witness carries an op of the subject that was in that log; 01
//	x ‖ subject                         [erased, final, payloads kept, payloads gone]
//	n ‖ idempotency key (16)            [clock, op, subject, hash of the request]
//	t ‖ transaction modulo 4096 (4)     its number, to find a hole
//	v ‖ length ‖ view ‖ row key ‖ subject   a row
package oplog
