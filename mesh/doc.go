// Package mesh lets the nodes of a deployment find each other and exchange
// records. It knows ops and certificates, never a desk: it carries envelopes.
//
// Four parts share one TCP port and the UDP port of the same number:
//
//   - The exchange moves records, by pull: a node says how far it holds each log,
//     the other asks for what it lacks. One connection a pair is enough, whoever
//     dialled; both ends ask and both ends serve. Nothing is stored that
//     oplog.Merge has not verified, nothing is acknowledged that is not flushed,
//     and the next question waits for that.
//   - Photos and files follow as sealed pieces, when the records that name them are
//     here. Which pieces are needed is another package's business; the mesh checks each
//     against its id and stores it, the most wanted first, and never before records.
//   - The healer dials every node ever met, for ever. memberlist does not come
//     back together after a long cut (50 nodes cut for 120 s never did by
//     themselves), so nobody is given up on its word. Each node keeps a few links
//     (near.go): up to seven others with all, beyond that its neighbours in the ring
//     of ids and two drawn ones, and parts from links that nobody needs. What comes over
//     one goes on over the others. Addresses somebody gave (seeds.go) are dialled until a
//     node answers there. Whoever something was heard of is dialled before those who
//     are long gone: TestDeadAddressesStarveNobody.
//   - memberlist says who is there. Its messages carry head hints, never records,
//     and wake the healer; no decision rests on them.
//
// What decides starts no goroutine and waits for nothing: it runs on a Stage, with a
// Membership. The real node is one stage, with sockets and memberlist; package meshtest
// is another, where hundreds of nodes run in one goroutine from a seed.
//
// What a node said on an earlier connection that it holds is kept for display
// only. A node that lost its disk would starve if it were believed. Of
// more than 16,384 logs of one node nothing is kept (TestWhatAPeerHoldsIsBounded).
//
// A node that was suspended or revoked, and one that nobody compared whose issuer's box
// was, is refused in both directions (shut.go): handshakes fail, it is not dialled, its
// cards go nowhere, and within a second of learning of it links to it are closed. The
// membership traffic goes under the newest gossip key and takes the one before; the keys
// come with the records, which need neither. Promised: TestANodeThatIsShutOut,
// TestTheGossipKeyChanges, script lost.
//
// # Who holds what, and since when
//
// A node holds an op when it has said so itself, on an exchange connection, in a VV, HINT
// or ACK, or in a signed report: durably, by its own word. A letterbox, a bundle and a backup say nothing. For
// each node and log peers.json keeps, beside the last mark, up to 16 points [op, Unix
// seconds, 1 where this node's clock had been set]: at that moment, at the latest, the log
// was held up to there (since.go). Points go when a node says less; when they become too
// many those go whose loss makes answers least later, so an answer is late and never early.
// What nodes that were shut out and boxes with this node's own keys hold is told apart and
// counts as no copy. Promised: TestSinceWhenANodeHoldsAnOp, TestANodeThatLostItsDiskHoldsNothingAnyMore,
// TestAnotherHistoryIsNoCopy, TestWhoIsNoSafeCopy, TestSinceIsRemembered, TestThinnedPointsStayTrue,
// TestPointsAreBounded, script copies.
// # A locked node
//
// Nobody has opened it, so it has none of its keys, and takes records in all the same
// (locked_node.go, locked_link.go): it listens on the port, TCP alone, dials every node of
// peers.json, which it reads and does not write, says how far it holds each log, asks with
// WANT for what it lacks, and acknowledges what lies sealed and flushed in its letterbox.
// Batches are checked with public keys before (oplog.Inspect). It serves nothing: a WANT or
// FETCH ends the link. It takes no part in the membership, and nobody joins through it.
//
// It proves who it is with a key pair that it made, while it was open, for nothing else:
// the X.509 certificate is around that key, and extension 2.25.N, with N from
// SHA-256("waypost/locked-cert/1"), holds
//
//	version 1 (=1) | length 2, certificate | key 32 | until 8 |
//	Ed25519 signature 64 by the node key over "waypost/locked/1" | deployment 16 | all before the signature
//
// taken for waypost-exchange/1 alone. It ends with the next opening: until is the first
// stamp of a card of the start after, and whoever has seen one as large refuses it, and ends
// links that it made. So a stamp counts the starts of its node in the bits from 42 up, and
// has milliseconds below. What is promised: who copied a card has nothing more from any node
// that met the box open since, or heard its card from another; nothing is promised of nodes
// that have not. While the box is open a locked link of it is refused in any case, or a copy
// of the card could push it out.
//
// An open node asks a locked one for nothing and believes it in nothing: its marks are
// shown as waiting there, are compared with nothing, count for no copy and make no
// neighbour complete. Two locked nodes refuse each other, and a node refuses itself. A node
// of an older version refuses the handshake of a locked one.
//
// Promised: TestALockedNodeTakesRecordsIn, TestWhoIsNoLockedNode,
// TestAnOpeningEndsTheKeyFromBefore, TestACardEndsALinkThatIsOld, TestALockedLinkIsNotAsked,
// TestALockedNodeServesNothing, TestAFullLetterboxAsksNoMore, TestLockedCertGolden,
// FuzzLockedCert, script lockedmesh.
//
// # The port
//
// TCP is TLS 1.3 only, without tickets. Exactly one ALPN protocol is offered:
//
//	waypost-exchange/1   records, both sides with certificates
//	waypost-gossip/1     memberlist's streams, both sides with certificates
//	waypost-join/1       a node that has no certificate yet; it pins the server's key
//
// A certificate is self-signed X.509 around the node's Ed25519 key. Extension
// 2.25.N, with N the first 31 bits of SHA-256("waypost/node-cert/1"), holds the
// node certificate (identity.NodeCert.Marshal). Each side checks it against the
// deployment's root and against the key of the handshake. Dates and names are
// not looked at. Before that, at most 64 connections wait, 48 of them from where no
// node is known, 24 from one address (an IPv6 /64 is one). A newcomer always gets a
// place: the oldest connection from the most crowded address loses its own. The
// first message has to come within 1.5 s, the whole handshake within 3 s.
//
// UDP packets and waypost-gossip streams are memberlist's, AES-256-GCM under the
// deployment's gossip key. memberlist 0.7.0 ends the whole process on one malformed
// frame from anybody who holds that key, and every node does. So everything is
// decrypted and looked through before memberlist sees it: encryption version 1,
// whole messages of the kinds our own nodes send, their records flat, texts up to
// 512 bytes, 1264 bytes a packet, one frame either way and 1 MiB a stream, 8 streams
// at once. Labels, compression and nesting are refused. A certificate is at most 4
// members at a time; a member's name is 32 lower-case hexadecimal digits.
//
// # Finding each other
//
// On a local network nodes say by multicast DNS, 224.0.0.251 and ff02::fb, port 5353, that
// they are there: PTR, SRV and an empty TXT record of the service _peers._tcp.local, TTL 120,
// no address record; the address is the one the packet comes from, which has to be of the
// network it came in by. IPv4, and link-local IPv6. A node asks three times after its start
// and after its addresses changed; it says that it is there once a minute (five when low),
// and within a second or so when somebody asks. The instance is a mark,
//
//	nonce 8 | first 12 bytes of HMAC-SHA-256(k, nonce | port 2 | address 16)
//	k = HMAC-SHA-256(gossip key, "waypost/find/1" | deployment 16)
//
// in base32 (RFC 4648, small letters, no padding), under the gossip key in use; marks under
// the one before are recognised too. The nonce is another one each start, each day of
// running and for each address. An IPv4 address is written as ::ffff:a.b.c.d.
//
// Promised: a stranger learns that some device listens on a port, and neither whose nor
// which one; what a stranger says costs nothing, and what somebody with the key says
// costs one try an address in 20 s, 64 addresses: TestOnlyMembersAreLookedFor,
// TestFindIsBounded, script find. A node that missed two gossip keys is not recognised and
// recognises nobody; it is found where it was before, or by hand.
//
// # Limits
//
// A link carries what a limit allows (pace.go): the lower of this node's own for all links
// and of what the other end asks for. OPS and PIECE frames leave in parts of a quarter of a
// second each; an answer is cut to what four seconds carry, or 4 KiB. All other frames go
// first and are counted, as are memberlist's packets and streams. A PING whose nonce begins
// with "lk" asks for something:
//
//	"lk" | slow 1 bit | 7 bits zero | bytes a second 5, 0 = any
//
// slow has both ends keep the low profile's times on this link (timing.go): a PING goes out
// after 2 min, and 5 min of silence end it. It may be sent again at any time. A node that
// asks for a limit asks one question at a time over all its links. Promised:
// TestBulkOnASlowLink, TestOneBigFrameIsNoSilence, TestLowProfileWhileRunning. A batch that
// was saved whole goes whole, up to 1 MiB, and holds small frames up for as long as that
// takes.
//
// # Exchange frames
//
// Integers are big-endian; uvarint is LEB128 in its shortest form. A frame is
//
//	kind 1 | length 4 | payload
//
// HELLO is the first frame either way and is sent once. Payload limits: OPS 4 MiB,
// PIECE 256 KiB and 29 bytes, BUSY, PING, PONG, BYE 16 bytes, all others 64 KiB. A frame over its limit, of an
// unknown kind or with a byte too few or too many ends the connection.
//
//	 1 HELLO  protocol 1 (=1) | incarnation 16 | own log 16 | port 2 | length 2, card
//	 2 VV     more 1 (0, 1) | marks        what the sender holds durably; more=1: another VV follows
//	 3 HINT   marks                        what it now holds
//	 4 ACK    question 4 | marks           what it now holds of the logs that were answered
//	 5 WANT   question 4 | ops 2 | bytes 4 | count 1 (1-16) | count x (log 16 | after uvarint)
//	 6 OPS    question 4 | count 1 | count x (log 16 | last uvarint | length 4, batch)
//	 7 BUSY   question 4 | milliseconds 2
//	 8 PING   nonce 8
//	 9 PONG   nonce 8
//	10 CARDS  count 1 | count x (length 2, card)
//	11 BYE    reason 1                     1: protocol version not spoken here; 2: both hold the same, and there are links enough
//	12 FETCH  question 4 | offset 4 | bytes 4 | count 1 (1-16) | count x piece 32
//	13 PIECE  question 4 | which 1 | size 4 | length 4, part   size is that of the piece; which: 255 none is here, 254 busy; then no more
//	14 SAYS   count 1 | count x (length 2, report)
//	15 STAMPS count 2 | count x (node 10 | stamp 8)
//
//	marks     count uvarint | count x (log 16 | seq uvarint | first 16 bytes of the header hash)
//
// incarnation is random per start and, in hexadecimal, the memberlist name. port
// goes with the address the connection is seen to come from. WANT is one question
// at a time; its ops after `after` come back as one batch a log, in the order asked,
// as oplog.Log.RangeIn made them: an empty batch is "none now". The upper two bits of ops
// say which spellings the asking node reads: 15 packed batches, 14 packed ones without tags
// as well (package oplog); a node that does not know them sees a large number and answers
// plainly. Over all peers a log is asked for once at a time. A PING goes out when nothing
// came in for 30 s (who was dialled waits 3 s more), when something was sent 5 s ago and nothing
// came since, when memberlist takes the node for gone, and when the last PONG is five minutes
// old; its nonce is the sender's nanoseconds since it started, so that the PONG says how long
// the way is. 3 s later without an answer the node is looked for anew, and after 75 s without
// a byte a connection is dead; longer where an end asked for it (Limits). What idle links
// cost is promised by meshtest: TestIdleStaysQuiet; that a silent link is noticed soon
// where it matters: TestWhoSpokeAsksSoon, TestWhoWasDialledAsksLater.
//
// FETCH, too, is one question at a time, beside WANT. The answer is a part, from
// offset, of the first of these pieces that is held, and which says which one that is;
// an offset goes with one piece only. Frames 12 and 13 go only to a node that sent a
// PING with the nonce "pieces/1" on this connection: an older one would end it. A peer
// is asked for pieces while nothing is missing of what it told of its logs, a question
// for records never waits for a piece, and parts of pieces are written last.
//
// A node that came out of a backup sends a PING with the nonce "closed/1" before its
// VV, and one with "opened/1" when people can be read there again. Between the two it is
// nobody who could tell others that nothing is missing.
//
// A log with two histories: the node whose key it has looks for the place where they part,
// backwards from the end of the shorter one in steps that double from 64 ops, and writes what
// both have again under its new log (oplog.Log.Rejoin). Every other node looks for that place
// too, with a peer that told a mark which contradicts its own, and keeps the signed batch that
// differs as proof (oplog.Log.Prove); it asks that peer for no more of the log. Until then a
// fork is the word of whoever said the mark, and is shown with that node's name. Ten minutes
// after it heard of the fork, and half a minute later for each node with a lower id that can
// be reached and holds the same half, a node writes its half again unless that was done
// (oplog.Log.Testify), and once more when somebody is shut out, or its half has grown.
// Promised: TestTheOtherHistoryIsProved, TestAForkThatIsOnlySaidNamesWhoSaysIt,
// meshtest.TestForkers.
//
// # Reports
//
// Frames 14 and 15 go only to a node that sent a PING with the nonce "report/1" on this
// connection. STAMPS, once a connection, says which reports the sender has; SAYS carries
// those that are newer here, and later what is new. A report is what a node says of itself,
// for those that have no link with it, and is passed on by others:
//
//	version 1 (=1) | node 10 | incarnation 16 | stamp 8 | Unix ms of its clock 8 | clock set 1 (0, 1) |
//	count 1 (0-32) | count x linked node 10 | count 1 (0-64) | count x log with two histories 16 |
//	sum 16 | whole 1 (0, 1) | whole=1: marks |
//	Ed25519 signature 64 over "waypost/report/1" | deployment 16 | all before the signature
//
// The sum is the exclusive or, over all logs the node holds but those with two histories, of
// the first 16 bytes of SHA-256("waypost/sum/1" | log 16 | seq 8 | first 16 bytes of the
// header hash). Who had that sum lately knows by it what the node holds; else the report
// waits until it does, or a whole one comes. Stamps grow, also over restarts, and are shared
// with those of cards; the highest wins. A node reports when something changed, every 10 s
// at most, less often where there are many (2 s for every node it knows, 10 s under the low
// profile; 5 and 15 minutes at most), and says nothing when nothing changes.
//
// # Cards
//
// An address card says where a node is, in its own words, so that third nodes can
// pass it on. The stamp only grows; the highest wins. It is the number of the node's start,
// from bit 42 up, and milliseconds.
//
//	version 1 (=1) | length 2, certificate | stamp 8 | count 1 (0-12) | count x (length 1, host:port) |
//	Ed25519 signature 64 over "waypost/card/1" | deployment 16 | all before the signature
//
// A member card is memberlist's metadata and binds its name to a node. Members
// without a good one are refused.
//
//	version 1 (=1) | length 2, certificate |
//	Ed25519 signature 64 over "waypost/member/1" | deployment 16 | name
//
// A gossiped hint and the state of a push/pull (below 1 KB) are
//
//	version 1 (=1) | any number of (log 16 | seq uvarint | first 8 bytes of the header hash)
//
// # Joining
//
//	request   length 2 (1-4096) | what identity.Applicant.Request made
//	answer    status 1 | length 4 (at most 64 KiB) | status 0: identity.Vault.Admit's reply
//	                                                status 1: JSON {class, key, args} of a fault
//
// Two seconds for the request, until then the guest keeps its place among those
// that wait; 8 served at once, 10 from one address and then one every 3 s. The golden files in testdata hold one frame of every kind.
package mesh
