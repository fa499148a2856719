//go:build firstlight

// Package oplog keeps the facts.
package oplog
