package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/tokens"
)

// tokenVerb is for those who look at cards without a page.
func (a *app) tokenVerb() *cobra.Command {
	return a.group("token", a.tokenVerify(), a.tokenExpand(), a.tokenRead())
}

// tokenVerify says what a card is worth: the running node judges it, or, with
// --root, the deployment's root key alone. Whatever is not genuine is a refusal.
func (a *app) tokenVerify() *cobra.Command {
	var root string
	v := a.verb("token.verify", "verify TEXT", func(ctx context.Context, args []string) error {
		verdict, err := a.verdict(ctx, args[0], root)
		if err != nil {
			return err
		}
		if a.json {
			err = a.printJSON(verdict)
		} else {
			a.println(verdict.Verdict)
		}
		if err != nil {
			return err
		}
		if verdict.Verdict != string(tokens.Genuine) {
			return fault.New(fault.Denied, "cli.token.refused", "Verdict", verdict.Verdict, "Reason", verdict.Reason)
		}
		if !a.json {
			a.println(control.Plain(verdict.Reason))
		}
		return nil
	})
	v.str(&root, "root", "FILE", "")
	v.printsData()
	return v.Command
}

func (a *app) verdict(ctx context.Context, text, root string) (control.Verdict, error) {
	if root == "" {
		return a.node().Verify(ctx, text)
	}
	raw, err := os.ReadFile(root) //nolint:gosec // the person names the file
	if err != nil {
		return control.Verdict{}, cannotRead(root, err)
	}
	sheet, err := identity.ParseRootSheet(raw)
	if err != nil {
		return control.Verdict{}, err
	}
	r := tokens.VerifyWith(text, tokens.Trust{Root: sheet.Root, Nodes: sheet.Nodes}, clock.System())
	return control.Verdict{Verdict: string(r.Verdict), Reason: a.lang.Text(r.Reason, nil), Generation: int(r.Generation)}, nil
}

// tokenExpand prints the COSE_Sign1 message a card stands for, for tools that
// know CWT and not Waypost.
func (a *app) tokenExpand() *cobra.Command {
	v := a.verb("token.expand", "expand TEXT", func(_ context.Context, args []string) error {
		t, err := tokens.Parse(args[0])
		if err != nil {
			return err
		}
		cose := hex.EncodeToString(tokens.Expand(t))
		if a.json {
			return a.printJSON(map[string]string{"cose_sign1": cose})
		}
		a.println(cose)
		return nil
	})
	v.printsData()
	return v.Command
}

// readLine is one JSON line of `waypost token read`.
type readLine struct {
	File  string  `json:"file"`
	Text  *string `json:"text"` // null when nothing was found
	Error string  `json:"error,omitempty"`
}

// tokenRead decodes the QR code in each photo. All of them are looked at, also
// when one has none.
func (a *app) tokenRead() *cobra.Command {
	v := a.verb("token.read", "read IMAGE…", func(ctx context.Context, args []string) error {
		lines := a.json || len(args) > 1
		var failed error
		missed := 0
		for _, path := range args {
			if ctx.Err() != nil {
				return fault.New(fault.Unavailable, "fault.cli.stopped").Wrap(ctx.Err())
			}
			text, err := readPhoto(path)
			if err != nil {
				failed, missed = err, missed+1
			}
			if err := a.printRead(path, text, err, lines); err != nil {
				return err
			}
		}
		if missed > 0 && len(args) > 1 {
			return fault.New(fault.NotFound, "fault.cli.photos", "Count", missed, "Total", len(args)).Wrap(failed)
		}
		return failed
	})
	v.printsData()
	return v.Command
}

func readPhoto(path string) (string, error) {
	f, err := os.Open(path) //nolint:gosec // the person names the file
	if err != nil {
		return "", cannotRead(path, err)
	}
	defer f.Close()
	return tokens.Decode(f)
}

// printRead prints what one photo held: as a JSON line, or the text exactly as it
// was read. Only a person gets a line break behind it.
func (a *app) printRead(path, text string, failed error, line bool) error {
	if !line {
		if failed == nil && isTerminal(a.out) {
			a.println(control.Plain(text))
		} else if failed == nil {
			_, err := io.WriteString(a.out, text)
			return err
		}
		return nil
	}
	out := readLine{File: path, Text: &text}
	if failed != nil {
		out.Text = nil
		out.Error, _ = explain(a.lang, failed)
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s\n", raw)
	return err
}
