package identity

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
)

func someShares(t testing.TB) ([]Share, []byte) {
	t.Helper()
	seed := seeded(7).Seed()
	shares, err := splitRoot(sheetOf(seed).Deployment(), seed)
	if err != nil {
		t.Fatal(err)
	}
	return shares, seed
}

func TestAnyThreeSharesBringTheRootBack(t *testing.T) {
	shares, seed := someShares(t)
	if len(shares) != 5 {
		t.Fatalf("%d shares", len(shares))
	}
	for i := range 5 {
		for j := range i {
			_, err := JoinShares([]Share{shares[i], shares[j]})
			wantFault(t, err, fault.Invalid, "fault.identity.shares_few")
			for k := range j {
				sheet, err := JoinShares([]Share{shares[i], shares[j], shares[k]})
				if err != nil || !bytes.Equal(sheet.Seed, seed) {
					t.Fatalf("%d %d %d: %v", i, j, k, err)
				}
			}
		}
	}
	if sheet, err := JoinShares(shares); err != nil || !bytes.Equal(sheet.Seed, seed) {
		t.Fatal(err)
	}
	// Two, and a third that is made up, give nothing.
	guess := shares[2]
	guess.value = shares[3].value
	_, err := JoinShares([]Share{shares[0], shares[1], guess})
	wantFault(t, err, fault.Invalid, "fault.identity.shares_wrong")
	// Among four the wrong one does no harm.
	if _, err := JoinShares([]Share{shares[0], shares[1], guess, shares[4]}); err != nil {
		t.Fatal(err)
	}
}

func TestSharesThatDoNotBelongTogether(t *testing.T) {
	shares, seed := someShares(t)
	again, err := splitRoot(sheetOf(seed).Deployment(), seed)
	must(t, err)
	again[2].set = [2]byte{shares[2].set[0] + 1, 0}
	other := seeded(8).Seed()
	elsewhere, err := splitRoot(sheetOf(other).Deployment(), other)
	must(t, err)
	for key, three := range map[string][]Share{
		"fault.identity.shares_set":        {shares[0], shares[1], again[2]},
		"fault.identity.shares_deployment": {shares[0], elsewhere[1], shares[2]},
		"fault.identity.shares_same":       {shares[0], shares[1], shares[1]},
		"fault.identity.shares_few":        {shares[0]},
	} {
		_, err := JoinShares(three)
		wantFault(t, err, fault.Invalid, key)
	}
	_, err = JoinShares(nil)
	wantFault(t, err, fault.Invalid, "fault.identity.shares_few")
}

// However it is typed or scanned, it is the same share; a slip is found in its line.
func TestASharesTyping(t *testing.T) {
	shares, _ := someShares(t)
	s := shares[3]
	lines := s.Lines()
	if len(lines) != 9 || len(lines[0]) != 24 {
		t.Fatal(lines)
	}
	for what, text := range map[string]string{
		"as printed": strings.Join(lines, "\n"), "file": string(s.File()), "code": s.Code(), "lower": strings.ToLower(strings.Join(lines, "\r\n")),
		"no dashes":    strings.ReplaceAll(strings.Join(lines, "\n"), "-", " "),
		"numbered":     "1) " + strings.Join(lines, "\n. "),
		"letters":      strings.NewReplacer("0", "o", "1", "l").Replace(strings.ToLower(s.Code()[8:])),
		"other dashes": strings.ReplaceAll(strings.Join(lines, "\n\n"), "-", "–"),
		"said before":  "For whoever finds this\n" + string(s.File()),
	} {
		if got, err := ParseShare(text); err != nil || got != s {
			t.Errorf("%s: %v", what, err)
		}
	}
	for n, l := range lines {
		bad := append([]string{}, lines...)
		flipped := []byte(l)
		flipped[6] = map[bool]byte{true: 'B', false: 'A'}[flipped[6] == 'A']
		bad[n] = string(flipped)
		wantLine(t, strings.Join(bad, "\n"), "fault.identity.paper_line", n+1)
		bad[n] = l[:len(l)-1]
		wantLine(t, strings.Join(bad, "\n"), "fault.identity.paper_line", n+1)
		if n > 0 {
			bad[n], bad[n-1] = lines[n-1], lines[n]
			wantLine(t, strings.Join(bad, "\n"), "fault.identity.paper_line", n)
			wantLine(t, strings.Join(lines[:n], "\n"), "fault.identity.paper_missing", n+1)
		}
	}
	wantLine(t, strings.Join(append(lines, lines[0]), "\n"), "fault.identity.paper_long", 9)
	for key, text := range map[string]string{
		"fault.identity.paper_none":    "",
		"fault.identity.paper_other":   sheetOf(seeded(7).Seed()).Code(),
		"fault.identity.share_version": strings.Join(paperLines(markShare, append([]byte{9}, s.content()[1:]...)), "\n"),
	} {
		_, err := ParseShare(text)
		wantFault(t, err, fault.Invalid, key)
	}
	_, err := ParseShare(strings.Repeat("A", maxPaper+1))
	wantFault(t, err, fault.Invalid, "fault.identity.paper_none")
}

