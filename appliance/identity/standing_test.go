package identity

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
)

// Names in the cases below: I and J are boxes with an issuer, A to F without, N was compared by nobody.
func courtOf(names string) *court {
	nodes := map[NodeID]*Node{}
	for _, r := range names {
		id := nodeOf1(r)
		n := &Node{ID: id, Number: uint16(r), Confirmed: r != 'N', Logs: []oplog.LogID{logNamed(r)}}
		n.Cert.Issuer.Public = issuerNamed('I')
		if strings.ContainsRune("IJK", r) {
			n.Cert.Caps, n.Cert.Issuer.Public = CapEnrol, issuerNamed(r)
		}
		nodes[id] = n
	}
	return newCourt(nodes)
}

func nodeOf1(r rune) NodeID           { return NodeID{byte(r)} }
func logNamed(r rune) oplog.LogID     { return oplog.LogID{byte(r)} }
func issuerNamed(r rune) (k [32]byte) { k[0] = byte(r); return k }

// say reads "A3>B" (A, at op 3 of its log, suspends B having seen nothing of it), "A3>B5"
// (having seen 5), "I3>B!II" (with I's issuer's word), "I^B:A3" (I's issuer lifts what A said
// at 3 of B, late; "I^B:A3@2" at op 2 of its log), "I#B2" (I's issuer revokes B behind 2).
func (c *court) say(text string) {
	for f := range strings.FieldsSeq(text) {
		r := []rune(f)
		num := func(i int) uint64 {
			if i < len(r) && r[i] >= '0' && r[i] <= '9' {
				return uint64(r[i] - '0')
			}
			return 0
		}
		switch {
		case r[1] == '^':
			at := uint64(9)
			if len(r) > 7 {
				at = num(7)
			}
			c.lifts = append(c.lifts, lift{log: logNamed(r[0]), seq: at, node: nodeOf1(r[2]), ids: [][8]byte{{byte(r[4]), byte(num(5))}}, word: issuerNamed(r[0])})
		case r[1] == '#':
			c.revoked = append(c.revoked, revocation{node: nodeOf1(r[2]), cuts: []logMark{{Log: logNamed(r[2]), Seq: num(3)}}, word: issuerNamed(r[0])})
		default:
			s := Suspension{Node: nodeOf1(r[3]), ID: [8]byte{byte(r[0]), byte(num(1))}, log: logNamed(r[0]), seq: num(1), clock: num(1)}
			s.seen = []logMark{{Log: logNamed(r[3]), Seq: num(4)}}
			if i := slices.Index(r, '!'); i > 0 {
				s.word = issuerNamed(r[i+1])
			}
			c.said = append(c.said, s)
		}
	}
}

func TestWhoIsShutOut(t *testing.T) {
	for _, x := range []struct{ name, nodes, said, want string }{
		{"nobody", "IAB", "", ""},
		{"any compared box, at once", "IABC", "A1>B", "B"},
		{"a box nobody compared says nothing", "IABN", "N1>B", ""},
		{"about a box nobody compared", "IABN", "A1>N", "N"},
		{"not oneself", "IAB", "A1>A", ""},
		{"about nobody known", "IAB", "A1>X", ""},
		{"each other: both, until an issuer lifts one", "IABC", "A1>B B1>A", "AB"},
		{"an issuer lifts one", "IABC", "A1>B B1>A I^A:B1", "AB"[1:]},
		{"the lifted one's word counts", "IABC", "A1>B B1>A I^A:B1 A2>C", "BC"},
		{"what it says later does not count", "IABC", "A1>B2 B3>C", "B"},
		{"what it had said before stays", "IABC", "B2>C A1>B2", "BC"},
		{"it learned of it and turns on the one who said so", "IABC", "A1>B1 B2>A1", "B"},
		{"it says that it had not learned of it", "IABC", "A1>B1 B2>A", "AB"},
		{"three of its own word, the first", "IABCDEF", "A1>B A2>C A3>D A4>E A5>F", "BCD"},
		{"more with an issuer's word", "IABCDEF", "I1>A!I I2>B!I I3>C!I I4>D!I I5>E!I", "ABCDE"},
		{"said twice is one of three", "IABCDEF", "A1>B A2>B A3>C A4>D", "BCD"},
		{"one box does not cut off an issuer's", "IAB", "A1>I", ""},
		{"two do", "IAB", "A1>I B1>I", "I"},
		{"one does where there is no other", "IA", "A1>I", "I"},
		{"one that was not compared is no other", "IAN", "A1>I N1>I", "I"},
		{"a thief first shuts the other out, and is still one", "IAB", "A1>B A2>I", "B"},
		{"another issuer's word does", "IJAB", "J1>I!J", "I"},
		{"an issuer does not shut itself out by its word", "IJAB", "A1>I!I", ""},
		{"two issuers each other: both", "IJAB", "J1>I!J I1>J!I", "IJ"},
		{"a third lifts one, and that one lifts nothing of its own", "IJKA", "J1>I!J I1>J!I K^I:J1 I^I:J1", "J"},
		{"an issuer does not lift its own box", "IJAB", "J1>I!J I^I:J1", "I"},
		{"a suspended issuer lifts nobody", "IJAB", "J1>I!J A1>B I^B:A1", "BI"},
		{"but its words for suspensions stay", "IJAB", "J1>I!J I2>A!I", "AI"},
		{"a new word after a lift counts", "IABC", "A1>B I^B:A1 C1>B", "B"},
		{"lifted by somebody who is no issuer's", "IABC", "A1>B Z^B:A1", "B"},
		{"a revoked box says nothing behind the cut", "IABC", "I#B1 B2>C B1>A", "A"},
		{"two who were both silenced are no quorum", "IABC", "I1>A!I I2>B!I A3>I B3>I", "AB"},
		{"silenced and lifted may speak again", "IABC", "I1>A!I I2>B!I I^A:I1 I^B:I2 A3>I B3>I", "ABI"},
		{"what an issuer lifted before stays lifted", "IABC", "I1>A!I I2>B!I I^A:I1@3 I^B:I2@4 A3>I4 B3>I4", "I"},
		{"what it lifted since does not", "IABC", "C1>A I^A:C1@5 C3>I4 B3>I4", "AI"},
		{"a circle of three", "IABC", "A1>B B1>C C1>A", "ABC"},
		{"a chain: the middle was silenced first", "IABC", "A1>B B1>C", "B"},
	} {
		t.Run(x.name, func(t *testing.T) {
			for range 8 {
				c := courtOf(x.nodes)
				c.say(x.said)
				if strings.Contains(x.said, "Z^") {
					c.muted = muted{issuerNamed('Z'): {{}}}
				}
				for _, s := range []func(){
					func() { rand.Shuffle(len(c.said), func(i, j int) { c.said[i], c.said[j] = c.said[j], c.said[i] }) },
					func() { rand.Shuffle(len(c.lifts), func(i, j int) { c.lifts[i], c.lifts[j] = c.lifts[j], c.lifts[i] }) },
				} {
					s()
				}
				var got []rune
				for _, s := range c.judge() {
					if r := rune(s.Node[0]); !slices.Contains(got, r) {
						got = append(got, r)
					}
				}
				slices.Sort(got)
				if string(got) != x.want {
					t.Fatalf("shut out: %q, not %q", string(got), x.want)
				}
			}
		})
	}
}
