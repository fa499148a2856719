package ui

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
)

func newFastCtx() *fasthttp.RequestCtx { return &fasthttp.RequestCtx{} }

// ask is a call over a real connection, for goroutines.
func ask(method, url, key, body string, into any) error {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return errors.New(resp.Status + " " + string(raw))
	}
	return json.Unmarshal(raw, into)
}

func TestStrictJSON(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Registrar)
	deep := strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000)
	for _, tt := range []struct{ name, body, key, field string }{
		{"nothing", "", "fault.api.json", ""},
		{"blank", "  ", "fault.api.json", ""},
		{"no JSON", "given_name=x", "fault.api.json", ""},
		{"cut off", `{"given_name":"x"`, "fault.api.json", ""},
		{"two documents", `{"given_name":"x"}{}`, "fault.api.json", ""},
		{"something after", `{"given_name":"x"} x`, "fault.api.json", ""},
		{"not UTF-8", "{\"given_name\":\"\xff\"}", "fault.api.json", ""},
		{"deep", deep, "fault.api.depth", ""},
		{"deep in a field", `{"documents":` + deep + `}`, "fault.api.depth", ""},
		{"unknown field", `{"given_name":"x","ethnicity":"y"}`, "fault.registration.invalid", "ethnicity"},
		{"another case", `{"Given_Name":"x"}`, "fault.api.fields", "Given_Name"},
		{"a letter that folds", "{\"\u017fex\":\"male\",\"given_name\":\"x\"}", "fault.api.fields", "\u017fex"},
		{"twice", `{"given_name":"x","given_name":"y"}`, "fault.api.fields", "given_name"},
		{"twice inside", `{"given_name":"x","documents":[{"number":"1","number":"2"}]}`, "fault.api.fields", "number"},
		{"wrong type", `{"given_name":7}`, "fault.registration.invalid", "given_name"},
		{"an array", `[{"given_name":"x"}]`, "fault.registration.json", ""},
		{"no name", `{"sex":"male"}`, "fault.registration.invalid", "given_name"},
	} {
		a := r.call(key, "POST", "/api/v1/people", tt.body, "Content-Type", "application/json")
		p := a.problem(t)
		if a.status != 400 || p.Key != tt.key {
			t.Errorf("%s: %d %s", tt.name, a.status, a.body)
		}
		if _, ok := p.Fields[tt.field]; tt.field != "" && !ok {
			t.Errorf("%s: fields %v", tt.name, p.Fields)
		}
	}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "application/jsonx"} {
		if a := r.call(key, "POST", "/api/v1/people", `{"given_name":"x"}`, "Content-Type", kind); a.status != 415 {
			t.Errorf("%q: %d", kind, a.status)
		}
	}
	for _, kind := range []string{"application/json", "application/json; charset=UTF-8", "Application/JSON"} {
		if a := r.call(key, "POST", "/api/v1/people", `{"given_name":"x"}`, "Content-Type", kind); a.status != 201 {
			t.Errorf("%q: %d", kind, a.status)
		}
	}
	if n, err := r.box.desks.Registration.Counts(t.Context()); err != nil || n.People != 3 {
		t.Fatalf("%d people were registered (%v)", n.People, err)
	}
}

// What asks too much of a reader is refused before anything reads it.
func TestDocumentsAreBounded(t *testing.T) {
	many := func(n int, one string) string { return strings.Repeat(one+",", n-1) + one }
	for name, tt := range map[string]struct{ doc, want string }{
		"a household of 100": {`{"members":[` + many(100, `{`+many(45, `"given_name":"x"`)+`}`) + `]}`, ""},
		"a long text":        {`{"notes":"` + strings.Repeat(`\"`, maxString/2-10) + `"}`, ""},
		"too long a text":    {`{"notes":"` + strings.Repeat(`\"`, maxString/2+1) + `"}`, "fault.api.values"},
		"one without an end": {`{"notes":"` + strings.Repeat(`a`, maxString+1), "fault.api.values"},
		"too many values":    {`{"needs":[` + many(maxValues, `"a"`) + `]}`, "fault.api.values"},
		"too many names":     {`{` + many(maxValues/2+1, `"a":1`) + `}`, "fault.api.values"},
		"too deep":           {strings.Repeat("[", maxDepth+1), "fault.api.depth"},
		"brackets in a text": {`{"notes":"` + strings.Repeat("[{,:", 5000) + `"}`, ""},
	} {
		got := ""
		if err := bounded([]byte(tt.doc)); err != nil {
			got = fault.Of(err).Key
		}
		if got != tt.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// FuzzStrict holds the check against encoding/json: what it takes, that reads too.
func FuzzStrict(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":null}],"c":"x"}`, `[]`, `1`, `{"a":1,"a":2}`, `{"A":1}`, `{}}`, "\"\xff\"", `{"a":{"a":{}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		_ = bounded(doc)
		err := strict(doc)
		if err == nil && (!json.Valid(doc) || !utf8.Valid(doc)) {
			t.Fatalf("took %q", doc)
		}
		if err != nil && fault.ClassOf(err) != fault.Invalid {
			t.Fatalf("%q: %v", doc, err)
		}
	})
}
