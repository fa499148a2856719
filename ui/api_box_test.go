package ui

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/chunks"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/sealed"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/station"
	"github.com/waypost/waypost/appliance/tokens"
	"github.com/waypost/waypost/ui/locale"
)

// apiBox is a box whose desks are real, on a real journal with its views in
// memory; what lies around them is made up.
type apiBox struct {
	nightBox
	carryBox
	t     *testing.T
	log   *oplog.Log
	vault *identity.Vault
	desks *station.Station
	peers []control.Peer
	forks []control.ForkedLog

	released []control.HeldOp
	dir      string
	stick    [32]byte // opens it too, once there is one

	emergency identity.EmergencySet

	transfer  control.Backup
	failed    error
	losses    control.Losses
	counting  atomic.Bool // as a box with many people that has just started
	backedUp  string      // the file a backup was begun into
	names     []string    // of the public certificate
	requested []string
	copied    copyDouble
	links     linkState

	mu       sync.Mutex
	state    string
	restored *control.Restored
}

var _ Box = (*apiBox)(nil)

// passphrase opens the test box and signs the lead in.
const testPassphrase = "correct horse battery staple"

func newAPIBox(t *testing.T) *apiBox {
	t.Helper()
	dir, c := t.TempDir(), clock.System()
	vault, _, err := identity.Start(dir, c, identity.StartOptions{
		Deployment: "Test", Site: "North gate", Passphrase: []byte(testPassphrase), KeepRoot: true, Cost: identity.TestCost(),
	})
	must(t, err)
	var kinds []oplog.Kind
	var views []*oplog.View
	for _, k := range [][]oplog.Kind{identity.Kinds(), staff.Kinds(), registration.Kinds(), tokens.Kinds(), sealed.Kinds()} {
		kinds = append(kinds, k...)
	}
	for _, v := range [][]*oplog.View{identity.Views(), staff.Views(), registration.Views(), tokens.Views(), sealed.Views()} {
		views = append(views, v...)
	}
	log, err := oplog.Open(context.Background(), oplog.Options{
		Dir: dir + "/journal", Store: oplogtest.MemStore(), Authority: vault, StorageKey: vault.Subkey("journal"),
		Clock: c, Kinds: kinds, Views: views,
		FreeSpace: func() (uint64, error) { return 1 << 40, nil },
	})
	must(t, err)
	t.Cleanup(func() { _ = log.Close() })
	b := &apiBox{t: t, log: log, vault: vault, dir: dir, state: stateOpen}
	b.desks = testStation(t, dir, log, vault, c)
	return b
}

func testStation(t *testing.T, dir string, log *oplog.Log, vault *identity.Vault, c clock.Clock) *station.Station {
	t.Helper()
	people := identity.OpenDesk(log, vault)
	must(t, people.NameSelf(context.Background()))
	photos, err := chunks.Open(chunks.Options{Dir: dir + "/chunks", Clock: c, StorageKey: vault.Subkey("chunks")})
	must(t, err)
	register, err := registration.Open(log, registration.Options{Clock: c, Sites: func(oplog.LogID) string { return "North gate" }, Chunks: photos})
	must(t, err)
	desk, err := staff.Open(log, dir, vault.Subkey("accounts"), c, "North gate", vault.NodeID(), staff.WithCost(identity.TestCost()),
		staff.WithAuthors(people.Author), staff.WithIssuer(staff.Issuer{Deployment: vault.Deployment(), Nodes: people.Nodes, Countersign: vault.Countersign}))
	must(t, err)
	t.Cleanup(desk.Close)
	people.SetHands(station.HandsOf(desk))
	cards := tokens.OpenDesk(log, people, register, c)
	cards.AskErased(desk.CardErased)
	register.SetErasing(registration.Erasing{Ask: desk.AskErasure, Cards: cards.Holders})
	files := sealed.OpenDesk(log, sealed.Options{
		Dir: dir, Deployment: vault.Deployment(), Clock: c, Staff: desk, Authors: people.Author, Countersign: vault.Countersign,
	})
	register.SetIntake(files)
	return &station.Station{Staff: desk, Registration: register, Identity: people, Tokens: cards, Sealed: files}
}

