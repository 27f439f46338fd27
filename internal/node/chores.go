package node

import (
	"context"
	"time"
)

// trimInterval is how often events and entries past the retention are removed.
const trimInterval = time.Hour

// doChores does what has to be done from time to time, until ctx ends. None of
// it is needed for events to arrive.
func (n *Node) doChores(ctx context.Context) {
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

func (n *Node) sweep(ctx context.Context) {
	overdue, err := n.engine.Sweep(ctx)
	n.report(ctx, "restart overdue cursors", overdue, err)
	n.report(ctx, "delete finished replays", 0, n.life.ExpireGraces(ctx))
}

func (n *Node) trim(ctx context.Context) {
	before := time.Now().Add(-n.config.Retention)
	segments, err := n.log.Trim(ctx, before)
	n.report(ctx, "trim segments", segments, err)
	entries, err := n.store.TrimEntries(ctx, before)
	n.report(ctx, "trim log entries", entries, err)
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
