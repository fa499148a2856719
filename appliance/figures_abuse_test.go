package main

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The figures of abuse: what somebody on the camp's Wi-Fi can do to the box and to the
// people who work with it. Attackers have eight addresses of their own, so that the
// limits for one address are not all that holds.
const (
	attackers   = 8
	attackTime  = 6 * time.Second
	slowConns   = 500
	abuseMemory = 32.0 // MB more than the most a box takes while one person looks
)

// abusing measures every attack in turn, beside somebody who looks for people. Each meets a
// box that was just started, and what it takes is held against the most that looking alone
// takes; so a figure is one attack's and not the collector's of the one before. A box that
// meets them one after the other grows by more: 111 MB were seen.
func (f *figures) abusing(which string) {
	if !canNet() {
		f.note("Abuse was not measured: network namespaces are not allowed here.")
		return
	}
	l, err := newLAN("box", "phone", "bad")
	f.t.Cleanup(l.remove)
	f.check(err)
	for i := range attackers - 1 {
		f.check(ip("-n", l.space("bad"), "addr", "add", fmt.Sprintf("10.77.0.%d/24", 100+i), "dev", "eth0"))
	}
	s := f.serveTo(l, f.found("abused"))
	c := s.program("registrar")
	for i := range 50 {
		line := l.in("box", "api", "-want", "201", "-key", c.key, "POST", s.http+"/api/v1/people", fmt.Sprintf(`{"given_name":"Abused %d"}`, i))
		if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
			f.t.Fatalf("%v %s", err, out)
		}
	}
	target := net.JoinHostPort(l.addr("box"), "8443")
	usual := s.watchMost() // what work takes by itself: the collector lets it grow and shrink
	quiet := f.looking(l, target, c.key, "")
	before := usual()
	var worst, more float64
	var each []string
	dir := s.dir
	for _, attack := range attacksOf(which) {
		s.stop() // what one attack left is not the next one's
		s = f.serveTo(l, dir)
		stop := s.watchMost()
		p99 := f.looking(l, target, c.key, attack)
		grown := stop() - before
		worst = max(worst, p99)
		if attack == "guessing" {
			f.row("more memory while words are guessed", "<= 64 MB, what one try takes, and 32", fmt.Sprintf("%.0f MB", grown), grown <= 64+abuseMemory)
		} else {
			more = max(more, grown)
		}
		each = append(each, fmt.Sprintf("%s %.0f ms %+.0f MB", attack, p99, grown))
	}
	f.row("others' 99th percentile while the box is attacked", "<= 1000 ms", fmt.Sprintf("%.0f ms at worst, %.0f ms before (%s)", worst, quiet, strings.Join(each, ", ")), worst <= 1000)
	f.row("more memory while it is attacked", "<= 32 MB", fmt.Sprintf("%.0f MB more at most than the %.0f MB while one person looks", more, before), more <= abuseMemory)
}

// attacksOf are all there are, or those of "abuse:name,name".
func attacksOf(which string) []string {
	if _, some, ok := strings.Cut(which, ":"); ok {
		return strings.Split(some, ",")
	}
	return abuseNames()
}

// serveTo starts a node in its own network, with pages for all of it.
func (f *figures) serveTo(l *lan, dir string) *served {
	return f.serveWith(dir, l.in("box", f.bin, "serve", "--data", dir, "--passphrase-file", f.secret, "--http", "127.0.0.1:0", "--https", ":8443", "--mesh", ":0"))
}