func (b *apiBox) set(state string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state = state
}

func (b *apiBox) State() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

func (b *apiBox) Desks() *station.Station {
	if s := b.State(); s == stateNew || s == stateLocked || s == stateOpening {
		return nil
	}
	return b.desks
}

func (b *apiBox) Site() SiteInfo {
	held, _, err := b.desks.Identity.Held()
	if err != nil {
		b.t.Error(err)
	}
	return SiteInfo{Ceremony: held.Variant, Deployment: "Test", Site: "North gate", Node: b.vault.NodeID().String(), Number: 1, Confirmed: true, CanInvite: true}
}

func (b *apiBox) Watch() (<-chan struct{}, func()) { return b.log.Watch() }

func (b *apiBox) Unlock(_ context.Context, passphrase []byte) error {
	if k, err := identity.ParseKeyFile(passphrase); err == nil && k.Key == b.stick {
		b.set(stateOpen)
		return nil
	} else if err == nil {
		return fault.New(fault.Denied, "fault.identity.wrong_key_file")
	}
	if string(passphrase) != testPassphrase {
		return fault.New(fault.Denied, "fault.identity.wrong_passphrase")
	}
	b.set(stateOpen)
	return nil
}

func (b *apiBox) CheckClaim(string) error { return fault.New(fault.Denied, "fault.node.claim_wrong") }

func (b *apiBox) StartSite(context.Context, StartSite) (Started, error) {
	return Started{}, b.CheckClaim("")
}

func (b *apiBox) JoinSite(context.Context, JoinSite) (Started, error) {
	return Started{}, b.CheckClaim("")
}

func (b *apiBox) Practise(context.Context, string) (Started, error) {
	return Started{}, b.CheckClaim("")
}

func (b *apiBox) Invite(_ context.Context, a staff.Actor, ttl time.Duration, _ string) (control.Invitation, error) {
	if err := a.Must(staff.InviteNodes); err != nil {
		return control.Invitation{}, err
	}
	return control.Invitation{Code: "WPI1TEST", Expires: time.Unix(0, 0).Add(ttl).UTC()}, nil
}

func (b *apiBox) Confirm(_ context.Context, a staff.Actor, _ string) error {
	return a.Must(staff.ConfirmNodes)
}

func (b *apiBox) Status(ctx context.Context) (control.Status, error) {
	s := control.Status{State: b.State(), Site: "North gate", Mesh: "10.0.0.1:7946", Peers: []control.Peer{}, Alerts: []control.Alert{{Key: "alert.clock", Level: "warning"}}}
	if s.State == stateOpening {
		s.Rebuild = &control.Rebuild{Phase: "folding", Done: 41, Total: 100, Percent: 41}
	}
	if b.Desks() == nil {
		return s, nil
	}
	n, err := b.desks.Registration.Counts(ctx)
	if s.Counting = b.counting.Load(); s.Counting {
		s.Alerts = append(s.Alerts, control.Alert{Key: "alert.counting", Level: "warning", Args: map[string]any{"Count": n.People}})
	}
	s.People, s.Households, s.Ops = uint64(n.People), uint64(n.Households), b.log.Stats().Ops
	s.Peers, s.Forks = append(s.Peers, b.peers...), b.forks
	return s, err
}

func (b *apiBox) Losses(_ context.Context, a staff.Actor) (control.Losses, error) {
	return b.losses, a.Must(staff.ManageBox)
}

func (b *apiBox) AcceptLosses(_ context.Context, a staff.Actor) (n uint64, err error) {
	if err := a.Must(staff.ManageBox); err != nil {
		return 0, err
	}
	for _, x := range b.losses.Lost {
		n += x.Ops
	}
	b.losses.Accepted, b.losses.Lost = append(b.losses.Accepted, b.losses.Lost...), nil
	return n, nil
}

