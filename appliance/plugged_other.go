//go:build !linux

package main

// plugged: other systems take a file away with its disk.
func plugged(string) bool { return true }

// unplugged: they do not tell whether it was pulled.
func unplugged(uint64) bool { return false }

func knowsSticks() bool { return false }
