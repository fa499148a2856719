package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// versionInfo is the JSON of `waypost version --json`.
type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Time     string `json:"time"`     // of the revision, RFC 3339
	Modified bool   `json:"modified"` // built with changes no revision holds
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// buildVersion is what the Go toolchain wrote into this binary. A build outside
// version control has no revision and calls itself "devel".
func buildVersion() versionInfo {
	v := versionInfo{Version: "devel", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if m := info.Main.Version; m != "" && m != "(devel)" {
		v.Version = m
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

// version is the short form nodes tell each other.
func version() string { return buildVersion().Version }

func (a *app) versionVerb() *cobra.Command {
	v := a.verb("version", "version", func(context.Context, []string) error {
		b := buildVersion()
		if a.json {
			return a.printJSON(b)
		}
		parts := []string{"waypost " + b.Version}
		if len(b.Revision) >= 12 && !strings.Contains(b.Version, b.Revision[:12]) {
			parts = append(parts, b.Revision[:12])
		}
		a.println(strings.Join(append(parts, fmt.Sprintf("%s %s/%s", b.Go, b.OS, b.Arch)), " "))
		return nil
	})
	v.printsData()
	return v.Command
}