func (b *apiBox) node(id string) oplog.ID {
	node, _ := oplog.ParseID(id)
	return node
}

func (b *apiBox) Suspend(ctx context.Context, a staff.Actor, id string) error {
	if err := a.Must(staff.SuspendNodes); err != nil {
		return err
	}
	return b.desks.Identity.Suspend(ctx, a.ID, b.node(id))
}

func (b *apiBox) Lift(ctx context.Context, a staff.Actor, id string) error {
	if err := a.Must(staff.SuspendNodes); err != nil {
		return err
	}
	return b.desks.Identity.Lift(ctx, a.ID, b.node(id))
}

func (b *apiBox) Rotate(ctx context.Context, a staff.Actor) error {
	if err := a.Must(staff.SuspendNodes); err != nil {
		return err
	}
	return b.desks.Identity.Rotate(ctx, a.ID)
}

func (b *apiBox) AskRevoke(_ context.Context, s staff.Session, id string) (oplog.ID, error) {
	node := b.node(id)
	cuts, err := b.desks.Identity.RevokeCutsFor(node)
	if err != nil {
		return oplog.ID{}, err
	}
	act := staff.Act{Purpose: identity.PurposeRevoke, Action: staff.RevokeNodes, Body: identity.RevokeBody(node, cuts), Key: "lost.act.revoke", Args: []any{"Site", ""}}
	return b.desks.Staff.AskAct(s, act, func(ctx context.Context, by staff.ID, first, second staff.Hand) error {
		return b.desks.Identity.Revoke(ctx, by, node, cuts, [2][]byte{first, second})
	})
}

func (b *apiBox) AgreeRevoke(ctx context.Context, s staff.Session, id string) error {
	for _, w := range b.desks.Staff.Acts(s.Actor) {
		if w.By != s.Actor.ID {
			return b.desks.Staff.ConfirmAct(ctx, s, w.ID)
		}
	}
	return fault.New(fault.NotFound, "fault.staff.no_act")
}

func (b *apiBox) RevokeBoth(ctx context.Context, id string, users [2]string, passphrases [2][]byte) error {
	return fault.New(fault.NotFound, "fault.staff.no_act")
}

func (b *apiBox) Issuers(_ context.Context, a staff.Actor) ([]control.Issuer, error) {
	if err := a.Must(staff.SuspendNodes); err != nil {
		return nil, err
	}
	all, err := b.desks.Identity.IssuerStandings()
	out := []control.Issuer{}
	for _, i := range all {
		out = append(out, control.Issuer{ID: i.Cert.ID().String(), Sites: []string{"North gate"}, Own: i.Own, Revoked: i.Revoked, Words: len(i.Words)})
	}
	return out, err
}

func (b *apiBox) RevokeIssuer(context.Context, string, [2]string, [2][]byte, []byte) error {
	return fault.New(fault.NotFound, "fault.identity.no_such_issuer")
}

func (b *apiBox) Held(_ context.Context, a staff.Actor, id string) ([]control.HeldOp, error) {
	if err := a.Must(staff.SuspendNodes); err != nil {
		return nil, err
	}
	return []control.HeldOp{{Log: "00", Seq: 7}, {Log: "00", Seq: 8}, {Log: "01", Seq: 7}}, nil
}

func (b *apiBox) AskRelease(_ context.Context, s staff.Session, id string, ops []control.HeldOp) (oplog.ID, error) {
	act := staff.Act{Purpose: identity.PurposeRelease, Action: staff.RevokeNodes, Body: []byte(id), Key: "lost.act.release", Args: []any{"Site", "Harbour", "Count", len(ops)}}
	return b.desks.Staff.AskAct(s, act, func(context.Context, staff.ID, staff.Hand, staff.Hand) error {
		b.released = append(b.released, ops...)
		return nil
	})
}

