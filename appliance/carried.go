package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/waypost/waypost/appliance/bundle"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/mesh"
)

// bundleFolder is the folder in a data folder that remembers what bundles told of others,
// and holds one that is being sent to this box.
const bundleFolder = "bundles"

// bundleMemory is that memory.
func bundleMemory(dir string) *bundle.Memory {
	return bundle.NewMemory(files.OS(), filepath.Join(dir, bundleFolder))
}

// anyPost is what stands for every post in an order.
const anyPost = "any"

// bundleOptions says what a bundle has in it. who is the id or number of a node, or "any".
func (n *node) bundleOptions(who string, bare bool) (bundle.Options, error) {
	o := bundle.Options{Keys: n.vault, Source: n.journal, Bare: bare}
	if n.chunks != nil {
		o.Pieces = n.chunks
	}
	nodes, err := n.desks.Identity.Nodes()
	if err != nil {
		return o, err
	}
	if who == anyPost {
		for _, other := range nodes {
			if !n.desks.Identity.Outcast(other.Cert) {
				o.Nodes = append(o.Nodes, other.Cert)
			}
		}
		if o.Common, err = n.desks.Identity.CommonKeySafe(); err != nil {
			return o, err
		}
	} else {
		to, err := pickNode(nodes, who)
		if err != nil {
			return o, err
		}
		switch {
		case to.ID == n.vault.NodeID():
			return o, fault.New(fault.Conflict, "fault.bundle.to_self")
		case n.desks.Identity.Outcast(to.Cert):
			return o, fault.New(fault.Denied, "fault.bundle.to_shut_out", "Number", to.Number)
		}
		o.For, o.Known = &to.Cert, n.known(to.ID)
	}
	o.Stamp, err = bundleMemory(n.dir).Stamp(n.clock.Now())
	return o, err
}

// pickNode finds a node by its id or its number. Fault: NotFound
// "fault.identity.no_such_node".
func pickNode(nodes []identity.Node, who string) (identity.Node, error) {
	number, _ := strconv.ParseUint(who, 10, 16)
	for _, node := range nodes {
		if node.ID.String() == who || number > 0 && uint64(node.Number) == number {
			return node, nil
		}
	}
	return identity.Node{}, fault.New(fault.NotFound, "fault.identity.no_such_node")
}

// known is what a node is known to hold: by the newest of its bundles that was read, and
// by what it said over the network, when that was later. A node that lost its disk says so
// in its next bundle, and is believed.
func (n *node) known(id identity.NodeID) bundle.Known {
	k, read := bundleMemory(n.dir).Of(id)
	if k.Marks == nil {
		k.Marks = map[oplog.LogID]bundle.Mark{}
	}
	said, last := mesh.RememberedMarks(n.dir, id)
	if m := n.Mesh(); m != nil {
		said, last = m.MarksOf(id)
	}
	if read && !last.After(k.Read) {
		return k
	}
	for log, e := range said {
		if e.Seq > k.Marks[log].Seq {
			k.Marks[log] = bundle.Mark(e)
		}
	}
	return k
}

// writeBundle writes one into a file, or into a folder under a name that says nothing.
func (n *node) writeBundle(ctx context.Context, order control.BundleOrder, progress func(bundle.Progress)) (*control.BundleWritten, error) {
	o, err := n.bundleOptions(order.For, order.Bare)
	if err != nil {
		return nil, err
	}
	o.Progress = progress
	info, err := bundle.WriteFile(ctx, files.OS(), order.File, o)
	if err != nil {
		return nil, err
	}
	return &control.BundleWritten{File: order.File, For: order.For, Ops: info.Ops, Pieces: info.Pieces, Bytes: info.Bytes, Left: info.Left}, nil
}

// readBundle takes one in. What it counts is good with an error too; nil when the file
// could not be opened.
func (n *node) readBundle(ctx context.Context, file string, progress func(bundle.Progress)) (*control.BundleRead, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, bundleUnopened(file, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrInvalid
	}
	if err != nil {
		return nil, bundleUnopened(file, err)
	}
	people, held := n.countsNow(ctx)
	o := bundle.ReadOptions{
		Keys: n.vault, Book: n.desks.Identity, Into: n.journal, Memory: bundleMemory(n.dir), Now: n.clock.Now(), Size: info.Size(), Progress: progress,
	}
	if n.chunks != nil {
		o.Pieces = n.chunks
	}
	// Who was shut out counts as it is known now, also on a folder that nobody serves.
	err = n.desks.Identity.Follow(ctx)
	var r bundle.Result
	if err == nil {
		r, err = bundle.Read(ctx, f, o)
		// Keys and judgements that came with it: what was sealed under a new key is read now.
		err = cmp.Or(err, n.desks.Identity.Follow(context.WithoutCancel(ctx)))
	}
	after, heldNow := n.countsNow(context.WithoutCancel(ctx))
	out := &control.BundleRead{
		Number: r.Number, Ops: r.Ops, OpsOf: r.OpsOf, New: r.New, People: after - min(after, people), HeldBack: heldNow - min(heldNow, held),
		Pieces: r.Pieces, PiecesOf: r.PiecesOf, NewPieces: r.NewPieces, Missing: len(r.Missing), Refused: len(r.Refused), Forks: len(r.Forks),
	}
	if !r.From.IsZero() {
		out.From = r.From.String()
	}
	return out, err
}

func bundleUnopened(file string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "fault.bundle.no_file", "File", file).Wrap(err)
	}
	return fault.New(fault.Unavailable, "fault.bundle.no_file", "File", file).Wrap(err)
}

// countsNow is how many people are here and how many facts are held back. Where they
// cannot be counted, a bundle says nothing about them.
func (n *node) countsNow(ctx context.Context) (people, held uint64) {
	if c, err := n.desks.Registration.Counts(ctx); err == nil {
		people = uint64(max(0, c.People)) //nolint:gosec // not negative
	}
	nodes, err := n.desks.Identity.Nodes()
	if err != nil {
		return people, held
	}
	for _, node := range nodes {
		if node.Standing == identity.StandingGood {
			continue
		}
		if ops, err := n.desks.Identity.HeldBack(node.ID); err == nil {
			held += uint64(len(ops))
		}
	}
	return people, held
}
