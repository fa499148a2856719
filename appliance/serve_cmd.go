package main

import (
	"context"

	"github.com/spf13/cobra"
)

// serveVerb runs the node until it is stopped.
func (a *app) serveVerb() *cobra.Command {
	var o serveOptions
	v := a.verb("serve", "serve", func(ctx context.Context, _ []string) error {
		if o.Log != "json" && o.Log != "text" {
			return usage("cli.usage.flag_value", "Flag", "--log", "Value", o.Log)
		}
		o.Data = a.data
		return runServe(ctx, o, a.out, a.err)
	})
	v.str(&o.HTTP, "http", "ADDR", "127.0.0.1:8080")
	v.str(&o.HTTPS, "https", "ADDR", ":8443")
	v.str(&o.Mesh, "mesh", "ADDR", ":7946")
	v.str(&o.Advertise, "advertise", "ADDR", "")
	o.Opener.flags(v)
	v.str(&o.Log, "log", "json|text", "text")
	return v.Command
}
