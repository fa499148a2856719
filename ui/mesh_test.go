package ui

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/staff"
)

func meshView(t *testing.T, tag string) *view {
	t.Helper()
	_, c := gallery(t)
	return &view{Lang: c.For(tag), Now: galleryTime}
}

// well reports whether a drawing is one XML document, and gives its texts.
func well(t *testing.T, svg string) (texts []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
		switch v := tok.(type) {
		case xml.StartElement:
			if !slices.Contains([]string{"svg", "title", "desc", "path", "rect", "circle", "text"}, v.Name.Local) {
				t.Errorf("an element %s", v.Name.Local)
			}
			for _, a := range v.Attr {
				if a.Name.Local == "style" || strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" {
					t.Errorf("an attribute %s", a.Name.Local)
				}
			}
		case xml.CharData:
			texts = append(texts, string(v))
		}
	}
}

// A site's name comes from another box. In the picture it is text, cut to its room, and
// turns nothing around it.
func TestTheNameOfASiteIsOnlyTextInThePicture(t *testing.T) {
	for _, evil := range []string{
		`</text><script>alert(1)</script>`, `"><image href=x onerror=alert(1)>`, `]]><!--`, "a\u202egnp.exe", "&lt;b&gt;", "\x1b[31mred\x00", strings.Repeat("و", 400), "a\u2066b\u2069\u2069\u2069c",
		strings.Repeat("\u0301", 80), "診療所の長い長い長い名前です", "\xff\xfe",
	} {
		st := galleryEight()
		for i := range st.Peers {
			st.Peers[i].Site = evil
		}
		for _, tag := range []string{"en", "ar"} {
			svg := string(meshPicture(meshView(t, tag), st))
			well(t, string(steady([]byte(svg))))
			if strings.Contains(svg, "<script") || strings.Contains(svg, "<image") || strings.Contains(svg, "\u202e") || strings.Count(svg, firstStrongIsolate) != strings.Count(svg, popIsolate) {
				t.Errorf("%q: %s", evil, svg)
			}
			labels := regexp.MustCompile(`<text x="[^"]*" y="[^"]*">([^<]*)</text>`).FindAllStringSubmatch(svg, -1)
			for _, l := range labels {
				if n := cellsOf(l[1]); n > 4*nameCells { // the entities of what was escaped are longer than what is seen
					t.Errorf("%q: a label of %d cells: %q", evil, n, l[1])
				}
			}
			if len(labels) != 9 {
				t.Errorf("%q: %d labels", evil, len(labels))
			}
		}
	}
}

// From none to sixty others, in every language: one drawing, every box in it once, with
// its number, inside the frame.
func TestThePictureHoldsEveryBox(t *testing.T) {
	for _, tag := range []string{"en", "es", "fr", "ar"} {
		w := meshView(t, tag)
		for n := range 61 {
			st := galleryMany(n)
			svg := string(meshPicture(w, st))
			well(t, svg)
			numbers := regexp.MustCompile(`class="no [^"]*" x="([-0-9.]+)" y="([-0-9.]+)">(\d+)<`).FindAllStringSubmatch(svg, -1)
			var width, height float64
			if _, err := fmt.Sscanf(regexp.MustCompile(`viewBox="0 0 ([0-9. ]+)"`).FindStringSubmatch(svg)[1], "%g %g", &width, &height); err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for _, m := range numbers {
				var x, y float64
				if _, err := fmt.Sscan(m[1], &x); err != nil {
					t.Fatal(err)
				}
				if _, err := fmt.Sscan(m[2], &y); err != nil {
					t.Fatal(err)
				}
				if x < 10 || x > width-10 || y < 10 || y > height-4 {
					t.Errorf("%s, %d others: box %s lies at %g,%g of %g,%g", tag, n, m[3], x, y, width, height)
				}
				seen[m[3]] = true
			}
			if len(numbers) != n+1 || len(seen) != n+1 {
				t.Errorf("%s, %d others: %d numbers, %d of them different", tag, n, len(numbers), len(seen))
			}
			if w.Lang.Tag() == "en" && n > 0 && !strings.Contains(svg, "Connected with this box: ") {
				t.Errorf("%d others are not told in words: %s", n, svg)
			}
		}
	}
}

// What the picture shows it also says: each box stands in the words under its state.
func TestThePictureSaysTheSameInWords(t *testing.T) {
	d := &netDrawing{w: meshView(t, "en")}
	for _, p := range galleryEight().Peers {
		d.nodes = append(d.nodes, netNodeOf(d.w, p))
	}
	words := strings.NewReplacer(firstStrongIsolate, "", popIsolate, "").Replace(strings.Join(d.inWords(), "\n"))
	want := `Connected with this box: No. 2 Harbour, No. 3 عيادة الميناء, No. 4 School of the very long name by the old harbour road.
Heard over other posts: No. 5 Bridge, No. 6 Customs.
Away: No. 7 Tent 7, Post 8.
Shut out: No. 9 Quarry.
Have to be looked at: No. 4 School of the very long name by the old harbour road, Post 8.`
	if words != want {
		t.Errorf("\n%s\nwant\n%s", words, want)
	}
	if alone := string(meshPicture(d.w, control.Status{Number: 1})); !strings.Contains(alone, "This box is alone") {
		t.Error(alone)
	}
}

