package identity

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/waypost/waypost/appliance/fault"
)

// maxName is the longest name of a site or deployment, in characters.
const maxName = 64

// cleanName is NFC without space at the ends; ok is false for an empty or long
// name and for one with control characters.
func cleanName(name string) (clean string, ok bool) {
	if !utf8.ValidString(name) || len(name) > 16*maxName {
		return "", false
	}
	clean = strings.TrimSpace(norm.NFC.String(name))
	if clean == "" || utf8.RuneCountInString(clean) > maxName || strings.ContainsFunc(clean, unicode.IsControl) {
		return "", false
	}
	return clean, true
}

// CheckSite refuses a site name that Start or Accept would refuse, before
// anything else is done. Fault: Invalid "fault.identity.bad_site".
func CheckSite(name string) error {
	if _, ok := cleanName(name); !ok {
		return fault.New(fault.Invalid, "fault.identity.bad_site").With("site", "fault.identity.bad_site")
	}
	return nil
}

// CheckDeployment does the same for the name of an operation. Fault: Invalid
// "fault.identity.bad_deployment".
func CheckDeployment(name string) error {
	if _, ok := cleanName(name); !ok {
		return fault.New(fault.Invalid, "fault.identity.bad_deployment").With("deployment", "fault.identity.bad_deployment")
	}
	return nil
}
