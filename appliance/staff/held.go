package staff

// Held is a form that came, or was being typed, when its session went idle. It is given
// back as it was once the session is open again, and it is wiped with the session.
type Held struct {
	Path   string // where it was sent or stood
	Focus  string // the field that was being typed in
	Sent   bool   // it was sent: it goes on from there
	Fields map[string][]string
}

// Bounds of what is held.
const (
	maxHeld    = 128 << 10 // bytes of one form
	maxHeldAll = 16 << 20  // … of all
)

func (h *Held) size() int {
	if h == nil {
		return 0
	}
	n := len(h.Path) + len(h.Focus)
	for k, values := range h.Fields {
		n += len(k)
		for _, v := range values {
			n += len(v)
		}
	}
	return n
}

func (h *Held) wipe() {
	if h != nil { // strings cannot be overwritten; nothing points to them any more
		h.Fields = nil
	}
}

// Hold keeps a form for when the session is open again; false where there is no room or
// no session. The last one counts.
func (d *Desk) Hold(token string, h Held) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sessionLocked(token, d.clock.Now())
	all := 0
	for _, o := range d.sessions {
		if o != s {
			all += o.held.size()
		}
	}
	if s == nil || h.size() > maxHeld || all+h.size() > maxHeldAll {
		return false
	}
	s.held = &h
	return true
}

// Unhold gives a form back, once, to an open session.
func (d *Desk) Unhold(token, path string, sent bool) (Held, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sessionLocked(token, d.clock.Now())
	if s == nil || s.rests || s.held == nil || s.held.Path != path || s.held.Sent != sent {
		return Held{}, false
	}
	h := *s.held
	s.held = nil
	return h, true
}

// HeldFor says where a form waits that was held for a session, and whether it was sent.
func (d *Desk) HeldFor(token string) (path string, sent, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sessionLocked(token, d.clock.Now())
	if s == nil || s.held == nil {
		return "", false, false
	}
	return s.held.Path, s.held.Sent, true
}
