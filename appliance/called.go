package main

import (
	"strconv"
	"strings"

	"github.com/waypost/waypost/appliance/control"
)

// postName is what a post is called here: its site, else its kind and number. A relay's
// name never arrives.
func (a *app) postName(site string, number uint16, carries bool) string {
	switch {
	case site != "":
		return control.Plain(site)
	case number == 0:
		return a.say("mesh.no_name")
	case carries:
		return a.say("mesh.relay_called", "Number", strconv.Itoa(int(number)))
	}
	return a.say("mesh.post_called", "Number", strconv.Itoa(int(number)))
}

func (a *app) peerName(p control.Peer) string { return a.postName(p.Site, p.Number, p.Carries) }

// called is what a node is called where no language is known: its site, else "#" and its
// number. Pages put a word in place of the "#".
func called(site string, number uint16) string {
	if site != "" {
		return site
	}
	return "#" + strconv.Itoa(int(number))
}

// called says a list of such names in the person's language.
func (a *app) called(names []string) string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = control.Plain(name)
		if digits, ok := strings.CutPrefix(name, "#"); ok {
			if n, err := strconv.ParseUint(digits, 10, 16); err == nil {
				out[i] = a.postName("", uint16(n), false)
			}
		}
	}
	return strings.Join(out, ", ")
}
