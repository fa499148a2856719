package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/waypost/waypost/appliance/fault"
)

const (
	dialWithin = 3 * time.Second
	// answerWithin covers the slowest quick call: unlocking waits for its turn at
	// Argon2id and replays what the views lack.
	answerWithin = 2 * time.Minute
	// maxAnswer bounds what is read of an answer; a check of a large mesh and a
	// full page of people stay far below.
	maxAnswer = 64 << 20
)

// Client speaks with the node that serves one data folder. It holds no
// connection between far-apart calls and is safe for concurrent use.
type Client struct {
	dir  string
	lang string
	http *http.Client
}

// New is a client of the node serving the data folder dir, whether or not it
// runs at the moment.
func New(dir string) *Client {
	path := SocketPath(dir)
	dialer := net.Dialer{Timeout: dialWithin}
	return &Client{dir: dir, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if err := checkFolder(dir, path); err != nil {
				return nil, err
			}
			return dialer.DialContext(ctx, "unix", path)
		},
		DisableCompression:  true,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     10 * time.Second,
	}}}
}

// In returns a copy of c that asks for sentences in a language (BCP 47).
func (c *Client) In(lang string) *Client {
	d := *c
	d.lang = lang
	return &d
}

// Dir is the data folder.
func (c *Client) Dir() string { return c.dir }

// Get asks for path and decodes the JSON answer into out (nil: thrown away).
// Faults: Unavailable "fault.control.not_running" when no node serves the folder,
// "fault.control.no_answer" when it does not answer in two minutes, Denied
// "fault.control.denied" for somebody else's node, and the node's own.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return c.do(ctx, http.MethodGet, path, nil, out)
}

// GetSlow is Get without a limit of its own: for calls that read the whole
// journal. Only ctx ends it.
func (c *Client) GetSlow(ctx context.Context, path string, out any) error {
	return c.do(ctx, http.MethodGet, path, nil, out)
}

// PostSlow is Post without a limit of its own, as GetSlow is of Get.
func (c *Client) PostSlow(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fault.New(fault.Internal, "fault.internal").Wrap(err)
	}
	return c.do(ctx, http.MethodPost, path, body, out)
}

// Post sends in as JSON and decodes the answer into out (nil: thrown away).
// Faults as of Get.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fault.New(fault.Internal, "fault.internal").Wrap(err)
	}
	return c.PostJSON(ctx, path, body, out)
}

// PostJSON is Post of a body that is JSON already.
func (c *Client) PostJSON(ctx context.Context, path string, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return c.do(ctx, http.MethodPost, path, body, out)
}

func (c *Client) do(ctx context.Context, method, path string, body []byte, out any) error {
	// The host is only there because HTTP wants one; it is loopback so that the
	// node's check against foreign hosts passes.
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, bytes.NewReader(body))
	if err != nil {
		return fault.New(fault.Internal, "fault.internal").Wrap(err)
	}
	req.Header.Set("Accept", "application/json")
	if method != http.MethodGet {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.lang != "" {
		req.Header.Set("Accept-Language", c.lang)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return c.unreachable(ctx, err)
	}
	if resp.StatusCode >= 300 {
		return problemFault(resp.StatusCode, raw)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fault.New(fault.Internal, "fault.control.bad_answer").Wrap(err)
	}
	return nil
}

// unreachable turns a transport error into what a person can act on.
func (c *Client) unreachable(ctx context.Context, err error) error {
	var known *fault.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(ctx.Err(), context.DeadlineExceeded), os.IsTimeout(err):
		return fault.New(fault.Unavailable, "fault.control.no_answer", "Folder", c.dir).Wrap(err)
	case ctx.Err() != nil:
		return fault.New(fault.Unavailable, "fault.control.stopped").Wrap(ctx.Err())
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTSOCK):
		return NotRunning(c.dir).Wrap(err)
	case errors.Is(err, os.ErrPermission):
		return fault.New(fault.Denied, "fault.control.denied", "Folder", c.dir).Wrap(err)
	}
	return fault.New(fault.Unavailable, "fault.control.lost", "Folder", c.dir).Wrap(err)
}

// NotRunning is the fault of a verb that needs a running node where none runs.
func NotRunning(dir string) *fault.Error {
	return fault.New(fault.Unavailable, "fault.control.not_running", "Folder", dir)
}

// IsNotRunning reports whether err is NotRunning.
func IsNotRunning(err error) bool { return errors.Is(err, NotRunning("")) }

// problemFault reads an error answer. Something that is no problem+json still
// becomes a fault of the right class.
func problemFault(status int, raw []byte) error {
	p := &Problem{}
	if err := json.Unmarshal(raw, p); err != nil || p.Status == 0 {
		p = &Problem{Status: status, Detail: ""}
	}
	class := fault.Class(p.Class)
	if class == "" || class.Status() != status {
		class = classOf(status)
	}
	key := p.Key
	if key == "" {
		key = "fault.control.refused"
	}
	return fault.New(class, key, "Status", status).Wrap(p)
}

// classOf finds the class that answers with a status; the status alone cannot
// tell read-only from unavailable, both are 503.
func classOf(status int) fault.Class {
	for _, c := range []fault.Class{
		fault.Invalid, fault.Unauthenticated, fault.Denied, fault.NotFound, fault.Conflict, fault.Gone, fault.TooLarge,
		fault.Unsupported, fault.Locked, fault.Busy, fault.Unavailable, fault.Full,
	} {
		if c.Status() == status {
			return c
		}
	}
	if status < 500 {
		return fault.Invalid
	}
	return fault.Internal
}

// Error is for logs: the key and the status. The sentence is for the person.
func (p *Problem) Error() string {
	return strings.TrimSpace("problem " + http.StatusText(p.Status) + " " + p.Key)
}
