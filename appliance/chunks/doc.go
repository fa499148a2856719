// Package chunks keeps photos and files beside the journal: cut into pieces, each
// sealed under a key of its own and named by what it holds. An op is small and goes
// everywhere at once; a photo is large and follows when the records are level.
//
// # A piece
//
// A file is cut into pieces of 256 KB. Each is sealed with XChaCha20-Poly1305 under a
// fresh random key (so the nonce is zero), associated data "waypost/chunk/1", and its
// id is SHA-256 of the sealed bytes. Anybody who carries a piece can check it against
// its id without a key, and only who can open the op that names it can read it: ids,
// keys and sizes lie in that op's sealed payload (File). Erasing a person destroys
// that payload and with it the keys, on every node and every copy; deleting the
// pieces is only tidying up.
//
// # Files
//
//	DIR/ab/abcd….wpc    a piece, under its id in hexadecimal; mode 0600
//	DIR/ab/abcd….bad    what was read there and was no longer that piece
//	DIR/up/ID.wpu       an upload that no op names yet: its File, sealed under the
//	                    storage key, associated data "waypost/upload/1" ‖ its id
//	DIR/idle            what no op names: file name, minutes of running time, and the id
//	                    of the subject whose it was, where that is known
//
// # Promises
//
//   - A piece is flushed, with its name in its folder, before Put returns; so it is
//     before the op that names it (TestWhatPutAnsweredSurvivesAnyCut).
//   - A piece that is read is checked. One that changed on the disk is set aside,
//     never handed out, and asked of the other nodes (TestRotIsSetAsideAndWanted).
//   - Photos never fill the room that records need: below Options.MinFree nothing is
//     taken in, a good deal before the journal stops (TestNoRoomForPhotosComesFirst).
//   - What no op names goes, an upload after 24 hours of running time and a piece after
//     96, because an erasure is final after 72. Time is counted across restarts and
//     never by the wall clock, and nothing goes unless the desk that knows says so
//     (TestOnlyWhatNobodyNamesGoes).
//
// # Pictures
//
// picture.go opens images that strangers send, with bounds on what that may cost, and
// photo.go makes of one the small picture that is kept, without anything the camera
// wrote beside it: where a photo was taken can cost a life.
package chunks
