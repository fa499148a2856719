package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"time"
)

// scribeTool is a program for TestNemesis: scribe [flags] URL FILE ID… registers people at a
// node until its stdin ends, and corrects one of the IDs now and then. The answer of every
// registration that was acknowledged goes into FILE, one a line. A node that does not answer,
// or refuses, is asked again later: it may be gone, locked or starting.
func scribeTool() {
	key := flag.String("key", "", "bearer key")
	name := flag.String("name", "", "of the node")
	every := flag.Duration("every", time.Second, "how often")
	seed := flag.Uint64("seed", 0, "of when whom is corrected")
	flag.Parse()
	acks, err := os.Create(flag.Arg(1))
	toolCheck(err)
	over := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); close(over) }()
	s := scribe{url: flag.Arg(0) + "/api/v1/people", key: *key, client: &http.Client{Timeout: 10 * time.Second}}
	r := rand.New(rand.NewPCG(*seed, 1)) //nolint:gosec // to be repeated
	for i := 0; ; i++ {
		select {
		case <-over:
			toolCheck(acks.Close())
			return
		case <-time.After(*every):
		}
		if r.IntN(8) == 0 {
			s.send("PATCH", s.url+"/"+flag.Arg(2+r.IntN(flag.NArg()-2)), fmt.Sprintf(`{"notes":"%s %d"}`, *name, i), 200)
			continue
		}
		if id := s.send("POST", s.url, fmt.Sprintf(`{"given_name":"Person %d","family_name":"of %s"}`, i, *name), 201); id != "" {
			_, err := fmt.Fprintf(acks, "{\"id\":%q}\n", id)
			toolCheck(err)
		}
	}
}

// scribe is who writes at one node.
type scribe struct {
	url, key string
	client   *http.Client
}

// send asks once, and gives the id of who was registered or corrected; empty when the node
// did not say that it was done.
func (s *scribe) send(method, url, body string, want int) string {
	req, err := http.NewRequest(method, url, bytes.NewReader([]byte(body)))
	toolCheck(err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+s.key)
	resp, err := s.client.Do(req)
	if err != nil {
		return ""
	}
	raw, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	var done struct {
		ID string `json:"id"`
	}
	if err != nil || resp.StatusCode != want || json.Unmarshal(raw, &done) != nil {
		return ""
	}
	return done.ID
}
