package node

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a net.Listener in memory.
type pipes struct {
	net.Listener
	dialed chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.dialed:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.closed) }); return nil }

// gate is a server with a limit of connections. Requests of /wait wait for open.
type gate struct {
	t      *testing.T
	pipes  *pipes
	limit  *connections
	server *http.Server
	open   chan struct{}
}

// withGate runs a test with a server of the given limit, in a bubble.
func withGate(t *testing.T, limit int, test func(*gate)) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{t: t, pipes: &pipes{dialed: make(chan net.Conn), closed: make(chan struct{})}, open: make(chan struct{})}
		g.limit = limitConnections(g.pipes, limit)
		g.server = (&Node{config: DefaultConfig(), logger: slog.New(slog.DiscardHandler)}).newServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if r.URL.Path == "/wait" {
				<-g.open
			}
		}))
		served := make(chan error)
		go func() { served <- g.server.Serve(g.limit) }()
		test(g)
		_ = g.server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("served: %v", err)
		}
		time.Sleep(time.Second) // the server lets clients read an answer to the end
		if g.limit.open != 0 || g.limit.waiting.Len() != 0 {
			t.Errorf("at the end %d connections count, of which %d wait", g.limit.open, g.limit.waiting.Len())
		}
	})
}

// dial returns a connection that may not be accepted yet.
func (g *gate) dial() net.Conn {
	client, server := net.Pipe()
	go func() {
		select {
		case g.pipes.dialed <- server:
		case <-g.pipes.closed:
		}
	}()
	synctest.Wait()
	return client
}

// send begins a request.
func (g *gate) send(c net.Conn, path string) {
	go func() { _, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path) }()
	synctest.Wait()
}

// answered reports whether the answer to a request comes within a second, without any
// other event.
func (g *gate) answered(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

func (g *gate) closed(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

// Idle clients, and those that never send a whole request, shut out nobody.
func TestNewcomersTakeThePlaceOfIdleConnections(t *testing.T) {
	withGate(t, 4, func(g *gate) {
		idle, silent, halfway, bodiless := g.dial(), g.dial(), g.dial(), g.dial()
		_, _ = io.WriteString(halfway, "GET / HTTP/1.1\r\nHost")
		synctest.Wait() // until the server waits for the rest of it, before the next one
		_, _ = io.WriteString(bodiless, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n12345")
		synctest.Wait()
		g.send(idle, "/")
		if !g.answered(idle) {
			t.Fatal("no answer")
		}
		synctest.Wait()
		order := []net.Conn{silent, halfway, bodiless, idle} // idle only since its answer
		for i, longest := range order {
			c := g.dial()
			g.send(c, "/")
			if !g.answered(c) {
				t.Errorf("newcomer %d got no answer", i)
			}
			synctest.Wait()
			if !g.closed(longest) {
				t.Errorf("newcomer %d did not take the place of the one that waited longest", i)
			}
		}
	})
}

func TestConnectionsAtWorkAreNotClosed(t *testing.T) {
	withGate(t, 2, func(g *gate) {
		a, b := g.dial(), g.dial()
		g.send(a, "/wait")
		g.send(b, "/wait")
		c := g.dial()
		g.send(c, "/")
		if g.answered(c) {
			t.Error("a third connection was served beside two at work")
		}
		var all sync.WaitGroup
		for _, conn := range []net.Conn{a, b, c} {
			all.Go(func() {
				if !g.answered(conn) {
					t.Error("once the first were done, somebody got no answer")
				}
			})
		}
		close(g.open)
		all.Wait()
	})
}

// A server that shuts down does not wait for room.
func TestTheEndDoesNotWaitForRoom(t *testing.T) {
	withGate(t, 1, func(g *gate) {
		g.send(g.dial(), "/wait")
		g.dial()
		_ = g.server.Close()
		close(g.open)
	})
}

func TestConnectionsByDefault(t *testing.T) {
	if n := defaultConnections(); n < 1 || n > mostConnections {
		t.Errorf("%d connections", n)
	}
	c := DefaultConfig()
	if got := c.connections(); got != defaultConnections() {
		t.Errorf("%d connections by default", got)
	}
	c.Connections = 7
	if got := c.connections(); got != 7 {
		t.Errorf("%d connections, want the 7 that are set", got)
	}
	c.Connections = -1
	if err := c.Validate(); err == nil {
		t.Error("-1 connections are valid")
	}
}
