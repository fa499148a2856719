// Package backup writes a node's data folder into one file and brings it back.
//
// # What it promises
//
// The file opens with any passphrase or recovery kit that opened the node when it was
// made. Nothing personal can be read from it without one. Every changed, missing or
// surplus byte is found (TestEveryChangedByteIsFound). A file under its own name was
// read back from the medium and checked; until then it is called FILE.part, and the
// same command goes on where the last one stopped (TestKilledAtEveryOperation). A
// restore checks the whole file before it writes the first byte, and a kill leaves
// either nothing that starts or a complete folder (TestRestoreKilledAtEveryOperation).
//
// # The file
//
// Numbers are big-endian, CBOR is deterministic (RFC 8949 section 4.2.1).
//
//	"WAYPOSTB" ‖ format 1 (2) ‖ length (4) ‖ header ‖ SHA-256 of all before (32)
//	records: kind (1) ‖ length (4) ‖ body ‖ SHA-256 of the sum before, kind, length and body (32)
//
// The header is the CBOR array [id (16), when in Unix seconds, whether the clock was
// sure, root key (32), the node's certificate, the unlock slots as they lie in the
// folder, the key of the pieces sealed with XChaCha20-Poly1305 under the storage key's
// subkey "backup"]. That key is an age identity, drawn anew for each backup.
//
// A piece (kind 1) is an age file (age-encryption.org/v1); inside are the length (2)
// of, and, the CBOR array [path, offset, whether the file ends here], and then at most
// 1 MiB of the file. The pieces of a file follow each other, and files are in the order
// they were found. The summary (kind 2) is an age file of the CBOR array [deployment,
// site, files, bytes, ops, [[log, sequence, hash]…]]. The seal (kind 3) ends the file:
// Ed25519 by the node key over "waypost/backup/1" ‖ deployment (16) ‖ sum of the
// summary's record.
//
// What is in a data folder is sealed already, so pieces are not compressed: it would
// gain nothing (measured on a journal of 10,000 people: gzip makes it 0.02 % longer). The
// file is 0.6 % longer than the folder.
//
// # What is in it
//
// Everything in the folder except what Left names. The journal is taken up to a flushed
// group with the keys that open exactly that (oplog.Snapshot), the rest as it is at that
// moment, so the node goes on working meanwhile.
package backup
