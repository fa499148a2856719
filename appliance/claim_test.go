package main

import (
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

func TestClaimCode(t *testing.T) {
	fake := clock.NewFake(time.Unix(1_800_000_000, 0))
	fresh := func() *claim {
		c, err := newClaim(fake)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := fresh()
	if err := c.check(" " + strings.ToLower(strings.ReplaceAll(c.Code(), "-", " ")) + "\n"); err != nil {
		t.Fatalf("case, spaces and dashes are forgiven: %v", err)
	}
	for range claimTries {
		if err := c.check("AAAA-AAAA"); fault.ClassOf(err) != fault.Denied {
			t.Fatalf("wrong code: %v", err)
		}
	}
	if err := c.check(c.Code()); fault.ClassOf(err) != fault.Gone {
		t.Fatalf("the last of all tries ends it, even for the right code: %v", err)
	}
	c = fresh()
	fake.Advance(claimLife + time.Second)
	if err := c.check(c.Code()); fault.ClassOf(err) != fault.Gone {
		t.Fatalf("too old: %v", err)
	}
	c = fresh()
	c.use()
	if err := c.check(c.Code()); fault.ClassOf(err) != fault.Gone {
		t.Fatalf("one use: %v", err)
	}
	if fresh().Code() == fresh().Code() {
		t.Fatal("two starts, one code")
	}
}
