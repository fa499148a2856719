package main

import (
	"strings"
	"testing"
)

// A box that listens on one address must not print others: somebody would stand in
// the rain with a phone and a dead QR code.
func TestAddressesAreThoseListenedOn(t *testing.T) {
	if got := (&box{httpsHost: "127.0.0.1", httpsPort: 8443}).Addresses(); len(got) != 0 {
		t.Errorf("loopback alone is told to phones: %v", got)
	}
	if got := (&box{httpsHost: "10.42.0.1", httpsPort: 8443}).Addresses(); len(got) != 1 || got[0] != "https://10.42.0.1:8443/" {
		t.Errorf("one address: %v", got)
	}
	for _, a := range (&box{httpsHost: "", httpsPort: 8443}).Addresses() {
		if strings.Contains(a, "127.0.0.1") {
			t.Errorf("loopback among %v", a)
		}
	}
}
