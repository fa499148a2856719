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
// An account belongs to one node: it signs in there and nowhere else. Somebody who works
// at several posts has an account at each, with keys of its own, and one person id that
// all of them name: they never count as two people. An account has an
// Ed25519 and an X25519 pair; the private halves lie in the sealed file
// "accounts" (and "accounts.2", see identity.SealedFile) of the data folder,
// wrapped under Argon2id of the passphrase, and are unwrapped for the time of a
// session. The file is the truth about who may sign in and in which role; the
// facts tell every node who wrote what. The file is written first and the fact
// second: a power cut in between leaves an account that cannot sign in and that
// adding it again replaces. A forgotten passphrase cannot be given back: a reset makes
// another account of the same person and switches the old one off.
//
// # Sessions
//
// Somebody signs in with their passphrase: once per device and restart, and after eight
// hours. A session that nobody used for 20 minutes rests: its private keys are wiped, and
// come back from a copy under a key that takes the device's own cookie
// (TestAPINWakesASession). After one minute what is sealed is closed, and the rest goes on
// (TestWhatIsSealedClosesAfterAMinute). A PIN of six digits wakes a session on the device
// it was set on, or the passphrase does where there is none. What a PIN is compared with is
// in this process's memory, under a key drawn at its start and the device's cookie: on no
// disk, in no fact (TestAPINLeavesNothingOnDisk). Five wrong ones end the session. A form
// that comes meanwhile is held and given back (Held).
//
// # Passkeys
//
// A passkey (W3C Web Authentication, level 3) does what a PIN does, on the device it was made
// on: it wakes a session that the passphrase began there since the box started
// (TestAPasskeyWakesASession, TestAPasskeyWorksOnItsDeviceOnly). It signs nobody in, is no
// hand in an Act, and no key is wrapped with it: the session's keys come from the same copy as
// after a PIN. The relying party is the parent name waypost.internal, so that one name serves
// all boxes; accounts belong to one node, so what is kept of a passkey stays there: no fact is
// written, and no other node can give somebody a passkey.
//
// The sealed file "passkeys" (and "passkeys.2") is CBOR {1: version 1, 2: [passkey]}, where a
// passkey is {1: account (8), 2: hash of the device (32), 3: credential id (at most 1,023), 4:
// COSE_Key (at most 1,024), 5: signature counter, 6: its maker may copy it, 7: made at, in Unix
// seconds, 8: kind of device, 9: refused}, at most 256 KB in all and eight of an account
// (TestThePasskeysFile, TestPasskeysAreFewAndPublic). All of it is public, and nothing can be
// guessed at by it. A passkey so outlives a restart, and opens nothing after it before the
// passphrase was typed on that device (TestAPasskeyAfterARestart).
//
// A question counts for one session, two minutes and one answer (TestAnAnswerIsTakenOnce).
// The user must be verified, the origin is the page's own, attestation is "none", and an answer
// of more than 16 KB is not read. Every wrong answer gets the same one and is one of the five
// wrong tries that PINs have too (TestWrongAnswersWakeNothing, TestTriesAreCountedTogether). A
// counter that goes back refuses the passkey for ever and says so (TestACounterThatWentBack).
// It ends with its person's word, with the session that a lead ends on that device, with a new
// passphrase, and with the account (TestWhatEndsAPasskey). The phone is told the account's
// random id and no name (TestWhatAPhoneIsAsked).
//
// # Guessing
//
// A name is guessed at ten times an hour, from however many addresses; a device on which
// its owner has signed in before, and this machine itself, count for themselves
// (TestGuessingANameFromEverywhere). A name, a badge and nobody at all take the same one
// passphrase stretched (TestKnownAndUnknownNamesCostTheSame). A badge only says whose it
// is; its code is made from the account's id.
//
// # What it writes
//
//	staff.enrolled     id, public keys, role, node, person, compartments, whose hands; open, so
//	                   that carriers know it too
//	staff.named        user name and site; in the register
//	staff.disabled     nobody signs in under this id any more; open
//	staff.undertaken   they signed the confidentiality undertaking, when and how; in the register
//	staff.key_issued   a bearer key: hash, role, name, end; in the register
//	staff.key_revoked  it counts no more; open
//
// and those of erasing people, below.
//
// All bodies are CBOR maps with small integers as keys, deterministic (RFC 8949
// section 4.2.1):
//
//	staff.enrolled     {1: Ed25519 key (32), 2: X25519 key (32), 3: role, 4: node (10)}, and in
//	                   version 2 5: {1: person (10), 2: [narrow compartments], 3: made by,
//	                   4: reset by}, where a hand is {1: account (8), 2: person (10)} or zeros
//	staff.undertaken   {1: version of the text, 2: Unix seconds, 3: on paper, 4: proof (16)}
//	staff.named        {1: user name, 2: site}
//	staff.disabled     {1: proof (16)}
//	staff.key_issued   {1: hash of the secret (32), 2: role, 3: name if any, 4: end in Unix
//	                    seconds, 5: node (10), 6: proof (16), 7: issued at, in Unix seconds}
//	staff.key_revoked  {1: proof (16)}
//
// # Whose word counts
//
// Every node of the deployment, also one whose words nobody has compared, can
// write a fact about any subject, with any clock. So:
//
// An account and a bearer key are named by their own content. The subject is the
// first ten bytes of SHA-256("waypost/staff/1" ‖ body of staff.enrolled), or of
// SHA-256("waypost/staff-key/1" ‖ body of staff.key_issued with a proof of zeros);
// a fact about another subject counts as nothing. So nobody can give an account
// other keys, another role or another node. A subject binds 80 bits: to make a
// second fact for a given subject takes about 2^80 hashes, 2^70 when any of a
// thousand will do. Its first eight bytes are the staff.ID that other facts carry
// as their actor. They bind 64 bits: with 2^64 hashes somebody could make an
// account of their own whose id in other facts reads as somebody else's. It would
// open no door. An actor in a fact is what the node that wrote it says, no proof.
//
// Who may come in at this node is for this node alone: its accounts are in its
// file, and facts about its keys, and about disabling an account and revoking a
// key, carry a MAC (HMAC-SHA256, its first 16 bytes) under a key only this node has. Nothing
// another node writes opens or closes a door here, and a node nobody has confirmed
// works by itself as any other.
//
// What another node calls its people is believed when the log that says so is
// that node's (WithAuthors) and somebody has compared its words; from then on also
// what it said before.
//
// # Erasing people
//
//	staff.erase_asked          one person wants somebody erased, with their signature and why;
//	                           about the person, in the register, so that it goes with them
//	staff.erase_declined       the request is off the list
//	staff.erased               two people's signatures on who is erased; open, like the next three
//	staff.erase_withdrawn      somebody took it back
//	staff.erase_countersigned  an issuer's word: final
//	staff.erase_done           the node whose log it is has destroyed the payloads
//
// A statement is {1: nonce (16), 2: subjects, 3: hashes of their cards, 4: true for a sealed
// file}; a signature is
// {1: body of staff.enrolled, 2: Ed25519 (64)} over "waypost/staff-signature/1" ‖
// "waypost/erase/1" ‖ deployment ‖ statement. The body of staff.enrolled travels along,
// so that the signer's id is bound to the key without asking anybody.
//
// What a fold checks, on every node alike: both signatures, two different accounts and
// keys, that the subject is no account and no node's own, an issuer's word down to the root.
// That hides and shows. What each node judges for itself before it destroys anything:
// that both accounts may erase and are of nodes whose words were compared, that the
// node that wrote it is one, and that it keeps to EraseCap. Where that fails the person
// is hidden, a lead is told, and only an issuer's word destroys. One lead takes an
// erasure back, which loses nothing, until an issuer signed; the command also refuses
// once a node has said that it is done, but a withdrawal that crossed with it wins where
// the payloads still lie, and the others fetch them back from there.
//
// A sealed file is erased by the same fact, by somebody who signs for files and a lead or
// coordinator, as an act (AskFileErasure): the signatures are over the act "erase-file" of
// the statement, so that they are none for a person. Such a statement destroys narrow ops
// alone, and one about a person never does (TestAFileErasureDestroysNobody).
//
// The sealed file "erasures" counts how long this node has run, and since when it has
// known of each erasure. Without it every wait begins anew.
//
// # What two people agree to
//
// An act (Act) that no single person may do is asked for by one and done by another, each
// with their own signature over "waypost/staff-signature/1" ‖ "waypost/act/1" ‖ deployment ‖
// CBOR [purpose, body]. Both signatures (Hand) travel in the fact that says it was done, so
// that every node can judge them (CheckHands). Neither of the two may have made or reset the
// other's account, under any account of theirs, and they must be two persons
// (TestOnePersonAtTwoPosts). Nobody of a node that was shut out, and nobody whose account
// ended, is one of the two from then on; an act may be for some accounts only, and nobody
// else hears of it (TestAnActForAFew); what two agreed to before stays agreed to
// (TestASecondPersonOfALostNode). What waits is kept in memory only. Not held off: a lead who
// makes two accounts for one accomplice.
//
// A desk that takes one person's word where there is nobody else asks Alone, which counts
// whoever could agree here now (TestWhoIsAlone). Not held off: a lead who ends the second
// person's account first; that is written down.
//
// # Who looked
//
//	staff.looked  somebody saw people: {1: "open", "print", "list" or "taken", 2: true for a program's
//	              call, 3: the people, 4: how many names a list showed}; in the register
//
// Whoever shows people in full asks Looking first, which writes the fact (about 260 bytes
// in the journal, one flush) and then answers; the same reader and person are written once
// an hour. Lists of names are counted, not named: the first of an hour is written, then
// every 200 names. A sealed file that is handed over is written without whose it was
// (TakingOut). The subject is a fresh id each time. Nobody at a site can take a look
// back: facts are only added, and erasing a person leaves them (the id that stays says
// nothing). Where the journal takes no writes, reading goes on and the looks wait in memory;
// who pulls the power then has read without a trace. A node that was tampered with writes
// what it likes: a look is what the node of its log says.
// (TestLooksAreFactsOnceAnHour, TestListsAreCountedNotNamed, TestReadingGoesOnWithoutAJournal)
//
// The same call counts how fast each account and key reads (velocity.go): beyond 30
// different people or 1,500 names within an hour whoever has SeeReads is told, beyond 120
// or 6,000 the reader is sent to their lead, who lets them go on for an hour. Cards that
// somebody holds out and people one has just registered do not count. Leads and
// coordinators are told about later and never stopped, and settle nothing about themselves.
// (TestWhoeverReadsTooFastIsToldAbout, TestPagingThroughEverybodyStops)
//
// # Narrow compartments
//
// Narrow names what the site's own key does not open. Which of them an account works in is
// its role's and what it was given (Actor.Opens); what it can read there is what was sealed
// to its key. A lead reads none.
//
// Directory is who could be sealed to: accounts of this node and of nodes whose words were
// compared, as long as a log of their own node named them. A session lends its X25519 key
// (Session.WithSealKey) and keeps it; for what two people do together each of them has an
// open session (OpenSession).
//
// What it never holds: a passphrase, or anything that could be used to guess one
// at another node.
package staff
