package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"strings"

	qrcode "github.com/skip2/go-qrcode"
	"github.com/waypost/waypost/ui/locale"
)

// greet tells the person at the screen where to go, in their language: on a new
// box the loopback address, the network address and its QR, each with the claim
// code; on a locked or open one the plain addresses.
func greet(w io.Writer, catalog *locale.Catalog, b *box, s *serving) {
	lang := personLanguage(catalog)
	say := func(key string) string { return lang.Text(key, nil) }
	loopback := "http://" + reachable(s.http.Addr().String()) + "/"
	network := b.Addresses()
	query := ""
	switch b.State() {
	case "new":
		query = "?claim=" + url.QueryEscape(b.claimCode().Code())
		fmt.Fprintf(w, "\n%s\n\n", say("serve.new"))
	case "locked":
		fmt.Fprintf(w, "\n%s\n\n", say("serve.locked"))
	default:
		fmt.Fprintf(w, "\n%s\n\n", say("serve.open"))
	}
	fmt.Fprintf(w, "  %s   (%s)\n", loopback+query, say("serve.loopback"))
	for _, a := range network {
		fmt.Fprintf(w, "  %s   (%s)\n", a+query, say("serve.network"))
	}
	if len(network) > 0 {
		fmt.Fprintf(w, "\n%s\n%s\n", indent(terminalQR(network[0]+query)), say("serve.warning"))
	}
	if query != "" {
		fmt.Fprintf(w, "%s: %s\n", say("serve.claim"), b.claimCode().Code())
	}
	// Whoever stands here reads them from the box itself, which no network can change.
	fmt.Fprintf(w, "%s: %s\n\n", say("serve.certificate"), strings.Join(b.web.Words(), " "))
}

// terminalQR draws text as a QR code of half blocks; empty when it is too long.
func terminalQR(text string) string {
	q, err := qrcode.New(text, qrcode.Low)
	if err != nil {
		return ""
	}
	return q.ToSmallString(false)
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n  ")
}

func hexString(b []byte) string { return hex.EncodeToString(b) }
