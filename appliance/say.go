package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/mattn/go-isatty"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/ui/locale"
)

// How the program speaks to people:
//
//   - stdout holds what was asked for and nothing else, so it can be piped;
//   - a failure is one line on stderr, `waypost: sentence`, and `hint: what to do
//     now` below it when there is something to do;
//   - sentences come from ui/locale in the person's language; what a node said in
//     its answer is said as it is;
//   - whatever came from another box goes through control.Plain first.

// say is a sentence of the command line in the person's language; args alternate
// names and values.
func (a *app) say(key string, args ...any) string {
	return a.lang.Text(key, fault.New("", "", args...).Args)
}

// println writes one line of the answer.
func (a *app) println(line string) { fmt.Fprintln(a.out, line) }

// note tells the person something beside the answer.
func (a *app) note(line string) { fmt.Fprintln(a.err, line) }

// hint tells what to do next after something worked.
func (a *app) hint(line string) { fmt.Fprintln(a.err, "hint: "+line) }

// printJSON writes v as indented JSON, names as they are.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// usageError says that the command line itself is wrong.
type usageError struct{ fault *fault.Error }

func (u *usageError) Error() string { return u.fault.Error() }
func (u *usageError) Unwrap() error { return u.fault }

// usage makes a usage error with a sentence of its own.
func usage(key string, args ...any) error {
	return &usageError{fault.New(fault.Invalid, key, args...)}
}

// exit says what went wrong, if anything, and returns the exit code.
func (a *app) exit(err error) int {
	if err == nil {
		return exitDone
	}
	var wrong *usageError
	code := exitRefused
	if errors.As(err, &wrong) {
		code = exitUsage
	}
	sentence, hint := explain(a.lang, err)
	fmt.Fprintln(a.err, "waypost: "+sentence)
	if hint == "" && code == exitUsage {
		hint = a.say("cli.usage.hint")
	}
	if hint != "" {
		fmt.Fprintln(a.err, "hint: "+hint)
	}
	return code
}

// explain turns an error into one line and, when there is something to do, a
// second one.
func explain(lang locale.Language, err error) (sentence, hint string) {
	f := fault.Of(err)
	var p *control.Problem
	if errors.As(err, &p) && p.Detail != "" { // the node said it, with its values, in this language
		return control.Plain(p.Detail + fields(p.Detail, p.Fields)), control.Plain(p.Hint)
	}
	sentence = lang.Text(f.Key, f.Args)
	wrong := map[string]string{}
	for _, field := range f.Fields {
		wrong[field.Name] = lang.Text(field.Key, field.Args)
	}
	sentence += fields(sentence, wrong)
	if f.Class == fault.Internal && f.Err != nil {
		sentence += " (" + f.Err.Error() + ")"
	}
	if lang.Has(f.Key + ".hint") {
		hint = lang.Text(f.Key+".hint", f.Args)
	}
	return control.Plain(sentence), control.Plain(hint)
}

// fields lists what is wrong with single fields, by their names, except what the
// sentence before it says already.
func fields(sentence string, wrong map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(wrong)) {
		if wrong[name] != sentence {
			fmt.Fprintf(&b, " %s: %s", name, wrong[name])
		}
	}
	return b.String()
}

// personLanguage is the language the person's environment asks for, by the order
// of POSIX (LC_ALL, LC_MESSAGES, LANG); English when it names none we have.
func personLanguage(catalog *locale.Catalog) locale.Language {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		value := os.Getenv(name)
		if value == "" {
			continue
		}
		tag, _, _ := strings.Cut(value, ".") // es_GT.UTF-8 -> es-GT
		tag, _, _ = strings.Cut(tag, "@")
		if tag == "C" || tag == "POSIX" {
			break
		}
		return catalog.For(strings.ReplaceAll(tag, "_", "-"))
	}
	return catalog.For()
}

// isTerminal reports whether a person is at the other end of w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
