package ui

import (
	_ "embed"
	"encoding/pem"
	"slices"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
)

// openapi is the description of everything under /api/v1 and of /healthz. A test
// holds it against this table and against real answers.
//
//go:embed openapi.yaml
var openapi []byte

// maxIdempotencyKey is how long an Idempotency-Key may be, in bytes.
const maxIdempotencyKey = 200

// apiRoutes are the calls of the public contract.
func (s *Server) apiRoutes() []route {
	const v1 = "/api/v1"
	return append([]route{
		{method: "GET", path: "/healthz", policy: public(), where: onAll, handle: getHealth},
		{method: "GET", path: "/ca.pem", policy: public(), where: onPublic, handle: getCA},
		{method: "GET", path: "/ca.crt", policy: public(), where: onPublic, handle: getCADER},
		{method: "GET", path: v1 + "/openapi.yaml", policy: public(), where: onAPI, handle: getOpenAPI},
		{method: "POST", path: v1 + "/people", policy: need(staff.RegisterPeople), where: onAPI, handle: postPerson},
		{method: "GET", path: v1 + "/people", policy: need(staff.ReadPeople), where: onAPI, handle: getPeople},
		{method: "GET", path: v1 + "/people/:id", policy: need(staff.ReadPeople), where: onAPI, handle: getPerson},
		{method: "PATCH", path: v1 + "/people/:id", policy: need(staff.CorrectPeople), where: onAPI, handle: patchPerson},
		{method: "GET", path: v1 + "/people/:id/photo", policy: need(staff.ReadPeople), where: onAPI, handle: getPhoto},
		{method: "POST", path: v1 + "/uploads", policy: need(staff.RegisterPeople), where: onAPI, limit: uploadLimit, handle: postUpload},
		{method: "POST", path: v1 + "/households", policy: need(staff.RegisterPeople), where: onAPI, handle: postHousehold},
		{method: "GET", path: v1 + "/households/:id", policy: need(staff.ReadPeople), where: onAPI, handle: getHousehold},
		{method: "POST", path: v1 + "/people/:id/tokens", policy: need(staff.IssueTokens), where: onAPI, handle: postToken},
		{method: "GET", path: v1 + "/tokens/:id/qr.svg", policy: need(staff.IssueTokens), where: onAPI, handle: getQRSVG},
		{method: "GET", path: v1 + "/tokens/:id/qr.png", policy: need(staff.IssueTokens), where: onAPI, handle: getQRPNG},
		{method: "POST", path: v1 + "/tokens/verify", policy: need(staff.VerifyTokens), where: onAPI, handle: postVerify},
		{method: "POST", path: v1 + "/tokens/photo", policy: need(staff.VerifyTokens), where: onAPI, limit: photoLimit, handle: postPhoto},
		{method: "POST", path: v1 + "/lock", policy: signedIn(), where: onAPI, handle: postLock},
		{method: "GET", path: v1 + "/mesh", policy: need(staff.SeeMesh), where: onAPI, handle: getMesh},
		{method: "GET", path: v1 + "/events", policy: signedIn(), where: onAPI, stream: true, handle: getEvents},
	}, slices.Concat(s.eraseRoutes(), s.emergencyCalls(), s.lostAPI(), s.copyCalls())...)
}

// getHealth says the state of the box, to anybody and in every state.
func getHealth(v *visit) error {
	return v.json(fiber.StatusOK, map[string]string{"state": v.s.config.Box.State()})
}

// getCA gives out the box's certificate authority, for phones that shall trust it.
func getCA(v *visit) error {
	v.c.Set(fiber.HeaderContentType, "application/x-pem-file")
	return v.c.Send(v.s.config.Box.CA().PEM)
}

// getCADER is the same in the form and under the type that Android and iOS offer
// to install.
func getCADER(v *visit) error {
	block, _ := pem.Decode(v.s.config.Box.CA().PEM)
	if block == nil {
		return fault.New(fault.NotFound, "fault.api.not_found")
	}
	v.c.Set(fiber.HeaderContentType, "application/x-x509-ca-cert")
	return v.c.Send(block.Bytes)
}

func getOpenAPI(v *visit) error {
	v.c.Set(fiber.HeaderContentType, "application/yaml; charset=utf-8")
	return v.c.Send(openapi)
}
