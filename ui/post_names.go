package ui

import (
	"strconv"
	"strings"

	"github.com/waypost/waypost/appliance/control"
)

// What a post is called. A relay's name never arrives, because it cannot write what others
// read, and a relay reads nobody's: then its number is its name.

// postName is the site of a post, else its kind and number.
func postName(w *view, site string, number uint16, carries bool) string {
	switch {
	case site != "":
		return site
	case number == 0:
		return w.T("mesh.no_name")
	case carries:
		return w.T("mesh.relay_called", "Number", strconv.Itoa(int(number)))
	}
	return w.T("mesh.post_called", "Number", strconv.Itoa(int(number)))
}

// numberBeside is the number that stands beside the name of a post; empty where it is the
// name.
func numberBeside(site string, number uint16) string {
	if site == "" {
		return ""
	}
	return strconv.Itoa(int(number))
}

func peerName(w *view, p control.Peer) string { return postName(w, p.Site, p.Number, p.Carries) }

// compareName is empty for a post of which nothing but its id is known.
func compareName(w *view, p control.Peer) string {
	if p.Site == "" && p.Number == 0 {
		return ""
	}
	return peerName(w, p)
}

// siteName says something for a post whose name has not arrived yet. A name that is "#" and
// a number is one of control.LostBox.
func siteName(w *view, name string) string {
	if digits, ok := strings.CutPrefix(name, "#"); ok {
		if n, err := strconv.ParseUint(digits, 10, 16); err == nil && n > 0 {
			return postName(w, "", uint16(n), false)
		}
	}
	return postName(w, name, 0, false)
}
