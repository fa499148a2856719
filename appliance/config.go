package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
)

// verb is one verb being put together. Its texts are cli.<path>.short and, for each
// flag, cli.<path>.<flag>; cli.flag.<flag> for flags that mean the same everywhere.
type verb struct {
	*cobra.Command
	app    *app
	path   string // "staff.add"
	needed []string
}

// verb starts a verb. use is its line of help without the flags: the name and the
// arguments in capitals, "[" around those that may be missing and "…" after one
// that may be repeated; how many arguments there may be follows from it.
func (a *app) verb(path, use string, run func(ctx context.Context, args []string) error) *verb {
	v := &verb{app: a, path: path}
	v.Command = &cobra.Command{
		Use: use, Short: a.say("cli." + path + ".short"), Args: argsOf(use),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := v.check(cmd.Flags()); err != nil {
				return err
			}
			return run(cmd.Context(), args)
		},
	}
	return v
}

// group is a verb that only holds others: alone it is not complete.
func (a *app) group(path string, verbs ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: path, Short: a.say("cli." + path + ".short"), Args: a.anyVerb}
	g.RunE = func(cmd *cobra.Command, _ []string) error {
		return usage("cli.usage.which", "Verb", cmd.CommandPath())
	}
	g.AddCommand(verbs...)
	return g
}

func (v *verb) text(flag string) string {
	if key := "cli." + v.path + "." + flag; v.app.lang.Has(key) {
		return v.app.say(key)
	}
	return v.app.say("cli.flag." + flag)
}

// str adds a flag that takes a value; value is what stands for it in the help.
func (v *verb) str(p *string, flag, value, def string) {
	v.Flags().StringVar(p, flag, def, v.text(flag))
	valueName(v.Flags(), flag, value)
}

// need is str of a flag that must be given, here or in the environment.
func (v *verb) need(p *string, flag, value string) {
	v.str(p, flag, value, "")
	v.needed = append(v.needed, flag)
}

// dur adds a flag that takes a time span such as 10m or 24h.
func (v *verb) dur(p *time.Duration, flag string, def time.Duration) {
	v.Flags().DurationVar(p, flag, def, v.text(flag))
	valueName(v.Flags(), flag, "TIME")
}

// num adds a flag that takes a whole number.
func (v *verb) num(p *int, flag string, def int) {
	v.Flags().IntVar(p, flag, def, v.text(flag))
	valueName(v.Flags(), flag, "N")
}

// bool adds a switch.
func (v *verb) bool(p *bool, flag string) { v.Flags().BoolVar(p, flag, false, v.text(flag)) }

// printsData gives the verb --json.
func (v *verb) printsData() { v.bool(&v.app.json, "json") }

// check looks for missing flags and time spans that are none.
func (v *verb) check(set *pflag.FlagSet) (err error) {
	for _, name := range v.needed {
		if set.Lookup(name).Value.String() == "" {
			return usage("cli.usage.flag_missing", "Flag", "--"+name, "Variable", variable(name))
		}
	}
	set.VisitAll(func(f *pflag.Flag) {
		if d, e := set.GetDuration(f.Name); e == nil && d < time.Second {
			err = usage("cli.usage.time", "Flag", "--"+f.Name)
		}
	})
	return err
}

const valueNote = "waypost value"

// valueName sets what stands for a flag's value in the help.
func valueName(set *pflag.FlagSet, flag, value string) {
	if err := set.SetAnnotation(flag, valueNote, []string{value}); err != nil {
		panic(err) // only for a flag that was never added
	}
}

// variable is the environment variable behind a flag.
func variable(flag string) string {
	return "WAYPOST_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// prepare runs before every verb: flags not given come from the environment.
func (a *app) prepare(cmd *cobra.Command, _ []string) (err error) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		value, set := os.LookupEnv(variable(f.Name))
		if f.Changed || !set || value == "" || f.Name == "help" || err != nil {
			return
		}
		if cmd.Flags().Set(f.Name, value) != nil {
			err = usage("cli.usage.variable", "Variable", variable(f.Name), "Value", value)
		}
	})
	return err
}

