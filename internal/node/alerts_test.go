package node

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/alert"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	port "github.com/sluicehq/sluice/internal/store"
)

// alerted is a receiver of alerts.
func alerted(t *testing.T) (url string, got chan string) {
	t.Helper()
	got = make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e struct {
			Tenant, Name string
			Payload      struct {
				Tenant, ID string
				Health     struct{ State string }
			}
		}
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &e); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		got <- fmt.Sprintf("%s %s of %s/%s, %s", e.Tenant, e.Name, e.Payload.Tenant, e.Payload.ID, e.Payload.Health.State)
	}))
	t.Cleanup(server.Close)
	return server.URL, got
}

func arrives(t *testing.T, got chan string, want string) {
	t.Helper()
	select {
	case one := <-got:
		if one != want {
			t.Errorf("got %q, want %q", one, want)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("no alert came, want %q", want)
	}
}

// An integration that is stopped is an event of the operator's tenant, and reaches the
// webhook of SLUICE_ALERT_URL, which a restart with another URL redirects.
func TestAlertsReachTheOperator(t *testing.T) {
	dir, receiver := t.TempDir(), newReceiver(t)
	url, got := alerted(t)
	n := openNodeWith(t, dir, func(c *Config) { c.OperatorTenant, c.AlertURL = "operator", url })
	until(t, "the webhook is registered", func() bool {
		in, err := n.life.Get(t.Context(), "operator", alert.Hook)
		return err == nil && in.Running
	})
	register(t, n, "hook", receiver.URL)
	if _, err := n.life.Stop(t.Context(), "acme", "hook"); err != nil {
		t.Fatal(err)
	}
	arrives(t, got, "operator integration.stopped of acme/hook, stopped")
	closeNode(t, n)

	other, elsewhere := alerted(t)
	n = openNodeWith(t, dir, func(c *Config) { c.OperatorTenant, c.AlertURL = "operator", other })
	defer closeNode(t, n)
	until(t, "the webhook is redirected", func() bool {
		in, err := n.life.Get(t.Context(), "operator", alert.Hook)
		return err == nil && in.Running && in.Webhook.URL == other
	})
	if _, err := n.life.Start(t.Context(), "acme", "hook"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.life.Stop(t.Context(), "acme", "hook"); err != nil {
		t.Fatal(err)
	}
	arrives(t, elsewhere, "operator integration.stopped of acme/hook, stopped")
	if len(got) > 0 {
		t.Errorf("the old URL got %q", <-got)
	}
}

// A process that is killed leaves alerts that are committed and not published. The next one
// publishes them, and of one that is published already the transaction leaves nothing.
func TestAlertsOfAnEarlierProcessArePublishedOnce(t *testing.T) {
	dir := t.TempDir()
	n := openNode(t, dir)
	left := &port.Alert{
		History: port.History{Tenant: "acme", Integration: "hook", Incarnation: 1}, Number: 1,
		Kind: integration.AlertFailing, At: n.now(), DueAt: n.now(), Payload: []byte(`{"tenant":"acme","id":"hook","health":null}`),
	}
	if err := n.store.Commit(t.Context(), port.PutAlert{Alert: left}); err != nil {
		t.Fatal(err)
	}
	closeNode(t, n)
	n = openNodeWith(t, dir, func(c *Config) { c.OperatorTenant = "operator" })
	defer closeNode(t, n)
	published := func() (names []string) {
		segs, err := n.log.Read(t.Context(), event.Partition{Tenant: "operator"}, 0, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range segs {
			for _, e := range s.Events {
				names = append(names, e.Name)
			}
		}
		return names
	}
	until(t, "the alert is published", func() bool { return len(published()) > 0 })
	draft := event.Draft{ID: "6f1c4f0e-0000-4000-8000-000000000001", Name: "integration.failing", Payload: left.Payload}
	if err := n.publishAlert(t.Context(), []event.Draft{draft}, []*port.Alert{left}); err != nil {
		t.Fatal(err)
	}
	if names := published(); len(names) != 1 {
		t.Errorf("published %v", names)
	}
	if due, err := n.store.Alerts(context.Background(), n.now(), 10); err != nil || len(due) > 0 {
		t.Errorf("left %v, %v", due, err)
	}
}
