package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/control"
)

// apiCall is what the program api was asked to do.
type apiCall struct {
	method, url, key, kind, once, out, jar string

	body    []byte
	want    int
	zipped  bool
	patient bool
	client  *http.Client
}

// apiTool is a program for scripts: api [flags] METHOD URL [BODY] sends a request
// and prints the answer's body. It fails unless the status is the one wanted.
func apiTool() {
	var c apiCall
	set := flag.NewFlagSet("api", flag.ExitOnError)
	set.StringVar(&c.key, "key", "", "bearer key")
	set.IntVar(&c.want, "want", 0, "status; 0 = any 2xx")
	file := set.String("file", "", "body from a file")
	size := set.Int("long", 0, "length of one field put into the body: a form's, or notes in JSON")
	set.BoolVar(&c.zipped, "gzip", false, "compress the body")
	set.StringVar(&c.kind, "type", "application/json", "content type of the body")
	set.StringVar(&c.once, "once", "", "idempotency key")
	set.StringVar(&c.out, "out", "", "write the answer's body into a file")
	set.StringVar(&c.jar, "jar", "", "file of a page's cookies, sent and kept; redirects are not followed")
	set.BoolVar(&c.patient, "patient", false, "ask again while the answer is that the lists are made anew")
	repeat := set.Int("repeat", 1, "send it so many times, # in the body is the number")
	_ = set.Parse(os.Args[1:])
	c.method, c.url, c.body = set.Arg(0), set.Arg(1), []byte(set.Arg(2))
	switch {
	case *file != "":
		c.body = toolRead(*file)
	case *size > 0 && c.kind == "application/json":
		c.body = []byte(`{"given_name":"Long","notes":"` + strings.Repeat("x", *size) + `"}`)
	case *size > 0:
		c.body = []byte("members.0.given_name=" + strings.Repeat("x", *size))
	}
	c.client = &http.Client{Timeout: patience, Transport: &http.Transport{DisableCompression: true}}
	if c.jar != "" {
		c.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	for i := range *repeat {
		body := c.body
		if *repeat > 1 {
			body = bytes.ReplaceAll(body, []byte("#"), []byte(strconv.Itoa(i)))
		}
		c.send(body)
	}
}

// request is one request with everything that was asked for.
func (c *apiCall) request(body []byte) *http.Request {
	if c.zipped {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(body)
		_ = w.Close()
		body = b.Bytes()
	}
	req, err := http.NewRequest(c.method, c.url, bytes.NewReader(body))
	toolCheck(err)
	if len(body) > 0 {
		req.Header.Set("Content-Type", c.kind)
	}
	if c.zipped {
		req.Header.Set("Content-Encoding", "gzip")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	if cookie, err := os.ReadFile(c.jar); err == nil {
		req.Header.Set("Cookie", string(cookie))
	}
	if c.once != "" {
		req.Header.Set("Idempotency-Key", c.once)
	}
	return req
}

// cookies is what the jar holds once an answer set some.
func (c *apiCall) cookies(set []*http.Cookie) string {
	old, _ := os.ReadFile(c.jar)
	kept := strings.FieldsFunc(string(old), func(r rune) bool { return r == ';' || r == ' ' })
	for _, cookie := range set {
		kept = slices.DeleteFunc(kept, func(k string) bool { return strings.HasPrefix(k, cookie.Name+"=") })
		kept = append(kept, cookie.Name+"="+cookie.Value)
	}
	return strings.Join(kept, "; ")
}

// send sends one request and shows or keeps the answer.
func (c *apiCall) send(body []byte) {
	resp, answer := c.ask(body)
	for end := time.Now().Add(patience); c.patient && bytes.Contains(answer, []byte("fault.oplog.rebuilding")) && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond) // between two questions
		resp, answer = c.ask(body)
	}
	if c.jar != "" && len(resp.Cookies()) > 0 {
		toolCheck(os.WriteFile(c.jar, []byte(c.cookies(resp.Cookies())), 0o600))
	}
	if ok := resp.StatusCode == c.want || c.want == 0 && resp.StatusCode/100 == 2; !ok {
		toolCheck(fmt.Errorf("%s %s: %s %s", c.method, c.url, resp.Status, answer))
	}
	if c.out != "" {
		toolCheck(os.WriteFile(c.out, answer, 0o600))
	} else {
		fmt.Printf("%s\n", answer)
	}
}