// argsOf reads from a line of help how many arguments a verb takes.
func argsOf(use string) cobra.PositionalArgs {
	names := strings.Fields(use)[1:]
	low, high := 0, len(names)
	for _, n := range names {
		if !strings.HasPrefix(n, "[") {
			low++
		}
		if strings.HasSuffix(strings.TrimSuffix(n, "]"), "…") {
			high = -1
		}
	}
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < low:
			return usage("cli.usage.missing", "Name", strings.Trim(names[len(args)], "[]…"))
		case high >= 0 && len(args) > high:
			return usage("cli.usage.extra", "Argument", args[high])
		}
		return nil
	}
}

// anyVerb refuses a word that is no verb of cmd.
func (a *app) anyVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usage("cli.usage.verb_near", "Verb", args[0], "Near", near[0])
	}
	return usage("cli.usage.verb", "Verb", args[0])
}

// flagUsage says in our words what pflag found.
func flagUsage(err error) error {
	var unknown *pflag.NotExistError
	var empty *pflag.ValueRequiredError
	var value *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		if s := unknown.GetSpecifiedShortnames(); s != "" {
			return usage("cli.usage.flag", "Flag", "-"+unknown.GetSpecifiedName())
		}
		return usage("cli.usage.flag", "Flag", "--"+unknown.GetSpecifiedName())
	case errors.As(err, &empty):
		return usage("cli.usage.flag_empty", "Flag", "--"+empty.GetFlag().Name)
	case errors.As(err, &value):
		return usage("cli.usage.flag_value", "Flag", "--"+value.GetFlag().Name, "Value", value.GetValue())
	}
	return usage("cli.usage.line")
}

// maxSecret is far above any passphrase; it keeps a wrong file name from being read whole.
const maxSecret = 64 << 10

// readSecret reads a passphrase from a file, or from stdin for "-", without the
// line break an editor put behind it. Faults: Unavailable "fault.node.cannot_read",
// Invalid "fault.node.empty_secret".
func readSecret(path string) ([]byte, error) {
	var from io.Reader = os.Stdin
	if path != "-" {
		f, err := os.Open(path) //nolint:gosec // the person names the file
		if err != nil {
			return nil, cannotRead(path, err)
		}
		defer f.Close()
		from = f
	}
	raw, err := io.ReadAll(io.LimitReader(from, maxSecret))
	if err != nil {
		return nil, cannotRead(path, err)
	}
	secret := []byte(strings.TrimRight(string(raw), "\r\n"))
	if len(secret) == 0 {
		return nil, fault.New(fault.Invalid, "fault.node.empty_secret")
	}
	return secret, nil
}

func cannotRead(path string, err error) error {
	return fault.New(fault.Unavailable, "fault.node.cannot_read", "File", path).Wrap(err)
}

// takeStdin keeps two inputs of one command line from sharing stdin.
func (a *app) takeStdin(what string) error {
	if a.stdin != "" {
		return usage("cli.usage.stdin_twice", "First", a.stdin, "Second", what)
	}
	a.stdin = what
	return nil
}

// passphrase reads the file of --passphrase-file.
func (a *app) passphrase(path string) ([]byte, error) {
	if path == "-" {
		if err := a.takeStdin("--passphrase-file"); err != nil {
			return nil, err
		}
	}
	return readSecret(path)
}

// goodLength is what a thief with the disk and a rented graphics card does not guess
// when people choose the words themselves (NIST SP 800-63B, revision 4, 3.1.1.2: 15
// characters where a passphrase stands alone).
const goodLength = 15

// warnGuessable says that a passphrase is short. It is taken all the same: the
// person may know why, and the five generated words of the first page are better.
func (a *app) warnGuessable(passphrase []byte) func() {
	short := utf8.RuneCount(passphrase) < goodLength // now: it may be overwritten after use
	return func() {
		if short {
			a.hint(a.say("cli.passphrase.short", "Letters", goodLength))
		}
	}
}

// node is the running node of the data folder.
func (a *app) node() *control.Client { return control.New(a.data).In(a.lang.Tag()) }
