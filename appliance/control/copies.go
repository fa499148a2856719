package control

import (
	"context"
	"time"
)

// CopyAt is another post and what it is known to hold of something: all of it or a part.
type CopyAt struct {
	Node      string     `json:"node"`
	Number    uint16     `json:"number"`
	Site      string     `json:"site"`
	Facts     int        `json:"facts"` // of those asked about
	Since     *time.Time `json:"since"` // it held them at this moment at the latest, by this node's clock; null when that was not noted
	Sure      bool       `json:"sure"`  // that clock had been set
	Heard     *time.Time `json:"heard"` // when it was last heard of; null when never
	Connected bool       `json:"connected"`
	Reads     bool       `json:"reads"`           // it has the keys of this register: opened, it can be read there
	Carries   bool       `json:"carries"`         // it was let in as a partner's relay: it holds what it holds sealed, and no key
	Apart     string     `json:"apart,omitempty"` // why it is no safe copy: shut (it was shut out) or twin (a copy of this node's own folder)
}

// Copies says where the facts about somebody are kept.
type Copies struct {
	Facts    int      `json:"facts"`
	OnlyHere int      `json:"only_here"` // of them, facts that no other post is known to hold
	Gone     int      `json:"gone"`      // of them, facts whose content was lost at this node
	Whole    []CopyAt `json:"whole"`     // posts that hold all of them
	Part     []CopyAt `json:"part"`      // posts that hold some
	Apart    []CopyAt `json:"apart"`     // what is no safe copy
	Posts    []CopyAt `json:"posts"`     // other posts that have the keys of this register, whatever they hold
	Partners []CopyAt `json:"partners"`  // relays of partners that were let in and not shut out, whatever they hold; none of them reads
}

// Gone is what would be lost with this node, were it gone now. It names nobody.
type Gone struct {
	Facts      uint64      `json:"facts"`      // that no other post is known to hold, of all kinds
	People     int         `json:"people"`     // registered, and no other post knows of them
	Changed    int         `json:"changed"`    // people whom others know, with something new that only this node has
	Households int         `json:"households"` // formed, likewise
	Cards      int         `json:"cards"`      // issued
	Photos     int         `json:"photos"`     // taken
	Letters    int         `json:"letters"`    // taken in while the box was locked, and set aside since: never copied anywhere
	Oldest     *time.Time  `json:"oldest"`     // of these facts, by the clock of whoever wrote it; null when there is none
	Newest     *time.Time  `json:"newest"`
	Sure       bool        `json:"sure"`    // both clocks had been set
	Closest    *CopyAt     `json:"closest"` // the post that would close the gap soonest; null when none is known
	Backup     *LastBackup `json:"backup"`  // the last one that was read back; null when there is none
	Logs       []LogCopies `json:"logs"`
}

// LogCopies is who holds a log as far as this node.
type LogCopies struct {
	Log      string   `json:"log"`
	Node     string   `json:"node"`   // that writes it; empty when its certificate is not here yet
	Number   uint16   `json:"number"` // of that node; 0 with it
	Site     string   `json:"site"`
	Facts    uint64   `json:"facts"`
	OnlyHere uint64   `json:"only_here"`
	Carries  bool     `json:"carries"` // that node is a partner's relay
	Copies   []CopyAt `json:"copies"`  // posts that hold all of it, safely
}

// GonePerson is one of the people of Gone.
type GonePerson struct {
	ID    string `json:"id"`
	Whole bool   `json:"whole"` // nobody else knows of them; otherwise only what is new is nowhere else
}

// Gone asks what would be lost with the node.
func (c *Client) Gone(ctx context.Context) (Gone, error) {
	var g Gone
	err := c.GetSlow(ctx, "/operator/copies", &g)
	return g, err
}
