package ui

import (
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/ui/locale"
)

// form is what somebody typed and what is wrong with it. A page that refuses shows
// every field again as it was sent, so nothing has to be typed twice.
type form struct {
	values map[string][]string
	errors map[string]string // by field name: the sentence beside the field
	top    string            // what happened, over the form; empty when nothing did
	hint   string            // what to do now
	warns  map[string]bool   // fields whose text may not be for everybody; see warnNotes
	warned bool              // the form came back because of them
	lang   locale.Language
}

// newForm starts a form with values that are already known.
func newForm() *form {
	return &form{values: map[string][]string{}, errors: map[string]string{}, warns: map[string]bool{}}
}

// sent reads the form as it was posted.
func (v *visit) sent() *form {
	f := newForm()
	for name := range v.fields {
		f.values[name] = v.formAll(name)
	}
	return f
}

func (f *form) set(name string, values ...string) { f.values[name] = values }

// Value is what a field holds, for templates and handlers.
func (f *form) Value(name string) string {
	if v := f.values[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// All is every value sent under one name.
func (f *form) All(name string) []string { return f.values[name] }

// Has tells whether a box with this value is ticked.
func (f *form) Has(name, value string) bool { return slices.Contains(f.values[name], value) }

// Any tells whether any field whose name starts with prefix holds something or is
// wrong; a folded part of a form with anything in it is shown open.
func (f *form) Any(prefix string, except ...string) bool {
	for name, values := range f.values {
		if strings.HasPrefix(name, prefix) && !slices.Contains(except, name) && strings.Join(values, "") != "" {
			return true
		}
	}
	for name := range f.errors {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// Error is the sentence beside a field, empty when nothing is wrong with it.
func (f *form) Error(name string) string { return f.errors[name] }

// Top and Hint are the sentences over the form.
func (f *form) Top() string { return f.top }

// Hint says what to do now.
func (f *form) Hint() string { return f.hint }

// Wrong tells whether the form was refused.
func (f *form) Wrong() bool { return f.top != "" || len(f.errors) > 0 }

// Problem is one line of the summary over a form, linked to its field.
type Problem struct{ Anchor, Text string }

// Problems lists what is wrong, in the order of the fields' names.
func (f *form) Problems() []Problem {
	var out []Problem
	for _, name := range slices.SortedFunc(maps.Keys(f.errors), byRow) {
		text := f.errors[name]
		if row, _, ok := memberField(name); ok {
			text = sentence(f.lang, "form.person_n", []any{"Number", row + 1, "Text", text})
		}
		out = append(out, Problem{fieldID(name), text})
	}
	return out
}

// byRow sorts "members.10.sex" after "members.9.sex".
func byRow(a, b string) int {
	ra, _, _ := memberField(a)
	rb, _, _ := memberField(b)
	if ra != rb {
		return ra - rb
	}
	return strings.Compare(a, b)
}

// fieldID is the id attribute of a field.
func fieldID(name string) string { return "f-" + strings.ReplaceAll(name, ".", "-") }

// refuse takes a desk's fault into the form: the sentence on top, and each field's
// own beside it. rename translates the desk's field names into the form's.
func (v *visit) refuse(f *form, err error, rename func(string) string) {
	flt := fault.Of(err)
	w := &view{Lang: v.lang}
	f.top, f.hint = w.faultText(flt), w.faultHint(flt)
	for _, x := range flt.Fields {
		name := x.Name
		if rename != nil {
			name = rename(name)
		}
		if _, twice := f.errors[name]; !twice {
			f.errors[name] = faultSentence(v.lang, x.Key, x.Args)
		}
	}
}

// missing marks required fields that are empty, with one sentence for all of them.
func (v *visit) missing(f *form, names ...string) bool {
	for _, name := range names {
		if f.Value(name) == "" {
			f.errors[name] = v.lang.Text("form.required", nil)
			f.top = v.lang.Text("form.incomplete", nil)
		}
	}
	return len(f.errors) > 0
}

// reshow sends a refused form again, with the status of what went wrong. What is
// ours to fix (nothing the person can change in the form) becomes a page of its own.
func (v *visit) reshow(page string, data any, f *form, err error, rename func(string) string) error {
	flt := fault.Of(err)
	v.refuse(f, err, rename)
	v.refused = flt
	v.c.Status(flt.Class.Status())
	v.whenAgain(flt)
	return v.renderForm(page, data, f)
}

// inputView is one labelled field, for the template part "field".
type inputView struct {
	ID, Name, Label, Hint, Error, Value string
	Type, Mode, Auto, Dir, List, Class  string
	Rows                                int
	Required, Focus                     bool
	Watch, Warned                       bool // a note that is watched for words; see warnNotes
	WarnTo, WarnText, WarnLink          string
	Max                                 int
}

// Described names the elements that explain a field.
func (i inputView) Described() string {
	var ids []string
	if i.Hint != "" {
		ids = append(ids, i.ID+"-hint")
	}
	if i.Error != "" {
		ids = append(ids, i.ID+"-err")
	}
	if i.Watch {
		ids = append(ids, i.ID+"-warn")
	}
	return strings.Join(ids, " ")
}

// fieldHint is what helps with a field, if anything: the key label+".hint", or for a
// label of the register "hint." and the field's name.
func (v *view) fieldHint(label string) string {
	key := label + ".hint"
	if name, ok := strings.CutPrefix(label, "registration.field."); ok {
		key = "hint." + name
	}
	if !v.Lang.Has(key) {
		return ""
	}
	return v.T(key)
}

// Field describes a field for the template. label is the key of its label. opts are words: a type ("tel", "number", "password", "file",
// "area"), "watch" (a note, see warnNotes; "tell=" names where to pass it on instead),
// "required", "focus", "big", "short", "name" (a person's or place's name,
// any script), "code" (left to right always), "list=ID", "off" (no browser memory).
func (v *view) Field(name, label string, opts ...string) inputView {
	i := inputView{ID: fieldID(name), Name: name, Label: v.T(label), Error: v.Form.Error(name), Value: v.Form.Value(name), Type: "text", Auto: "off"}
	i.Hint = v.fieldHint(label)
	for _, o := range opts {
		switch o {
		case "required":
			i.Required = true
		case "focus":
			i.Focus = true
		case "big", "short":
			i.Class = o
		case "name":
			i.Dir = "auto"
		case "code":
			i.Dir = "ltr"
		case "number":
			i.Mode, i.Dir = "numeric", "ltr"
		case "tel":
			i.Type, i.Dir = "tel", "ltr"
		case "password":
			i.Type, i.Auto = "password", "current-password"
		case "pin", "newpin":
			i.Type, i.Mode, i.Auto, i.Dir = "password", "numeric", "one-time-code", "ltr"
			if o == "newpin" {
				i.Auto = "off"
			}
		case "new-password":
			i.Type, i.Auto = "password", "new-password"
		case "username":
			i.Auto, i.Dir = "username", "auto"
		case "area":
			i.Rows, i.Dir = 3, "auto"
		case "watch":
			i.Watch, i.Warned, i.WarnText, i.WarnLink = true, v.Form.warns[name], v.T("notes.watch"), v.T("notes.watch.tell")
		default:
			if id, ok := strings.CutPrefix(o, "list="); ok {
				i.List = id
			}
			if id, ok := strings.CutPrefix(o, "tell="); ok && v.tells {
				i.WarnTo = fieldID(id)
			}
		}
	}
	return i
}

// choiceView is a select or a group of boxes, for the parts "select" and "boxes".
type choiceView struct {
	ID, Name, Label, Hint, Error string
	Options                      []optionView
}

type optionView struct {
	ID, Value, Label string
	On               bool
}

// Icon is the picture of a choice that has one.
func (o optionView) Icon() template.HTML {
	if _, ok := icons[o.Value]; ok {
		return icon(o.Value)
	}
	return ""
}

// Choice describes a choice among codes whose words are list+"."+code. An empty
// code is "not said".
func (v *view) Choice(name, label, list string, codes []string) choiceView {
	c := choiceView{ID: fieldID(name), Name: name, Label: v.T(label), Error: v.Form.Error(name)}
	c.Hint = v.fieldHint(label)
	known := false
	for _, code := range codes {
		on := v.Form.Has(name, code)
		known = known || on
		word := v.T("form.not_said")
		if code != "" {
			word = v.Label(list, code)
		}
		c.Options = append(c.Options, optionView{ID: c.ID + "-" + code, Value: code, Label: word, On: on})
	}
	if own := v.Form.Value(name); own != "" && !known { // a word of somebody's own stays
		c.Options = append(c.Options, optionView{ID: c.ID + "-own", Value: own, Label: own, On: true})
	}
	return c
}
