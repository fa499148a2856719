package sealed

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// TextsWithKeyOf opens a file with somebody's key and asks nobody whether they may.
func (d *Desk) TextsWithKeyOf(t testing.TB, s staff.Session, id oplog.ID) string {
	t.Helper()
	var out []string
	err := d.holding(s, func(mine *ecdh.PrivateKey, h held) error {
		payloads, err := d.payloads(id)
		if err != nil {
			return err
		}
		who, err := d.people()
		if err != nil {
			return err
		}
		if f := d.read(id, payloads, s.Actor, mine, h, nil, who); f != nil {
			for _, l := range f.public(s.Actor.ID, who).Lines {
				out = append(out, l.Text)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, "|")
}

// all are the ids of every sealed subject.
func (d *Desk) all(t testing.TB) (out []oplog.ID) {
	t.Helper()
	return d.candidates(glassRequest{})
}

// TextsOfAll is everything somebody can open, with the rules.
func (d *Desk) TextsOfAll(t testing.TB, s staff.Session) string {
	t.Helper()
	var out []string
	for _, id := range d.all(t) {
		f, who, err := d.load(s, id)
		if err != nil {
			continue
		}
		for _, l := range f.public(s.Actor.ID, who).Lines {
			if l.Text != "" {
				out = append(out, l.Text)
			}
		}
	}
	return strings.Join(out, "|")
}

// kept are keys that a program of somebody's own kept when they left.
var kept = map[staff.ID]*ecdh.PrivateKey{}

// KeepKeyOf keeps somebody's key.
func KeepKeyOf(t testing.TB, s staff.Session) {
	t.Helper()
	if err := s.WithSealKey(func(k *ecdh.PrivateKey) error { kept[s.Actor.ID] = k; return nil }); err != nil {
		t.Fatal(err)
	}
}

// TextsWithEveryKeyOf opens what the keys of an account open that may have ended, every
// seed it was given included; by is somebody who can still ask.
func (d *Desk) TextsWithEveryKeyOf(t testing.TB, s, by staff.Session) string {
	t.Helper()
	mine := kept[s.Actor.ID]
	if mine == nil {
		t.Fatal("that key was not kept")
	}
	h, err := d.seeds(s.Actor, mine)
	if err != nil {
		t.Fatal(err)
	}
	if len(h) == 0 {
		t.Fatal("no seed was ever given to them")
	}
	who, err := d.people()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, id := range d.all(t) {
		payloads, err := d.payloads(id)
		if err != nil {
			t.Fatal(err)
		}
		if f := d.read(id, payloads, s.Actor, mine, h, nil, who); f != nil {
			for _, l := range f.public(by.Actor.ID, who).Lines {
				out = append(out, l.Text)
			}
		}
	}
	return strings.Join(out, "|")
}

// CurrentOf names the epoch in use.
func (d *Desk) CurrentOf(t testing.TB, n staff.Narrow) [32]byte {
	t.Helper()
	who, err := d.people()
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.opened(n, who)
	if err != nil {
		t.Fatal(err)
	}
	return c.current.name
}

// Epoch is a fact about keys.
type Epoch = epochBegun

// SeedOf is the seed somebody holds.
func (d *Desk) SeedOf(t testing.TB, s staff.Session, n staff.Narrow) (seed [32]byte) {
	t.Helper()
	if err := d.mine(s, n, func(_ *epoch, k key, _ compartment, _ people) error { seed = k; return nil }); err != nil {
		t.Fatal(err)
	}
	return seed
}

// NextEpoch is signed as it should be by whoever has a seed and somebody's hand.
func (d *Desk) NextEpoch(t testing.TB, n staff.Narrow, by staff.ID, seed [32]byte, hand func([]byte) []byte) Epoch {
	t.Helper()
	who, err := d.people()
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.opened(n, who)
	if err != nil {
		t.Fatal(err)
	}
	return d.nextOf(c.current, by, seed, hand)
}

func (d *Desk) nextOf(before *epoch, by staff.ID, seed [32]byte, hand func([]byte) []byte) Epoch {
	p := pairOf(newKey())
	e := epochBegun{
		Narrow: before.Narrow, Epoch: before.Epoch + 1, Seal: p.publicSeal(), Sign: p.publicSign(), Officers: before.Officers, Staff: before.Staff,
		Before: before.name, By: by,
	}
	msg := e.message(d.o.Deployment)
	e.Word, e.Hand = ed25519.Sign(pairOf(seed).sign, msg), hand(msg)
	return e
}

// WriteEpoch writes it down.
func WriteEpoch(tx *oplog.Tx, n staff.Narrow, e Epoch) error {
	_, err := tx.Append(epochBegunKind, subjectOf(n), e)
	return err
}

// Forgeries writes whatever a node without keys can make up about them: epochs of every
// sort, seeds, shares and an emergency that nobody agreed to.
func Forgeries(tx *oplog.Tx, d *Desk, s staff.Session) error {
	hand := func(msg []byte) []byte { sig, _ := s.Sign(msg); return sig }
	who, err := d.people()
	if err != nil {
		return err
	}
	for _, n := range staff.Narrows() {
		c, err := d.opened(n, who)
		if err != nil {
			return err
		}
		good := d.nextOf(c.current, s.Actor.ID, newKey(), hand) // signed by a key of its own
		var all []epochBegun
		for _, change := range []func(*epochBegun){
			func(*epochBegun) {},
			func(e *epochBegun) { e.Epoch = 1; e.Before = [32]byte{} },
			func(e *epochBegun) { e.Epoch = 9 },
			func(e *epochBegun) { e.Epoch = 1 << 31 },
			func(e *epochBegun) { e.Word = nil },
			func(e *epochBegun) { e.Word = c.current.Word }, // the issuer's, for another one
			func(e *epochBegun) { e.Before = [32]byte{1} },
			func(e *epochBegun) { *e = c.current.epochBegun; e.Seal = good.Seal },
			func(e *epochBegun) { *e = c.current.epochBegun; e.Officers = good.Seal },
			func(e *epochBegun) { *e = c.current.epochBegun; e.Word = bytes.Clone(e.Word); e.Word[9] ^= 1 },
			func(e *epochBegun) { e.Officers = good.Seal },
			func(e *epochBegun) { e.By = c.current.By },
			func(e *epochBegun) { e.Narrow = "other" },
			func(e *epochBegun) { e.Staff = []staff.ID{s.Actor.ID} },
		} {
			e := good
			change(&e)
			if e.Hand != nil {
				e.Hand = hand(e.message(d.o.Deployment))
			}
			all = append(all, e)
		}
		if word, ok := d.o.Countersign(good.message(d.o.Deployment)); ok {
			return errors.New("the rogue is an issuer: " + string(word[:1]))
		}
		for _, e := range all {
			for _, subject := range []oplog.ID{subjectOf(n), oplog.NewID()} {
				if _, err := tx.Append(epochBegunKind, subject, e); err != nil {
					return err
				}
			}
		}
		for _, w := range who { // seeds that are none, for everybody
			g, err := d.give(c.current.epochBegun, newKey(), w)
			if err != nil {
				return err
			}
			for _, body := range []seedGiven{g, {Epoch: c.current.name}, {Epoch: good.hash(), Sealed: g.Sealed}, {Epoch: c.current.name, Sealed: make([]byte, 5000)}} {
				if _, err := tx.Append(seedGivenKind, w.Subject, body); err != nil {
					return err
				}
			}
			shareOfNothing, err := wrap(w.Seal, d.shareInfo(c.current.Officers, w.Subject), encode(share{Index: 1, Value: make([]byte, 32)}))
			if err != nil {
				return err
			}
			word := bytes.Repeat([]byte{7}, 200)
			for _, body := range []shareGiven{{Officers: c.current.Officers, Sealed: shareOfNothing}, {Officers: c.current.Officers, Sealed: shareOfNothing, Word: word}, {Officers: c.current.Officers}, {Officers: c.current.Officers, Sealed: g.Sealed}} {
				if _, err := tx.Append(shareGivenKind, w.Subject, body); err != nil {
					return err
				}
			}
		}
	}
	_, err = tx.Append(glassBrokenKind, oplog.NewID(), glassBroken{First: []byte{1}, Second: []byte{2}})
	return err
}

// HandAct is what two people sign who hand a file over.
func HandAct(request, parcel [32]byte) staff.Act { return handAct(request, parcel) }

// Tamper changes a parcel that waits, as whoever reaches into the program could.
func (d *Desk) Tamper(t testing.TB, id oplog.ID) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.parcels[id].sealed[100] ^= 1
}

// HandedFact writes down that something was handed over, whatever the hands are.
func HandedFact(tx *oplog.Tx, request, parcel [32]byte, first, second staff.Hand) error {
	_, err := tx.Append(fileHandedKind, oplog.NewID(), fileHanded{Request: request, Parcel: parcel, First: first, Second: second})
	return err
}

// ForgeHanded is somebody in a file writing with their own program that it was handed over.
// sign is asked for both hands over what the entry says.
func (d *Desk) ForgeHanded(t testing.TB, s staff.Session, id oplog.ID, of oplog.ID, sign func(request, parcel [32]byte) (first, second staff.Hand)) {
	t.Helper()
	f, who, err := d.load(s, id)
	if err != nil {
		t.Fatal(err)
	}
	h := handedOver{Request: handRequest{File: of, Narrow: f.narrow, To: "Forged", Number: oplog.NewID()}, Parcel: [32]byte{7}}
	h.First, h.Second = sign(sha256.Sum256(encode(h.Request)), h.Parcel)
	if err := d.write(context.Background(), s, f, who, kindHandedOver, h, nil); err != nil {
		t.Fatal(err)
	}
}

// ForgeLink is somebody writing into their file that another one was put into it.
func (d *Desk) ForgeLink(t testing.TB, s staff.Session, id, other oplog.ID) {
	t.Helper()
	f, who, err := d.load(s, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.write(context.Background(), s, f, who, kindLinked, linked{File: other, Intake: &takenIn{Note: "forged"}, By: s.Actor.ID}, nil); err != nil {
		t.Fatal(err)
	}
}

// TurnedEpoch is one with other officers, signed by a seed and by somebody's hand.
func (d *Desk) TurnedEpoch(t testing.TB, n staff.Narrow, by staff.Session, seed [32]byte, after []staff.ID, sign func(staff.Act) (staff.Hand, staff.Hand)) Epoch {
	t.Helper()
	e := d.NextEpoch(t, n, by.Actor.ID, seed, func([]byte) []byte { return nil })
	who, err := d.people()
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.opened(n, who)
	if err != nil {
		t.Fatal(err)
	}
	e.Officers, e.Staff = pairOf(newKey()).publicSeal(), after
	e.Turn = &turn{Shares: [][32]byte{{1}, {2}}}
	e.Turn.First, e.Turn.Second = sign(turnAct(c.current.Officers, e.Officers, e.Staff, e.Turn.Shares))
	msg := e.message(d.o.Deployment)
	hand, _ := by.Sign(msg)
	e.Word, e.Hand = ed25519.Sign(pairOf(seed).sign, msg), hand
	return e
}

// OfficersKeyOf is the officers' key, made of two shares.
func (d *Desk) OfficersKeyOf(t testing.TB, one, two staff.Session) *ecdh.PrivateKey {
	t.Helper()
	who, err := d.people()
	if err != nil {
		t.Fatal(err)
	}
	public, err := d.officersNow(who)
	if err != nil {
		t.Fatal(err)
	}
	a, err := d.share(one, public, who)
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.share(two, public, who)
	if err != nil {
		t.Fatal(err)
	}
	k, err := join(public, a, b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TextsWithKey is what a key alone opens of a file.
func (d *Desk) TextsWithKey(t testing.TB, k *ecdh.PrivateKey, id oplog.ID) string {
	t.Helper()
	payloads, err := d.payloads(id)
	if err != nil {
		t.Fatal(err)
	}
	who, err := d.people()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	if f := d.fold(binder{d.o.Deployment, id}, payloads, []*ecdh.PrivateKey{k}, nil, who); f != nil {
		for _, l := range f.public(staff.ID{}, who).Lines {
			out = append(out, l.Text)
		}
	}
	return strings.Join(out, "|")
}
