package mesh

import (
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
)

// What a node said that it holds is told while the mesh runs and, from the file, when it
// does not.
func TestMarksOfANode(t *testing.T) {
	w := newWorld(t)
	a := w.start(t, founding(w))
	b := w.start(t, seeded(a.addr))
	wait(t, "a link", func() bool { return a.linked(b) && b.linked(a) })
	a.log.writeN(3)
	id := b.keys.NodeID()
	wait(t, "b says that it has them", func() bool {
		marks, last := a.mesh.MarksOf(id)
		return marks[a.log.Own()].Seq == a.log.heads()[a.log.Own()].Seq && !last.IsZero()
	})
	said, _ := a.mesh.MarksOf(id)
	if none, last := a.mesh.MarksOf(oplog.ID{9}); len(none) != 0 || !last.IsZero() {
		t.Fatal("somebody unknown holds something")
	}
	a.close()
	marks, last := RememberedMarks(a.dir, id)
	if last.IsZero() || marks[a.log.Own()] != said[a.log.Own()] {
		t.Fatalf("%v instead of %v", marks, said)
	}
	if none, _ := RememberedMarks(t.TempDir(), id); len(none) != 0 {
		t.Fatal("an empty folder remembers something")
	}
}
