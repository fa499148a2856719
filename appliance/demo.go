package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/ui/locale"
)

// The demo is three real processes of this binary on this machine: one starts a
// site and registers made-up people, two join by invitation codes, and a card
// made on the first is checked on the third. Nothing is faked, and nothing stays:
// the folders are removed at the end.
const (
	demoNodes      = 3
	demoPeople     = 300
	demoUser       = "lead"
	demoPassphrase = "five plain words for demo"
	demoPatience   = 60 * time.Second
)

func demoCommand(catalog *locale.Catalog) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use: "demo", Args: cobra.NoArgs,
		Short: personLanguage(catalog).Text("cli.demo.short", nil),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := os.MkdirTemp("", "waypost-demo-")
			if err != nil {
				return err
			}
			d := &demo{dir: dir, lang: personLanguage(catalog), out: cmd.OutOrStdout(), log: cmd.ErrOrStderr()}
			defer func() { _ = os.RemoveAll(dir) }()
			defer d.stop()
			if err := d.run(cmd.Context()); err != nil || once {
				return err
			}
			<-cmd.Context().Done()
			return nil
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, personLanguage(catalog).Text("cli.demo.once", nil))
	return cmd
}

type demo struct {
	dir  string
	lang locale.Language
	out  io.Writer
	log  io.Writer
	self string
	pass string
	runs []*exec.Cmd
}

func (d *demo) folder(i int) string { return filepath.Join(d.dir, fmt.Sprintf("node%d", i)) }

// run brings the three nodes up and shows that they agree.
func (d *demo) run(ctx context.Context) error {
	var err error
	if d.self, err = os.Executable(); err != nil {
		return err
	}
	d.pass = filepath.Join(d.dir, "passphrase")
	if err := os.WriteFile(d.pass, []byte(demoPassphrase+"\n"), 0o600); err != nil {
		return err
	}
	urls := make([]string, 0, demoNodes)
	for i := 1; i <= demoNodes; i++ {
		fmt.Fprintln(d.log, d.lang.Text("demo.starting", map[string]any{"Number": i, "Total": demoNodes}))
		u, err := d.node(ctx, i)
		if err != nil {
			return err
		}
		urls = append(urls, u)
	}
	if err := d.agree(ctx); err != nil {
		return err
	}
	for _, u := range urls {
		fmt.Fprintln(d.out, u)
	}
	fmt.Fprintln(d.out, d.lang.Text("demo.ready", map[string]any{"User": demoUser, "Passphrase": demoPassphrase}))
	return nil
}

// node starts the i-th node: the first founds the site, the others join it.
func (d *demo) node(ctx context.Context, i int) (string, error) {
	folder, site := d.folder(i), fmt.Sprintf("Site %d", i)
	if i == 1 {
		if _, err := d.verb(ctx, "init", "--data", folder, "--deployment", "Demo", "--site", site, "--lead", demoUser, "--passphrase-file", d.pass); err != nil {
			return "", err
		}
	} else {
		out, err := d.verb(ctx, "invite", "--data", d.folder(1))
		if err != nil {
			return "", err
		}
		if _, err := d.verb(ctx, "join", "--data", folder, "--site", site, "--lead", demoUser, "--passphrase-file", d.pass, lastLine(out)); err != nil {
			return "", err
		}
	}
	u, err := d.serve(folder)
	if err != nil {
		return "", err
	}
	if i == 1 {
		return u, d.fill(ctx)
	}
	status, err := d.status(ctx, i)
	if err != nil {
		return "", err
	}
	_, err = d.verb(ctx, "confirm", "--data", d.folder(1), status.Node)
	return u, err
}

// fill imports the made-up people into the first node.
func (d *demo) fill(ctx context.Context) error {
	file := filepath.Join(d.dir, "people.csv")
	f, err := os.Create(file) //nolint:gosec // a folder we just made
	if err != nil {
		return err
	}
	if err := errors.Join(writeMadeUp(f, demoPeople, 1), f.Close()); err != nil {
		return err
	}
	_, err = d.verb(ctx, "import", "--data", d.folder(1), file)
	return err
}

