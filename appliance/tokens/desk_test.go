package tokens

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/staff"
)

var today = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// operation is a deployment as a test sees it: its id, and what is known of its
// nodes. Checking certificates is the identity desk's part.
type operation struct {
	id       [16]byte
	certs    map[uint16]identity.NodeCert
	authors  map[oplog.LogID]uint16
	unproved map[uint16]bool // nodes whose words nobody compared
}

func newOperation(seed byte) *operation {
	return &operation{[16]byte{seed, 0xd0}, map[uint16]identity.NodeCert{}, map[oplog.LogID]uint16{}, map[uint16]bool{}}
}

// certify makes key known as that of a node.
func (o *operation) certify(number uint16, key ed25519.PrivateKey, caps identity.Caps) {
	o.certs[number] = identity.NodeCert{
		Number: number, Public: [32]byte(public(key)), Caps: caps,
		NotBefore: today.Add(-30 * day).Unix(), NotAfter: today.Add(365 * day).Unix(),
	}
}

// station is one node's card desk with what it stands on.
type station struct {
	*Desk
	op        *operation
	number    uint16
	key       ed25519.PrivateKey
	confirmed bool
	time      *clock.Fake
	mu        sync.Mutex
	people    map[oplog.ID]bool

	unreadable error // what the register answers instead
}

func (s *station) Deployment() [16]byte        { return s.op.id }
func (s *station) Number() uint16              { return s.number }
func (s *station) MayIssue() bool              { return s.confirmed }
func (s *station) SignToken(msg []byte) []byte { return ed25519.Sign(s.key, msg) }
func (s *station) ByNumber(n uint16) (identity.Node, bool) {
	c, ok := s.op.certs[n]
	return identity.Node{ID: c.ID(), Number: n, Cert: c, Confirmed: !s.op.unproved[n]}, ok
}
func (s *station) Author(log oplog.LogID) (identity.Node, bool) { return s.ByNumber(s.op.authors[log]) }

func (s *station) Exists(id oplog.ID) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.people[id], s.unreadable
}

// arrive puts a person into the register.
func (s *station) arrive() oplog.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := oplog.NewID()
	s.people[id] = true
	return id
}

// newStation is node number of op, with a log of its own.
func newStation(t testing.TB, op *operation, number uint16) *station {
	t.Helper()
	return stationOn(oplogtest.Harness(t, Kinds(), Views()), op, number)
}

func stationOn(log *oplog.Log, op *operation, number uint16) *station {
	s := &station{
		op: op, number: number, confirmed: true, people: map[oplog.ID]bool{}, time: clock.NewFake(today),
		key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(number)}, 32)),
	}
	op.certify(number, s.key, identity.CapTokens)
	op.authors[log.Own()] = number
	s.Desk = OpenDesk(log, s, s, s.time)
	return s
}

func actorOf(r staff.Role) staff.Actor {
	return staff.Actor{ID: oplog.By{1, 2, 3}, Name: "Mina", Role: r}
}

