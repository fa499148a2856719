package main

import (
	"context"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/staff"
)

// webcertVerb looks after what the pages are served with: of the running node, or of a
// folder no node serves.
func (a *app) webcertVerb() *cobra.Command {
	return a.group("webcert", a.webcertStatus(), a.webcertCA(), a.webcertRequest(), a.webcertInstall(), a.webcertRemove())
}

func (a *app) webcertStatus() *cobra.Command {
	v := a.verb("webcert.status", "status", func(ctx context.Context, _ []string) error {
		w, err := a.webcert(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(w)
		}
		a.sayWebCert(w)
		return nil
	})
	v.printsData()
	return v.Command
}

// webcert asks the running node, and reads the folder where none runs.
func (a *app) webcert(ctx context.Context) (control.WebCert, error) {
	w, err := a.node().WebCert(ctx)
	if !control.IsNotRunning(err) {
		return w, err
	}
	err = a.withWeb(func(web *identity.Web) error { w = webcertOf(web); return nil })
	return w, err
}

func (a *app) sayWebCert(w control.WebCert) {
	a.println(a.say("cli.webcert.words", "Words", strings.Join(w.Words, " ")))
	a.println(a.say("cli.webcert.fingerprint", "Fingerprint", w.Fingerprint))
	if w.Public != nil {
		a.println(a.say("cli.webcert.public", "Names", strings.Join(w.Public.Names, ", "), "Until", w.Public.NotAfter.UTC().Format(time.DateOnly)))
	} else {
		a.println(a.say("cli.webcert.none"))
	}
	if len(w.Requested) > 0 {
		a.println(a.say("cli.webcert.requested", "Names", strings.Join(w.Requested, ", ")))
	}
}

// webcertCA writes the box's own certificate for a stick or a cable: whoever carries it by
// hand need not trust the network it would come by.
func (a *app) webcertCA() *cobra.Command {
	v := a.verb("webcert.ca", "ca FILE", func(ctx context.Context, args []string) error {
		if _, err := a.webcert(ctx); err != nil {
			return err
		}
		raw, err := os.ReadFile(filepath.Join(a.data, "web", "ca.pem"))
		block, _ := pem.Decode(raw)
		if err != nil || block == nil {
			return fault.New(fault.Unavailable, "fault.identity.cannot_read").Wrap(err)
		}
		return a.writeOut(args[0], block.Bytes)
	})
	v.printsData()
	return v.Command
}

// writeOut writes what leaves the box by a file, and says so.
func (a *app) writeOut(file string, content []byte) error {
	if err := writeFile(file, content); err != nil {
		return fault.New(fault.Unavailable, "fault.node.cannot_write", "File", file).Wrap(err)
	}
	if a.json {
		return a.printJSON(map[string]string{"file": file})
	}
	a.println(a.say("cli.webcert.written", "File", file))
	return nil
}

func (a *app) webcertRequest() *cobra.Command {
	var k opener
	var names string
	v := a.verb("webcert.request", "request FILE", func(ctx context.Context, args []string) error {
		asked := strings.FieldsFunc(names, func(r rune) bool { return r == ',' || r == ' ' })
		csr, err := a.node().RequestWebCert(ctx, asked)
		if control.IsNotRunning(err) {
			err = a.withOpenWeb(k, func(w *identity.Web) error {
				made, err := w.Request(asked)
				csr = string(made)
				return err
			})
		}
		if err != nil {
			return err
		}
		return a.writeOut(args[0], []byte(csr))
	})
	v.need(&names, "name", "NAME,…")
	k.flags(v)
	v.printsData()
	return v.Command
}

func (a *app) webcertInstall() *cobra.Command {
	var k opener
	v := a.verb("webcert.install", "install FILE", func(ctx context.Context, args []string) error {
		chain, err := readChain(args[0])
		if err != nil {
			return err
		}
		w, err := a.node().InstallWebCert(ctx, chain)
		if control.IsNotRunning(err) {
			err = a.withOpenWeb(k, func(web *identity.Web) error {
				_, err := web.Install(chain)
				w = webcertOf(web)
				return err
			})
		}
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(w)
		}
		a.sayWebCert(w)
		return nil
	})
	k.flags(v)
	v.printsData()
	return v.Command
}

// chainMost is a little more than what is taken, so that a file too large is refused as one.
const chainMost = 65 << 10

