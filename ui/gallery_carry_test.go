package ui

import "github.com/waypost/waypost/appliance/control"

func galleryCarry(speaker) carryPage {
	return carryPage{
		Posts:  []carryPost{{"2", "Harbour"}, {"3", "الميناء"}},
		Places: []placeLine{{Folder: "/media/amina/STICK", File: "/media/amina/STICK", Name: "STICK", Free: "12 GB"}},
		Files:  []carryFile{{File: "/media/amina/STICK/data-7f3a91.bin", Name: "data-7f3a91.bin", Size: "41.2 MB"}},
		Read:   &control.BundleRead{From: "x", Number: 2, Ops: 8000, OpsOf: 12000, New: 7400, People: 3120, HeldBack: 4, NewPieces: 12, Pieces: 12, Refused: 1},
		Answer: "2", From: "Harbour",
	}
}

// carryPictures are a file that did not arrive whole, and one in which there is nothing.
func carryPictures() []picture {
	return []picture{
		{name: "carry-broke", page: "carry/carry", data: func(s speaker) any {
			m := galleryCarry(s)
			m.Read, m.Answer, m.Broke, m.Failed = nil, "", true, s.T("fault.bundle.cut", "Read", 80, "Of", 120)
			return m
		}},
		{name: "carry-nothing", page: "carry/carry", data: func(s speaker) any {
			m := galleryCarry(s)
			m.Read, m.Answer, m.Written, m.Empty = nil, "", &control.BundleWritten{For: "2"}, true
			return m
		}},
	}
}
