package mesh

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// peersName is the file in Config.Dir that remembers every node ever met. It
// holds ids, certificates, addresses and what each node last said it holds;
// nothing in it is secret and nothing in it is believed: cards are verified
// again, and vectors serve only for display.
const peersName = "peers.json"

// remembered is the file.
type remembered struct {
	Version int              `json:"version"`
	Stamp   uint64           `json:"stamp"` // of our own last card
	Seeds   []string         `json:"seeds"` // addresses given by an invitation where nobody has answered yet
	Peers   []rememberedPeer `json:"peers"`
}

type rememberedPeer struct {
	Node  oplog.ID         `json:"node"`
	Cert  []byte           `json:"cert,omitempty"`
	Card  []byte           `json:"card,omitempty"`
	Good  string           `json:"good,omitempty"`
	Seen  []string         `json:"seen,omitempty"`
	Last  time.Time        `json:"last_contact"`
	Holds []rememberedMark `json:"holds,omitempty"`
}

type rememberedMark struct {
	Log  oplog.LogID `json:"log"`
	Seq  uint64      `json:"seq"`
	Hash string      `json:"hash"`

	Since [][3]int64 `json:"since,omitempty"` // see rememberedPoints
}

// Remember tells the mesh of the folder dir, before it starts, where other nodes
// may be found: the addresses of the invitation a node joined by. Addresses that
// cannot be dialled are left out. Fault: Unavailable "fault.mesh.cannot_write".
func Remember(dir string, addrs ...string) error {
	r, err := readPeers(dir)
	if err != nil {
		r = remembered{}
	}
	r.seed(addrs)
	return writePeers(dir, r)
}

// Remembered is Remember for the bytes of the file.
func Remembered(file []byte, addrs ...string) ([]byte, error) {
	var r remembered
	if len(file) > 0 {
		if err := json.Unmarshal(file, &r); err != nil {
			return nil, err
		}
	}
	r.seed(addrs)
	return encodePeers(r)
}

func (r *remembered) seed(addrs []string) {
	for _, a := range addrs {
		if validAddress(a) && !slices.Contains(r.Seeds, a) {
			r.Seeds = append(r.Seeds, a)
		}
	}
}

func readPeers(dir string) (remembered, error) {
	var r remembered
	b, err := os.ReadFile(filepath.Join(dir, peersName))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	return r, err
}

// writePeers replaces the file whole: a power cut leaves the old one or the new.
func writePeers(dir string, r remembered) error {
	b, err := encodePeers(r)
	if err != nil {
		return err
	}
	if err := replaceFile(dir, peersName, b); err != nil {
		return fault.New(fault.Unavailable, "fault.mesh.cannot_write", "File", peersName).Wrap(err)
	}
	return nil
}

func encodePeers(r remembered) ([]byte, error) {
	r.Version = 1
	return json.Marshal(r)
}

func replaceFile(dir, name string, b []byte) error {
	f, err := os.CreateTemp(dir, "."+name+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already when the rename worked
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// load fills the mesh from the file. A file that cannot be read is put aside:
// nodes are then found again through the others.
func (m *Mesh) load() {
	var r remembered
	b, err := m.stage.Load()
	if err == nil && b != nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		m.log.Warn("mesh put aside a file it cannot read", "file", peersName, "err", err)
		_ = os.Rename(filepath.Join(m.dir, peersName), filepath.Join(m.dir, peersName+".bad"))
		r = remembered{}
	}
	m.stamp = nextSession(r.Stamp)
	for _, a := range r.Seeds {
		if validAddress(a) {
			m.seeds[a] = &dial{}
		}
	}
	for _, e := range r.Peers {
		if e.Node != m.self && len(m.peers) < maxPeers {
			m.loadPeer(e)
		}
	}
	for _, id := range m.order() {
		m.soonOrLater(m.peers[id])
	}
}

func (m *Mesh) loadPeer(e rememberedPeer) {
	p := m.peerFor(e.Node)
	if cert, err := verifiedCert(e.Cert, m.root); err == nil && cert.ID() == e.Node {
		p.cert = &cert
	}
	if c, err := parseCard(e.Card, m.keys.Deployment(), m.root); err == nil && c.cert.ID() == e.Node {
		p.card, p.cert = &c, &c.cert
		m.knownCards[string(c.raw)] = true
	}
	if validAddress(e.Good) {
		p.good = e.Good
	}
	for _, a := range slices.Backward(e.Seen) {
		if validAddress(a) {
			p.saw(a)
		}
	}
	p.last = e.Last
	for _, k := range e.Holds[:min(len(e.Holds), maxToldLogs)] {
		h := held{seq: k.Seq}
		if b, err := hex.DecodeString(k.Hash); err == nil && len(b) == len(h.hash) {
			copy(h.hash[:], b)
			p.held[k.Log] = h
			p.recall(k.Log, k.Since, e.Last)
		}
	}
}

// snapshot is what the file should say now. Called with the lock held.
func (m *Mesh) snapshot() remembered {
	r := remembered{Stamp: m.stamp}
	for a := range m.seeds {
		r.Seeds = append(r.Seeds, a)
	}
	slices.Sort(r.Seeds)
	for _, id := range m.order() {
		p := m.peers[id]
		e := rememberedPeer{Node: id, Good: p.good, Seen: p.seen, Last: p.last}
		if p.card != nil {
			e.Card = p.card.raw
		} else if p.cert != nil {
			e.Cert = p.cert.Marshal()
		}
		for _, log := range sortedLogs(p.held) {
			if k := p.held[log]; !k.forked {
				e.Holds = append(e.Holds, rememberedMark{Log: log, Seq: k.seq, Hash: hex.EncodeToString(k.hash[:]), Since: rememberedPoints(p.points[log])})
			}
		}
		r.Peers = append(r.Peers, e)
	}
	return r
}

// How soon a change is written: where nodes are, soon; what they hold, whenever.
const (
	soon = time.Second
	slow = time.Minute
)

// saveAPeer is the least time between two writes for every node that is known: the file grows
// with their number and that of their logs, and a card wears out by being written. What is
// forgotten meanwhile the others tell.
const saveAPeer = time.Second

// changed plans a write. Called with the lock held.
func (m *Mesh) changed(within time.Duration) {
	at := m.elapsed() + within
	if m.savedAt > 0 {
		at = max(at, m.savedAt+time.Duration(len(m.peers))*saveAPeer)
	}
	if m.saveAt == 0 || at < m.saveAt {
		m.saveAt = at
	}
}

// save writes the file when a write is due; now writes it at once.
func (m *Mesh) save(now bool) {
	m.saving.Lock() // two of them must not end in the wrong order
	defer m.saving.Unlock()
	m.mu.Lock()
	if !now && (m.saveAt == 0 || m.elapsed() < m.saveAt) {
		m.mu.Unlock()
		return
	}
	m.saveAt, m.savedAt = 0, m.elapsed()
	r := m.snapshot()
	m.mu.Unlock()
	b, err := encodePeers(r)
	if err == nil {
		err = m.stage.Save(b)
	}
	if err != nil {
		m.quiet.warn("mesh cannot remember its peers", "err", err)
		m.mu.Lock()
		m.changed(slow)
		m.mu.Unlock()
	}
}
