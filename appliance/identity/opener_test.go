package identity

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// pair is two posts that know each other, b compared; b gave a the means to open it.
func pair(t *testing.T) (a, b post) {
	t.Helper()
	ctx := context.Background()
	a, b, c := camp(t)
	must(t, a.desk.Confirm(ctx, oplog.By{1}, b.vault.NodeID()))
	must(t, a.desk.Confirm(ctx, oplog.By{1}, c.vault.NodeID()))
	oplogtest.Exchange(t, a.log, b.log, c.log)
	must(t, b.desk.GiveOpener(ctx, oplog.By{1}, []NodeID{a.vault.NodeID()}))
	oplogtest.Exchange(t, a.log, b.log, c.log)
	return a, b
}

func asking(t *testing.T, b post) *Opening {
	t.Helper()
	o, err := AskToOpen(b.vault.dir, b.vault.deployment, b.vault.NodeID())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestTwoPeopleElsewhereOpenABox(t *testing.T) {
	ctx := context.Background()
	a, b := pair(t)
	if kinds, err := Ways(b.vault.dir); err != nil || !slices.Contains(kinds, SlotPeers) {
		t.Fatal(kinds, err)
	}
	if who, err := b.desk.KeepersOf(); err != nil || len(who) != 1 || who[0] != a.vault.NodeID() {
		t.Fatal(who, err)
	}
	o := asking(t, b)
	seen, err := a.desk.LookAtRequest(strings.ToLower(o.Request.Text()[:40]) + "\n " + o.Request.Text()[40:])
	if err != nil || seen.Box.ID != b.vault.NodeID() || !slices.Equal(seen.Request.Words(), o.Request.Words()) {
		t.Fatal(seen, err)
	}
	answer, err := a.desk.AnswerRequest(ctx, oplog.By{1}, seen.Request, []byte("one"), []byte("two"))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := o.Take(answer)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Unlock(b.vault.dir, clock.NewFake(noon()), secret)
	if err != nil || v.NodeID() != b.vault.NodeID() {
		t.Fatal(err)
	}
	v.Close()
	opened, err := a.desk.Openings()
	if err != nil || len(opened) != 1 || opened[0].Box != b.vault.NodeID() || string(opened[0].First) != "one" {
		t.Fatal(opened, err)
	}
}

func TestAnswersFitOneRequest(t *testing.T) {
	ctx := context.Background()
	a, b := pair(t)
	first, second := asking(t, b), asking(t, b)
	replayed := &Opening{Request: first.Request, private: first.private}
	replayed.Request.Nonce[0] ^= 1
	answer, err := a.desk.AnswerRequest(ctx, oplog.By{1}, first.Request, nil, nil)
	must(t, err)
	mistyped := "A"
	if answer[20] == 'A' {
		mistyped = "C"
	}
	for name, c := range map[string]struct {
		open *Opening
		text string
		want string
	}{
		"another request":     {second, answer, "fault.identity.other_open_answer"},
		"the same key again":  {replayed, answer, "fault.identity.other_open_answer"},
		"not an answer":       {first, first.Request.Text(), "fault.identity.bad_open_answer"},
		"mistyped":            {first, answer[:20] + mistyped + answer[21:], "fault.identity.bad_open_answer"},
		"cut":                 {first, answer[:30], "fault.identity.bad_open_answer"},
		"nothing":             {first, "", "fault.identity.bad_open_answer"},
		"somebody else's key": {&Opening{Request: first.Request, private: second.private}, answer, "fault.identity.other_open_answer"},
	} {
		if _, err := c.open.Take(c.text); fault.Of(err).Key != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	secret, err := first.Take(answer)
	must(t, err)
	// Given anew: what was handed over before opens nothing any more.
	must(t, b.desk.GiveOpener(ctx, oplog.By{1}, []NodeID{a.vault.NodeID()}))
	if _, err := Unlock(b.vault.dir, clock.NewFake(noon()), secret); fault.Of(err).Key != "fault.identity.stale_open_answer" {
		t.Fatal(err)
	}
}

func TestWhoMayOpenWhom(t *testing.T) {
	ctx := context.Background()
	a, b, c := camp(t)
	must(t, a.desk.Confirm(ctx, oplog.By{1}, b.vault.NodeID()))
	oplogtest.Exchange(t, a.log, b.log, c.log)
	want := func(what string, err error, key string) {
		t.Helper()
		if err == nil || fault.Of(err).Key != key {
			t.Errorf("%s: %v", what, err)
		}
	}
	give := func(ids ...NodeID) error { return b.desk.GiveOpener(ctx, oplog.By{1}, ids) }
	want("nobody", give(), "fault.identity.no_keeper")
	want("itself", give(b.vault.NodeID()), "fault.identity.no_such_node")
	want("a stranger", give(NodeID{9}), "fault.identity.no_such_node")
	want("not compared", give(c.vault.NodeID()), "fault.identity.keeper_unconfirmed")
	_, err := AskToOpen(b.vault.dir, b.vault.deployment, b.vault.NodeID())
	want("asked without", err, "fault.identity.no_openers")
	must(t, give(a.vault.NodeID()))
	oplogtest.Exchange(t, a.log, b.log, c.log)
	o := asking(t, b)
	_, err = c.desk.LookAtRequest(o.Request.Text())
	want("a box that was not given it", err, "fault.identity.no_opener_here")
	other := o.Request
	other.Deployment[0] ^= 1
	_, err = a.desk.LookAtRequest(other.Text())
	want("another operation", err, "fault.identity.not_ours")
	other = o.Request
	other.Node = NodeID{9}
	_, err = a.desk.LookAtRequest(other.Text())
	want("an unknown box", err, "fault.identity.no_such_node")
	_, err = a.desk.LookAtRequest("WPO1")
	want("nothing", err, "fault.identity.bad_open_request")
	if keepers, err := b.desk.Keepers(); err != nil || len(keepers) != 1 || keepers[0].ID != a.vault.NodeID() {
		t.Error(keepers, err)
	}
}

// Another node cannot say whom a box trusts: what it writes is no word of that box.
func TestOnlyTheBoxItselfGivesTheMeans(t *testing.T) {
	ctx := context.Background()
	a, b := pair(t)
	o := asking(t, b)
	must(t, a.log.Do(ctx, oplog.By{1}, func(tx *oplog.Tx) error {
		_, err := tx.Append(openerGiven, b.vault.NodeID(), OpenerGiven{Mark: o.Request.Mark, Keepers: []SealedShare{{Node: a.vault.NodeID(), Sealed: make([]byte, 80)}}})
		return err
	}))
	if _, err := a.desk.AnswerRequest(ctx, oplog.By{1}, o.Request, nil, nil); err != nil {
		t.Fatal("a foreign word took the box's own away:", err)
	}
}

func TestNightIsTheLastChoice(t *testing.T) {
	ctx := context.Background()
	a, _, _ := camp(t)
	if way, err := a.desk.Night(); way != "" || err != nil {
		t.Fatal(way, err)
	}
	must(t, a.desk.ChooseNight(ctx, oplog.By{1}, NightPeers))
	must(t, a.desk.ChooseNight(ctx, oplog.By{1}, NightWait))
	if way, err := a.desk.Night(); way != NightWait || err != nil {
		t.Fatal(way, err)
	}
	if err := a.desk.ChooseNight(ctx, oplog.By{1}, "never"); fault.ClassOf(err) != fault.Invalid {
		t.Fatal(err)
	}
}

func TestOpenersDoNotDependOnOrder(t *testing.T) {
	box := oplog.ID{1, 2, 3}
	share := []SealedShare{{Node: oplog.ID{9}, Sealed: []byte{1}}}
	oplogtest.CheckOrder(t, Views(),
		oplogtest.Fact{Node: 0, Kind: openerGiven, Subject: box, Body: OpenerGiven{Mark: [8]byte{1}, Keepers: share}},
		oplogtest.Fact{Node: 1, Kind: openerGiven, Subject: box, Body: OpenerGiven{Mark: [8]byte{1}}},
		oplogtest.Fact{Node: 0, Kind: openerGiven, Subject: box, Body: OpenerGiven{Mark: [8]byte{1}}, Seen: true},
		oplogtest.Fact{Node: 2, Kind: openedBy, Subject: box, Body: OpenedBy{Request: []byte("r"), First: []byte{1}}},
		oplogtest.Fact{Node: 2, Kind: openedBy, Subject: box, Body: OpenedBy{Request: []byte("r"), Second: []byte{1}}},
		oplogtest.Fact{Node: 1, Kind: nightChosen, Subject: box, Body: NightChosen{Way: NightStick}},
		oplogtest.Fact{Node: 1, Kind: nightChosen, Subject: box, Body: NightChosen{Way: NightWait}, Seen: true},
	)
}

// The texts travel between versions.
func TestOpenRequestGolden(t *testing.T) {
	r := OpenRequest{Deployment: DeploymentID{1}, Node: NodeID{2}, Mark: [8]byte{3}, Public: [32]byte{4}, Nonce: [16]byte{5}}
	const bytes = "86015001000000000000000000000000000000" + "4a02000000000000000000" + "480300000000000000" +
		"58200400000000000000000000000000000000000000000000000000000000000000" + "5005000000000000000000000000000000"
	if got := hex.EncodeToString(r.Bytes()); got != bytes {
		t.Errorf("%s", got)
	}
	if back, err := ParseOpenRequest(r.Text()); err != nil || back != r {
		t.Error(err)
	}
	if words := strings.Join(r.Words(), " "); words != goldenOpenWords {
		t.Errorf("%s", words)
	}
}

func FuzzOpenRequest(f *testing.F) {
	f.Add(OpenRequest{Node: NodeID{1}}.Text())
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseOpenRequest(text)
		if err != nil {
			return
		}
		if back, err := ParseOpenRequest(r.Text()); err != nil || back != r {
			t.Fatal(err)
		}
	})
}

func FuzzOpenAnswer(f *testing.F) {
	private, err := sealKEM().GenerateKey()
	if err != nil {
		f.Fatal(err)
	}
	o := &Opening{private: private}
	copy(o.Request.Public[:], private.PublicKey().Bytes())
	text, err := o.Request.answer(make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text string) {
		if secret, err := o.Take(text); err == nil && len(secret) != len(peersMagic)+32 {
			t.Fatal("a secret of no length")
		}
	})
}

const goldenOpenWords = "bagginess shading cresting sneer yeah"