// Right to left the picture turns round; the numbers in it stay where their boxes are.
func TestThePictureIsMirrored(t *testing.T) {
	at := func(tag string, st control.Status) map[string]string {
		out := map[string]string{}
		for _, m := range regexp.MustCompile(`class="no [^"]*" x="([0-9.]+)" y="[0-9.]+">(\d+)<`).FindAllStringSubmatch(string(meshPicture(meshView(t, tag), st)), -1) {
			out[m[2]] = m[1]
		}
		return out
	}
	for _, n := range []int{2, 7, 49} {
		en, ar := at("en", galleryMany(n)), at("ar", galleryMany(n))
		for number, x := range en {
			var a, b float64
			_, _ = fmt.Sscan(x, &a)
			_, _ = fmt.Sscan(ar[number], &b)
			if d := a + b - picWidth; d < -.2 || d > .2 {
				t.Errorf("%d others: box %s lies at %s and %s", n, number, x, ar[number])
			}
		}
	}
}

func TestClocksInWords(t *testing.T) {
	w := meshView(t, "en")
	for _, tt := range []struct {
		off   float64
		sure  bool
		text  string
		wrong bool
	}{
		{.3, true, "as here", false}, {-4.9, true, "as here", false}, {59, true, "59 s ahead", false}, {247, false, "4 min ahead", false}, {300, true, "5 min ahead", false},
		{301, true, "5 min ahead", true}, {-301, true, "5 min behind", true}, {-7200, true, "2 h behind", true}, {1e6, false, "11 d ahead", true},
	} {
		l := clockLineOf(w, &control.PeerClock{Off: tt.off, Sure: tt.sure})
		text := strings.NewReplacer(firstStrongIsolate, "", popIsolate, "").Replace(l.Text)
		if text != tt.text || l.Wrong != tt.wrong || (l.Unsure == "") != tt.sure || !l.Known {
			t.Errorf("%g: %+v", tt.off, l)
		}
	}
	if l := clockLineOf(w, nil); l.Known || l.Wrong || l.Text != "not known" {
		t.Errorf("%+v", l)
	}
}

func TestTheTableSaysTheWorstFirst(t *testing.T) {
	var got []string
	for _, l := range peerLinesOf(meshView(t, "en"), galleryEight(), false) {
		got = append(got, cmp.Or(l.Number, "8")) // 8 has no name yet
	}
	// 8 runs twice; 7 is away; 3, 4 and 6 have something off; 2 and 5 have nothing; 9 is shut out.
	if want := []string{"8", "7", "3", "4", "6", "2", "5", "9"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestThePageOfOnePost(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "Amina", staff.Lead)
	st := galleryEight()
	box.peers, box.forks = st.Peers, st.Forks
	at := func(n int) string { return "/mesh/" + st.Peers[n-2].Node }
	b.get("/mesh").wants(200, `href="`+at(2)+`"`, "has 7 records for us", "heard over others", "not set by anything better", "Logs with two histories", "brings them together", "11 records held back", "/lost/"+st.Peers[7].Node+"/held", `role="img"`)
	b.get(at(2)).wants(200, "Harbour", "3.4 ms", "10.42.0.7:7946", "this box called", "Says it is linked with", "Bridge")
	b.get(at(5)).wants(200, "over ", "Harbour", "Customs").lacks("runs twice")
	b.get(at(4)).wants(200, "locked", "more than five minutes apart", "120\u00a0kB")
	b.get(at(8)).wants(200, "runs twice", "violin", "/mesh#"+st.Peers[6].Node, "from number", "412")
	b.get(at(9)).wants(200, "shut out for good", "11 records held back", "/held").lacks("violin")
	b.get("/mesh/nobody").wants(404)
	in := signedInAs(t, box, s, "Dara", staff.Distributor)
	in.get(at(2)).wants(403)
}

func TestTheMeshForPrograms(t *testing.T) {
	r := newRig(t)
	r.box.peers = append(galleryEight().Peers, control.Peer{Node: "zz", State: "away"})
	var m meshAnswer
	a := r.call(r.key(staff.Coordinator), "GET", "/api/v1/mesh", "")
	a.into(t, &m)
	first, last := m.Nodes[0], m.Nodes[8]
	if len(first.Links) != 2 || len(first.Connections) != 1 || *first.RoundTrip != 3.4 || !first.Clock.Sure || first.Via != "" || len(first.Neighbours) != 3 {
		t.Errorf("%+v", first)
	}
	if m.Nodes[3].State != "relayed" || m.Nodes[3].Via != first.Node || m.Nodes[7].HeldBack != 11 || m.Nodes[7].Standing != "revoked" || !m.Nodes[6].Doubled || !m.Nodes[2].Locked {
		t.Errorf("%s", a.body)
	}
	if last.Connections == nil || last.Neighbours == nil || last.Clock != nil || last.RoundTrip != nil || m.Forks == nil {
		t.Errorf("%s", a.body)
	}
}

func TestSpansOfTime(t *testing.T) {
	w := meshView(t, "en")
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 59 * time.Second: "59 s", time.Minute: "1 min", 119 * time.Minute: "119 min", 2 * time.Hour: "2 h", 47 * time.Hour: "47 h", 48 * time.Hour: "2 d",
	} {
		if got := span(w, d); got != want {
			t.Errorf("%v: %q", d, got)
		}
	}
	for n, want := range map[uint64]string{0: "0\u00a0B", 999: "999\u00a0B", 1200: "1.2\u00a0kB", 34_000_000: "34\u00a0MB", 5_000_000_000_000_000: "5000\u00a0TB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}
