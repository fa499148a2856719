package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/waypost/waypost/"

// plan says which packages of ours each package may import. A package that is
// not here has no place in the house; "main" may import everything. Tests may
// import more: they stand outside the house.
var plan = map[string][]string{
	"appliance/fault":           {},
	"appliance/clock":           {},
	"appliance/files":           {},
	"appliance/files/filestest": {"appliance/files"},
	"appliance/control":         {"appliance/fault"},
	"appliance/oplog":           {"appliance/clock", "appliance/fault", "appliance/files"},
	"appliance/oplog/oplogtest": {"appliance/oplog", "appliance/clock", "appliance/fault", "appliance/files"},
	"appliance/oplog/torture":   {}, // tests alone, over everything
	"appliance/badgerstore":     {"appliance/oplog", "appliance/fault"},
	"appliance/backup":          {"appliance/oplog", "appliance/identity", "appliance/clock", "appliance/fault", "appliance/files"},
	"appliance/bundle":          {"appliance/oplog", "appliance/identity", "appliance/fault", "appliance/files"},
	"appliance/letterbox":       {"appliance/oplog", "appliance/clock", "appliance/fault", "appliance/files"},
	"appliance/chunks":          {"appliance/clock", "appliance/fault", "appliance/files"},
	"appliance/identity":        {"appliance/oplog", "appliance/clock", "appliance/fault", "appliance/files"},
	"appliance/staff":           {"appliance/identity", "appliance/oplog", "appliance/clock", "appliance/fault"},
	"appliance/staff/stafftest": {},                               // a phone for the tests of passkeys
	"appliance/sealed":          {deskBase, "appliance/identity"}, // an issuer's word, and files of its own
	"appliance/registration":    {deskBase},
	"appliance/tokens":          {deskBase, "appliance/registration", "appliance/identity"},
	"appliance/places":          {deskBase, "appliance/tokens", "appliance/registration"},
	"appliance/distribution":    {deskBase, "appliance/tokens", "appliance/registration"},
	"appliance/protection":      {deskBase, "appliance/tokens", "appliance/registration", "appliance/identity"},
	"appliance/tracing":         {deskBase, "appliance/tokens", "appliance/registration", "appliance/identity"},
	"appliance/evacuation":      {deskBase, "appliance/tokens", "appliance/registration"},
	"appliance/bulletin":        {deskBase},
	"appliance/statistics":      {deskBase, desks},
	"appliance/station":         {desks, "appliance/chunks", "appliance/identity", "appliance/oplog", "appliance/clock", "appliance/fault"}, // hands the clock on, and opens on a full disk
	"appliance/box":             {"appliance/clock", "appliance/fault"},
	"mesh":                      {"appliance/oplog", "appliance/identity", "appliance/clock", "appliance/fault"},
	"mesh/meshtest":             {"mesh", "appliance/oplog", "appliance/oplog/oplogtest", "appliance/identity", "appliance/clock", "appliance/fault"},
	"ui/browser":                {}, // drives the real binary and may know nothing of it
	"ui":                        {"ui/locale", "appliance/station", desks, "appliance/identity", "appliance/control", "appliance/oplog", "appliance/clock", "appliance/fault"},
	"ui/locale":                 {},
	"tui":                       {"ui/locale", "appliance/control", "appliance/fault"},
}

// Names for several packages in plan.
const (
	deskBase = "what every desk may use"
	desks    = "every desk"
)

var groups = map[string][]string{
	deskBase: {"appliance/staff", "appliance/oplog", "appliance/chunks", "appliance/clock", "appliance/fault"},
	desks: {"appliance/staff", "appliance/registration", "appliance/sealed", "appliance/places", "appliance/tokens", "appliance/distribution", "appliance/protection",
		"appliance/tracing", "appliance/evacuation", "appliance/bulletin", "appliance/statistics"},
}

// technology names the one place each big dependency may appear in, so that it
// can be replaced there.
var technology = map[string]string{
	"github.com/gofiber/fiber":           "ui",
	"github.com/dgraph-io/badger":        "appliance/badgerstore",
	"github.com/hashicorp/memberlist":    "mesh",
	"github.com/charmbracelet/bubbletea": "tui",
	"github.com/charmbracelet/lipgloss":  "tui",
	"github.com/charmbracelet/bubbles":   "tui",
	"github.com/go-webauthn":             "appliance/staff",
}

