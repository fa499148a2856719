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
//     themselves), so the exchange never asks it who is alive.
//   - memberlist says who is there. Its messages carry head hints, never records,
//     and wake the healer; no decision rests on them.
//
// What a node said on an earlier connection that it holds is kept for display
// only. A node that lost its disk would starve if it were believed.
//
// A node that was suspended or revoked, and one that nobody compared whose issuer's box
// was, is refused in both directions (shut.go): handshakes fail, it is not dialled, its
// cards go nowhere, and within a second of learning of it links to it are closed. The
// membership traffic goes under the newest gossip key and takes the one before; the keys
// come with the records, which need neither. Promised: TestANodeThatIsShutOut,
// TestTheGossipKeyChanges, script lost.
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
//	11 BYE    reason 1                     1: protocol version not spoken here
//	12 FETCH  question 4 | offset 4 | bytes 4 | count 1 (1-16) | count x piece 32
//	13 PIECE  question 4 | which 1 | size 4 | length 4, part   size is that of the piece; which: 255 none is here, 254 busy; then no more
//
//	marks     count uvarint | count x (log 16 | seq uvarint | first 16 bytes of the header hash)
//
// incarnation is random per start and, in hexadecimal, the memberlist name. port
// goes with the address the connection is seen to come from. WANT is one question
// at a time; its ops after `after` come back as one batch a log, in the order asked,
// as oplog.Log.RangeIn made them: an empty batch is "none now". The upper two bits of ops say
// which spellings the asking node reads: 15 packed batches, 14 packed ones without tags as well
// (package oplog). A node that does not know them sees a large number and answers plainly. Over all peers a log
// is asked for once at a time. A PING goes out when nothing came in for 2 s; after
// 6 s without a byte a connection is dead.
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
// A log with two histories is asked for by nobody but the node whose key it has: that
// one looks for the place where they part, backwards from the end of the shorter one,
// and writes what both have again under its new log (oplog.Log.Rejoin).
//
// # Cards
//
// An address card says where a node is, in its own words, so that third nodes can
// pass it on. The stamp only grows; the highest wins.
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
