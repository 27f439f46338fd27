package worker

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sink"
)

// Observer records attempts, for metrics. Its methods are called on the hot path
// and must not block.
type Observer interface {
	AttemptStarted()
	// AttemptEnded is called once for each AttemptStarted. An attempt has one
	// event, or the events of one file.
	AttemptEnded(in *integration.Integration, v sink.Verdict, events int, took time.Duration)
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

	options *Options
}

// Send makes one attempt and logs it in one line.
func (t *Target) Send(ctx context.Context, lane int, e *event.Event, attempt int) sink.Verdict {
	o, in := t.options, t.Integration
	if o.Observer != nil {
		o.Observer.AttemptStarted()
	}
	started := o.Now()
	v := t.Sender.Send(ctx, e, attempt)
	took := o.Now().Sub(started)
	if o.Observer != nil {
		o.Observer.AttemptEnded(in, v, 1, took)
	}
	level := slog.LevelDebug
	if v.Outcome != sink.Delivered {
		level = slog.LevelInfo
	}
	if o.Logger.Enabled(ctx, level) {
		o.Logger.LogAttrs(ctx, level, "delivery attempted",
			slog.String("tenant", in.Tenant), slog.String("integration", in.ID), slog.Int("lane", lane),
			slog.String("event_id", e.ID), slog.String("event_name", e.Name), slog.Int("attempt", attempt),
			slog.String("outcome", v.Outcome.String()), slog.Int("status", v.Status), slog.String("reason", v.Reason),
			slog.Int64("took_ms", took.Milliseconds()), slog.Int64("age_ms", started.Sub(e.PublishedAt).Milliseconds()))
	}
	return v
}

// targets caches open sinks, so that secrets are decrypted once per generation.
// Every change of an integration gives it a new generation.
type targets struct {
	mu   sync.Mutex
	open map[id]*Target
}

// maxTargets bounds the memory for integrations that are deleted or idle. When it
// is reached, the cache is cleared; sinks in use are opened again.
const maxTargets = 10_000

// Target returns the integration's open sink, and opens it if needed.
func (r *Registry) Target(ctx context.Context, in *integration.Integration) (*Target, error) {
	if t := r.Cached(in.Tenant, in.ID, in.Generation); t != nil {
		return t, nil
	}
	t := &Target{Integration: in, Slots: NewSlots(r.options.InFlight), options: &r.options}
	var err error
	if in.S3 != nil {
		t.Exporter, err = r.options.Sinks.S3(ctx, in)
	} else {
		t.Sender, err = r.options.Sinks.Webhook(ctx, in)
	}
	if err != nil {
		return nil, err
	}
	key := id{in.Tenant, in.ID}
	r.targets.mu.Lock()
	defer r.targets.mu.Unlock()
	if first := r.targets.open[key]; first != nil {
		switch {
		case first.Integration.Generation == in.Generation:
			return first, nil // another lane opened it first: all lanes share its slots
		case first.Integration.Generation > in.Generation:
			return t, nil // stopped while it was opened: keep the current one
		}
	}
	if r.targets.open == nil || len(r.targets.open) >= maxTargets {
		r.targets.open = make(map[id]*Target)
	}
	r.targets.open[key] = t
	return t, nil
}

// Cached returns the open sink of a generation, or nil.
func (r *Registry) Cached(tenant, integration string, generation uint64) *Target {
	r.targets.mu.Lock()
	defer r.targets.mu.Unlock()
	if t := r.targets.open[id{tenant, integration}]; t != nil && t.Integration.Generation == generation {
		return t
	}
	return nil
}

// forget drops the sink of a generation below the given one.
func (ts *targets) forget(key id, below uint64) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t := ts.open[key]; t != nil && t.Integration.Generation < below {
		delete(ts.open, key)
	}
}