func readChain(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > chainMost {
		return nil, fault.New(fault.Invalid, "fault.identity.webcert_file")
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, cannotRead(path, err)
	}
	return raw, nil
}

func (a *app) webcertRemove() *cobra.Command {
	v := a.verb("webcert.remove", "remove", func(ctx context.Context, _ []string) error {
		err := a.node().RemoveWebCert(ctx)
		if control.IsNotRunning(err) {
			err = a.withWeb((*identity.Web).RemovePublic)
		}
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(map[string]bool{"removed": true})
		}
		a.println(a.say("cli.webcert.removed"))
		return nil
	})
	v.printsData()
	return v.Command
}

// withWeb runs do on the certificates of a folder no node serves.
func (a *app) withWeb(do func(*identity.Web) error) error {
	if _, err := os.Stat(filepath.Join(a.data, "web")); err != nil && !identity.Exists(a.data) {
		return fault.New(fault.NotFound, "fault.node.no_folder", "Folder", a.data)
	}
	ownerOnly()
	unlock, err := lockFolder(a.data)
	if err != nil {
		return err
	}
	defer unlock()
	web, err := identity.OpenWeb(filepath.Join(a.data, "web"), clock.System())
	if err != nil {
		return err
	}
	return do(web)
}

// withOpenWeb is withWeb with the keys of the folder open.
func (a *app) withOpenWeb(k opener, do func(*identity.Web) error) error {
	return a.withVault(k, func(v *identity.Vault) error {
		web, err := identity.OpenWeb(filepath.Join(a.data, "web"), clock.System())
		if err != nil {
			return err
		}
		defer web.Lock()
		if err := web.Unlock(v.Subkey); err != nil {
			return err
		}
		return do(web)
	})
}

func webcertOf(w *identity.Web) control.WebCert {
	out := control.WebCert{Fingerprint: w.Fingerprint(), Words: w.Words(), NotAfter: w.CANotAfter().UTC(), Sealed: w.Sealed()}
	names, csr := w.Requested()
	out.Requested, out.CSR = append([]string{}, names...), string(csr)
	if p, there := w.Public(); there {
		out.Public = &control.PublicCert{Names: p.Names, Issuer: p.Issuer, NotBefore: p.NotBefore.UTC(), NotAfter: p.NotAfter.UTC()}
	}
	return out
}

// WebCert says what the pages are served with.
func (b *box) WebCert(context.Context) (control.WebCert, error) { return webcertOf(b.web), nil }

// publicEndsSoon is how long before its end a public certificate is worth a warning: a stick
// may be on its way for weeks.
const publicEndsSoon = 30 * 24 * time.Hour

// webAlerts are what the certificates of the pages have to say on an open box.
func (b *box) webAlerts(s control.Status) []control.Alert {
	var out []control.Alert
	if s.Practice {
		return nil
	}
	if !b.web.Sealed() { // the card took no more writes when the box was opened
		out = append(out, control.Alert{Key: "alert.webcert_clear", Level: "danger"})
	}
	if p, there := b.web.Public(); there && s.Clock.Sure && p.NotAfter.Sub(s.Clock.Now) < publicEndsSoon {
		out = append(out, control.Alert{Key: "alert.webcert_ends", Level: "warning", Args: map[string]any{"Date": p.NotAfter.UTC().Format(time.DateOnly)}})
	}
	return out
}

// PublicNames are the names of the installed public certificate.
func (b *box) PublicNames() []string { return b.web.PublicNames() }

// RequestWebCert makes a request for a public certificate.
func (b *box) RequestWebCert(_ context.Context, actor staff.Actor, names []string) ([]byte, error) {
	if _, err := b.keeper(actor); err != nil {
		return nil, err
	}
	return b.web.Request(names)
}

// InstallWebCert brings the certificate that answers the request.
func (b *box) InstallWebCert(_ context.Context, actor staff.Actor, chain []byte) (control.WebCert, error) {
	if _, err := b.keeper(actor); err != nil {
		return control.WebCert{}, err
	}
	_, err := b.web.Install(chain)
	return webcertOf(b.web), err
}

// RemoveWebCert takes the public certificate away, and a request that is out. The box may
// be locked.
func (b *box) RemoveWebCert(_ context.Context, actor staff.Actor) error {
	if err := actor.Must(staff.ManageBox); err != nil {
		return err
	}
	return b.web.RemovePublic()
}
