package registration

import (
	"reflect"
	"slices"
)

// register is the smallest part of a person that is corrected and can be in conflict
// as one. Birth date, age and precision only make sense together, so they are one
// register; all others hold one field. Numbers are stored in corrections and are
// never used again for something else.
type register uint8

const (
	regGiven register = iota + 1
	regFamily
	regOther
	regSex
	regBirth
	regNationality
	regLanguages
	regPhone
	regDocuments
	regFather
	regMother
	regOrigin
	regDestination
	regArrived
	regNeeds
	regConsent
	regNotes
	regUnknown
	regDescription
	regSite
	regHousehold // who belongs with whom; set by registered and joined, never by corrected
	regPhoto     // set by photographed alone
	registers    // how many, plus one
)

// field ties a public field name to its register and its place in Person.
type field struct {
	name  string
	reg   register
	index int // of the struct field in Person; -1 for the household ones
}

// fields lists all fields in the order of the contract.
func fields() []field { return fieldTable[:] }

var fieldTable = [...]field{
	{"given_name", regGiven, 0}, {"family_name", regFamily, 1}, {"other_names", regOther, 2}, {"sex", regSex, 3},
	{"birth_date", regBirth, 4}, {"age", regBirth, 5}, {"precision", regBirth, 6}, {"age_at", regBirth, 7},
	{"nationality", regNationality, 8}, {"languages", regLanguages, 9}, {"phone", regPhone, 10}, {"documents", regDocuments, 11},
	{"father_name", regFather, 12}, {"mother_name", regMother, 13}, {"origin", regOrigin, 14}, {"destination", regDestination, 15},
	{"arrived_at", regArrived, 16}, {"needs", regNeeds, 17}, {"consent", regConsent, 18}, {"notes", regNotes, 19},
	{"name_unknown", regUnknown, 20}, {"description", regDescription, 21}, {"site", regSite, 22},
}

func fieldNamed(name string) (field, bool) {
	for _, f := range fieldTable {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

func isField(name string) bool {
	_, ok := fieldNamed(name)
	return ok
}

func (f field) of(p *Person) reflect.Value { return reflect.ValueOf(p).Elem().Field(f.index) }

// value is the field for a JSON answer, nil when nothing was said.
func (f field) value(p *Person) any {
	v := f.of(p)
	if v.IsZero() {
		return nil
	}
	return v.Interface()
}

func clearField(p *Person, name string) {
	if f, ok := fieldNamed(name); ok {
		f.of(p).SetZero()
	}
}

// copyRegister takes the fields of one register over from src. The copy shares
// slices with src, which nobody changes.
func copyRegister(dst, src *Person, r register) {
	for _, f := range fieldTable {
		if f.reg == r {
			f.of(dst).Set(f.of(src))
		}
	}
}

// sameRegister compares what two people say in one register. Nil and empty lists
// are the same; the day an age was true counts only together with the age.
func sameRegister(a, b *Person, r register) bool {
	switch r {
	case regLanguages:
		return slices.Equal(a.Languages, b.Languages)
	case regNeeds:
		return slices.Equal(a.Needs, b.Needs)
	case regDocuments:
		return slices.Equal(a.Documents, b.Documents)
	case regConsent:
		return slices.Equal(a.Consent, b.Consent)
	case regBirth:
		return a.BirthDate == b.BirthDate && a.Precision == b.Precision && sameAge(a, b)
	}
	for _, f := range fieldTable {
		if f.reg == r && f.of(a).Interface() != f.of(b).Interface() {
			return false
		}
	}
	return true
}

func sameAge(a, b *Person) bool {
	if a.Age == nil || b.Age == nil {
		return a.Age == nil && b.Age == nil
	}
	return *a.Age == *b.Age && a.AgeAt == b.AgeAt
}

// sameField compares one public field of two people.
func sameField(a, b *Person, f field) bool {
	return reflect.DeepEqual(f.value(a), f.value(b))
}
