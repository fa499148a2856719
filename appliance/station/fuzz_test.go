package station_test

import (
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/station"
	"github.com/waypost/waypost/appliance/tokens"
)

// bareKinds are the kinds of all desks for somebody who writes their bodies byte by byte.
func bareKinds() (out []oplog.Kind) {
	for _, k := range station.Kinds() {
		if k.Compartment() == oplog.Narrow {
			continue // its bodies are ciphertext: FuzzEntry
		}
		out = append(out, oplog.NewKind[cbor.RawMessage](k.Name(), k.Version(), k.Compartment()))
	}
	return out
}

// bareLog is a log of a node's that takes any body.
func (p post) bareLog(t testing.TB) *oplog.Log {
	t.Helper()
	l, err := oplog.Open(ctx, oplog.Options{Dir: t.TempDir(), Store: oplogtest.MemStore(), Authority: p.vault, StorageKey: p.vault.Subkey("journal"),
		Clock: clock.NewFake(oplogtest.Noon()), Kinds: bareKinds()})
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	return l
}

// FuzzFacts: a node in good standing writes facts of every kind with any body, about anybody
// and itself, and another takes them. Each is signed and sealed as it should be, so nothing
// but the decoders and the folds of the desks stands before it; a panic in one of those would
// end every node that the fact comes to, and again at each start.
func FuzzFacts(f *testing.F) {
	a, b := two(f)
	must(f, a.Identity.Confirm(ctx, a.lead.ID, b.vault.NodeID()))
	person, err := a.Registration.Add(ctx, operator, registration.Person{GivenName: "Amina"}, registration.Request{})
	must(f, err)
	_, err = a.Tokens.Issue(ctx, operator, person.ID, tokens.IssueOptions{})
	must(f, err)
	_, err = a.Staff.IssueKey(ctx, operator, staff.Registrar, "kiosk", 0)
	must(f, err)
	rogue := b.bareLog(f)
	oplogtest.Exchange(f, a.log, b.log, rogue)

	kinds := bareKinds()
	subjects := append([]oplog.ID{person.ID, a.vault.NodeID(), b.vault.NodeID(), {7}}, append(a.subjects(f, 'a'), a.subjects(f, 'k')...)...)
	seen := map[string]bool{}
	for s, subject := range subjects {
		must(f, rogue.View(func(r oplog.Reader) error {
			ops, err := r.Ops(subject)
			for _, op := range ops {
				for i, k := range kinds {
					if k.Is(op) {
						f.Add(byte(i), byte(s), []byte(*oplog.Body[cbor.RawMessage](op)))
						seen[k.Name()] = true
					}
				}
			}
			return err
		}))
	}
	for i := range kinds { // fields that every kind may have, one of each type
		for _, body := range []string{"\xa0", "\xa1\x01\x40", "\xa2\x01\x58\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x02\x63abc", "\xa3\x01\x00\x02\x80\x03\xf6", "\xa1\x01\x81\xa1\x01\x41a"} {
			f.Add(byte(i), byte(i), []byte(body))
		}
	}
	f.Logf("bodies of %d kinds of %d", len(seen), len(kinds))
	f.Fuzz(func(t *testing.T, kind, subject byte, body []byte) {
		if len(body) > 16<<10 || cbor.Wellformed(body) != nil {
			return // FuzzPayload has those
		}
		must(t, rogue.Do(ctx, oplog.By{1}, func(tx *oplog.Tx) error {
			_, err := tx.Append(kinds[int(kind)%len(kinds)], subjects[int(subject)%len(subjects)], cbor.RawMessage(body))
			return err
		}))
		oplogtest.Exchange(t, rogue, a.log)
		// What a node and its pages do with it; what they answer is not the question.
		_ = a.Identity.Follow(ctx)
		_, _ = a.Identity.Nodes()
		_, _ = a.Registration.Get(ctx, operator, person.ID)
		_, _ = a.Registration.Search(ctx, operator, "Amina", 10, "")
		_, _, _ = a.Tokens.Current(ctx, operator, person.ID)
		_, _ = a.Staff.List(ctx, operator)
	})
}
