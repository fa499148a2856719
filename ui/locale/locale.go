package locale

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

//go:embed en/*.json es/*.json fr/*.json ar/*.json
var files embed.FS

// Named is a language as people who read it write its name.
type Named struct {
	Tag  string // BCP 47, as used in URLs, cookies and the lang attribute
	Name string // in the language itself
	Dir  string // "ltr" or "rtl"
}

// Languages are those with every sentence, in the order the switch shows them.
// The first one is the source and the one used when nothing else fits.
func Languages() []Named {
	return []Named{
		{"en", "English", "ltr"},
		{"es", "Español", "ltr"},
		{"fr", "Français", "ltr"},
		{"ar", "العربية", "rtl"},
	}
}

// Catalog is all sentences in all languages. It never changes after New and is
// safe for concurrent use.
type Catalog struct {
	languages []Language
	matcher   language.Matcher
}

// Language says things in one language. The zero Language answers every key with
// the key itself. It is cheap to copy and safe for concurrent use.
type Language struct{ d *dictionary }

type dictionary struct {
	named     Named
	plain     map[string]string // sentences without values: the usual case, looked up only
	shaped    map[string]bool   // keys whose sentence has values or plural forms
	localizer *i18n.Localizer
	source    *dictionary // English; nil in English
}

// New reads the embedded files. It fails on a file that is no flat JSON of
// sentences, on a template that does not parse and on a key that appears twice.
func New() (*Catalog, error) { return load(files) }

func load(from fs.FS) (*Catalog, error) {
	source := language.MustParse(Languages()[0].Tag)
	bundle := i18n.NewBundle(source)
	c := &Catalog{}
	var tags []language.Tag
	for _, named := range Languages() {
		d := &dictionary{named: named, plain: map[string]string{}, shaped: map[string]bool{}}
		if err := d.read(from, bundle); err != nil {
			return nil, err
		}
		if len(c.languages) > 0 {
			d.source = c.languages[0].d
		}
		c.languages = append(c.languages, Language{d})
		tags = append(tags, language.MustParse(named.Tag))
	}
	for _, l := range c.languages {
		l.d.localizer = i18n.NewLocalizer(bundle, l.d.named.Tag)
	}
	c.matcher = language.NewMatcher(tags)
	return c, nil
}

