//go:build !unix

package control

import "os"

// ownedByUs: without Unix owners the runtime folder is in the user's profile.
func ownedByUs(os.FileInfo) bool { return true }