// source is one parsed Go file of the project.
type source struct {
	dir, path string // relative to the top, with slashes
	test      bool
	file      *ast.File
}

// sources parses every Go file of the project.
func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	top := os.DirFS("..")
	err := fs.WalkDir(top, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (p == "data" || strings.HasPrefix(d.Name(), ".") && p != ".") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") || strings.Contains(p, "/testdata/") {
			return nil
		}
		raw, err := fs.ReadFile(top, p)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, raw, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		out = append(out, source{dir: path.Dir(p), path: p, test: strings.HasSuffix(p, "_test.go"), file: f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("found only %d files: looking in the wrong place", len(out))
	}
	return out
}

func imports(s source) (paths []string) {
	for _, i := range s.file.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		paths = append(paths, p)
	}
	return paths
}

// allowed unfolds the groups of a package's line in the plan.
func allowed(dir string) []string {
	var out []string
	for _, p := range plan[dir] {
		if g, ok := groups[p]; ok {
			out = append(out, g...)
		} else {
			out = append(out, p)
		}
	}
	return out
}

func TestImportsFollowThePlan(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.dir == "appliance" {
			continue
		}
		_, planned := plan[s.dir]
		if !planned && !strings.HasPrefix(s.dir, "scripts/") {
			t.Errorf("%s: package %s has no line in the plan", s.path, s.dir)
			continue
		}
		for _, p := range imports(s) {
			ours, is := strings.CutPrefix(p, module)
			if is && ours != s.dir && !slices.Contains(allowed(s.dir), ours) {
				t.Errorf("%s: %s may not import %s", s.path, s.dir, ours)
			}
		}
	}
}

func TestEachTechnologyHasOnePlace(t *testing.T) {
	for _, s := range sources(t) {
		for _, p := range imports(s) {
			for prefix, place := range technology {
				if (p == prefix || strings.HasPrefix(p, prefix+"/")) && s.dir != place && !strings.HasPrefix(s.dir, place+"/") {
					t.Errorf("%s: %s belongs to %s", s.path, p, place)
				}
			}
		}
	}
}

// Test helpers stay out of the binary, and nothing hides work in init.
func TestNoInitAndNoTestCodeInTheBinary(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: func init()", s.path)
			}
		}
		isHelper := strings.HasSuffix(s.dir, "test")
		for _, p := range imports(s) {
			if !s.test && !isHelper && (p == "testing" || strings.HasSuffix(p, "/oplogtest") || strings.HasSuffix(p, "/meshtest")) {
				t.Errorf("%s: imports %s outside a test", s.path, p)
			}
		}
	}
}

// Only clock reads the wall clock, so that every test can stand at any moment.
func TestOnlyClockReadsTheTime(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.dir == "appliance/clock" {
			continue
		}
		name := ""
		for _, i := range s.file.Imports {
			if i.Path.Value == `"time"` {
				name = "time"
				if i.Name != nil {
					name = i.Name.Name
				}
			}
		}
		if name == "" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == name && slices.Contains([]string{"Now", "Since", "Until"}, sel.Sel.Name) {
				t.Errorf("%s: reads the time with time.%s; take a clock.Clock", s.path, sel.Sel.Name)
			}
			return true
		})
	}
}

func TestFoldersHaveGoodNames(t *testing.T) {
	top := []string{"appliance", "mesh", "ui", "tui", "images", "scripts"}
	vague := []string{"utils", "util", "common", "types", "manager", "managers", "helper", "helpers", "misc", "shared"}
	err := filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || p == ".." {
			return err
		}
		if strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		rel, err := filepath.Rel("..", p)
		if err != nil {
			return err
		}
		if !strings.Contains(rel, string(filepath.Separator)) {
			// A data folder made by `make run` is ignored by git and by this test.
			if strings.HasPrefix(rel, "data") {
				return filepath.SkipDir
			}
			if !slices.Contains(top, rel) {
				t.Errorf("folder %s at the top", rel)
			}
		}
		if slices.Contains(vague, d.Name()) {
			t.Errorf("folder %s says nothing about what is in it", rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
