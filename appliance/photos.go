package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"

	"github.com/waypost/waypost/appliance/chunks"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/identity"
)

// openChunks opens the photos and files of a data folder; nil when they cannot be
// opened: a box without photos still registers people.
func openChunks(dir string, vault *identity.Vault, c clock.Clock, logger *slog.Logger) *chunks.Store {
	s, err := chunks.Open(chunks.Options{
		Dir: filepath.Join(dir, "chunks"), Clock: c, Logger: logger.With("part", "chunks"), StorageKey: vault.Subkey("chunks"),
		FreeSpace: func() (uint64, error) {
			free, total := diskRoom(dir)
			if total == 0 {
				return 0, errors.New("the disk does not say how full it is")
			}
			return free, nil
		},
	})
	if err != nil {
		logger.Error("the photos cannot be opened", "err", err)
	}
	return s
}

// keepChunks lets the store look after itself until the returned function is called,
// which waits for its end.
func keepChunks(s *chunks.Store) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Upkeep(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// pieces counts the photos and files of a node, for its status.
func (n *node) pieces() control.Pieces {
	if n.chunks == nil {
		return control.Pieces{}
	}
	s := n.chunks.Stats()
	return control.Pieces{Held: s.Held, Lacking: s.Lacking, Damaged: s.Rotten}
}

// checkPieces reads every piece of a node and says which were damaged. They are set
// aside and fetched again by themselves.
func (n *node) checkPieces(ctx context.Context) ([]string, error) {
	if n.chunks == nil {
		return []string{"the photos could not be opened"}, nil
	}
	bad, err := n.chunks.Scrub(ctx)
	var problems []string
	for _, id := range bad {
		problems = append(problems, "piece "+chunks.Name(id)+": damaged, set aside, to be fetched from another node")
	}
	return problems, err
}
