package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/waypost/waypost/appliance/bundle"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
)

// bundleVerb holds the verbs about files that carry records to posts that cannot be heard.
func (a *app) bundleVerb() *cobra.Command {
	return a.group("bundle", a.bundleWrite(), a.bundleRead())
}

// bundleWrite writes one: by the running node, through its socket, or of a closed folder
// with a passphrase.
func (a *app) bundleWrite() *cobra.Command {
	var passphrase string
	o := control.BundleOrder{}
	v := a.verb("bundle.write", "write FILE", func(ctx context.Context, args []string) (err error) {
		if o.File, err = filepath.Abs(args[0]); err != nil {
			return cannotRead(args[0], err)
		}
		m := &carryMeter{app: a}
		defer m.end()
		state, err := a.carry(ctx, m, passphrase, func(c *control.Client) (control.Bundle, error) { return c.WriteBundle(ctx, o) },
			func(n *node) (state control.Bundle, err error) {
				order := o
				if order.File, err = bundleTarget(a.data, o.File); err == nil {
					state.Written, err = n.writeBundle(ctx, order, m.progress("writing"))
				}
				return state, err
			})
		if err != nil {
			return err
		}
		m.end()
		w := state.Written
		if a.json {
			return a.printJSON(w)
		}
		a.println(a.say("cli.bundle.written", "File", w.File, "Size", megabytes(uint64(w.Bytes)), "Ops", w.Ops, "Photos", w.Pieces)) //nolint:gosec // a size
		if w.Ops+w.Pieces == 0 {
			a.note(a.say("carry.written.nothing"))
		}
		if w.Left > 0 {
			a.note(a.say("carry.left", "Logs", w.Left))
		}
		return nil
	})
	v.str(&o.For, "for", "NODE|any", anyPost)
	v.bool(&o.Bare, "without-photos")
	v.str(&passphrase, "passphrase-file", "FILE", "")
	v.printsData()
	return v.Command
}

// bundleRead reads one.
func (a *app) bundleRead() *cobra.Command {
	var passphrase string
	v := a.verb("bundle.read", "read FILE", func(ctx context.Context, args []string) error {
		file, err := filepath.Abs(args[0])
		if err != nil {
			return cannotRead(args[0], err)
		}
		m := &carryMeter{app: a}
		defer m.end()
		state, err := a.carry(ctx, m, passphrase, func(c *control.Client) (control.Bundle, error) { return c.ReadBundle(ctx, file) },
			func(n *node) (state control.Bundle, err error) {
				state.Read, err = n.readBundle(ctx, file, m.progress("reading"))
				return state, err
			})
		m.end()
		if state.Read == nil || state.Read.From == "" {
			return err // nothing of it could be used
		}
		if perr := a.printBundle(*state.Read); err == nil {
			err = perr
		}
		return err
	})
	v.str(&passphrase, "passphrase-file", "FILE", "")
	v.printsData()
	return v.Command
}

func (a *app) printBundle(r control.BundleRead) error {
	if a.json {
		return a.printJSON(r)
	}
	if r.New == 0 && r.NewPieces == 0 {
		a.println(a.say("cli.bundle.nothing_new", "Number", r.Number, "Ops", r.Ops))
	} else {
		a.println(a.say("cli.bundle.read", "Number", r.Number, "People", r.People, "New", r.New, "Here", r.Here(), "Photos", r.NewPieces))
	}
	if r.HeldBack > 0 {
		a.println(a.say("carry.held_back", "Ops", r.HeldBack))
	}
	if r.Refused > 0 {
		a.println(a.say("carry.refused", "Logs", r.Refused))
	}
	return nil
}

// carry has the running node do it, or does it on a folder that nobody serves.
func (a *app) carry(ctx context.Context, m *carryMeter, passphraseFile string, ask func(*control.Client) (control.Bundle, error), do func(*node) (control.Bundle, error)) (control.Bundle, error) {
	running := a.node()
	state, err := ask(running)
	switch {
	case err == nil:
		return a.followCarry(ctx, running, m)
	case !control.IsNotRunning(err):
		return state, err
	case !identity.Exists(a.data):
		return state, fault.New(fault.NotFound, "fault.node.no_folder", "Folder", a.data)
	case passphraseFile == "":
		return state, fault.New(fault.Locked, "fault.bundle.passphrase")
	}
	passphrase, err := a.passphrase(passphraseFile)
	if err != nil {
		return state, err
	}
	err = withFolder(ctx, a.data, passphrase, func(n *node) (err error) {
		state, err = do(n)
		return err
	})
	return state, err
}

// carryLook is how often the node is asked how far it is.
const carryLook = 200 * time.Millisecond

// followCarry shows how far the node is until it is done. Whoever stops the verb stops it.
func (a *app) followCarry(ctx context.Context, node *control.Client, m *carryMeter) (control.Bundle, error) {
	for {
		state, err := node.BundleState(ctx)
		if ctx.Err() != nil {
			_ = node.StopBundle(context.WithoutCancel(ctx))
			return state, fault.New(fault.Unavailable, "fault.bundle.stopped").Wrap(ctx.Err())
		}
		if err != nil || !state.Running {
			return state, err
		}
		m.show(state.Step, state.Done, state.Total)
		select {
		case <-clock.System().After(carryLook):
		case <-ctx.Done():
		}
	}
}

// carryMeter shows a step and how much of it is done, on one line of a terminal.
type carryMeter struct {
	app   *app
	last  string
	shown bool
}

func (m *carryMeter) progress(step string) func(bundle.Progress) {
	return func(p bundle.Progress) { m.show(step, p.Done, p.Total) }
}

func (m *carryMeter) show(step string, done, total int64) {
	if !isTerminal(m.app.err) || step == "" {
		return
	}
	line := m.app.say("carry.step." + step)
	if total > 0 {
		line += fmt.Sprintf(" %d %%", min(100, done*100/total))
	}
	if line != m.last {
		fmt.Fprintf(m.app.err, "\r\033[K%s", line)
		m.last, m.shown = line, true
	}
}

func (m *carryMeter) end() {
	if m.shown {
		fmt.Fprint(m.app.err, "\r\033[K")
		m.shown = false
	}
}
