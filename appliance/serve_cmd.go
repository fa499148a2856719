package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/control"
)

// serveVerb runs the node until it is stopped.
func (a *app) serveVerb() *cobra.Command {
	var o serveOptions
	var discover string
	v := a.verb("serve", "serve", func(ctx context.Context, _ []string) error {
		if o.Log != "json" && o.Log != "text" {
			return usage("cli.usage.flag_value", "Flag", "--log", "Value", o.Log)
		}
		if o.Link != "" && o.Link != control.LinkUsual && o.Link != control.LinkLow {
			return usage("cli.usage.flag_value", "Flag", "--link", "Value", o.Link)
		}
		if discover != "" {
			on, err := strconv.ParseBool(discover)
			if err != nil {
				return usage("cli.usage.flag_value", "Flag", "--discover", "Value", discover)
			}
			o.Discover = &on
		}
		o.Data = a.data
		return runServe(ctx, o, a.out, a.err)
	})
	v.str(&o.HTTP, "http", "ADDR", "127.0.0.1:8080")
	v.str(&o.HTTPS, "https", "ADDR", ":8443")
	v.str(&o.Mesh, "mesh", "ADDR", ":7946")
	v.str(&o.Advertise, "advertise", "ADDR", "")
	v.str(&o.Link, "link", "usual|low", "")
	v.str(&discover, "discover", "true|false", "")
	o.Opener.flags(v)
	v.str(&o.Log, "log", "json|text", "text")
	return v.Command
}
