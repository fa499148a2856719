package registration

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"

	"github.com/waypost/waypost/appliance/chunks"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// Photographed is the fact that a person has another photo than before, or none. Its
// subject is the person; its header names the photos its writer saw. The picture
// itself lies in chunks; its keys are here, so that erasing this fact erases it
// everywhere.
type Photographed struct {
	Photo string      `cbor:"1,keyasint,omitempty"` // id of the upload it was; empty: no photo any more
	File  chunks.File `cbor:"2,keyasint,omitzero"`
}

// sound reports whether this is what Upload makes; anything else is as good as not
// written.
func (p *Photographed) sound() bool {
	return len(p.Photo) <= 64 && p.File.Sound() && (p.Photo == "") == (len(p.File.Pieces) == 0)
}

func photographedKind() oplog.Kind {
	return oplog.NewKind[Photographed]("registration.photographed", 1, oplog.Register)
}

// MaxPhotoBytes is the largest photo that Upload takes.
const MaxPhotoBytes = chunks.MaxPhotoBytes

// maxPhoto is the largest photo that is shown, in bytes; ours are about 150 KB. A
// fact of more is another node's mistake.
const maxPhoto = 4 << 20

// maxPhotos is how many photos nobody has chosen between are kept; honest nodes never
// come to that, and a row has to hold them.
const maxPhotos = 8

// fieldPhoto is the public name.
const fieldPhoto = "photo"

// Upload takes in a photo of somebody and returns its id, to be used once as the
// photo of a person within a day. What is kept is a small picture made anew, without
// anything the camera wrote; see chunks.Photo. It is on disk when Upload returns.
// Faults: Denied, Unauthenticated; those of chunks.Photo and chunks.Store.Upload;
// Unavailable "fault.registration.no_photos".
func (d *Desk) Upload(ctx context.Context, actor staff.Actor, image []byte) (string, error) {
	if err := actor.Must(staff.RegisterPeople); err != nil {
		return "", err
	}
	if d.chunks == nil {
		return "", fault.New(fault.Unavailable, "fault.registration.no_photos")
	}
	small, err := chunks.Photo(ctx, d.line, image)
	if err != nil {
		return "", err
	}
	id, _, err := d.chunks.Upload(small, chunks.PhotoType)
	return id, err
}

// Photo is the picture of a person: JPEG. which is one of several in conflict, empty
// for the one that is shown. Faults: Denied; NotFound "fault.registration.no_person"
// and "fault.registration.no_photo"; Unavailable "fault.registration.photo_coming"
// while it is on its way from another node, and those of the disk.
func (d *Desk) Photo(_ context.Context, actor staff.Actor, id oplog.ID, which string) ([]byte, error) {
	if err := actor.Must(staff.ReadPeople); err != nil {
		return nil, err
	}
	photos, err := d.photos(id)
	if err != nil {
		return nil, err
	}
	var f chunks.File
	for _, p := range photos {
		if p.Photo != "" && (which == "" || p.Photo == which) {
			f = p.File
		}
	}
	if which == "" && len(photos) > 0 && photos[len(photos)-1].Photo == "" {
		f = chunks.File{} // the one that is shown is none
	}
	if len(f.Pieces) == 0 || f.Type != chunks.PhotoType || f.Size > maxPhoto || d.chunks == nil {
		return nil, fault.New(fault.NotFound, "fault.registration.no_photo")
	}
	image, err := d.chunks.Load(f)
	if fault.ClassOf(err) == fault.NotFound {
		return nil, fault.New(fault.Unavailable, "fault.registration.photo_coming").Wrap(err)
	}
	return image, err
}

// PhotoHere tells whether the photo of a record can be shown now.
func (d *Desk) PhotoHere(r Record) bool {
	photos, err := d.photos(r.ID)
	if err != nil || len(photos) == 0 || d.chunks == nil {
		return false
	}
	last := photos[len(photos)-1]
	return last.Photo != "" && d.chunks.Whole(last.File)
}

// photos are a person's current photos; the last one is shown.
func (d *Desk) photos(id oplog.ID) (photos []Photographed, err error) {
	err = d.log.View(func(r oplog.Reader) error {
		_, ok, err := readPerson(r, id)
		if err == nil && !ok {
			err = errNoPerson()
		}
		if err != nil {
			return err
		}
		photos, err = readPhotos(r, id)
		return err
	})
	return photos, err
}

