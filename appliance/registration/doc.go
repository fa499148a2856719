// Package registration is the desk for people and households: who is here, who
// belongs together, and what somebody said about themselves.
//
// # What it knows
//
// Names as they were written, in any script; sex, birth date or age, nationality,
// languages, a phone, documents, parents' names, where from and where to, practical
// needs, consent, notes, a photo. Or, of somebody nobody can name, a description.
//
// # What it never stores
//
// Why somebody fled, what was done to them, whether they are protected, screened,
// traced or alone: such facts have desks of their own, sealed to the people who may
// read them. The list of needs is closed (Needs) for that reason. Of a photo, nothing
// the camera wrote beside the picture: where somebody stood can cost their life.
//
// # What is passed on instead
//
// sensitive.go has the codes that belong to a narrow compartment, and what other lists and
// four languages call them. Every command takes them out of what it was given before
// anything else looks at it (divert): out of needs, of sex, relation, purposes and types
// that are words of somebody's own, two-part codes out of notes, and out of any column of a
// list. What was taken out, and what a form has to tell the protection team (Aside), goes
// to the Intake first, under the id the person is about to get, and then the rest is
// written. Promises:
//
//   - nothing of it is in a fact, a row, the index, an answer, a log line or the file of
//     rejected rows (TestNothingSensitiveStaysInTheRegister); an answer counts it
//   - no hash of it is kept: keys of requests and of rows are made of the rest
//     (TestNoHashOfSensitiveWordsIsKept)
//   - it is never lost silently: a power cut between the two leaves an intake about
//     somebody who is not there, and the form is sent again under the same id; after a
//     restart something may be told twice (TestWhatIsPassedOnComesFirstAndOnce). Without an
//     intake what is typed is refused, and the rows of a list are registered without it and
//     named (TestWithoutAnIntakeNothingIsStoredAndNothingLost)
//
// Not promised: that everything is recognised. A sentence in a note is the worker's own;
// Watch finds words in it that a page warns about, and nothing is refused for them.
//
// # The facts it writes
//
//	registration.registered        one person, with the household they arrived in
//	registration.household_formed  a household: its head and who came first (version 2: in an import)
//	registration.corrected         new values of some fields of one person
//	registration.joined            one person moves to another household, or to none
//	registration.photographed      another photo of one person, or none: its keys
//	registration.taken_in          the subject was written down while the box was locked
//	registration.looked_through    somebody of the staff looked at that
//	registration.gate_counted      so many passed the gate while the box was locked
//
// All lie in the register compartment. One op describes one person, so a
// household of five is six ops, written by one command: all of them or none. Each
// fact has a file of its own with its payload, its rules and its command; the view
// and its questions are in register.go.
//
// # Several boxes, one person
//
// Each field of a person is a register that keeps every value nobody has replaced.
// A correction names the ops whose values its writer saw; two corrections that did
// not see each other both stand, the later one by (clock, log, sequence) is shown,
// and Record.Conflicts lists them until somebody corrects the field again. Nothing
// depends on the order in which facts arrive.
//
// # Photos
//
// The picture lies in package chunks, as pieces sealed under keys that only the fact
// holds. It is on disk before the fact that names it. The view has a row for each
// piece, so that a node knows which pieces it lacks; another node's photo is shown
// when its pieces have come. Erasing the fact destroys the keys; Erased deletes the
// pieces, also after a restart in between. A photo that is replaced or taken away
// goes when nothing has named it for four days of running time.
//
// # Taken in while the box was locked
//
// Nobody signs in to a locked box. What it took in (package letterbox) becomes facts when
// it is opened, written by staff.Letterbox and marked by that: the household or person as
// any other, with taken_in about the same subject in the same command, and counts on their
// own. A letter is written once, by an idempotency key of its id. Its own time is in
// taken_in and gate_counted, and, where the clock was set, in arrived_at; the time of the op
// is that of the opening. A count never says that a child was alone together with the code
// of a card: who it was is not for the register. The code of a card that is erased later
// stays in its count and finds nobody. Where people were registered without what is not for
// the register, because nobody took that in, the letter is kept, and TakeInAgain passes the
// rest on later, about the same people (main, TestALetterSetAsideIsPassedOnLater).
//
//	registration.taken_in       {1: number, 2: time in Unix seconds, 3: true when no clock was set}
//	registration.looked_through {}
//	registration.gate_counted   {1: adults, 2: children, 3: infants, 4: somebody needs a doctor,
//	                             5: a child without an adult, 6: typed code of the card handed
//	                             out, 7: number, 8: time, 9: true when no clock was set}
//
// # Erased
//
// Every fact here is about the person it describes, so erasing that subject erases them:
// the engine hides its rows and destroys its payloads (see oplog and staff). What other
// subjects say of a person is their id: the list of first members of a household. A
// household goes with its last person; when two posts that cannot hear each other erase
// the last two, an empty one is left, which names nobody.
//
// # Found at once
//
// Search reads an index in memory that is updated inside the writer before an answer
// goes out: whoever was told "saved" finds the person. It is filled behind a desk that
// is open already (see filling.go): people are registered at once after a power cut,
// and a search waits until it can see everybody. The index lives in this process only
// and holds folded names, phone digits and document numbers.
package registration
