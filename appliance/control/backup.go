package control

import (
	"context"
	"time"
)

// LastBackup is when a node was last backed up and how much came since.
type LastBackup struct {
	Made  time.Time `json:"made"`
	Ops   uint64    `json:"ops"`   // facts in it
	Since uint64    `json:"since"` // facts of the journal that are not
}

// Restored says of which moment the backup is that a node came out of, while nobody
// reads people there.
type Restored struct {
	Made  time.Time `json:"made"`
	Peers int       `json:"peers"` // posts that could tell who was erased since; 0: two people have to decide
}

// BackupFile is what a backup says about itself. What stands behind Opened is empty
// unless a passphrase opened it.
type BackupFile struct {
	File       string    `json:"file"`
	Deployment string    `json:"deployment"` // id of the operation
	Node       string    `json:"node"`
	Number     uint16    `json:"number"`
	Made       time.Time `json:"made"`
	Sure       bool      `json:"sure"` // whether the box knew the time
	Bytes      int64     `json:"bytes"`
	Opened     bool      `json:"opened"`
	Name       string    `json:"name,omitempty"`
	Site       string    `json:"site,omitempty"`
	Files      int       `json:"files,omitempty"`
	Ops        uint64    `json:"ops,omitempty"`
}

// Backup is a backup or a restore under way, or the last one.
type Backup struct {
	Running bool        `json:"running"`
	File    string      `json:"file,omitempty"`
	Step    string      `json:"step,omitempty"` // resuming, writing, verifying, checking, restoring
	Done    int64       `json:"done"`           // bytes of the step
	Total   int64       `json:"total"`          // 0 when not known
	Result  *BackupFile `json:"result,omitempty"`
}

// Percent is how much of the step is done.
func (b Backup) Percent() int {
	if b.Total <= 0 {
		return 0
	}
	return int(min(100, b.Done*100/b.Total))
}

// StartBackup has the node write a backup to a file, an absolute path as the node sees
// it. It goes on when the caller goes away; BackupState tells how far it is.
func (c *Client) StartBackup(ctx context.Context, file string) (Backup, error) {
	var b Backup
	err := c.Post(ctx, "/operator/backup", map[string]string{"file": file}, &b)
	return b, err
}

// BackupState is how far the backup is; its fault when it failed.
func (c *Client) BackupState(ctx context.Context) (Backup, error) {
	var b Backup
	err := c.Get(ctx, "/operator/backup", &b)
	return b, err
}

// StopBackup stops it. What is written stays and can be continued.
func (c *Client) StopBackup(ctx context.Context) error {
	return c.Post(ctx, "/operator/backup/stop", map[string]string{}, nil)
}

// Reopen lets people be read again at a node that came out of a backup; both people
// show their passphrases.
func (c *Client) Reopen(ctx context.Context, users [2]string, passphrases [2][]byte) error {
	type one struct {
		User       string `json:"user"`
		Passphrase string `json:"passphrase"`
	}
	return c.Post(ctx, "/operator/reopen", map[string]one{
		"first":  {users[0], string(passphrases[0])},
		"second": {users[1], string(passphrases[1])},
	}, nil)
}

// BackupPlace is a stick a backup can be written to.
type BackupPlace struct {
	Folder string `json:"folder"`
	File   string `json:"file"` // the name a backup made now would get
	Free   uint64 `json:"free"` // bytes
}
