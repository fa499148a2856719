// Waypost is a registration post for people caught in a crisis, in one file: it
// serves pages to the phones around it, keeps every record in an encrypted
// journal, replicates with the other posts of the operation, and issues cards that
// every post can check alone.
//
// This package is only the program: its verbs (one file per group), and node.go,
// where a node is put together. `waypost help` lists the verbs.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/ui/locale"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once: whoever presses Ctrl-C twice means it.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// The exit codes of the contract.
const (
	exitDone    = 0
	exitRefused = 1 // refused or failed: one line on stderr, and a hint
	exitUsage   = 2 // the command line itself is wrong
)

// run carries out one command line and returns its exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	catalog := locale.New()
	a := &app{catalog: catalog, lang: personLanguage(catalog), in: in, out: out, err: errs}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	return a.exit(root.ExecuteContext(ctx))
}

// app is what every verb shares: the person's language, where to speak, and the
// data folder.
type app struct {
	catalog *locale.Catalog
	lang    locale.Language
	in      io.Reader
	out     io.Writer
	err     io.Writer
	data    string // --data
	json    bool   // --json
	stdin   string // the flag that has taken stdin; nothing else may
}

// root is the list of verbs, in the order a site is started and used.
func (a *app) root() *cobra.Command {
	cobra.EnableCommandSorting = false
	root := &cobra.Command{
		Use: "waypost", Short: a.say("cli.root.short"), SilenceErrors: true, SilenceUsage: true,
		Args: a.anyVerb, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: a.prepare,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.PersistentFlags().StringVar(&a.data, "data", "./data", a.say("cli.flag.data"))
	valueName(root.PersistentFlags(), "data", "DIR")
	root.PersistentFlags().BoolP("help", "h", false, a.say("cli.flag.help"))
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagUsage(err) })
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { a.help(cmd) })
	root.SetHelpCommand(a.helpCommand())
	root.AddCommand(
		a.initVerb(), a.serveVerb(), a.unlockVerb(), a.lockVerb(), a.slotsVerb(), a.openerVerb(), a.ceremonyVerb(), a.webcertVerb(), a.emergencyVerb(), a.wipeVerb(), a.statusVerb(), a.meshVerb(), a.copiesVerb(), a.tuiVerb(),
		a.inviteVerb(), a.joinVerb(), a.confirmVerb(), a.suspendVerb(), a.liftVerb(), a.revokeVerb(), a.rotateVerb(), a.lostVerb(), a.issuersVerb(), a.revokeIssuerVerb(), a.staffVerb(), a.apikeyVerb(),
		a.importVerb(), a.tokenVerb(), a.checkVerb(), a.rebuildVerb(), a.bundleVerb(), a.backupVerb(), a.restoreVerb(), a.reopenVerb(), demoCommand(a.catalog),
		a.completionVerb(), a.versionVerb(),
	)
	return root
}
