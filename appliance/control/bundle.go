package control

import (
	"context"
	"encoding/json"
)

// BundleOrder says what is written into a bundle and where.
type BundleOrder struct {
	File string `json:"file"` // an absolute path; one that is a folder gets a name in it
	For  string `json:"for"`  // id or number of a node, or "any"
	Bare bool   `json:"without_photos"`
}

// BundleWritten is a bundle that was made.
type BundleWritten struct {
	File   string `json:"file"`
	For    string `json:"for"`
	Ops    uint64 `json:"ops"`
	Pieces uint64 `json:"pieces"`
	Bytes  int64  `json:"bytes"`
	Left   int    `json:"left"` // logs that could not be read to their end
}

// BundleRead says what was in a bundle and what became of it.
type BundleRead struct {
	From      string `json:"from"` // id of the node that wrote it; empty until that was read
	Number    uint16 `json:"number"`
	Ops       uint64 `json:"ops"`
	OpsOf     uint64 `json:"ops_of"` // that there are in it
	New       uint64 `json:"new"`    // that were not here
	People    uint64 `json:"people"` // more than before
	HeldBack  uint64 `json:"held_back"`
	Pieces    uint64 `json:"pieces"`
	PiecesOf  uint64 `json:"pieces_of"`
	NewPieces uint64 `json:"new_pieces"`
	Missing   int    `json:"missing"` // logs before which records are missing
	Refused   int    `json:"refused"` // logs that were not what they should be
	Forks     int    `json:"forks"`
}

// Here is how many records were here already.
func (r BundleRead) Here() uint64 { return r.Ops - min(r.Ops, r.New) }

// Bundle is a bundle that is being written or read, or the last one.
type Bundle struct {
	Running bool           `json:"running"`
	File    string         `json:"file,omitempty"`
	Step    string         `json:"step,omitempty"` // writing, reading
	Done    int64          `json:"done"`
	Total   int64          `json:"total"` // 0 when not known
	Ops     uint64         `json:"ops"`
	Written *BundleWritten `json:"written,omitempty"`
	Read    *BundleRead    `json:"read,omitempty"`
	Number  int            `json:"job"` // grows by one with each bundle
}

// Percent is how much of the step is done.
func (b Bundle) Percent() int {
	if b.Total <= 0 {
		return 0
	}
	return int(min(100, b.Done*100/b.Total))
}

// WriteBundle has the node write a bundle. It goes on when the caller goes away;
// BundleState tells how far it is.
func (c *Client) WriteBundle(ctx context.Context, o BundleOrder) (Bundle, error) {
	var b Bundle
	err := c.Post(ctx, "/operator/bundle/write", o, &b)
	return b, err
}

// ReadBundle has the node read one, an absolute path as the node sees it.
func (c *Client) ReadBundle(ctx context.Context, file string) (Bundle, error) {
	var b Bundle
	err := c.Post(ctx, "/operator/bundle/read", map[string]string{"file": file}, &b)
	return b, err
}

// BundleState is how far it is; its fault when it failed. The state is good with a fault
// too: what was read stays.
func (c *Client) BundleState(ctx context.Context) (Bundle, error) {
	var b struct {
		Bundle
		Failed json.RawMessage `json:"failed"`
	}
	err := c.Get(ctx, "/operator/bundle", &b)
	var p Problem
	if err == nil && len(b.Failed) > 0 && json.Unmarshal(b.Failed, &p) == nil && p.Status != 0 {
		err = problemFault(p.Status, b.Failed)
	}
	return b.Bundle, err
}

// StopBundle stops it. What was read stays; of what was written nothing does.
func (c *Client) StopBundle(ctx context.Context) error {
	return c.Post(ctx, "/operator/bundle/stop", map[string]string{}, nil)
}

// BundleFile is a file on a stick that may be a bundle: only reading it tells.
type BundleFile struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`
}
