//go:build linux

package main

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// wire is everything that goes over this machine's own network while it is open: what went
// to or from some ports, and what went between all others.
type wire struct {
	fd         int
	done       chan struct{}
	mu         sync.Mutex
	plainPorts map[uint16]bool
	ports      map[uint16]bool
	plain, all []byte
}

// listenIn begins to record; nil where the system does not let it.
func listenIn(t *testing.T) *wire {
	t.Helper()
	const every = 0x0300 // ETH_P_ALL as it stands on the network
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, every)
	if err != nil {
		t.Logf("traffic was not recorded: %v", err)
		return nil
	}
	lo, err := net.InterfaceByName("lo")
	if err == nil {
		_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, 33, 64<<20) // SO_RCVBUFFORCE: nothing is to be missed
		err = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Usec: 100_000})
	}
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrLinklayer{Protocol: every, Ifindex: lo.Index})
	}
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{fd: fd, done: make(chan struct{}), plainPorts: map[uint16]bool{}, ports: map[uint16]bool{}}
	go w.record()
	return w
}

// watch says whose ports count: plain ones are those of pages without TLS.
func (w *wire) watch(plain bool, ports ...uint16) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range ports {
		w.ports[p] = true
		w.plainPorts[p] = plain
	}
}

func (w *wire) record() {
	defer close(w.done)
	packet := make([]byte, 128<<10)
	for {
		n, _, err := syscall.Recvfrom(w.fd, packet, 0)
		if err == syscall.EAGAIN || err == syscall.EINTR {
			w.mu.Lock()
			over := w.ports == nil
			w.mu.Unlock()
			if over {
				return
			}
			continue
		}
		if err != nil {
			return
		}
		w.take(packet[:n])
	}
}

// take sorts one packet: Ethernet, IPv4, then the ports, which TCP and UDP begin with.
func (w *wire) take(p []byte) {
	if len(p) < 34 || binary.BigEndian.Uint16(p[12:]) != 0x0800 {
		return
	}
	head := 14 + int(p[14]&15)*4
	if len(p) < head+4 {
		return
	}
	from, to := binary.BigEndian.Uint16(p[head:]), binary.BigEndian.Uint16(p[head+2:])
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.ports == nil || !w.ports[from] && !w.ports[to]:
	case w.plainPorts[from] || w.plainPorts[to]:
		w.plain = append(w.plain, p...)
	default:
		w.all = append(w.all, p...)
	}
}

// close ends the recording.
func (w *wire) close() (plain, all []byte) {
	w.mu.Lock()
	w.ports = nil
	w.mu.Unlock()
	<-w.done
	_ = syscall.Close(w.fd)
	return w.plain, w.all
}

// wirePort is the port of an address or URL.
func wirePort(t *testing.T, address string) uint16 {
	t.Helper()
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		address = u.Host
	}
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := net.LookupPort("tcp", text)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(n) //nolint:gosec // a port
}

// lockedCopy starts a copy of a node's folder as a thief does, who has no words for it, and
// is everything that its pages and calls say to somebody who has every key of the other.
func (d *threeDoors) lockedCopy(n *canaryNode, key string) (said []byte) {
	d.t.Helper()
	thief := &canaryNode{t: d.t, dir: filepath.Join(filepath.Dir(n.dir), "t")}
	thief.data = filepath.Join(thief.dir, "d")
	if err := os.Mkdir(thief.dir, 0o700); err != nil {
		d.t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-r", n.data, thief.data).CombinedOutput(); err != nil {
		d.t.Fatalf("%v %s", err, out)
	}
	thief.serve("")
	if d.wire != nil {
		d.wire.watch(true, wirePort(d.t, thief.url))
	}
	for _, path := range []string{"/", "/people", "/people?q=" + d.people[0], "/desk", "/gate", "/gate/family", "/verify", "/mesh", "/box", "/reads", "/staff", "/help", "/healthz",
		"/api/v1/people?q=" + d.people[0], "/api/v1/people?limit=200", "/api/v1/events", "/api/v1/mesh"} {
		req, err := http.NewRequest("GET", thief.url+path, nil)
		if err != nil {
			d.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			d.t.Fatal(err)
		}
		raw, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			d.t.Fatal(err)
		}
		said = append(said, raw...)
	}
	if st := thief.page().status(); st.State != "locked" {
		d.t.Fatalf("the copy is %s", st.State)
	}
	thief.end()
	log, err := os.ReadFile(filepath.Join(thief.dir, "log"))
	if err != nil {
		d.t.Fatal(err)
	}
	return append(said, log...)
}
