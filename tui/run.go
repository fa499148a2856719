package tui

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/ui/locale"
)

// Source is where the picture comes from; *control.Client is one.
type Source interface {
	// Status asks the node, once.
	Status(ctx context.Context) (control.Status, error)
}

// Options of a dashboard.
type Options struct {
	Source   Source
	Language locale.Language
	In       io.Reader // a terminal
	Out      io.Writer // the same terminal
	NoColor  bool      // https://no-color.org: shapes and words say everything too
	ASCII    bool      // signs, lines and dots of plain ASCII, for a terminal that has no others
}

const (
	every      = time.Second     // between an answer and the next question
	patience   = 4 * time.Second // for one answer
	minWidth   = 20
	narrowUpTo = 59 // below that, one column of short lines
	wideFrom   = 100
)

// Run shows the dashboard until the person quits or ctx ends. It needs a terminal;
// the caller checks that.
func Run(ctx context.Context, o Options) error {
	m := newModel(ctx, o)
	p := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(o.In), tea.WithOutput(o.Out), tea.WithAltScreen(), tea.WithFPS(10))
	_, err := p.Run()
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, tea.ErrInterrupted):
		return nil
	}
	return fault.New(fault.Internal, "fault.tui.terminal").Wrap(err)
}

// screen is what is shown below the head.
type screen int

const (
	overview screen = iota
	nodes
	alerts
	screens // how many
)

// model is the state of the dashboard. It is a value: Update returns the next one.
type model struct {
	ctx    context.Context //nolint:containedctx // Bubble Tea's commands have no other way to it
	source Source
	lang   locale.Language
	look   look
	ascii  bool

	width, height int
	screen        screen
	help          bool
	cursor        [screens]int // the line a list stands on

	status *control.Status // the last picture; nil before the first
	lost   error           // why there is no newer one; nil while connected
	missed int             // questions without an answer since the last picture
}

func newModel(ctx context.Context, o Options) model {
	return model{ctx: ctx, source: o.Source, lang: o.Language, look: newLook(o.Out, o.NoColor), ascii: o.ASCII, width: 80, height: 24}
}

// answered is what one question brought.
type answered struct {
	status control.Status
	err    error
}

// due says that it is time for the next question.
type due struct{}

func (m model) Init() tea.Cmd { return m.ask }

// ask puts one question; Bubble Tea runs it beside the screen.
func (m model) ask() tea.Msg {
	ctx, cancel := context.WithTimeout(m.ctx, patience)
	defer cancel()
	s, err := m.source.Status(ctx)
	return answered{s, err}
}

func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = max(msg.Width, minWidth), max(msg.Height, 5)
	case answered:
		m.lost = msg.err
		if m.missed++; msg.err == nil {
			m = m.taken(msg.status)
		}
		return m.settled(), tea.Tick(every, func(time.Time) tea.Msg { return due{} })
	case due:
		return m, m.ask
	case tea.KeyMsg:
		return m.key(msg.String())
	}
	return m.settled(), nil
}

// key does what a key means. The same few keys mean the same on every screen.
func (m model) key(k string) (tea.Model, tea.Cmd) {
	switch k {
	case "q", "ctrl+c":
		return m, tea.Quit
	case "?":
		m.help = !m.help
	case "esc":
		if m.help {
			m.help = false
		} else {
			m.screen = overview
		}
	case "tab":
		m.screen, m.help = (m.screen+1)%screens, false
	case "shift+tab":
		m.screen, m.help = (m.screen+screens-1)%screens, false
	case "n":
		m.screen, m.help = nodes, false
	case "a":
		m.screen, m.help = alerts, false
	case "j", "down":
		m.cursor[m.screen]++
	case "k", "up":
		m.cursor[m.screen]--
	case "g", "home":
		m.cursor[m.screen] = 0
	case "G", "end":
		m.cursor[m.screen] = 1 << 30
	}
	return m.settled(), nil
}

// taken shows a new picture: the posts that need a look first, and the cursor still on the
// post it stood on.
func (m model) taken(s control.Status) model {
	at := ""
	if old := m.peers(); m.cursor[nodes] < len(old) && m.cursor[nodes] > 0 {
		at = old[m.cursor[nodes]].Node
	}
	s.Peers = control.WorstFirst(s.Peers)
	if i := slices.IndexFunc(s.Peers, func(p control.Peer) bool { return p.Node == at }); at != "" && i >= 0 {
		m.cursor[nodes] = i
	}
	m.missed, m.status = 0, &s
	return m
}

// settled keeps the cursors on lines that are there.
func (m model) settled() model {
	for s, n := range map[screen]int{overview: 1, nodes: len(m.peers()), alerts: len(m.alerts())} {
		m.cursor[s] = max(0, min(m.cursor[s], n-1))
	}
	return m
}

func (m model) peers() []control.Peer {
	if m.status == nil {
		return nil
	}
	return m.status.Peers
}

func (m model) alerts() []control.Alert {
	if m.status == nil {
		return nil
	}
	return m.status.Alerts
}
