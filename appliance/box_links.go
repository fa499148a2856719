package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/mesh"
)

// linkFile keeps how the connection to others is used. Nothing in it is secret.
func linkFile(dir string) string { return filepath.Join(dir, "link.json") }

// linkSetting is what the file keeps, and what `waypost serve` was told for this run.
type linkSetting struct {
	Low      bool   `json:"low,omitempty"`
	Photos   bool   `json:"photos,omitempty"`
	Out      uint64 `json:"out,omitempty"`
	In       uint64 `json:"in,omitempty"`
	Discover *bool  `json:"discover,omitempty"` // nil: as suits the network
}

// readLink gives the usual setting when there is none, or the file is no good.
func readLink(dir string) (linkSetting, error) {
	var s linkSetting
	raw, err := os.ReadFile(linkFile(dir))
	if err == nil {
		err = json.Unmarshal(raw, &s)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return linkSetting{}, nil
	}
	if err != nil {
		return linkSetting{}, err
	}
	return s, nil
}

func (s linkSetting) profile() mesh.LinkProfile {
	return mesh.LinkProfile{Low: s.Low, Photos: s.Photos, Out: s.Out, In: s.In}
}

// discovers says whether a node that listens there looks around, when nobody said: not on
// a machine's own loopback.
func (s linkSetting) discovers(listen string) bool {
	if s.Discover != nil {
		return *s.Discover
	}
	host, _, err := net.SplitHostPort(listen)
	ip := net.ParseIP(host)
	return err == nil && host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// link is the setting in force: the file's, with what this run was told.
func (b *box) link() linkSetting {
	s, err := readLink(b.dir)
	if err != nil {
		b.logger.Warn("the setting of the connection cannot be read; the usual one counts", "err", err)
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	switch b.linkFlag {
	case control.LinkLow:
		s.Low = true
	case control.LinkUsual:
		s.Low = false
	}
	if b.discoverFlag != nil {
		s.Discover = b.discoverFlag
	}
	return s
}

// Link says how the connection to others is used.
func (b *box) Link(context.Context) (control.Link, error) {
	s := b.link()
	out := control.Link{Profile: control.LinkUsual, Photos: s.Photos, Out: s.Out, In: s.In, Discover: s.discovers(b.meshListen)}
	if s.Low {
		out.Profile = control.LinkLow
	}
	if n := b.open(); n != nil && n.Mesh() != nil {
		out.Discover = n.Mesh().Discovers()
		out.Restart = n.Mesh().Restart()
	}
	return out, nil
}

// SetLink changes it, keeps it and says what counts now. What this run was told with
// flags gives way.
func (b *box) SetLink(ctx context.Context, a staff.Actor, l control.Link) (control.Link, error) {
	if err := a.Must(staff.ManageBox); err != nil {
		return control.Link{}, err
	}
	if l.Profile != control.LinkUsual && l.Profile != control.LinkLow {
		return control.Link{}, fault.New(fault.Invalid, "fault.node.link_profile", "Profile", l.Profile)
	}
	s := linkSetting{Low: l.Profile == control.LinkLow, Photos: l.Photos, Out: l.Out, In: l.In, Discover: &l.Discover}
	raw, err := json.Marshal(s)
	if err == nil {
		err = writeFile(linkFile(b.dir), append(raw, '\n'))
	}
	if err != nil {
		return control.Link{}, fault.New(fault.Unavailable, "fault.node.cannot_write", "File", linkFile(b.dir)).Wrap(err)
	}
	b.mu.Lock()
	b.linkFlag, b.discoverFlag = "", nil
	b.mu.Unlock()
	if n := b.open(); n != nil && n.Mesh() != nil {
		n.Mesh().SetLinks(s.profile())
		n.Mesh().SetDiscover(l.Discover)
	}
	return b.Link(ctx)
}

// Places are where others reach this box and where it looks for them.
func (b *box) Places(_ context.Context, a staff.Actor) (control.Places, error) {
	if err := a.Must(staff.SeeMesh); err != nil {
		return control.Places{}, err
	}
	n, err := b.meshed()
	if err != nil {
		return control.Places{}, err
	}
	m := n.Mesh()
	return control.Places{Addresses: append([]string{}, m.Addresses()...), Seeds: append([]string{}, m.Seeds()...), Discover: m.Discovers()}, nil
}

// LookAt dials an address somebody gave and says which node is there.
func (b *box) LookAt(ctx context.Context, a staff.Actor, addr string) (string, error) {
	if err := a.Must(staff.InviteNodes); err != nil {
		return "", err
	}
	n, err := b.meshed()
	if err != nil {
		return "", err
	}
	id, err := n.Mesh().Look(ctx, addr)
	if err != nil {
		return "", err
	}
	return id.String(), nil
}

// ForgetPlace stops looking at one.
func (b *box) ForgetPlace(_ context.Context, a staff.Actor, addr string) error {
	if err := a.Must(staff.InviteNodes); err != nil {
		return err
	}
	n, err := b.meshed()
	if err != nil {
		return err
	}
	return n.Mesh().ForgetSeed(addr)
}