// read takes in the files of one language.
func (d *dictionary) read(from fs.FS, bundle *i18n.Bundle) error {
	names, err := fs.Glob(from, d.named.Tag+"/*.json")
	if err != nil {
		return err
	}
	tag := language.MustParse(d.named.Tag)
	for _, name := range names {
		messages, err := readFile(from, name)
		if err != nil {
			return err
		}
		for _, m := range messages {
			if _, twice := d.plain[m.ID]; twice || d.shaped[m.ID] {
				return fmt.Errorf("%s: the key %s is in another file too", name, m.ID)
			}
			if isPlain(m) {
				d.plain[m.ID] = m.Other
			} else {
				d.shaped[m.ID] = true
			}
		}
		// A sentence without values is only looked up: as a template it would take ten times
		// the memory, for nothing.
		messages = slices.DeleteFunc(messages, isPlain)
		if err := bundle.AddMessages(tag, messages...); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// readFile reads one file into messages, refusing what go-i18n would guess at:
// nested keys and keys given twice.
func readFile(from fs.FS, name string) ([]*i18n.Message, error) {
	data, err := fs.ReadFile(from, name)
	if err != nil {
		return nil, err
	}
	if err := flat(data); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f, err := i18n.ParseMessageFileBytes(data, path.Dir(name)+".json", nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return f.Messages, nil
}

// forms are CLDR's plural categories.
var forms = [...]string{"zero", "one", "two", "few", "many", "other"}

// flat checks that data is one object of sentences and plural objects.
func flat(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("not one JSON object (%v)", err)
	}
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		if key == "" || seen[key] {
			return fmt.Errorf("key %q is empty or given twice", key)
		}
		seen[key] = true
		var value any
		if err := dec.Decode(&value); err != nil {
			return fmt.Errorf("key %s: %w", key, err)
		}
		if err := sentence(value); err != nil {
			return fmt.Errorf("key %s: %w", key, err)
		}
	}
	_, err := dec.Token()
	return err
}

func sentence(value any) error {
	switch v := value.(type) {
	case string:
		if strings.TrimSpace(v) == "" {
			return fmt.Errorf("is empty")
		}
		return nil
	case map[string]any:
		for form, text := range v {
			if s, ok := text.(string); !ok || !isForm(form) || strings.TrimSpace(s) == "" {
				return fmt.Errorf("%q is no plural form with a sentence", form)
			}
		}
		if v["other"] == nil {
			return fmt.Errorf("lacks the plural form \"other\"")
		}
		return nil
	}
	return fmt.Errorf("is neither a sentence nor plural forms")
}

func isForm(name string) bool {
	for _, f := range forms {
		if f == name {
			return true
		}
	}
	return false
}

func isPlain(m *i18n.Message) bool {
	return m.Zero+m.One+m.Two+m.Few+m.Many == "" && !strings.Contains(m.Other, "{{")
}

// For picks the language that suits best. tags are tried in order; each may be a
// single tag ("ar") or the value of an Accept-Language header. Unknown and broken
// tags are passed over; when nothing fits it is English.
func (c *Catalog) For(tags ...string) Language {
	var wanted []language.Tag
	for _, t := range tags {
		if len(t) > 200 { // a header nobody's browser sends
			continue
		}
		if parsed, _, err := language.ParseAcceptLanguage(t); err == nil {
			wanted = append(wanted, parsed...)
		}
	}
	_, i, confidence := c.matcher.Match(wanted...)
	if confidence == language.No {
		i = 0
	}
	return c.languages[i]
}

// All gives every language, the source first.
func (c *Catalog) All() []Language { return append([]Language(nil), c.languages...) }

// Tag is the BCP 47 tag for the lang attribute.
func (l Language) Tag() string {
	if l.d == nil {
		return Languages()[0].Tag
	}
	return l.d.named.Tag
}

// Dir is "rtl" or "ltr".
func (l Language) Dir() string {
	if l.d == nil {
		return Languages()[0].Dir
	}
	return l.d.named.Dir
}

// Name is the language's own name.
func (l Language) Name() string {
	if l.d == nil {
		return Languages()[0].Name
	}
	return l.d.named.Name
}

// Has tells whether the language, or English behind it, has a sentence for key.
func (l Language) Has(key string) bool {
	for d := l.d; d != nil; d = d.source {
		if _, ok := d.plain[key]; ok || d.shaped[key] {
			return true
		}
	}
	return false
}

// Keys are the keys that begin with prefix and have a sentence without values, in
// no order; the lists of countries and languages are made from them.
func (l Language) Keys(prefix string) []string {
	if l.d == nil {
		return nil
	}
	var out []string
	for key := range l.d.plain {
		if strings.HasPrefix(key, prefix) {
			out = append(out, key)
		}
	}
	return out
}

// Text is the sentence for key with args filled in. args["Count"], any integer,
// selects the plural form. A key this language lacks is said in English; a key
// nobody has comes back as it is, so that it is seen and found. args may be nil.
func (l Language) Text(key string, args map[string]any) string {
	for d := l.d; d != nil; d = d.source {
		if s, ok := d.plain[key]; ok {
			return s
		}
		if d.shaped[key] {
			return d.fill(key, args)
		}
	}
	return key
}

func (d *dictionary) fill(key string, args map[string]any) string {
	c := &i18n.LocalizeConfig{MessageID: key, TemplateData: args}
	if args == nil {
		c.TemplateData = map[string]any{}
	}
	if n, ok := whole(args["Count"]); ok {
		c.PluralCount = n
	}
	// go-i18n gives the best sentence it has together with the error of a missing
	// plural form; only no sentence at all is worth the bare key.
	s, _ := d.localizer.Localize(c)
	if s == "" {
		return key
	}
	return s
}

// whole turns any integer into what go-i18n takes as a plural count. A number too
// large for int64 takes the form of the largest one.
func whole(v any) (int64, bool) {
	r := reflect.ValueOf(v)
	switch {
	case v == nil:
		return 0, false
	case r.CanInt():
		return r.Int(), true
	case r.CanUint():
		if u := r.Uint(); u < 1<<62 {
			return int64(u), true
		}
		return 1 << 62, true
	case r.CanFloat(): // a count that came through JSON
		if f := r.Float(); f >= 0 && f < 1<<53 && f == float64(int64(f)) {
			return int64(f), true
		}
	}
	return 0, false
}
