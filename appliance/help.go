package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// help prints what a verb does and how it is written, in the person's language.
func (a *app) help(cmd *cobra.Command) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s: %s\n", cmd.Short, a.say("cli.help.usage"), usageLine(cmd))
	verbs := [][2]string{}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			verbs = append(verbs, [2]string{c.Name(), c.Short})
		}
	}
	section(&b, a.say("cli.help.verbs"), verbs)
	section(&b, a.say("cli.help.flags"), flagLines(cmd))
	if key := "cli." + strings.Join(strings.Fields(cmd.CommandPath())[1:], ".") + ".more"; a.lang.Has(key) {
		fmt.Fprintf(&b, "\n%s\n", a.say(key))
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n%s\n", a.say("cli.help.more", "Program", cmd.CommandPath()))
	}
	fmt.Fprint(a.out, b.String())
}

func usageLine(cmd *cobra.Command) string {
	line := cmd.CommandPath()
	if _, args, ok := strings.Cut(cmd.Use, " "); ok {
		line += " " + args
	}
	if cmd.HasAvailableSubCommands() {
		line += " VERB"
	}
	return line + " [--flag …]"
}

// section writes a heading and two columns; nothing for no lines.
func section(b *strings.Builder, title string, lines [][2]string) {
	if len(lines) == 0 {
		return
	}
	width := 0
	for _, l := range lines {
		width = max(width, len(l[0]))
	}
	fmt.Fprintf(b, "\n%s:\n", title)
	for _, l := range lines {
		fmt.Fprintf(b, "  %-*s  %s\n", width, l[0], l[1])
	}
}

func flagLines(cmd *cobra.Command) [][2]string {
	out := [][2]string{}
	add := func(f *pflag.Flag) {
		name := "--" + f.Name
		if v := f.Annotations[valueNote]; len(v) > 0 {
			name += " " + v[0]
		}
		text := f.Usage
		if f.DefValue != "" && f.DefValue != "false" {
			text += " [" + shortTime(f.DefValue) + "]"
		}
		if f.Name != "help" {
			text += " (" + variable(f.Name) + ")"
		}
		out = append(out, [2]string{name, text})
	}
	cmd.LocalNonPersistentFlags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	if !cmd.HasParent() {
		cmd.PersistentFlags().VisitAll(add)
	}
	return out
}

// shortTime writes 24h for the 24h0m0s of the time package.
func shortTime(s string) string {
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (a *app) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help", Short: a.say("cli.help.short"),
		RunE: func(cmd *cobra.Command, args []string) error {
			target, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return a.anyVerb(target, rest)
			}
			return target.Help()
		},
	}
}

// completionVerb prints what teaches a shell to complete this program's words.
func (a *app) completionVerb() *cobra.Command {
	cmd := &cobra.Command{Use: "completion SHELL", Short: a.say("cli.completion.short"), Args: argsOf("completion SHELL")}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		root := cmd.Root()
		switch args[0] {
		case "bash":
			return root.GenBashCompletionV2(a.out, true)
		case "zsh":
			return root.GenZshCompletion(a.out)
		case "fish":
			return root.GenFishCompletion(a.out, true)
		case "powershell":
			return root.GenPowerShellCompletionWithDesc(a.out)
		}
		return usage("cli.usage.shell", "Shell", args[0])
	}
	return cmd
}
