package ui

import "github.com/waypost/waypost/appliance/control"

// galleryEmergency is a box where nobody has decided anything and one is alone, or one where
// two people have.
func galleryEmergency(s speaker, mode string) emergencyModel {
	if mode == "lock" {
		return emergencyOf(s.view, control.Emergency{Mode: mode, Alone: true, Stick: true})
	}
	at := galleryTime
	return emergencyOf(s.view, control.Emergency{Mode: mode, By: "Amina K.", Second: "Bo L.", At: &at, Asked: "Amina K.", Stick: true})
}
