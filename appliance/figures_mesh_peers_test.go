//go:build linux

package main

import (
	"bufio"
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// The drivers of programs that run under node.
//
//go:embed testdata/bench
var benchDrivers embed.FS

// others measures what else does the same, installed for the moment and outside the
// project. What cannot be installed says so in the table.
func (f *meshFigures) others() {
	postgres, pouch, hyper := f.postgres(), f.node("pouch"), f.node("hyper")
	for _, p := range []struct {
		name string
		taken
	}{{"PostgreSQL, logical replication's initial copy", postgres}, {"PouchDB, HTTP on leveldb, compressed", pouch}, {"hypercore, Noise on TCP", hyper}} {
		if p.why != "" {
			f.table.add(meshRow{measure: p.name, peers: "not measured: " + p.why})
			continue
		}
		f.note("%s: %d records in %.2f s, %.0f records/s; %.1f us of the receiver's CPU a record; %.3f of the JSON on the wire.",
			p.name, p.Records, p.Seconds, p.rate(), p.micros(), float64(p.wire)/float64(f.json))
	}
	f.against("durable / PostgreSQL's copy", ">= 1", f.took, postgres, 1)
	f.against("with views / PouchDB", ">= 8", f.views, pouch, 8)
	f.against("with views / hypercore", ">= 5", f.views, hyper, 5)
	for _, p := range []taken{postgres, pouch, hyper} {
		if p.why == "" && p.Records != f.count {
			f.t.Errorf("a peer took %d records of %d", p.Records, f.count)
		}
	}
}

// against compares the rates of one run.
func (f *meshFigures) against(measure, reach string, ours, peer taken, least float64) {
	if peer.why != "" {
		return
	}
	times := ours.rate() / peer.rate()
	f.table.add(meshRow{measure, reach, fmt.Sprintf("%.0f ops/s, %.1f us", ours.rate(), ours.micros()),
		fmt.Sprintf("%.0f records/s, %.1f us, %.3f of the JSON", peer.rate(), peer.micros(), float64(peer.wire)/float64(f.json)),
		fmt.Sprintf("%.1f", times), times >= least})
}

// relay passes bytes on and counts those that come back.
type relay struct {
	net.Listener
	to   string
	back atomic.Int64
}

func (f *meshFigures) relay(port int) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	f.check(err)
	f.t.Cleanup(func() { _ = l.Close() })
	r := &relay{Listener: l, to: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go r.pass(in)
		}
	}()
	return r
}

func (r *relay) port() string {
	_, port, _ := net.SplitHostPort(r.Addr().String())
	return port
}

