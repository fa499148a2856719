package mesh

// Complete reports whether some other node of the deployment that is connected right
// now has told all it holds and given all of that: nothing it knows is missing here,
// erasures included. A box with this node's own keys does not count, whatever it has.
func (m *Mesh) Complete() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.links {
		if l.node != m.self && l.whole && m.given(l) {
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
