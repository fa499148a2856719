//go:build firstlight

// Package oplogtest helps desks test their kinds and views.
package oplogtest

import (
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
)

// Harness opens a journal in a temporary folder with a store in memory.
func Harness(t testing.TB, kinds []oplog.Kind, views []*oplog.View) *oplog.Log { return nil }
