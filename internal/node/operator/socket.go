package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sluicehq/sluice/internal/private"
)

// SocketName is the socket in a data directory that a running node serves. Those who may
// write to it may act on every tenant, as those who may read the keys there.
const SocketName = "operator.sock"

// Server serves the operator's calls of a running node.
type Server struct {
	server *http.Server
	calls  sync.WaitGroup
}

// Serve listens on the socket in the data directory, which this process must own, and
// serves calls until Close.
func Serve(dir string, t *Tenants, logger *slog.Logger) (*Server, error) {
	path := filepath.Join(dir, SocketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a killed process
		return nil, err
	}
	listener, err := listenPrivately(path)
	if err != nil {
		return nil, err
	}
	s := &Server{}
	calls := handler(t, logger)
	s.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		defer s.calls.Done()
		calls.ServeHTTP(w, r)
	})}
	go func() { _ = s.server.Serve(listener) }()
	return s, nil
}

// listenPrivately listens on a socket that only its owner may use, from its first moment
// where the system gives a socket's mode to its name (Linux does).
func listenPrivately(path string) (net.Listener, error) {
	var unset error
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { unset = syscall.Fchmod(int(fd), 0o600) })
	}}
	listener, err := config.Listen(context.Background(), "unix", path)
	if err != nil || unset == nil {
		return listener, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// Close ends the calls in progress, and waits for them. A purge that is ended may be
// repeated.
func (s *Server) Close() error {
	err := s.server.Close()
	s.calls.Wait()
	return err
}

func handler(t *Tenants, logger *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /usage", func(w http.ResponseWriter, r *http.Request) {
		usage, err := t.Usage(r.Context(), r.URL.Query().Get("tenant"))
		answer(w, usage, err)
	})
	mux.HandleFunc("POST /purge", func(w http.ResponseWriter, r *http.Request) {
		tenant := r.URL.Query().Get("tenant")
		purged, err := t.Purge(r.Context(), tenant)
		if err == nil {
			logger.WarnContext(r.Context(), "tenant purged", "tenant", tenant, "integrations", purged.Integrations, "events", purged.Events, "bytes", purged.Bytes)
		}
		answer(w, purged, err)
	})
	return mux
}

// answer writes a document, or an error as text: the operator may see its cause.
func answer(w http.ResponseWriter, document any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(document)
}

// client makes calls to a running node.
type client struct {
	dir  string
	http *http.Client
}

func newClient(dir string) *client {
	return &client{dir, &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, SocketName))
		},
	}}}
}

// call refuses a socket that may be another user's.
func (c *client) call(ctx context.Context, method, path, tenant string, result any) error {
	err := errors.Join(
		private.Dir("the data directory", c.dir),
		private.File("the operator's socket", filepath.Join(c.dir, SocketName)))
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://node"+path+"?"+url.Values{"tenant": {tenant}}.Encode(), http.NoBody)
	if err != nil {
		return err
	}
	res, err := c.http.Do(r)
	switch {
	case noNode(err):
		return err
	case err != nil:
		return fmt.Errorf("the node gave no response: %w; run this as the user that the node runs as, and repeat it: a purge that was cut short goes on", errors.Unwrap(err))
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
		return errors.New(strings.TrimSpace(string(text)))
	}
	return json.NewDecoder(res.Body).Decode(result)
}
