package control

import "context"

// Profiles of Link.
const (
	LinkUsual = "usual"
	LinkLow   = "low" // costs money, runs on a battery, or is a radio
)

// Link is how a node's connection to others is used.
type Link struct {
	Profile  string `json:"profile"`  // LinkUsual or LinkLow
	Photos   bool   `json:"photos"`   // with LinkLow: photos and files are exchanged all the same
	Out      uint64 `json:"out"`      // bytes a second that records and pieces may take; 0 = no limit
	In       uint64 `json:"in"`       // likewise, of what others send
	Discover bool   `json:"discover"` // look for others on the local network
	Restart  bool   `json:"restart"`  // only answered: part of it counts from the next start
}

// Places are where a node can be reached and where it looks for others.
type Places struct {
	Addresses []string `json:"addresses"` // its own, host:port, the likeliest first
	Seeds     []string `json:"seeds"`     // given by hand, where nobody has answered yet
	Discover  bool     `json:"discover"`
}

// LinkState asks how the connection to others is used.
func (c *Client) LinkState(ctx context.Context) (Link, error) {
	var l Link
	err := c.Get(ctx, "/operator/link", &l)
	return l, err
}

// SetLink changes it.
func (c *Client) SetLink(ctx context.Context, l Link) (Link, error) {
	var out Link
	err := c.Post(ctx, "/operator/link", l, &out)
	return out, err
}

// Places asks where the node is and looks for others.
func (c *Client) Places(ctx context.Context) (Places, error) {
	var p Places
	err := c.Get(ctx, "/operator/places", &p)
	return p, err
}

// LookAt has the node dial an address and says which node is there.
func (c *Client) LookAt(ctx context.Context, addr string) (node string, err error) {
	var out struct {
		Node string `json:"node"`
	}
	err = c.PostSlow(ctx, "/operator/places", map[string]string{"address": addr}, &out)
	return out.Node, err
}

// ForgetPlace has it stop looking at an address.
func (c *Client) ForgetPlace(ctx context.Context, addr string) error {
	return c.Post(ctx, "/operator/places/forget", map[string]string{"address": addr}, nil)
}
