package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
)

// rig is one process with an engine over ports without latency, and receivers that
// the test defines. Use it in a synctest bubble.
type rig struct {
	*process
	t     *testing.T
	lines *lines // of the engine's log, as JSON
	next  int
	place *delivery.Place // of steps that the test runs; nil for no bound

	mu    sync.Mutex
	calls []sent
	files []file
	send  func(ctx context.Context, in *integration.Integration, e *event.Event, attempt int) sink.Verdict
	write func(ids []string) sink.Verdict
	// export, unless nil, replaces write.
	export func(ctx context.Context, f sink.File, confirm func(context.Context, handoff.Upload) error) sink.Verdict
	open   func(in *integration.Integration) error
}

// sent is a call of a webhook.
type sent struct {
	at      time.Time
	to      string
	id      string
	attempt int
}

// file is a file in a bucket.
type file struct {
	created, at time.Time
	ids         []string
	bytes       int
}

var (
	delivered = sink.Verdict{Outcome: sink.Delivered, Status: 200}
	refused   = sink.Verdict{Outcome: sink.Rejected, Status: 400, Reason: "Request to URL https://example.com/ failed. Reason: bad request (HTTP status code 400)."}
	busy      = sink.Verdict{Outcome: sink.Retry, Status: 503, Reason: "Request to URL https://example.com/ failed. Reason: service unavailable (HTTP status code 503)."}
	cutOff    = sink.Verdict{Outcome: sink.Interrupted}
)

// newRig starts a process. With sweeps set, it sweeps every five minutes.
func newRig(t *testing.T, sweeps bool, edit func(*settings.Settings)) *rig {
	t.Helper()
	w := newWorld(scenario{Slots: 1, Quiesce: true, Sole: true, Lanes: 1, Latency: 1, ReadEvents: 100_000})
	w.settings = settings.Default()
	if edit != nil {
		edit(&w.settings)
	}
	w.Lanes, w.lull, w.maxCalls = w.settings.Lanes, true, 300_000
	r := &rig{process: newProcess(w, 0), t: t, lines: &lines{}}
	w.quietAfter = delivery.QuietAfter(w.settings)
	w.slots[0] = r.process
	r.unsaved = true
	r.compose(r, slog.New(slog.NewJSONHandler(r.lines, &slog.HandlerOptions{Level: slog.LevelDebug})))
	r.send = func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict { return delivered }
	r.write = func([]string) sink.Verdict { return delivered }
	r.open = func(*integration.Integration) error { return nil }
	if sweeps {
		r.goes(func() {
			for r.sleep(r.ctx, w.settings.SweepInterval) == nil {
				if _, err := r.engine.Sweep(r.ctx); err != nil && r.ctx.Err() == nil {
					t.Errorf("sweep: %v", err)
				}
			}
		})
	}
	t.Cleanup(func() {
		r.shutdown()
		if n := r.unreleased(); n > 0 {
			t.Errorf("%d sinks are in use after the end of everything that used them", n)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, broken := range w.faults {
			t.Error(broken)
		}
	})
	return r
}

// shutdown shuts the process down gracefully.
func (r *rig) shutdown() {
	r.end()
	r.gate.Lock()
	r.closed = true
	r.gate.Unlock()
	r.work.Wait()
	if err := errors.Join(r.engine.SaveEntries(context.Background()), r.engine.SaveAttempts(context.Background())); err != nil && !r.isDead() {
		r.t.Errorf("save: %v", err)
	}
}

// restart returns the next process over the same records and receivers.
func (r *rig) restart() *rig {
	r.shutdown()
	next := &rig{process: newProcess(r.w, 0), t: r.t, lines: r.lines, next: r.next, send: r.send, write: r.write, export: r.export, open: r.open}
	next.unsaved = true
	next.compose(next, r.engine.Logger)
	r.w.slots[0] = next.process
	next.start()
	next.boot()
	r.t.Cleanup(next.shutdown)
	return next
}

// lines is a log that is safe for concurrent use.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Webhook implements sink.Sinks.
func (r *rig) Webhook(_ context.Context, in *integration.Integration) (sink.Sender, error) {
	return rigHook{r, in}, r.sinks.opened(in, r.open(in))
}

// S3 implements sink.Sinks.
func (r *rig) S3(_ context.Context, in *integration.Integration) (sink.Exporter, error) {
	return rigBucket{r}, r.sinks.opened(in, r.open(in))
}

type rigHook struct {
	r  *rig
	in *integration.Integration
}

func (h rigHook) Close() { h.r.sinks.closed() }

func (h rigHook) Send(ctx context.Context, e *event.Event, attempt int) sink.Verdict {
	h.r.mu.Lock()
	h.r.calls = append(h.r.calls, sent{time.Now(), h.in.ID, e.ID, attempt})
	send := h.r.send
	h.r.mu.Unlock()
	return send(ctx, h.in, e, attempt)
}

type rigBucket struct{ r *rig }

func (b rigBucket) Close() { b.r.sinks.closed() }

func (b rigBucket) Export(ctx context.Context, x sink.File, confirm func(context.Context, handoff.Upload) error) sink.Verdict {
	b.r.mu.Lock()
	export := b.r.export
	b.r.mu.Unlock()
	if export != nil {
		return export(ctx, x, confirm)
	}
	f := file{created: x.Created}
	for body := range x.Bodies {
		f.ids = append(f.ids, idOf(body))
		f.bytes += len(body) + 1
	}
	if len(f.ids) == 0 {
		return delivered
	}
	if confirm(ctx, handoff.Upload{Key: "key"}) != nil {
		return cutOff
	}
	b.r.mu.Lock()
	write := b.r.write
	b.r.mu.Unlock()
	v := write(f.ids)
	if f.at = time.Now(); v.Outcome == sink.Delivered {
		b.r.mu.Lock()
		b.r.files = append(b.r.files, f)
		b.r.mu.Unlock()
	}
	return v
}

// answer sets what webhooks answer from now on.
func (r *rig) answer(send func(ctx context.Context, in *integration.Integration, e *event.Event, attempt int) sink.Verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.send = send
}

// takes returns a receiver that responds after d.
func takes(d time.Duration, v sink.Verdict) func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict {
	return func(ctx context.Context, _ *integration.Integration, _ *event.Event, _ int) sink.Verdict {
		select {
		case <-time.After(d):
			return v
		case <-ctx.Done():
			return cutOff
		}
	}
}

// got returns the calls so far.
func (r *rig) got() []sent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]sent(nil), r.calls...)
}

