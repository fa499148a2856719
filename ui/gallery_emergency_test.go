package ui

import "github.com/waypost/waypost/appliance/control"

// galleryEmergency is a box where nobody has decided anything and one is alone, one where
// somebody asked for more, or one where two people decided.
func galleryEmergency(s speaker, state string) emergencyModel {
	e := control.Emergency{Mode: "lock", Alone: true}
	switch state {
	case "asked":
		e = control.Emergency{Mode: "lock", Asked: "Amina K."}
	case "destroy":
		at := galleryTime
		e = control.Emergency{Mode: "destroy", By: "Amina K.", Second: "Bo L.", At: &at}
	}
	return emergencyOf(s.view, e)
}
