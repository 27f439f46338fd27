package delivery_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// ports are the store and the log as one process sees them: every call takes a
// random time before and after its effect, may fail before or after it, and may be
// the last one before the process crashes.
type ports struct {
	p *process
}

var (
	_ store.Store  = ports{}
	_ eventlog.Log = ports{}
)

// errDead is the result of every call of a dead process. It is not retryable.
var errDead = problem.New(problem.Internal, "the process is dead")

// fault is what happens to one call.
type fault int

const (
	none fault = iota
	failBefore
	failAfter
	crashBefore
	crashAfter
)

// call makes one call of a port: effect, with everything that can go wrong.
func (o ports) call(ctx context.Context, kind, key string, effect func() error) error {
	w, p := o.p.w, o.p
	if !w.count() {
		p.crash()
		return errDead
	}
	d := w.dice(kind, key)
	f := none
	switch n := d.IntN(4); {
	case w.chance(d, w.FailRate, true):
		f = failBefore + fault(n%2)
	case w.chance(d, w.CrashRate, true):
		f = crashBefore + fault(n%2)
	}
	before, after := w.latency(d), w.latency(d)
	if w.chance(d, w.StallRate, true) {
		before += time.Duration(d.Int64N(int64(40 * time.Second)))
	}
	if w.SQLite { // calls come together, so that commits share a group
		before += groupTick - time.Duration(time.Now().UnixNano())%groupTick
	}
	if err := p.sleep(ctx, before); err != nil {
		return err
	}
	switch f {
	case failBefore:
		return problem.New(problem.Unavailable, "injected before")
	case crashBefore:
		p.crash()
		return errDead
	}
	err := w.effect(p, effect)
	if f == crashAfter {
		p.crash()
		return errDead
	}
	if e := p.sleep(ctx, after); e != nil {
		return e
	}
	if err == nil && f == failAfter {
		return problem.New(problem.Unavailable, "injected after")
	}
	return err
}

// groupTick is the time between two moments at which calls reach SQLite.
const groupTick = 20 * time.Millisecond

// effect makes the effect of a call, unless the process is dead. In memory nothing else
// happens meanwhile.
func (w *world) effect(p *process, effect func() error) error {
	if w.SQLite {
		w.writes.RLock()
		defer w.writes.RUnlock()
	} else {
		w.mu.Lock()
		defer w.mu.Unlock()
	}
	if p.isDead() {
		return errDead
	}
	return effect()
}

// latency returns the time that one half of a call takes. It differs for every call,
// so that hardly anything happens at the same time.
func (w *world) latency(d *rand.Rand) time.Duration {
	most := int64(w.Latency)
	if w.quietTime() {
		most = min(most, int64(time.Millisecond))
	}
	return time.Duration(1 + d.Int64N(most))
}

// sleep waits, unless the context or the process ends first.
func (p *process) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return problem.Wrap(ctx.Err(), problem.Unavailable, "too late")
	case <-p.dead:
		return errDead
	}
}

func call[T any](ctx context.Context, o ports, kind, key string, effect func() (T, error)) (T, error) {
	var result, nothing T
	err := o.call(ctx, kind, key, func() (err error) {
		result, err = effect()
		return err
	})
	if err != nil {
		return nothing, err
	}
	return result, nil
}

func lane(p event.Partition) string { return fmt.Sprint("lane ", p.Key()) }
func cursor(k handoff.Key) string   { return fmt.Sprintf("%s/%s/%d", k.Tenant, k.Integration, k.Lane) }

func (o ports) Tenant(ctx context.Context, name string) (*store.Tenant, error) {
	return call(ctx, o, "tenant", name, func() (*store.Tenant, error) { return o.p.w.records.Tenant(ctx, name) })
}

func (o ports) Lanes(ctx context.Context) (*store.Lanes, error) {
	return call(ctx, o, "lanes", "", func() (*store.Lanes, error) { return o.p.w.records.Lanes(ctx) })
}

func (o ports) Integration(ctx context.Context, tenant, id string) (*integration.Integration, error) {
	return call(ctx, o, "integration", id, func() (*integration.Integration, error) { return o.p.w.records.Integration(ctx, tenant, id) })
}

func (o ports) Integrations(ctx context.Context, tenant string) ([]*integration.Integration, error) {
	return call(ctx, o, "integrations", tenant, func() ([]*integration.Integration, error) { return o.p.w.records.Integrations(ctx, tenant) })
}

func (o ports) Partition(ctx context.Context, p event.Partition) (*handoff.PartitionState, error) {
	return call(ctx, o, "partition", lane(p), func() (*handoff.PartitionState, error) { return o.p.w.records.Partition(ctx, p) })
}

func (o ports) Cursor(ctx context.Context, k handoff.Key) (*handoff.Cursor, error) {
	return call(ctx, o, "cursor", cursor(k), func() (*handoff.Cursor, error) { return o.p.w.records.Cursor(ctx, k) })
}