func (r *rig) exported() []file {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]file(nil), r.files...)
}

// publish appends events as one segment and tells the live loop.
func (r *rig) publish(n int) []string {
	r.t.Helper()
	var drafts []event.Draft
	var ids []string
	for range n {
		id := fmt.Sprintf("e%06d", r.next)
		r.next++
		ids = append(ids, id)
		drafts = append(drafts, event.Draft{ID: id, Name: "order.created", Payload: []byte(`{}`)})
	}
	if err := r.w.log.Publish(context.Background(), tenant, event.Lanes{Each: r.w.settings.Lanes}, drafts); err != nil {
		r.t.Fatal(err)
	}
	for lane := range r.w.settings.Lanes {
		p := event.Partition{Tenant: tenant, Lane: lane}
		end, err := r.w.log.End(context.Background(), p)
		if err != nil {
			r.t.Fatal(err)
		}
		if end > 0 {
			r.grow(p, end)
		}
	}
	return ids
}

func hookSpec(id string) integration.Spec {
	return integration.Spec{ID: id, Type: integration.Permanent, Webhook: &integration.WebhookSpec{URL: "https://example.com/" + id}}
}

func bucketSpec(id string) integration.Spec {
	return integration.Spec{ID: id, Type: integration.Permanent, S3: &integration.S3Spec{
		AccessKeyID: "AK", SecretAccessKey: secret.NewString("a secret key"), Region: "eu-central-1", Bucket: "bucket",
	}}
}

func replay(s integration.Spec, from, until time.Time) integration.Spec {
	s.Type = integration.Temporary
	s.StartsAt, s.EndsAt = from.UTC().Truncate(time.Millisecond), until.UTC().Truncate(time.Millisecond)
	return s
}

func (r *rig) register(s integration.Spec) *integration.Integration {
	r.t.Helper()
	in, err := r.life.Register(context.Background(), tenant, s)
	if err != nil {
		r.t.Fatal(err)
	}
	return in
}

func (r *rig) status(id string) integration.Status {
	r.t.Helper()
	in, err := r.w.records.Integration(context.Background(), tenant, id)
	if err != nil {
		r.t.Fatal(err)
	}
	return in.StatusAt(time.Now())
}

func (r *rig) cursor(id string) *handoff.Cursor {
	r.t.Helper()
	c, err := r.w.records.Cursor(context.Background(), handoff.Key{Tenant: tenant, Integration: id})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// entries returns the log entries of an action, oldest first.
func (r *rig) entries(id string, action integration.Action) []integration.LogEntry {
	r.t.Helper()
	in, err := r.w.records.Integration(context.Background(), tenant, id)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.engine.SaveEntries(context.Background()); err != nil {
		r.t.Fatal(err)
	}
	all, err := r.w.records.Entries(context.Background(), store.HistoryOf(in), 1<<20)
	if err != nil {
		r.t.Fatal(err)
	}
	var found []integration.LogEntry
	for i := range all {
		if e := all[len(all)-1-i]; e.Action == action {
			found = append(found, e)
		}
	}
	return found
}

// times counts the calls by event.
func times(calls []sent) map[string]int {
	n := map[string]int{}
	for _, c := range calls {
		n[c.id]++
	}
	return n
}

// wantOnce fails unless each event was sent to the integration exactly once.
func (r *rig) wantOnce(to string, ids []string) {
	r.t.Helper()
	n := map[string]int{}
	for _, c := range r.got() {
		if c.to == to {
			n[c.id]++
		}
	}
	for _, id := range ids {
		if n[id] != 1 {
			r.t.Errorf("%s was sent to %s %d times, want once", id, to, n[id])
		}
	}
}
