package main

import (
	"context"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/ui"
)

// lowDisk is when a person should make room: well before the journal stops
// taking commands, and not always on a small disk.
func lowDisk(total uint64) uint64 { return min(512<<20, total/4) }

// Status is what the node says about itself, in every state.
func (b *box) Status(ctx context.Context) (control.Status, error) {
	s := control.Status{
		State: b.State(), Mesh: b.meshAddr, Started: b.started.UTC().Format("2006-01-02T15:04:05Z"), Version: version(),
		Peers: []control.Peer{}, Forks: []control.ForkedLog{}, Alerts: []control.Alert{},
		Clock: control.Clock{Now: b.clock.Now(), Sure: b.clock.Sure()},
	}
	s.Disk.Free, s.Disk.Total = diskRoom(b.dir)
	site := b.Site()
	s.Node, s.Number, s.Deployment, s.Site, s.Practice = site.Node, site.Number, site.Deployment, site.Site, site.Practice
	s.Rebuild = b.rebuilding()
	if link, err := b.Link(ctx); err == nil {
		s.Link = &link
	}
	n := b.open()
	if n == nil {
		s.Sealed = b.slumbering()
		s.Alerts = slumberAlerts(s.Sealed)
		return s, nil
	}
	counts, err := n.desks.Registration.Counts(ctx)
	if err != nil {
		return s, err
	}
	stats := n.journal.Stats()
	s.People, s.Households, s.Today = uint64(counts.People), uint64(counts.Households), uint64(counts.Today) //nolint:gosec // counts
	s.Counting = counts.Counting
	if full, toFree := n.journal.Room(); full {
		s.Disk.ToFree = toFree << 20
	}
	s.Ops, s.Late, s.Lost, s.Disk.Journal = stats.Ops, stats.Late, count(n.lost()), stats.JournalBytes
	s.Pieces = n.pieces()
	if m := n.Mesh(); m != nil {
		s.OnlyHere = m.OnlyHere()
		if err := b.meshStatus(&s, n, m); err != nil {
			return s, err
		}
	}
	erased, err := n.desks.Staff.Counts(ctx)
	if err != nil {
		return s, err
	}
	s.Erasures = control.Erased(erased)
	s.Backup, s.Restored = n.lastBackup(s.Ops), n.restored()
	s.Alerts = slices.Concat(b.alerts(s, n, site), b.nightAlerts(n), n.recordAlerts(), b.backupAlerts(s, n, site), b.webAlerts(s), b.emergencyAlerts(n))
	return s, nil
}

// arriving is how many facts of others are late before anybody is told.
const arriving = 5000

// alerts are the things that want a person's eye, the worst first.
func (b *box) alerts(s control.Status, n *node, site ui.SiteInfo) []control.Alert {
	out := []control.Alert{}
	add := func(on bool, level, key string, args map[string]any) {
		if on {
			out = append(out, control.Alert{Key: key, Args: args, Level: level})
		}
	}
	stats := n.journal.Stats()
	full, toFree := n.journal.Room()
	add(full, "danger", "alert.disk_full", map[string]any{"MB": toFree})
	add(stats.ReadOnly, "danger", "alert.read_only", nil)
	if s.Rebuild != nil && stats.Late == 0 {
		add(true, "warning", "alert.rebuilding", map[string]any{"Percent": s.Rebuild.Percent})
	}
	add(stats.Late >= arriving, "warning", "alert.arriving", map[string]any{"Count": stats.Late})
	add(s.Counting, "warning", "alert.counting", map[string]any{"Count": s.People})
	faults := len(stats.Problems) - len(n.journal.Losses())
	add(faults > 0, "danger", "alert.problems", map[string]any{"Count": faults})
	heard := slices.ContainsFunc(s.Peers, control.Peer.Reached)
	add(s.Lost > 0 && heard, "warning", "alert.lost", map[string]any{"Count": s.Lost})
	add(s.Lost > 0 && !heard, "danger", "alert.lost_alone", map[string]any{"Count": s.Lost})
	add(!full && s.Disk.Total > 0 && s.Disk.Free < lowDisk(s.Disk.Total), "danger", "alert.disk_low", map[string]any{"MB": s.Disk.Free >> 20})
	add(n.Mesh() == nil && !site.Practice, "danger", "alert.mesh_off", map[string]any{"Address": b.meshListen})
	add(s.OnlyHere > 0 && !site.Practice, "danger", "alert.only_here", map[string]any{"Count": s.OnlyHere})
	if m := n.Mesh(); m != nil {
		add(m.Refusals() > 0, "danger", "alert.invitation_refused", map[string]any{"Count": m.Refusals()})
	}
	unconfirmed, shut := 0, 0
	for _, p := range s.Peers {
		switch {
		case p.Standing != "":
			shut++
		case !p.Confirmed:
			unconfirmed++
		}
	}
	add(shut > 0, "warning", "alert.shut_out", map[string]any{"Count": shut})
	add(n.desks.Identity.StandingOf(n.vault.NodeID()) != identity.StandingGood, "danger", "alert.self_shut", nil)
	add(unconfirmed > 0, "danger", "alert.unconfirmed", map[string]any{"Count": unconfirmed})
	add(!site.Confirmed && !site.Practice, "danger", "alert.self_unconfirmed", nil)
	add(site.RootOnBox && !site.Practice, "danger", "alert.root_on_box", nil)
	kit, root, issuer := n.vault.Shut()
	add(kit, "warning", "alert.kit_opened", nil)
	add(!kit && (root || issuer), "warning", "alert.ways_old", nil)
	add(b.drillDue(n, s.Clock), "warning", "alert.drill_due", nil)
	add(s.Erasures.Signing > 0, "danger", "alert.erasures", map[string]any{"Count": s.Erasures.Signing})
	add(stats.Opaque > 0 && !n.vault.Carries(), "warning", "alert.opaque", map[string]any{"Count": stats.Opaque})
	add(!s.Clock.Sure, "warning", "alert.clock", nil)
	return out
}

