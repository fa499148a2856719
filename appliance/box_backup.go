package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/backup"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/staff"
)

// transfer is a backup or a restore that a box works at: one at a time. Safe for
// concurrent use.
type transfer struct {
	mu     sync.Mutex
	state  control.Backup
	err    error
	cancel context.CancelFunc
	done   chan struct{} // closed when it ended
}

// begin runs do on its own goroutine. Fault: Busy "fault.backup.busy" while another one
// runs; one with the same file is joined, and then do is not called.
func (t *transfer) begin(ctx context.Context, file string, do func(context.Context, func(backup.Progress)) (*control.BackupFile, error)) (began bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state.Running {
		if t.state.File == file {
			return false, nil
		}
		return false, fault.New(fault.Busy, "fault.backup.busy", "File", t.state.File)
	}
	ctx, t.cancel = context.WithCancel(ctx)
	t.state, t.err, t.done = control.Backup{Running: true, File: file}, nil, make(chan struct{})
	go func(done chan struct{}) {
		defer close(done)
		result, err := do(ctx, t.progress)
		t.mu.Lock()
		defer t.mu.Unlock()
		t.cancel()
		t.state.Running, t.state.Result, t.err = false, result, err
	}(t.done)
	return true, nil
}

func (t *transfer) progress(p backup.Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state.Step, t.state.Done, t.state.Total = string(p.Step), p.Done, p.Total
}

// look is how far it is; the fault when the last one failed.
func (t *transfer) look() (control.Backup, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state, t.err
}

// stop ends it and waits for that.
func (t *transfer) stop() {
	t.mu.Lock()
	cancel, done := t.cancel, t.done
	t.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
}

// StartBackup begins a backup of the open node into a file on this machine.
func (b *box) StartBackup(_ context.Context, a staff.Actor, file string) error {
	if err := a.Must(staff.KeepBackups); err != nil {
		return err
	}
	n := b.open()
	if n == nil {
		return fault.New(fault.Locked, "fault.node.locked")
	}
	if b.practice() {
		return fault.New(fault.Conflict, "fault.backup.practice")
	}
	file, err := target(n.dir, file)
	if err != nil {
		return err
	}
	_, err = b.transfers.begin(b.ctx, file, func(ctx context.Context, progress func(backup.Progress)) (*control.BackupFile, error) {
		return n.backup(ctx, file, progress)
	})
	return err
}

// BackupState is how far the backup or the restore is.
func (b *box) BackupState(context.Context) (control.Backup, error) { return b.transfers.look() }

// StopBackup stops a backup; it can be continued.
func (b *box) StopBackup(_ context.Context, a staff.Actor) error {
	if err := a.Must(staff.KeepBackups); err != nil {
		return err
	}
	b.transfers.stop()
	return nil
}

// target checks where a backup shall go.
func target(dir, file string) (string, error) {
	if file == "" || !filepath.IsAbs(file) || strings.HasSuffix(file, "/") {
		return "", fault.New(fault.Invalid, "fault.backup.name", "File", file)
	}
	file = filepath.Clean(file)
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return "", fault.New(fault.Invalid, "fault.backup.name", "File", file)
	}
	real, folder := realFolder(filepath.Dir(file)), realFolder(dir)
	if real == folder || strings.HasPrefix(real, folder+string(filepath.Separator)) {
		return "", fault.New(fault.Invalid, "fault.backup.inside", "Folder", dir)
	}
	return file, nil
}

func realFolder(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return real
	}
	return dir
}

// room is how much the disk under dir has left.
func room(dir string) func() (uint64, error) {
	return func() (uint64, error) {
		free, total := diskRoom(dir)
		if total == 0 {
			return 0, os.ErrInvalid
		}
		return free, nil
	}
}

// backup writes one of the open node, and notes that it was made.
func (n *node) backup(ctx context.Context, file string, progress func(backup.Progress)) (*control.BackupFile, error) {
	info, err := backup.Write(ctx, backup.Options{
		Dir: n.dir, File: file, Journal: n.journal, Keys: n.vault, Made: n.clock.Now(), Sure: n.clock.Sure(),
		Room: room(filepath.Dir(file)), Progress: progress,
	})
	if err != nil {
		return nil, err
	}
	out := backupFile(file, info)
	last := backup.Last{Made: info.Made, Ops: info.Ops, Bytes: info.Bytes}
	if err := last.Save(files.OS(), n.dir); err != nil { // the backup is good all the same
		n.logger.Warn("the date of the backup could not be kept", "err", err)
	}
	return &out, nil
}

func backupFile(file string, i backup.Info) control.BackupFile {
	return control.BackupFile{
		File: file, Deployment: i.Deployment.String(), Node: i.Node.String(), Number: i.Number, Made: i.Made, Sure: i.Sure,
		Bytes: i.Bytes, Opened: i.Opened, Name: i.Name, Site: i.Site, Files: i.Files, Ops: i.Ops,
	}
}

// lastBackup is what status says about it.
func (n *node) lastBackup(ops uint64) *control.LastBackup {
	last, ok := backup.ReadLast(files.OS(), n.dir)
	if !ok {
		return nil
	}
	return &control.LastBackup{Made: last.Made, Ops: last.Ops, Since: max(ops, last.Ops) - last.Ops}
}

// backupName ends the names of backups.
const backupName = ".wpb"

// stickFolders are where systems put sticks in. Each star is one folder.
var stickFolders = []string{"/media/*", "/media/*/*", "/run/media/*/*", "/mnt", "/mnt/*", "/Volumes/*"}

// sticks are the places a person may have put a stick in, as far as it can be written.
func sticks() []string {
	var out []string
	for _, pattern := range stickFolders {
		found, _ := filepath.Glob(pattern)
		for _, dir := range found {
			if info, err := os.Stat(dir); err == nil && info.IsDir() && isStick(dir) {
				out = append(out, dir)
			}
		}
	}
	return out
}

// isStick is mounted; a test has no sticks.
var isStick = mounted

// mounted reports whether dir is on another disk than the folder above it.
func mounted(dir string) bool { return deviceOf(dir) != deviceOf(filepath.Dir(dir)) }

// maxBackups is how many are offered on the first page.
const maxBackups = 50

// Backups are the backups found beside the data folder and on sticks, the newest first.
func (b *box) Backups() []control.BackupFile {
	var out []control.BackupFile
	seen := map[string]bool{}
	for _, dir := range append([]string{filepath.Dir(realFolder(b.dir))}, sticks()...) {
		found, _ := filepath.Glob(filepath.Join(dir, "*"+backupName))
		for _, file := range found {
			if seen[file] || len(out) >= maxBackups {
				continue
			}
			seen[file] = true
			if info, err := backup.Look(files.OS(), file); err == nil {
				out = append(out, backupFile(file, info))
			}
		}
	}
	slices.SortStableFunc(out, func(x, y control.BackupFile) int { return y.Made.Compare(x.Made) })
	return out
}

// BackupPlaces are the files a backup made now would get, one on each stick.
func (b *box) BackupPlaces() []control.BackupPlace {
	n := b.open()
	if n == nil {
		return nil
	}
	out := []control.BackupPlace{}
	for _, dir := range sticks() {
		free, _ := diskRoom(dir)
		out = append(out, control.BackupPlace{Folder: dir, File: filepath.Join(dir, n.backupFileName()), Free: free})
	}
	return out
}

// backupFileName names the post by its number and the day, and nothing else. On the
// same day the same file is continued or replaced.
func (n *node) backupFileName() string {
	return "waypost-" + number(n.vault.Cert().Number) + "-" + n.clock.Now().Format(time.DateOnly) + backupName
}
