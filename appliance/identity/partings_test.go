package identity

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// openAt is openPost in a folder that stays.
func openAt(t testing.TB, v *Vault, dir string) post {
	t.Helper()
	log, err := oplog.Open(ctx(), oplog.Options{
		Dir: dir, Store: oplogtest.MemStore(), Authority: v, StorageKey: v.Subkey("journal"), Clock: v.clock, Kinds: Kinds(), Views: Views(),
	})
	must(t, err)
	t.Cleanup(func() { _ = log.Close() })
	return post{v, log, OpenDesk(log, v)}
}

// halves is a camp where c wrote one log on in two ways: a holds one of them, b the other.
func halves(t *testing.T) (a, b, c post, log oplog.LogID) {
	t.Helper()
	a, b, c = compared(t)
	dir, copied := filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")
	was := openAt(t, c.vault, dir)
	was.say(t, c, 1)
	log = was.log.Own()
	only(t, was, a, log)
	only(t, was, b, log)
	must(t, was.log.Close())
	must(t, os.CopyFS(copied, os.DirFS(dir)))
	one, two := openAt(t, c.vault, dir), openAt(t, c.vault, copied)
	if one.log.Own() != log || two.log.Own() != log {
		t.Fatal("another log")
	}
	one.say(t, c, 2)
	two.say(t, c, 3)
	only(t, one, a, log)
	only(t, two, b, log)
	settled(t, a, b)
	if a.says(t, c) != 2 || b.says(t, c) != 3 {
		t.Fatalf("%d and %d", a.says(t, c), b.says(t, c))
	}
	return a, b, c, log
}

// say notes that by tried something at a node; says is who did last.
func (p post) say(t *testing.T, of post, by byte) {
	t.Helper()
	must(t, p.log.Do(ctx(), oplog.By{by}, func(tx *oplog.Tx) error {
		_, err := tx.Append(drilled, of.vault.NodeID(), Drilled{What: DrillKit, Good: true})
		return err
	}))
}

func (p post) says(t *testing.T, of post) (by byte) {
	t.Helper()
	must(t, p.log.View(func(r oplog.Reader) error {
		raw, ok, err := r.Row(ceremonyView, of.vault.NodeID(), append([]byte("d"), DrillKit...))
		if ok {
			var row drilledRow
			must(t, decode(raw, &row))
			by = row.By[0]
		}
		return err
	}))
	return by
}

// viewsAlike compares views: a journal with a fork in it is never called sound.
func viewsAlike(t *testing.T, a, b post) {
	t.Helper()
	x, err := a.log.Check(ctx())
	must(t, err)
	y, err := b.log.Check(ctx())
	if must(t, err); x.Views != y.Views {
		t.Error("they see different rows")
	}
}

func (p post) prove(t *testing.T, from post, log oplog.LogID) {
	t.Helper()
	raw, _, err := from.log.Range(log, 2, 10, 1<<20)
	must(t, err)
	r, err := p.log.Prove(ctx(), raw, oplog.Branch{})
	if must(t, err); r.Seq != 3 {
		t.Fatalf("they part at %d", r.Seq)
	}
}

// TestCutsEndBeforeAParting: who revokes a node whose log is known to have two histories cuts
// it where both are the same, and everybody holds back the same, copies by witnesses too.
func TestCutsEndBeforeAParting(t *testing.T) {
	for _, witnesses := range []bool{false, true} {
		a, b, c, log := halves(t)
		a.prove(t, b, log)
		b.prove(t, a, log)
		if witnesses {
			for _, p := range []post{a, b} {
				if n, _, err := p.log.Testify(ctx(), log); err != nil || n != 1 {
					t.Fatal(n, err)
				}
			}
			settled(t, a, b)
			viewsAlike(t, a, b)
		}
		must(t, a.revoke(t, c, [2][]byte{{1}, {2}}))
		settled(t, a, b)
		for name, p := range map[string]post{"a": a, "b": b} {
			if got := p.says(t, c); got != 1 {
				t.Errorf("witnesses %v: %s shows %d", witnesses, name, got)
			}
			held, err := p.desk.HeldBack(c.vault.NodeID())
			must(t, err)
			if len(held) != 1 || held[0].Ref != (oplog.Ref{Log: log, Seq: 3}) {
				t.Errorf("witnesses %v: %s holds back %v", witnesses, name, held)
			}
		}
		viewsAlike(t, a, b)
	}
}

// TestACutThatNamesTheOtherHistory: who revoked the node did not know of two histories. Who
// holds the other one holds it back, first as a whole and then from where they part, and
// gets what counts from a witness.
func TestACutThatNamesTheOtherHistory(t *testing.T) {
	a, b, c, log := halves(t)
	must(t, a.revoke(t, c, [2][]byte{{1}, {2}}))
	settled(t, a, b)
	if got := a.says(t, c); got != 2 {
		t.Errorf("a shows %d", got)
	}
	if got := b.says(t, c); got == 3 || got == 1 {
		t.Errorf("b shows %d of a history whose place is not known", got)
	}
	b.prove(t, a, log)
	must(t, b.desk.Follow(ctx()))
	if got := b.says(t, c); got != 1 {
		t.Errorf("b shows %d, not what both have", got)
	}
	if n, _, err := b.log.Testify(ctx(), log); err != nil || n != 0 {
		t.Errorf("b writes %d ops again that do not count; %v", n, err)
	}
	a.prove(t, b, log)
	must(t, a.desk.Follow(ctx()))
	if n, _, err := a.log.Testify(ctx(), log); err != nil || n != 1 {
		t.Errorf("a writes %d ops again; %v", n, err)
	}
	settled(t, a, b)
	if a.says(t, c) != 2 || b.says(t, c) != 2 {
		t.Errorf("%d and %d", a.says(t, c), b.says(t, c))
	}
	viewsAlike(t, a, b)
	must(t, b.log.Rebuild(ctx()))
	viewsAlike(t, a, b)
}
