//go:build firstlight

// Package station is the list of desks of one node.
package station

import (
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/tokens"
)

// Station is every desk of an open node. Its fields never change after it was
// made; the desks are safe for concurrent use.
type Station struct {
	Staff        *staff.Desk
	Registration *registration.Desk
	Tokens       *tokens.Desk
	Identity     *identity.Desk
}
