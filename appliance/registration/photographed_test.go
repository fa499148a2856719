package registration

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/chunks"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/staff"
)

func someFile(photo string, n byte) *Photographed {
	return &Photographed{Photo: photo, File: chunks.File{Type: chunks.PhotoType, Size: 9, Pieces: []chunks.Piece{{ID: [32]byte{n}, Key: [32]byte{n}, Size: 9}}}}
}

// studio is a desk with photos on disk.
type studio struct {
	site
	photos *chunks.Store
	dir    string
	free   uint64
}

func openStudio(t testing.TB, log *oplog.Log, dir string) *studio {
	t.Helper()
	s := &studio{dir: dir, free: 1 << 40}
	var err error
	s.photos, err = chunks.Open(chunks.Options{Dir: dir, FreeSpace: func() (uint64, error) { return s.free, nil }})
	if err != nil {
		t.Fatal(err)
	}
	s.log = log
	s.desk, err = Open(log, Options{Clock: clock.NewFake(testDay), Chunks: s.photos})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func studios(t testing.TB, n int) []*studio {
	t.Helper()
	first := oplogtest.NewAuthority(t)
	out := make([]*studio, n)
	for i := range out {
		a := first
		if i > 0 {
			a = first.Peer(t)
		}
		out[i] = openStudio(t, oplogtest.Node(t, a, Kinds(), Views()), filepath.Join(t.TempDir(), "chunks"))
	}
	return out
}

func snapshot(t testing.TB, shade uint8) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 60, 80))
	for i := range img.Pix {
		img.Pix[i] = shade
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (s *studio) upload(t testing.TB, shade uint8) string {
	t.Helper()
	id, err := s.desk.Upload(context.Background(), clerk, snapshot(t, shade))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// shade of the photo that is shown; -1 without one.
func (s *studio) shade(t testing.TB, id oplog.ID, which string) int {
	t.Helper()
	b, err := s.desk.Photo(context.Background(), clerk, id, which)
	if err != nil {
		return -1
	}
	img, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return int(color.GrayModel.Convert(img.At(30, 40)).(color.Gray).Y)
}

func (s *studio) correct(t testing.TB, id oplog.ID, js, seen string) Record {
	t.Helper()
	p := patch(t, js)
	p.Seen = seen
	r, err := s.desk.Correct(context.Background(), clerk, id, p, Request{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// bring carries what s wants from another store, as the mesh does.
func (s *studio) bring(t testing.TB, from *studio) int {
	t.Helper()
	n := 0
	for _, id := range s.photos.Wanted(100, func([32]byte) bool { return false }) {
		b, err := from.photos.Get(id)
		if err != nil {
			continue
		}
		if err := s.photos.Put(id, b); err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestAPhotoIsShownReplacedAndTakenAway(t *testing.T) {
	s := studios(t, 1)[0]
	ctx := context.Background()
	up := s.upload(t, 40)
	id := add(t, s.desk, Person{GivenName: "Ana", Photo: up})
	r := get(t, s.desk, id)
	if r.Photo != up || !s.desk.PhotoHere(r) || s.shade(t, id, "") > 60 {
		t.Fatalf("%q %d", r.Photo, s.shade(t, id, ""))
	}
	ops := s.log.Stats().Ops
	if r = s.correct(t, id, `{"photo":"`+up+`"}`, ""); s.log.Stats().Ops != ops || r.Photo != up {
		t.Fatal("the same photo again was written")
	}
	next := s.upload(t, 200)
	if r = s.correct(t, id, `{"photo":"`+next+`","phone":"555 12"}`, r.Version); r.Photo != next || r.Phone == "" || len(r.Conflicts) > 0 || s.shade(t, id, "") < 180 {
		t.Fatalf("%+v", r.Conflicts)
	}
	if _, err := s.desk.Photo(ctx, clerk, id, up); fault.ClassOf(err) != fault.NotFound {
		t.Fatalf("a photo that was replaced is shown: %v", err)
	}
	if r = s.correct(t, id, `{"photo":null}`, ""); r.Photo != "" || s.shade(t, id, "") >= 0 {
		t.Fatal("still there")
	}
	ops = s.log.Stats().Ops
	if s.correct(t, id, `{"photo":""}`, ""); s.log.Stats().Ops != ops {
		t.Fatal("no photo was taken away twice")
	}
	info := staff.Actor{ID: oplog.By{3}, Role: staff.Information}
	_, err := s.desk.Photo(ctx, info, id, "")
	wantFault(t, err, fault.Denied, "fault.staff.not_allowed")
	_, err = s.desk.Upload(ctx, info, snapshot(t, 1))
	wantFault(t, err, fault.Denied, "fault.staff.not_allowed")
	none, _ := openDesk(t)
	_, err = none.Upload(ctx, clerk, snapshot(t, 1))
	wantFault(t, err, fault.Unavailable, "fault.registration.no_photos")
}

func TestAnUploadServesOnePerson(t *testing.T) {
	s := studios(t, 1)[0]
	ctx := context.Background()
	up := s.upload(t, 40)
	refused := func(p Person) {
		t.Helper()
		before := s.log.Stats().Ops
		_, err := s.desk.Add(ctx, clerk, p, Request{})
		if f := fault.Of(err); f == nil || len(f.Fields) != 1 || f.Fields[0].Name != "photo" || s.log.Stats().Ops != before {
			t.Fatalf("%v, %d written", err, s.log.Stats().Ops-before)
		}
	}
	refused(Person{GivenName: "X", Photo: strings.Repeat("0", 32)})
	refused(Person{GivenName: "X", Photo: "../../keys"})
	two := NewHousehold{Members: []Person{{GivenName: "A", Photo: up}, {GivenName: "B", Photo: up}}}
	before := s.log.Stats().Ops
	_, err := s.desk.AddHousehold(ctx, clerk, two, Request{})
	if f := fault.Of(err); f == nil || len(f.Fields) != 1 || f.Fields[0].Name != "members.1.photo" || s.log.Stats().Ops != before {
		t.Fatal(err)
	}
	two.Members[1].Photo = s.upload(t, 200)
	key := Request{Key: "k"}
	h, err := s.desk.AddHousehold(ctx, clerk, two, key)
	if err != nil || s.shade(t, h.Members[0], "") > 60 || s.shade(t, h.Members[1], "") < 180 {
		t.Fatal(err)
	}
	// The same request again is answered, though its uploads are used up by now.
	if again, err := s.desk.AddHousehold(ctx, clerk, two, key); err != nil || again.ID != h.ID {
		t.Fatal(err)
	}
	refused(Person{GivenName: "X", Photo: up})
}

// The box falls between the upload and the registration, and again after it: nothing
// that was answered is lost, and no op names what is not on the disk.
func TestPiecesComeBeforeTheirOp(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "chunks")
	log := oplogtest.Harness(t, Kinds(), Views())
	s := openStudio(t, log, dir)
	up := s.upload(t, 40)
	s = openStudio(t, log, dir)
	id := add(t, s.desk, Person{GivenName: "Ana", Photo: up})
	s = openStudio(t, log, dir)
	if s.shade(t, id, "") < 0 || s.photos.Stats().Lacking != 0 {
		t.Fatal("lost")
	}
	s.free = 1 << 20
	ops := s.log.Stats().Ops
	_, err := s.desk.Upload(context.Background(), clerk, snapshot(t, 90))
	wantFault(t, err, fault.Full, "fault.chunks.no_room")
	if add(t, s.desk, Person{GivenName: "Still registered"}); s.log.Stats().Ops != ops+1 {
		t.Fatal("no room for photos stopped a registration")
	}
	up = func() string { s.free = 1 << 40; return s.upload(t, 90) }()
	file, err := s.photos.Uploaded(up)
	if err != nil {
		t.Fatal(err)
	}
	s.photos.Drop(file.IDs()...)
	if _, err := s.desk.Add(context.Background(), clerk, Person{GivenName: "X", Photo: up}, Request{}); fault.ClassOf(err) != fault.Invalid {
		t.Fatalf("an op names what is not here: %v", err)
	}
}

func TestPhotosOfOtherSitesComeAndGo(t *testing.T) {
	s := studios(t, 2)
	a, b := s[0], s[1]
	ctx := context.Background()
	id := add(t, a.desk, Person{GivenName: "Ana", Photo: a.upload(t, 40)})
	b.pull(t, a.site, 100)
	r := get(t, b.desk, id)
	_, err := b.desk.Photo(ctx, clerk, id, "")
	wantFault(t, err, fault.Unavailable, "fault.registration.photo_coming")
	if b.desk.PhotoHere(r) || b.photos.Stats().Lacking != 1 {
		t.Fatal("it cannot be here yet")
	}
	b = openStudio(t, b.log, b.dir) // what is lacking is known again after a restart
	if n := b.bring(t, a); n != 1 || b.shade(t, id, "") > 60 || !b.desk.PhotoHere(r) {
		t.Fatalf("%d came", n)
	}

	// Both replace it without knowing of each other: both are kept until somebody
	// chooses, at either site.
	a.correct(t, id, `{"photo":"`+a.upload(t, 120)+`"}`, "")
	b.correct(t, id, `{"photo":"`+b.upload(t, 220)+`"}`, "")
	a.pull(t, b.site, 100)
	b.pull(t, a.site, 100)
	same(t, []site{a.site, b.site})
	a.bring(t, b)
	b.bring(t, a)
	r = get(t, a.desk, id)
	if len(r.Conflicts) != 1 || r.Conflicts[0].Field != "photo" || len(r.Conflicts[0].Versions) != 2 {
		t.Fatalf("%+v", r.Conflicts)
	}
	first := r.Conflicts[0].Versions[0].Value.(string)
	shade := a.shade(t, id, first)
	if shade < 0 || b.shade(t, id, first) != shade || r.Photo == first {
		t.Fatal("the one that is not shown cannot be looked at")
	}
	a.correct(t, id, `{"photo":"`+first+`"}`, r.Version)
	b.pull(t, a.site, 100)
	same(t, []site{a.site, b.site})
	if r = get(t, b.desk, id); len(r.Conflicts) > 0 || r.Photo != first || b.shade(t, id, "") != shade {
		t.Fatalf("%+v", r.Conflicts)
	}

	// Erased: the pieces go, those of others stay.
	other := add(t, b.desk, Person{GivenName: "Ben", Photo: b.upload(t, 70)})
	held := b.photos.Stats().Held
	b.desk.Erased(other)
	if b.photos.Stats().Held != held-1 || b.shade(t, id, "") != shade || b.shade(t, other, "") >= 0 {
		t.Fatal("the wrong pieces went")
	}
}

// A node names somebody else's piece in a fact of its own; erasing its person does not
// take the other's photo.
func TestAStolenPieceIsNotErased(t *testing.T) {
	s := studios(t, 1)[0]
	id := add(t, s.desk, Person{GivenName: "Ana", Photo: s.upload(t, 40)})
	thief := add(t, s.desk, Person{GivenName: "Thief"})
	photos, err := s.desk.photos(id)
	if err != nil {
		t.Fatal(err)
	}
	err = s.log.Do(context.Background(), oplog.By{}, func(tx *oplog.Tx) error {
		_, err := tx.Append(photographedKind(), thief, &photos[0])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.desk.Erased(thief)
	if s.shade(t, id, "") < 0 {
		t.Fatal("gone")
	}
}
