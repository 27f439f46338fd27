package delivery_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sink"
)

// sinks opens the receivers of a case for one process.
type sinks struct{ p *process }

func (s sinks) open(in *integration.Integration) error {
	d := s.p.w.dice("open", in.ID)
	switch {
	case s.p.isDead():
		return errDead
	case s.p.w.chance(d, s.p.w.FailRate, true):
		return problem.New(problem.Unavailable, "injected")
	case s.p.w.chance(d, s.p.w.FailRate, false):
		return problem.New(problem.InvalidTarget, "injected: the secret does not open")
	}
	return nil
}

func (s sinks) Webhook(_ context.Context, in *integration.Integration) (sink.Sender, error) {
	return &hook{s.p, in}, s.p.sinks.opened(in, s.open(in))
}

func (s sinks) S3(_ context.Context, in *integration.Integration) (sink.Exporter, error) {
	return &bucket{s.p, in}, s.p.sinks.opened(in, s.open(in))
}

// hook is a webhook receiver: an event arrives at some time during the call, unless
// the call is cancelled first.
type hook struct {
	p  *process
	in *integration.Integration
}

func (h *hook) Close() { h.p.sinks.closed() }

func (h *hook) Send(ctx context.Context, e *event.Event, attempt int) sink.Verdict {
	if ctx.Value(byHand{}) != nil {
		return h.sentByHand(ctx, e)
	}
	w := h.p.w
	d := w.dice("send", lifeName(h.in)+" "+e.ID)
	v := sink.Verdict{Outcome: sink.Delivered, Status: 200}
	takes := 2 * w.latency(d)
	if d.IntN(1000) < w.Unsent && !w.quietTime() {
		return sink.Verdict{Outcome: sink.Unsent, Reason: "no port"}
	}
	if n := d.IntN(1000); !w.quietTime() {
		switch {
		case n < w.Reject:
			v = sink.Verdict{Outcome: sink.Rejected, Status: 400, Reason: "bad"}
		case n < w.Reject+w.Retry:
			v = sink.Verdict{Outcome: sink.Retry, Status: 503, Reason: "busy"}
			if d.IntN(3) == 0 {
				v.RetryAfter = time.Duration(d.Int64N(int64(8 * time.Second)))
			}
		case n < w.Reject+w.Retry+w.Slow:
			takes = time.Second + time.Duration(d.Int64N(int64(8*time.Second)))
		case n < w.Reject+w.Retry+w.Slow+w.Hang:
			takes = time.Hour
		}
	}
	arrives := time.Duration(d.Int64N(int64(min(takes, 2*w.settings.WebhookTimeout))))
	w.attempted(h.in, e.ID, attempt)
	ctx, cancel := context.WithTimeoutCause(ctx, w.settings.WebhookTimeout, context.DeadlineExceeded)
	defer cancel()
	if err := h.p.sleep(ctx, arrives); err != nil {
		return h.unanswered(ctx, e)
	}
	w.emit(h.in, arrival{e.Tenant, e.ID})
	if err := h.p.sleep(ctx, takes-arrives); err != nil {
		return h.unanswered(ctx, e)
	}
	if v.Outcome == sink.Rejected { // it must be stored first, which may fail
		w.refused(h.in, e.ID)
	} else {
		w.answered(h.in, e.ID, v.Outcome == sink.Delivered)
	}
	return v
}

func (h *hook) unanswered(ctx context.Context, e *event.Event) sink.Verdict {
	if ctx.Err() == context.DeadlineExceeded {
		h.p.w.answered(h.in, e.ID, false)
		return sink.Verdict{Outcome: sink.Retry, Reason: "timeout"}
	}
	return sink.Verdict{Outcome: sink.Interrupted}
}

// bucket is an S3 bucket: the events of a file arrive together after it was
// confirmed, and once per key, no matter how often it is written. Responses get lost, and
// some requests are carried out after the sender is gone.
type bucket struct {
	p  *process
	in *integration.Integration
}

func (b *bucket) Close() { b.p.sinks.closed() }

func (b *bucket) Export(ctx context.Context, f sink.File, confirm func(context.Context, handoff.Upload) error) sink.Verdict {
	w := b.p.w
	d := w.dice("export", lifeName(b.in))
	interrupted := sink.Verdict{Outcome: sink.Interrupted, Unknown: f.Pending != nil}
	failed := sink.Verdict{Outcome: sink.Retry, Status: 503, Reason: "SlowDown", Unknown: f.Pending != nil}
	u := handoff.Upload{Key: fmt.Sprintf("%s/%d/%d", lifeName(b.in), f.Created.UnixNano(), d.Uint64()), ID: "upload"}
	confirmed := func() bool {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		return confirm(ctx, u) == nil
	}
	if f.Pending != nil {
		u = *f.Pending
		if !confirmed() || b.p.sleep(ctx, w.latency(d)) != nil {
			return interrupted
		}
		if w.stored(u.Key) != nil {
			return b.delivered(u.Key)
		}
	}
	var ids []arrival
	for body := range f.Bodies {
		ids = append(ids, arrival{tenantOf(body), idOf(body)})
		if b.p.sleep(ctx, w.latency(d)) != nil {
			return interrupted
		}
	}
	if d.IntN(1000) < w.Slow && !w.quietTime() && b.p.sleep(ctx, time.Duration(d.Int64N(int64(30*time.Second)))) != nil {
		return interrupted
	}
	fails := d.IntN(1000) < w.Retry+w.Slow && !w.quietTime()
	if fails && d.IntN(2) == 0 {
		return failed
	}
	if len(ids) == 0 {
		return sink.Verdict{Outcome: sink.Delivered}
	}
	if !confirmed() {
		return interrupted
	}
	interrupted.Unknown, failed.Unknown = true, true
	takes := w.latency(d)
	if d.IntN(1000) < w.Slow && !w.quietTime() {
		takes = time.Duration(d.Int64N(int64(5 * sink.ConfirmedTimeout)))
	}
	if b.await(ctx, takes, confirmed) != nil {
		if late := time.Duration(d.Int64N(int64(sink.ConfirmedTimeout - 3*time.Second))); !w.quietTime() {
			time.AfterFunc(late, func() { w.store(b.in, u.Key, ids) })
		}
		return interrupted
	}
	w.store(b.in, u.Key, ids)
	if fails || b.p.sleep(ctx, w.latency(d)) != nil {
		return failed // it is stored, but the response is lost
	}
	return b.delivered(u.Key)
}

// await waits for the bucket's response and calls confirmed meanwhile.
func (b *bucket) await(ctx context.Context, takes time.Duration, confirmed func() bool) error {
	const renewal = 3 * time.Second
	for ; takes > renewal; takes -= renewal {
		if err := b.p.sleep(ctx, renewal); err != nil {
			return err
		}
		if !confirmed() {
			return errDead
		}
	}
	return b.p.sleep(ctx, takes)
}

func (b *bucket) delivered(key string) sink.Verdict {
	for _, a := range b.p.w.stored(key) {
		b.p.w.answered(b.in, a.id, true)
	}
	return sink.Verdict{Outcome: sink.Delivered}
}

// stored returns the events of a file, nil if there is none with that key.
func (w *world) stored(key string) []arrival {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.objects[key]
}

// store makes a file appear.
func (w *world) store(in *integration.Integration, key string, events []arrival) {
	if w.stored(key) != nil {
		return
	}
	w.mu.Lock()
	w.objects[key] = events
	w.mu.Unlock()
	for _, a := range events {
		w.emit(in, a)
	}
}
