package ui

import (
	"strings"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/ui/locale"
)

// watcher has the words of all languages: people write in their own, whatever the page
// is in.
type watcher struct {
	watch *registration.Watch
	words string // for a script
}

// watchKey is the list of words in a language's file.
const watchKey = "registration.watch.words"

func newWatcher(all []locale.Language) watcher {
	var lists []string
	for _, lang := range all {
		lists = append(lists, lang.Text(watchKey, nil))
	}
	return watcher{registration.NewWatch(lists...), strings.Join(registration.WatchWords(lists...), ",")}
}

// noted names the hidden field that says that the warning was shown: a form comes back
// once, not again and again.
const noted = "noted"

// warnNotes marks the fields of a form whose text suggests that it is not for everybody
// who registers, and tells whether the form goes back to be looked at again.
func (v *visit) warnNotes(f *form, names ...string) bool {
	if f.Value(noted) != "" {
		return false
	}
	for _, name := range names {
		if v.s.watcher.watch.Finds(f.Value(name)) {
			f.warns[name] = true
			f.warned = true
		}
	}
	return f.warned
}

// showWarned sends a form back with the warning. Nothing was saved, so it answers with
// a status that says so.
func (v *visit) showWarned(page string, data any, f *form) error {
	f.set(noted, "1")
	v.c.Status(fault.Invalid.Status())
	return v.renderForm(page, data, f)
}

// WatchWords are the words for the script of a form.
func (v *view) WatchWords() string { return v.watch }

// Warned tells templates that the form came back because of its notes.
func (f *form) Warned() bool { return f.warned }
