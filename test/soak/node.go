package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/client"
)

// node is the real binary, which is killed and started again.
type node struct {
	binary string
	data   string
	log    *os.File
	addr   string

	mu  sync.Mutex // a kill, a stop and a start are one after the other
	cmd *exec.Cmd
	end chan struct{} // closed once cmd has ended

	kills, stops, refused int
}

// settings shorten what would take the whole run. Without a reserve the disk is full to
// the last byte.
var settings = []string{
	"SLUICE_DISK_RESERVE=0", "SLUICE_RETRY_MIN=200ms", "SLUICE_RETRY_MAX=10s", "SLUICE_SWEEP_INTERVAL=1m",
	"SLUICE_WEBHOOK_TIMEOUT=8s", "SLUICE_TENANT_PUBLISH_RATE=0",
}

func newNode(ctx context.Context, binary, data, log string) (*node, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &node{binary: binary, data: data, log: file, addr: addr}, nil
}

// start starts the process. It may end at once, as on a full disk.
func (n *node) start() error {
	cmd := exec.Command(n.binary, "serve", "--dev", "--addr", n.addr, "--data", n.data) //nolint:noctx // it ends by kill or stop
	cmd.Env = append(cmd.Environ(), settings...)
	cmd.Stderr = n.log
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	n.cmd, n.end = cmd, make(chan struct{})
	go func(end chan struct{}) {
		_ = cmd.Wait()
		close(end)
	}(n.end)
	return nil
}

// restart ends the process by a signal and starts it again, until it serves. It may refuse
// to start as long as the disk is full.
func (n *node) restart(ctx context.Context, by syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if by == syscall.SIGKILL {
		n.kills++
	} else {
		n.stops++
	}
	n.signal(by)
	return n.serve(ctx)
}

func (n *node) signal(by syscall.Signal) {
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Signal(by)
	select {
	case <-n.end:
	case <-time.After(20 * time.Second):
		_ = n.cmd.Process.Kill()
		<-n.end
	}
}

// serveTimeout limits a start, with a disk that has room after some seconds.
const serveTimeout = 2 * time.Minute

func (n *node) serve(ctx context.Context) error {
	deadline := time.Now().Add(serveTimeout)
	for ctx.Err() == nil {
		if err := n.start(); err != nil {
			return err
		}
		for n.runs() && time.Now().Before(deadline) {
			if n.healthy(ctx) {
				return nil
			}
			if !pause(ctx, 20*time.Millisecond, 40*time.Millisecond) {
				return ctx.Err()
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the node does not serve within %v of a start; see its log", serveTimeout)
		}
		n.refused++
		pause(ctx, 500*time.Millisecond, time.Second)
	}
	return ctx.Err()
}

func (n *node) runs() bool {
	select {
	case <-n.end:
		return false
	default:
		return true
	}
}

func (n *node) healthy(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.addr+"/healthz", http.NoBody)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

func (n *node) client(tenant string) (*client.Client, error) {
	key, err := auth.OpenOwnKey(filepath.Join(n.data, auth.OwnKeyName))
	if err != nil {
		return nil, err
	}
	token, err := key.Sign(tenant, auth.Scopes(), 24*time.Hour, time.Now())
	if err != nil {
		return nil, err
	}
	return client.New("http://"+n.addr, token, false)
}

// ask repeats a call until the node responds, or the context ends. An error that a
// later call may not have does not count.
func ask[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	for {
		try, cancel := context.WithTimeout(ctx, 20*time.Second)
		result, err := call(try)
		cancel()
		if err == nil || ctx.Err() != nil {
			return result, errors.Join(err, ctx.Err())
		}
		if refusal, ok := errors.AsType[*client.Error](err); ok && refusal.Status < 500 && refusal.Status != http.StatusTooManyRequests {
			return result, err
		}
		pause(ctx, 100*time.Millisecond, 400*time.Millisecond)
	}
}
