package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/ui"
)

// The certificate a phone installed before the first run is good afterwards, and its
// authority's key goes under the words with the claim; practice moves nothing.
func TestTheCertificateSurvivesTheClaim(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	b := newBox(t, dir)
	before, key := b.CA(), filepath.Join(dir, "web", "ca.key")
	if _, err := os.Stat(key); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Practise(context.Background(), b.claim.Code()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(key); err != nil || b.web.Sealed() {
		t.Fatalf("practice moved the key: %v", err)
	}
	b.Close() // ends practice
	fresh, err := newClaim(b.clock)
	if err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	b.claim = fresh
	b.mu.Unlock()
	if _, err := b.StartSite(context.Background(), ui.StartSite{Claim: b.claim.Code(), Deployment: "Relief", Site: "North", Lead: "amina"}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(key); !errors.Is(err, fs.ErrNotExist) || !b.web.Sealed() || b.CA().Fingerprint != before.Fingerprint {
		t.Fatalf("after the claim: %v, sealed %v, %s then %s", err, b.web.Sealed(), before.Fingerprint, b.CA().Fingerprint)
	}
	if _, err := b.RequestWebCert(context.Background(), staff.Operator(), []string{"n1.camp.example.org"}); err != nil {
		t.Fatal(err)
	}
	if err := b.Lock(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.RequestWebCert(context.Background(), staff.Operator(), []string{"n1.camp.example.org"}); fault.ClassOf(err) != fault.Locked {
		t.Errorf("a locked box makes keys: %v", err)
	}
	leaf, err := b.leaf(&tls.ClientHelloInfo{ServerName: "localhost"})
	if err != nil || !slices.Contains(leaf.Leaf.DNSNames, "localhost") {
		t.Errorf("a locked box has no pages: %v", err)
	}
	if _, err := b.InstallWebCert(context.Background(), staff.Actor{ID: staff.ID{1}, Role: staff.Registrar}, nil); fault.ClassOf(err) != fault.Denied {
		t.Errorf("a registrar installs certificates: %v", err)
	}
	if err := b.Wipe(context.Background(), staff.Operator()); err != nil {
		t.Fatal(err)
	}
	if b.CA().Fingerprint == before.Fingerprint || b.web.Sealed() || !identity.Wiped(dir) {
		t.Error("the authority outlives the keys")
	}
}
