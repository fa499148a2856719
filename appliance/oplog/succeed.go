package oplog

import "context"

// Succeed opens a new own log because another box was met that runs with a copy of this
// folder and writes the log was too. It does nothing when was is not written here any
// more, so that two boxes that notice each other at once do it once each. It is reported
// in Stats and Check. Faults: those of Do.
func (l *Log) Succeed(ctx context.Context, was LogID) error {
	return l.submit(ctx, &job{answer: make(chan error, 1), exclusive: func() error {
		l.mu.RLock()
		own := l.own
		l.mu.RUnlock()
		if own != was {
			return nil
		}
		l.problem("another box runs with a copy of this folder; this one goes on under a new log")
		if err := l.writable(); err != nil {
			return err
		}
		return l.bear()
	}})
}
