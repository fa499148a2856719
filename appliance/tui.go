package main

import (
	"context"
	"os"
	"strings"

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
			Source: a.node(), Language: a.lang, In: os.Stdin, Out: os.Stdout, NoColor: os.Getenv("NO_COLOR") != "", ASCII: asciiOnly(os.Getenv),
		})
	}).Command
}

// asciiOnly reports whether the environment says that the terminal shows no UTF-8. One that
// says nothing does.
func asciiOnly(env func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} { // the first that is set holds, as in POSIX
		if v := strings.ToLower(env(name)); v != "" {
			return !strings.Contains(v, "utf-8") && !strings.Contains(v, "utf8")
		}
	}
	return false
}
