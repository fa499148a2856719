package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/control"
)

// meshVerbs are those about reaching other nodes.
func (a *app) meshVerbs() []*cobra.Command {
	return []*cobra.Command{a.meshAddresses(), a.meshAdd(), a.meshForget(), a.meshLink()}
}

// meshAddresses says where this node is and where it looks for others.
func (a *app) meshAddresses() *cobra.Command {
	v := a.verb("mesh.addresses", "addresses", func(ctx context.Context, _ []string) error {
		p, err := a.node().Places(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(p)
		}
		if isTerminal(a.out) {
			a.println(terminalQR(strings.Join(p.Addresses, " ")))
		}
		for _, addr := range p.Addresses {
			a.println(control.Plain(addr))
		}
		for _, addr := range p.Seeds {
			a.note(a.say("cli.mesh.seed", "Address", control.Plain(addr)))
		}
		return nil
	})
	v.printsData()
	return v.Command
}

// meshAdd has the node look at an address.
func (a *app) meshAdd() *cobra.Command {
	v := a.verb("mesh.add", "add ADDR…", func(ctx context.Context, args []string) error {
		node, err := a.node().LookAt(ctx, strings.Join(args, " "))
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(map[string]string{"node": node})
		}
		p, err := a.peer(ctx, node)
		if err != nil {
			return err
		}
		a.println(a.say("cli.mesh.found", "Site", a.peerName(p), "Number", p.Number, "Node", node))
		return nil
	})
	v.printsData()
	return v.Command
}

// meshForget has it stop looking.
func (a *app) meshForget() *cobra.Command {
	return a.verb("mesh.forget", "forget ADDR", func(ctx context.Context, args []string) error {
		if err := a.node().ForgetPlace(ctx, args[0]); err != nil {
			return err
		}
		a.println(a.say("cli.mesh.forgotten", "Address", control.Plain(args[0])))
		return nil
	}).Command
}

// meshLink says or changes how the connection to others is used. What no flag names stays.
func (a *app) meshLink() *cobra.Command {
	var profile, photos, discover, out, in string
	v := a.verb("mesh.link", "link", func(ctx context.Context, _ []string) error {
		l, err := a.node().LinkState(ctx)
		if err != nil {
			return err
		}
		before := l
		if profile != "" {
			l.Profile = profile
		}
		for _, s := range []struct {
			flag, value string
			to          *bool
		}{{"photos", photos, &l.Photos}, {"discover", discover, &l.Discover}} {
			if s.value == "" {
				continue
			}
			if *s.to, err = strconv.ParseBool(s.value); err != nil {
				return usage("cli.usage.flag_value", "Flag", "--"+s.flag, "Value", s.value)
			}
		}
		for _, s := range []struct {
			flag, value string
			to          *uint64
		}{{"out", out, &l.Out}, {"in", in, &l.In}} {
			if s.value == "" {
				continue
			}
			n, err := strconv.ParseUint(s.value, 10, 30)
			if err != nil {
				return usage("cli.usage.flag_value", "Flag", "--"+s.flag, "Value", s.value)
			}
			*s.to = n * 1000
		}
		if l != before {
			if l, err = a.node().SetLink(ctx, l); err != nil {
				return err
			}
		}
		if a.json {
			return a.printJSON(l)
		}
		a.println(a.linkIs(l))
		if l.Restart {
			a.hint(a.say("cli.mesh.restart"))
		}
		return nil
	})
	v.str(&profile, "link", "usual|low", "")
	v.str(&photos, "photos", "true|false", "")
	v.str(&discover, "discover", "true|false", "")
	v.str(&out, "out", "KB", "")
	v.str(&in, "in", "KB", "")
	v.printsData()
	return v.Command
}

// linkIs says in one line how the connection to others is used.
func (a *app) linkIs(l control.Link) string {
	parts := []string{a.say("cli.mesh.link_" + l.Profile)}
	for _, s := range []struct {
		on  bool
		key string
		n   uint64
	}{
		{l.Profile == control.LinkLow && l.Photos, "cli.mesh.link_photos", 0}, {l.Out > 0, "cli.mesh.link_out", l.Out},
		{l.In > 0, "cli.mesh.link_in", l.In}, {!l.Discover, "cli.mesh.link_alone", 0},
	} {
		if s.on {
			parts = append(parts, a.say(s.key, "KB", s.n/1000))
		}
	}
	return strings.Join(parts, " · ")
}
