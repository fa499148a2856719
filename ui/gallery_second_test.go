package ui

import (
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/sealed"
	"github.com/waypost/waypost/appliance/staff"
)

// handPictures are the pages of what two people do to a sealed file.
func handPictures() []picture {
	file := outModel{Path: "/desk/" + galleryID(33).String(), ID: fileNumber(galleryID(33).String())}
	act := func(n byte, by staff.ID, purpose string, args ...any) staff.Waiting {
		return staff.Waiting{ID: galleryID(n), By: by, ByName: "Mina H.", At: galleryTime, Act: staff.Act{Purpose: purpose, Args: append([]any{"File", galleryID(33).String(), "Desk", staff.NarrowProtection}, args...)}}
	}
	mina, me := staff.ID{1}, staff.ID{2}
	out := act(41, mina, sealed.HandPurpose, "To", "Court of appeal, نور", "Basis", "Order 17/2026\nof the court", "Unasked", "", "Recipient", "")
	byKey := act(41, mina, sealed.HandPurpose, "To", "Court of appeal", "Basis", "Order 17/2026", "Unasked", "She is in hospital, and article 9 allows it", "Recipient", "age1"+strings.Repeat("q", 58))
	end := act(42, mina, staff.EraseFilePurpose, "Reason", "Opened twice for the same person")
	receipt := sealed.Receipt{
		Number: galleryID(40), File: galleryID(33), To: "Court of appeal", Basis: "Order 17/2026", Unasked: "She is in hospital", At: galleryTime, First: "Mina H.", Second: "نور",
		Record: strings.Repeat("9f86d081", 8), Parcel: strings.Repeat("884c7d65", 8),
	}
	refused := func(v *view) *form {
		f := topOf("fault.sealed.out_invalid")(v)
		f.set("agreed", "yes")
		return f
	}
	line := func(s speaker, a staff.Waiting, me staff.ID) secondLine { return s.agreePage(a, me).secondLine }
	return []picture{
		{name: "out", page: "sealed/out", data: func(speaker) any { return file }},
		{name: "out-refused", page: "sealed/out", form: refused, data: func(speaker) any { return file }},
		{name: "file-end", page: "sealed/end", data: func(speaker) any { return file }},
		{name: "second", page: "sealed/second", data: func(s speaker) any {
			return secondPage{
				Waiting: []secondLine{line(s, out, me), line(s, end, mina)}, Done: true,
				Taking: []takingLine{{Path: "/second/x/take", ID: file.ID, To: "Court of appeal", Ready: true, Until: galleryTime.Add(30 * time.Minute)}},
			}
		}},
		{name: "second-empty", page: "sealed/second", data: func(speaker) any { return secondPage{} }},
		{name: "agree-out", page: "sealed/agree", data: func(s speaker) any { return s.agreePage(out, me) }},
		{name: "agree-out-key", page: "sealed/agree", data: func(s speaker) any { return s.agreePage(byKey, me) }},
		{name: "agree-own", page: "sealed/agree", data: func(s speaker) any { return s.agreePage(out, mina) }},
		{name: "agree-end", page: "sealed/agree", form: topOf("fault.staff.act_made"), data: func(s speaker) any { return s.agreePage(end, me) }},
		{name: "agreed-words", page: "sealed/agreed", frame: func(v *view) { v.NoSwitch = true }, data: func(speaker) any { return agreedPage{To: "Court of appeal", Words: wordList{Words: galleryWords}} }},
		{name: "agreed-key", page: "sealed/agreed", frame: func(v *view) { v.NoSwitch = true }, data: func(speaker) any { return agreedPage{To: "Court of appeal"} }},
		{name: "receipt", page: "sealed/receipt", data: func(speaker) any { return receiptPageOf(receipt) }},
		{name: "erasure-of-a-file", page: "erase/erasure", data: func(s speaker) any {
			return s.erasurePage(staff.Erasure{Person: galleryID(33), File: true, At: galleryTime, By: []string{"Mina H.", "Bo L."}, Trusted: true, Left: 70 * time.Hour}, map[oplog.ID]string{})
		}},
	}
}
