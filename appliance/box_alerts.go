package main

import (
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/mesh"
	"github.com/waypost/waypost/ui"
)

// A backup is asked for when the last one is this old and something came since, or when
// so much came since whatever the clock says.
const (
	backupAge = 24 * time.Hour
	backupOps = 500
)

// backupAlerts are what backups, restores and copies of this box have to say.
func (b *box) backupAlerts(s control.Status, n *node, site ui.SiteInfo) []control.Alert {
	var out []control.Alert
	add := func(on bool, level, key string, args map[string]any) {
		if on {
			out = append(out, control.Alert{Key: key, Args: args, Level: level})
		}
	}
	if site.Practice {
		return nil
	}
	if r := s.Restored; r != nil {
		key := "alert.restored"
		if r.Peers == 0 {
			key = "alert.restored_alone"
		}
		add(true, "danger", key, map[string]any{"Date": r.Made.Format(time.DateOnly)})
	}
	twins := 0
	if m := n.Mesh(); m != nil {
		twins = m.Twins()
		doubled := len(m.Doubled())
		add(doubled > 0, "danger", "alert.double", map[string]any{"Count": doubled})
		add(doubled+twins == 0 && slices.ContainsFunc(m.Forked(n.journal.Forks()), func(f mesh.ForkView) bool { return f.Own || f.Proved }), "warning", "alert.parted", nil)
	}
	add(twins > 0, "danger", "alert.twin", nil)
	add(n.copied && twins == 0, "warning", "alert.copied", nil)
	switch last := s.Backup; {
	case last == nil:
		add(s.People > 0, "warning", "alert.backup_none", nil)
	case last.Since > 0:
		days := int(max(s.Clock.Now.Sub(last.Made), 0) / backupAge)
		add(days > 0, "warning", "alert.backup_old", map[string]any{"Days": days, "Count": last.Since})
		add(days == 0 && last.Since >= backupOps, "warning", "alert.backup_behind", map[string]any{"Count": last.Since})
	}
	return out
}
