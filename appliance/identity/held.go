package identity

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
)

// CeremonyHeld says, by the root's own signature, how the root and the issuers of the
// deployment are kept. Anybody may write it down and nobody but the root can make one, so
// every node knows it and no node can pretend it. Its subject is the deployment.
type CeremonyHeld struct {
	Serial  uint32     `cbor:"1,keyasint"` // the highest counts
	Variant string     `cbor:"2,keyasint"` // CeremonyFull or CeremonySmall
	Issuers [][]byte   `cbor:"3,keyasint"` // certificates, the founder's first
	Shares  [][32]byte `cbor:"4,keyasint"` // what the shares' sums are; none for a sheet
	At      int64      `cbor:"5,keyasint"` // Unix seconds, as the box's clock was
	Sig     [64]byte   `cbor:"6,keyasint"` // by the root
}

const maxHeldIssuers = 8

// message is what the root signs.
func (h CeremonyHeld) message(d DeploymentID) []byte {
	h.Sig = [64]byte{}
	return slices.Concat([]byte("waypost/ceremony/1"), d[:], encode(h))
}

func (h *CeremonyHeld) sign(d DeploymentID, root ed25519.PrivateKey) {
	h.Sig = [64]byte(ed25519.Sign(root, h.message(d)))
}

// Held is such a statement that the root's signature was checked of.
type Held struct {
	Serial  uint32
	Variant string
	Issuers []IssuerCert
	At      time.Time
	sums    [][32]byte
}

// read checks the statement; false when it is not the root's.
func (h CeremonyHeld) read(root ed25519.PublicKey) (Held, bool) {
	if len(h.Issuers) > maxHeldIssuers || len(h.Shares) > ShareCount || !ed25519.Verify(root, h.message(DeploymentOf(root)), h.Sig[:]) {
		return Held{}, false
	}
	out := Held{Serial: h.Serial, Variant: h.Variant, At: time.Unix(h.At, 0).UTC(), sums: h.Shares}
	for _, raw := range h.Issuers {
		var w issuerWire
		if decode(raw, &w) != nil || w.Version != certVersion || w.cert().Verify(root) != nil {
			return Held{}, false
		}
		out.Issuers = append(out.Issuers, w.cert())
	}
	return out, true
}

var ceremonyHeld = oplog.NewKind[CeremonyHeld]("identity.ceremony_held", 1, oplog.Deployment)

// ceremonyView has, per subject:
//
//	h ‖ hash of a statement -> that statement as it was said
//	d ‖ what                -> drilledRow: when that was last tried, and how it went
//
// Whether a statement is the root's is for the reader to see: a fold has no keys.
var ceremonyView = &oplog.View{Name: "ceremony", Version: 1, Kinds: []oplog.Kind{ceremonyHeld, drilled}, Fold: foldCeremony}

var heldKey = []byte("h")

func foldCeremony(_ oplog.ID, ops []oplog.Op) []oplog.Row {
	var rows []oplog.Row
	for _, op := range ops {
		switch b := op.Body.(type) {
		case *CeremonyHeld:
			raw := encode(*b)
			rows = append(rows, oplog.Row{Key: append(slices.Clone(heldKey), hashed("waypost/held/1", raw)[:16]...), Value: raw})
		case *Drilled:
			rows = append(rows, b.row(op))
		}
	}
	return lastOfEach(rows)
}

// lastOfEach keeps the last row of each key.
func lastOfEach(rows []oplog.Row) []oplog.Row {
	slices.Reverse(rows)
	return firstOfEach(rows)
}

// SubjectOf is the subject of what is said about the whole deployment. Nobody can be erased under it.
func SubjectOf(d DeploymentID) oplog.ID {
	return oplog.ID(hashed("waypost/deployment-subject/1", d[:])[:10])
}

// Held is the root's newest statement; false while the deployment has not finished its
// ceremony. It is kept once found, so asking costs nothing then.
func (d *Desk) Held() (Held, bool, error) {
	ops := d.log.Stats().Ops
	d.mu.Lock()
	h, ok, fresh := d.held, d.isHeld, d.heldAsOf == ops
	d.mu.Unlock()
	if fresh {
		return h, ok, nil
	}
	var found Held
	any := false
	err := d.log.View(func(r oplog.Reader) error {
		return r.Rows(ceremonyView, heldKey, nil, func(_ []byte, _ oplog.ID, value []byte) error {
			var said CeremonyHeld
			if decode(value, &said) != nil {
				return nil
			}
			if x, sound := said.read(d.vault.root); sound && (!any || x.newer(found)) {
				found, any = x, true
			}
			return nil
		})
	})
	if err != nil {
		return Held{}, false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held, d.isHeld, d.heldAsOf = found, any, ops
	return found, any, nil
}

func (h Held) newer(than Held) bool {
	if h.Serial != than.Serial {
		return h.Serial > than.Serial
	}
	return h.At.After(than.At) || h.At.Equal(than.At) && bytes.Compare(h.first(), than.first()) > 0
}

func (h Held) first() []byte {
	if len(h.sums) == 0 {
		return nil
	}
	return h.sums[0][:]
}

// sayHeld writes a statement down. Saying it twice writes it once.
func (d *Desk) sayHeld(ctx context.Context, by oplog.By, h CeremonyHeld) error {
	subject := SubjectOf(d.vault.deployment)
	return d.log.Do(ctx, by, func(tx *oplog.Tx) error {
		key := append(slices.Clone(heldKey), hashed("waypost/held/1", encode(h))[:16]...)
		_, told, err := tx.Row(ceremonyView, subject, key)
		if err != nil || told {
			return err
		}
		_, err = tx.Append(ceremonyHeld, subject, h)
		return err
	})
}
