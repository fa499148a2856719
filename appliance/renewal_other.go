//go:build !unix

package main

import "errors"

const canRenew = false

var errNoExec = errors.New("this system cannot replace a process")

func keepOpen(any) (int, error) { return 0, errNoExec }
func closeOnExec(int)           {}
func closeAll([]int)            {}
func execAgain([]string) error  { return errNoExec }
