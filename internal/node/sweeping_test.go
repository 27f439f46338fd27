package node

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// A running node does its maintenance: it sweeps again and again, and deletes replays
// that were complete for long enough.
func TestNodeSweeps(t *testing.T) {
	n := openNodeWith(t, t.TempDir(), func(c *Config) { c.SweepInterval = 10 * time.Millisecond })
	defer closeNode(t, n)
	if err := n.store.Commit(t.Context(), store.PutTenant{Tenant: &store.Tenant{Name: "acme", Integrations: 1}},
		store.PutIntegration{Integration: &integration.Integration{
			Tenant: "acme", ID: "replay", Type: integration.Temporary, Incarnation: 1, CompletedAt: time.Now().AddDate(-1, 0, 0),
		}}); err != nil {
		t.Fatal(err)
	}
	until(t, "the replay is deleted", func() bool {
		_, err := n.life.Get(t.Context(), "acme", "replay")
		return problem.CodeOf(err) == problem.NotFound
	})
}

// What of a segment is acknowledged lags no more.
func TestLagCountsEvents(t *testing.T) {
	n := openNode(t, t.TempDir())
	defer closeNode(t, n)
	publishTo(t, n, 5)
	c := &handoff.Cursor{
		Key: handoff.Key{Tenant: "acme", Integration: "hook"}, State: handoff.Scheduled, DueAt: time.Now().Add(time.Hour),
		AckState: handoff.AckState{Offset: handoff.Offset{Index: 2}},
	}
	if err := n.store.Commit(t.Context(), store.PutCursor{Cursor: c}); err != nil {
		t.Fatal(err)
	}
	if lags, err := n.lags(t.Context()); err != nil || len(lags) != 1 || lags[0].events != 3 {
		t.Errorf("lags %+v, %v; want 3 events", lags, err)
	}
}
