// Package delivery delivers the events of the log to integrations. Live delivery
// (DeliverLive) sends what was just appended to every integration in a partition's
// live set; a catch-up step (Advance) delivers to one integration from its own
// cursor. Package handoff decides which of the two owns an integration. Delivery is
// at least once and guarantees no order. A crash repeats at most what was buffered:
// about two reads of the log, each of Engine.BatchBytes and up to one segment more.
package delivery

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/backoff"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// Lifecycle stops integrations: lifecycle.Service.
type Lifecycle interface {
	// StopFailing stops an integration that has failed for too long. It does
	// nothing if the generation has changed. The caller has begun in the Registry, and
	// has ended its calls.
	StopFailing(ctx context.Context, tenant, id string, generation uint64, reason string) error
}

// Rejected stores the events that receivers reject: rejected.Service.
type Rejected interface {
	Add(ctx context.Context, t *worker.Target, ev *event.Event, attempt int, v sink.Verdict) error
}

// Engine delivers events. Set the exported fields before its first use. Its methods
// are safe for concurrent use. Two DeliverLive calls for one partition, or two
// Advance calls for one cursor, do no harm, but one is enough.
type Engine struct {
	Store     store.Store
	Log       eventlog.Log
	Registry  *worker.Registry
	Rejected  Rejected
	Lifecycle Lifecycle
	Settings  settings.Settings
	Observer  Observer // nil for none
	Logger    *slog.Logger
	Now       func() time.Time
	Rand      *rand.Rand // source of jitter, nil for math/rand/v2's; must be safe for concurrent use
	// Schedule tells the scheduler which cursors have become due. It is called
	// after the commit that made them due. If a call is lost, the sweep finds
	// the cursors.
	Schedule func(keys ...handoff.Key)

	// SoleOwner, unless nil, says that no other process advances the cursors of the
	// store. With nil, a lease in the cursor (DueAt) keeps other processes off.
	SoleOwner *SoleOwner

	// BatchBytes is the size of one read of the log; 0 for 128 KiB.
	BatchBytes int
	// StepBudget limits the time of one Advance; 0 for one minute.
	StepBudget time.Duration
	// RecheckInterval is how often a replay past its ends_at checks whether its end
	// offset is final; 0 for one minute.
	RecheckInterval time.Duration
	// Reads limits the reads of the log by steps, fairly between tenants, so that
	// live delivery and publishing go first. Nil for no limit.
	Reads *fairshare.Limiter
	// Grace is how long calls in flight may go on after the context of a
	// DeliverLive or an Advance has ended; 0 cancels them at once.
	Grace time.Duration

	leaving sync.WaitGroup // of subscribers that left with calls in flight
}

// Observer records exports and what is skipped, for metrics. Its methods must not block
// and must be safe for concurrent use.
type Observer interface {
	worker.Observer
	// EventsSkipped is called when an integration passes events that can never be read.
	EventsSkipped(events int)
}

// QuietAfter returns how long after a stop an actor that read the state before it
// may still send, in the worst case: it may start calls for FollowBudget, and each
// takes at most LongestCall, or an export's ConfirmedTimeout. A bucket may take
// longer to carry out a request; the cursor says until when (handoff.Upload.Until),
// and the stop reads it there.
func QuietAfter(s settings.Settings) time.Duration {
	return s.FollowBudget + max(s.LongestCall(), sink.ConfirmedTimeout) + clockSlack
}

// clockSlack is how far the clocks of two hosts may differ.
const clockSlack = time.Second

func (e *Engine) batchBytes() int {
	if e.BatchBytes > 0 {
		return e.BatchBytes
	}
	return 128 << 10
}

func (e *Engine) stepBudget() time.Duration {
	if e.StepBudget > 0 {
		return e.StepBudget
	}
	return time.Minute
}

// withGrace returns a context for calls in flight, which outlives ctx by Grace.
func (e *Engine) withGrace(ctx context.Context) (context.Context, context.CancelFunc) {
	if e.Grace <= 0 {
		return context.WithCancel(ctx)
	}
	graceful, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	var mu sync.Mutex
	var timer *time.Timer
	stop := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		timer = time.AfterFunc(e.Grace, func() { cancel(context.Cause(ctx)) })
	})
	return graceful, func() {
		stop()
		mu.Lock()
		defer mu.Unlock()
		if timer != nil {
			timer.Stop()
		}
		cancel(context.Canceled)
	}
}

// minLastWrites is the minimum time for saving the ack states when a DeliverLive or
// an Advance ends.
const minLastWrites = 2 * time.Second

// lastWriteInterval is the time between two attempts of a last write.
const lastWriteInterval = 20 * time.Millisecond

// lastWrite saves ack states when a DeliverLive or an Advance ends, even if ctx has
// ended. It retries while the store is unavailable, for up to Grace (at least 2 s):
// what is not saved is sent again.
func (e *Engine) lastWrite(ctx context.Context, write func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(e.Grace, minLastWrites))
	defer cancel()
	for {
		err := write(ctx)
		if problem.CodeOf(err) != problem.Unavailable {
			return err
		}
		if backoff.Wait(ctx, lastWriteInterval) != nil {
			return err
		}
	}
}

// newWorker returns a worker for an integration in one lane, whose calls end when
// ctx does. The job has what differs between its owners: Start, Probe, Changed and
// Stop.
func (e *Engine) newWorker(ctx context.Context, t *worker.Target, lane int, job worker.Job) *worker.Worker {
	job.Send = func(ctx context.Context, ev *event.Event, attempt int) sink.Verdict {
		return t.Send(ctx, lane, ev, attempt)
	}
	job.Keep = func(ctx context.Context, ev *event.Event, attempt int, v sink.Verdict) error {
		switch v.Outcome {
		case sink.Delivered:
			t.Rejections.Store(0)
		case sink.Rejected:
			return e.Rejected.Add(ctx, t, ev, attempt, v)
		}
		return nil
	}
	job.Slots, job.Filter, job.Now = t.Slots, t.Integration.EventFilter(), e.Now
	job.Results = e.Settings.DeliveryRetention > 0
	return worker.New(ctx, job)
}
