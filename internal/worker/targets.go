package worker

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sink"
)

// Observer records attempts, for metrics. Its methods are called on the hot path
// and must not block.
type Observer interface {
	AttemptStarted()
	// AttemptEnded is called once for each AttemptStarted. An attempt has one
	// event, or the events of one file.
	AttemptEnded(in *integration.Integration, v sink.Verdict, events int, began, ended time.Time)
}

// Target is one generation of an integration with its open sink: a Sender or an
// Exporter. All workers of the integration in this process share it. It is safe
// for concurrent use.
type Target struct {
	Integration *integration.Integration
	Sender      sink.Sender
	Exporter    sink.Exporter
	Slots       *Slots
	// Rejections counts the rejections since the last delivery, or since the
	// target was opened. It counts those of this process only; on AWS, those of
	// this execution environment.
	Rejections atomic.Int32

	registry *Registry
	uses     int // guarded by targets.mu
}

// Reserve takes a place for one call, which give gives back. It waits for one until
// ctx ends. A worker's calls have their places from Slots.
func (t *Target) Reserve(ctx context.Context) (give func(), err error) {
	place, tenant := t.place(), t.Integration.Tenant
	if err := place.Acquire(ctx, tenant); err != nil {
		return nil, err
	}
	return func() { place.Give(tenant) }, nil
}

// TryReserve is Reserve without waiting.
func (t *Target) TryReserve() (give func(), ok bool) {
	place, tenant := t.place(), t.Integration.Tenant
	return func() { place.Give(tenant) }, place.Take(tenant, nil)
}

func (t *Target) place() *fairshare.Limiter {
	return t.registry.options.Calls.of(t.Slots.responding.Load())
}

// Record takes note of what an attempt says: of the receiver, which decides where its
// next call has its place, or of this process.
func (t *Target) Record(v sink.Verdict) {
	switch v.Outcome {
	case sink.Delivered, sink.Rejected:
		t.Slots.responding.Store(true)
	case sink.Retry:
		t.Slots.responding.Store(false)
	case sink.Unsent:
		t.registry.short(v.Reason, t.Integration)
	}
}

// Send makes one attempt and logs it in one line, unless it is Unsent.
func (t *Target) Send(ctx context.Context, lane int, e *event.Event, attempt int) sink.Verdict {
	o, in := &t.registry.options, t.Integration
	if o.Observer != nil {
		o.Observer.AttemptStarted()
	}
	started := o.Now()
	v := t.Sender.Send(ctx, e, attempt)
	ended := o.Now()
	v.Started, v.Took = started, ended.Sub(started)
	if o.Observer != nil {
		o.Observer.AttemptEnded(in, v, 1, started, ended)
	}
	if t.Record(v); v.Outcome == sink.Unsent {
		return v
	}
	level := slog.LevelDebug
	if v.Outcome != sink.Delivered {
		level = slog.LevelInfo
	}
	if o.Logger.Enabled(ctx, level) {
		o.Logger.LogAttrs(ctx, level, "delivery attempted", v.DetailAttr(),
			slog.String("tenant", in.Tenant), slog.String("integration", in.ID), slog.Int("lane", lane),
			slog.String("event_id", e.ID), slog.String("event_name", e.Name), slog.Int("attempt", attempt),
			slog.String("outcome", v.Outcome.String()), slog.Int("status", v.Status), slog.String("reason", v.Reason),
			slog.Int64("took_ms", ended.Sub(started).Milliseconds()), slog.Int64("age_ms", started.Sub(e.PublishedAt).Milliseconds()))
	}
	return v
}

// shortInterval is the time between two log lines on what this process lacks.
const shortInterval = time.Minute

// short tells the operator, at a limited rate, that this process cannot connect.
func (r *Registry) short(lacks string, in *integration.Integration) {
	now, last := r.options.Now().UnixNano(), r.shortLogged.Load()
	if last != 0 && now-last < int64(shortInterval) || !r.shortLogged.CompareAndSwap(last, now) {
		return
	}
	r.options.Logger.Warn("calls to receivers wait, as this process cannot open a connection",
		"reason", lacks, "tenant", in.Tenant, "integration", in.ID)
}

// close gives the connections back that no call uses.
func (t *Target) close() {
	if t.Sender != nil {
		t.Sender.Close()
	}
	if t.Exporter != nil {
		t.Exporter.Close()
	}
}
