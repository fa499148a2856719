package mesh

// The nonces of PINGs that say "this node came out of a backup and waits itself" and
// "now it waits no more": "closed/1" and "opened/1". The first goes out before the vector.
// To a node that does not know them they are pings like any other.
const (
	isClosed = 0x636c6f7365642f31
	isOpened = 0x6f70656e65642f31
)

// Opened says that this node does not wait any more for what another one knows
// (Config.Closed). Safe for concurrent use; later calls do nothing.
func (m *Mesh) Opened() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.waits {
		return
	}
	m.waits = false
	for _, l := range m.links {
		l.out.send(ping{isOpened})
	}
}

// Complete reports whether some other node of the deployment that is connected right
// now has told all it holds and given all of that: nothing it knows is missing here,
// erasures included. A box with this node's own keys does not count, whatever it has, nor
// does one that came out of a backup and waits for others itself: two of them must not
// open each other.
func (m *Mesh) Complete() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.links {
		if l.node != m.self && l.whole && !l.waits && m.given(l) {
			return true
		}
	}
	return false
}

// given reports whether everything l told is held here. Of a log with two histories one
// is enough: the other one cannot come. Called with the lock held.
func (m *Mesh) given(l *link) bool {
	for log, k := range l.told {
		if k.seq > m.mine[log].Seq && !m.forked(log) {
			return false
		}
	}
	return true
}
