package control

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"North gate":                       "North gate",
		"بوابة الشمال":                     "بوابة الشمال",
		"می‌خواهم":                         "می‌خواهم", // keeps its joiner
		"\x1b[31mred\x1b[0m":               "red",
		"\x1b]0;title\x07gate":             "gate",
		"\x1b]52;c;aGk=\x1b\\gate":         "gate",
		"\x1bPq#0\x1b\\gate":               "gate",
		"\x1b(Bgate\x1bc":                  "gate",
		"\u009b2Jgate\u009d0;x\u009c!":     "gate!",
		"a\r\nb\tc":                        "a b c",
		"x\u202egnp.exe\u202c":             "xgnp.exe",
		"a\u2028b":                         "a b",
		"\xff\xfegate":                     "\ufffd\ufffdgate",
		"never ends \x1b]0;":               "never ends ",
		"\x1b":                             "",
		"\x1b[":                            "",
		"\x00\x07\x7f\u0085\u2066ok\u2069": "ok",
	} {
		if got := Plain(in); got != want {
			t.Errorf("Plain(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzPlain(f *testing.F) {
	for _, s := range []string{"\x1b[31mred", "\u009b\u009d", "a\x1b\x1b]b", "\xf0\x9f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Plain(s)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\x1b\n\r\t\x07\u009b\u202e") {
			t.Fatalf("%q -> %q", s, got)
		}
		if Plain(got) != got {
			t.Fatalf("%q is not plain yet", got)
		}
	})
}
