package control

import "context"

// OpenAsk is what a locked node asks another with. It is public.
type OpenAsk struct {
	Request string   `json:"request"`
	Words   []string `json:"words"` // both sides compare them
	Node    string   `json:"node"`
}

// AskedOpening is the first signature under the opening of another node.
type AskedOpening struct {
	ID     string   `json:"id"`
	Words  []string `json:"words"`
	Node   string   `json:"node"`
	Number uint16   `json:"number"`
	Site   string   `json:"site"`
}

// GiveOpener gives other nodes the means to open this one, once two people there agree;
// whoever had them before has them no more.
func (c *Client) GiveOpener(ctx context.Context, nodes []string) error {
	return c.Post(ctx, "/operator/openers", map[string]any{"nodes": nodes}, nil)
}

// OpenRequest is the request of a locked node; anew draws another one.
func (c *Client) OpenRequest(ctx context.Context, anew bool) (OpenAsk, error) {
	var a OpenAsk
	err := c.Post(ctx, "/operator/openings/request", map[string]bool{"anew": anew}, &a)
	return a, err
}

// OpenAnswer opens a locked node with what another answered.
func (c *Client) OpenAnswer(ctx context.Context, answer string) error {
	return c.Post(ctx, "/operator/openings/answer", map[string]string{"answer": answer}, nil)
}

// AskOpening is the first of two people who agree to open another node.
func (c *Client) AskOpening(ctx context.Context, request, user string, passphrase []byte) (AskedOpening, error) {
	var a AskedOpening
	err := c.Post(ctx, "/operator/openings/ask", map[string]string{"request": request, "user": user, "passphrase": string(passphrase)}, &a)
	return a, err
}

// ConfirmOpening is the second, and gives the answer for the locked node.
func (c *Client) ConfirmOpening(ctx context.Context, id, user string, passphrase []byte) (string, error) {
	var out struct {
		Answer string `json:"answer"`
	}
	err := c.Post(ctx, "/operator/openings/confirm", map[string]string{"id": id, "user": user, "passphrase": string(passphrase)}, &out)
	return out.Answer, err
}