func (b *apiBox) Lost(_ context.Context, a staff.Actor) ([]control.LostBox, error) {
	if err := a.Must(staff.SuspendNodes); err != nil {
		return nil, err
	}
	shut, err := b.desks.Identity.ShutOut()
	out := []control.LostBox{}
	for _, x := range shut {
		out = append(out, b.lostBox(a, x))
	}
	return out, err
}

func (b *apiBox) lostBox(a staff.Actor, x identity.ShutOut) control.LostBox {
	l := control.LostBox{Node: x.Node.String(), Standing: "suspended", Since: x.When, Known: []string{"North gate"}, Unheard: []string{}, MayLift: x.MayLift}
	if x.Standing == identity.StandingRevoked {
		l.Standing = "revoked"
	}
	for _, w := range b.desks.Staff.Acts(a) {
		l.Asked = w.ByName
	}
	return l
}

func (b *apiBox) Incident(_ context.Context, a staff.Actor, id string) (control.Incident, error) {
	if err := a.Must(staff.SuspendNodes); err != nil {
		return control.Incident{}, err
	}
	nodes, err := b.desks.Identity.Nodes()
	if err != nil {
		return control.Incident{}, err
	}
	if !slices.ContainsFunc(nodes, func(n identity.Node) bool { return n.ID == b.node(id) }) {
		return control.Incident{}, fault.New(fault.NotFound, "fault.identity.no_such_node")
	}
	i := control.Incident{LostBox: control.LostBox{Node: id, Known: []string{}, Unheard: []string{}}, Areas: []uint16{0}, People: 40, Registered: 12, Workers: []string{"bea"}}
	shut, err := b.desks.Identity.ShutOut()
	for _, x := range shut {
		if x.Node == b.node(id) {
			i.LostBox = b.lostBox(a, x)
		}
	}
	return i, err
}

func (b *apiBox) Backups() []control.BackupFile { return nil }

func (b *apiBox) RestoreSite(context.Context, RestoreSite) error { return b.CheckClaim("") }

func (b *apiBox) BackupState(context.Context) (control.Backup, error) { return b.transfer, b.failed }

func (b *apiBox) BackupPlaces() []control.BackupPlace {
	return []control.BackupPlace{{Folder: "/media/stick", File: "/media/stick/waypost-1-2026-11-24.wpb", Free: 8 << 30}}
}

func (b *apiBox) StartBackup(_ context.Context, a staff.Actor, file string) error {
	b.backedUp = file
	return a.Must(staff.KeepBackups)
}

func (b *apiBox) StopBackup(_ context.Context, a staff.Actor) error { return a.Must(staff.KeepBackups) }

func (b *apiBox) Restored() *control.Restored {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.restored
}

func (b *apiBox) Reopen(ctx context.Context, s staff.Session, user string, passphrase []byte) error {
	err := b.desks.Staff.Reopen(ctx, s, user, passphrase, time.Unix(0, 0))
	if err == nil {
		b.close(nil)
	}
	return err
}

func (b *apiBox) ReopenBoth(ctx context.Context, users [2]string, passphrases [2][]byte) error {
	err := b.desks.Staff.ReopenBoth(ctx, users, passphrases, time.Unix(0, 0))
	if err == nil {
		b.close(nil)
	}
	return err
}

func (b *apiBox) close(r *control.Restored) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.restored = r
}

func (b *apiBox) Holdings(context.Context) ([]Holding, error) {
	var out []Holding
	for _, h := range b.log.Heads() {
		out = append(out, Holding{Log: h.Log.String(), Node: b.vault.NodeID().String(), Seq: h.Seq, Head: "00"})
	}
	return out, nil
}

func (b *apiBox) Check(ctx context.Context) (control.Check, error) {
	if b.Desks() == nil {
		return control.Check{}, fault.New(fault.Locked, "fault.node.locked")
	}
	r, err := b.log.Check(ctx)
	return control.Check{Sound: r.Sound, Ops: r.Ops, Views: &r.Views, Logs: []control.LogHead{}, Areas: []string{}, Problems: []string{}}, err
}

