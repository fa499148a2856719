// Package badgerstore keeps the views in Badger. It is the only package that
// knows Badger.
//
// Nothing here is a record: the journal is the truth and is what is flushed.
// So the store runs without synchronous writes, and whatever Badger cannot open
// (a missing MANIFEST beside tables, which Badger would take for an empty
// database and delete every table; a damaged table or key registry; another
// encryption key) is deleted and reported as empty, which makes the journal
// rebuild it.
//
// Settings are for a board with 1 GB: everything in the LSM tree (values up to
// 512 KB inline), no compression (one decompressor less to meet damaged bytes),
// checksums verified when a table is opened (verifying by block panics in
// v4.9.6). Badger encrypts keys and values with AES-CTR, without
// authentication: it keeps a stolen card unreadable, it does not prove
// integrity; `waypost check` compares views and journal.
package badgerstore
