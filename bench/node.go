package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/client"
)

// node is a running node with its own data directory.
type node struct {
	*process
	bench *bench
	env   []string // settings, name=value
	dir   string   // holds the data directory and the node's log
	url   string
	key   *auth.OwnKey
}

// startNode starts a node on an empty data directory, with settings of its own as
// name=value.
func (b *bench) startNode(ctx context.Context, env ...string) (*node, error) {
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return nil, err
	}
	n := &node{bench: b, env: env, dir: dir}
	if err := n.run(ctx); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// run starts the process and waits until it serves requests.
func (n *node) run(ctx context.Context) error {
	addr, err := freeAddr(ctx)
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(n.dir, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	data := filepath.Join(n.dir, "data")
	cmd := exec.CommandContext(ctx, n.bench.binary, "serve", "--dev", "--addr", addr, "--data", data)
	if n.bench.profile != "" {
		if cmd, err = profiled(ctx, nodeConfig{addr, data, n.bench.profile}); err != nil {
			return err
		}
	}
	cmd.Env = append(cmd.Environ(), "SLUICE_TENANT_PUBLISH_RATE=0") // the benchmark finds out what is possible
	cmd.Env = append(cmd.Env, n.env...)
	cmd.Stderr = log
	if n.process, err = start(cmd); err != nil {
		return err
	}
	n.url = "http://" + addr
	err = until(ctx, 20*time.Second, "the node responds", func() (bool, error) {
		select {
		case <-n.exited:
			text, _ := os.ReadFile(log.Name())
			return false, fmt.Errorf("the node ended: %w: %s", errors.Join(n.err), text)
		default:
			return ask(ctx, n.url+"/healthz", new(struct{})) == nil, nil
		}
	})
	if err != nil {
		return err
	}
	n.key, err = auth.OpenOwnKey(filepath.Join(data, auth.OwnKeyName))
	return err
}

// restart stops the node and starts it again on the same data.
func (n *node) restart(ctx context.Context) error {
	n.end()
	return n.run(ctx)
}

// close kills the node, whose data is no longer needed, and removes its files.
func (n *node) close() {
	if n.process != nil && n.bench.profile == "" {
		_ = n.cmd.Process.Kill()
	}
	if n.process != nil {
		n.end()
	}
	_ = os.RemoveAll(n.dir)
}

// token returns an access token of the tenant, or a platform token if that is "".
func (n *node) token(tenant string) (string, error) {
	scopes := auth.Scopes()
	if tenant == "" {
		scopes = append(scopes, auth.TenantsAny)
	}
	return n.key.Sign(tenant, scopes, time.Hour, time.Now())
}

func (n *node) client(tenant string) (*client.Client, error) {
	token, err := n.token(tenant)
	if err != nil {
		return nil, err
	}
	return client.New(n.url, token, false)
}

// publish publishes c.Events events and waits until they are durable.
func (n *node) publish(ctx context.Context, tenant string, c publisherConfig) error {
	p, err := n.publisher(ctx, tenant, c)
	if err != nil {
		return err
	}
	defer p.end()
	if err := p.answers.Decode(new(publisherResult)); err != nil {
		return fmt.Errorf("the publisher: %w", err)
	}
	return nil
}

// publisher starts a publisher process.
func (n *node) publisher(ctx context.Context, tenant string, c publisherConfig) (*process, error) {
	var err error
	c.URL = n.url
	if c.Token, err = n.token(tenant); err != nil {
		return nil, err
	}
	return startPart(ctx, "part-publisher", c, nil)
}

// freeAddr returns a loopback address that is not in use.
func freeAddr(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// webhook registers a webhook integration.
func webhook(ctx context.Context, c *client.Client, id, at string) error {
	_, err := c.Create(ctx, client.Registration{ID: id, Type: "permanent", Callback: &client.Callback{URL: at}})
	return err
}

// profiled returns the command that runs a profiled node in this program.
func profiled(ctx context.Context, c nodeConfig) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return exec.CommandContext(ctx, self, "part-node", string(text)), nil
}
