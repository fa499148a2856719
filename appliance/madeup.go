package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/waypost/waypost/appliance/registration"
)

// writeMadeUp writes about n made-up people as an import file, for the demo: the
// same road a real list takes.
func writeMadeUp(w io.Writer, n int, seed uint64) error {
	out := csv.NewWriter(w)
	header := []string{"id", "household", "relation", "given_name", "family_name", "sex", "age", "nationality", "languages", "phone", "needs", "father_name", "origin"}
	if err := out.Write(header); err != nil {
		return err
	}
	row := 0
	for h, household := range registration.MadeUp(n, seed) {
		for m, p := range household.Members {
			row++
			relation, age := "", ""
			if m < len(household.Relations) {
				relation = household.Relations[m]
			}
			if p.Age != nil {
				age = strconv.Itoa(*p.Age)
			}
			if err := out.Write([]string{
				strconv.Itoa(row), fmt.Sprintf("H%d", h+1), relation, p.GivenName, p.FamilyName, string(p.Sex), age,
				p.Nationality, strings.Join(p.Languages, " "), p.Phone, strings.Join(p.Needs, " "), p.FatherName, p.Origin,
			}); err != nil {
				return err
			}
		}
	}
	out.Flush()
	return out.Error()
}
