package browser

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// The three ways somebody with a phone of their own comes to a box, told from a
// second network namespace: for the box that is another host.
//
// Chromium takes orders on its own loopback only, so whoever drives it must be in the
// namespace too: this test starts itself once more in there and tells the story.
var elsewhere = map[string]func(*testing.T, visitor){
	"warning": acceptsTheWarning,
	"trust":   trustsTheBox,
	"plain":   comesByPlainHTTP,
}

// visitor is what somebody with a phone knows about the box.
type visitor struct{ http, https, claim string }

func TestBrowserFromAnotherHost(t *testing.T) {
	needsChromium(t)
	if story := os.Getenv("WAYPOST_STORY"); story != "" {
		elsewhere[story](t, visitor{os.Getenv("WAYPOST_STORY_HTTP"), os.Getenv("WAYPOST_STORY_HTTPS"), os.Getenv("WAYPOST_STORY_CLAIM")})
		return
	}
	host := otherHost(t)
	// As the program comes, but for ports that are free and plain HTTP for the network.
	exposed := []string{"--http", "0.0.0.0:0", "--https", ":0", "--mesh", "127.0.0.1:0"}
	fresh, open := newBox(t, exposed...), openedBox(t, "North gate", exposed...)
	t.Run("warning", func(t *testing.T) { host.tells(t, "warning", fresh) })
	t.Run("trust", func(t *testing.T) { host.tells(t, "trust", open) })
	t.Run("plain", func(t *testing.T) { host.tells(t, "plain", open) })
}

// otherPlace is a network namespace with a cable to this machine.
type otherPlace struct {
	name string
	here netip.Addr // this machine's end of the cable
}

// otherHost lays the cable, and takes it away when the test ends.
func otherHost(t *testing.T) otherPlace {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("a phone on another host needs the program ip (Debian: iproute2)")
	}
	if os.Geteuid() != 0 {
		t.Skip("a phone on another host needs root, to make a network namespace")
	}
	id := make([]byte, 3)
	if _, err := rand.Read(id); err != nil {
		t.Fatal(err)
	}
	tag := hex.EncodeToString(id)
	p := otherPlace{name: "waypost-" + tag}
	if out, err := exec.Command("ip", "netns", "add", p.name).CombinedOutput(); err != nil {
		t.Skipf("a phone on another host needs a kernel that lets root make network namespaces: %s", out)
	}
	// The cable goes with the namespace that holds one end of it.
	t.Cleanup(func() { ip(t, "netns", "del", p.name) })
	if out, err := exec.Command("ip", "netns", "exec", p.name, "true").CombinedOutput(); err != nil {
		t.Skipf("a phone on another host needs a machine that lets root work in a network namespace: %s", out)
	}
	there := freePair(t)
	p.here = there.Prev()
	near, far := "wpn"+tag, "wpf"+tag
	if out, err := exec.Command("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", p.name).CombinedOutput(); err != nil {
		t.Skipf("a phone on another host needs a kernel with veth: %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", near).Run() }) // gone already, mostly
	ip(t, "addr", "add", p.here.String()+"/30", "dev", near)
	ip(t, "link", "set", near, "up")
	ip(t, "-n", p.name, "addr", "add", there.String()+"/30", "dev", far)
	ip(t, "-n", p.name, "link", "set", far, "up")
	ip(t, "-n", p.name, "link", "set", "lo", "up")
	return p
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// freePair is the second of two addresses of a /30 that no interface here uses.
func freePair(t *testing.T) netip.Addr {
	t.Helper()
	used, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		var b [2]byte
		if _, err := rand.Read(b[:]); err != nil {
			t.Fatal(err)
		}
		second := netip.AddrFrom4([4]byte{10, 77, b[0], b[1]&^3 | 2})
		taken := false
		for _, a := range used {
			if n, ok := a.(*net.IPNet); ok {
				taken = taken || n.Contains(net.IP(second.AsSlice())) || netip.PrefixFrom(second, 30).Contains(netip.MustParseAddr(n.IP.String()).Unmap())
			}
		}
		if !taken {
			return second
		}
	}
	t.Skip("a phone on another host needs a free pair of addresses in 10.77.0.0/16")
	return netip.Addr{}
}

// tells runs one story inside the namespace; what happens to it there happens to t.
func (p otherPlace) tells(t *testing.T, story string, b box) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(b.http, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	// The address is the one the box prints, as somebody would read it off the screen.
	printed := regexp.MustCompile(`https://` + regexp.QuoteMeta(p.here.String()) + `:\d+`).FindString(b.said)
	if printed == "" {
		t.Fatalf("the box does not print its address %s:\n%s", p.here, b.said)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ip", "netns", "exec", p.name, self, "-test.run=^TestBrowserFromAnotherHost$", "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), "WAYPOST_STORY="+story, "WAYPOST_STORY_HTTPS="+printed, "WAYPOST_STORY_CLAIM="+b.claim,
		fmt.Sprintf("WAYPOST_STORY_HTTP=http://%s", net.JoinHostPort(p.here.String(), port)))
	out, err := cmd.CombinedOutput()
	switch told := string(out); {
	case err != nil:
		t.Fatalf("%v\n%s", err, told)
	case strings.Contains(told, "--- SKIP"):
		t.Skip(told)
	case !strings.Contains(told, "--- PASS"):
		t.Fatalf("no story was told:\n%s", told)
	}
}
