package locale

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"sync"

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
	named  Named
	words  func() *words
	source *dictionary // English; nil in English
}

// words are the sentences of one language.
type words struct {
	plain     map[string]string // sentences without values: the usual case, looked up only
	shaped    map[string]bool   // keys whose sentence has values or plural forms
	localizer *i18n.Localizer
}

// New has the embedded files read as soon as somebody asks for a sentence of theirs:
// a command says a line in one language, and reading all four took longer than what it
// was asked for. The tests of this package read them all and find what is wrong with one;
// of a language that cannot be read every key is answered with itself.
func New() *Catalog {
	return catalogOf(func(tag string) func() *words {
		return sync.OnceValue(func() *words {
			w, err := read(files, tag, false)
			if err != nil {
				return &words{}
			}
			return w
		})
	})
}

// load reads everything at once. It fails on a file that is no flat JSON of sentences, on
// a template that does not parse and on a key that appears twice.
func load(from fs.FS) (*Catalog, error) {
	all := map[string]*words{}
	for _, named := range Languages() {
		w, err := read(from, named.Tag, true)
		if err != nil {
			return nil, err
		}
		all[named.Tag] = w
	}
	return catalogOf(func(tag string) func() *words { return func() *words { return all[tag] } }), nil
}

func catalogOf(words func(tag string) func() *words) *Catalog {
	c := &Catalog{}
	var tags []language.Tag
	for _, named := range Languages() {
		d := &dictionary{named: named, words: words(named.Tag)}
		if len(c.languages) > 0 {
			d.source = c.languages[0].d
		}
		c.languages = append(c.languages, Language{d})
		tags = append(tags, language.MustParse(named.Tag))
	}
	c.matcher = language.NewMatcher(tags)
	return c
}

// read takes in the files of one language; strictly, when they are looked through for
// mistakes.
func read(from fs.FS, tag string, strict bool) (*words, error) {
	names, err := fs.Glob(from, tag+"/*.json")
	if err != nil {
		return nil, err
	}
	bundle := i18n.NewBundle(language.MustParse(tag))
	w := &words{plain: map[string]string{}, shaped: map[string]bool{}}
	for _, name := range names {
		messages, err := readFile(from, name, strict)
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			if _, twice := w.plain[m.ID]; twice || w.shaped[m.ID] {
				return nil, fmt.Errorf("%s: the key %s is in another file too", name, m.ID)
			}
			if isPlain(m) {
				w.plain[m.ID] = m.Other
				continue
			}
			w.shaped[m.ID] = true
			if err := bundle.AddMessages(language.MustParse(tag), m); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	w.localizer = i18n.NewLocalizer(bundle, tag)
	return w, nil
}

// readFile reads one file into messages; strictly it refuses what was not meant, as nested
// keys and keys given twice.
func readFile(from fs.FS, name string, strict bool) ([]*i18n.Message, error) {
	data, err := fs.ReadFile(from, name)
	if err != nil {
		return nil, err
	}
	if strict {
		if err := flat(data); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(data, &entries); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	messages := make([]*i18n.Message, 0, len(entries))
	for key, raw := range entries {
		m := &i18n.Message{}
		var to any = m
		if len(raw) > 0 && raw[0] == '"' {
			to = &m.Other
		}
		if err := json.Unmarshal(raw, to); err != nil {
			return nil, fmt.Errorf("%s: key %s: %w", name, key, err)
		}
		m.ID = key
		messages = append(messages, m)
	}
	return messages, nil
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
		if _, ok := d.words().plain[key]; ok || d.words().shaped[key] {
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
	for key := range l.d.words().plain {
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
		w := d.words()
		if s, ok := w.plain[key]; ok {
			return s
		}
		if w.shaped[key] {
			return w.fill(key, args)
		}
	}
	return key
}

func (w *words) fill(key string, args map[string]any) string {
	c := &i18n.LocalizeConfig{MessageID: key, TemplateData: args}
	if args == nil {
		c.TemplateData = map[string]any{}
	}
	if n, ok := whole(args["Count"]); ok {
		c.PluralCount = n
	}
	// go-i18n gives the best sentence it has together with the error of a missing
	// plural form; only no sentence at all is worth the bare key.
	s, _ := w.localizer.Localize(c)
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