// watchMost looks at the memory until the function it gives is called, which says the
// most it saw, in MB.
func (s *served) watchMost() func() float64 {
	done, most := make(chan struct{}), make(chan float64)
	go func() {
		top := 0.0
		for {
			now, _ := s.memory()
			top = max(top, now)
			select {
			case <-done:
				most <- top
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() float64 { close(done); return <-most }
}

// looking runs an attack, if any, and gives the 99th percentile in milliseconds of
// somebody who looks for people meanwhile.
func (f *figures) looking(l *lan, target, key, attack string) float64 {
	f.t.Helper()
	var bad *exec.Cmd
	if attack != "" {
		bad = f.beside(l, "bad", attack, target, key)
		f.check(bad.Start())
	}
	out, err := f.beside(l, "phone", "look", target, key).CombinedOutput()
	if bad != nil {
		_ = bad.Wait()
	}
	if err != nil {
		f.t.Fatalf("while %s: %v\n%s", attack, err, out)
	}
	var p99 float64
	if _, err := fmt.Sscanf(string(out[bytes.Index(out, []byte("p99 ")):]), "p99 %f", &p99); err != nil {
		f.t.Fatalf("%v: %s", err, out)
	}
	return p99
}

func (f *figures) beside(l *lan, where, what, target, key string) *exec.Cmd {
	self, err := filepath.Abs(os.Args[0])
	f.check(err)
	line := l.in(where, self, "-test.run", "^TestAbuseChild$", "-test.v")
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = append(os.Environ(), "WAYPOST_ABUSE="+what, "WAYPOST_TARGET="+target, "WAYPOST_KEY="+key)
	return cmd
}

// abuse is one who attacks, or looks.
type abuse struct {
	t           *testing.T
	target, key string
	end         time.Time
}

// TestAbuseChild is one side of the figures of abuse, in a process and network of its own.
func TestAbuseChild(t *testing.T) {
	what := os.Getenv("WAYPOST_ABUSE")
	if what == "" {
		t.Skip("TestFigures runs it")
	}
	a := &abuse{t: t, target: os.Getenv("WAYPOST_TARGET"), key: os.Getenv("WAYPOST_KEY"), end: time.Now().Add(attackTime)}
	if what == "look" {
		a.look()
		return
	}
	a.attacks()[what]()
}

func abuseNames() []string {
	return []string{"gzip", "brotli", "parts", "deep", "wide", "list", "names", "few", "picture", "noise", "parcel", "slow-full", "slow-keyed", "slow-head", "slow-body", "silent", "guessing"}
}

func (a *abuse) attacks() map[string]func() {
	deep := strings.Repeat(`{"a":`, 100_000) + strings.Repeat("}", 100_000)
	keyed := func(path, kind string, body []byte) func() {
		return func() { a.posts(path, body, "Content-Type", kind, "Authorization", "Bearer "+a.key) }
	}
	return map[string]func(){
		"wide":   keyed("/api/v1/people", "application/json", []byte(`{"given_name":"`+strings.Repeat("a", 700_000)+`"}`)),
		"list":   keyed("/api/v1/people", "application/json", []byte(`{"needs":["a"`+strings.Repeat(`,"a"`, 170_000)+`]}`)),
		"names":  keyed("/api/v1/people", "application/json", manyNames()),
		"few":    keyed("/api/v1/people", "application/json", []byte(`{"given_name":"`+strings.Repeat("a", 60_000)+`"}`)),
		"noise":  keyed("/api/v1/tokens/photo", "image/jpeg", slices.Concat([]byte("\xff\xd8\xff\xe0"), noise(8<<20))),
		"parcel": keyed("/api/v1/uploads", "image/jpeg", slices.Concat([]byte("\xff\xd8\xff\xe0"), noise(8<<20))),
		"slow-full": func() {
			a.hold("POST /signin HTTP/1.1\r\nHost: waypost.internal\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\nuser="+strings.Repeat("a", 59_900), "u")
		},
		"slow-keyed": func() {
			a.hold("POST /api/v1/people HTTP/1.1\r\nHost: waypost.internal\r\nAuthorization: Bearer "+a.key+"\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n"+strings.Repeat(" ", 59_900), " ")
		},
		"gzip": func() {
			a.posts("/api/v1/people", swollen(), "Content-Encoding", "gzip", "Content-Type", "application/json")
		},
		"brotli": func() {
			a.posts("/signin", swollen(), "Content-Encoding", "br", "Content-Type", "application/x-www-form-urlencoded")
		},
		"parts": func() { a.posts("/verify/photo", manyParts()) },
		"deep": func() {
			a.posts("/api/v1/people", []byte(deep), "Content-Type", "application/json", "Authorization", "Bearer "+a.key)
		},
		"picture": func() {
			a.posts("/api/v1/tokens/photo", hugePicture(), "Content-Type", "image/png", "Authorization", "Bearer "+a.key)
		},
		"slow-head": func() { a.hold("GET / HTTP/1.1\r\nHost: waypost.internal\r\nX-Slow: ", "a") },
		"slow-body": func() {
			a.hold("POST /signin HTTP/1.1\r\nHost: waypost.internal\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\n", "u")
		},
		"silent": func() { a.hold("", "") },
		"guessing": func() {
			a.posts("/signin", []byte("user=amina&passphrase=wrong+words+for+this"), "Content-Type", "application/x-www-form-urlencoded", "Origin", "https://"+a.target)
		},
	}
}

// from is an address of the attacker, another one each time.
func from(i int) net.Addr {
	if i%attackers == 0 {
		return nil
	}
	return &net.TCPAddr{IP: net.IPv4(10, 77, 0, byte(99+i%attackers))}
}

func (a *abuse) client(i int) *http.Client {
	d := &net.Dialer{LocalAddr: from(i), Timeout: 5 * time.Second}
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DialContext: d.DialContext, DisableCompression: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // an attacker does not care
	}}
}

// posts sends the same again and again, by 32 at once.
func (a *abuse) posts(path string, body []byte, headers ...string) {
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			c := a.client(i)
			for time.Now().Before(a.end) {
				req, err := http.NewRequest("POST", "https://"+a.target+path, bytes.NewReader(body))
				if err != nil {
					a.t.Error(err)
					return
				}
				req.Header.Set("Content-Type", "multipart/form-data; boundary=wpx")
				for h := 0; h+1 < len(headers); h += 2 {
					req.Header.Set(headers[h], headers[h+1])
				}
				resp, err := c.Do(req)
				if err != nil {
					continue // refused: what it is for
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
	all.Wait()
}

// hold opens connections and says something on each now and then, without an end.
func (a *abuse) hold(begin, more string) {
	var all sync.WaitGroup
	for i := range slowConns {
		all.Go(func() {
			for time.Now().Before(a.end) {
				d := &tls.Dialer{NetDialer: &net.Dialer{LocalAddr: from(i), Timeout: 5 * time.Second}, Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // an attacker does not care
				conn, err := d.Dial("tcp", a.target)
				if err != nil {
					time.Sleep(100 * time.Millisecond)
					continue
				}
				_, err = io.WriteString(conn, begin)
				for err == nil && time.Now().Before(a.end) {
					time.Sleep(500 * time.Millisecond)
					_, err = io.WriteString(conn, more)
				}
				_ = conn.Close()
			}
		})
	}
	all.Wait()
}

// look searches 15 times a second and says how long the slowest hundredth took. Every
// fifth time it comes over a new connection, as a phone does that was in a pocket.
func (a *abuse) look() {
	c := a.client(0)
	var took []time.Duration
	for i := 0; time.Now().Before(a.end.Add(-500 * time.Millisecond)); i++ {
		if i%5 == 0 {
			c.CloseIdleConnections()
		}
		req, err := http.NewRequest("GET", "https://"+a.target+"/api/v1/people?q=Abused", nil)
		if err != nil {
			a.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+a.key)
		began := time.Now()
		resp, err := c.Do(req)
		if err != nil {
			a.t.Logf("no answer: %v", err)
			took = append(took, 20*time.Second)
			continue
		}
		raw, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		took = append(took, time.Since(began))
		var list struct{ Items []json.RawMessage }
		if resp.StatusCode != 200 || json.Unmarshal(raw, &list) != nil || len(list.Items) == 0 {
			a.t.Fatalf("%s %s", resp.Status, raw)
		}
		time.Sleep(66 * time.Millisecond)
	}
	slices.Sort(took)
	fmt.Printf("p99 %.1f ms of %d, most %.1f ms\n", took[len(took)*99/100].Seconds()*1000, len(took), took[len(took)-1].Seconds()*1000)
}

// swollen is 200 MB of zeros in 200 KB.
func swollen() []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	zeros := make([]byte, 1<<20)
	for range 200 {
		_, _ = w.Write(zeros)
	}
	_ = w.Close()
	return b.Bytes()
}

// manyParts is a form of 10,000 parts.
func manyParts() []byte {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	_ = w.SetBoundary("wpx")
	for i := range 10_000 {
		p, _ := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name="f%d"`, i)}})
		_, _ = p.Write([]byte("x"))
	}
	_ = w.Close()
	return b.Bytes()
}

// hugePicture is the head of a PNG of 50,000 by 50,000 points.
func hugePicture() []byte {
	b := []byte("\x89PNG\r\n\x1a\n")
	head := []byte("IHDR\x00\x00\xc3\x50\x00\x00\xc3\x50\x08\x06\x00\x00\x00")
	b = append(b, 0, 0, 0, 13)
	b = append(b, head...)
	sum := crc32.ChecksumIEEE(head)
	b = append(b, byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
	return append(b, make([]byte, 100<<10)...)
}

// manyNames is an object of 60,000 names.
func manyNames() []byte {
	b := []byte("{")
	for i := range 60_000 {
		b = fmt.Appendf(b, `"n%x":1,`, i)
	}
	return append(b, `"z":1}`...)
}

// noise is as many bytes that are the same every time and nothing else.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}
