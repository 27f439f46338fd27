// Package delivery brings the events of the log to the integrations: the
// follow loop (Follow), which sends what was just appended to everyone on the
// roster of a partition, and the catch-up step (Advance), which takes one
// integration on from its own cursor. Which of the two has an integration is
// decided by package handoff. Delivery is at least once and promises no order:
// a crash repeats at most what was in hand, about two reads of the log
// (Engine.BatchBytes each, and up to a segment more).
package delivery

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
)

// Lifecycle is what the engine needs of an integration's life.
type Lifecycle interface {
	// StopFailing stops an integration that failed for too long, if it is still
	// of the given generation.
	StopFailing(ctx context.Context, tenant, id string, generation uint64, reason string) error
}

// Observer is told what happens, for metrics. Its methods are called in the
// hot path and must not block.
type Observer interface {
	AttemptStarted()
	// AttemptEnded is called after each AttemptStarted. An attempt has one
	// event, or those of one file.
	AttemptEnded(in *integration.Integration, v Verdict, events int, took time.Duration)
}

// Engine delivers. Fill in the exported fields, then use it; its methods are
// safe for concurrent use. One Follow for a partition, or one Advance for a
// cursor, at a time is enough; two do no harm.
type Engine struct {
	Store     store.Store
	Log       eventlog.Log
	Sinks     Sinks
	Lifecycle Lifecycle
	Settings  settings.Settings
	Observer  Observer // nil for none
	Logger    *slog.Logger
	Now       func() time.Time
	Rand      *rand.Rand // nil for the usual one; its source must be safe for concurrent use
	// Drive tells the scheduler of cursors that have become due. It is called
	// after the commit that made them so; if the call is lost, the sweep finds
	// them.
	Drive func(keys ...handoff.Key)

	// BatchBytes is how much is read from the log at a time; 0 for 128 KiB.
	BatchBytes int
	// StepBudget is how long an Advance goes on before it answers Again; 0 for
	// a minute.
	StepBudget time.Duration
	// SettlePause is how often a replay that is past its end looks whether the
	// log has settled for it; 0 for a minute.
	SettlePause time.Duration
	// ExportSlots, unless nil, has room for the files that may be written at a
	// time: each takes memory for a part of its upload.
	ExportSlots chan struct{}
	// Grace is how long calls under way may go on when the context of a Follow
	// or an Advance ends; 0 ends them with it.
	Grace time.Duration

	targets    targets
	activities activities
	departing  sync.WaitGroup // followers that left with calls under way
}

// QuietAfter is how long after a stop, in the worst case, an actor that read
// the state before it may still emit: it may start calls for FollowBudget, and
// each takes at most WebhookTimeout, or an export's ConfirmedTimeout. A bucket
// may carry out for longer what it was sent: until when is in the cursor
// (handoff.Upload.Until), and the stop reads it there.
func (e *Engine) QuietAfter() time.Duration {
	return e.Settings.FollowBudget + max(e.Settings.WebhookTimeout, ConfirmedTimeout) + clockSlack
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

// afterwards returns a context for what is under way: it outlives the given one
// by the grace.
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

// minLastWrites is the least time for writing what is known when a Follow or an
// Advance ends, after its calls have ended.
const minLastWrites = 2 * time.Second

// lastWritePause lies between two tries of a last write.
const lastWritePause = 20 * time.Millisecond

// lastWrite writes what is known when a Follow or an Advance ends, even if ctx
// has ended. It tries again while the store is unavailable, for as long as the
// Grace (2 s at least): what is not written is sent again.
func (e *Engine) lastWrite(ctx context.Context, write func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(e.Grace, minLastWrites))
	defer cancel()
	for {
		err := write(ctx)
		if problem.CodeOf(err) != problem.Unavailable {
			return err
		}
		timer := time.NewTimer(lastWritePause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// attempt makes one call and writes its one line to the log.
func (e *Engine) attempt(ctx context.Context, in *integration.Integration, lane int, s Sender, ev *event.Event, attempt int) Verdict {
	if e.Observer != nil {
		e.Observer.AttemptStarted()
	}
	started := e.Now()
	v := s.Send(ctx, ev, attempt)
	took := e.Now().Sub(started)
	if e.Observer != nil {
		e.Observer.AttemptEnded(in, v, 1, took)
	}
	level := slog.LevelDebug
	if v.Outcome != Delivered {
		level = slog.LevelInfo
	}
	if e.Logger.Enabled(ctx, level) {
		e.Logger.LogAttrs(ctx, level, "delivery attempted",
			slog.String("tenant", in.Tenant), slog.String("integration", in.ID), slog.Int("lane", lane),
			slog.String("event_id", ev.ID), slog.String("event_name", ev.Name), slog.Int("attempt", attempt),
			slog.String("outcome", v.Outcome.String()), slog.Int("status", v.Status), slog.String("reason", v.Reason),
			slog.Int64("took_ms", took.Milliseconds()), slog.Int64("age_ms", started.Sub(ev.PublishedAt).Milliseconds()))
	}
	return v
}
