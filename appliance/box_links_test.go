package main

import (
	"log/slog"
	"os"
	"testing"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
)

func TestWhereANodeLooksAround(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		listen string
		said   *bool
		want   bool
	}{
		{":7946", nil, true}, {"0.0.0.0:7946", nil, true}, {"[::]:7946", nil, true}, {"10.0.0.4:7946", nil, true},
		{"127.0.0.1:7946", nil, false}, {"[::1]:7946", nil, false}, {"localhost:7946", nil, false}, {"nonsense", nil, false},
		{":7946", &no, false}, {"127.0.0.1:0", &yes, true},
	} {
		if got := (linkSetting{Discover: c.said}).discovers(c.listen); got != c.want {
			t.Errorf("%s: %v", c.listen, got)
		}
	}
}

func TestTheSettingOfTheConnectionIsKept(t *testing.T) {
	lead := staff.Operator()
	b := &box{dir: t.TempDir(), meshListen: ":7946", logger: slog.New(slog.DiscardHandler), linkFlag: control.LinkLow}
	if l, err := b.Link(t.Context()); err != nil || l.Profile != control.LinkLow || !l.Discover {
		t.Fatalf("%+v %v", l, err)
	}
	set := control.Link{Profile: control.LinkUsual, Photos: true, Out: 5000, In: 6000}
	if l, err := b.SetLink(t.Context(), lead, set); err != nil || l != set { // what was said later counts
		t.Fatalf("%+v %v", l, err)
	}
	again := &box{dir: b.dir, meshListen: ":7946", logger: b.logger}
	if l, err := again.Link(t.Context()); err != nil || l != set {
		t.Fatalf("after a restart: %+v %v", l, err)
	}
	again.linkFlag = control.LinkLow
	if l, _ := again.Link(t.Context()); l.Profile != control.LinkLow || l.Out != 5000 {
		t.Fatalf("with a flag: %+v", l)
	}
	if _, err := b.SetLink(t.Context(), lead, control.Link{Profile: "free"}); fault.Of(err).Key != "fault.node.link_profile" {
		t.Error(err)
	}
	if _, err := b.SetLink(t.Context(), staff.Actor{ID: lead.ID, Role: staff.Registrar}, set); fault.ClassOf(err) != fault.Denied {
		t.Error(err)
	}
	if err := os.WriteFile(linkFile(b.dir), []byte(`{"low":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := again.Link(t.Context()); err != nil || l.Out != 0 {
		t.Errorf("of a broken file: %+v %v", l, err)
	}
}
