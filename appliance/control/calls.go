package control

import (
	"context"
	"time"
)

// Status asks what the node says about itself, in every state.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.Get(ctx, "/operator/status", &s)
	return s, err
}

// Unlock opens a locked node with any of its passphrases.
func (c *Client) Unlock(ctx context.Context, passphrase []byte) error {
	return c.Post(ctx, "/operator/unlock", map[string]string{"passphrase": string(passphrase)}, nil)
}

// Invite makes a one-use code for one other node; ttl is cut to whole seconds. area is "new"
// for a protected address, the number of one, or empty.
func (c *Client) Invite(ctx context.Context, ttl time.Duration, area string) (Invitation, error) {
	var i Invitation
	ask := map[string]any{"ttl_seconds": int64(ttl / time.Second)}
	if area != "" { // older nodes know no areas
		ask["area"] = area
	}
	err := c.Post(ctx, "/operator/invite", ask, &i)
	return i, err
}

// Confirm records that somebody compared the five words with another node's.
func (c *Client) Confirm(ctx context.Context, node string) error {
	return c.Post(ctx, "/operator/confirm", map[string]string{"node": node}, nil)
}

// Accounts lists who works at the node's site.
func (c *Client) Accounts(ctx context.Context) ([]Account, error) {
	var l struct {
		Items []Account `json:"items"`
	}
	err := c.Get(ctx, "/operator/staff", &l)
	return l.Items, err
}

// AddAccount makes an account that signs in with the passphrase; without one the node
// draws five words.
func (c *Client) AddAccount(ctx context.Context, user, role string, passphrase []byte) (Account, error) {
	var a Account
	err := c.Post(ctx, "/operator/staff", map[string]string{"user": user, "role": role, "passphrase": string(passphrase)}, &a)
	return a, err
}

// DisableAccount ends an account and its sign-ins.
func (c *Client) DisableAccount(ctx context.Context, user string) error {
	return c.Post(ctx, "/operator/staff/disable", map[string]string{"user": user}, nil)
}

// Sessions lists who is signed in at the node.
func (c *Client) Sessions(ctx context.Context) ([]SignedIn, error) {
	var l struct {
		Items []SignedIn `json:"items"`
	}
	err := c.Get(ctx, "/operator/staff/sessions", &l)
	return l.Items, err
}

// EndSession ends one of them.
func (c *Client) EndSession(ctx context.Context, id string) error {
	return c.Post(ctx, "/operator/staff/sessions/end", map[string]string{"id": id}, nil)
}

// IssueKey makes a bearer key; its Secret is shown this once. ttl is cut to whole
// seconds.
func (c *Client) IssueKey(ctx context.Context, role, name string, ttl time.Duration) (Key, error) {
	var k Key
	err := c.Post(ctx, "/operator/apikeys", map[string]any{"role": role, "name": name, "ttl_seconds": int64(ttl / time.Second)}, &k)
	return k, err
}

// Check verifies journal, chains, signatures and views; it reads everything and
// may take minutes.
func (c *Client) Check(ctx context.Context) (Check, error) {
	var k Check
	err := c.GetSlow(ctx, "/operator/check", &k)
	return k, err
}

// Repair mends what can be mended, asks the other nodes for what was lost, waits for
// them, and checks. It may take minutes.
func (c *Client) Repair(ctx context.Context) (Check, error) {
	var k Check
	err := c.PostSlow(ctx, "/operator/repair", struct{}{}, &k)
	return k, err
}

// AcceptLosses says that what is lost is lost for good, and how many records that is.
// Fault: Conflict "fault.identity.nothing_lost".
func (c *Client) AcceptLosses(ctx context.Context) (ops uint64, err error) {
	var out struct {
		Ops uint64 `json:"ops"`
	}
	err = c.Post(ctx, "/operator/losses/accept", struct{}{}, &out)
	return out.Ops, err
}

// Rebuild throws the node's views away and makes them anew from its journal, which may
// take minutes; Status says how far it is. It goes on when the caller leaves.
func (c *Client) Rebuild(ctx context.Context) (Rebuilt, error) {
	var r Rebuilt
	err := c.PostSlow(ctx, "/operator/rebuild", struct{}{}, &r)
	return r, err
}

// Verify says what the text of a card is worth.
func (c *Client) Verify(ctx context.Context, text string) (Verdict, error) {
	var v Verdict
	err := c.Post(ctx, "/operator/verify", map[string]string{"text": text}, &v)
	return v, err
}

// Lock closes the open node at once: sessions end, keys are overwritten. Unlock opens it
// again. Locking a locked node is fine.
func (c *Client) Lock(ctx context.Context) error {
	return c.Post(ctx, "/api/v1/lock", map[string]string{}, nil)
}

// Slots lists the kinds of ways to open the node: passphrase, words, recovery, stick.
func (c *Client) Slots(ctx context.Context) ([]string, error) {
	var l struct {
		Items []string `json:"items"`
	}
	err := c.Get(ctx, "/operator/slots", &l)
	return l.Items, err
}

// AddSlot makes one more way to open the node: words, recovery or stick. An earlier one
// of the kind stops working.
func (c *Client) AddSlot(ctx context.Context, kind string) (Slot, error) {
	var s Slot
	err := c.Post(ctx, "/operator/slots", map[string]string{"kind": kind}, &s)
	return s, err
}

// RemoveSlot takes one away, never the last.
func (c *Client) RemoveSlot(ctx context.Context, kind string) error {
	return c.Post(ctx, "/operator/slots/remove", map[string]string{"kind": kind}, nil)
}

// Wipe destroys the keys of the node's folder and what it holds in memory.
func (c *Client) Wipe(ctx context.Context) error {
	return c.Post(ctx, "/operator/wipe", map[string]string{}, nil)
}

// Ceremony says how far the ceremony is.
func (c *Client) Ceremony(ctx context.Context) (Ceremony, error) {
	var out Ceremony
	err := c.Get(ctx, "/operator/ceremony", &out)
	return out, err
}

// TakeCeremonyStep goes one step on.
func (c *Client) TakeCeremonyStep(ctx context.Context, step CeremonyStep) (Ceremony, error) {
	var out Ceremony
	err := c.Post(ctx, "/operator/ceremony", step, &out)
	return out, err
}
