package control

import (
	"context"
	"time"
)

// Emergency is what a node may do to its own keys, as its people decided beforehand.
type Emergency struct {
	Mode   string     `json:"mode"`   // lock or destroy
	By     string     `json:"by"`     // who decided; empty when nobody did, or the name is not known here
	Second string     `json:"second"` // who agreed; empty where one was enough
	At     *time.Time `json:"at"`     // null when nobody ever decided
	Asked  string     `json:"asked"`  // who asked for a change that waits for a second person
	Alone  bool       `json:"alone"`  // nobody else here could agree: one is enough
}

// Emergency asks for it.
func (c *Client) Emergency(ctx context.Context) (Emergency, error) {
	var e Emergency
	err := c.Get(ctx, "/operator/emergency", &e)
	return e, err
}

// SetEmergency changes it by the word of one or two people, each with their own passphrase.
// Where the second is empty and needed, Asked of the answer says who asked.
func (c *Client) SetEmergency(ctx context.Context, mode string, users [2]string, passphrases [2][]byte) (Emergency, error) {
	var e Emergency
	err := c.Post(ctx, "/operator/emergency", map[string]any{
		"mode": mode, "users": users, "passphrases": [2]string{string(passphrases[0]), string(passphrases[1])},
	}, &e)
	return e, err
}

// Destroy destroys the keys of an open node where that was decided before.
func (c *Client) Destroy(ctx context.Context) error {
	return c.Post(ctx, "/operator/destroy", map[string]string{}, nil)
}
