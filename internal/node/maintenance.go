package node

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/lifecycle"
	"github.com/sluicehq/sluice/internal/preflight"
	"github.com/sluicehq/sluice/internal/store"
)

// trimInterval is how often expired events and log entries are deleted.
const trimInterval = 10 * time.Minute

// maintain runs periodic maintenance until ctx ends. Delivery does not depend on
// it.
func (n *Node) maintain(ctx context.Context) {
	if v, ok := n.verifier.(interface{ Ready(context.Context) error }); ok {
		if err := v.Ready(ctx); err != nil && ctx.Err() == nil {
			n.logger.Warn("access tokens cannot be verified; calls get a 503 until the issuer is reachable", "issuer", n.config.Issuer, "error", err)
		}
	}
	n.trim(ctx, n.now())
	sweep := time.NewTicker(n.config.SweepInterval)
	defer sweep.Stop()
	trim := time.NewTicker(min(trimInterval, n.config.Retention))
	defer trim.Stop()
	for {
		select {
		case <-sweep.C:
			n.sweep(ctx)
		case <-trim.C:
			n.trim(ctx, n.now())
		case <-ctx.Done():
			return
		}
	}
}

// checkEnvironment logs a warning for every problem of the environment.
func (n *Node) checkEnvironment(ctx context.Context, newest time.Time) {
	for _, t := range preflight.Look(ctx, n.config.Data, newest) {
		n.logger.Warn("the environment needs attention", "check", t.Check, "trouble", t.Text)
	}
}

func (n *Node) sweep(ctx context.Context) {
	overdue, err := n.engine.Sweep(ctx)
	n.report(ctx, "restart overdue cursors", overdue, err)
	n.report(ctx, "delete finished replays", 0, n.life.DeleteExpiredReplays(ctx))
}

func (n *Node) trim(ctx context.Context, now time.Time) {
	segments, err := n.log.Trim(ctx, now.Add(-n.config.Kept()))
	n.report(ctx, "trim segments", segments, err)
	rows, err := n.store.TrimHistories(ctx, now.Add(-lifecycle.EntryRetention), store.EntriesKept)
	n.report(ctx, "trim histories", rows, err)
	records, err := n.store.TrimDeliveries(ctx, now.Add(-n.config.DeliveryRetention))
	n.report(ctx, "trim delivery records", records, err)
	pages, err := n.db.Shrink(ctx)
	n.report(ctx, "give free pages back to the disk", pages, err)
}

// report logs the result of a maintenance task, unless it had nothing to do.
func (n *Node) report(ctx context.Context, task string, count int, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil:
		n.logger.Error("maintenance task failed; will retry", "task", task, "error", err)
	case count > 0:
		n.logger.Info("maintenance task done", "task", task, "count", count)
	}
}
