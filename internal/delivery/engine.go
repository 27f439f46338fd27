// Package delivery brings the events of the log to the integrations. Live
// delivery (DeliverLive) sends what was just appended to every integration in
// the live set of a partition; the catch-up step (Advance) takes one integration
// on from its own cursor. Which of the two has an integration is decided by
// package handoff. Delivery is at least once and promises no order: a crash
// repeats at most what was buffered, about two reads of the log
// (Engine.BatchBytes each, and up to a segment more).
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
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// Lifecycle is what the engine needs of an integration's life.
type Lifecycle interface {
	// StopFailing stops an integration that failed for too long, if it is still
	// of the given generation.
	StopFailing(ctx context.Context, tenant, id string, generation uint64, reason string) error
}

// Rejected keeps the events that receivers refuse: rejected.Service.
type Rejected interface {
	Add(ctx context.Context, t *worker.Target, ev *event.Event, attempt int, v sink.Verdict) error
}

// Engine delivers. Fill in the exported fields, then use it; its methods are
// safe for concurrent use. One Follow for a partition, or one Advance for a
// cursor, at a time is enough; two do no harm.
type Engine struct {
	Store     store.Store
	Log       eventlog.Log
	Registry  *worker.Registry
	Rejected  Rejected
	Lifecycle Lifecycle
	Settings  settings.Settings
	Observer  worker.Observer // of files; nil for none
	Logger    *slog.Logger
	Now       func() time.Time
	Rand      *rand.Rand // nil for the usual one; its source must be safe for concurrent use
	// Schedule tells the scheduler of cursors that have become due. It is called
	// after the commit that made them so; if the call is lost, the sweep finds
	// them.
	Schedule func(keys ...handoff.Key)

	// BatchBytes is how much is read from the log at a time; 0 for 128 KiB.
	BatchBytes int
	// StepBudget is how long an Advance goes on before it answers Again; 0 for
	// a minute.
	StepBudget time.Duration
	// RecheckPause is how often a replay that is past its end looks whether the
	// log's watermark has passed it; 0 for a minute.
	RecheckPause time.Duration
	// ExportSlots, unless nil, has room for the files that may be written at a
	// time: each takes memory for a part of its upload.
	ExportSlots chan struct{}
	// Grace is how long calls in flight may go on when the context of a
	// DeliverLive or an Advance ends; 0 ends them with it.
	Grace time.Duration

	leaving sync.WaitGroup // of subscribers that left with calls in flight
}

// QuietAfter is how long after a stop, in the worst case, an actor that read
// the state before it may still emit: it may start calls for FollowBudget, and
// each takes at most WebhookTimeout, or an export's ConfirmedTimeout. A bucket
// may carry out for longer what it was sent: until when is in the cursor
// (handoff.Upload.Until), and the stop reads it there.
func QuietAfter(s settings.Settings) time.Duration {
	return s.FollowBudget + max(s.WebhookTimeout, sink.ConfirmedTimeout) + clockSlack
}

// clockSlack allows for the clocks of two hosts to differ.
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

// afterwards returns a context for calls in flight: it outlives the given one by
// the grace.
func (e *Engine) afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	if e.Grace <= 0 {
		return context.WithCancel(ctx)
	}
	hard, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	var mu sync.Mutex
	var timer *time.Timer
	stop := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		timer = time.AfterFunc(e.Grace, func() { cancel(context.Cause(ctx)) })
	})
	return hard, func() {
		stop()
		mu.Lock()
		defer mu.Unlock()
		if timer != nil {
			timer.Stop()
		}
		cancel(context.Canceled)
	}
}

// minLastWrites is the least time for writing what is known when a DeliverLive or
// an Advance ends, after its calls have ended.
const minLastWrites = 2 * time.Second

// lastWritePause lies between two tries of a last write.
const lastWritePause = 20 * time.Millisecond

// lastWrite writes what is known when a DeliverLive or an Advance ends, even if
// ctx has ended. It tries again while the store is unavailable, for as long as the
// Grace (2 s at least): what is not written is sent again.
func (e *Engine) lastWrite(ctx context.Context, write func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(e.Grace, minLastWrites))
	defer cancel()
	for {
		err := write(ctx)
		if problem.CodeOf(err) != problem.Unavailable {
			return err
		}
		if backoff.Wait(ctx, lastWritePause) != nil {
			return err
		}
	}
}

// newWorker returns a worker for an integration in one lane. ctx ends its calls.
func (e *Engine) newWorker(ctx context.Context, t *worker.Target, lane int, start handoff.AckState, probe bool, changed chan<- struct{}) *worker.Worker {
	return worker.New(ctx, worker.Job{
		Send: func(ctx context.Context, ev *event.Event, attempt int) sink.Verdict {
			return t.Send(ctx, lane, ev, attempt)
		},
		Keep: func(ctx context.Context, ev *event.Event, attempt int, v sink.Verdict) error {
			switch v.Outcome {
			case sink.Delivered:
				t.Rejections.Store(0)
			case sink.Rejected:
				return e.Rejected.Add(ctx, t, ev, attempt, v)
			}
			return nil
		},
		Slots: t.Slots, Filter: t.Integration.EventFilter(), Start: start,
		Probe: probe, Now: e.Now, Changed: changed,
	})
}
