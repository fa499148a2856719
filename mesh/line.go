package mesh

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"

	"github.com/waypost/waypost/appliance/identity"
)

// tlsLine is a Line over a real connection.
type tlsLine struct {
	m      *Mesh
	conn   *tls.Conn
	raw    *counted
	signal chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
}

func (t *tlsLine) Wake() {
	select {
	case t.signal <- struct{}{}:
	default:
	}
}

func (t *tlsLine) Close()                  { t.cancel() }
func (t *tlsLine) Remote() string          { return t.conn.RemoteAddr().String() }
func (t *tlsLine) Bytes() (in, out uint64) { return t.raw.in.Load(), t.raw.out.Load() }

// runLine works a connection until it ends, and closes it.
func (m *Mesh) runLine(conn *tls.Conn, raw *counted, cert identity.NodeCert, dialled string) {
	defer conn.Close()
	t := &tlsLine{m: m, conn: conn, raw: raw, signal: make(chan struct{}, 1)}
	t.ctx, t.cancel = context.WithCancel(m.ctx)
	defer t.cancel()
	stop := context.AfterFunc(t.ctx, func() { _ = conn.Close() })
	defer stop()
	l := m.newLink(t, cert, dialled)
	if !m.lockedLink(l, conn.ConnectionState()) {
		return
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t.write(l, quit)
	}()
	err := t.read(l)
	if errors.Is(err, errVersion) {
		close(quit) // the last word is why
		<-ended
		_ = t.writePaced(l, frame(bye{byeUnknown}))
	}
	t.cancel()
	<-ended
	m.detach(l)
	m.quiet.debug("mesh link ended", "node", l.node, "err", err)
}

// patient reads with a deadline that every byte renews.
type patient struct {
	conn net.Conn
	l    *link
}

func (p *patient) Read(b []byte) (int, error) {
	if err := p.conn.SetReadDeadline(p.l.m.clock.Now().Add(p.l.timing().silence)); err != nil {
		return 0, err
	}
	return p.conn.Read(b)
}

// read takes frames until the connection ends or the peer breaks the protocol.
func (t *tlsLine) read(l *link) error {
	r := bufio.NewReaderSize(&patient{conn: t.conn, l: l}, 16<<10)
	for {
		if k, err := r.Peek(1); err == nil && kind(k[0]) == kindOps {
			t.m.answerBegins(l)
		}
		k, b, err := readFrame(r)
		if err != nil {
			return err
		}
		if err := l.received(k, b); err != nil {
			return err
		}
	}
}

// write empties the outbox until quit is closed or the connection ends.
func (t *tlsLine) write(l *link, quit <-chan struct{}) {
	for {
		b, left := l.out.next()
		if b != nil {
			if t.writePaced(l, b) != nil {
				t.cancel()
				return
			}
			if left != nil {
				left()
			}
			continue
		}
		select {
		case <-t.signal:
		case <-quit:
			return
		case <-t.ctx.Done():
			return
		}
	}
}
