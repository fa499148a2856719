package ui

import (
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/tokens"
)

// documented lists the calls of the document as "GET /api/v1/people/:id".
func (d schemaDoc) documented() map[string]map[string]any {
	out := map[string]map[string]any{}
	for path := range d.at("paths") {
		for method, op := range d.at("paths", path) {
			if method == "parameters" {
				continue
			}
			plain := strings.NewReplacer("{", ":", "}", "").Replace(path)
			out[strings.ToUpper(method)+" "+plain] = op.(map[string]any)
		}
	}
	return out
}

func apiCalls(s *Server) map[string]route {
	out := map[string]route{}
	for _, r := range s.apiRoutes() {
		if strings.HasPrefix(r.path, "/api/") || r.path == "/healthz" {
			out[r.method+" "+r.path] = r
		}
	}
	return out
}

func TestTheDocumentIsTheRouteTable(t *testing.T) {
	d, r := readOpenAPI(t), newRig(t)
	doc, calls := d.documented(), apiCalls(r.s)
	for name, call := range calls {
		op := doc[name]
		if op == nil {
			t.Errorf("%s is not in openapi.yaml", name)
			continue
		}
		security, open := op["security"].([]any)
		if (call.policy.who == anybody) != (open && len(security) == 0) {
			t.Errorf("%s: its security is not the policy of the route", name)
		}
	}
	ids := map[string]bool{}
	for name, op := range doc {
		if _, ok := calls[name]; !ok {
			t.Errorf("%s is only in openapi.yaml", name)
		}
		id := fmt.Sprint(op["operationId"])
		if ids[id] || op["summary"] == nil || d.deref(op["responses"].(map[string]any)["default"].(map[string]any))["content"] == nil {
			t.Errorf("%s: operationId, summary or default answer", name)
		}
		ids[id] = true
	}
	for _, group := range []string{"schemas", "responses", "parameters", "headers"} {
		for name := range d.at("components", group) {
			if !strings.Contains(string(openapi), "#/components/"+group+"/"+name+`"`) && name != "Counts" {
				t.Errorf("%s %s is used nowhere", group, name)
			}
		}
	}
}

// The fields of a person are written down twice: in the desk and in the document.
func TestTheDocumentHasEveryFieldOfAPerson(t *testing.T) {
	d := readOpenAPI(t)
	for name, typ := range map[string]reflect.Type{
		"PersonFields": reflect.TypeFor[registration.Person](), "Document": reflect.TypeFor[registration.Document](), "Consent": reflect.TypeFor[registration.Consent](),
		"Problem": reflect.TypeFor[control.Problem](), "Household": reflect.TypeFor[registration.Household](), "Mesh": reflect.TypeFor[meshAnswer](), "Counts": reflect.TypeFor[counts](),
		"NewHousehold": reflect.TypeFor[registration.NewHousehold](),
	} {
		var fields []string
		for i := range typ.NumField() {
			tag, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if tag != "-" {
				fields = append(fields, tag)
			}
		}
		slices.Sort(fields)
		if got := slices.Sorted(maps.Keys(d.at("components", "schemas", name, "properties"))); !slices.Equal(got, fields) {
			t.Errorf("%s:\n doc  %v\n code %v", name, got, fields)
		}
	}
	enum := func(keys ...string) (out []string) {
		for _, v := range d.at(append([]string{"components", "schemas"}, keys...)...)["enum"].([]any) {
			out = append(out, v.(string))
		}
		return out
	}
	for _, tt := range [][2][]string{
		{enum("PersonFields", "properties", "sex"), registration.Sexes()},
		{enum("PersonFields", "properties", "precision"), registration.Precisions()},
	} {
		if !slices.Equal(tt[0], tt[1]) {
			t.Errorf("%v is not %v", tt[0], tt[1])
		}
	}
	for _, class := range enum("Problem", "properties", "class") {
		if class != "internal" && fault.Class(class).Status() == 500 {
			t.Errorf("no class %s", class)
		}
	}
	for _, v := range []tokens.Verdict{tokens.Genuine, tokens.Superseded, tokens.Revoked, tokens.Expired, tokens.UnknownIssuer, tokens.NotOurs, tokens.Malformed} {
		if !slices.Contains(enum("Verdict", "properties", "verdict"), string(v)) {
			t.Errorf("no verdict %s", v)
		}
	}
}

