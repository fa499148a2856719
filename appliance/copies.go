package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/control"
)

// copiesVerb says what would be lost with a running node, and who holds what since when.
func (a *app) copiesVerb() *cobra.Command {
	v := a.verb("copies", "copies", func(ctx context.Context, _ []string) error {
		g, err := a.node().Gone(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(g)
		}
		s, err := a.node().Status(ctx) // its clock, to say how long ago something was
		if err != nil {
			return err
		}
		a.printGone(g, s.Clock.Now)
		return nil
	})
	v.printsData()
	return v.Command
}

func (a *app) printGone(g control.Gone, now time.Time) {
	if g.Facts == 0 && g.Letters == 0 {
		a.println(a.say("cli.copies.nothing"))
	} else {
		a.println(a.say("cli.copies.counts", "Facts", g.Facts, "People", g.People, "Changed", g.Changed,
			"Households", g.Households, "Cards", g.Cards, "Photos", g.Photos, "Letters", g.Letters))
		if c := g.Closest; c != nil {
			heard := time.Time{}
			if c.Heard != nil {
				heard = *c.Heard
			}
			a.println(a.say("cli.copies.closest", "Site", a.postName(c.Site, c.Number, c.Carries), "Ago", a.ago(now, heard)))
		}
	}
	a.println(a.say("cli.copies.photos"))
	a.println("")
	t := a.table("cli.copies.from", "cli.copies.facts", "cli.copies.only", "cli.copies.held")
	for _, l := range g.Logs {
		var held []string
		for _, c := range l.Copies {
			since := "?"
			if c.Since != nil {
				since = minute(*c.Since)
			}
			held = append(held, a.postName(c.Site, c.Number, c.Carries)+" "+since)
		}
		t.row(a.postName(l.Site, l.Number, l.Carries), strconv.FormatUint(l.Facts, 10), strconv.FormatUint(l.OnlyHere, 10), strings.Join(held, ", "))
	}
	t.print(a.out)
}
