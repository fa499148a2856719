package control

import (
	"context"
	"time"
)

// WebCert says what the pages of a node are served with.
type WebCert struct {
	Fingerprint string      `json:"fingerprint"`   // SHA-256 of its own CA, as phones show it
	Words       []string    `json:"words"`         // the same as five words
	NotAfter    time.Time   `json:"not_after"`     // of the CA
	Sealed      bool        `json:"sealed"`        // the CA's key lies under the storage key
	Public      *PublicCert `json:"public"`        // nil without one
	Requested   []string    `json:"requested"`     // names a request is out for; none unless the node is open
	CSR         string      `json:"csr,omitempty"` // that request, as PEM
}

// PublicCert is a certificate of a public CA.
type PublicCert struct {
	Names     []string  `json:"names"`
	Issuer    string    `json:"issuer"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
}

// WebCert asks what the node's pages are served with, in every state.
func (c *Client) WebCert(ctx context.Context) (WebCert, error) {
	var w WebCert
	err := c.Get(ctx, "/operator/webcert", &w)
	return w, err
}

// RequestWebCert makes a request for a public certificate, as PEM. An earlier one is
// forgotten.
func (c *Client) RequestWebCert(ctx context.Context, names []string) (csr string, err error) {
	var out struct {
		CSR string `json:"csr"`
	}
	err = c.Post(ctx, "/operator/webcert/request", map[string][]string{"names": names}, &out)
	return out.CSR, err
}

// InstallWebCert brings the certificate that answers the request.
func (c *Client) InstallWebCert(ctx context.Context, chain []byte) (WebCert, error) {
	var w WebCert
	err := c.Post(ctx, "/operator/webcert/install", map[string][]byte{"chain": chain}, &w)
	return w, err
}

// RemoveWebCert takes the public certificate away, and a request that is out.
func (c *Client) RemoveWebCert(ctx context.Context) error {
	return c.Post(ctx, "/operator/webcert/remove", map[string]string{}, nil)
}
