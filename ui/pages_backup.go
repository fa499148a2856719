package ui

import (
	"cmp"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/staff"
)

// restorePage is where somebody chooses the backup that an empty box becomes.
type restorePage struct {
	Claim string
	Files []backupLine
}

// backupLine is a backup as a person tells it from others.
type backupLine struct {
	File, Name, Size string
	Made             time.Time
	Number           uint16
}

// transferPage is how far a backup or a restore is.
type transferPage struct {
	Step    string // in words; empty when nothing runs
	Percent int
	Known   bool // Percent means something
	Failed  string
	Hint    string
	Done    *backupLine
}

// transferOnly is a page with nothing else on it.
type transferOnly struct{ Transfer transferPage }

// backupPage is where a lead makes a backup.
type backupPage struct {
	Last     *control.LastBackup
	Places   []placeLine
	Transfer transferPage
	Running  bool
	Reopened []reopenedLine // who let people be read after a restore
}

// reopenedLine is one of them, in words.
type reopenedLine struct {
	Text string
	At   time.Time
}

type placeLine struct{ Folder, File, Name, Free string }

// restoredPage says why nobody reads people here and what opens them again.
type restoredPage struct {
	Made  time.Time
	Peers int
	May   bool // this person may give their word
}

func sizeText(n int64) string {
	if n < 0 {
		n = 0
	}
	if n >= 10_000_000_000 {
		return strconv.FormatInt(n/1_000_000_000, 10) + " GB"
	}
	return strconv.FormatFloat(float64(n)/1_000_000, 'f', 1, 64) + " MB"
}

func backupLineOf(f control.BackupFile) backupLine {
	return backupLine{File: f.File, Name: filepath.Base(f.File), Size: sizeText(f.Bytes), Made: f.Made, Number: f.Number}
}

func (v *visit) restoreModel(code string) restorePage {
	m := restorePage{Claim: code}
	for _, f := range v.s.config.Box.Backups() {
		m.Files = append(m.Files, backupLineOf(f))
	}
	return m
}

func (v *visit) restorePage() error {
	code := v.query("claim")
	if err := v.lookAt(code); err != nil {
		f := newForm()
		f.set("claim", code)
		return v.reshow("first/claim", nil, f, err, nil)
	}
	return v.render("first/restore", v.restoreModel(code))
}

// restore begins to bring a backup back. Words are taken however they were typed.
func (v *visit) restore() error {
	f := v.sent()
	delete(f.values, "words")
	r := RestoreSite{Claim: f.Value("claim"), File: f.Value("file"), Passphrase: v.secret("words")}
	defer clear(r.Passphrase)
	err := v.s.config.Box.RestoreSite(v.s.ctx, r)
	if err != nil && fault.Of(err).Key == "fault.identity.wrong_passphrase" {
		if plain := plainWords(string(r.Passphrase)); plain != string(r.Passphrase) {
			r.Passphrase = []byte(plain)
			err = v.s.config.Box.RestoreSite(v.s.ctx, r)
		}
	}
	if err != nil {
		return v.reshow("first/restore", v.restoreModel(r.Claim), f, err, nil)
	}
	return v.redirect("/restore/progress")
}

// restoreProgress is for anybody, because nobody has signed in yet: it shows a step and
// a number, and when it is over it leads on.
func (v *visit) restoreProgress() error {
	state, err := v.s.config.Box.BackupState(v.s.ctx)
	if v.s.config.Box.State() != stateNew || err == nil && !state.Running {
		return v.redirect("/")
	}
	v.refreshSoon(state.Running)
	return v.render("first/restoring", transferOnly{v.transferModel(state, err)})
}

// refreshSoon has the browser ask again, without a script.
func (v *visit) refreshSoon(on bool) {
	if on {
		v.c.Set("Refresh", "2")
	}
}

func (v *visit) transferModel(state control.Backup, err error) transferPage {
	m := transferPage{Percent: state.Percent(), Known: state.Total > 0}
	switch {
	case err != nil:
		fe := fault.Of(err)
		m.Failed = say(v.lang, fe.Key, fe.Args)
		if v.lang.Has(fe.Key + ".hint") {
			m.Hint = say(v.lang, fe.Key+".hint", fe.Args)
		}
	case state.Running && state.Step == "":
		m.Step = v.lang.Text("backup.step.checking", nil)
	case state.Running:
		m.Step = v.lang.Text("backup.step."+state.Step, nil)
	case state.Result != nil:
		line := backupLineOf(*state.Result)
		m.Done = &line
	}
	return m
}