func readPhotos(r oplog.Reader, id oplog.ID) ([]Photographed, error) {
	var photos []Photographed
	_, err := readRow(r, id, rowPhotos, &photos)
	return photos, err
}

// pieceKey is the row that says that a person's photo needs a piece.
func pieceKey(id chunks.ID) []byte { return append([]byte{rowPiece}, id[:]...) }

// photoRows are what the current photos add to a person's rows. Beside the photos
// themselves each piece gets a row, with the logical clock of its fact.
func (f *folded) photoRows() []oplog.Row {
	var photos []Photographed
	var rows []oplog.Row
	seen := map[chunks.ID]bool{}
	heads := f.heads[regPhoto]
	for _, op := range heads[max(len(heads)-maxPhotos, 0):] {
		p := oplog.Body[Photographed](op)
		photos = append(photos, *p)
		for _, piece := range p.File.Pieces {
			if !seen[piece.ID] {
				seen[piece.ID] = true
				rows = append(rows, oplog.Row{Key: pieceKey(piece.ID), Value: binary.BigEndian.AppendUint64(nil, op.Clock)})
			}
		}
	}
	if len(photos) == 0 || len(photos) == 1 && photos[0].Photo == "" {
		return nil
	}
	return append(rows, oplog.Row{Key: []byte{rowPhotos}, Value: encoded(photos)})
}

// photoIn is the photo an op gives; empty for none.
func photoIn(op oplog.Op) string {
	if p := oplog.Body[Photographed](op); p != nil {
		return p.Photo
	}
	return ""
}

// uploaded is an upload that was looked up before the writer's turn; a command that
// was carried out before needs none, so what is wrong is told later.
type uploaded struct {
	id   string
	file chunks.File
	err  error
}

func (d *Desk) uploaded(id string) uploaded {
	u := uploaded{id: id}
	if id == "" {
		return u
	}
	if d.chunks == nil {
		u.err = fault.New(fault.Unavailable, "fault.registration.no_photos")
		return u
	}
	u.file, u.err = d.chunks.Uploaded(id)
	return u
}

// photograph gives the person an upload as their photo. field names it in a fault.
// An upload serves one person only, or erasing one would take the other's photo.
func (d *Desk) photograph(tx *oplog.Tx, person oplog.ID, u uploaded, field string, instead ...oplog.Ref) error {
	wrong := fault.New(fault.Invalid, "fault.registration.invalid").With(field, "registration.problem.photo")
	switch {
	case fault.ClassOf(u.err) == fault.NotFound:
		return wrong.Wrap(u.err)
	case u.err != nil:
		return u.err
	case len(u.file.Pieces) == 0 || !d.chunks.Whole(u.file):
		return wrong
	}
	used, err := named(tx, u.file.Pieces[0].ID)
	if err != nil {
		return err
	}
	if used {
		return wrong
	}
	_, err = tx.Append(photographedKind(), person, &Photographed{Photo: u.id, File: u.file}, instead...)
	return err
}

// named asks the register whether any person's photo needs a piece.
func named(r oplog.Reader, id chunks.ID) (found bool, err error) {
	err = r.Rows(registerView, pieceKey(id), nil, func([]byte, oplog.ID, []byte) error {
		found = true
		return oplog.ErrStop
	})
	if errors.Is(err, oplog.ErrStop) {
		err = nil
	}
	return found, err
}

// settle forgets uploads that are photos of people now.
func (d *Desk) settle(uploads ...uploaded) {
	for _, u := range uploads {
		if u.id != "" && u.err == nil {
			d.chunks.Settle(u.id)
		}
	}
}

// photoPatch is what a correction says about the photo, apart from its other fields.
type photoPatch struct {
	named  bool
	upload uploaded // none: take the photo away
}

// takePhoto splits the photo off a patch, which stays as it was.
func (d *Desk) takePhoto(patch Patch) (Patch, photoPatch, error) {
	raw, ok := patch.Fields[fieldPhoto]
	if !ok {
		return patch, photoPatch{}, nil
	}
	var id *string
	if err := json.Unmarshal(raw, &id); err != nil {
		return patch, photoPatch{}, fault.New(fault.Invalid, "fault.registration.invalid").With(fieldPhoto, "registration.problem.type")
	}
	rest := Patch{Seen: patch.Seen, Fields: map[string]json.RawMessage{}}
	for name, value := range patch.Fields {
		if name != fieldPhoto {
			rest.Fields[name] = value
		}
	}
	p := photoPatch{named: true}
	if id != nil {
		p.upload = d.uploaded(*id)
	}
	return rest, p, nil
}

