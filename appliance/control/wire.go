package control

import "time"

// Status is what a node says about itself: counts and states, never a name. It
// is the JSON of `waypost status --json` and feeds the dashboard.
type Status struct {
	Node       string      `json:"node"`       // node id
	Number     uint16      `json:"number"`     // the short number printed in tokens
	Deployment string      `json:"deployment"` // name of the operation
	Site       string      `json:"site"`       // name of the place
	State      string      `json:"state"`      // new, locked, opening, open or read-only
	Practice   bool        `json:"practice"`   // a throw-away folder of made-up people
	People     uint64      `json:"people"`
	Households uint64      `json:"households"`
	Today      uint64      `json:"today"`              // people registered since local midnight
	Counting   bool        `json:"counting,omitempty"` // the node has just started, and there are more people than these
	Ops        uint64      `json:"ops"`                // facts in the journal
	Late       uint64      `json:"late,omitempty"`     // of these, how many of other posts the lists do not show yet
	Peers      []Peer      `json:"peers"`
	Forks      []ForkedLog `json:"forks"`     // logs of which two histories were found
	Members    int         `json:"members"`   // boxes on the air as gossip counts them, this one among them; 0 without a mesh
	Twins      int         `json:"twins"`     // boxes met that run with a copy of this node's folder
	OnlyHere   uint64      `json:"only_here"` // facts no other node is known to hold
	Lost       uint64      `json:"lost"`      // facts that were here, are damaged and wait for another node
	Pieces     Pieces      `json:"pieces"`    // of photos and files
	Disk       Disk        `json:"disk"`
	Clock      Clock       `json:"clock"`
	Alerts     []Alert     `json:"alerts"`
	Mesh       string      `json:"mesh"`    // host:port other nodes dial
	Started    string      `json:"started"` // RFC 3339
	Erasures   Erased      `json:"erasures"`
	Version    string      `json:"version"`

	Link     *Link       `json:"link,omitempty"`     // how the connection to others is used
	Backup   *LastBackup `json:"backup"`             // the last one that was read back; null when there is none
	Restored *Restored   `json:"restored,omitempty"` // the node came out of a backup and nobody reads people here yet
	Rebuild  *Rebuild    `json:"rebuild,omitempty"`  // while the journal is read again
	Sealed   *Sealed     `json:"sealed,omitempty"`   // while it is locked: what it takes in of other posts
}

// Sealed says what a locked node takes in of other posts, to be read when it is opened.
type Sealed struct {
	Waiting uint64 `json:"waiting"` // facts
	Links   int    `json:"links"`   // posts that could give more right now
	Full    bool   `json:"full"`    // nothing more is taken in
}

// Rebuild says how far reading the journal again is.
type Rebuild struct {
	Phase   string `json:"phase"` // reading, folding or writing
	Done    uint64 `json:"done"`
	Total   uint64 `json:"total"`
	Percent int    `json:"percent"` // of all phases
}

// Rebuilt is the answer of `waypost rebuild`.
type Rebuilt struct {
	Ops        uint64  `json:"ops"`
	People     uint64  `json:"people"`
	Households uint64  `json:"households"`
	Seconds    float64 `json:"seconds"`
}

// Pieces counts the parts that photos and files are stored in: a photo is usually one.
type Pieces struct {
	Held    int `json:"held"`
	Lacking int `json:"lacking"` // named by records that are here, and still to come
	Damaged int `json:"damaged"` // found since the start, set aside and asked for again
}

// Erased counts people who were erased, and never names them.
type Erased struct {
	Waiting int `json:"waiting"` // requests that nobody has confirmed yet
	Hidden  int `json:"hidden"`  // erased, and not destroyed on this node yet
	Pending int `json:"pending"` // destroyed here; other nodes have not said so
	Done    int `json:"done"`    // destroyed on every node that is known
	Signing int `json:"signing"` // of the hidden: nothing is destroyed until an issuer signs
}

// Peer is another node as seen from here.
type Peer struct {
	Node        string    `json:"node"`
	Number      uint16    `json:"number"`
	Site        string    `json:"site"`
	State       string    `json:"state"`        // connected, relayed (heard over others) or away
	LastContact time.Time `json:"last_contact"` // zero when never
	Behind      uint64    `json:"behind"`       // facts here that it is not known to hold
	Ahead       uint64    `json:"ahead"`        // facts it has announced that are not here yet
	Confirmed   bool      `json:"confirmed"`    // somebody compared the five words
	Words       []string  `json:"words"`        // the five words both screens show
	Addresses   []string  `json:"addresses"`
	BytesIn     uint64    `json:"bytes_in"`
	BytesOut    uint64    `json:"bytes_out"`
	Standing    string    `json:"standing,omitempty"` // suspended or revoked: nobody deals with it

	Connections []Connection `json:"connections"`
	RoundTrip   *float64     `json:"round_trip_ms"` // of a small message there and back; null when unknown
	Clock       *PeerClock   `json:"clock"`         // null when it has not told
	Locked      bool         `json:"locked"`        // it takes records in and serves none, or did when it was last heard of
	Waiting     uint64       `json:"waiting"`       // facts that it took in so: on its card, and nobody can read them there yet
	Carries     bool         `json:"carries"`       // it carries for others and can read nothing of the register
	Doubled     bool         `json:"doubled"`       // it runs twice: its folder was copied
	HeldBack    uint64       `json:"held_back"`     // facts of it that do not count until somebody releases them
	Via         string       `json:"via"`           // the node over which it is heard; empty for a link of our own, or unknown
	Neighbours  []string     `json:"neighbours"`    // with which it says it is linked
}