// ask sends one request once.
func (c *apiCall) ask(body []byte) (*http.Response, []byte) {
	resp, err := c.client.Do(c.request(body))
	toolCheck(err)
	answer, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	toolCheck(err)
	return resp, answer
}

// agreeTool is a program for scripts: agree DATA DATA… fails unless the nodes
// running on the folders are sound and hold the same.
func agreeTool() {
	set := flag.NewFlagSet("agree", flag.ExitOnError)
	parted := set.Bool("parted", false, "a log has two histories, or a hole: what they show is compared, not what they hold")
	_ = set.Parse(os.Args[1:])
	var first control.Check
	for i, dir := range set.Args() {
		raw, err := exec.Command("waypost", "check", "--data", dir, "--json").Output()
		if !*parted { // then it says so, and fails
			toolCheck(err)
		}
		var c control.Check
		toolCheck(json.Unmarshal(raw, &c))
		if !c.Sound && !*parted || c.Views == nil || *c.Views == "" {
			toolCheck(fmt.Errorf("%s: %s", dir, raw))
		}
		if i == 0 {
			first = c
		}
		if *c.Views != *first.Views || !*parted && c.Ops != first.Ops {
			toolCheck(fmt.Errorf("%s has %d facts, %s has %d", set.Arg(0), first.Ops, dir, c.Ops))
		}
	}
	fmt.Println(first.Ops)
}

// heldTool is a program for scripts: held -key KEY URL FILE… fails unless the node at
// URL has everybody whose registration it acknowledged; the files hold the answers,
// one a line. It prints how many there are.
func heldTool() {
	set := flag.NewFlagSet("held", flag.ExitOnError)
	key := set.String("key", "", "bearer key")
	list := set.Bool("list", false, "ask for the list of everybody, not for each: for thousands")
	_ = set.Parse(os.Args[1:])
	n, here := 0, map[string]bool{}
	if *list {
		here = everybody(set.Arg(0), *key)
	}
	for _, path := range set.Args()[1:] {
		for line := range strings.Lines(string(toolRead(path))) {
			var added struct {
				ID string `json:"id"`
			}
			toolCheck(json.Unmarshal([]byte(line), &added))
			if n++; here[added.ID] {
				continue
			}
			req, err := http.NewRequest("GET", set.Arg(0)+"/api/v1/people/"+added.ID, nil)
			toolCheck(err)
			req.Header.Set("Authorization", "Bearer "+*key)
			resp, err := http.DefaultClient.Do(req)
			toolCheck(err)
			_, err = io.Copy(io.Discard, resp.Body)
			toolCheck(err)
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				toolCheck(fmt.Errorf("%s, line %d: %s is missing: %s", path, n, added.ID, resp.Status))
			}
		}
	}
	fmt.Println(n)
}

// everybody are the ids in the list of all people.
func everybody(base, key string) map[string]bool {
	all := map[string]bool{}
	for cursor := ""; ; {
		req, err := http.NewRequest("GET", base+"/api/v1/people?limit=200&cursor="+url.QueryEscape(cursor), nil)
		toolCheck(err)
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(req)
		toolCheck(err)
		var page struct {
			Items []struct {
				ID string `json:"id"`
			} `json:"items"`
			Next string `json:"next"`
		}
		err = json.NewDecoder(resp.Body).Decode(&page)
		_ = resp.Body.Close()
		toolCheck(err)
		for _, p := range page.Items {
			all[p.ID] = true
		}
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

// madeUpTool is a program for scripts: madeup N SEED FILE writes a list of made-up people.
func madeUpTool() {
	n, err := strconv.Atoi(os.Args[1])
	toolCheck(err)
	seed, err := strconv.ParseUint(os.Args[2], 10, 64)
	toolCheck(err)
	f, err := os.Create(os.Args[3])
	toolCheck(err)
	toolCheck(writeMadeUp(f, n, seed))
	toolCheck(f.Close())
}

func toolRead(path string) []byte {
	b, err := os.ReadFile(path)
	toolCheck(err)
	return b
}

func toolCheck(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// erasedTool is a program for scripts: erased DATA waiting|hidden|pending|done N fails
// unless the node running on DATA counts so many.
func erasedTool() {
	s, err := control.New(os.Args[1]).Status(context.Background())
	toolCheck(err)
	e := s.Erasures
	got := map[string]int{"waiting": e.Waiting, "hidden": e.Hidden, "pending": e.Pending, "done": e.Done}[os.Args[2]]
	if strconv.Itoa(got) != os.Args[3] {
		toolCheck(fmt.Errorf("%d %s", got, os.Args[2]))
	}
}
