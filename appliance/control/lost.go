package control

import (
	"context"
	"time"
)

// LostBox is another node that was shut out.
type LostBox struct {
	Node     string    `json:"node"`
	Number   uint16    `json:"number"`
	Site     string    `json:"site"`
	Standing string    `json:"standing"` // suspended or revoked
	Since    time.Time `json:"since"`    // by the clock of the post where it was said first
	By       string    `json:"by"`       // who said so; empty when the name is not known here
	At       string    `json:"at"`       // the site where it was said
	Known    []string  `json:"known"`    // sites of the nodes known to hold the fact, this one among them; "#" and the number where no site is known
	Unheard  []string  `json:"unheard"`  // sites of those not known to, in the same way
	MayLift  bool      `json:"may_lift"` // an issuer lives here that may
	Asked    string    `json:"asked"`    // who asked that it be revoked, which waits for a second person
}

// Incident is what an incident sheet says of one node: what could be read there, who
// worked there, whom to warn. It names nobody who was registered.
type Incident struct {
	LostBox
	Areas      []uint16  `json:"areas"`      // register areas whose records it could open
	Apart      bool      `json:"apart"`      // none of them is this node's: it does not know how many people that are
	People     uint64    `json:"people"`     // people whose records it could open, as far as this node knows
	Registered uint64    `json:"registered"` // of them, registered at that box
	Workers    []string  `json:"workers"`    // staff who registered people there
	Contact    time.Time `json:"contact"`    // this node's last contact with it; zero when never
	Behind     uint64    `json:"behind"`     // facts here that it had not received
	Now        time.Time `json:"now"`        // when this was put together
	HeldBack   uint64    `json:"held_back"`  // facts of its logs that do not count
}

// HeldOp is one fact of a revoked node that does not count.
type HeldOp struct {
	Log  string     `json:"log"`
	Seq  uint64     `json:"seq"`
	Kind string     `json:"kind"` // what it says, as programs name it; empty when it cannot be read here
	At   *time.Time `json:"at"`   // by its writer's clock; null when it cannot be read here
}

// Suspend shuts a node out until an issuer lifts it, and changes the keys.
func (c *Client) Suspend(ctx context.Context, node string) (Incident, error) {
	var i Incident
	err := c.Post(ctx, "/operator/suspend", map[string]string{"node": node}, &i)
	return i, err
}

// Lift gives a suspended node back.
func (c *Client) Lift(ctx context.Context, node string) error {
	return c.Post(ctx, "/operator/lift", map[string]string{"node": node}, nil)
}

// Revoke shuts a node out for good; two people say so, each with their own passphrase.
func (c *Client) Revoke(ctx context.Context, node string, users [2]string, passphrases [2][]byte) (Incident, error) {
	var i Incident
	err := c.Post(ctx, "/operator/revoke", map[string]any{
		"node": node, "users": users, "passphrases": [2]string{string(passphrases[0]), string(passphrases[1])},
	}, &i)
	return i, err
}

// Issuer is one who can let boxes in.
type Issuer struct {
	ID      string   `json:"id"`
	Sites   []string `json:"sites"`   // of the boxes where it lives, as far as is known here
	Own     bool     `json:"own"`     // it lives here
	Revoked bool     `json:"revoked"` // what it says from then on does not count
	Words   int      `json:"words"`   // how many others said that it is to be revoked
}

// Issuers lists them.
func (c *Client) Issuers(ctx context.Context) ([]Issuer, error) {
	var l struct {
		Items []Issuer `json:"items"`
	}
	err := c.Get(ctx, "/operator/issuers", &l)
	return l.Items, err
}

// RevokeIssuer says that an issuer is one no more; two people say so. root is the text of the
// root's sheet, or nil for the word of the issuer that lives there. It gives the issuer as it
// stands then.
func (c *Client) RevokeIssuer(ctx context.Context, issuer string, users [2]string, passphrases [2][]byte, root []byte) (Issuer, error) {
	var i Issuer
	err := c.Post(ctx, "/operator/revoke-issuer", map[string]any{
		"issuer": issuer, "users": users, "passphrases": [2]string{string(passphrases[0]), string(passphrases[1])}, "root": string(root),
	}, &i)
	return i, err
}

// Rotate makes new keys for what is written from now on.
func (c *Client) Rotate(ctx context.Context) error {
	return c.Post(ctx, "/operator/rotate", map[string]string{}, nil)
}

// Lost lists the nodes that were shut out.
func (c *Client) Lost(ctx context.Context) ([]LostBox, error) {
	var l struct {
		Items []LostBox `json:"items"`
	}
	err := c.Get(ctx, "/operator/lost", &l)
	return l.Items, err
}