// Check verifies journal, chains, signatures and views of the open node.
func (b *box) Check(ctx context.Context) (control.Check, error) {
	n := b.open()
	if n == nil {
		return control.Check{}, b.notOpen()
	}
	return n.check(ctx)
}

func (n *node) check(ctx context.Context) (control.Check, error) {
	r, err := n.journal.Check(ctx)
	if err != nil {
		return control.Check{}, err
	}
	c := control.Check{Sound: r.Sound, Ops: r.Ops, Lost: r.Lost, Notes: append(n.mended(), r.Notes...), Views: &r.Views, Areas: []string{"register/" + strconv.Itoa(int(n.vault.Area()))}, Logs: []control.LogHead{}, Problems: []string{}}
	for _, h := range r.Logs {
		c.Logs = append(c.Logs, control.LogHead{Log: h.Log.String(), Seq: h.Seq, Head: hexString(h.Hash[:])})
	}
	c.Problems = append(c.Problems, r.Problems...)
	pieces, err := n.checkPieces(ctx)
	c.Problems = append(c.Problems, pieces...)
	n.accept(&c)
	return c, err
}

// Holdings says of every log how far it is held here, and which other nodes are
// known to hold all of that.
func (b *box) Holdings(context.Context) ([]ui.Holding, error) {
	n := b.open()
	if n == nil {
		return nil, nil
	}
	p, err := n.posts()
	if err != nil {
		return nil, err
	}
	copies := map[string]control.LogCopies{}
	for _, l := range n.logCopies(p) {
		copies[l.Log] = l
	}
	var out []ui.Holding
	for _, h := range n.journal.Heads() {
		l := copies[h.Log.String()]
		held := ui.Holding{Log: h.Log.String(), Node: l.Node, Seq: h.Seq, Head: hexString(h.Hash[:]), OnlyHere: l.OnlyHere, Copies: l.Copies}
		if n.Mesh() != nil {
			held.Holders = append(held.Holders, n.vault.NodeID().String())
		}
		for _, c := range l.Copies {
			held.Holders = append(held.Holders, c.Node)
		}
		slices.Sort(held.Holders)
		out = append(out, held)
	}
	return out, nil
}

// CA is what a phone needs to trust this box's pages.
func (b *box) CA() ui.CAInfo {
	return ui.CAInfo{PEM: b.web.CA(), Fingerprint: b.web.Fingerprint(), Words: b.web.Words()}
}

// Addresses are the HTTPS addresses phones on the network can open, best first.
func (b *box) Addresses() []string {
	var out []string
	reach := lanAddresses()
	if ip := net.ParseIP(b.httpsHost); ip != nil && !ip.IsUnspecified() {
		reach = nil // it listens on one address alone
		if !ip.IsLoopback() {
			reach = []net.IP{ip}
		}
	}
	for _, ip := range reach {
		out = append(out, "https://"+net.JoinHostPort(ip.String(), strconv.Itoa(b.httpsPort))+"/")
	}
	return out
}

// lanAddresses are this machine's addresses others can reach, IPv4 first.
func lanAddresses() []net.IP {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var four, six []net.IP
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.IsLoopback() || n.IP.IsLinkLocalUnicast() || n.IP.IsMulticast() {
			continue
		}
		if v4 := n.IP.To4(); v4 != nil {
			four = append(four, v4)
		} else {
			six = append(six, n.IP)
		}
	}
	return append(four, six...)
}

// advertised is the host:port other nodes are told to dial.
func advertised(listen, advertise string) (addr string, port int) {
	host, p, err := net.SplitHostPort(listen)
	if err != nil {
		return listen, 0
	}
	port, _ = strconv.Atoi(p)
	if advertise != "" {
		if _, _, err := net.SplitHostPort(advertise); err == nil {
			return advertise, port
		}
		return net.JoinHostPort(advertise, p), port
	}
	return net.JoinHostPort(reachableHost(host), p), port
}

// reachable turns a wildcard listening address into one a person can type.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return net.JoinHostPort(reachableHost(host), port)
}

func reachableHost(host string) string {
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return host
	}
	if lan := lanAddresses(); len(lan) > 0 {
		return lan[0].String()
	}
	return "127.0.0.1"
}

// diskRoom is the free and total room of the folder's disk, in bytes; zero when
// it cannot be asked.
func diskRoom(dir string) (free, total uint64) {
	var fs syscall.Statfs_t
	if syscall.Statfs(filepath.Clean(dir), &fs) != nil {
		return 0, 0
	}
	size := uint64(fs.Bsize) //nolint:gosec // a block size is positive
	return fs.Bavail * size, fs.Blocks * size
}

// mended names what was found wrong with a copy of a small file when the node was
// opened, and was made good by the other one.
func (n *node) mended() []string {
	return append(append([]string{}, n.vault.Mended()...), n.desks.Staff.Mended()...)
}

// drillDue reports whether the papers were not tried for a quarter. It is quiet before the
// ceremony was held, and while nobody knows what day it is.
func (b *box) drillDue(n *node, c control.Clock) bool {
	held, ok, err := n.desks.Identity.Held()
	if err != nil || !ok {
		return false
	}
	list, err := n.desks.Identity.Drilled()
	return err == nil && identity.DrillOverdue(list, c.Now, c.Sure, held.At)
}
