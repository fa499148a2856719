package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/control"
)

// statusVerb says how a running node is.
func (a *app) statusVerb() *cobra.Command {
	v := a.verb("status", "status", func(ctx context.Context, _ []string) error {
		s, err := a.node().Status(ctx)
		if err != nil {
			return err
		}
		for i := range s.Alerts {
			if s.Alerts[i].Text == "" {
				s.Alerts[i].Text = a.catalog.For("en").Text(s.Alerts[i].Key, s.Alerts[i].Values())
			}
		}
		if a.json {
			return a.printJSON(s)
		}
		a.printStatus(s)
		return nil
	})
	v.printsData()
	return v.Command
}

func (a *app) printStatus(s control.Status) {
	t := a.table()
	t.row(a.say("cli.status.state"), a.say("cli.state."+s.State))
	if s.Node != "" {
		t.row(a.say("cli.status.site"), a.say("cli.status.site_is", "Site", s.Site, "Number", s.Number, "Node", s.Node))
		t.row(a.say("cli.status.deployment"), s.Deployment)
		t.row(a.say("cli.status.people"), a.say("cli.status.people_are", "Count", s.People, "Households", s.Households, "Today", s.Today))
		t.row(a.say("cli.status.records"), a.say("cli.status.records_are", "Count", s.Ops, "Here", s.OnlyHere))
	}
	if s.Sealed != nil {
		t.row(a.say("cli.status.records"), a.say("locked.records", "Count", s.Sealed.Waiting))
	}
	if p := s.Pieces; p.Held+p.Lacking > 0 {
		t.row(a.say("cli.status.photos"), a.say("cli.status.photos_are", "Held", p.Held, "Lacking", p.Lacking))
	}
	t.row(a.say("cli.status.disk"), a.say("cli.status.disk_is", "Free", megabytes(s.Disk.Free), "Total", megabytes(s.Disk.Total), "Journal", megabytes(s.Disk.Journal)))
	if s.Node != "" && !s.Practice {
		last := a.say("cli.status.backup_none")
		if s.Backup != nil {
			last = a.say("cli.status.backup_is", "Made", minute(s.Backup.Made), "Since", s.Backup.Since)
		}
		t.row(a.say("cli.status.backup"), last)
	}
	if s.Link != nil {
		t.row(a.say("cli.status.link"), a.linkIs(*s.Link))
	}
	sure := "cli.status.clock_sure"
	if !s.Clock.Sure {
		sure = "cli.status.clock_unsure"
	}
	t.row(a.say("cli.status.clock"), a.say(sure, "Now", s.Clock.Now.Format(time.DateTime)))
	t.print(a.out)
	a.printPeers(s)
	for _, alert := range s.Alerts {
		a.println("! " + control.Plain(a.lang.Text(alert.Key, alert.Values())))
	}
}

func (a *app) printPeers(s control.Status) {
	if len(s.Peers) == 0 {
		return
	}
	a.println("")
	t := a.table("cli.peer.number", "cli.peer.site", "cli.peer.node", "cli.peer.state", "cli.peer.contact", "cli.peer.behind", "")
	for _, p := range s.Peers {
		marks := a.marks(p)
		if !p.Confirmed && p.Standing == "" { // here with the words themselves
			marks[0] = a.say("cli.peer.unconfirmed", "Words", strings.Join(p.Words, " "))
		}
		words := strings.Join(marks, ", ")
		t.row(number(p.Number), a.peerName(p), p.Node, a.say("cli.peer."+p.State), a.ago(s.Clock.Now, p.LastContact), strconv.FormatUint(p.Behind, 10), words)
	}
	t.print(a.out)
	a.println("")
}

// ago says how long before now something was, on the node's own clock.
func (a *app) ago(now, then time.Time) string {
	if then.IsZero() {
		return a.say("tui.never")
	}
	d := max(now.Sub(then), 0)
	switch {
	case d < time.Minute:
		return a.say("tui.ago.seconds", "N", int(d/time.Second))
	case d < time.Hour:
		return a.say("tui.ago.minutes", "N", int(d/time.Minute))
	case d < 48*time.Hour:
		return a.say("tui.ago.hours", "N", int(d/time.Hour))
	}
	return a.say("tui.ago.days", "N", int(d/(24*time.Hour)))
}

func number(n uint16) string { return strconv.Itoa(int(n)) }

// megabytes as people compare them: MB below 10 GB, then GB.
func megabytes(n uint64) string {
	if n >= 10_000_000_000 {
		return fmt.Sprintf("%d GB", n/1_000_000_000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1_000_000)
}

// minute and day show a moment in the machine's own zone.
func minute(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateOnly)
}

// table is text in columns.
type table struct{ rows [][]string }

// table starts one with a heading of message keys; "" is an empty heading.
func (a *app) table(keys ...string) *table {
	t := &table{}
	head := make([]string, len(keys))
	for i, k := range keys {
		if k != "" {
			head[i] = a.say(k)
		}
	}
	if len(head) > 0 {
		t.row(head...)
	}
	return t
}

// row adds cells, made safe for a terminal.
func (t *table) row(cells ...string) {
	for i := range cells {
		cells[i] = control.Plain(cells[i])
	}
	t.rows = append(t.rows, cells)
}

func (t *table) print(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range t.rows {
		fmt.Fprintln(tw, strings.TrimRight(strings.Join(r, "\t"), "\t"))
	}
	_ = tw.Flush()
}
