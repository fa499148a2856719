//go:build !linux

package main

import "os"

// placeOf: without Linux's numbers the machine alone has to do.
func placeOf(string, *os.File) (place, error) { return place{Machine: machine()}, nil }
