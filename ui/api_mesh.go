package ui

import (
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/control"
)

// meshAnswer is what GET /mesh says.
type meshAnswer struct {
	Node     string         `json:"node"`
	Number   uint16         `json:"number"`
	Site     string         `json:"site"`
	Address  string         `json:"address"` // host:port other nodes dial
	OnlyHere uint64         `json:"only_here"`
	Pieces   control.Pieces `json:"pieces"`
	Nodes    []meshNode     `json:"nodes"`
	Heads    []meshHead     `json:"heads"`

	Members int                 `json:"members"` // boxes on the air as gossip counts them
	Twins   int                 `json:"twins"`
	Clock   control.Clock       `json:"clock"` // this node's own; the others' are measured against it
	Forks   []control.ForkedLog `json:"forks"`
}

// meshNode is another node as seen from here.
type meshNode struct {
	Node        string     `json:"node"`
	Number      uint16     `json:"number"`
	Site        string     `json:"site"`
	State       string     `json:"state"`
	LastContact *time.Time `json:"last_contact"`
	Behind      uint64     `json:"behind"`
	Ahead       uint64     `json:"ahead"`
	Confirmed   bool       `json:"confirmed"`
	Waiting     uint64     `json:"waiting"`
	Carries     bool       `json:"carries"`
	Links       []string   `json:"links"`
	BytesIn     uint64     `json:"bytes_in"`
	BytesOut    uint64     `json:"bytes_out"`

	Connections []control.Connection `json:"connections"`
	RoundTrip   *float64             `json:"round_trip_ms"`
	Clock       *control.PeerClock   `json:"clock"`
	Locked      bool                 `json:"locked"`
	Doubled     bool                 `json:"doubled"`
	HeldBack    uint64               `json:"held_back"`
	Standing    string               `json:"standing"` // empty, suspended or revoked
	Via         string               `json:"via"`
	Neighbours  []string             `json:"neighbours"`
}

// meshHead is how far one log is held here, and who else holds that.
type meshHead struct {
	Log     string   `json:"log"`
	Node    string   `json:"node"`
	Seq     uint64   `json:"seq"`
	Head    string   `json:"head"`
	Holders []string `json:"holders"`

	OnlyHere uint64     `json:"only_here"`
	Copies   []meshCopy `json:"copies"`
}

// meshCopy is another node that holds a log as far as this one, and since when at the latest.
type meshCopy struct {
	Node  string     `json:"node"`
	Since *time.Time `json:"since"`
	Sure  bool       `json:"sure"`
}

// head dresses what is known of a log.
func (h Holding) head() meshHead {
	out := meshHead{Log: h.Log, Node: h.Node, Seq: h.Seq, Head: h.Head, Holders: some(h.Holders), OnlyHere: h.OnlyHere, Copies: []meshCopy{}}
	for _, c := range h.Copies {
		out.Copies = append(out.Copies, meshCopy{c.Node, c.Since, c.Sure})
	}
	return out
}

func getMesh(v *visit) error {
	status, err := v.s.config.Box.Status(v.s.ctx)
	if err != nil {
		return err
	}
	holdings, err := v.s.config.Box.Holdings(v.s.ctx)
	if err != nil {
		return err
	}
	answer := meshAnswer{
		Node: status.Node, Number: status.Number, Site: status.Site, Address: status.Mesh, OnlyHere: status.OnlyHere,
		Pieces: status.Pieces,
		Nodes:  []meshNode{}, Heads: []meshHead{},
		Members: status.Members, Twins: status.Twins, Clock: status.Clock, Forks: some(status.Forks),
	}
	for _, p := range status.Peers {
		answer.Nodes = append(answer.Nodes, meshNode{
			Node: p.Node, Number: p.Number, Site: p.Site, State: p.State, LastContact: when(p.LastContact), Behind: p.Behind,
			Ahead: p.Ahead, Confirmed: p.Confirmed, Links: some(p.Addresses), BytesIn: p.BytesIn, BytesOut: p.BytesOut,
			Connections: some(p.Connections), RoundTrip: p.RoundTrip, Clock: p.Clock, Locked: p.Locked, Waiting: p.Waiting, Carries: p.Carries, Doubled: p.Doubled,
			HeldBack: p.HeldBack, Standing: p.Standing, Via: p.Via, Neighbours: some(p.Neighbours),
		})
	}
	for _, h := range holdings {
		answer.Heads = append(answer.Heads, h.head())
	}
	return v.json(fiber.StatusOK, answer)
}

// some makes an empty list of none, so that JSON never says null for a list.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
