package torture

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/tokens"
)

// TestClock lives through starts in 1970, ten years ahead and backwards, on two nodes
// that disagree about the time and exchange. Nobody may go missing, and the order of
// registration, which is that of the logical clock, may not follow the wall.
func TestClock(t *testing.T) {
	r := newRow(t)
	noon := oplogtest.Noon()
	c := clock.NewFake(noon)
	k := newCamp(t, c)
	peer, theirs := k.neighbour(t, 3)
	g := &garden{c: c}
	m := newModel()
	var order, cards []string
	for id, name := range theirs.promised() {
		m.send(name)
		m.ack(id, name)
	}
	walls := []time.Time{
		noon, time.Unix(0, 0), noon.AddDate(10, 0, 0), noon.Add(-24 * time.Hour), time.Unix(0, 0).Add(-time.Hour),
		noon.AddDate(-1, 0, 0), noon.AddDate(80, 0, 0), noon.Add(time.Second),
	}
	for day, wall := range walls {
		c.Set(wall)
		c.SetSure(day%2 == 0)
		r.sum.runs++
		p, err := g.open(k.dirs[0])
		if err != nil {
			t.Fatalf("does not open at %v: %v", wall, err)
		}
		for i := range 5 {
			name := fmt.Sprintf("Day%d-%d", day, i)
			id, err := p.register(m, name)
			must(t, err)
			order = append(order, name)
			if i == 0 {
				card, err := p.Tokens.Issue(ctx, operator, id, tokens.IssueOptions{})
				must(t, err)
				cards = append(cards, card.Text)
			}
			// In the middle of a day the clock jumps too.
			if i == 2 {
				c.Set(wall.Add(-72 * time.Hour))
			}
		}
		for range 2 {
			_, err = pull(p.log, peer.log, 3)
			must(t, err)
			_, err = pull(peer.log, p.log, 3)
			must(t, err)
		}
		for who, box := range map[string]*post{"here": p, "at the neighbour": peer} {
			y, report, err := box.judge(m)
			must(t, err)
			if r.add(y); y.bad() || !report.Sound {
				t.Errorf("day %d, %v, %s: %s %v", day, wall, who, y.detail(), report.Problems)
			}
			if got := ours(t, box); !slices.Equal(got, order) {
				t.Errorf("day %d, %v, %s: registered in the order %v, shown in %v", day, wall, who, order, got)
			}
		}
		must(t, p.close())
	}
	// With the right time again every card still says whose it is.
	c.Set(noon)
	p, err := g.open(k.dirs[0])
	must(t, err)
	defer p.close()
	for i, text := range cards {
		if res, err := p.Tokens.Verify(ctx, operator, text); err != nil || res.Verdict == tokens.Malformed || res.Verdict == tokens.NotOurs {
			t.Errorf("card %d: %v %v", i, res.Verdict, err)
		}
	}
}

// ours are the people registered here, first to last.
func ours(t *testing.T, p *post) (names []string) {
	t.Helper()
	page, err := p.Registration.Recent(ctx, operator, registration.MaxPage, "")
	must(t, err)
	for _, rec := range page.Items {
		if rec.GivenName[:3] == "Day" {
			names = append(names, rec.GivenName)
		}
	}
	slices.Reverse(names)
	return names
}
