package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
)

// ceremonyVerb decides how root and issuers of a deployment are kept. All but root and
// new-issuer ask the running, open node; those two need no box at all.
func (a *app) ceremonyVerb() *cobra.Command {
	return a.group("ceremony",
		a.ceremonyStatus(), a.ceremonyBegin(), a.ceremonyIssuer(), a.ceremonyText("issuer-words", "words"), a.ceremonyShares(),
		a.ceremonyReadBack(), a.ceremonySheet(), a.ceremonyText("sheet-words", "sheet-words"), a.ceremonyFinish(),
		a.ceremonyInstall(), a.ceremonyRoot(), a.ceremonyNewIssuer(),
	)
}

// ceremonySays prints where the ceremony is.
func (a *app) ceremonySays(c control.Ceremony) error {
	if a.json {
		return a.printJSON(c)
	}
	a.println(a.say("cli.ceremony.step." + c.Step))
	return nil
}

func (a *app) takeStep(ctx context.Context, s control.CeremonyStep) (control.Ceremony, error) {
	return a.node().TakeCeremonyStep(ctx, s)
}

func (a *app) ceremonyStatus() *cobra.Command {
	v := a.verb("ceremony.status", "status", func(ctx context.Context, _ []string) error {
		c, err := a.node().Ceremony(ctx)
		if err != nil {
			return err
		}
		return a.ceremonySays(c)
	})
	v.printsData()
	return v.Command
}

func (a *app) ceremonyBegin() *cobra.Command {
	var variant, sheet string
	v := a.verb("ceremony.begin", "begin", func(ctx context.Context, _ []string) error {
		if sheet != "" {
			raw, err := readWhole(sheet, maxSheetFile)
			if err != nil {
				return err
			}
			defer clear(raw)
			if _, err := a.takeStep(ctx, control.CeremonyStep{Step: "root", File: raw}); err != nil {
				return err
			}
		}
		c, err := a.takeStep(ctx, control.CeremonyStep{Step: "begin", Variant: variant})
		if err != nil {
			return err
		}
		return a.ceremonySays(c)
	})
	v.need(&variant, "variant", "full|small")
	v.str(&sheet, "root", "FILE", "")
	v.printsData()
	return v.Command
}

// ceremonyIssuer writes the second issuer's file, and says its words, which are shown once.
func (a *app) ceremonyIssuer() *cobra.Command {
	var out string
	v := a.verb("ceremony.issuer", "issuer", func(ctx context.Context, _ []string) error {
		c, err := a.takeStep(ctx, control.CeremonyStep{Step: "issuer"})
		if err != nil {
			return err
		}
		return a.issuerMade(out, c.File, c.Number, c.Words)
	})
	v.need(&out, "out", "FILE")
	v.printsData()
	return v.Command
}

func (a *app) issuerMade(out string, file []byte, number int, words string) error {
	if err := writeFile(out, file); err != nil {
		return fault.New(fault.Unavailable, "fault.node.cannot_write", "File", out).Wrap(err)
	}
	if a.json {
		return a.printJSON(map[string]any{"file": out, "number": number, "words": words})
	}
	a.note(a.say("cli.ceremony.issuer.made", "File", out))
	a.println(words)
	return nil
}

// ceremonyText is a step that takes words from a file.
func (a *app) ceremonyText(name, step string) *cobra.Command {
	var file string
	v := a.verb("ceremony."+name, name, func(ctx context.Context, _ []string) error {
		words, err := a.passphrase(file)
		if err != nil {
			return err
		}
		defer clear(words)
		c, err := a.takeStep(ctx, control.CeremonyStep{Step: step, Text: string(words)})
		if err != nil {
			return err
		}
		return a.ceremonySays(c)
	})
	v.need(&file, "words-file", "FILE")
	v.printsData()
	return v.Command
}

// ceremonyShares writes the papers nobody has read back yet, one file each, to be printed.
func (a *app) ceremonyShares() *cobra.Command {
	var dir string
	v := a.verb("ceremony.shares", "shares", func(ctx context.Context, _ []string) error {
		c, err := a.takeStep(ctx, control.CeremonyStep{Step: "shares"})
		if err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fault.New(fault.Unavailable, "fault.node.cannot_write", "File", dir).Wrap(err)
		}
		files := []string{}
		for _, p := range c.Papers {
			file := filepath.Join(dir, "share-"+number(uint16(p.Number))+".txt") //nolint:gosec // 1 to 5
			if err := writeFile(file, []byte(p.Text)); err != nil {
				return fault.New(fault.Unavailable, "fault.node.cannot_write", "File", file).Wrap(err)
			}
			files = append(files, file)
		}
		if a.json {
			return a.printJSON(files)
		}
		for _, f := range files {
			a.println(f)
		}
		a.hint(a.say("cli.ceremony.shares.next"))
		return nil
	})
	v.need(&dir, "out", "DIR")
	v.printsData()
	return v.Command
}

