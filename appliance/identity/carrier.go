package identity

// A carrier is a node whose certificate names no area: a partner's relay. It stores and
// forwards everything and opens nothing of the register but what its own people write there
// (their names, the name of the place), under a key that it draws itself and that no other
// node has. No epoch key is ever sealed to it, it issues and admits nothing, and its word
// about other nodes counts for nothing: it compares nobody, suspends nobody and begins no
// epoch, whatever program it runs. It is suspended and revoked like any node.

func carries(c NodeCert) bool { return len(c.Areas) == 0 && c.Public != [32]byte{} }

// Carries reports whether the node is a carrier.
func (n Node) Carries() bool { return carries(n.Cert) }

// Carries reports whether this node is a carrier.
func (v *Vault) Carries() bool { return carries(v.Cert()) }

// Carries reports whether this node is a carrier.
func (d *Desk) Carries() bool { return d.vault.Carries() }
