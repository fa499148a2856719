package ui

import (
	"net/url"
	"testing"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/staff"
)

// The lead takes the warning about lost records away with their own passphrase, once
// every box was asked; nobody else does, and a phone left lying about is not enough.
func TestALeadSaysThatRecordsAreLost(t *testing.T) {
	box, s := newPageServer(t)
	box.losses = control.Losses{Lost: []control.Loss{{Log: "a", From: 3, To: 14, Ops: 12, Site: "Harbour"}}}
	signedInAs(t, box, s, "Rana", staff.Registrar).get("/losses").wants(403)

	b := signedInAs(t, box, s, "Amina", staff.Lead)
	b.get("/losses").wants(200, "12 records", "written at", "Harbour", "connect it to this one", "No box has them any more")
	b.post("/losses", url.Values{"passphrase": {"wrong wrong wrong"}}).wants(403, "12 records", "Problem:")
	b.get("/losses").wants(200, "12 records", "No box has them any more")
	b.post("/losses", url.Values{"passphrase": {testPassphrase}}).wants(200, "No record is missing", "Lost for good", "12 records")
	if len(box.losses.Lost) != 0 || len(box.losses.Accepted) != 1 {
		t.Errorf("%+v", box.losses)
	}
	b.get("/losses").wants(200).lacks("No box has them any more")
}