func (b *apiBox) Repair(ctx context.Context) (control.Check, error) { return b.Check(ctx) }

func (b *apiBox) Rebuild(ctx context.Context) (control.Rebuilt, error) {
	if b.Desks() == nil {
		return control.Rebuilt{}, fault.New(fault.Locked, "fault.node.locked")
	}
	err := b.log.Rebuild(ctx)
	return control.Rebuilt{Ops: b.log.Stats().Ops}, err
}

func (b *apiBox) CA() CAInfo {
	return CAInfo{PEM: []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), Fingerprint: "00", Words: []string{"a", "b", "c", "d", "e"}}
}

func (b *apiBox) Addresses() []string { return []string{"https://10.42.0.1:8443/"} }

// rig is a server on an apiBox, with a way to ask it.
type rig struct {
	t   *testing.T
	box *apiBox
	s   *Server
	log *syncBuffer
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigOn(t, newAPIBox(t))
}

func newRigOn(t *testing.T, box *apiBox) *rig {
	t.Helper()
	catalog := locale.New()
	out := &syncBuffer{}
	s, err := New(Config{Box: box, Catalog: catalog, Clock: clock.System(), Logger: slog.New(slog.NewTextHandler(out, nil)), Version: "test"})
	must(t, err)
	t.Cleanup(s.Close)
	return &rig{t: t, box: box, s: s, log: out}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) problem(t *testing.T) control.Problem {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != problemType {
		t.Fatalf("content type %q of status %d: %s", got, a.status, a.body)
	}
	var p control.Problem
	if err := json.Unmarshal(a.body, &p); err != nil || p.Status != a.status || p.Detail == "" || p.Title == "" || p.Type == "" {
		t.Fatalf("no problem: %s (%v)", a.body, err)
	}
	return p
}

func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
}

// ask sends a request to a surface; headers alternate names and values. The name
// "Host" sets the host.
func (r *rig) ask(surface Surface, method, path, body string, headers ...string) answer {
	r.t.Helper()
	return r.send(r.s.App(surface), method, path, body, headers...)
}

func (r *rig) send(app *fiber.App, method, path, body string, headers ...string) answer {
	r.t.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Host = "localhost:8080"
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := app.Test(req, -1)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	must(r.t, err)
	return answer{resp.StatusCode, resp.Header, out}
}

// key is a bearer key of a role.
func (r *rig) key(role staff.Role) string {
	r.t.Helper()
	k, err := r.box.desks.Staff.IssueKey(context.Background(), staff.Operator(), role, string(role), time.Hour)
	must(r.t, err)
	return k.Secret
}

// call is a JSON call with a bearer key.
func (r *rig) call(key, method, path, body string, headers ...string) answer {
	r.t.Helper()
	h := []string{"Authorization", "Bearer " + key}
	if body != "" {
		h = append(h, "Content-Type", "application/json")
	}
	return r.ask(Network, method, path, body, append(h, headers...)...)
}

// passphraseFor is what the tests sign in with: words of the list where the role needs them.
func passphraseFor(role staff.Role) []byte {
	if len(role.Narrows()) > 0 {
		return []byte("harbor anchor basket candle eagle")
	}
	return []byte(testPassphrase)
}

// session signs somebody with a new account in.
func (r *rig) session(user string, role staff.Role) staff.Session {
	r.t.Helper()
	ctx := context.Background()
	_, err := r.box.desks.Staff.Add(ctx, staff.Operator(), staff.NewAccount{User: user, Role: role, Passphrase: passphraseFor(role)})
	must(r.t, err)
	s, err := r.box.desks.Staff.SignIn(ctx, user, passphraseFor(role))
	must(r.t, err)
	must(r.t, r.box.desks.Staff.Undertake(ctx, s))
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// syncBuffer is a log that several goroutines write and a test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
