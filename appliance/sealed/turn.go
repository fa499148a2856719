package sealed

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"slices"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// TurnPurpose is the purpose of the acts by which two officers put others in their place.
const TurnPurpose = "change-officers"

// turnAct is what both sign.
func turnAct(before, after [32]byte, who []staff.ID, shares [][32]byte) staff.Act {
	return staff.Act{Purpose: TurnPurpose, Action: staff.BreakGlass, Body: encode([]any{before, after, who, shares})}
}

// turned reports whether two of the officers before an epoch agreed to those it has, and
// neither had left. That they held their shares is in its word: without two of them nobody
// who is no holder has the key that signs it.
func (d *Desk) turned(before, e *epoch, who people) bool {
	t := e.Turn
	if t == nil || before.Officers == [32]byte{} || e.Officers == [32]byte{} || e.By != t.Second.Signer() || len(e.Staff) < together || len(t.Shares) != len(e.Staff) {
		return false
	}
	for _, h := range []staff.Hand{t.First, t.Second} {
		w, known := who[h.Signer()]
		if !known || !slices.Contains(before.Staff, w.ID) || w.Off && w.OffAt < e.clock {
			return false
		}
	}
	return d.o.Staff.CheckHands(turnAct(before.Officers, e.Officers, e.Staff, t.Shares), t.First, t.Second) == nil
}

// turnedShares are the shares of an officers' key that two officers before signed for.
func (d *Desk) turnedShares(public [32]byte, who people) (map[[32]byte]bool, error) {
	out := map[[32]byte]bool{}
	err := d.log.View(func(r oplog.Reader) error {
		for _, n := range staff.Narrows() {
			c, err := d.compartment(r, n, who)
			if err != nil {
				return err
			}
			for _, e := range c.epochs {
				if e.Officers != public || e.Turn == nil {
					continue
				}
				for _, sum := range e.Turn.Shares {
					out[sum] = true
				}
			}
		}
		return nil
	})
	return out, err
}

// AskTurn is an officer asking for other officers: all of those there are to be, who may be
// some of those there are. A second officer has to agree at this node while both are signed
// in. New keys begin for every compartment, with the same people who read what is passed
// on; files are wrapped to the new officers when somebody opens them, what waits when a
// holder opens their list. The key of the officers before is wrapped to the new one, so that
// what nobody opened since opens in an emergency too; two of the officers before, with their
// shares and a program of their own, open as much. Faults: those of staff.AskAct; Denied
// "fault.sealed.no_share"; Invalid "fault.sealed.officers" and
// "fault.sealed.officers_apart"; NotFound "fault.sealed.no_worker"; Conflict
// "fault.sealed.not_open".
func (d *Desk) AskTurn(s staff.Session, officers []staff.ID) (oplog.ID, error) {
	if err := s.Actor.Must(staff.BreakGlass); err != nil {
		return oplog.ID{}, err
	}
	who, err := d.people()
	if err != nil {
		return oplog.ID{}, err
	}
	next, _, err := Setup{Officers: officers}.check(who)
	if err != nil {
		return oplog.ID{}, err
	}
	if len(next) == 0 {
		return oplog.ID{}, fault.New(fault.Invalid, "fault.sealed.officers", "Most", maxOfficers).With("officers", "fault.sealed.officers", "Most", maxOfficers)
	}
	before, err := d.officersNow(who)
	if err != nil {
		return oplog.ID{}, err
	}
	if _, err := d.share(s, before, who); err != nil {
		return oplog.ID{}, err
	}
	after, shares, err := d.shares(next, false)
	if err != nil {
		return oplog.ID{}, err
	}
	ids := []staff.ID{}
	sums := [][32]byte{}
	for i, o := range next {
		ids = append(ids, o.ID)
		g, _ := shares[i].body.(shareGiven)
		sums = append(sums, sha256.Sum256(g.Sealed))
	}
	act := turnAct(before, after, ids, sums)
	act.Key, act.Args = "sealed.act.turn", []any{"Officers", namesOf(next, who)}
	return d.o.Staff.AskAct(s, act, func(ctx context.Context, by staff.ID, first, second staff.Hand) error {
		return d.turn(ctx, before, epochBegun{Officers: after, Staff: ids, By: by, Turn: &turn{First: first, Second: second, Shares: sums}}, shares)
	})
}

// officersNow is the officers' key of the compartments; that of the first one that has any.
// Fault: Conflict "fault.sealed.not_open".
func (d *Desk) officersNow(who people) ([32]byte, error) {
	for _, n := range staff.Narrows() {
		c, err := d.opened(n, who)
		if err != nil {
			return [32]byte{}, err
		}
		if c.current.Officers != [32]byte{} {
			return c.current.Officers, nil
		}
	}
	return [32]byte{}, fault.New(fault.Denied, "fault.sealed.no_share")
}

