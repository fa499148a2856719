package mesh

import (
	"crypto/tls"
	"net"
	"slices"
	"testing"

	"github.com/waypost/waypost/appliance/identity"
)

// shown is the certificate each side of a new connection sees of the other.
func shown(t *testing.T, server, client *credentials) (ofServer, ofClient identity.NodeCert) {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	s, c := tls.Server(far, server.server), tls.Client(near, client.client(protoExchange))
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ofServer, err := peerCert(c.ConnectionState(), client.root)
	if err != nil {
		t.Fatal(err)
	}
	ofClient, err = peerCert(s.ConnectionState(), server.root)
	if err != nil {
		t.Fatal(err)
	}
	return ofServer, ofClient
}

// A node that was given another certificate, as when an issuer is installed on it, shows it
// from the next connection on, whoever dials, without a restart.
func TestANewCertificateIsShownAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b, later := w.keys(), w.keys(), w.keys()
	credentialsOf := func(k *keys) *credentials {
		c, err := newCredentials(k, (&book{}).Outcast)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	one, two := credentialsOf(a), credentialsOf(b)
	same := func(x, y identity.NodeCert) bool { return slices.Equal(x.Marshal(), y.Marshal()) }
	if s, c := shown(t, one, two); !same(s, a.cert) || !same(c, b.cert) {
		t.Fatal("other certificates")
	}
	first := one.own
	if shown(t, one, two); one.own != first {
		t.Error("it is made anew for every connection")
	}
	a.cert, a.signer = later.cert, later.signer
	if s, _ := shown(t, one, two); !same(s, later.cert) {
		t.Error("the dialled side shows the old one")
	}
	if _, c := shown(t, two, one); !same(c, later.cert) {
		t.Error("the dialling side shows the old one")
	}
}
