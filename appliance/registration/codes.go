package registration

// The lists below are short on purpose and ordered as pages show them. Labels are
// in ui/locale under registration.sex.*, .precision.*, .need.*, .relation.*,
// .document.* and .purpose.*.

// Sexes are the codes of Person.Sex.
func Sexes() []string { return []string{"female", "male", "other", "unknown"} }

// Precisions say how well a birth date or an age is known. "estimated" is somebody's
// guess; the others name the smallest part that is known.
func Precisions() []string { return []string{"day", "month", "year", "estimated"} }

// Needs are practical codes that help a worker hand out the right bed, ration or
// helper. They are the everyday part of what intake forms ask for: the six functional
// domains of the Washington Group Short Set (seeing, hearing, walking, remembering,
// self-care, communicating; https://hhot.cbm.org/en/card/washington-group-questions,
// read 2026-11-24) and who eats and sleeps differently (pregnant and breastfeeding women, infants,
// older people: https://spherestandards.org/handbook/), without any code on violence, trafficking,
// orientation, trauma, detention, or being alone as a child: those would tell a
// bystander why somebody is protected, and have sealed desks of their own.
func Needs() []string {
	return []string{
		"pregnant", "breastfeeding", "infant", "elderly", // who eats and sleeps differently
		"wheelchair", "walking", "seeing", "hearing", "speaking", "self_care", "memory", // what somebody cannot do alone
		"interpreter", "reading", // how to talk with them
		"diet", "allergy", // what they eat; the kind of diet is told in the notes, it would tell a religion
		"medication", "refrigerated_medicine", "oxygen", "power", // what must not stop
		"lower_bunk", "ground_floor", "near_toilet", "clothing", "bedding", "hygiene_kit", "animal",
	}
}

// Relations are the codes of a person's relation to the head of the household. Other
// short words are kept as written; Relation maps the usual ones onto these.
func Relations() []string {
	return []string{"head", "spouse", "child", "son", "daughter", "parent", "father", "mother", "sibling",
		"brother", "sister", "grandparent", "grandchild", "in_law", "uncle_aunt", "niece_nephew", "cousin",
		"foster_child", "other_relative", "other"}
}

// DocumentTypes are the codes of Document.Type that have a label.
func DocumentTypes() []string {
	return []string{"passport", "national_id", "birth_certificate", "family_book", "driving_licence", "residence_permit",
		"consular_id", "voter_card", "seafarer_book", "vaccination_card", "other"}
}

// Purposes are the codes of Consent.Purpose that have a label: to keep the record, to
// pass it on to somebody who helps, to count it without a name.
func Purposes() []string { return []string{"registration", "referral", "statistics"} }