// changes reports whether a person gets another photo by it.
func (p photoPatch) changes(was *folded) bool {
	return p.named && (p.upload.id != was.photo.Photo || was.inConflict(regPhoto))
}

// apply writes the photo of a correction. One of several in conflict may be chosen
// again by its id.
func (p photoPatch) apply(d *Desk, tx *oplog.Tx, person oplog.ID, was *folded) error {
	refs := was.refs(regPhoto)
	if p.upload.id == "" {
		_, err := tx.Append(photographedKind(), person, &Photographed{}, refs...)
		return err
	}
	for _, op := range was.heads[regPhoto] {
		if old := oplog.Body[Photographed](op); old.Photo == p.upload.id {
			_, err := tx.Append(photographedKind(), person, old, refs...)
			return err
		}
	}
	return d.photograph(tx, person, p.upload, fieldPhoto, refs...)
}

// needPhotos tells the chunks which pieces the register names, once at the start.
func (d *Desk) needPhotos() error {
	if d.chunks == nil {
		return nil
	}
	d.chunks.SetNamed(func(id chunks.ID) (found bool, err error) {
		err = d.log.View(func(r oplog.Reader) error { found, err = named(r, id); return err })
		return found, err
	})
	return d.pieces()
}

// pieces tells them of every piece the views name.
func (d *Desk) pieces() error {
	if d.chunks == nil {
		return nil
	}
	return d.log.View(func(r oplog.Reader) error {
		return r.Rows(registerView, []byte{rowPiece}, nil, func(key []byte, person oplog.ID, value []byte) error {
			if len(key) == 1+len(chunks.ID{}) && len(value) == 8 {
				d.index.photo(person, chunks.ID(key[1:]))
				d.chunks.Need(binary.BigEndian.Uint64(value), chunks.ID(key[1:]))
			}
			return nil
		})
	})
}

// needPhotosOf does the same for somebody who was just changed.
func (d *Desk) needPhotosOf(r oplog.Reader, person oplog.ID) {
	if d.chunks == nil {
		return
	}
	photos, err := readPhotos(r, person)
	if err != nil {
		d.logger.Error("registration: photo not looked for", "person", person, "err", err)
	}
	for _, p := range photos {
		for _, id := range p.File.IDs() {
			clock, ok, err := r.Row(registerView, person, pieceKey(id))
			if err != nil || !ok || len(clock) != 8 {
				continue // the next start finds it
			}
			d.index.photo(person, id)
			d.chunks.Need(binary.BigEndian.Uint64(clock), id)
		}
	}
}

// Erased deletes the photos of people who were erased, whose facts need not be there
// any more. Their keys are gone with the facts: this is tidying up, and what it does
// not reach goes when nobody has named it for some days. Hand it to whoever erases.
func (d *Desk) Erased(people ...oplog.ID) {
	if d.chunks == nil {
		return
	}
	for _, person := range people {
		d.leavePhotos(person)
		d.chunks.DropOf(person.String())
	}
}

// leavePhotos notes whose photos these were when a person is no longer in the
// register: hidden, or erased. It may run inside the writer.
func (d *Desk) leavePhotos(person oplog.ID) {
	if d.chunks == nil {
		return
	}
	var ids []chunks.ID
	for _, id := range d.index.forgetPhotos(person) {
		if others, err := d.namedByOthers(id, person); err == nil && !others {
			ids = append(ids, id)
		}
	}
	if err := d.chunks.Leave(person.String(), ids...); err != nil {
		d.logger.Warn("registration: photos of somebody who is gone wait for the sweep", "person", person, "err", err)
	}
}

// namedByOthers keeps a node that names somebody else's piece in a fact of its own
// from having it deleted.
func (d *Desk) namedByOthers(id chunks.ID, person oplog.ID) (found bool, err error) {
	err = d.log.View(func(r oplog.Reader) error {
		return r.Rows(registerView, pieceKey(id), nil, func(_ []byte, subject oplog.ID, _ []byte) error {
			found = found || subject != person
			return nil
		})
	})
	return found, err
}
