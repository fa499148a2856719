package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/tui"
)

// tuiVerb shows the dashboard. It starts also while no node runs, says so, and
// goes on when one does.
func (a *app) tuiVerb() *cobra.Command {
	return a.verb("tui", "tui", func(ctx context.Context, _ []string) error {
		if !isTerminal(a.out) || !isTerminal(os.Stdin) {
			return fault.New(fault.Unsupported, "fault.cli.no_terminal")
		}
		return tui.Run(ctx, tui.Options{
			Source: a.node(), Language: a.lang, In: os.Stdin, Out: os.Stdout, NoColor: os.Getenv("NO_COLOR") != "",
		})
	}).Command
}
