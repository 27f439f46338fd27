package node

import (
	"context"
	"maps"
	"time"

	"github.com/sluicehq/sluice/internal/backoff"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/runner"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// resumeDelivery continues the work of an earlier process and starts the runner. While
// the database cannot be read, it tries again. It returns false if ctx ends first.
func (n *Node) resumeDelivery(ctx context.Context) bool {
	for failures := 1; ; failures++ {
		err := n.resume(ctx)
		if err == nil {
			n.runner = runner.Start(n.engine, n.schedule, &n.places.Places, n.logger)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		n.logger.Error("delivery cannot be resumed; will retry", "error", err)
		_ = backoff.Wait(ctx, backoff.Ceiling(200*time.Millisecond, failures, 30*time.Second))
	}
}

// resume schedules the work of an earlier process. Nothing is delivered before every
// integration has all lanes (lifecycle.Service.GrowLanes).
func (n *Node) resume(ctx context.Context) error {
	if err := n.growLanes(ctx); err != nil {
		return err
	}
	if err := n.store.LoadServed(ctx); err != nil {
		return err
	}
	ends := n.log.Ends()
	maps.DeleteFunc(ends, func(p event.Partition, _ uint64) bool { return !n.store.Served(p.Tenant) })
	return runner.Resume(ctx, n.schedule, n.store, ends, n.now())
}

// growLanes does nothing with a single lane: no integration can have fewer.
func (n *Node) growLanes(ctx context.Context) error {
	if n.config.Lanes == 1 {
		return nil
	}
	tenants, err := n.store.Tenants(ctx)
	if err != nil {
		return err
	}
	for _, tenant := range tenants {
		err := n.life.GrowLanes(ctx, tenant)
		switch {
		case problem.CodeOf(err) == problem.Internal: // damage is of this tenant alone
			n.logger.Error("a tenant's integrations may lack cursors in new lanes, whose events wait in the log; mend the record and restart the node",
				"tenant", tenant, "lanes", n.config.Lanes, "error", err)
		case err != nil:
			return err
		}
	}
	return nil
}

// checkData checks what Open has not. With a damaged database the node does not go on. One
// that cannot be checked now, as for want of descriptors, is no reason to end: what is
// damaged is found in use.
func (n *Node) checkData(ctx context.Context) {
	err := n.db.Check(ctx)
	switch {
	case err == nil || ctx.Err() != nil:
	case sqlitedb.Damaged(err):
		n.failed <- err // does not block: this is the only error
	default:
		n.logger.Error("the database is not checked; restart the node to have it checked", "error", err)
	}
}
