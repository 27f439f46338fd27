package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/publish"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/secret/local"
)

// receiver counts the different events that arrived.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	seen map[string]int
	got  chan struct{}
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{seen: make(map[string]int), got: make(chan struct{}, 1000)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.seen[req.Header.Get("webhook-id")]++
		r.mu.Unlock()
		r.got <- struct{}{}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) wait(t *testing.T, calls int) {
	t.Helper()
	for i := range calls {
		select {
		case <-r.got:
		case <-time.After(30 * time.Second):
			t.Fatalf("%d of %d calls arrived", i, calls)
		}
	}
}

func openNode(t *testing.T, dir string) *Node {
	t.Helper()
	return openNodeWith(t, dir, func(*Config) {})
}

func openNodeWith(t *testing.T, dir string, change func(*Config)) *Node {
	t.Helper()
	config := DefaultConfig()
	config.Addr, config.Data, config.Dev = "127.0.0.1:0", dir, true
	change(&config)
	n, err := Open(t.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func closeNode(t *testing.T, n *Node) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

func publishTo(t *testing.T, n *Node, count int) {
	t.Helper()
	var body strings.Builder
	for i := range count {
		fmt.Fprintf(&body, `{"name":"order.created","payload":{"n":%d}}`+"\n", i)
	}
	events := publish.New(n.log, n.config.Settings)
	events.Lanes = n.lanes.Current
	if _, err := events.Publish(t.Context(), publish.Call{Tenant: "acme", Format: publish.NDJSON, Body: []byte(body.String())}); err != nil {
		t.Fatal(err)
	}
}

func register(t *testing.T, n *Node, id, url string) {
	t.Helper()
	_, err := n.life.Register(t.Context(), "acme", integration.Spec{
		ID: id, Type: integration.Permanent,
		Webhook: &integration.WebhookSpec{URL: url, APIKey: secret.NewString("a-key-of-some-length")},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNodeDeliversAcrossRestarts(t *testing.T) {
	dir, r := t.TempDir(), newReceiver(t)
	n := openNode(t, dir)
	register(t, n, "hook", r.URL)
	publishTo(t, n, 5)
	r.wait(t, 5)
	closeNode(t, n)

	n = openNode(t, dir)
	// Published past the node's own live loop: as if it had stopped between
	// the append and the delivery.
	n.log.OnAppend(nil)
	publishTo(t, n, 3)
	closeNode(t, n)

	n = openNode(t, dir)
	defer closeNode(t, n)
	r.wait(t, 3)
	if len(r.seen) != 8 {
		t.Errorf("%d different events arrived, want 8", len(r.seen))
	}
}

func TestLagsTellHowFarBehind(t *testing.T) {
	n := openNode(t, t.TempDir())
	defer closeNode(t, n)
	r := newReceiver(t)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	register(t, n, "alive", r.URL)
	register(t, n, "down", gone.URL)
	publishTo(t, n, 4)
	r.wait(t, 4)
	until(t, "alive lags 0 and down 4 events", func() bool {
		lags, err := n.lags(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("lags are %+v", lags)
		return len(lags) == 2 && lags[0].events == 0 && lags[0].oldest.IsZero() && lags[1].events == 4 && !lags[1].oldest.IsZero()
	})
}

// until waits for an effect of another goroutine that sends no signal.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	late := time.After(30 * time.Second)
	for !holds() {
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("it never is so that %s", what)
		}
	}
}

func TestNodeRefusesToStartWithoutTheKeyOfItsSecrets(t *testing.T) {
	dir, r := t.TempDir(), newReceiver(t)
	n := openNode(t, dir)
	register(t, n, "hook", r.URL)
	closeNode(t, n)
	key := filepath.Join(dir, local.Name)
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	config := n.config
	_, err := Open(context.Background(), config, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), key) {
		t.Errorf("got %v, want an error that names %s", err, key)
	}
	if _, err := os.Stat(key); err == nil {
		t.Error("a new key was made, which opens none of the stored secrets")
	}
}

func TestMetricsHaveEveryFigure(t *testing.T) {
	n := openNode(t, t.TempDir())
	defer closeNode(t, n)
	r := newReceiver(t)
	register(t, n, "hook", r.URL)
	publishTo(t, n, 1)
	r.wait(t, 1)
	rec := httptest.NewRecorder()
	n.server.Handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, name := range []string{
		"sluice_events_published_total", "sluice_publish_seconds_bucket", "sluice_in_flight",
		`sluice_lag_events{integration="hook",tenant="acme"}`, `sluice_lag_seconds{integration="hook",tenant="acme"}`,
	} {
		if !strings.Contains(rec.Body.String(), name) {
			t.Errorf("/metrics has no %s", name)
		}
	}
}

// A start logs what is wrong with the environment, here the clock, and continues.
func TestStartWarnsOfItsEnvironment(t *testing.T) {
	dir := t.TempDir()
	n := openNode(t, dir)
	draft := event.Draft{ID: "6f1c4f0e-0000-4000-8000-000000000001", Name: "order.created", Payload: []byte("{}")}
	if _, err := n.log.Append(t.Context(), event.Partition{Tenant: "acme"}, "", eventlog.Unnamed(draft.Stamp("acme", time.Now().Add(time.Hour)))); err != nil {
		t.Fatal(err)
	}
	closeNode(t, n)

	told := make(lines, 100)
	config := DefaultConfig()
	config.Addr, config.Data, config.Dev = "127.0.0.1:0", dir, true
	n, err := Open(t.Context(), config, slog.New(slog.NewTextHandler(told, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer closeNode(t, n)
	late := time.After(30 * time.Second)
	for {
		select {
		case line := <-told:
			if strings.Contains(line, "level=WARN") && strings.Contains(line, "check=clock") && strings.Contains(line, "before the newest event") {
				return
			}
		case <-late:
			t.Fatal("no warning about the clock")
		}
	}
}

// lines are what is logged, line by line.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

// Where nothing can be written there is no start, and the error says what to do.
func TestNoStartWhereNothingCanBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	config := DefaultConfig()
	config.Addr, config.Data = "127.0.0.1:0", file
	_, err := Open(t.Context(), config, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), file+" cannot be created") || !strings.Contains(err.Error(), "choose another directory (SLUICE_DATA)") {
		t.Errorf("got %v, want the directory and what to do", err)
	}
}