// Examples are copied by whoever reads the document, so they must be right.
func TestExamplesFitTheirSchemas(t *testing.T) {
	d := readOpenAPI(t)
	n := 0
	var walk func(place string, node any)
	walk = func(place string, node any) {
		switch x := node.(type) {
		case map[string]any:
			if schema, ok := x["schema"].(map[string]any); ok {
				if e, ok := x["example"]; ok {
					n++
					for _, f := range d.check(schema, e, place) {
						t.Error(f)
					}
				}
				named, _ := x["examples"].(map[string]any)
				for name, e := range named {
					n++
					for _, f := range d.check(schema, e.(map[string]any)["value"], place+" "+name) {
						t.Error(f)
					}
				}
			}
			for k, v := range x {
				walk(place+"/"+k, v)
			}
		case []any:
			for i, v := range x {
				walk(fmt.Sprintf("%s[%d]", place, i), v)
			}
		}
	}
	walk("", d.root)
	if n < 10 {
		t.Fatalf("only %d examples", n)
	}
}

// contract checks real answers against the document, and counts them.
type contract struct {
	*rig
	doc  schemaDoc
	ops  map[string]map[string]any
	seen map[string]bool // "GET /x 200"
}

// try makes a call and checks what was sent and what came back.
func (c *contract) try(key, method, path, concrete, body string, want int) answer {
	c.t.Helper()
	name := method + " " + path
	op := c.ops[name]
	if op == nil {
		c.t.Fatalf("%s is not documented", name)
	}
	a := c.call(key, method, concrete, body)
	if a.status != want {
		c.t.Fatalf("%s: %d %s", name, a.status, a.body)
	}
	c.seen[fmt.Sprintf("%s %d", name, a.status)] = true
	if want < 300 && body != "" {
		schema := c.doc.deref(op["requestBody"].(map[string]any))["content"].(map[string]any)["application/json"].(map[string]any)["schema"].(map[string]any)
		c.fits(name+" request", schema, []byte(body))
	}
	responses := op["responses"].(map[string]any)
	r, ok := responses[fmt.Sprint(a.status)].(map[string]any)
	if !ok {
		r = responses["default"].(map[string]any)
	}
	kind, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	must(c.t, err)
	content, ok := c.doc.deref(r)["content"].(map[string]any)[kind].(map[string]any)
	if !ok {
		c.t.Fatalf("%s answers %d with the undocumented type %s", name, a.status, kind)
	}
	for header := range mapOf(c.doc.deref(r)["headers"]) {
		if a.header.Get(header) == "" {
			c.t.Errorf("%s: no header %s", name, header)
		}
	}
	if strings.HasSuffix(kind, "json") {
		c.fits(fmt.Sprintf("%s %d", name, a.status), content["schema"].(map[string]any), a.body)
	}
	return a
}

func mapOf(v any) map[string]any { m, _ := v.(map[string]any); return m }

func (c *contract) fits(place string, schema map[string]any, raw []byte) {
	c.t.Helper()
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		c.t.Fatalf("%s: %v", place, err)
	}
	for _, f := range c.doc.check(schema, value, place) {
		c.t.Error(f)
	}
}

const fullPerson = `{"given_name":"ليلى","family_name":"حداد","other_names":"Layla Haddad","sex":"female","birth_date":"1991-04","precision":"month",
"nationality":"SYR","languages":["ar","en"],"phone":"+963 11 555 0134","documents":[{"type":"passport","number":"N1234567","issuer":"SYR"}],
"father_name":"Omar","mother_name":"Mariam","origin":"Homs","destination":"Lyon","arrived_at":"2026-03-01T08:15:00Z","needs":["pregnant"],
"consent":[{"purpose":"registration","given":true}],"notes":"Speaks softly","site":"South gate"}`

