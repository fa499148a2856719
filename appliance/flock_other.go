//go:build !unix

package main

import "os"

// flock has nothing to hold on to here; Badger's own folder lock still refuses a
// second process.
func flock(*os.File) error { return nil }

func ownerOnly() {}
