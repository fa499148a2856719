//go:build firstlight

package staff

import (
	"context"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/oplog"
)

type NewAccount struct {
	User       string
	Role       Role
	Passphrase []byte
}
type Account struct {
	ID       ID
	User     string
	Role     Role
	Site     string
	Since    time.Time
	Disabled bool
}
type Session struct {
	Token, CSRF string
	Actor       Actor
}
type KeyIssued struct {
	ID      ID
	Secret  string
	Expires time.Time
}
type Key struct {
	ID       ID
	Name     string
	Role     Role
	IssuedAt time.Time
	Expires  time.Time
	Revoked  bool
}
type Desk struct{}
type Option func(*Desk)

func Open(log *oplog.Log, dir string, accountsKey [32]byte, c clock.Clock, site string, node oplog.ID, options ...Option) (*Desk, error) {
	return nil, nil
}
func Kinds() []oplog.Kind                           { return nil }
func Views() []*oplog.View                          { return nil }
func CheckNew(user string, passphrase []byte) error { return nil }
func (d *Desk) Add(ctx context.Context, actor Actor, n NewAccount) (Account, error) {
	return Account{}, nil
}
func (d *Desk) List(ctx context.Context, actor Actor) ([]Account, error)    { return nil, nil }
func (d *Desk) Disable(ctx context.Context, actor Actor, user string) error { return nil }
func (d *Desk) SignIn(ctx context.Context, user string, passphrase []byte) (Session, error) {
	return Session{}, nil
}
func (d *Desk) Session(token string) (Session, bool) { return Session{}, false }
func (d *Desk) SignOut(token string)                 {}
func (d *Desk) IssueKey(ctx context.Context, actor Actor, role Role, name string, ttl time.Duration) (KeyIssued, error) {
	return KeyIssued{}, nil
}
func (d *Desk) Keys(ctx context.Context, actor Actor) ([]Key, error)    { return nil, nil }
func (d *Desk) RevokeKey(ctx context.Context, actor Actor, id ID) error { return nil }
func (d *Desk) KeyActor(secret string) (Actor, error)                   { return Actor{}, nil }
func (d *Desk) NameOf(by oplog.By) string                               { return "" }
func (d *Desk) Close()                                                  {}