// Disk is the room for records, in bytes.
type Disk struct {
	Free    uint64 `json:"free"`
	Total   uint64 `json:"total"`
	Journal uint64 `json:"journal"`
	ToFree  uint64 `json:"to_free"` // before the node saves again; 0 while it saves
}

// Clock is the wall time and whether anything better than the board set it.
type Clock struct {
	Now  time.Time `json:"now"`
	Sure bool      `json:"sure"`
}

// Alert is one thing that wants a person's eye: a message key of ui/locale with
// its values, never a name.
type Alert struct {
	Key   string         `json:"key"`
	Args  map[string]any `json:"args,omitempty"`
	Level string         `json:"level"` // warning or danger
	Text  string         `json:"text"`  // the sentence in English, for scripts
}

// Check is the answer of `waypost check`.
type Check struct {
	Sound    bool      `json:"sound"`
	Ops      uint64    `json:"ops"`
	Logs     []LogHead `json:"logs"`
	Views    *string   `json:"views"` // digest of the shared views; null when the folder is closed and sealed
	Areas    []string  `json:"areas"`
	Problems []string  `json:"problems"`
	Notes    []string  `json:"notes"` // what was found damaged since the start and is mended, or what is not wrong but worth knowing
	Lost     uint64    `json:"lost"`  // records that were here, are damaged and wait for another node
}

// Losses are records that were here, are damaged, and that no other node has given back.
type Losses struct {
	Lost     []Loss `json:"lost"`
	Accepted []Loss `json:"accepted"` // somebody here knows that they are lost for good; the latest first
}

// Loss is a stretch of one log.
type Loss struct {
	Log  string     `json:"log"`
	From uint64     `json:"from"`
	To   uint64     `json:"to"`
	Ops  uint64     `json:"ops"`
	Site string     `json:"site,omitempty"` // where they were written; empty when that is not known
	By   string     `json:"by,omitempty"`   // who accepted it
	At   *time.Time `json:"at,omitempty"`
}

// LogHead is how far one log is held.
type LogHead struct {
	Log  string `json:"log"`
	Seq  uint64 `json:"seq"`
	Head string `json:"head"`
}

// Invitation lets one other node join, once.
type Invitation struct {
	Code    string    `json:"code"`
	Expires time.Time `json:"expires"`
}

// Account is one person who works here.
type Account struct {
	ID       string    `json:"id"`
	User     string    `json:"user"`
	Role     string    `json:"role"`
	Site     string    `json:"site"`
	Since    time.Time `json:"since"`
	Disabled bool      `json:"disabled"`
	Words    string    `json:"words,omitempty"` // the passphrase, where the node drew it; only in the answer that made it
}

// SignedIn is one session at the node.
type SignedIn struct {
	ID      string    `json:"id"`
	User    string    `json:"user"`
	Device  string    `json:"device"` // what kind; empty where it did not say
	Started time.Time `json:"started"`
	Used    time.Time `json:"used"`
	Rests   bool      `json:"rests"` // nobody used it for a while: a PIN or the passphrase wakes it
}

// Key is a bearer key; Secret only in the answer that made it.
type Key struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Role    string    `json:"role"`
	Expires time.Time `json:"expires"`
	Secret  string    `json:"secret,omitempty"`
}

// Slot is a way to open the box that was just made. Secret is shown this once: words on
// one line, or the content of the file on a key stick, which is called File.
type Slot struct {
	Kind   string `json:"kind"`
	Secret string `json:"secret"`
	File   string `json:"file,omitempty"`
}

// Ceremony is how far the ceremony of the deployment is. Words, File and Papers are
// secret, and only in the answer that made them.
type Ceremony struct {
	Step    string  `json:"step"` // gone, choose, issuer, words, shares, sheet, finish or done
	Variant string  `json:"variant,omitempty"`
	Root    bool    `json:"root"`             // it is on this box
	Issuer  bool    `json:"issuer"`           // one lives here
	Issuers int     `json:"issuers"`          // that the root named; 0 before the ceremony was held
	Read    []bool  `json:"read,omitempty"`   // per paper, that it was read back
	Shut    bool    `json:"shut,omitempty"`   // the box was opened in a way that does not reach root and issuer
	Number  int     `json:"number,omitempty"` // of the paper that was read back, or the issuer that was made
	Words   string  `json:"words,omitempty"`  // that open the issuer's file
	Name    string  `json:"name,omitempty"`   // of File
	File    []byte  `json:"file,omitempty"`   // the issuer's, or the root sheet
	Papers  []Paper `json:"papers,omitempty"` // to be printed
}

// Paper is one paper of the root, as a text file.
type Paper struct {
	Number int    `json:"number"`
	Text   string `json:"text"`
}

// CeremonyStep is one step of a ceremony: begin, issuer, words, shares, read, sheet,
// sheet-words, finish, root or install.
type CeremonyStep struct {
	Step    string `json:"step"`
	Variant string `json:"variant,omitempty"`
	Text    string `json:"text,omitempty"` // words, or a paper
	File    []byte `json:"file,omitempty"`
}

// Verdict is what a token check says.
type Verdict struct {
	Verdict    string `json:"verdict"`
	Reason     string `json:"reason"` // the sentence
	Person     string `json:"person,omitempty"`
	Generation int    `json:"generation"`
}

// Problem is an error as the node answers it: RFC 9457 problem+json, with the
// message key so that a client can say it in its own language.
type Problem struct {
	Type   string            `json:"type"`
	Title  string            `json:"title"`
	Status int               `json:"status"`
	Detail string            `json:"detail"`
	Fields map[string]string `json:"fields,omitempty"`
	Class  string            `json:"class,omitempty"`
	Key    string            `json:"key,omitempty"`
	Hint   string            `json:"hint,omitempty"`
}
