package ui

import (
	"context"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/staff"
)

// WebCerts is the part of a Box that is about the certificates of its pages.
type WebCerts interface {
	// PublicNames are the names of the installed public certificate; none without one.
	PublicNames() []string
	// WebCert says what the pages are served with, in every state.
	WebCert(ctx context.Context) (control.WebCert, error)
	// RequestWebCert makes a certificate signing request, as PEM; an earlier one is
	// forgotten. Faults: Denied for all but the lead, Locked, Conflict in practice, Invalid
	// "fault.identity.webcert_names".
	RequestWebCert(ctx context.Context, a staff.Actor, names []string) ([]byte, error)
	// InstallWebCert brings the certificate that answers the request. Faults: as of
	// RequestWebCert, and those of identity.Web.Install.
	InstallWebCert(ctx context.Context, a staff.Actor, chain []byte) (control.WebCert, error)
	// RemoveWebCert takes the public certificate away, and a request that is out. Faults:
	// Denied for all but the lead.
	RemoveWebCert(ctx context.Context, a staff.Actor) error
}
