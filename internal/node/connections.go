package node

import (
	"container/list"
	"net"
	"sync"

	"github.com/sluicehq/sluice/internal/descriptors"
)

// mostConnections bounds the default limit: a connection takes about 25 KiB of memory.
const mostConnections = 10_000

// metricsConnections is the limit at the address that serves only the metrics.
const metricsConnections = 32

// defaultConnections returns a quarter of the descriptors that this process may open, at
// most mostConnections. The rest is for calls to receivers, and for the database.
func defaultConnections() int {
	return max(1, min(descriptors.Limit()/4, mostConnections))
}

// connections limits the connections of a server. A newcomer beyond the limit takes the
// place of the one whose client has been silent longest while the server waits for it: for
// a request, or for the rest of one. If all requests are at work, the newcomer waits until
// one is not. It is a net.Listener.
type connections struct {
	net.Listener
	limit int

	mu      sync.Mutex
	changed sync.Cond
	open    int
	waiting list.List // of *connection, for their clients; the longest first
	closed  bool
}

func limitConnections(l net.Listener, limit int) *connections {
	c := &connections{Listener: l, limit: limit}
	c.changed.L = &c.mu
	return c
}

// connection is one that counts.
type connection struct {
	net.Conn
	all     *connections
	place   *list.Element // in all.waiting, or nil
	counted bool          // is in all.open
}

// Accept implements net.Listener.
func (c *connections) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !c.admit() {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	return &connection{Conn: conn, all: c, counted: true}, nil
}

// admit makes room for one more connection, and counts it. It returns false once c is closed.
func (c *connections) admit() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.open >= c.limit && !c.closed {
		if first := c.waiting.Front(); first != nil {
			conn := first.Value.(*connection)
			c.forget(conn)
			_ = conn.Conn.Close() // its server notices, and calls Close
			continue
		}
		c.changed.Wait()
	}
	if c.closed {
		return false
	}
	c.open++
	return true
}

// forget ends the count of a connection. The caller holds mu.
func (c *connections) forget(conn *connection) {
	c.leave(conn)
	if conn.counted {
		conn.counted = false
		c.open--
		c.changed.Signal()
	}
}

// leave takes a connection off the waiting ones. The caller holds mu.
func (c *connections) leave(conn *connection) {
	if conn.place != nil {
		c.waiting.Remove(conn.place)
		conn.place = nil
	}
}

// wait puts a connection behind the waiting ones.
func (c *connections) wait(conn *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn.counted && conn.place == nil {
		conn.place = c.waiting.PushBack(conn)
		c.changed.Signal()
	}
}

// work takes a connection off the waiting ones.
func (c *connections) work(conn *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leave(conn)
}

// Close implements net.Listener.
func (c *connections) Close() error {
	c.mu.Lock()
	c.closed = true
	c.changed.Broadcast()
	c.mu.Unlock()
	return c.Listener.Close()
}

// Read implements net.Conn. While a request is at work, package http reads one byte, to
// notice that the client leaves: that is no waiting.
func (conn *connection) Read(b []byte) (int, error) {
	if len(b) > 1 {
		conn.all.wait(conn)
		defer conn.all.work(conn)
	}
	return conn.Conn.Read(b)
}

// Close implements net.Conn.
func (conn *connection) Close() error {
	conn.all.mu.Lock()
	conn.all.forget(conn)
	conn.all.mu.Unlock()
	return conn.Conn.Close()
}

// CloseWrite lets the server end a response while the caller still sends.
func (conn *connection) CloseWrite() error {
	if tcp, ok := conn.Conn.(*net.TCPConn); ok {
		return tcp.CloseWrite()
	}
	return nil
}
