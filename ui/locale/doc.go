// Package locale holds every sentence a person can read, in every language
// Waypost speaks, and picks the right one.
//
// # Files
//
// One folder per language, one flat JSON file per package that says something:
// <lang>/<package>.json maps a key to a sentence, or to its plural forms by CLDR
// category ("one", "two", "few", …, "other") as go-i18n reads them. A sentence
// names its values as {{.Name}}; {{.Count}} also selects the plural form. Keys
// are unique over all files. The key of a fault has a twin ending in ".hint"
// that says what to do now.
//
// English is the source: every other language has exactly its keys, and every
// sentence exactly its values. The tests of this package hold that for the files
// of all packages.
//
// # Numbers
//
// Counts, ids, typed codes and phone numbers are always written in Latin digits,
// so that what is on the screen, on the card and on paper compares digit by digit
// (CLDR's -u-nu-latn). The pages isolate them with <bdi>.
//
// # Names of countries and languages
//
// names.json has them under country.<ISO 3166-1 alpha-3> and language.<BCP 47>, as
// CLDR (Unicode License V3) gives them through Intl.DisplayNames of Chromium 156; the
// uninhabited territories are left out, and the Mayan, Karen and other languages
// that CLDR has no name for are ours, as are country.XXA (stateless) and country.XXX
// (not known) of ICAO Doc 9303.
//
// The package is a leaf: pages, dashboard and command line import it.
package locale
