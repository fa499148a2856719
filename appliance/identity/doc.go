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
//	web/                 the certificates of the pages; see below
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
//	identity.enrolled            an inviter admitted a node
//	identity.confirmed           somebody compared the five words with a node's
//	identity.node_named          what a node's site is called (the only one in the register)
//	identity.invitation_refused  an invitation was tried when it was used up or too old
//	identity.loss_accepted       somebody at a node knows that some of its ops are lost for good
//
// Any node can write any of them about any other. So a certificate counts when
// the root vouches for it, a name when the node's own log gives it, and a
// confirmation when it comes from another node that is confirmed itself, the
// founder first; what a node nobody compared says about others changes nothing.
// Each says it in a row of its own (nodesView), so that no row grows until it is
// left out. ByNumber and Author tell other desks whose word a fact is.
//
// All but node_named lie open in the deployment compartment, so that a locked
// node or a carrier knows them too. Never stored: passphrases, invitation
// secrets, and which person a key belongs to.
package identity
