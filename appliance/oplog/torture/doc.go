// Package torture proves what the journal promises, by doing to it what a camp does.
//
// Everything acknowledged is kept in a model outside; after the box was opened again
// the model is compared with what is served: lost, doubled, wrong, and households that
// came back by halves are counted apart. Each row of the table is one test and prints
// one line.
//
//	test               what is done                                          make test    make torture
//	TestKill           kill -9 of the real process while writers run         30           2,000: 0 lost, 0 doubled, reopen <= 10 s
//	TestPowerCut       disk image copied while the process is stopped        10           300: 0 lost
//	TestLossy          unflushed writes dropped, torn and reordered          200 seeds    5,000 seeds: 0 lost, 0 wrong
//	TestEveryOperation the k-th file operation fails: EIO, ENOSPC, half      every k      every k, every fault: clean error, reopen works
//	TestRot            bit flips, cuts, deletions, old copies of every file  60           10,000: named or harmless, no process ended, repaired by one peer
//	TestMendingIsCutOff the same while damage is set aside and fetched back   every k      every k: everything is there again
//	TestFullDisk       a 32 MB disk fills up, then 10 MB are freed           1            20: alive, said within 5 s, goes on, 0 lost
//	TestClock          1970, ten years on, backwards                         yes          yes: 0 deleted, 0 reordered
//
// TestEveryOperation's day is a first start, registrations, an import, a merge, an erasure
// by two people with the issuer's word, a backup, a stop and a start.
//
// The row of planted names, keys and passphrases, searched in files, logs and after a
// lock in memory, is TestCanaries of the program's own package.
//
// # What is not proven
//
// A disk that lies about its flushes loses what it was given; TestTheHarnessCanFail
// shows that such a disk would be found. Views are in memory in the rows that use
// made-up disks, because Badger opens its files itself; TestKill, TestPowerCut and
// TestRot have the real ones.
//
// # Running it
//
// Set WAYPOST_TORTURE to ci or full, as make test and make torture do; without it the
// rows in process run a tenth of their share and the others are skipped. Rows that
// mount a disk need root and say so when they cannot.
//
// Run i of a row draws everything from seed + i. WAYPOST_TORTURE_SEED is the first
// seed: a number, or any text, which is hashed (make test takes the commit). A failure
// prints the line that runs it again alone. Where several writers meet, the seed
// replays what was done and not how the scheduler mixed it.
//
// TestTheHarnessCanFail shows that a disk that lies and answers that do not fit the
// model are found.
package torture
