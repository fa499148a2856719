package registration

import (
	"fmt"
	"math/rand/v2"
)

// MadeUp returns households of about n made-up people, for practice and for showing
// what Waypost looks like when it is full. Nobody in them exists. The same n and seed
// give the same people.
// The name lists were written by hand for this purpose and are CC0.
func MadeUp(n int, seed uint64) []NewHousehold {
	m := maker{rand.New(rand.NewPCG(seed, 0x77617970_6f737421))}
	var out []NewHousehold
	for made := 0; made < n; {
		h := m.household(min(n-made, 7))
		made += len(h.Members)
		out = append(out, h)
	}
	return out
}

// maker draws people.
type maker struct{ r *rand.Rand }

func (m maker) pick(list []string) string { return list[m.r.IntN(len(list))] }

// chance is true in percent of 100 cases.
func (m maker) chance(percent int) bool { return m.r.IntN(100) < percent }

// household draws at most room people of one origin: some on their own, couples,
// parents with children, now and then a grandmother.
func (m maker) household(room int) NewHousehold {
	o := origins[m.r.IntN(len(origins))]
	family, from := m.pick(o.families), m.pick(o.places)
	var h NewHousehold
	add := func(relation, sex string, age int, father, mother string) string {
		if len(h.Members) >= room {
			return ""
		}
		p := m.person(o, sex, age, family, father, mother)
		p.Origin = from
		h.Members, h.Relations = append(h.Members, p), append(h.Relations, relation)
		return p.GivenName
	}
	headSex := m.sex()
	headAge := 19 + m.r.IntN(45)
	head := add("head", headSex, headAge, "", "")
	father, mother := head, ""
	if headSex == "female" {
		father, mother = "", head
	}
	if m.chance(55) {
		age := max(18, headAge-5+m.r.IntN(9))
		if headSex == "male" {
			mother = add("spouse", "female", age, "", "")
		} else {
			father = add("spouse", "male", age, "", "")
		}
	}
	if m.chance(65) {
		for range 1 + m.r.IntN(4) {
			sex, relation := m.sex(), "daughter"
			if sex == "male" {
				relation = "son"
			}
			add(relation, sex, m.r.IntN(max(1, min(18, headAge-17))), father, mother)
		}
	}
	if m.chance(12) {
		add("parent", "female", headAge+20+m.r.IntN(12), "", "")
	}
	h.Members[0].Phone = fmt.Sprintf("%s %03d %04d", o.dial, m.r.IntN(1000), m.r.IntN(10000))
	return h
}

func (m maker) sex() string {
	if m.chance(53) {
		return "female"
	}
	return "male"
}

// person draws one person of an origin.
func (m maker) person(o origin, sex string, age int, family, father, mother string) Person {
	given := m.pick(o.female)
	if sex == "male" {
		given = m.pick(o.male)
	}
	p := Person{
		GivenName: given, FamilyName: family, Sex: sex, Age: &age, Precision: "year", Nationality: o.nationality,
		Languages: o.languages, FatherName: father, MotherName: mother,
	}
	if o.oneName {
		p.FamilyName = ""
	}
	if m.chance(15) {
		p.Precision = "estimated"
	}
	p.Needs = m.needs(sex, age)
	if m.chance(30) && age > 15 {
		kind := "national_id"
		if m.chance(40) {
			kind = "passport"
		}
		p.Documents = []Document{{Type: kind, Number: fmt.Sprintf("%s%07d", "TEST", m.r.IntN(1e7)), Issuer: o.nationality}}
	}
	return p
}

// needs draws what fits the age.
func (m maker) needs(sex string, age int) []string {
	var out []string
	if sex == "female" && age >= 18 && age < 42 && m.chance(8) {
		out = append(out, "pregnant")
	}
	if age < 2 {
		out = append(out, "infant")
	}
	if age >= 65 {
		out = append(out, "elderly")
		if m.chance(40) {
			out = append(out, "lower_bunk")
		}
	}
	if m.chance(4) {
		out = append(out, "medication")
	}
	if m.chance(3) {
		out = append(out, "diet")
	}
	if m.chance(2) {
		out = append(out, "wheelchair")
	}
	if age > 15 && m.chance(20) {
		out = append(out, "interpreter")
	}
	return out
}
