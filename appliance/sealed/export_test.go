package sealed

import (
	"crypto/ecdh"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// TextsWithKeyOf opens a file with somebody's key and asks nobody whether they may.
func (d *Desk) TextsWithKeyOf(t testing.TB, s staff.Session, id oplog.ID) string {
	t.Helper()
	var out []string
	err := d.holding(s, func(mine *ecdh.PrivateKey, h held) error {
		payloads, err := d.payloads(id)
		if err != nil {
			return err
		}
		who, err := d.people()
		if err != nil {
			return err
		}
		if f := d.read(id, payloads, s.Actor, mine, h, nil, who); f != nil {
			for _, l := range f.public(s.Actor.ID, who).Lines {
				out = append(out, l.Text)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, "|")
}