// agree waits until every node holds the same, then checks a card of node 1 on
// the last node.
func (d *demo) agree(ctx context.Context) error {
	var first control.Check
	if err := d.verbJSON(ctx, &first, "check", "--data", d.folder(1), "--json"); err != nil {
		return err
	}
	deadline := clock.System().After(demoPatience)
	for i := 2; i <= demoNodes; i++ {
		for {
			var other control.Check
			if err := d.verbJSON(ctx, &other, "check", "--data", d.folder(i), "--json"); err != nil {
				return err
			}
			if err := d.verbJSON(ctx, &first, "check", "--data", d.folder(1), "--json"); err != nil {
				return err
			}
			if first.Views != nil && other.Views != nil && *first.Views == *other.Views {
				break
			}
			select {
			case <-deadline:
				return fault.New(fault.Unavailable, "fault.demo.disagree")
			case <-ctx.Done():
				return ctx.Err()
			case <-clock.System().After(100 * time.Millisecond):
			}
		}
	}
	status, err := d.status(ctx, 1)
	if err != nil {
		return err
	}
	fmt.Fprintln(d.out, d.lang.Text("demo.people", map[string]any{"Count": status.People}))
	return d.card(ctx)
}

// card issues a card on node 1 and checks it on the last node.
func (d *demo) card(ctx context.Context) error {
	c := control.New(d.folder(1))
	var people struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	if err := c.Get(ctx, "/api/v1/people?limit=1", &people); err != nil {
		return err
	}
	if len(people.Items) == 0 {
		return fault.New(fault.Internal, "fault.internal")
	}
	var token struct {
		Token string `json:"token"`
	}
	if err := c.Post(ctx, "/api/v1/people/"+people.Items[0].ID+"/tokens", struct{}{}, &token); err != nil {
		return err
	}
	var v control.Verdict
	if err := control.New(d.folder(demoNodes)).Post(ctx, "/operator/verify", map[string]string{"text": token.Token}, &v); err != nil {
		return err
	}
	fmt.Fprintln(d.out, d.lang.Text("demo.token", map[string]any{"Verdict": v.Verdict}))
	if v.Verdict != "genuine" {
		return fault.New(fault.Internal, "fault.internal")
	}
	return nil
}

func (d *demo) status(ctx context.Context, i int) (control.Status, error) {
	var s control.Status
	err := control.New(d.folder(i)).Get(ctx, "/operator/status", &s)
	return s, err
}

// verb runs one verb of this binary and gives its stdout.
func (d *demo) verb(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, d.self, args...) //nolint:gosec // our own binary
	cmd.Stderr = d.log
	out, err := cmd.Output()
	return string(out), err
}

func (d *demo) verbJSON(ctx context.Context, into any, args ...string) error {
	out, err := d.verb(ctx, args...)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(out), into)
}

// serve starts a node on free loopback ports and waits for its ready line. The
// node has a process group of its own: Ctrl-C reaches it through stop alone.
func (d *demo) serve(folder string) (string, error) {
	logs, err := os.Create(folder + ".log")
	if err != nil {
		return "", err
	}
	cmd := exec.Command(d.self, "serve", "--data", folder, "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", //nolint:gosec,noctx // stopped by stop
		"--mesh", "127.0.0.1:0", "--passphrase-file", d.pass)
	cmd.Stderr = logs
	cmd.SysProcAttr = ownGroup()
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	d.runs = append(d.runs, cmd)
	line, err := bufio.NewReader(pipe).ReadString('\n')
	if err != nil {
		return "", fault.New(fault.Unavailable, "fault.demo.no_start", "File", logs.Name()).Wrap(err)
	}
	for _, word := range strings.Fields(line) {
		if u, ok := strings.CutPrefix(word, "http="); ok {
			return u, nil
		}
	}
	return "", fault.New(fault.Internal, "fault.internal")
}

// stop ends the nodes this demo started, the last first.
func (d *demo) stop() {
	for i := len(d.runs) - 1; i >= 0; i-- {
		_ = d.runs[i].Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
		_ = d.runs[i].Wait()                          //nolint:errcheck // its exit code tells nothing here
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