func TestAnswersAreWhatTheDocumentSays(t *testing.T) {
	doc := readOpenAPI(t)
	c := &contract{rig: newRig(t), doc: doc, ops: doc.documented(), seen: map[string]bool{}}
	key, info := c.key(staff.Lead), c.key(staff.Information)
	const v1 = "/api/v1"
	c.try("", "GET", "/healthz", "/healthz", "", 200)
	c.try("", "GET", v1+"/openapi.yaml", v1+"/openapi.yaml", "", 200)
	var added, second struct{ ID string }
	c.try(key, "POST", v1+"/people", v1+"/people", fullPerson, 201).into(t, &added)
	c.try(key, "POST", v1+"/people", v1+"/people", `{"name_unknown":true,"description":"Elderly man, blue coat","age":70,"precision":"estimated"}`, 201).into(t, &second)
	var household struct{ ID string }
	c.try(key, "POST", v1+"/households", v1+"/households", `{"members":[{"given_name":"Omar","age":41},{"given_name":"Yusuf"}],"head":0,"relations":["head","son"]}`, 201).into(t, &household)
	c.try(key, "GET", v1+"/households/:id", v1+"/households/"+household.ID, "", 200)
	c.try(key, "GET", v1+"/people", v1+"/people", "", 200)
	c.try(key, "GET", v1+"/people", v1+"/people?limit=1&q=omar", "", 200)
	for _, id := range []string{added.ID, second.ID} {
		c.try(key, "GET", v1+"/people/:id", v1+"/people/"+id, "", 200)
	}
	c.try(key, "PATCH", v1+"/people/:id", v1+"/people/"+added.ID, `{"phone":"+49 30 555 0199","notes":null}`, 200)
	var tok tokenJSON
	c.try(key, "POST", v1+"/people/:id/tokens", v1+"/people/"+added.ID+"/tokens", "{}", 201).into(t, &tok)
	c.try(key, "GET", v1+"/tokens/:id/qr.svg", tok.QR, "", 200)
	picture := c.try(key, "GET", v1+"/tokens/:id/qr.png", strings.Replace(tok.QR, ".svg", ".png", 1), "", 200)
	text, err := json.Marshal(map[string]string{"text": tok.Token})
	must(t, err)
	c.try(key, "POST", v1+"/tokens/verify", v1+"/tokens/verify", string(text), 200)
	c.try(key, "POST", v1+"/tokens/verify", v1+"/tokens/verify", `{"text":"x"}`, 200)
	a := c.call(key, "POST", v1+"/tokens/photo", string(picture.body), "Content-Type", "image/png")
	if c.seen["POST "+v1+"/tokens/photo 200"] = a.status == 200; a.status != 200 {
		t.Errorf("photo: %d %s", a.status, a.body)
	}
	c.fits("photo", doc.at("components", "schemas", "Verdict"), a.body)
	a = c.call(key, "POST", v1+"/uploads", string(picture.body), "Content-Type", "image/png")
	if c.seen["POST "+v1+"/uploads 201"] = a.status == 201; a.status != 201 {
		t.Errorf("upload: %d %s", a.status, a.body)
	}
	c.fits("upload", doc.at("components", "schemas", "Upload"), a.body)
	var upload struct{ ID string }
	a.into(t, &upload)
	c.try(key, "PATCH", v1+"/people/:id", v1+"/people/"+added.ID, `{"photo":"`+upload.ID+`"}`, 200)
	c.try(key, "GET", v1+"/people/:id/photo", v1+"/people/"+added.ID+"/photo", "", 200)
	c.box.peers = []control.Peer{{Node: "n2", State: "away"}, {Node: "n3", State: "connected", LastContact: time.Unix(1, 0), Addresses: []string{"10.0.0.2:7946"}}}
	c.box.peers, c.box.forks = append(c.box.peers, galleryEight().Peers...), galleryEight().Forks
	c.try(key, "GET", v1+"/mesh", v1+"/mesh", "", 200)
	c.copying(key, added.ID)
	c.erasing(key, added.ID, second.ID)
	c.losing(key)
	c.emergency(key)
	c.events(key)

	// What is refused has the same shape everywhere.
	for name := range c.ops {
		method, path, _ := strings.Cut(name, " ")
		if c.ops[name]["security"] == nil {
			c.try("wrong", method, path, concrete(path), "", 401)
		}
	}
	c.try(info, "POST", v1+"/people", v1+"/people", `{}`, 403)
	c.try(key, "POST", v1+"/people", v1+"/people", `{"sex":"x","age":-1}`, 400)
	c.try(key, "GET", v1+"/people/:id", v1+"/people/aaaaaaaaaaaaaaaa", "", 404)
	c.try(key, "POST", v1+"/lock", v1+"/lock", "{}", 403) // a program's key
	a = c.ask(Control, "POST", v1+"/lock", "{}", "Content-Type", "application/json")
	if c.seen["POST "+v1+"/lock 200"] = a.status == 200; a.status != 200 {
		t.Errorf("lock: %d %s", a.status, a.body)
	}
	c.fits("lock", doc.at("components", "schemas", "Health"), a.body)
	c.try(key, "GET", v1+"/mesh", v1+"/mesh", "", 423)
	c.destroying(key)

	for name, op := range c.ops {
		for status := range op["responses"].(map[string]any) {
			if status != "default" && !c.seen[name+" "+status] {
				t.Errorf("%s %s was never seen", name, status)
			}
		}
	}
}

// events checks the first event of a stream against its schema.
func (c *contract) events(key string) {
	c.t.Helper()
	resp, lines := c.rig.events(c.listen(Loopback), "Authorization", "Bearer "+key)
	c.seen["GET /api/v1/events 200"] = resp.StatusCode == 200
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		c.t.Errorf("events: %v", resp.Header)
	}
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			c.fits("event", c.doc.at("components", "schemas", "Counts"), []byte(data))
			return
		}
	}
	c.t.Error("no event")
}
