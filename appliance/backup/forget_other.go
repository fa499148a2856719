//go:build !linux

package backup

import "github.com/waypost/waypost/appliance/files"

// forget: this system has no such call.
func forget(files.File) {}
