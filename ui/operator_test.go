package ui

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
)

// The calls are made by the client that the verbs use, over a real socket.
func TestOperatorCalls(t *testing.T) {
	r := newRig(t)
	dir, err := os.MkdirTemp("/tmp", "wp")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ln, err := net.Listen("unix", filepath.Join(dir, "control.sock"))
	must(t, err)
	done := make(chan struct{})
	go func() { defer close(done); _ = r.s.Serve(Control, ln) }()
	t.Cleanup(func() {
		shut, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = r.s.Shutdown(shut)
		<-done
	})
	c, ctx := control.New(dir), t.Context()

	r.box.set(stateLocked)
	status, err := c.Status(ctx)
	if err != nil || status.State != stateLocked || len(status.Alerts) != 1 || status.Alerts[0].Text == "" || strings.HasPrefix(status.Alerts[0].Text, "alert.") {
		t.Fatalf("%+v %v", status, err)
	}
	if _, err := c.Accounts(ctx); fault.ClassOf(err) != fault.Locked {
		t.Fatal(err)
	}
	if _, err := c.Check(ctx); fault.ClassOf(err) != fault.Locked {
		t.Fatal(err)
	}
	if err := c.Unlock(ctx, []byte("wrong")); fault.ClassOf(err) != fault.Denied {
		t.Fatal(err)
	}
	must(t, c.Unlock(ctx, []byte(testPassphrase)))

	account, err := c.AddAccount(ctx, "amina", "registrar", []byte(testPassphrase))
	if err != nil || account.User != "amina" || account.ID == "" || account.Since.IsZero() {
		t.Fatalf("%+v %v", account, err)
	}
	if _, err := c.AddAccount(ctx, "omar", "king", []byte(testPassphrase)); fault.Of(err).Key != "fault.staff.unknown_role" {
		t.Fatal(err)
	}
	must(t, c.DisableAccount(ctx, "amina"))
	accounts, err := c.Accounts(ctx)
	if err != nil || len(accounts) != 1 || !accounts[0].Disabled {
		t.Fatalf("%+v %v", accounts, err)
	}
	key, err := c.IssueKey(ctx, "caseworker", "gate", time.Hour)
	if err != nil || !strings.HasPrefix(key.Secret, "wpk_") {
		t.Fatalf("%+v %v", key, err)
	}
	if a := r.call(key.Secret, "GET", "/api/v1/people", ""); a.status != 200 {
		t.Fatalf("the key: %d", a.status)
	}
	if _, err := c.IssueKey(ctx, "lead", "x", -time.Hour); fault.ClassOf(err) != fault.Invalid {
		t.Fatal(err)
	}
	invitation, err := c.Invite(ctx, 10*time.Minute, "")
	if err != nil || invitation.Code != "WPI1TEST" {
		t.Fatalf("%+v %v", invitation, err)
	}
	must(t, c.Confirm(ctx, "aaaaaaaaaaaaaaaa"))

	rows := []registration.ImportRow{{Line: 2, Key: "k1", Person: registration.Person{GivenName: "Layla"}}, {Line: 3, Key: "k2", Person: registration.Person{Sex: "x"}}}
	var imported struct{ Results []registration.RowResult }
	for range 2 {
		must(t, c.Post(ctx, "/operator/import", map[string]any{"rows": rows}, &imported))
	}
	if len(imported.Results) != 2 || imported.Results[0].Status != registration.RowThere || imported.Results[1].Status != registration.RowRejected {
		t.Fatalf("%+v", imported)
	}
	check, err := c.Check(ctx)
	if err != nil || !check.Sound || check.Ops == 0 {
		t.Fatalf("%+v %v", check, err)
	}
	verdict, err := c.Verify(ctx, "nonsense")
	if err != nil || verdict.Verdict != "malformed" || verdict.Reason == "" {
		t.Fatalf("%+v %v", verdict, err)
	}
	// The same API is there too, and its writes are the operator's.
	var added personJSON
	must(t, c.Post(ctx, "/api/v1/people", map[string]string{"given_name": "Omar"}, &added))
	var card tokenJSON
	must(t, c.Post(ctx, "/api/v1/people/"+added.ID+"/tokens", struct{}{}, &card))
	verdict, err = c.Verify(ctx, card.Token)
	if err != nil || verdict.Verdict != "genuine" || verdict.Person != added.ID {
		t.Fatalf("%+v %v", verdict, err)
	}
}

func TestOperatorCallsAreOnTheSocketOnly(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Lead)
	for _, rt := range r.s.operatorRoutes() {
		for _, surface := range []Surface{Loopback, Network} {
			a := r.ask(surface, rt.method, rt.path, "{}", "Authorization", "Bearer "+key, "Content-Type", "application/json")
			if a.status != http.StatusNotFound {
				t.Errorf("%s %s on %s: %d", rt.method, rt.path, surface, a.status)
			}
		}
	}
	if a := r.ask(Control, "GET", "/people", ""); a.status != 404 {
		t.Errorf("pages on the socket: %d", a.status)
	}
}
