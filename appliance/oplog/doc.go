// Package oplog keeps the facts.
package oplog
