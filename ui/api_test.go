package ui

import (
	"bytes"
	"fmt"
	"image/png"
	"mime/multipart"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/staff"
)

// personJSON is what the tests read of a person.
type personJSON struct {
	ID        string  `json:"id"`
	Given     string  `json:"given_name"`
	Family    string  `json:"family_name"`
	Phone     string  `json:"phone"`
	Household *string `json:"household"`
}

func (r *rig) add(key, body string, headers ...string) personJSON {
	r.t.Helper()
	a := r.call(key, "POST", "/api/v1/people", body, headers...)
	if a.status != 201 {
		r.t.Fatalf("%d %s", a.status, a.body)
	}
	var p personJSON
	a.into(r.t, &p)
	if a.header.Get("Location") != "/api/v1/people/"+p.ID {
		r.t.Fatalf("Location %q", a.header.Get("Location"))
	}
	return p
}

func TestPeople(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Registrar)
	a := r.call(key, "POST", "/api/v1/people", `{"given_name":"ليلى","family_name":"حداد","sex":"female","age":31}`)
	var added struct {
		ID         string  `json:"id"`
		Household  *string `json:"household"`
		Duplicates []any   `json:"duplicates"`
	}
	a.into(t, &added)
	if a.status != 201 || added.ID == "" || added.Household != nil || added.Duplicates == nil {
		t.Fatalf("%d %s", a.status, a.body)
	}
	var got personJSON
	r.call(key, "GET", "/api/v1/people/"+added.ID, "").into(t, &got)
	if got.Given != "ليلى" || got.ID != added.ID {
		t.Fatalf("%+v", got)
	}
	a = r.call(key, "PATCH", "/api/v1/people/"+added.ID, `{"phone":"+963 11 555 0134","family_name":null}`)
	got = personJSON{}
	if a.into(t, &got); a.status != 200 || got.Family != "" || got.Phone == "" || got.Given != "ليلى" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for path, want := range map[string]int{
		"/api/v1/people/aaaaaaaaaaaaaaaa": 404, "/api/v1/people/x": 404, "/api/v1/people/%00": 404, "/api/v1/households/aaaaaaaaaaaaaaaa": 404,
	} {
		if a := r.call(key, "GET", path, ""); a.status != want {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	a = r.call(key, "PATCH", "/api/v1/people/"+added.ID, `{"sex":"x","nationality":"ZZ"}`)
	if p := a.problem(t); a.status != 400 || p.Fields["sex"] == "" || p.Fields["nationality"] == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestListsComeInParts(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Registrar)
	for i := range 7 {
		r.add(key, fmt.Sprintf(`{"given_name":"Omar","family_name":"N%d"}`, i))
	}
	seen := map[string]bool{}
	var order []string
	for cursor := ""; ; {
		a := r.call(key, "GET", "/api/v1/people?limit=3&cursor="+url.QueryEscape(cursor), "")
		var page struct {
			Items []personJSON `json:"items"`
			Next  *string      `json:"next"`
		}
		a.into(t, &page)
		for _, p := range page.Items {
			if seen[p.ID] {
				t.Fatalf("%s twice", p.Family)
			}
			seen[p.ID] = true
			order = append(order, p.Family)
		}
		if page.Next == nil {
			break
		}
		cursor = *page.Next
	}
	if strings.Join(order, " ") != "N6 N5 N4 N3 N2 N1 N0" {
		t.Fatalf("%v", order)
	}
	for query, want := range map[string]int{
		"limit=0": 400, "limit=-1": 400, "limit=201": 400, "limit=x": 400, "limit=200": 200, "cursor=x": 400, "q=omar": 200, "q=" + strings.Repeat("x", 300): 400, "q=%ff": 200,
	} {
		if a := r.call(key, "GET", "/api/v1/people?"+query, ""); a.status != want {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
}

func TestHouseholds(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Registrar)
	a := r.call(key, "POST", "/api/v1/households", `{"members":[{"given_name":"Omar"},{"given_name":"Yusuf","age":9}],"head":0,"relations":["head","son"]}`)
	var added struct {
		ID      string
		Members []struct{ ID string }
	}
	a.into(t, &added)
	if a.status != 201 || len(added.Members) != 2 || added.Members[1].ID == "" || a.header.Get("Location") != "/api/v1/households/"+added.ID {
		t.Fatalf("%d %s", a.status, a.body)
	}
	var h struct {
		Head    string
		Members []personJSON
	}
	r.call(key, "GET", "/api/v1/households/"+added.ID, "").into(t, &h)
	if len(h.Members) != 2 || h.Members[1].Given != "Yusuf" || h.Head != added.Members[0].ID {
		t.Fatalf("%+v", h)
	}
	a = r.call(key, "POST", "/api/v1/households", `{"members":[{"given_name":"A"},{"sex":"x"}],"head":5}`)
	if a.status != 400 || len(a.problem(t).Fields) == 0 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if n, _ := r.box.desks.Registration.Counts(t.Context()); n.People != 2 || n.Households != 1 {
		t.Fatalf("half a household: %+v", n)
	}
}

func TestTheSameKeyNeverWritesTwice(t *testing.T) {
	r := newRig(t)
	key, other := r.key(staff.Registrar), r.key(staff.Lead)
	const body = `{"given_name":"Layla"}`
	one := r.add(key, body, "Idempotency-Key", "k1")
	if two := r.add(key, body, "Idempotency-Key", "k1"); two.ID != one.ID {
		t.Fatal("written twice")
	}
	if a := r.call(key, "POST", "/api/v1/people", `{"given_name":"Omar"}`, "Idempotency-Key", "k1"); a.status != 409 {
		t.Errorf("another body: %d", a.status)
	}
	if a := r.call(key, "POST", "/api/v1/households", `{"members":[{"given_name":"Omar"}]}`, "Idempotency-Key", "k1"); a.status != 409 {
		t.Errorf("another call: %d", a.status)
	}
	if three := r.add(other, body, "Idempotency-Key", "k1"); three.ID == one.ID {
		t.Error("somebody else's key")
	}
	if a := r.call(key, "POST", "/api/v1/people", body, "Idempotency-Key", strings.Repeat("k", 201)); a.status != 400 || a.problem(t).Key != "fault.api.key_long" {
		t.Errorf("a long key: %d", a.status)
	}
	const h = `{"members":[{"given_name":"A"},{"given_name":"B"}]}`
	x, y := r.call(key, "POST", "/api/v1/households", h, "Idempotency-Key", "k2"), r.call(key, "POST", "/api/v1/households", h, "Idempotency-Key", "k2")
	if x.status != 201 || !bytes.Equal(x.body, y.body) {
		t.Errorf("%s %s", x.body, y.body)
	}
	x = r.call(key, "POST", "/api/v1/people/"+one.ID+"/tokens", "", "Idempotency-Key", "k3")
	y = r.call(key, "POST", "/api/v1/people/"+one.ID+"/tokens", "", "Idempotency-Key", "k3")
	if x.status != 201 || !bytes.Equal(x.body, y.body) {
		t.Errorf("%s %s", x.body, y.body)
	}
}

// tokenJSON and verdictJSON are the answers about cards.
type tokenJSON struct {
	Token, Typed, QR string
	Generation       int
}

type verdictJSON struct {
	Verdict, Reason string
	Generation      int
	Person          *struct {
		ID    string
		Given string `json:"given_name"`
	}
}

func (r *rig) verify(key, text string) verdictJSON {
	r.t.Helper()
	a := r.call(key, "POST", "/api/v1/tokens/verify", `{"text":"`+text+`"}`)
	var v verdictJSON
	if a.into(r.t, &v); a.status != 200 || v.Reason == "" || strings.HasPrefix(v.Reason, "tokens.") {
		r.t.Fatalf("%d %s", a.status, a.body)
	}
	return v
}

func TestTokens(t *testing.T) {
	r := newRig(t)
	key, gate := r.key(staff.Registrar), r.key(staff.Distributor)
	p := r.add(key, `{"given_name":"Layla"}`)
	issue := func() (tok tokenJSON) {
		a := r.call(key, "POST", "/api/v1/people/"+p.ID+"/tokens", "")
		if a.into(t, &tok); a.status != 201 || !strings.HasPrefix(tok.Token, "WP1:") || len(tok.Typed) != 14 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return tok
	}
	if a := r.call(key, "GET", "/api/v1/tokens/"+p.ID+"/qr.svg", ""); a.status != 404 {
		t.Errorf("no card yet: %d", a.status)
	}
	first, second := issue(), issue()
	if first.Generation != 0 || second.Generation != 1 || first.Typed != second.Typed {
		t.Fatalf("%+v %+v", first, second)
	}
	if v := r.verify(gate, second.Token); v.Verdict != "genuine" || v.Generation != 1 || v.Person == nil || v.Person.ID != p.ID || v.Person.Given != "" {
		t.Errorf("%+v", v)
	}
	if v := r.verify(key, second.Token); v.Person == nil || v.Person.Given != "Layla" {
		t.Errorf("a registrar: %+v", v)
	}
	if v := r.verify(gate, first.Token); v.Verdict != "superseded" || v.Generation != 0 {
		t.Errorf("%+v", v)
	}
	if v := r.verify(gate, "WP1:nonsense"); v.Verdict != "malformed" || v.Person != nil {
		t.Errorf("%+v", v)
	}
	for _, path := range []string{"/api/v1/people?q=" + second.Typed, "/api/v1/people/" + p.ID} { // a table has no use for the register
		if a := r.call(gate, "GET", path, ""); a.status != 403 || strings.Contains(string(a.body), "Layla") {
			t.Errorf("a distributor reads %s: %d", path, a.status)
		}
	}
	for _, path := range []string{second.QR, strings.Replace(second.QR, ".svg", ".png", 1)} {
		a := r.call(key, "GET", path, "")
		if a.status != 200 || strings.Contains(path, "WP1") {
			t.Errorf("%s: %d", path, a.status)
		}
		if strings.HasSuffix(path, ".svg") != strings.HasPrefix(string(a.body), "<svg") {
			t.Errorf("%s: %.20q", path, a.body)
		}
		if a := r.ask(Network, "GET", path, ""); a.status != 401 {
			t.Errorf("anybody sees %s: %d", path, a.status)
		}
		if a := r.call(gate, "GET", path, ""); a.status != 403 {
			t.Errorf("a distributor copies %s: %d", path, a.status)
		}
	}
	if a := r.call(key, "POST", "/api/v1/people/aaaaaaaaaaaaaaaa/tokens", "{}"); a.status != 404 {
		t.Errorf("nobody's card: %d", a.status)
	}
	for _, body := range []string{"{}x", `{"kind":"x"}`, `{"text":null}`, `{}`} {
		if a := r.call(key, "POST", "/api/v1/tokens/verify", body); a.status != 400 {
			t.Errorf("%s: %d", body, a.status)
		}
	}
	if a := r.ask(Network, "POST", "/api/v1/tokens/verify", `{"text":"`+second.Token+`"}`, "Content-Type", "application/json"); a.status != 401 {
		t.Errorf("the public learns something: %d", a.status)
	}
}

func TestPhotos(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Registrar)
	p := r.add(key, `{"given_name":"Layla"}`)
	var tok tokenJSON
	r.call(key, "POST", "/api/v1/people/"+p.ID+"/tokens", "").into(t, &tok)
	photo := r.call(key, "GET", strings.Replace(tok.QR, ".svg", ".png", 1), "").body
	if _, err := png.Decode(bytes.NewReader(photo)); err != nil {
		t.Fatal(err)
	}
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("photo", "card.png")
	must(t, err)
	_, err = part.Write(photo)
	must(t, err)
	must(t, w.Close())
	for name, tt := range map[string]struct {
		kind, body string
		want       int
	}{
		"raw":       {"image/png", string(photo), 200},
		"any type":  {"application/octet-stream", string(photo), 200},
		"form":      {w.FormDataContentType(), form.String(), 200},
		"broken":    {"image/png", string(photo[:200]), 415},
		"no image":  {"image/jpeg", "hello", 415},
		"nothing":   {"image/png", "", 400},
		"JSON":      {"application/json", `{"a":1}`, 415},
		"no part":   {"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x--\r\n", 400},
		"too large": {"image/png", strings.Repeat("x", 13<<20), 413},
	} {
		a := r.call(key, "POST", "/api/v1/tokens/photo", tt.body, "Content-Type", tt.kind)
		if a.status != tt.want {
			t.Errorf("%s: %d %.300s", name, a.status, a.body)
			continue
		}
		if tt.want != 200 {
			a.problem(t)
			continue
		}
		var v verdictJSON
		if a.into(t, &v); v.Verdict != "genuine" || v.Person == nil || v.Person.ID != p.ID {
			t.Errorf("%s: %s", name, a.body)
		}
	}
}

func TestMesh(t *testing.T) {
	r := newRig(t)
	r.box.peers = []control.Peer{{Node: "n2", Number: 2, Site: "Clinic", State: "away"}, {Node: "n3", State: "connected", LastContact: time.Unix(1, 0), Behind: 4, BytesIn: 7}}
	var m meshAnswer
	a := r.call(r.key(staff.Coordinator), "GET", "/api/v1/mesh", "")
	a.into(t, &m)
	if len(m.Nodes) != 2 || m.Nodes[0].LastContact != nil || m.Nodes[1].Behind != 4 || len(m.Heads) != 1 || m.Heads[0].Holders == nil {
		t.Fatalf("%s", a.body)
	}
	if !strings.Contains(string(a.body), `"last_contact":"1970-01-01T00:00:01Z"`) {
		t.Fatalf("%s", a.body)
	}
}

func TestHeadAnswersAsGetWithoutABody(t *testing.T) {
	r := newRig(t)
	a := r.ask(Network, "HEAD", "/healthz", "")
	if a.status != 200 || len(a.body) != 0 || a.header.Get("Content-Type") == "" {
		t.Fatalf("%d %q", a.status, a.body)
	}
}

func TestTheCertificateAuthorityIsGivenOut(t *testing.T) {
	r := newRig(t)
	if a := r.ask(Public, "GET", "/ca.pem", ""); a.status != 200 || !strings.HasPrefix(string(a.body), "-----BEGIN CERT") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := r.ask(Public, "GET", "/ca.crt", ""); a.status != 200 || a.header.Get("Content-Type") != "application/x-x509-ca-cert" || len(a.body) != 3 {
		t.Errorf("%d %q", a.status, a.body)
	}
}