func (r *relay) pass(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer out.Close()
	go func() {
		_, _ = io.Copy(out, in)
		_ = out.(*net.TCPConn).CloseWrite()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := out.Read(buf)
		r.back.Add(int64(n))
		if n > 0 {
			if _, werr := in.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// node measures one of the drivers.
func (f *meshFigures) node(name string) (t taken) {
	dir, err := f.installed()
	if err != nil {
		return taken{why: err.Error()}
	}
	script, err := benchDrivers.ReadFile("testdata/bench/" + name + ".js")
	f.check(err)
	driver := filepath.Join(dir, name+".js")
	f.check(os.WriteFile(driver, script, 0o600))
	from, to := filepath.Join(f.dir, name+"-a"), filepath.Join(f.dir, name+"-b")
	f.check(errors.Join(os.MkdirAll(from, 0o700), os.MkdirAll(to, 0o700)))
	source := exec.Command("node", driver, "serve", from, f.source)
	source.Dir = from
	var errs bytes.Buffer
	source.Stderr = &errs
	out, err := source.StdoutPipe()
	f.check(err)
	if err := source.Start(); err != nil {
		return taken{why: err.Error()}
	}
	defer func() { _ = source.Process.Kill(); _ = source.Wait() }()
	var at struct {
		Port int
		Key  string
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || json.Unmarshal([]byte(line), &at) != nil {
		return taken{why: name + " does not serve: " + lastLine(errs.String())}
	}
	r := f.relay(at.Port)
	args := []string{driver, "take", to, "http://127.0.0.1:" + r.port() + "/people"}
	if name == "hyper" {
		args = []string{driver, "take", to, "127.0.0.1", r.port(), at.Key, strconv.Itoa(f.count)}
	}
	take := exec.Command("node", args...)
	take.Dir = to
	said, err := output(take)
	if err == nil {
		err = json.Unmarshal([]byte(lastLine(said)), &t)
	}
	if err != nil {
		return taken{why: err.Error()}
	}
	t.wire = r.back.Load()
	return t
}

// installed is the folder with the packages, kept for the next run in the system's
// folder for such things.
func (f *meshFigures) installed() (string, error) {
	dir := filepath.Join(os.TempDir(), "waypost-bench-mesh-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", ".complete")); err == nil {
		return dir, nil
	}
	npm := exec.Command("npm", "install", "--no-audit", "--no-fund", "--no-save", "pouchdb@9", "express-pouchdb@4", "express@4", "compression@1", "hypercore@10")
	npm.Dir = dir
	if _, err := output(npm); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "node_modules", ".complete"), nil, 0o600)
}

// cluster is a PostgreSQL of its own, run by a user without rights.
type cluster struct {
	f          *meshFigures
	bin, dir   string
	port       int
	as         *syscall.Credential
	postmaster int
}

// postgres measures the initial copy of a subscription, with the settings the program
// comes with but for what replication needs.
func (f *meshFigures) postgres() (t taken) {
	bin, err := postgresBin()
	if err != nil {
		return taken{why: err.Error()}
	}
	as, err := unprivileged()
	if err != nil {
		return taken{why: err.Error()}
	}
	home, err := os.MkdirTemp("", "wq")
	f.check(err)
	defer os.RemoveAll(home)
	f.check(os.Chmod(home, 0o755)) //nolint:gosec // another user works in it
	from, err := f.cluster(bin, filepath.Join(home, "a"), as)
	if err != nil {
		return taken{why: err.Error()}
	}
	defer from.stop()
	to, err := f.cluster(bin, filepath.Join(home, "b"), as)
	if err != nil {
		return taken{why: err.Error()}
	}
	defer to.stop()
	t, err = f.copying(from, to)
	if err != nil {
		t.why = err.Error()
	}
	return t
}

func (f *meshFigures) copying(from, to *cluster) (t taken, err error) {
	list := filepath.Join(from.dir, "records")
	raw, err := os.ReadFile(f.source)
	f.check(err)
	f.check(os.WriteFile(list, raw, 0o644)) //nolint:gosec // another user reads it
	const table = "create table people (id text primary key, doc jsonb not null)"
	for _, do := range []struct {
		c   *cluster
		sql string
	}{
		{from, table}, {to, table},
		{from, "create temp table raw (doc jsonb); copy raw from '" + list + `' csv quote e'\x01' delimiter e'\x02'; insert into people select doc->>'id', doc from raw`},
		{from, "create publication everybody for table people"},
	} {
		if _, err := do.c.sql(do.sql); err != nil {
			return t, err
		}
	}
	r := f.relay(from.port)
	before, began := to.cpu(), time.Now()
	if _, err := to.sql("create subscription mine connection 'host=127.0.0.1 user=bench dbname=postgres port=" + r.port() + "' publication everybody"); err != nil {
		return t, err
	}
	f.until("PostgreSQL has copied", func() bool {
		n, err := to.sql("select count(*) from pg_subscription_rel where srsubstate in ('r', 's')")
		return err == nil && strings.TrimSpace(n) == "1"
	})
	t.Seconds, t.wire = time.Since(began).Seconds(), r.back.Load()
	t.CPU = to.cpu() - before
	n, err := to.sql("select count(*) from people")
	if err == nil {
		t.Records, err = strconv.Atoi(strings.TrimSpace(n))
	}
	return t, err
}

// postgresBin is where the server's programs are; Debian's package is installed when it is
// missing and this may be done.
func postgresBin() (string, error) {
	find := func() string {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
		if len(found) == 0 {
			return ""
		}
		return filepath.Dir(found[len(found)-1])
	}
	if bin := find(); bin != "" {
		return bin, nil
	}
	install := exec.Command("apt-get", "install", "-y", "-qq", "--no-install-recommends", "postgresql")
	install.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if _, err := output(install); err != nil {
		return "", err
	}
	if bin := find(); bin != "" {
		return bin, nil
	}
	return "", errors.New("PostgreSQL is not there")
}

// unprivileged is somebody without rights: PostgreSQL does not run as root.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil //nolint:gosec // parsed with 32 bits
}

func (f *meshFigures) cluster(bin, dir string, as *syscall.Credential) (*cluster, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	f.check(err)
	c := &cluster{f: f, bin: bin, dir: dir, port: l.Addr().(*net.TCPAddr).Port, as: as}
	f.check(l.Close())
	f.check(os.Mkdir(dir, 0o700))
	if as != nil {
		f.check(os.Chown(dir, int(as.Uid), int(as.Gid)))
	}
	if _, err := c.run("initdb", "-D", filepath.Join(dir, "data"), "-U", "bench", "--auth=trust"); err != nil {
		return nil, err
	}
	_, err = c.run("pg_ctl", "-D", filepath.Join(dir, "data"), "-w", "-s", "-l", filepath.Join(dir, "log"),
		"-o", fmt.Sprintf("-p %d -c listen_addresses=127.0.0.1 -c unix_socket_directories=%s -c wal_level=logical", c.port, dir), "start")
	if err != nil {
		return nil, err
	}
	pid, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	f.check(err)
	first, _, _ := strings.Cut(string(pid), "\n")
	c.postmaster, err = strconv.Atoi(first)
	return c, err
}

func (c *cluster) run(program string, args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(c.bin, program), args...)
	cmd.Dir = c.dir
	if c.as != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as}
	}
	return output(cmd)
}

func (c *cluster) sql(text string) (string, error) {
	return c.run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", strconv.Itoa(c.port), "-U", "bench", "-d", "postgres", "-c", text)
}

func (c *cluster) stop() {
	if _, err := c.run("pg_ctl", "-D", filepath.Join(c.dir, "data"), "-w", "-s", "-m", "immediate", "stop"); err != nil {
		c.f.t.Error(err)
	}
}

// cpu is what the server and all it ever started took.
func (c *cluster) cpu() float64 {
	sum := cpuOf(c.postmaster, true)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		raw, _ := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(raw), ") ")
		if words := strings.Fields(rest); len(words) > 2 && words[1] == strconv.Itoa(c.postmaster) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			sum += cpuOf(pid, false)
		}
	}
	return sum
}
