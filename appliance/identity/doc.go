// Package identity knows who belongs: the deployment's root, its issuers, the
// certificates of nodes, the keys this node holds and how they lie on the card.
//
// # Trust
//
// The root (Ed25519) signs issuers, an issuer signs node certificates, a node
// signs everything else. An issuer lives with one node, and a deployment that held its
// ceremony has two, each with a block of 4,096 node numbers of its own; a node where an
// issuer was installed keeps keys, id and number and has its certificate signed anew. A certificate names a number, two public keys and
// rights, never a place or a person. Dates in certificates are for people to
// look at; NodeCert.Verify ignores them, because a box without a battery boots
// in 1970 and no record may be lost over that.
//
// # Files in the data folder
//
//	unlock   unlock.2    who can open the box: slots that wrap the storage key
//	secrets  secrets.2   everything secret, sealed under the storage key; root and
//	                     issuer in an inner part, sealed under the inner key as well
//	web/                 the certificates of the pages; see below
//	emergency emergency.2  what this box may do to its own keys, sealed under the
//	                     storage key and always as long; bytes in emergency.go. Every
//	                     opening writes it anew, and no backup has it
//	wiped                only when the keys were destroyed: says so
//
// Both of a pair hold the same bytes. They are replaced one after the other,
// each by writing a new file, flushing it, renaming it and flushing the folder;
// so at any moment of a power cut at least one is whole, and the first is never
// the older one. A damaged copy is made anew from the other at the next start.
// The folder has mode 0700, the files 0600.
//
// unlock is deterministic CBOR (RFC 8949 section 4.2.1): the array
// ["waypost/unlock/2", [slot…], SHA-256 of the encoded slots], a slot being
// [kind, salt (16), passes, KiB, nonce (24), wrapped (80 or 48)], one to eight of them.
// Wrapped are the storage key and the inner key, or the storage key alone: always so for
// the kinds recovery and peers, and for ways made by somebody who could not open the inner
// part. A file without any inner key, as versions before wrote it, begins with
// "waypost/unlock/1".
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
// Who may have the keys destroyed is the setting in emergency (emergency.go); it is not
// asked here. A card alone neither shows nor sets it
// (TestTheEmergencySettingIsNotReadOffACard).
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
// secrets is version 2 when its field 15 is the inner part: nonce (24) ‖
// XChaCha20-Poly1305 of {1: root seed, 2: issuer seed, 3: ceremony under way} under the
// inner key, with "waypost/inner/1" ‖ root public key ‖ node public key as associated
// data. In version 1 the seeds are its fields 4 and 5; the lead's words divide such a
// folder when they open it. Slots first, then secrets: a slot whose inner key opens
// nothing counts as one without.
//
// secrets is "waypost/sealed/1" ‖ nonce (24) ‖ XChaCha20-Poly1305 ciphertext,
// keyed by HKDF-SHA256 of the storage key, with "waypost/sealed/1" ‖ file name as
// associated data. SealedFile is that format; the staff desk keeps its accounts
// in it too.
//
// # A carrier
//
// A certificate that names no area and grants nothing makes a carrier, a partner's relay
// (carrier.go): invited with Place.Carrier, given the root, the key of the membership traffic
// and none of the register. Its own people write under a key of area = its number that it
// draws itself. Nodes that have no area open none, are sealed no register key, vouch for
// nobody, suspend nobody, begin no epoch that counts and keep no opener; people there are
// none of two anywhere else (TestACarrierReadsNothing, TestACarrierIsBelievedInNothing,
// staff.TestNobodyWorksAtACarrier, script carrier). Whoever runs one sees what lies open in
// the deployment compartment and the headers of all ops: ids, keys, order, sizes, times of
// arrival. They can withhold; they cannot alter. What an enrolled carrier must be trusted
// for is the membership traffic: it has that key.
//
// # Papers
//
// A paper is lines of ten bytes in Crockford's base 32 (16 letters) followed by a check (4
// letters: the first 20 bits of SHA-256("waypost/paper-line/1" ‖ mark ‖ line number ‖ those
// bytes)); the mark, WPSHARE1 or WPROOT1, stands before the lines in files and QR codes.
//
// A share is nine lines: version 1, number 1 to 5, the first six bytes of the deployment's
// id, two random bytes for this printing, the sealed root seed (48), the value (32). The
// values are shares, any three of five, of a random scalar of ristretto255 (Shamir;
// github.com/cloudflare/circl). HKDF-SHA256 of the scalar's 32 bytes, salt the eight bytes
// of deployment and printing, info "waypost/root-shares/1", gives key (32) and nonce (24)
// of the XChaCha20-Poly1305 that seals the seed, with "waypost/root-shares/1" ‖ the first
// ten bytes with number 0 as associated data. A share's sum is
// SHA-256("waypost/share-sum/1" ‖ its 90 bytes); sums are public.
//
// A root sheet on paper is four lines: six bytes of the deployment's id, the seed, two
// zeros. The five words at its foot are SHA-256("waypost/sheet-words/1" ‖ seed) in words.
//
// An issuer file is the CBOR array ["waypost/issuer/1", deployment (16), number 2 to 16,
// salt (16), passes, KiB, nonce (24), sealed]; sealed is XChaCha20-Poly1305 of
// [seed (32), certificate] under Argon2id of ten words, the array with nothing sealed as
// associated data. Issuer n gives node numbers from (n-1)·4096 on; the founder is issuer 1.
//
// During a ceremony the shares lie in the inner part, each until its holder has read it
// back; the second issuer's seed lies nowhere but in its file. At the end the root signs
// "waypost/ceremony/1" ‖ deployment ‖ the statement, and is wiped.
//
// # Promises
//
//	the kit opens neither root nor issuer         TestTheKitGivesNeitherRootNorIssuer
//	an older folder is divided, and loses nothing TestAnOlderFolderIsDivided, TestDividingHalfway
//	any three shares are enough, two are not      TestAnyThreeSharesBringTheRootBack
//	a slip is found in its line                   TestASharesTyping
//	two issuers apart give no number twice        TestTwoIssuersApart, TestABlockIsGivenOnce
//	nobody can pretend that the ceremony was held TestEverybodyKnowsThatItWasHeld
//	new words reach an inner part begun meanwhile TestWordsThatWereBeingStretchedReachTheNewInnerPart
//	a power cut in the middle resumes             TestTheFullCeremony, TestAnInstalledIssuerIsToldLater
//	papers stay readable                          TestPaperFormats
//
// Not promised: that flash memory, a printer or a backup made before keeps nothing of a
// key that was wiped; anything against whoever has three shares; that a first person who
// runs another program on the founding box learns nothing of the second issuer.
//
// # The certificates of the pages
//
//	web/ca.pem     ca.pem.2        the CA's certificate (PEM)
//	web/ca.key                     its key (PKCS #8, PEM) in the clear: only before a site is started here
//	web/ca.sealed  ca.sealed.2     certificate and key (PEM), sealed under the subkey "web"
//	web/leaf.pem   leaf.pem.2      the leaf and its key (PEM), in the clear: a locked box has pages too
//	web/request.sealed (.2)        a request for a public certificate (PEM) and its key, under "web.request"
//	web/public.pem public.pem.2    a public certificate, its chain and its key (PEM), in the clear
//
// The sealed files are SealedFiles. The clear key is overwritten and removed when the sealed
// one was read back from the card, so a power cut leaves one of them at any moment
// (TestAPowerCutWhileTheKeyMoves); what was sealed counts over whatever lies beside it
// (TestTheSealedCACounts). A card may keep old cells of what is overwritten: whoever installed
// the certificate of a box before its first run trusts that nobody read the card until then.
//
// The CA is constrained to local names and private addresses (TestTheCAVouchesForNothingElse;
// in Chromium TestBrowserTakesNoOtherNameFromTheBox of ui/browser), and no certificate has a
// name of a place, an organisation or a person (TestNamesInCertificatesSayNothing). A stolen
// card still has the leaf's key: it can pretend to be this box, to phones that trust it, at
// addresses in the leaf, until they remove the CA or the leaf ends (397 days).
//
// # What it writes
//
//	identity.log_born            a node's log begins (certificate and nonce); written by oplog
//	identity.enrolled            an inviter admitted a node, or an issuer was installed at one
//	identity.confirmed           somebody compared the five words with a node's
//	identity.node_named          what a node's site is called (register)
//	identity.invitation_refused  an invitation was tried when it was used up or too old
//	identity.ceremony_held       how root and issuers are kept, by the root's own signature
//	identity.drilled             somebody tried a paper or a stick here, and how it went (register)
//	identity.loss_accepted       somebody at a node knows that some of its ops are lost for good
//	identity.suspended           a node is lost: nobody deals with it until an issuer lifts it
//	identity.suspension_lifted   an issuer's word that suspensions of a node are over
//	identity.revoked             two people and an issuer: a node is shut out for good, with cuts
//	identity.issuer_revoked      another issuer's word, or the root's, that an issuer is one no more
//	identity.released            an issuer's word that ops behind a cut count after all
//	identity.epoch_begun         a new key of an area or of the membership traffic, sealed to nodes
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
// Of several certificates of one node the one counts that lets it admit others, then the
// later one (supplants).
//
// # Who is shut out
//
// court (standing.go) judges all suspensions, lifts and revocations together, so that the
// same facts give the same answer in any order; its rules stand there. A suspension says
// how far its writer had seen the logs of the node it is about: what that node says behind
// counts no more. An issuer's word is a countersignature (countersign.go) over
// "waypost/suspended/1", "waypost/suspension-lifted/1", "waypost/revoked/2" (in a fact of
// version 1: "waypost/revoked/1") or
// "waypost/released/1" ‖ deployment (16) ‖ node (10) ‖ the fact without its word; the
// root's is its public key (32) ‖ Ed25519 (64) over "waypost/root-word/1" ‖ the same.
// A revocation, of a node or of an issuer, and an opening (identity.opened_by) count with the
// hands of two people, whose check is lent by the staff desk (HandsCheck, handed.go) and looks
// at how things were: whoever compares, later shuts out or ends an account changes nothing. Two
// sign "revoke/2" ‖ node (10) ‖ SHA-256("waypost/revoke-cuts/1" ‖ the cuts in CBOR), or
// "revoke-issuer/1" ‖ issuer (10) ‖ SHA-256("waypost/issuer-cuts/1" ‖ the cuts in CBOR), under
// the purposes "revoke" and "revoke-issuer". In facts of version 1 of identity.revoked they had
// signed "revoke" ‖ node (10): those count as they were meant, for whatever cuts they have
// (TestARevocationCountsWithBothHandsForItsCuts, TestARevocationOfVersionOneStillCounts,
// TestOtherFactsOfTwoPeopleTakeBothHands).
//
// An issuer is revoked (issuerout.go) by the words of two others for the same cuts, or by the
// root's: countersignatures over "waypost/issuer-revoked/1" ‖ deployment (16) ‖ the issuer's
// key (32) ‖ the cuts in CBOR, in identity.issuer_revoked {1: key (32), 2: [[log (16), sequence]…],
// 3: [two hands], 4: word} about the issuer's id. Of its words in suspensions, lifts,
// revocations and releases, and of what its boxes compared, that counts which lies within the
// cuts; boxes it lets in later are compared by nobody until another box compares them. Two
// revocations by thieves and by others that answer each other without having seen each other
// both count, and the root's word decides. Not covered: an issuer's word on erasures and on
// the keys of sealed compartments, which their folds judge without knowing of other subjects;
// an erasure needs two people's signatures besides.
//
// A revocation holds back what lies behind its cuts (heldback.go; oplog.Holding): it is
// stored and passed on and no view has it, until it is released. Of a log with two histories
// cuts, and how far a suspension says a log was known, end before the two part, where that
// is proved (partings.go; TestCutsEndBeforeAParting). A cut from before names the head of one
// of them: who holds the other one holds back what lies there from the parting on, all but
// the birth until that is found, and gets the one that counts from a witness
// (TestACutThatNamesTheOtherHistory).
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
// Whom a box compared after it was shut out, or a lost issuer's box let in without anybody
// else comparing it, is compared for nobody (Desk.Nodes, Author, ByNumber): cards, second
// people, keepers and accounts of such nodes do not count
// (TestAStolenIssuerMakesNobodyWhoIsGivenKeys).
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
// (TestAProtectedAddress); what a stolen issuer says after two others or the root revoked it
// counts nowhere, and what it had said before does, whoever repeats it
// (TestAStolenIssuersWordEndsWithItsRevocation, TestAnOldWordSaidAgainStillCounts,
// TestARevokedIssuerMakesNobody, TestWhichIssuersAreRevoked).
//
// All but node_named, drilled, opened_by and night_chosen lie open in the deployment compartment, so that a locked
// node or a carrier knows them too. Never stored: passphrases, invitation
// secrets, and which person a key belongs to.
package identity