// turn is the second officer's part: it runs once, with both signed in.
func (d *Desk) turn(ctx context.Context, before [32]byte, to epochBegun, facts []fact) error {
	s1, ok1 := d.o.Staff.OpenSession(to.Turn.First.Signer())
	s2, ok2 := d.o.Staff.OpenSession(to.By)
	if !ok1 || !ok2 {
		return fault.New(fault.Conflict, "fault.sealed.both_here")
	}
	who, err := d.people()
	if err != nil {
		return err
	}
	if _, _, err := (Setup{Officers: to.Staff}).check(who); err != nil { // somebody may have gone since it was asked
		return err
	}
	a, err := d.share(s1, before, who)
	if err != nil {
		return err
	}
	b, err := d.share(s2, before, who)
	if err != nil {
		return err
	}
	defer clear(a.Value)
	defer clear(b.Value)
	officers, err := join(before, a, b)
	if err != nil {
		return fault.New(fault.Denied, "fault.sealed.no_share").Wrap(err)
	}
	raw := officers.Bytes()
	to.Turn.Chain, err = wrap(to.Officers, d.chainInfo(before, to.Officers), raw)
	clear(raw)
	if err != nil {
		return fault.Of(err)
	}
	for _, n := range staff.Narrows() {
		c, err := d.opened(n, who)
		if err != nil {
			return err
		}
		old, err := unwrap(officers, d.officersInfo(c.current.Seal), c.current.ForOfficers)
		if err != nil || len(old) != 32 || pairOf(key(old)).publicSign() != c.current.Sign {
			return fault.New(fault.Denied, "fault.sealed.no_share")
		}
		more, err := d.turnOne(c, key(old), to, s2, who)
		clear(old)
		if err != nil {
			return err
		}
		facts = append(slices.Clone(facts), more...)
	}
	return d.log.Do(ctx, to.By, func(tx *oplog.Tx) error {
		for _, f := range facts {
			if _, err := tx.Append(f.kind, f.subject, f.body); err != nil {
				return err
			}
		}
		return nil
	})
}

// turnOne begins the next keys of one compartment, with other officers and the same holders.
func (d *Desk) turnOne(c compartment, old key, to epochBegun, s staff.Session, who people) ([]fact, error) {
	e := to
	e.Narrow, e.Epoch, e.Before = c.current.Narrow, c.current.Epoch+1, c.current.name
	seed := newKey()
	defer clear(seed[:])
	if err := d.fill(&e, seed); err != nil {
		return nil, err
	}
	msg := e.message(d.o.Deployment)
	e.Word = ed25519.Sign(pairOf(old).sign, msg)
	hand, ok := s.Sign(msg)
	if !ok {
		return nil, fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	}
	e.Hand = hand
	out := []fact{{epochBegunKind, subjectOf(e.Narrow), e}}
	holders, err := d.holderIDs(c, who)
	if err != nil {
		return nil, err
	}
	for _, id := range holders {
		w := who[id]
		if w.Off {
			continue
		}
		g, err := d.give(e, seed, w)
		if err != nil {
			return nil, err
		}
		out = append(out, fact{seedGivenKind, w.Subject, g})
	}
	return out, nil
}

func (d *Desk) chainInfo(before, after [32]byte) []byte {
	return slices.Concat([]byte("waypost/sealed-officers-before/1"), d.o.Deployment[:], before[:], after[:])
}

// chain is an officers' key with those of the officers before them.
func (d *Desk) chain(officers *ecdh.PrivateKey, who people) ([]*ecdh.PrivateKey, error) {
	out := []*ecdh.PrivateKey{officers}
	err := d.log.View(func(r oplog.Reader) error {
		for i := 0; i < len(out); i++ {
			public := [32]byte(out[i].PublicKey().Bytes())
			for _, n := range staff.Narrows() {
				c, err := d.compartment(r, n, who)
				if err != nil {
					return err
				}
				for _, e := range c.epochs {
					before := c.epochs[e.Before]
					if e.Officers != public || e.Turn == nil || before == nil || holds(out, before.Officers) {
						continue
					}
					raw, err := unwrap(out[i], d.chainInfo(before.Officers, public), e.Turn.Chain)
					if err != nil || len(raw) != 32 {
						continue
					}
					if k := private(key(raw)); [32]byte(k.PublicKey().Bytes()) == before.Officers {
						out = append(out, k)
					}
					clear(raw)
				}
			}
		}
		return nil
	})
	return out, err
}

func holds(all []*ecdh.PrivateKey, public [32]byte) bool {
	return slices.ContainsFunc(all, func(k *ecdh.PrivateKey) bool { return [32]byte(k.PublicKey().Bytes()) == public })
}
