package aws

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluicehq/sluice/test/aws/stack"
)

// alertReceiver is the webhook of SLUICE_ALERT_URL. It records each alert once.
type alertReceiver struct {
	mu    sync.Mutex
	ids   map[string]bool
	names []string
}

func (a *alertReceiver) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var e struct {
		ID, Tenant, Name string
		Payload          struct{ ID string }
	}
	if json.NewDecoder(r.Body).Decode(&e) != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ids[e.ID] {
		a.names = append(a.names, e.Tenant+" "+e.Name+" "+e.Payload.ID)
	}
	a.ids[e.ID] = true
}

func (a *alertReceiver) all() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.names)
}

// TestAlerts: the sweep registers the operator's webhook. Each function publishes what it
// tells of: advance an outage and its end, api a stop, fanout a run of rejections. Meanwhile
// the outage is in the list of what is in trouble.
func TestAlerts(t *testing.T) {
	t.Parallel()
	alerts := &alertReceiver{ids: map[string]bool{}}
	server := httptest.NewServer(alerts)
	t.Cleanup(server.Close)
	w := newWorld(t, stack.Options{Settings: map[string]string{
		"SLUICE_OPERATOR_TENANT": "operator", "SLUICE_ALERT_URL": server.URL, "SLUICE_ALERT_FAILING_AFTER": "1s",
	}})
	if err := w.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := w.newRound(t)
	to := r.register("hook", nil)
	var status atomic.Int64
	to.answers(func(int, call) int { return int(status.Load()) })
	var want []string
	wants := func(kind string) {
		t.Helper()
		want = append(want, "operator integration."+kind+" hook")
		w.until(t, kind+" is told", func() bool { return len(alerts.all()) >= len(want) })
		if got := alerts.all(); !slices.Equal(got, want) {
			t.Fatalf("told %q, want %q", got, want)
		}
	}
	operator := &tenant{world: w, t: t, token: w.Token("", "integrations:read", "tenants:any")}
	wantTroubles := func(ids ...string) {
		t.Helper()
		var page struct{ Integrations []struct{ ID string } }
		if code := operator.call(http.MethodGet, "/api/v1/org/integrations/health", nil, &page); code != http.StatusOK {
			t.Fatalf("what is in trouble: %d", code)
		}
		var got []string
		for _, in := range page.Integrations {
			got = append(got, in.ID)
		}
		if !slices.Equal(got, ids) {
			t.Errorf("in trouble are %q, want %q", got, ids)
		}
	}
	status.Store(http.StatusServiceUnavailable)
	r.publish(1, 0)
	wants("failing")
	wantTroubles("hook")
	status.Store(http.StatusOK)
	wants("recovered")
	wantTroubles()
	if code := r.call(http.MethodPost, integrationsPath+"/hook/_stop", nil, nil); code != http.StatusOK {
		t.Fatalf("stop: %d", code)
	}
	wants("stopped")
	if code := r.call(http.MethodPost, integrationsPath+"/hook/_start", nil, nil); code != http.StatusOK {
		t.Fatalf("start: %d", code)
	}
	status.Store(http.StatusBadRequest)
	r.publish(40, 0)
	wants("rejecting")
	if err := w.Sweep(t.Context()); err != nil { // there is nothing left for it
		t.Fatal(err)
	}
	w.until(t, "the stream is drained", w.Poller.Idle)
	if got := alerts.all(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}
