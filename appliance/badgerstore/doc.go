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
// A full disk. Below a floor the journal writes nothing (SizesFor, oplog/room.go), so
// Badger, which is not closed, has nothing to do after what it had begun; reading goes on.
// Closing it and opening it for reading only was weighed for that moment and left out: the
// closing itself writes a table through mapped pages at the worst time. At a start on a
// full disk it is opened for reading only after a clean stop, and in memory otherwise;
// when there is room it comes back by itself. Writing that all this does not prevent, and
// bad sectors, are what bus_linux.go is for.
//
// What was measured on linux/amd64 with the limit of a 1 GB board (190 MB, appliance/memory.go):
// 10,000 people imported by a serving box, 142 MB of anonymous memory after it, 169 MB with
// the program and its mapped files, 129 and 159 MB after a restart; 91 and 111 MB with
// nobody in it, most of it from opening the five words.
//
// Settings are for a board with 1 GB: everything in the LSM tree (values up to
// 512 KB inline), no compression (one decompressor less to meet damaged bytes),
// checksums verified by this package before Badger opens its tables (sound.go; verifying
// by block panics in v4.9.6, and so does opening a damaged table). Badger encrypts keys
// and values with AES-CTR, without authentication: it keeps a stolen card unreadable, it does not prove
// integrity; `waypost check` compares views and journal.
package badgerstore
