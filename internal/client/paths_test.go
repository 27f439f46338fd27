package client

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Ids and positions arrive as they were given, whatever they are.
func TestIDsAndPositionsAreEscaped(t *testing.T) {
	var got []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method+" "+r.URL.EscapedPath()+" "+r.URL.Query().Get("position")+r.URL.Query().Get("after")+r.URL.Query().Get("action"))
		w.Header().Set("Sluice-Next", "p")
		_, _ = w.Write([]byte(`{"id":"a"}`))
	})
	const odd, event, position = "a/../b", "e?x=1#y", "2026-03-01T13:00:00+01:00"
	for _, call := range []func() error{
		func() error { _, err := c.IntegrationWithHealth(t.Context(), odd); return err },
		func() error { _, err := c.RejectedEvent(t.Context(), odd, event); return err },
		func() error { return c.RetryRejected(t.Context(), odd, event) },
		func() error { return c.DeleteRejected(t.Context(), odd, event) },
		func() error { _, err := c.RetryRejectedEvents(t.Context(), odd, nil); return err },
		func() error { _, err := c.DeleteRejectedEvents(t.Context(), odd); return err },
		func() error { return c.Skip(t.Context(), odd, event) },
		func() error { _, err := c.Test(t.Context(), odd, ""); return err },
		func() error { _, err := c.StartFrom(t.Context(), odd, position); return err },
		func() error { _, err := c.Pull(t.Context(), odd, position, 1, time.Second); return err },
		func() error { _, _, err := c.LogsAfter(t.Context(), odd, LogQuery{Action: "a&b"}); return err },
		func() error { _, _, err := c.RejectedEvents(t.Context(), odd, 1, "a+b"); return err },
		func() error { _, _, err := c.Deliveries(t.Context(), odd, DeliveryQuery{After: "a+b"}); return err },
		func() error { _, _, err := c.Troubles(t.Context(), 1, "a+b"); return err },
	} {
		if err := call(); err != nil {
			t.Error(err)
		}
	}
	const path = integrationsPath + "/a%2F..%2Fb"
	want := []string{
		"GET " + path + " ", "GET " + path + "/health ",
		"GET " + path + "/rejected_events/e%3Fx=1%23y ", "POST " + path + "/rejected_events/e%3Fx=1%23y/_retry ", "DELETE " + path + "/rejected_events/e%3Fx=1%23y ",
		"POST " + path + "/rejected_events/_retry ", "POST " + path + "/rejected_events/_delete ",
		"POST " + path + "/_skip ", "POST " + path + "/_test ", "POST " + path + "/_start ",
		"GET " + path + "/events " + position, "GET " + path + "/logs a&b", "GET " + path + "/rejected_events a+b",
		"GET " + path + "/deliveries a+b",
		"GET /api/v1/org/integrations/health a+b",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A client for one tenant does not change the one that it was made from.
func TestForLeavesTheClientAsItWas(t *testing.T) {
	var named []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		named = append(named, r.Header.Get("Sluice-Tenant"))
		_, _ = w.Write([]byte(`{}`))
	})
	for _, c := range []*Client{c.For("acme"), c, c.For("acme").For("globex")} {
		if _, err := c.Integrations(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"acme", "", "globex"}, named); diff != "" {
		t.Error(diff)
	}
}
