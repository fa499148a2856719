package ui

import (
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/control"
)

// A post is never called by nothing, and two of them never by the same.
func TestEveryPostIsCalledSomething(t *testing.T) {
	w := meshView(t, "en")
	plain := strings.NewReplacer(firstStrongIsolate, "", popIsolate, "")
	for _, tt := range []struct {
		p          control.Peer
		want, with string
	}{
		{control.Peer{Site: "Harbour", Number: 2}, "Harbour", "2"},
		{control.Peer{Site: "Partner house", Number: 3, Carries: true}, "Partner house", "3"},
		{control.Peer{Number: 4, Carries: true}, "Relay 4", ""},
		{control.Peer{Number: 5}, "Post 5", ""},
		{control.Peer{Node: "x"}, "A post without a name yet", ""},
	} {
		if got := plain.Replace(peerName(w, tt.p)); got != tt.want || numberBeside(tt.p.Site, tt.p.Number) != tt.with {
			t.Errorf("%+v is called %q, and beside it stands %q", tt.p, got, numberBeside(tt.p.Site, tt.p.Number))
		}
	}
	for name, want := range map[string]string{"Gate": "Gate", "": "A post without a name yet", "#7": "Post 7", "#": "#", "#0": "#0", "#70000": "#70000", "#2 gate": "#2 gate"} {
		if got := plain.Replace(siteName(w, name)); got != want {
			t.Errorf("%q is called %q, want %q", name, got, want)
		}
	}
}

// Nobody deals with a post that was shut out: it is no post that is missing.
func TestAShutOutPostIsNotMissing(t *testing.T) {
	w := meshView(t, "en")
	line := meshLineOf(w, control.Status{Peers: []control.Peer{{State: "connected"}, {State: "away", Standing: "revoked"}}})
	if got := strings.NewReplacer(firstStrongIsolate, "", popIsolate, "").Replace(line.Text); !strings.HasPrefix(got, "1 of 1 ") || line.Tone != "good" {
		t.Errorf("%q", got)
	}
	if line := meshLineOf(w, control.Status{Peers: []control.Peer{{State: "away", Standing: "suspended"}}}); line.Tone != "warn" || line.Safe != "" {
		t.Errorf("%+v", line)
	}
}

// Of each state that wants something the page of a post says what to do, and nothing of
// the others.
func TestAPostSaysWhatToDo(t *testing.T) {
	w := meshView(t, "en")
	for _, tt := range []struct {
		name string
		p    control.Peer
		open bool
		want string
	}{
		{"fine", control.Peer{State: "connected"}, true, ""},
		{"away", control.Peer{State: "away"}, true, "/mesh/find /carry"},
		{"locked", control.Peer{State: "connected", Locked: true}, true, "/openings"},
		{"locked, for somebody who opens none", control.Peer{State: "connected", Locked: true}, false, "/help/night"},
		{"a relay", control.Peer{State: "connected", Carries: true}, true, "/help/relay"},
		{"shut out", control.Peer{State: "away", Locked: true, Standing: "revoked"}, true, ""},
	} {
		var got []string
		for _, s := range nextSteps(w, tt.p, tt.open) {
			got = append(got, s.Path)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, got, tt.want)
		}
	}
}

// Why a box hears nobody stands on the page of the others, not on the first page alone.
func TestThePageOfOthersSaysWhyNobodyIsHeard(t *testing.T) {
	w := meshView(t, "en")
	m := meshPageOf(w, control.Status{Alerts: []control.Alert{{Key: "alert.backup_none"}, {Key: "alert.self_shut"}, {Key: "alert.mesh_off", Args: map[string]any{"Address": ":7946"}}}}, nil, true, meshRights{})
	if len(m.Alarms) != 2 || !strings.Contains(m.Alarms[0], "shut this one out") || !strings.Contains(m.Alarms[1], ":7946") {
		t.Errorf("%q", m.Alarms)
	}
}

// What is held back is told apart where it can be: somebody has to choose.
func TestHeldBackFactsAreToldApart(t *testing.T) {
	w := meshView(t, "en")
	seen := map[string]string{}
	for _, kind := range []string{"registration.registered", "registration.corrected", "registration.household_formed", "registration.later", "tokens.issued", "staff.named", "later.kind", ""} {
		text := heldText(w, kind)
		if other, twice := seen[text]; twice || strings.Contains(text, "lost.held") {
			t.Errorf("%q and %q are both %q", kind, other, text)
		}
		seen[text] = kind
	}
}

// On a sheet stand posts by name or number, and who said it, in the reader's language.
func TestASheetNamesWhoHasNotHeard(t *testing.T) {
	l := lostLineOf(meshView(t, "fr"), control.LostBox{Number: 3, Standing: "suspended", By: "operator", At: "#2", Unheard: []string{"River", "#4"}})
	plain := strings.NewReplacer(firstStrongIsolate, "", popIsolate, "")
	if got := plain.Replace(strings.Join(l.Waiting, "|")); got != "Poste 4|River" {
		t.Errorf("has not heard: %s", got)
	}
	if l.By == "operator" || plain.Replace(l.At) != "Poste 2" || plain.Replace(l.Name) != "Poste 3" {
		t.Errorf("%q at %q about %q", l.By, l.At, l.Name)
	}
}
