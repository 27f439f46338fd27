package node

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/lifecycle"
	"github.com/sluicehq/sluice/internal/preflight"
	"github.com/sluicehq/sluice/internal/store"
)

// trimInterval is how often what is past its time is removed.
const trimInterval = 10 * time.Minute

// keptLonger is by how much events outlive the retention. A start within the
// retention goes on from where its integration stood when it was stopped, and
// one that was stopped for its failures stood where they began.
func (n *Node) keptLonger() time.Duration { return n.config.FailureStopAfter + time.Hour }

// doChores does what has to be done from time to time, until ctx ends. None of
// it is needed for events to arrive.
func (n *Node) maintain(ctx context.Context) {
	if v, ok := n.verifier.(interface{ Ready(context.Context) error }); ok {
		if err := v.Ready(ctx); err != nil && ctx.Err() == nil {
			n.logger.Warn("access tokens cannot be checked: calls are answered with 503 until the issuer can be reached", "issuer", n.config.Issuer, "error", err)
		}
	}
	n.trim(ctx)
	sweep := time.NewTicker(n.config.SweepInterval)
	defer sweep.Stop()
	trim := time.NewTicker(min(trimInterval, n.config.Retention))
	defer trim.Stop()
	for {
		select {
		case <-sweep.C:
			n.sweep(ctx)
		case <-trim.C:
			n.trim(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// lookAround warns of what is wrong with the environment, beside the start.
func (n *Node) lookAround(ctx context.Context, newest time.Time) {
	for _, t := range preflight.Look(ctx, n.config.Data, newest) {
		n.logger.Warn("the environment needs attention", "check", t.Check, "trouble", t.Text)
	}
}

func (n *Node) sweep(ctx context.Context) {
	overdue, err := n.engine.Sweep(ctx)
	n.report(ctx, "restart overdue cursors", overdue, err)
	n.report(ctx, "delete finished replays", 0, n.life.DeleteExpiredReplays(ctx))
}

func (n *Node) trim(ctx context.Context) {
	now := time.Now()
	segments, err := n.log.Trim(ctx, now.Add(-n.config.Retention-n.keptLonger()))
	n.report(ctx, "trim segments", segments, err)
	entries, err := n.store.TrimEntries(ctx, now.Add(-lifecycle.EntryRetention))
	n.report(ctx, "trim log entries", entries, err)
	rows, err := n.store.TrimHistories(ctx, store.EntriesKept)
	n.report(ctx, "trim histories", rows, err)
}

// report writes a line where there was something to do.
func (n *Node) report(ctx context.Context, chore string, count int, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil:
		n.logger.Error("chore failed; it is tried again", "chore", chore, "error", err)
	case count > 0:
		n.logger.Info("chore done", "chore", chore, "count", count)
	}
}
