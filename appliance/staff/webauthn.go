package staff

import (
	"encoding/json"
	"net/url"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/waypost/waypost/appliance/fault"
)

// What the box asks a browser and how it reads the answer: Web Authentication, level 3. All
// outside bytes are read by the library; this is the only file that knows it.

// relyingParty is the box, for pages of one origin.
type relyingParty struct {
	origin  string
	library *webauthn.WebAuthn
}

// question is what an answer has to fit.
type question struct {
	origin string
	data   webauthn.SessionData
}

// newParty gives the relying party for pages of an origin. Time is kept by the desk's clock,
// not by the library. Nobody's make of phone is asked for (attestation "none"), and no
// passkey that a phone would list by itself. Fault: Conflict "fault.staff.passkey_elsewhere".
func newParty(origin string) (relyingParty, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "https" || !PasskeyHost(u.Hostname()) || origin != "https://"+u.Host {
		return relyingParty{}, fault.New(fault.Conflict, "fault.staff.passkey_elsewhere")
	}
	timeout := webauthn.TimeoutConfig{Timeout: passkeyWait, TimeoutUVD: passkeyWait}
	library, err := webauthn.New(&webauthn.Config{
		RPID: PasskeyDomain, RPDisplayName: "Waypost", RPOrigins: []string{origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementDiscouraged, UserVerification: protocol.VerificationRequired,
		},
		Timeouts: webauthn.TimeoutsConfig{Login: timeout, Registration: timeout},
	})
	if err != nil {
		return relyingParty{}, fault.New(fault.Internal, "fault.internal").Wrap(err)
	}
	return relyingParty{origin, library}, nil
}

// passkeyUser is an account as the library and the phone see it: by its random id. A name
// would go to whoever keeps the phone's passkeys.
type passkeyUser struct {
	id   ID
	keys []keptPasskey
}

func (u passkeyUser) WebAuthnID() []byte          { return u.id[:] }
func (u passkeyUser) WebAuthnName() string        { return u.id.String() }
func (u passkeyUser) WebAuthnDisplayName() string { return u.id.String() }

func (u passkeyUser) WebAuthnCredentials() []webauthn.Credential {
	out := make([]webauthn.Credential, 0, len(u.keys))
	for _, k := range u.keys {
		out = append(out, webauthn.Credential{
			ID: k.Credential, PublicKey: k.Public, AttestationFormat: string(protocol.AttestationFormatNone),
			Flags: webauthn.CredentialFlags{BackupEligible: k.Synced}, Authenticator: webauthn.Authenticator{SignCount: k.Count},
		})
	}
	return out
}

// passkeyKinds are the signatures that are taken: what phones, security keys and Windows make.
func passkeyKinds() (kinds []protocol.CredentialParameter) {
	for _, alg := range []webauthncose.COSEAlgorithmIdentifier{webauthncose.AlgES256, webauthncose.AlgEdDSA, webauthncose.AlgRS256} {
		kinds = append(kinds, protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: alg})
	}
	return kinds
}

// askNew asks for a new passkey where user has none of theirs yet.
func (p relyingParty) askNew(user passkeyUser) (options []byte, q question, err error) {
	has := webauthn.Credentials(user.WebAuthnCredentials()).CredentialDescriptors()
	creation, data, err := p.library.BeginRegistration(user, webauthn.WithCredentialParameters(passkeyKinds()), webauthn.WithExclusions(has))
	if err != nil {
		return nil, question{}, err
	}
	options, err = json.Marshal(creation)
	return options, question{p.origin, *data}, err
}

// askUse asks for one of user's passkeys.
func (p relyingParty) askUse(user passkeyUser) (options []byte, q question, err error) {
	assertion, data, err := p.library.BeginLogin(user)
	if err != nil {
		return nil, question{}, err
	}
	options, err = json.Marshal(assertion)
	return options, question{p.origin, *data}, err
}

// made reads a new passkey out of an answer; false when it is not one to the question.
func (q question) made(of ID, answer []byte) (keptPasskey, bool) {
	party, err := newParty(q.origin)
	if err != nil {
		return keptPasskey{}, false
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return keptPasskey{}, false
	}
	// Nothing else was asked for: certificates of other kinds need not be read.
	format := protocol.AttestationFormat(parsed.Response.AttestationObject.Format)
	if format != protocol.AttestationFormatNone && format != protocol.AttestationFormatPacked {
		return keptPasskey{}, false
	}
	c, err := party.library.CreateCredential(passkeyUser{id: of}, q.data, parsed)
	if err != nil {
		return keptPasskey{}, false
	}
	return keptPasskey{Credential: c.ID, Public: c.PublicKey, Count: c.Authenticator.SignCount, Synced: c.Flags.BackupEligible}, true
}

// used reads which of user's passkeys signed an answer, and how often it has signed; false
// when it does not answer the question.
func (q question) used(user passkeyUser, answer []byte) (credential []byte, count uint32, ok bool) {
	party, err := newParty(q.origin)
	if err != nil {
		return nil, 0, false
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return nil, 0, false
	}
	if _, err := party.library.ValidateLogin(user, q.data, parsed); err != nil {
		return nil, 0, false
	}
	return parsed.RawID, parsed.Response.AuthenticatorData.Counter, true
}