func (s *station) issue(t testing.TB, person oplog.ID) Card {
	t.Helper()
	c, err := s.Issue(context.Background(), actorOf(staff.Registrar), person, IssueOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *station) verify(t testing.TB, text string) Result {
	t.Helper()
	r, err := s.Verify(context.Background(), actorOf(staff.Distributor), text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestACardIsIssuedReadAndReplaced(t *testing.T) {
	s := newStation(t, newOperation(1), 7)
	person := s.arrive()
	first := s.issue(t, person)
	if first.Generation != 0 || first.Token.Node != 7 || first.Kind != Individual || first.Person != person || len(first.Text) != TextSize ||
		!first.Expires.Equal(time.Date(2027, 11, 24, 0, 0, 0, 0, time.UTC)) || first.By != actorOf("").ID {
		t.Fatalf("%+v", first)
	}
	if r := s.verify(t, first.Text); r.Verdict != Genuine || r.Person == nil || *r.Person != person || r.Reason != reasonGenuine {
		t.Fatalf("%+v", r)
	}
	second := s.issue(t, person)
	if second.Generation != 1 || second.Token.Holder != first.Token.Holder || second.Typed != first.Typed || second.Text == first.Text {
		t.Fatalf("%+v after %+v", second, first)
	}
	if r := s.verify(t, first.Text); r.Verdict != Superseded || r.Person == nil || r.Generation != 0 {
		t.Fatalf("the lost card: %+v", r)
	}
	if r := s.verify(t, second.Text); r.Verdict != Genuine || r.Generation != 1 {
		t.Fatalf("the new card: %+v", r)
	}
	for role, printable := range map[staff.Role]bool{staff.Registrar: true, staff.Caseworker: false} {
		c, ok, err := s.Current(context.Background(), actorOf(role), person)
		if err != nil || !ok || c.Generation != 1 || c.Typed != second.Typed || !c.Expires.Equal(second.Expires) {
			t.Fatalf("%s: %+v %v %v", role, c, ok, err)
		}
		if (c.Text == second.Text && c.Token == second.Token) != printable || (c.Text == "") == printable {
			t.Errorf("%s sees %q", role, c.Text)
		}
	}
	if got, ok := s.ByTyped(" " + first.Typed + "\n"); !ok || got != person {
		t.Fatalf("typed code leads to %v, %v", got, ok)
	}
	if got, ok := s.ByTyped(TypedCode([10]byte{9})); ok {
		t.Fatalf("a code of nobody leads to %v", got)
	}
	if _, ok, err := s.Current(context.Background(), actorOf(staff.Registrar), s.arrive()); ok || err != nil {
		t.Fatalf("a person without a card: %v %v", ok, err)
	}
}

func TestKindsOfOneSubjectAreCountedApart(t *testing.T) {
	s := newStation(t, newOperation(1), 1)
	person := s.arrive()
	individual := s.issue(t, person)
	collector, err := s.Issue(context.Background(), actorOf(staff.Lead), person, IssueOptions{Kind: Collector, Valid: 30 * day})
	if err != nil || collector.Generation != 0 || collector.Token.Holder != individual.Token.Holder {
		t.Fatalf("%+v %v", collector, err)
	}
	if !collector.Expires.Equal(time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("good until %v", collector.Expires)
	}
	s.issue(t, person)
	if r := s.verify(t, collector.Text); r.Verdict != Genuine || r.Kind != Collector {
		t.Errorf("%+v", r)
	}
	if c, _, _ := s.Current(context.Background(), actorOf(staff.Lead), person); c.Kind != Individual || c.Generation != 1 {
		t.Errorf("%+v", c)
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	s := newStation(t, newOperation(1), 1)
	person := s.arrive()
	card := s.issue(t, person)
	ctx := context.Background()
	denied, nobody := fault.Denied, fault.Unauthenticated
	for _, c := range []struct {
		actor                        staff.Actor
		issue, verify, current, read fault.Class
	}{
		{actorOf(staff.Registrar), "", "", "", fault.Unsupported},
		{actorOf(staff.Distributor), denied, "", denied, fault.Unsupported},
		{actorOf(staff.Carrier), denied, denied, denied, denied},
		{staff.Actor{}, nobody, nobody, nobody, nobody},
	} {
		_, issue := s.Issue(ctx, c.actor, person, IssueOptions{})
		_, verify := s.Verify(ctx, c.actor, card.Text)
		_, _, current := s.Current(ctx, c.actor, person)
		_, read := s.Read(ctx, c.actor, bytes.NewReader(nil))
		for what, p := range map[string][2]any{"issue": {fault.ClassOf(issue), c.issue}, "verify": {fault.ClassOf(verify), c.verify}, "current": {fault.ClassOf(current), c.current}, "read": {fault.ClassOf(read), c.read}} {
			if p[0] != p[1] {
				t.Errorf("%q may %s: %v, want %v", c.actor.Role, what, p[0], p[1])
			}
		}
	}
	if text, err := s.Read(ctx, actorOf(staff.Distributor), bytes.NewReader(PNG(card.Text, 4))); err != nil || text != card.Text {
		t.Errorf("%q %v", text, err)
	}
}

func TestIssueRefuses(t *testing.T) {
	s := newStation(t, newOperation(1), 1)
	person := s.arrive()
	ctx, lead := context.Background(), actorOf(staff.Lead)
	try := func(person oplog.ID, o IssueOptions) error {
		_, err := s.Issue(ctx, lead, person, o)
		return err
	}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"a stranger":     {try(oplog.NewID(), IssueOptions{}), "fault.tokens.no_person"},
		"a voucher":      {try(person, IssueOptions{Kind: Voucher}), "fault.tokens.kind"},
		"an unknown one": {try(person, IssueOptions{Kind: 200}), "fault.tokens.kind"},
		"an hour":        {try(person, IssueOptions{Valid: time.Hour}), "fault.tokens.valid"},
		"ten years":      {try(person, IssueOptions{Valid: 10 * 366 * day}), "fault.tokens.valid"},
		"back in time":   {try(person, IssueOptions{Valid: -day}), "fault.tokens.valid"},
		"a long key":     {try(person, IssueOptions{Once: Request{Key: string(make([]byte, 201))}}), "fault.tokens.key_long"},
	} {
		if fault.Of(c.err) == nil || fault.Of(c.err).Key != c.want {
			t.Errorf("%s: %v, want %s", name, c.err, c.want)
		}
	}
	s.confirmed = false
	if err := try(person, IssueOptions{}); !errors.Is(err, fault.New(fault.Denied, "fault.tokens.not_confirmed")) {
		t.Error(err)
	}
	s.confirmed = true
	wrong := s.op.certs[1]
	s.op.certify(1, otherKey(), identity.CapTokens)
	if err := try(person, IssueOptions{}); !errors.Is(err, fault.New(fault.Internal, "fault.tokens.not_signed")) {
		t.Errorf("a key that is not the certificate's: %v", err)
	}
	delete(s.op.certs, 1)
	if err := try(person, IssueOptions{}); !errors.Is(err, fault.New(fault.Internal, "fault.tokens.not_signed")) {
		t.Errorf("no certificate: %v", err)
	}
	s.op.certs[1] = wrong
	if _, ok, err := s.Current(ctx, lead, person); ok || err != nil {
		t.Errorf("something was written all the same: %v %v", ok, err)
	}
}

func TestGenerationsEndAt255(t *testing.T) {
	s := newStation(t, newOperation(1), 1)
	person := s.arrive()
	var last Card
	for range 256 {
		last = s.issue(t, person)
	}
	if last.Generation != 255 {
		t.Fatalf("generation %d", last.Generation)
	}
	_, err := s.Issue(context.Background(), actorOf(staff.Lead), person, IssueOptions{})
	if !errors.Is(err, fault.New(fault.Conflict, "fault.tokens.generations_spent")) {
		t.Fatal(err)
	}
	if r := s.verify(t, last.Text); r.Verdict != Genuine {
		t.Errorf("the last one stays good: %+v", r)
	}
}

func TestARepeatedRequestMakesOneCard(t *testing.T) {
	s := newStation(t, newOperation(1), 1)
	ctx, lead := context.Background(), actorOf(staff.Lead)
	person, other := s.arrive(), s.arrive()
	once := IssueOptions{Once: Request{Key: "k-1", Body: []byte(`{}`)}}
	first, err := s.Issue(ctx, lead, person, once)
	if err != nil {
		t.Fatal(err)
	}
	s.issue(t, person) // somebody else reissues in between
	again, err := s.Issue(ctx, lead, person, once)
	if err != nil || again != first {
		t.Fatalf("%+v, %v: not the same card as %+v", again, err, first)
	}
	reused := fault.New(fault.Conflict, "fault.tokens.key_reused")
	if _, err := s.Issue(ctx, lead, other, once); !errors.Is(err, reused) {
		t.Errorf("another person: %v", err)
	}
	if _, err := s.Issue(ctx, lead, person, IssueOptions{Kind: Collector, Once: once.Once}); !errors.Is(err, reused) {
		t.Errorf("another kind: %v", err)
	}
	if _, err := s.Issue(ctx, lead, person, IssueOptions{Once: Request{Key: "k-1", Body: []byte(`{ }`)}}); !errors.Is(err, reused) {
		t.Errorf("another body: %v", err)
	}
	colleague := lead
	colleague.ID[7] = 9
	if c, err := s.Issue(ctx, colleague, person, once); err != nil || c.Generation != 2 {
		t.Errorf("the same key of a colleague: %+v %v", c, err)
	}
}

// TestARepeatAfterARestart: the key is in the journal, and a rebuilt view has it.
func TestARepeatAfterARestart(t *testing.T) {
	ctx, op, lead := context.Background(), newOperation(1), actorOf(staff.Lead)
	options := oplogtest.Options(t, oplogtest.NewAuthority(t), Kinds(), Views())
	open := func() (*oplog.Log, *station) {
		options.Store = oplogtest.MemStore()
		log, err := oplog.Open(ctx, options)
		if err != nil {
			t.Fatal(err)
		}
		return log, stationOn(log, op, 1)
	}
	log, s := open()
	person := s.arrive()
	once := IssueOptions{Once: Request{Key: "night shift", Body: []byte("{}")}}
	first, err := s.Issue(ctx, lead, person, once)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	log, s = open()
	defer log.Close()
	s.people[person] = true
	again, err := s.Issue(ctx, lead, person, once)
	if err != nil || again.Text != first.Text || again.Generation != 0 || !again.IssuedAt.Equal(first.IssuedAt) {
		t.Fatalf("%+v, %v: not the same card as %+v", again, err, first)
	}
	if r := s.verify(t, first.Text); r.Verdict != Genuine || r.Person == nil {
		t.Errorf("%+v", r)
	}
}

// TestTwoPostsReissueAtOnce: cut off from each other both give the person a new
// card. Both are good at both posts, and the next one replaces both.
func TestTwoPostsReissueAtOnce(t *testing.T) {
	op, a := newOperation(1), oplogtest.NewAuthority(t)
	logs := []*oplog.Log{oplogtest.Node(t, a, Kinds(), Views()), oplogtest.Node(t, a.Peer(t), Kinds(), Views())}
	north, south := stationOn(logs[0], op, 1), stationOn(logs[1], op, 2)
	person := north.arrive()
	south.people[person] = true
	first := north.issue(t, person)
	early := south.issue(t, person) // has not heard of the first: another holder
	oplogtest.Exchange(t, logs...)
	for _, s := range []*station{north, south} {
		for _, c := range []Card{first, early} {
			if r := s.verify(t, c.Text); r.Verdict != Genuine || r.Person == nil || *r.Person != person {
				t.Fatalf("node %d, card of node %d: %+v", s.number, c.Token.Node, r)
			}
			if got, ok := s.ByTyped(c.Typed); !ok || got != person {
				t.Errorf("typed code %s", c.Typed)
			}
		}
	}
	one, two := north.issue(t, person), south.issue(t, person)
	oplogtest.Exchange(t, logs...)
	oplogtest.Same(t, logs...)
	shown := map[string]bool{}
	for _, s := range []*station{north, south} {
		for _, c := range []Card{one, two} {
			if r := s.verify(t, c.Text); r.Verdict != Genuine || c.Generation != 1 {
				t.Errorf("node %d, card of node %d: %+v", s.number, c.Token.Node, r)
			}
		}
		for _, c := range []Card{first, early} {
			if r := s.verify(t, c.Text); r.Verdict != Superseded {
				t.Errorf("node %d, old card of node %d: %+v", s.number, c.Token.Node, r)
			}
		}
		c, _, err := s.Current(context.Background(), actorOf(staff.Registrar), person)
		if err != nil {
			t.Fatal(err)
		}
		shown[c.Text] = true
	}
	if len(shown) != 1 {
		t.Error("the two posts show different cards")
	}
	last := south.issue(t, person)
	oplogtest.Exchange(t, logs...)
	if last.Generation != 2 || north.verify(t, one.Text).Verdict != Superseded || north.verify(t, two.Text).Verdict != Superseded || north.verify(t, last.Text).Verdict != Genuine {
		t.Errorf("generation %d does not replace both", last.Generation)
	}
}

func TestABoxThatWokeUpIn1970(t *testing.T) {
	s := newStation(t, newOperation(1), 1)
	person := s.arrive()
	s.time.Set(time.Unix(1000, 0))
	s.time.SetSure(false)
	card := s.issue(t, person)
	if card.Expires.Before(today.Add(300 * day)) {
		t.Fatalf("good until %v", card.Expires)
	}
	if r := s.verify(t, card.Text); r.Verdict != Genuine {
		t.Errorf("%+v", r)
	}
}

// TestEverySentenceIsWritten: whatever this package may say has its words in
// every language, and faults say what to do.
func TestEverySentenceIsWritten(t *testing.T) {
	var keys []string
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range sources {
		if m, _ := filepath.Match("*_test.go", f); m {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range regexp.MustCompile(`"((?:fault\.tokens|tokens\.reason)\.[a-z_]+)"`).FindAllSubmatch(b, -1) {
			keys = append(keys, string(k[1]))
			if k[1][0] == 'f' {
				keys = append(keys, string(k[1])+".hint")
			}
		}
	}
	for _, v := range []Verdict{Genuine, Superseded, Revoked, Expired, UnknownIssuer, NotOurs, Malformed} {
		keys = append(keys, "tokens.verdict."+string(v))
	}
	if len(keys) < 40 {
		t.Fatalf("found only %d keys", len(keys))
	}
	for _, lang := range []string{"en", "es", "fr", "ar"} {
		b, err := os.ReadFile(filepath.Join("..", "..", "ui", "locale", lang, "tokens.json"))
		if err != nil {
			t.Fatal(err)
		}
		var words map[string]string
		if err := json.Unmarshal(b, &words); err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			if words[k] == "" {
				t.Errorf("%s has no words for %s", lang, k)
			}
		}
	}
}

// While nobody can tell who is registered, a card is neither refused nor called unknown.
func TestARegisterThatCannotBeRead(t *testing.T) {
	s := newStation(t, newOperation(1), 7)
	card := s.issue(t, s.arrive())
	s.unreadable = fault.New(fault.Unavailable, "fault.oplog.rebuilding")
	if _, err := s.Issue(context.Background(), actorOf(staff.Lead), oplog.NewID(), IssueOptions{}); fault.ClassOf(err) != fault.Unavailable {
		t.Errorf("issuing: %v", err)
	}
	if r, err := s.Verify(context.Background(), actorOf(staff.Lead), card.Text); fault.ClassOf(err) != fault.Unavailable {
		t.Errorf("checking: %+v %v", r, err)
	}
}
