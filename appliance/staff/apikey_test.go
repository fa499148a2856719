package staff

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

func TestABearerKey(t *testing.T) {
	p := openPlace(t)
	k, err := p.IssueKey(ctx, Operator(), Registrar, " kiosk ", time.Hour)
	must(t, err)
	if !strings.HasPrefix(k.Secret, "wpk_") || len(k.Secret) != 56 || !k.Expires.Equal(oplogtest.Noon().Add(time.Hour)) {
		t.Fatalf("%+v", k)
	}
	for range 2 { // before and after a restart: its hash is in the log
		a, err := p.KeyActor(k.Secret)
		if err != nil || !reflect.DeepEqual(a, Actor{ID: k.ID, Name: "kiosk", Role: Registrar, Site: "North gate", Key: true}) {
			t.Fatalf("%+v %v", a, err)
		}
		p.reopen(t)
		must(t, p.log.Rebuild(ctx))
	}
	for name, bad := range map[string]string{
		"empty": "", "prefix": "wpk_", "cut": k.Secret[:55], "long": k.Secret + "a", "upper": strings.ToUpper(k.Secret), "not base32": "wpk_" + strings.Repeat("1", 52),
		"guess": k.Secret[:30] + strings.Repeat("a", 26), "other": "wpk_" + strings.Repeat("a", 52),
	} {
		_, err := p.KeyActor(bad)
		if err == nil {
			t.Fatal(name)
		}
		wantFault(t, err, fault.Unauthenticated, "fault.staff.bad_key")
	}
	p.clock.Advance(time.Hour)
	_, err = p.KeyActor(k.Secret)
	wantFault(t, err, fault.Unauthenticated, "fault.staff.key_expired")
}

// A board without a battery wakes up in 1970: what was over stays over, and a new
// key can be had.
func TestAKeyDoesNotLiveAgainWhenTheClockGoesBack(t *testing.T) {
	p := openPlace(t)
	k, err := p.IssueKey(ctx, Operator(), Registrar, "kiosk", time.Hour)
	must(t, err)
	p.clock.Advance(2 * time.Hour)
	_, err = p.KeyActor(k.Secret)
	wantFault(t, err, fault.Unauthenticated, "fault.staff.key_expired")
	for _, sure := range []bool{false, true} {
		p.clock.Set(time.Unix(60, 0))
		p.clock.SetSure(sure)
		p.reopen(t)
		_, err = p.KeyActor(k.Secret)
		wantFault(t, err, fault.Unauthenticated, "fault.staff.key_expired")
	}
	fresh, err := p.IssueKey(ctx, Operator(), Registrar, "kiosk", time.Hour)
	must(t, err)
	if _, err := p.KeyActor(fresh.Secret); err != nil {
		t.Fatal(err)
	}
	// A clock that is put right by a little locks nobody out.
	p.clock.Set(oplogtest.Noon())
	near, err := p.IssueKey(ctx, Operator(), Registrar, "kiosk", time.Hour)
	must(t, err)
	p.clock.Advance(-time.Minute)
	if _, err := p.KeyActor(near.Secret); err != nil {
		t.Fatal(err)
	}
}

func TestKeysAreListedAndRevoked(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	lead := p.signIn(t, "mina").Actor
	one, err := p.IssueKey(ctx, lead, Registrar, "one", 0)
	must(t, err)
	two, err := p.IssueKey(ctx, lead, Lead, "", 0)
	must(t, err)
	must(t, p.RevokeKey(ctx, lead, one.ID))
	must(t, p.RevokeKey(ctx, lead, one.ID))
	_, err = p.KeyActor(one.Secret)
	wantFault(t, err, fault.Unauthenticated, "fault.staff.key_revoked")
	keys, err := p.Keys(ctx, lead)
	if err != nil || len(keys) != 2 {
		t.Fatal(keys, err)
	}
	for _, k := range keys {
		if (k.ID == one.ID) != k.Revoked || !k.Expires.Equal(oplogtest.Noon().Add(24*time.Hour)) {
			t.Errorf("%+v", k)
		}
	}
	// A lead's key does what a lead does, keys of its own included.
	program, err := p.KeyActor(two.Secret)
	must(t, err)
	if _, err := p.IssueKey(ctx, program, Carrier, "three", 0); err != nil {
		t.Fatal(err)
	}
	wantFault(t, p.RevokeKey(ctx, lead, ID{3}), fault.NotFound, "fault.staff.no_such_key")
}

func TestIssueKeyRefuses(t *testing.T) {
	p := openPlace(t)
	for _, c := range []struct {
		role Role
		name string
		ttl  time.Duration
		key  string
	}{
		{"chief", "", 0, "fault.staff.unknown_role"}, {Lead, strings.Repeat("x", 65), 0, "fault.staff.bad_key_name"}, {Lead, "a\nb", 0, "fault.staff.bad_key_name"},
		{Lead, "", -time.Second, "fault.staff.bad_key_ttl"}, {Lead, "", 367 * 24 * time.Hour, "fault.staff.bad_key_ttl"},
	} {
		_, err := p.IssueKey(ctx, Operator(), c.role, c.name, c.ttl)
		wantFault(t, err, fault.Invalid, c.key)
	}
	if keys, err := p.Keys(ctx, Operator()); err != nil || len(keys) != 0 {
		t.Fatal(keys, err)
	}
}

func FuzzKeyActor(f *testing.F) {
	p := openPlace(f)
	k, err := p.IssueKey(ctx, Operator(), Registrar, "", 0)
	if err != nil {
		f.Fatal(err)
	}
	raw := k.Secret
	f.Add(raw)
	f.Add("wpk_")
	f.Fuzz(func(t *testing.T, in string) {
		// The last letter has four bits nobody reads, so sixteen spellings are one key.
		if a, err := p.KeyActor(in); err == nil && (len(in) != len(raw) || in[:len(in)-1] != raw[:len(raw)-1] || a.ID != k.ID) {
			t.Fatalf("%q opens", in)
		}
	})
}

func BenchmarkKeyActor(b *testing.B) {
	p := openPlace(b)
	k, err := p.IssueKey(ctx, Operator(), Registrar, "", 0)
	must(b, err)
	for b.Loop() {
		if _, err := p.KeyActor(k.Secret); err != nil {
			b.Fatal(err)
		}
	}
}