func (o ports) Due(ctx context.Context, before time.Time, limit int) ([]handoff.Key, error) {
	return call(ctx, o, "due", "", func() ([]handoff.Key, error) { return o.p.w.records.Due(ctx, before, limit) })
}

func (o ports) ExpiredReplays(ctx context.Context, before time.Time, limit int) ([]*integration.Integration, error) {
	return call(ctx, o, "expired", "", func() ([]*integration.Integration, error) { return o.p.w.records.ExpiredReplays(ctx, before, limit) })
}

func (o ports) Entries(ctx context.Context, h store.History, limit int) ([]integration.LogEntry, error) {
	return call(ctx, o, "entries", h.Integration, func() ([]integration.LogEntry, error) { return o.p.w.records.Entries(ctx, h, limit) })
}

func (o ports) EntriesAfter(ctx context.Context, h store.History, place string, limit int) ([]store.PlacedEntry, error) {
	return call(ctx, o, "entries", h.Integration, func() ([]store.PlacedEntry, error) { return o.p.w.records.EntriesAfter(ctx, h, place, limit) })
}

func (o ports) Alerts(ctx context.Context, before time.Time, limit int) ([]*store.Alert, error) {
	return call(ctx, o, "alerts", "", func() ([]*store.Alert, error) { return o.p.w.records.Alerts(ctx, before, limit) })
}

func (o ports) Troubled(ctx context.Context, after store.TroublePlace, limit int) (found []store.Troubled, next store.TroublePlace, err error) {
	found, err = call(ctx, o, "troubled", "", func() (some []store.Troubled, err error) {
		some, next, err = o.p.w.records.Troubled(ctx, after, limit)
		return some, err
	})
	return found, next, err
}

func (o ports) RejectedCount(ctx context.Context, h store.History) (*integration.RejectedCount, error) {
	return call(ctx, o, "count", h.Integration, func() (*integration.RejectedCount, error) { return o.p.w.records.RejectedCount(ctx, h) })
}

func (o ports) NewestRejected(ctx context.Context, h store.History, after integration.RejectedRef, limit int) ([]integration.RejectedRef, error) {
	return call(ctx, o, "newest", h.Integration, func() ([]integration.RejectedRef, error) { return o.p.w.records.NewestRejected(ctx, h, after, limit) })
}

func (o ports) OldestRejected(ctx context.Context, h store.History, limit int) ([]integration.RejectedRef, error) {
	return call(ctx, o, "oldest", h.Integration, func() ([]integration.RejectedRef, error) { return o.p.w.records.OldestRejected(ctx, h, limit) })
}

func (o ports) Rejected(ctx context.Context, h store.History, id string) (*integration.Rejected, error) {
	return call(ctx, o, "rejected", h.Integration, func() (*integration.Rejected, error) { return o.p.w.records.Rejected(ctx, h, id) })
}

func (o ports) Deliveries(ctx context.Context, q deliveries.Query) ([]deliveries.Record, error) {
	return call(ctx, o, "deliveries", q.Integration, func() ([]deliveries.Record, error) { return o.p.w.records.Deliveries(ctx, q) })
}

func (o ports) Commit(ctx context.Context, writes ...store.Write) error {
	key := ""
	for _, x := range writes {
		switch x := x.(type) {
		case store.PutCursor:
			key = cursor(x.Cursor.Key)
		case store.PutPartition:
			if key == "" {
				key = lane(x.State.Partition)
			}
		}
	}
	return o.call(ctx, "commit", key, func() error { return o.p.w.commit(ctx, writes) })
}

func (o ports) Append(ctx context.Context, p event.Partition, source string, records []eventlog.Record) (uint64, error) {
	return call(ctx, o, "append", lane(p), func() (uint64, error) { return o.p.w.log.Append(ctx, p, source, records) })
}

func (o ports) Read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]eventlog.Segment, error) {
	return call(ctx, o, "read", lane(p), func() ([]eventlog.Segment, error) { return o.p.w.log.Read(ctx, p, after, maxBytes) })
}

func (o ports) End(ctx context.Context, p event.Partition) (uint64, error) {
	return call(ctx, o, "end", lane(p), func() (uint64, error) { return o.p.w.log.End(ctx, p) })
}

func (o ports) After(ctx context.Context, p event.Partition, number uint64) (eventlog.Rest, error) {
	return call(ctx, o, "after", lane(p), func() (eventlog.Rest, error) { return o.p.w.log.After(ctx, p, number) })
}

func (o ports) Seek(ctx context.Context, p event.Partition, t time.Time) (uint64, error) {
	return call(ctx, o, "seek", lane(p), func() (uint64, error) { return o.p.w.log.Seek(ctx, p, t) })
}

func (o ports) OffsetForTime(ctx context.Context, p event.Partition, t time.Time) (n uint64, final bool, err error) {
	n, err = call(ctx, o, "offset", lane(p), func() (uint64, error) {
		var n uint64
		n, final, err = o.p.w.log.OffsetForTime(ctx, p, t)
		return n, err
	})
	return n, final && err == nil, err
}
