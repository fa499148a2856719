package ui

import "html/template"

// icons are drawn for Waypost on a grid of 24, with strokes of 2 in the colour of
// the text. They only ever stand beside a word.
var icons = map[string]string{
	"home":    `<path d="M3 11 12 4l9 7"/><path d="M6 9.5V20h12V9.5"/><path d="M10 20v-6h4v6"/>`,
	"add":     `<circle cx="9" cy="8" r="4"/><path d="M2.5 20c.5-4 3-6 6.5-6s6 2 6.5 6"/><path d="M19 7v6M16 10h6"/>`,
	"people":  `<circle cx="8.5" cy="8" r="3.5"/><path d="M2 20c.5-4 3-6 6.5-6s6 2 6.5 6"/><path d="M15 4.8a3.5 3.5 0 0 1 0 6.4"/><path d="M17.5 14.5c2.5.7 4 2.5 4.5 5.5"/>`,
	"search":  `<circle cx="10.5" cy="10.5" r="6.5"/><path d="m15.5 15.5 6 6"/>`,
	"check":   `<rect x="3" y="5" width="18" height="14" rx="2"/><path d="m8 12 3 3 5-6"/>`,
	"card":    `<rect x="3" y="5" width="18" height="14" rx="2"/><path d="M7 9h4v4H7zM14 9h4M14 12h4M7 16h11"/>`,
	"posts":   `<circle cx="12" cy="5" r="2.5"/><circle cx="5" cy="18" r="2.5"/><circle cx="19" cy="18" r="2.5"/><path d="m10.8 7.2-4.6 8.6M13.2 7.2l4.6 8.6M7.5 18h9"/>`,
	"staff":   `<rect x="5" y="3" width="14" height="18" rx="2"/><circle cx="12" cy="10" r="2.5"/><path d="M8.5 17c.4-2 1.7-3 3.5-3s3.1 1 3.5 3M10 3v2h4V3"/>`,
	"help":    `<circle cx="12" cy="12" r="9"/><path d="M9.2 9.5a2.8 2.8 0 1 1 4 2.6c-.8.4-1.2 1-1.2 1.9"/><path d="M12 17.2v.1"/>`,
	"print":   `<path d="M7 8V3h10v5M7 17H4V9h16v8h-3"/><path d="M7 14h10v7H7z"/>`,
	"plus":    `<path d="M12 5v14M5 12h14"/>`,
	"next":    `<path d="M5 12h14M13 6l6 6-6 6"/>`,
	"back":    `<path d="M19 12H5M11 6l-6 6 6 6"/>`,
	"warn":    `<path d="M12 3.5 22 20H2z"/><path d="M12 10v4.5M12 17.3v.1"/>`,
	"camera":  `<path d="M3 7h4l2-3h6l2 3h4v13H3z"/><circle cx="12" cy="13" r="4"/>`,
	"lock":    `<rect x="4" y="10" width="16" height="11" rx="2"/><path d="M8 10V7a4 4 0 0 1 8 0v3M12 14.5v2.5"/>`,
	"start":   `<path d="M6 21V4M6 5h11l-2.5 3.5L17 12H6"/>`,
	"join":    `<circle cx="6" cy="12" r="3"/><circle cx="18" cy="12" r="3"/><path d="M9 12h6"/>`,
	"try":     `<path d="M4 20h4L20 8l-4-4L4 16z"/><path d="m13 7 4 4"/>`,
	"female":  `<circle cx="12" cy="5" r="3"/><path d="M12 9.5 7.5 17h9z"/><path d="M10.5 17v4.5M13.5 17v4.5"/>`,
	"male":    `<circle cx="12" cy="5" r="3"/><path d="M8.5 10h7v6h-7z"/><path d="M10.5 16v5.5M13.5 16v5.5"/>`,
	"other":   `<circle cx="12" cy="5" r="3"/><path d="M12 9.5 8 13.5l4 4 4-4z"/><path d="M12 17.5v4"/>`,
	"phone":   `<rect x="7" y="2.5" width="10" height="19" rx="2"/><path d="M11 18.5h2"/>`,
	"globe":   `<circle cx="12" cy="12" r="9"/><path d="M3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18"/>`,
	"edit":    `<path d="M4 20h4L20 8l-4-4L4 16z"/><path d="m13 7 4 4"/>`,
	"backup":  `<path d="M4 13v7h16v-7"/><path d="M12 3v12M7 10l5 5 5-5"/>`,
	"history": `<circle cx="12" cy="12" r="9"/><path d="M12 7v5l3.5 2"/>`,
}

// directional icons point along the line of reading and are mirrored in
// right-to-left languages.
var directional = map[string]bool{"next": true, "back": true, "start": true}

// icon is an icon by name, hidden from screen readers. An unknown name panics: it
// is a mistake in a template, and the gallery renders all of them.
func icon(name string) template.HTML {
	shape, ok := icons[name]
	if !ok {
		panic("no icon " + name)
	}
	class := "i"
	if directional[name] {
		class = "i turn"
	}
	return template.HTML(`<svg class="` + class + `" viewBox="0 0 24 24" aria-hidden="true">` + shape + `</svg>`) //nolint:gosec // constants of this file
}

// mark is Waypost's sign: a post with two boards, one for each way.
func mark() template.HTML {
	return `<svg class="mark" viewBox="0 0 24 24" aria-hidden="true"><path fill="currentColor" d="M11 2h2v20h-2z"/>` +
		`<path fill="#f2b632" d="M4 4.5h12.5L20 8l-3.5 3.5H4z"/><path fill="currentColor" d="M20 13H8l-3.5 2.75L8 18.5h12z"/></svg>`
}

// shapes are the signs of a verdict. Each differs from the others in outline, not
// only in colour.
var shapes = map[string]template.HTML{
	"good": `<svg class="shape" viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="11" fill="currentColor"/><path d="m6.5 12.5 3.8 3.8 7.2-8.3" fill="none" stroke="var(--surface)" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round"/></svg>`,
	"warn": `<svg class="shape" viewBox="0 0 24 24" aria-hidden="true"><path d="M12 1.5 23.5 22H.5z" fill="currentColor"/><path d="M12 9v6M12 18.4v.1" fill="none" stroke="var(--surface)" stroke-width="2.6" stroke-linecap="round"/></svg>`,
	"bad":  `<svg class="shape" viewBox="0 0 24 24" aria-hidden="true"><path d="M7.5 1h9L23 7.5v9L16.5 23h-9L1 16.5v-9z" fill="currentColor"/><path d="m8 8 8 8M16 8l-8 8" fill="none" stroke="var(--surface)" stroke-width="2.6" stroke-linecap="round"/></svg>`,
}

func shape(name string) template.HTML {
	s, ok := shapes[name]
	if !ok {
		panic("no shape " + name)
	}
	return s
}
