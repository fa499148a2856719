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
	Locked      bool       `json:"locked"`
	Waiting     uint64     `json:"waiting"`
	Carries     bool       `json:"carries"`
	Links       []string   `json:"links"`
	BytesIn     uint64     `json:"bytes_in"`
	BytesOut    uint64     `json:"bytes_out"`
}

// meshHead is how far one log is held here, and who else holds that.
type meshHead struct {
	Log     string   `json:"log"`
	Node    string   `json:"node"`
	Seq     uint64   `json:"seq"`
	Head    string   `json:"head"`
	Holders []string `json:"holders"`
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
	}
	for _, p := range status.Peers {
		answer.Nodes = append(answer.Nodes, meshNode{
			Node: p.Node, Number: p.Number, Site: p.Site, State: p.State, LastContact: when(p.LastContact), Behind: p.Behind,
			Ahead: p.Ahead, Confirmed: p.Confirmed, Locked: p.Locked, Waiting: p.Waiting, Carries: p.Carries, Links: some(p.Addresses), BytesIn: p.BytesIn, BytesOut: p.BytesOut,
		})
	}
	for _, h := range holdings {
		answer.Heads = append(answer.Heads, meshHead{Log: h.Log, Node: h.Node, Seq: h.Seq, Head: h.Head, Holders: some(h.Holders)})
	}
	return v.json(fiber.StatusOK, answer)
}

// some makes an empty list of none, so that JSON never says null for a list.
func some(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
