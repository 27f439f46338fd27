package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/sluicehq/sluice/internal/client"
)

const (
	tenant = "acme"
	bucket = "acme-events"
)

// stage holds the processes and state of the tour.
type stage struct {
	node   *exec.Cmd
	exited chan error
	data   string
	errors bytes.Buffer // what the node wrote to stderr
	api    *client.Client

	receiver string // URL
	store    string // URL of the S3 server
	files    *s3mem.Backend
	servers  []*http.Server

	mu       sync.Mutex
	refused  string              // id of the event that gets a 400
	stuck    string              // id of the event that /orders can never take: it gets a 422
	failFrom int                 // the first call that gets a 503
	failTill time.Time           // when the failure ends, once it has begun
	calls    int                 // at the webhook
	seen     map[string][]string // by path: ids of the accepted events, in order
	events   int                 // published so far
	started  time.Time
}

func (s *stage) say(format string, args ...any) { _, _ = fmt.Fprintf(os.Stdout, format+"\n", args...) }

// newStage starts the receiver, the S3 server and the node.
func newStage(ctx context.Context, binary string) (*stage, error) {
	s := &stage{seen: make(map[string][]string), exited: make(chan error, 1), started: time.Now().Truncate(time.Millisecond)}
	var err error
	if s.receiver, err = s.serve(ctx, http.HandlerFunc(s.receive)); err != nil {
		return nil, err
	}
	s.files = s3mem.New()
	if err := s.files.CreateBucket(bucket); err != nil {
		return nil, err
	}
	if s.store, err = s.serve(ctx, gofakes3.New(s.files).Server()); err != nil {
		return nil, err
	}
	if s.data, err = os.MkdirTemp("", "sluice-demo-"); err != nil {
		return nil, err
	}
	if err := s.startNode(ctx, binary); err != nil {
		s.clear()
		return nil, err
	}
	return s, nil
}

// serve serves h on a free loopback port and returns its URL.
func (s *stage) serve(ctx context.Context, h http.Handler) (string, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	s.servers = append(s.servers, server)
	go func() { _ = server.Serve(ln) }()
	return "http://" + ln.Addr().String(), nil
}

func (s *stage) startNode(ctx context.Context, binary string) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	s.node = exec.CommandContext(ctx, binary, "serve", "--dev", "--addr", addr, "--data", s.data,
		"--retry-min", "200ms", "--s3-file-interval", "3s")
	s.node.Stderr = &s.errors
	s.node.Cancel = func() error { return s.node.Process.Signal(syscall.SIGTERM) }
	if err := s.node.Start(); err != nil {
		return fmt.Errorf("%w; build it with: make build", err)
	}
	go func() { s.exited <- s.node.Wait() }()
	token, err := exec.CommandContext(ctx, binary, "token", "--data", s.data, "--tenant", tenant, "--ttl", "10m").Output()
	if err != nil {
		return fmt.Errorf("sluice token: %w", err)
	}
	if s.api, err = client.New("http://"+addr, strings.TrimSpace(string(token)), false); err != nil {
		return err
	}
	err = s.until(ctx, 10*time.Second, "the node responds", func() (bool, error) {
		_, err := s.api.Integrations(ctx)
		return err == nil, nil
	})
	if err == nil {
		s.say("Sluice is running at http://%s, the receiver at %s, the S3 server at %s.", addr, s.receiver, s.store)
	}
	return err
}

// clear stops what newStage started.
func (s *stage) clear() {
	if s.node != nil && s.node.Process != nil && s.node.ProcessState == nil {
		_ = s.node.Process.Kill()
		<-s.exited //nolint:errcheck // it was killed
	}
	for _, server := range s.servers {
		_ = server.Close()
	}
	if s.data != "" {
		_ = os.RemoveAll(s.data)
	}
}

// receive is the webhook receiver.
func (s *stage) receive(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(s.judge(r.URL.Path, r.Header.Get("webhook-id")))
}

// judge counts a call and returns its status: the receiver rejects one event,
// fails for a while, and one of its paths never takes one event.
func (s *stage) judge(path, id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.failFrom > 0 && s.calls >= s.failFrom {
		if s.failTill.IsZero() {
			s.failTill = time.Now().Add(time.Second)
		}
		if time.Now().Before(s.failTill) {
			return http.StatusServiceUnavailable
		}
		s.failFrom = 0
	}
	if id == s.refused {
		return http.StatusBadRequest
	}
	if id == s.stuck && path == "/orders" {
		return http.StatusUnprocessableEntity
	}
	s.seen[path] = append(s.seen[path], id)
	return http.StatusOK
}

// arrived returns how many events arrived at a path, in total and distinct.
func (s *stage) arrived(path string) (all, different int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make(map[string]bool)
	for _, id := range s.seen[path] {
		ids[id] = true
	}
	return len(s.seen[path]), len(ids)
}

// until waits for a condition.
func (s *stage) until(ctx context.Context, atMost time.Duration, what string, condition func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	for {
		if ok, err := condition(); ok || err != nil {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case err := <-s.exited:
			s.exited <- err
			return fmt.Errorf("the node ended (%w): %s", errors.Join(err), s.errors.String())
		case <-ctx.Done():
			return fmt.Errorf("waited %v until %s", atMost, what)
		}
	}
}

// samples reads the sample events, one JSON object per line.
func samples() ([][]byte, error) {
	files, err := filepath.Glob("events/samples/*.ndjson")
	if err != nil || len(files) == 0 {
		return nil, errors.Join(err, errors.New("no events/samples/*.ndjson: run this in the root of the repository"))
	}
	var lines [][]byte
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		lines = append(lines, bytes.Split(bytes.TrimSpace(content), []byte("\n"))...)
	}
	return lines, nil
}
