//go:build firstlight

package identity

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/tls"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/oplog"
)

type Cost struct {
	Passes    uint8
	MemoryKiB uint32
}
type Vault struct{}
type StartOptions struct {
	Deployment, Site string
	Passphrase       []byte
	KeepRoot         bool
	Cost             Cost
}
type RootSheet struct {
	Name  string
	Root  ed25519.PublicKey
	Seed  []byte
	Nodes []NodeCert
}

func (s RootSheet) Text() []byte                 { return nil }
func ParseRootSheet(b []byte) (RootSheet, error) { return RootSheet{}, nil }
func Start(dir string, c clock.Clock, o StartOptions) (*Vault, RootSheet, error) {
	return nil, RootSheet{}, nil
}
func Exists(dir string) bool                                                     { return false }
func Unlock(dir string, c clock.Clock, passphrase []byte) (*Vault, error)        { return nil, nil }
func CheckSite(name string) error                                                { return nil }
func (v *Vault) AddSlot(kind string, passphrase []byte) error                    { return nil }
func (v *Vault) Recovery() (code string, err error)                              { return "", nil }
func (v *Vault) Subkey(label string) [32]byte                                    { return [32]byte{} }
func (v *Vault) Cert() NodeCert                                                  { return NodeCert{} }
func (v *Vault) NodeID() NodeID                                                  { return NodeID{} }
func (v *Vault) Root() ed25519.PublicKey                                         { return nil }
func (v *Vault) DeploymentName() string                                          { return "" }
func (v *Vault) SiteName() string                                                { return "" }
func (v *Vault) GossipKey() [32]byte                                             { return [32]byte{} }
func (v *Vault) CanEnrol() bool                                                  { return false }
func (v *Vault) RootOnBox() bool                                                 { return false }
func (v *Vault) ForgetRoot() error                                               { return nil }
func (v *Vault) SignToken(msg []byte) []byte                                     { return nil }
func (v *Vault) Signer() crypto.Signer                                           { return nil }
func (v *Vault) CompareWords() []string                                          { return nil }
func (v *Vault) Deployment() [16]byte                                            { return [16]byte{} }
func (v *Vault) LogKey(log oplog.LogID, birth []byte) (ed25519.PublicKey, error) { return nil, nil }
func (v *Vault) Birth(nonce [16]byte) (log oplog.LogID, body []byte)             { return }
func (v *Vault) CompartmentKey(c oplog.Compartment, area uint16, epoch uint32) ([32]byte, bool) {
	return [32]byte{}, false
}
func (v *Vault) CurrentEpoch(c oplog.Compartment) (area uint16, epoch uint32) { return 0, 1 }
func (v *Vault) SignHead(msg []byte) []byte                                   { return nil }

type Invitation struct {
	Code    string
	Expires time.Time
}
type InvitationCode struct {
	Addrs       []string
	Fingerprint [16]byte
	Secret      [16]byte
	Expires     time.Time
}

func (c InvitationCode) Pins(public ed25519.PublicKey) bool { return false }
func (v *Vault) Invite(ttl time.Duration, addrs []string) (Invitation, error) {
	return Invitation{}, nil
}
func ParseInvitation(code string) (InvitationCode, error) { return InvitationCode{}, nil }

type Applicant struct{ Cost Cost }

func NewApplicant(code InvitationCode) (*Applicant, error)                     { return nil, nil }
func (a *Applicant) Request() []byte                                           { return nil }
func (a *Applicant) Signer() crypto.Signer                                     { return nil }
func (v *Vault) Admit(request []byte) (reply []byte, cert NodeCert, err error) { return }
func (a *Applicant) Accept(dir string, c clock.Clock, reply []byte, site string, passphrase []byte) (*Vault, error) {
	return nil, nil
}
func CompareWords(d DeploymentID, a, b [32]byte) []string { return nil }
func GenerateWords(n int) ([]string, error)               { return nil, nil }

type Node struct {
	ID         NodeID
	Number     uint16
	Site       string
	Cert       NodeCert
	Confirmed  bool
	EnrolledAt time.Time
	Logs       []oplog.LogID
}
type Desk struct{}

func OpenDesk(log *oplog.Log, v *Vault) *Desk                               { return nil }
func Kinds() []oplog.Kind                                                   { return nil }
func Views() []*oplog.View                                                  { return nil }
func (d *Desk) NameSelf(ctx context.Context) error                          { return nil }
func (d *Desk) Confirm(ctx context.Context, by oplog.By, node NodeID) error { return nil }
func (d *Desk) Enrolled(ctx context.Context, cert NodeCert) error           { return nil }
func (d *Desk) Refused(ctx context.Context, refusal error) error            { return nil }
func (d *Desk) Refusals() (int, error)                                      { return 0, nil }
func (d *Desk) Nodes() ([]Node, error)                                      { return nil, nil }
func (d *Desk) Certificate(number uint16) (NodeCert, bool)                  { return NodeCert{}, false }
func (d *Desk) SelfConfirmed() bool                                         { return false }
func (d *Desk) Deployment() [16]byte                                        { return [16]byte{} }
func (d *Desk) Number() uint16                                              { return 0 }
func (d *Desk) MayIssue() bool                                              { return false }
func (d *Desk) SignToken(msg []byte) []byte                                 { return nil }

type Web struct{}

func OpenWeb(dir string, c clock.Clock) (*Web, error)                           { return nil, nil }
func (w *Web) CA() []byte                                                       { return nil }
func (w *Web) Fingerprint() string                                              { return "" }
func (w *Web) Words() []string                                                  { return nil }
func (w *Web) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
