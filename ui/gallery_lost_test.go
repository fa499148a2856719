package ui

import (
	"time"

	"github.com/waypost/waypost/appliance/control"
)

func galleryLost(s speaker) lostPage {
	m := lostPage{Boxes: []lostLine{
		lostLineOf(s.view, galleryIncident(s, "suspended").Incident.LostBox), lostLineOf(s.view, galleryIncident(s, "revoked").Incident.LostBox),
	}}
	for _, i := range []control.Issuer{
		{ID: "0a1b2c3d4e5f60718293", Sites: []string{"North gate"}, Own: true}, {ID: "1a1b2c3d4e5f60718293", Sites: []string{"الميناء"}, Words: 1},
		{ID: "2a1b2c3d4e5f60718293", Revoked: true}, {ID: "3a1b2c3d4e5f60718293", Sites: []string{"Clinic"}},
	} {
		m.Issuers = append(m.Issuers, issuerLineOf(s.view, i))
	}
	return m
}

func galleryIncident(s speaker, standing string) incidentPage {
	i := control.Incident{
		LostBox: control.LostBox{
			Node: galleryID(7).String(), Number: 3, Site: "Harbour", Standing: standing, Since: galleryTime.Add(-time.Hour), By: "Amina K.", At: "North gate",
			Known: []string{"North gate", "Clinic"}, Unheard: []string{"River post", "#4"}, MayLift: standing == "suspended", Asked: "Bo L.",
		},
		Areas: []uint16{0}, People: 4210, Registered: 612, Workers: []string{"Bea", "Omar"}, Contact: galleryTime.Add(-3 * time.Hour), Now: galleryTime, HeldBack: 2,
	}
	return incidentPage{
		Incident: i, lostLine: lostLineOf(s.view, i.LostBox), Shut: standing != "", MayRevoke: standing != "revoked", Agree: standing == "suspended",
	}
}

func galleryHeld(s speaker) heldPage {
	m := heldPage{Path: "/lost/x", Name: "Harbour", MayRelease: true}
	at := galleryTime
	for i, kind := range []string{"registration.registered", "tokens.issued", "staff.enrolled", "identity.node_named", "chunks.kept", ""} {
		o := control.HeldOp{Log: "0a0b", Seq: uint64(i + 9), Kind: kind, At: &at}
		m.Ops = append(m.Ops, heldOpLine{HeldOp: o, Text: heldText(s.view, kind), Chosen: i == 1})
	}
	return m
}
