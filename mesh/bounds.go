package mesh

import "github.com/waypost/waypost/appliance/oplog"

// note takes what l says of a log for what its node holds. Of more logs than a vector may
// name nothing is remembered, however many connections they were named on: a node that named
// others each time would fill the memory of its peers, and their peers file. Called with the
// lock held.
func (l *link) note(log oplog.LogID) {
	held := l.peer.held
	if _, known := held[log]; known || len(held) < maxToldLogs {
		held[log] = l.says(log)
	}
}

// noteAll does so for every log, when what was remembered and is not so any more has made
// room. Called with the lock held.
func (l *link) noteAll() {
	if len(l.peer.held) == len(l.told) {
		return
	}
	for log := range l.told {
		if _, known := l.peer.held[log]; !known && !l.outdated(log) {
			l.note(log)
		}
	}
}