func (a *app) ceremonyReadBack() *cobra.Command {
	v := a.verb("ceremony.read-back", "read-back FILE…", func(ctx context.Context, args []string) error {
		var c control.Ceremony
		for _, file := range args {
			text, err := readSecret(file)
			if err != nil {
				return err
			}
			c, err = a.takeStep(ctx, control.CeremonyStep{Step: "read", Text: string(text)})
			clear(text)
			if err != nil {
				return err
			}
			if !a.json {
				a.println(a.say("cli.ceremony.read-back.done", "Number", c.Number))
			}
		}
		return a.ceremonySays(c)
	})
	v.printsData()
	return v.Command
}

func (a *app) ceremonySheet() *cobra.Command {
	var out string
	v := a.verb("ceremony.sheet", "sheet", func(ctx context.Context, _ []string) error {
		c, err := a.takeStep(ctx, control.CeremonyStep{Step: "sheet"})
		if err != nil {
			return err
		}
		if err := writeFile(out, c.File); err != nil {
			return fault.New(fault.Unavailable, "fault.node.cannot_write", "File", out).Wrap(err)
		}
		if a.json {
			return a.printJSON(map[string]string{"file": out, "words": c.Words})
		}
		a.note(a.say("cli.ceremony.sheet.made", "File", out))
		a.println(c.Words)
		return nil
	})
	v.need(&out, "out", "FILE")
	v.printsData()
	return v.Command
}

func (a *app) ceremonyFinish() *cobra.Command {
	v := a.verb("ceremony.finish", "finish", func(ctx context.Context, _ []string) error {
		c, err := a.takeStep(ctx, control.CeremonyStep{Step: "finish"})
		if err != nil {
			return err
		}
		return a.ceremonySays(c)
	})
	v.printsData()
	return v.Command
}

// ceremonyInstall makes an issuer live on the running node.
func (a *app) ceremonyInstall() *cobra.Command {
	var words string
	v := a.verb("ceremony.install-issuer", "install-issuer FILE", func(ctx context.Context, args []string) error {
		file, err := readWhole(args[0], maxIssuerFile)
		if err != nil {
			return err
		}
		secret, err := a.passphrase(words)
		if err != nil {
			return err
		}
		defer clear(secret)
		c, err := a.takeStep(ctx, control.CeremonyStep{Step: "install", File: file, Text: string(secret)})
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(c)
		}
		a.println(a.say("cli.ceremony.install-issuer.done"))
		return nil
	})
	v.need(&words, "words-file", "FILE")
	v.printsData()
	return v.Command
}

// The files of a ceremony are far smaller; a wrong file name is not read whole.
const (
	maxIssuerFile = 16 << 10
	maxSheetFile  = 1 << 20
)

// readWhole reads a file that is not larger than most.
func readWhole(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > most {
		return nil, fault.New(fault.TooLarge, "fault.cli.too_large", "File", path)
	}
	raw, err := os.ReadFile(path) //nolint:gosec // the person names the file
	if err != nil {
		return nil, cannotRead(path, err)
	}
	return raw, nil
}

// ceremonyRoot brings the root back from three papers into a root sheet. It touches no data
// folder and asks no node.
func (a *app) ceremonyRoot() *cobra.Command {
	var out string
	v := a.verb("ceremony.root", "root SHARE…", func(_ context.Context, args []string) error {
		var shares []identity.Share
		for _, file := range args {
			text, err := readSecret(file)
			if err != nil {
				return err
			}
			s, err := identity.ParseShare(string(text))
			clear(text)
			if err != nil {
				return fault.New(fault.Of(err).Class, "fault.cli.share", "File", file, "What", a.say(fault.Of(err).Key, argsOfFault(err)...)).Wrap(err)
			}
			shares = append(shares, s)
		}
		ownerOnly()
		sheet, err := identity.JoinShares(shares)
		if err != nil {
			return err
		}
		defer clear(sheet.Seed)
		if err := writeFile(out, sheet.Text()); err != nil {
			return fault.New(fault.Unavailable, "fault.node.cannot_write", "File", out).Wrap(err)
		}
		if a.json {
			return a.printJSON(map[string]string{"file": out, "deployment": sheet.Deployment().String()})
		}
		a.println(a.say("cli.ceremony.root.done", "File", out))
		return nil
	})
	v.need(&out, "out", "FILE")
	v.printsData()
	return v.Command
}

// argsOfFault are the values of a fault's sentence, for say.
func argsOfFault(err error) []any {
	var out []any
	for name, value := range fault.Of(err).Args {
		out = append(out, name, value)
	}
	return out
}

// ceremonyNewIssuer signs one more issuer with a root sheet, in place of one that was lost.
func (a *app) ceremonyNewIssuer() *cobra.Command {
	var root, out string
	var which int
	v := a.verb("ceremony.new-issuer", "new-issuer", func(_ context.Context, _ []string) error {
		raw, err := readWhole(root, maxSheetFile)
		if err != nil {
			return err
		}
		defer clear(raw)
		sheet, err := identity.ParseRootSheet(raw)
		if err != nil {
			return err
		}
		defer clear(sheet.Seed)
		ownerOnly()
		made, err := identity.NewIssuerFrom(sheet, which, clock.System().Now(), identity.StrongCost())
		if err != nil {
			return err
		}
		return a.issuerMade(out, made.File, made.Number, strings.Join(made.Words, " "))
	})
	v.need(&root, "root", "FILE")
	v.need(&out, "out", "FILE")
	v.num(&which, "number", 3)
	v.printsData()
	return v.Command
}
