package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/waypost/waypost/appliance/control"
)

// apiTool is a program for scripts: api [flags] METHOD URL [BODY] sends a request
// and prints the answer's body. It fails unless the status is the one wanted.
func apiTool() {
	set := flag.NewFlagSet("api", flag.ExitOnError)
	key := set.String("key", "", "bearer key")
	want := set.Int("want", 0, "status; 0 = any 2xx")
	file := set.String("file", "", "body from a file")
	size := set.Int("long", 0, "length of a notes field put into the body")
	zipped := set.Bool("gzip", false, "compress the body")
	kind := set.String("type", "application/json", "content type of the body")
	once := set.String("once", "", "idempotency key")
	out := set.String("out", "", "write the answer's body into a file")
	repeat := set.Int("repeat", 1, "send it so many times, # in the body is the number")
	_ = set.Parse(os.Args[1:])
	method, url, body := set.Arg(0), set.Arg(1), []byte(set.Arg(2))
	if *file != "" {
		body = toolRead(*file)
	}
	if *size > 0 {
		body = []byte(`{"given_name":"Long","notes":"` + strings.Repeat("x", *size) + `"}`)
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableCompression: true}}
	for i := range *repeat {
		sent := body
		if *repeat > 1 {
			sent = bytes.ReplaceAll(body, []byte("#"), []byte(strconv.Itoa(i)))
		}
		if *zipped {
			var b bytes.Buffer
			w := gzip.NewWriter(&b)
			_, _ = w.Write(sent)
			_ = w.Close()
			sent = b.Bytes()
		}
		req, err := http.NewRequest(method, url, bytes.NewReader(sent))
		toolCheck(err)
		if len(sent) > 0 {
			req.Header.Set("Content-Type", *kind)
		}
		if *zipped {
			req.Header.Set("Content-Encoding", "gzip")
		}
		if *key != "" {
			req.Header.Set("Authorization", "Bearer "+*key)
		}
		if *once != "" {
			req.Header.Set("Idempotency-Key", *once)
		}
		resp, err := client.Do(req)
		toolCheck(err)
		answer, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		toolCheck(err)
		if ok := resp.StatusCode == *want || *want == 0 && resp.StatusCode/100 == 2; !ok {
			toolCheck(fmt.Errorf("%s %s: %s %s", method, url, resp.Status, answer))
		}
		if *out != "" {
			toolCheck(os.WriteFile(*out, answer, 0o600))
		} else {
			fmt.Printf("%s\n", answer)
		}
	}
}

// agreeTool is a program for scripts: agree DATA DATA… fails unless the nodes
// running on the folders are sound and hold the same.
func agreeTool() {
	var first control.Check
	for i, dir := range os.Args[1:] {
		raw, err := exec.Command("waypost", "check", "--data", dir, "--json").Output()
		toolCheck(err)
		var c control.Check
		toolCheck(json.Unmarshal(raw, &c))
		if !c.Sound || c.Views == nil || *c.Views == "" {
			toolCheck(fmt.Errorf("%s: %s", dir, raw))
		}
		if i == 0 {
			first = c
		}
		if *c.Views != *first.Views || c.Ops != first.Ops {
			toolCheck(fmt.Errorf("%s has %d facts, %s has %d", os.Args[1], first.Ops, dir, c.Ops))
		}
	}
	fmt.Println(first.Ops)
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
