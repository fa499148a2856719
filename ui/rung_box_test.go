package ui

import (
	"context"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/staff"
)

// testPublic is the name of the public certificate of a test box that has one.
const testPublic = "n1.camp.example.org"

func (b *apiBox) PublicNames() []string { return b.names }

func (b *apiBox) WebCert(context.Context) (control.WebCert, error) {
	out := control.WebCert{Fingerprint: "AA:BB", Words: galleryWords, NotAfter: time.Unix(0, 0).UTC(), Sealed: true, Requested: b.requested}
	if len(b.requested) > 0 {
		out.CSR = "-----BEGIN CERTIFICATE REQUEST-----\n"
	}
	if len(b.names) > 0 {
		out.Public = &control.PublicCert{Names: b.names, Issuer: "CN=Public", NotAfter: time.Unix(0, 0).UTC()}
	}
	return out, nil
}

func (b *apiBox) RequestWebCert(_ context.Context, a staff.Actor, names []string) ([]byte, error) {
	if err := a.Must(staff.ManageBox); err != nil {
		return nil, err
	}
	names, err := identity.CheckPublicNames(names)
	b.requested = names
	return []byte("-----BEGIN CERTIFICATE REQUEST-----\n"), err
}

func (b *apiBox) InstallWebCert(ctx context.Context, a staff.Actor, chain []byte) (control.WebCert, error) {
	if err := a.Must(staff.ManageBox); err != nil {
		return control.WebCert{}, err
	}
	if string(chain) != "chain" {
		return control.WebCert{}, fault.New(fault.Invalid, "fault.identity.webcert_file")
	}
	b.names, b.requested = b.requested, nil
	return b.WebCert(ctx)
}

func (b *apiBox) RemoveWebCert(_ context.Context, a staff.Actor) error {
	b.names, b.requested = nil, nil
	return a.Must(staff.ManageBox)
}
