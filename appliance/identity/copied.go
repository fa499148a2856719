package identity

import "github.com/waypost/waypost/appliance/fault"

// Copied is the storage key of a node as a copy of its unlock file gives it: what
// opens a backup where the node itself is gone. It holds a secret; it is not for logs.
type Copied struct{ storage [32]byte }

// OpenCopied opens a copy of a node's unlock file with any passphrase, kit or key file
// that opened the node when the copy was made. It takes a second or more for every slot.
// Faults: Invalid "fault.identity.damaged" when it is no unlock file, Denied
// "fault.identity.wrong_passphrase" and "fault.identity.wrong_key_file", Busy
// "fault.identity.busy".
func OpenCopied(unlock, secret []byte) (Copied, error) {
	o, err := tryAll(func() ([]slot, error) {
		slots, err := parseSlots(unlock)
		if err != nil {
			return nil, fault.New(fault.Invalid, "fault.identity.damaged").Wrap(err)
		}
		return slots, nil
	}, secret)
	defer o.forget()
	return Copied{storage: o.storage}, err
}

// Subkey is a key of the storage key for one purpose, as Vault.Subkey.
func (c *Copied) Subkey(label string) [32]byte { return subkey(&c.storage, label) }

// Forget overwrites the key.
func (c *Copied) Forget() { clear(c.storage[:]) }

// String keeps the key out of logs.
func (c Copied) String() string { return "storage key" }

// GoString does the same for %#v.
func (c Copied) GoString() string { return c.String() }

// CopyUnlock is what OpenCopied takes: the unlock slots of this node as they are now.
// Fault: Internal "fault.identity.damaged".
func (v *Vault) CopyUnlock() ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	slots, err := readSlots(v.dir)
	if err != nil {
		return nil, err
	}
	return encodeSlots(slots), nil
}

// SecretFiles are the names of the files without which a folder is no node, in the
// order in which Exists looks for them. Whoever builds a folder writes them last.
func SecretFiles() []string { return []string{secretsName, secretsName + ".2"} }

// WipedFile is the name of the mark that Wiped looks for. Whoever builds a folder where
// another one was destroyed removes it.
func WipedFile() string { return wipedName }