func wantLine(t *testing.T, text, key string, line int) {
	t.Helper()
	_, err := ParseShare(text)
	wantFault(t, err, fault.Invalid, key)
	if got := fault.Of(err).Args["Line"]; got != line {
		t.Fatalf("%s names line %v, want %d", key, got, line)
	}
}

// The papers of 2026 must be readable for ever.
func TestPaperFormats(t *testing.T) {
	s := Share{Number: 4, deployment: [6]byte{1, 2, 3, 4, 5, 6}, set: [2]byte{7, 8}}
	copy(s.sealed[:], bytes.Repeat([]byte{0xA5}, len(s.sealed)))
	s.value[0] = 9
	sheet := sheetOf(seeded(7).Seed())
	f := issuerFile{Magic: issuerMagic, Deployment: [16]byte{1}, Number: 2, Passes: 3, KiB: 65536, Sealed: []byte{1, 2, 3}}
	got := string(s.File()) + s.Code() + "\n" + sheet.Code() + "\n" + strings.Join(sheet.CheckWords(), " ") + "\n" + hex.EncodeToString(encode(f)) + "\n"
	var h CeremonyHeld
	h.Serial, h.Variant, h.Issuers, h.Shares, h.At = 1, CeremonyFull, [][]byte{{1}}, [][32]byte{{2}}, 3
	h.sign(sheet.Deployment(), seeded(7))
	got += hex.EncodeToString(encode(h)) + "\n"
	path := filepath.Join("testdata", "papers.txt")
	if *update {
		must(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if got != string(want) {
		t.Fatalf("the papers changed:\n%s", got)
	}
	back, err := ParseShare(string(s.File()))
	if err != nil || back != s {
		t.Fatal(err)
	}
}

func TestAPrintedSheetReadsBack(t *testing.T) {
	s := sheetOf(seeded(7).Seed())
	for _, text := range []string{s.Code(), strings.Join(s.Lines(), "\n"), "WPROOT1\n" + strings.ToLower(strings.Join(s.Lines(), "\n"))} {
		back, err := ParseRootSheet([]byte(text))
		if err != nil || !bytes.Equal(back.Seed, s.Seed) || !back.Root.Equal(s.Root) {
			t.Fatal(err)
		}
	}
	lines := s.Lines()
	lines[2] = "AAAA" + lines[2][4:]
	_, err := ParseRootSheet([]byte(strings.Join(lines, "\n")))
	wantFault(t, err, fault.Invalid, "fault.identity.paper_line")
	wrong := paperLines(markSheet, append(s.content()[:38:38], 0, 1))
	_, err = ParseRootSheet([]byte(strings.Join(wrong, "\n")))
	wantFault(t, err, fault.Invalid, "fault.identity.bad_root_sheet")
}

func TestSharesStayOutOfLogs(t *testing.T) {
	shares, _ := someShares(t)
	for _, format := range []string{"%v", "%+v", "%s", "%#v"} {
		if got := fmt.Sprintf(format, shares[0]); got != "share" {
			t.Errorf("%s prints %q", format, got)
		}
	}
	n := NewIssuer{Number: 2, Words: []string{"secret"}}
	if got := fmt.Sprintf("%+v %#v", n, n); strings.Contains(got, "secret") {
		t.Error(got)
	}
}

func FuzzParseShare(f *testing.F) {
	shares, _ := someShares(f)
	f.Add(shares[0].Code())
	f.Add(string(shares[1].File()))
	f.Add("1: AAAA")
	f.Fuzz(func(t *testing.T, in string) {
		s, err := ParseShare(in)
		if err != nil {
			return
		}
		if again, err := ParseShare(s.Code()); err != nil || again != s {
			t.Fatal("two spellings")
		}
		_, _ = JoinShares([]Share{s, shares[1], shares[2]})
	})
}

func FuzzIssuerFile(f *testing.F) {
	made, err := NewIssuerFrom(sheetOf(seeded(7).Seed()), 2, noon(), TestCost())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(made.File)
	f.Fuzz(func(t *testing.T, in []byte) {
		if file, err := parseIssuerFile(in); err == nil && !bytes.Equal(encode(file), in) {
			t.Fatal("two spellings")
		}
	})
}
