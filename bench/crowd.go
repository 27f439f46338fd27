package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// crowdReady is the first message of the crowd's process.
type crowdReady struct{ Control, URL string }

// crowdServer is many receivers behind one port, told apart by the path. It counts
// those that were called while it accepted.
type crowdServer struct {
	addr string

	mu     sync.Mutex
	server *http.Server // nil while connections are refused
	called map[string]bool

	hangs atomic.Bool // calls get no response
}

// crowdPart serves a crowd that refuses connections until it is told to accept them.
func crowdPart(ctx context.Context, _ []byte, say func(any) error) error {
	addr, err := freeAddr(ctx)
	if err != nil {
		return err
	}
	c := &crowdServer{addr: addr}
	control, err := serve(ctx, c.control())
	if err != nil {
		return err
	}
	if err := say(crowdReady{Control: control, URL: "http://" + addr}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// control returns a handler through which the parent changes and inspects the crowd.
func (c *crowdServer) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /accept", func(w http.ResponseWriter, req *http.Request) {
		if err := c.accept(req.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, "0")
	})
	mux.HandleFunc("GET /refuse", func(w http.ResponseWriter, _ *http.Request) {
		c.refuse()
		_, _ = io.WriteString(w, "0")
	})
	mux.HandleFunc("GET /hang", func(w http.ResponseWriter, _ *http.Request) {
		c.hangs.Store(true)
		_, _ = io.WriteString(w, "0")
	})
	mux.HandleFunc("GET /called", func(w http.ResponseWriter, _ *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		_ = json.NewEncoder(w).Encode(len(c.called))
	})
	return mux
}

// accept listens, and counts from 0.
func (c *crowdServer) accept(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.addr)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.called = make(map[string]bool)
	c.server = &http.Server{Handler: c, ReadHeaderTimeout: time.Minute}
	go func(s *http.Server) { _ = s.Serve(listener) }(c.server)
	return nil
}

// refuse closes the listener and all connections.
func (c *crowdServer) refuse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.server.Close()
	c.server = nil
}

// ServeHTTP accepts an event, or hangs until the caller gives up.
func (c *crowdServer) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	if c.hangs.Load() {
		<-req.Context().Done()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.called[req.URL.Path] = true
}

// crowd is many tenants with a few integrations each, whose receivers do the same
// thing at the same time.
type crowd struct {
	*process
	crowdReady
	tenants int
	tokens  []string
	node    *node
}

// eachOfCrowd is how many integrations a tenant of a crowd has.
const eachOfCrowd = 5

// newCrowd registers a crowd with a node. Its receivers accept.
func newCrowd(ctx context.Context, n *node, tenants int) (*crowd, error) {
	c := &crowd{tenants: tenants, node: n}
	var err error
	if c.process, err = startPart(ctx, "part-crowd", 0, &c.crowdReady); err != nil {
		return nil, err
	}
	for i := range tenants {
		token, err := n.token(c.tenant(i))
		if err != nil {
			return c, err
		}
		c.tokens = append(c.tokens, token)
	}
	if err := ask(ctx, c.Control+"/accept", new(int)); err != nil {
		return c, err
	}
	return c, c.each(ctx, c.register)
}

func (c *crowd) tenant(i int) string { return fmt.Sprintf("crowd-%d", i) }

// size returns how many integrations there are.
func (c *crowd) size() int { return c.tenants * eachOfCrowd }

// each calls do for every tenant, several at a time.
func (c *crowd) each(ctx context.Context, do func(ctx context.Context, i int) error) error {
	calls, ctx := errgroup.WithContext(ctx)
	calls.SetLimit(16)
	for i := range c.tenants {
		calls.Go(func() error { return do(ctx, i) })
	}
	return calls.Wait()
}

func (c *crowd) register(ctx context.Context, i int) error {
	api, err := c.node.client(c.tenant(i))
	if err != nil {
		return err
	}
	for j := range eachOfCrowd {
		at, err := url.JoinPath(c.URL, c.tenant(i), hook(j))
		if err != nil {
			return err
		}
		if err := webhook(ctx, api, hook(j), at); err != nil {
			return err
		}
	}
	return nil
}

// publish publishes events for each tenant, in one call.
func (c *crowd) publish(ctx context.Context, events int) error {
	p := publisher{publisherConfig: publisherConfig{URL: c.node.url, Batch: events}, client: &http.Client{Timeout: time.Minute}}
	samples, err := readSamples()
	if err != nil {
		return err
	}
	p.samples = samples[:1]
	p.client.Transport = &http.Transport{MaxIdleConnsPerHost: 16}
	return c.each(ctx, func(_ context.Context, i int) error {
		one := publisher{publisherConfig: p.publisherConfig, client: p.client, samples: p.samples}
		one.Token = c.tokens[i]
		return one.publish(int64(events), time.Now())
	})
}

func (c *crowd) refuse(ctx context.Context) error { return ask(ctx, c.Control+"/refuse", new(int)) }
func (c *crowd) accept(ctx context.Context) error { return ask(ctx, c.Control+"/accept", new(int)) }
func (c *crowd) hang(ctx context.Context) error   { return ask(ctx, c.Control+"/hang", new(int)) }

// called returns how many of the receivers got something since they accept.
func (c *crowd) called(ctx context.Context) (int, error) {
	n := 0
	err := ask(ctx, c.Control+"/called", &n)
	return n, err
}
