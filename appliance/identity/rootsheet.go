package identity

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/waypost/waypost/appliance/fault"
)

// RootSheet is what is kept on paper, apart from every box: with it issuers can
// be made again, and cards checked without a data folder.
type RootSheet struct {
	Name  string            // of the deployment
	Root  ed25519.PublicKey // its public key
	Seed  []byte            // the root's seed (32 bytes); nil on a sheet that only verifies
	Nodes []NodeCert        // node certificates known when it was written
}

// sheetJSON is the file: hexadecimal keys, base64 certificates.
type sheetJSON struct {
	Format     string   `json:"format"`
	Deployment string   `json:"deployment"`
	ID         string   `json:"id"`
	Public     string   `json:"root_public"`
	Seed       string   `json:"root_seed,omitempty"`
	Nodes      []string `json:"nodes"`
}

const (
	sheetFormat  = "waypost/root/1"
	maxSheet     = 1 << 20
	maxSheetNode = 4096
)

// Deployment is the id of the operation.
func (s RootSheet) Deployment() DeploymentID { return DeploymentOf(s.Root) }

// Text is the sheet as JSON, ending with a newline. It is secret while it holds
// a seed.
func (s RootSheet) Text() []byte {
	j := sheetJSON{
		Format: sheetFormat, Deployment: s.Name, ID: s.Deployment().String(),
		Public: hex.EncodeToString(s.Root), Seed: hex.EncodeToString(s.Seed), Nodes: []string{},
	}
	for _, c := range s.Nodes {
		j.Nodes = append(j.Nodes, base64.StdEncoding.EncodeToString(c.Marshal()))
	}
	b, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		panic("identity: " + err.Error()) // strings only
	}
	return append(b, '\n')
}

// sheetLines is how many lines the printed sheet has: six bytes of the deployment's id,
// the seed, and two zeros.
const sheetLines = 4

func (s RootSheet) content() []byte {
	d := s.Deployment()
	return slices.Concat(d[:6], s.Seed, []byte{0, 0})
}

// Lines are the four lines that are printed, in groups of four. They hold the root and
// nothing else, and ParseRootSheet reads them.
func (s RootSheet) Lines() []string {
	lines := paperLines(markSheet, s.content())
	for i := range lines {
		lines[i] = paperGroups(lines[i])
	}
	return lines
}

// Code is the same as a QR code has it.
func (s RootSheet) Code() string {
	return markSheet + strings.Join(paperLines(markSheet, s.content()), "")
}

// checkWords is how many words stand at the foot of a printed sheet.
const checkWords = 5

// CheckWords are the words at the foot of the printed sheet: whoever types them has it in
// their hand. They say nothing of the root.
func (s RootSheet) CheckWords() []string {
	return wordsOf(hashed("waypost/sheet-words/1", s.Seed), checkWords)
}

func parseTypedSheet(text string) (RootSheet, error) {
	b, err := readPaper(markSheet, sheetLines, text)
	if err != nil {
		return RootSheet{}, err
	}
	s := sheetOf(b[6 : 6+ed25519.SeedSize])
	if !bytes.Equal(s.content(), b) {
		return RootSheet{}, fault.New(fault.Invalid, "fault.identity.bad_root_sheet")
	}
	return s, nil
}

// ParseRootSheet reads what Text wrote, or the lines of a printed sheet as they were
// typed; certificates the root does not vouch for make it fault. Faults: Invalid
// "fault.identity.bad_root_sheet", and for typed lines those that name the line.
func ParseRootSheet(b []byte) (RootSheet, error) {
	bad := fault.New(fault.Invalid, "fault.identity.bad_root_sheet")
	var j sheetJSON
	if len(b) > maxSheet {
		return RootSheet{}, bad
	}
	if !bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		return parseTypedSheet(string(b))
	}
	if err := json.Unmarshal(b, &j); err != nil {
		return RootSheet{}, bad.Wrap(err)
	}
	public, err := hex.DecodeString(j.Public)
	if err != nil || len(public) != ed25519.PublicKeySize || j.Format != sheetFormat || len(j.Nodes) > maxSheetNode {
		return RootSheet{}, bad
	}
	s := RootSheet{Name: j.Deployment, Root: public}
	if j.Seed != "" {
		s.Seed, err = hex.DecodeString(j.Seed)
		if err != nil || len(s.Seed) != ed25519.SeedSize || !s.Root.Equal(ed25519.NewKeyFromSeed(s.Seed).Public()) {
			return RootSheet{}, bad
		}
	}
	for _, text := range j.Nodes {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return RootSheet{}, bad.Wrap(err)
		}
		c, err := ParseNodeCert(raw)
		if err != nil {
			return RootSheet{}, bad.Wrap(err)
		}
		if err := c.Verify(s.Root); err != nil {
			return RootSheet{}, bad.Wrap(err)
		}
		s.Nodes = append(s.Nodes, c)
	}
	return s, nil
}
