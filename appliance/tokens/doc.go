// Package tokens is the card desk: it makes the WP1 token that is printed as a
// QR code, issues and replaces cards, and says what a card is worth. Every node
// can check every card of its deployment alone, from the certificate of the
// node that signed it.
//
// The desk knows which random holder number belongs to which person and which
// generation of a card is the newest. It never stores anything about a person,
// never keeps a photo, and a card says nothing about whoever carries it. It
// writes one fact: tokens.issued.
//
// # The token, byte by byte
//
// A token is 80 bytes: 16 of body and 64 of signature. Numbers are big-endian.
//
//	offset size field
//	     0    1 version in the high half (1), kind in the low half:
//	            1 individual, 2 household, 3 collector, 4 voucher, 5 staff, 6 device
//	     1    2 number of the node that signed
//	     3   10 holder: 80 random bits, the same on every reissue
//	    13    1 generation: 0 on the first card, one more on each reissue
//	    14    2 expiry: days since 2020-01-01 UTC; the last day the card counts
//	    16   64 Ed25519 signature (RFC 8032, pure)
//
// On paper it is "WP1:" and the base45 of the 80 bytes (RFC 9285): 124
// characters of the QR code's alphanumeric mode. Parse is strict: one text for
// one token. Letters may come in either case, because a wedge scanner types
// under a CapsLock, and blanks around the text are dropped; blanks inside are
// base45 digits. A text cannot end in a blank: the last three characters hold
// two bytes, so the last is at most 'W'. Versions and kinds from 1 on that are
// not listed here, and prefixes WP2: to WP9:, are reported as a newer card.
//
// # What is signed
//
// The signature is over the COSE Sig_structure (RFC 9052 section 4.4), which
// both sides build from the body; nothing of it but the body is printed:
//
//	84                            array of 4
//	  6a 5369676e617475726531     "Signature1"
//	  47 a2 01 27 04 42 NNNN      protected header {1: -8 (EdDSA), 4: kid}
//	  50 DD*16                    external data: the deployment id
//	  58 LL CWT                   payload
//
// The kid is the node number in two bytes, so that everything can be built from
// the body alone, without a certificate. The CWT (RFC 8392) is deterministic
// CBOR (RFC 8949 section 4.2.1):
//
//	a4                            map of 4
//	  04 1a EEEEEEEE              4 exp: seconds since 1970, the end of the expiry day,
//	                              2020-01-01 plus expiry+1 days (1b and 8 bytes after 2106)
//	  07 50 BB*16                 7 cti: the body
//	  3a 00010000 KK              -65537: kind
//	  3a 00010001 NN              -65538: node number, in the shortest form
//
// The cti is the whole body: so the version is signed too, and an expanded
// token can be folded back. Claim keys below -65536 are for private use.
//
// Expand writes the same parts as a tagged COSE_Sign1 of 116 to 122 bytes:
//
//	d2 84                         tag 18, array of 4
//	  47 a2 01 27 04 42 NNNN      protected header
//	  a0                          no unprotected header
//	  58 LL CWT                   payload
//	  58 40 SS*64                 signature
//
// Any COSE library verifies it with the node's key and the deployment id as
// external data. A token of another deployment never verifies, not even under
// the same node key. testdata/vectors.json pins all of this.
//
// # The typed code
//
// Under the QR code stand 12 characters of Crockford's base32 in three groups:
// the first 50 bits of SHA-256("waypost/typed/1" ‖ holder) and two check
// characters of a Reed-Solomon code over GF(32) (x^5+x^2+1, roots 1 and 2).
// It finds a person and proves nothing.
//
// # The fact
//
// tokens.issued lies in the register; its subject is the person or household. Its
// body is a CBOR map, deterministic: {1: kind, 2: node number, 3: holder (10),
// 4: generation, 5: expiry, 6: signature (64)}: the whole token, so that a card
// can be printed again and anybody can check that it was signed.
//
// # Who may issue
//
// A node that joined by code has a certificate at once, and its cards are worth
// nothing until somebody has compared its words: they are unknown-issuer, also
// those it signed before it was asked. Any node can write a tokens.issued, about
// anybody, with any number and generation. It counts when the log that it stands
// in is that of a node whose words were compared (or the founder's), the node
// number in it is that node's, and the signature is by that node's key. So a node
// nobody compared can neither make cards nor make a real one worthless.
//
// A compared node is trusted with both. It can spend a person's 256 generations
// by writing 256 facts; each names it.
//
// # Generations
//
// A reissue is a card of the next generation for the same holder. A node that
// has heard of generation n calls n-1 superseded; no list of revoked cards is
// needed. The view is a fold of a person's facts, apart for every log, that
// depends on nothing but their set; which logs count is judged when it is read.
//
// When two nodes that cannot hear each other both reissue a person's card, there
// are two cards of the same generation. Both are genuine: neither node could
// know, either card may be in the person's hand, and refusing one would turn
// away somebody who did everything right. Neither draws twice, because claims
// are kept by holder and person and not by card. The later one in the log's
// order is shown and reprinted; the next reissue replaces both. When both nodes
// issued a first card, the person also has two holder numbers from then on; the
// generation is counted over both, so a reissue again replaces both.
//
// # What a signature cannot do
//
// It does not tell a card from its photocopy, and it does not hide that two
// sightings of one card are the same card. Claims, pinned rounds and punched
// cells deal with the first; the second is said plainly to those who decide
// where cards are scanned.
//
// # Erased
//
// A person's cards are erased with them. The erasure names hashes of their holder numbers
// (staff.CardMark), so that a card of theirs is told from one of somebody who has not
// been heard of yet: it is revoked and shows nobody. A card that was made where the
// first of the two people could not know of it is not named, and reads as one of
// somebody unknown here.
package tokens