func (v *visit) backupModel() (backupPage, error) {
	status, err := v.s.config.Box.Status(v.s.ctx)
	if err != nil {
		return backupPage{}, err
	}
	state, failed := v.s.config.Box.BackupState(v.s.ctx)
	m := backupPage{Last: status.Backup, Transfer: v.transferModel(state, failed), Running: state.Running}
	for _, p := range v.s.config.Box.BackupPlaces() {
		m.Places = append(m.Places, placeLine{Folder: p.Folder, File: p.File, Name: filepath.Base(p.Folder), Free: sizeText(int64(min(p.Free, 1<<62)))}) //nolint:gosec // bounded
	}
	if m.Reopened, err = v.reopenedLines(); err != nil {
		return backupPage{}, err
	}
	v.refreshSoon(state.Running)
	return m, nil
}

// maxReopened is how many are listed; nobody restores so often.
const maxReopened = 20

func (v *visit) reopenedLines() (out []reopenedLine, err error) {
	all, err := v.desks().Staff.Reopenings()
	if err != nil {
		return nil, err
	}
	nodes, err := v.desks().Identity.Nodes()
	if err != nil {
		return nil, err
	}
	w := &view{Lang: v.lang}
	for _, r := range all[:min(len(all), maxReopened)] {
		site := ""
		for _, n := range nodes {
			if n.ID == r.Node {
				site = n.Site
			}
		}
		out = append(out, reopenedLine{At: r.At, Text: w.T("backup.reopened", "First", cmp.Or(r.Names[0], r.By[0].String()), "Second", cmp.Or(r.Names[1], r.By[1].String()), "Site", siteName(w, site))})
	}
	return out, nil
}

func (v *visit) backupPage() error {
	m, err := v.backupModel()
	if err != nil {
		return err
	}
	return v.render("backup/backup", m)
}

// startBackup writes onto one of the sticks that were offered, and nowhere else: a page
// must not write where the command line may.
func (v *visit) startBackup() error {
	file := v.form("file")
	offered := slices.ContainsFunc(v.s.config.Box.BackupPlaces(), func(p control.BackupPlace) bool { return p.File == file })
	err := error(fault.New(fault.NotFound, "fault.backup.no_stick"))
	if offered {
		err = v.s.config.Box.StartBackup(v.s.ctx, v.actor, file)
	}
	if err != nil {
		m, merr := v.backupModel()
		if merr != nil {
			return merr
		}
		return v.reshow("backup/backup", m, newForm(), err, nil)
	}
	return v.redirect("/backup")
}

func (v *visit) stopBackup() error {
	if err := v.s.config.Box.StopBackup(v.s.ctx, v.actor); err != nil {
		return err
	}
	return v.redirect("/backup")
}

func (v *visit) restoredModel() (restoredPage, bool) {
	r := v.s.config.Box.Restored()
	if r == nil {
		return restoredPage{}, false
	}
	return restoredPage{Made: r.Made, Peers: r.Peers, May: v.actor.Can("keep-backups")}, true
}

func (v *visit) restoredPage() error {
	m, closed := v.restoredModel()
	if !closed {
		return v.redirect("/")
	}
	return v.render("backup/restored", m)
}

// reopen takes both signatures: of whoever is signed in, who shows their passphrase once
// more, and of the second person.
func (v *visit) reopen() error {
	m, closed := v.restoredModel()
	if !closed {
		return v.redirect("/")
	}
	f := v.sent()
	delete(f.values, "passphrase")
	delete(f.values, "second")
	s, done, err := v.ownHand()
	defer done()
	if err == nil {
		err = v.reopenWith(s, f.Value("user"))
	}
	if err != nil {
		return v.reshow("backup/restored", m, f, err, nil)
	}
	return v.redirect("/")
}

// reopenWith is the first person's hand and the second one's passphrase.
func (v *visit) reopenWith(s staff.Session, user string) error {
	secret := v.secret("second")
	defer clear(secret)
	ctx := identity.From(v.s.ctx, v.client())
	err := v.s.config.Box.Reopen(ctx, s, user, secret)
	if err != nil && fault.Of(err).Key == "fault.staff.wrong_sign_in" {
		if plain := plainWords(string(secret)); plain != string(secret) && strings.Count(plain, " ") == 4 {
			err = v.s.config.Box.Reopen(ctx, s, user, []byte(plain))
		}
	}
	return err
}
