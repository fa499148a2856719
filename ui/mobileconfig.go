package ui

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"encoding/xml"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/fault"
)

// An iPhone or iPad takes the box's certificate as a configuration profile (Apple,
// "Configuration Profile Reference", 2019; payload com.apple.security.root). Nobody signs
// it: a signature would have to be one that the phone trusts already. Its names are those of
// the certificate, which tell of no operation and no place, and its identifiers follow from
// the certificate alone, so that the same one taken twice is one profile on the phone.

// profileType is what makes a phone offer to install it.
const profileType = "application/x-apple-aspen-config"

// phoneProfile hands it out, over plain HTTP too, as the certificate itself: what a phone
// got it compares by its fingerprint.
func phoneProfile(v *visit) error {
	block, _ := pem.Decode(v.s.config.Box.CA().PEM)
	if block == nil {
		return fault.New(fault.NotFound, "fault.api.not_found")
	}
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fault.New(fault.NotFound, "fault.api.not_found").Wrap(err)
	}
	v.c.Set(fiber.HeaderContentType, profileType)
	v.c.Set(fiber.HeaderContentDisposition, `attachment; filename="box.mobileconfig"`)
	return v.c.Send(profileOf(ca.Raw, ca.Subject.CommonName))
}

// profileOf is the profile of one certificate, in DER, called name: an XML property list.
func profileOf(der []byte, name string) []byte {
	whole, part := profileID("profile", der), profileID("root", der)
	var p plist
	p.WriteString(xml.Header + `<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n")
	p.WriteString(`<plist version="1.0">` + "\n<dict>\n<key>PayloadContent</key>\n<array>\n<dict>\n")
	p.text("PayloadCertificateFileName", "box.crt")
	p.WriteString("<key>PayloadContent</key>\n<data>" + base64.StdEncoding.EncodeToString(der) + "</data>\n")
	p.text("PayloadDisplayName", name)
	p.text("PayloadIdentifier", "local.box."+whole+".root")
	p.text("PayloadType", "com.apple.security.root")
	p.text("PayloadUUID", part)
	p.WriteString("<key>PayloadVersion</key>\n<integer>1</integer>\n</dict>\n</array>\n")
	p.text("PayloadDisplayName", name)
	p.text("PayloadIdentifier", "local.box."+whole)
	p.WriteString("<key>PayloadRemovalDisallowed</key>\n<false/>\n")
	p.text("PayloadType", "Configuration")
	p.text("PayloadUUID", whole)
	p.WriteString("<key>PayloadVersion</key>\n<integer>1</integer>\n</dict>\n</plist>\n")
	return p.Bytes()
}

// plist is a property list that is being written.
type plist struct{ bytes.Buffer }

func (p *plist) text(key, value string) {
	p.WriteString("<key>" + key + "</key>\n<string>")
	_ = xml.EscapeText(p, []byte(value)) // a buffer takes everything
	p.WriteString("</string>\n")
}

// profileID is a UUID (RFC 9562, version 8) that follows from a certificate.
func profileID(what string, der []byte) string {
	sum := sha256.Sum256(append([]byte("waypost/"+what+"/1"), der...))
	id := sum[:16]
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	h := strings.ToUpper(hex.EncodeToString(id))
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}
