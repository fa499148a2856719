package main

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/waypost/waypost/appliance/fault"
)

// ports are what a node chose when asked for port 0. They are remembered in the
// folder and used again while they are free, so that the printed QR on the wall
// and the address the neighbours know stay right over a restart.
type ports struct {
	HTTP  int `json:"http,omitempty"`
	HTTPS int `json:"https,omitempty"`
	Mesh  int `json:"mesh,omitempty"`
}

func portsFile(dir string) string { return filepath.Join(dir, "ports.json") }

// readPorts gives zero ports when there are none, or the file is no good: then
// new ones are chosen, nothing is lost.
func readPorts(dir string) ports {
	var p ports
	raw, err := os.ReadFile(portsFile(dir))
	if err != nil || json.Unmarshal(raw, &p) != nil {
		return ports{}
	}
	return p
}

func (p ports) write(dir string) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return writeFile(portsFile(dir), append(raw, '\n'))
}

// listenTCP opens addr; for port 0 the remembered one first.
func listenTCP(addr string, remembered int) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fault.New(fault.Invalid, "fault.node.bad_address", "Address", addr).Wrap(err)
	}
	if port == "0" && remembered > 0 {
		if ln, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(remembered))); err == nil {
			return ln, nil
		}
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, portFault(addr, err)
	}
	return ln, nil
}

// portFault says in one sentence why an address cannot be listened on.
func portFault(addr string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fault.New(fault.Conflict, "fault.node.port_taken", "Address", addr).Wrap(err)
	case errors.Is(err, syscall.EACCES):
		return fault.New(fault.Denied, "fault.node.port_denied", "Address", addr).Wrap(err)
	}
	return fault.New(fault.Unavailable, "fault.node.cannot_listen", "Address", addr).Wrap(err)
}

// pickMesh settles the mesh address before the mesh itself runs (a locked or new
// node must already say where it will be heard): a port that is free for both
// TCP and UDP, the remembered one when it still is.
func pickMesh(addr string, remembered int) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fault.New(fault.Invalid, "fault.node.bad_address", "Address", addr).Wrap(err)
	}
	if port != "0" {
		return addr, bothFree(addr)
	}
	if remembered > 0 {
		if a := net.JoinHostPort(host, strconv.Itoa(remembered)); bothFree(a) == nil {
			return a, nil
		}
	}
	for range 50 {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			return "", portFault(addr, err)
		}
		a := net.JoinHostPort(host, strconv.Itoa(ln.Addr().(*net.TCPAddr).Port))
		_ = ln.Close()
		if bothFree(a) == nil {
			return a, nil
		}
	}
	return "", fault.New(fault.Unavailable, "fault.node.cannot_listen", "Address", addr)
}

func bothFree(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return portFault(addr, err)
	}
	defer ln.Close()
	pc, err := net.ListenPacket("udp", addr)
	if err != nil {
		return portFault(addr, err)
	}
	return pc.Close()
}

// portOf is the port of a listener's address.
func portOf(a net.Addr) int {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.Port
	}
	return 0
}

// writeFile replaces path by data as a whole: a power cut leaves the old file or
// the new one.
func writeFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err = tmp.Write(data); err == nil {
		err = tmp.Sync()
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
