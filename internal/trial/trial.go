// Package trial tries targets out: it sends test events on request, and probes the buckets
// of S3 integrations after each change. Neither has an effect on deliveries.
package trial

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// MaxPerMinute is how many tests of an integration are made in a minute of the clock.
const MaxPerMinute = 10

// DefaultName is the name of the event of a test, unless another one is asked for.
const DefaultName = "sluice.test"

var payload = []byte(`{"test":true}`)

// Integrations returns an integration, or problem.NotFound: lifecycle.Service.
type Integrations interface {
	Get(ctx context.Context, tenant, id string) (*integration.Integration, error)
}

// Sinks opens sinks with connections of their own: catalog.Sinks.
type Sinks interface {
	Tester(ctx context.Context, in *integration.Integration) (sink.Tester, error)
	Prober(ctx context.Context, in *integration.Integration) (sink.Prober, error)
}

// Counter counts tests.
type Counter interface {
	// CountTest counts one more test of an integration in a minute, and returns how many
	// there are. It may forget the minutes before.
	CountTest(ctx context.Context, h store.History, minute time.Time) (int, error)
}

// Options are what a Service needs. All but Calls are required.
type Options struct {
	Store        store.Store
	Integrations Integrations
	Sinks        Sinks
	Counter      Counter
	Calls        *worker.Calls     // bounds the calls in flight; nil for no bound
	Settings     settings.Settings // WebhookTimeout
	Logger       *slog.Logger
	Now          func() time.Time
}

// Service tries targets out. It is safe for concurrent use.
type Service struct {
	Options
	ctx    context.Context // of the probes, which outlive the calls that cause them
	cancel context.CancelFunc
	probes sync.WaitGroup
}

// New returns a service. Close it.
func New(o Options) *Service {
	s := &Service{Options: o}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Wait returns once the probes that have begun have ended, within seconds.
func (s *Service) Wait() { s.probes.Wait() }

// Close ends the probes.
func (s *Service) Close() {
	s.cancel()
	s.Wait()
}

// Result is what became of a test.
type Result struct {
	Outcome sink.Outcome // Delivered, Rejected or Retry, which is a failure here
	Status  int          // 0 if there was no response
	Cause   string       // why it failed, or what was left behind; "" for nothing
	Took    time.Duration
}

// Test sends one event to the target of an integration now, whatever its status, and
// returns what became of it. The name is DefaultName if it is "". Nothing is retried,
// stored or moved. Errors: NotFound; InvalidRequest for the name; TooManyRequests;
// Unavailable if no call can be made.
func (s *Service) Test(ctx context.Context, tenant, id, name string) (Result, error) {
	in, err := s.Integrations.Get(ctx, tenant, id)
	if err != nil {
		return Result{}, err
	}
	if name == "" {
		name = DefaultName
	}
	if !event.ValidName(name) {
		return Result{}, problem.New(problem.InvalidRequest, "event_name is not the name of an event, such as order.created: words of a-z, 0-9 and _ that begin with a letter, joined by dots, at least two, and at most %d characters.", event.MaxNameLength)
	}
	if err := s.admit(ctx, in); err != nil {
		return Result{}, err
	}
	tester, err := s.Sinks.Tester(ctx, in)
	if err != nil {
		return Result{}, err
	}
	defer tester.Close()
	give, err := s.reserve(ctx, in)
	if err != nil {
		return Result{}, err
	}
	defer give()
	return s.send(ctx, tester, in, name)
}

// send makes the one attempt of a test.
func (s *Service) send(ctx context.Context, tester sink.Tester, in *integration.Integration, name string) (Result, error) {
	eventID, err := uuid.NewV7()
	if err != nil {
		return Result{}, err
	}
	began := s.Now()
	e := event.Draft{ID: eventID.String(), Name: name, Payload: payload}.Stamp(in.Tenant, began)
	v := tester.Test(ctx, &e)
	r := Result{Outcome: v.Outcome, Status: v.Status, Cause: v.Cause, Took: s.Now().Sub(began)}
	s.Logger.LogAttrs(ctx, slog.LevelInfo, "test event sent", v.DetailAttr(),
		slog.String("tenant", in.Tenant), slog.String("integration", in.ID), slog.String("event_id", e.ID),
		slog.String("outcome", v.Outcome.String()), slog.Int("status", v.Status), slog.String("cause", v.Cause), slog.Int64("took_ms", r.Took.Milliseconds()))
	switch v.Outcome {
	case sink.Unsent:
		return Result{}, problem.New(problem.Unavailable, "The service cannot open a connection to a receiver at present. Try again later.")
	case sink.Interrupted:
		return Result{}, problem.New(problem.Unavailable, "The test was interrupted. Try again.")
	default:
		return r, nil
	}
}

// admit counts the test.
func (s *Service) admit(ctx context.Context, in *integration.Integration) error {
	now := s.Now()
	minute := now.Truncate(time.Minute)
	n, err := s.Counter.CountTest(ctx, store.HistoryOf(in), minute)
	if err != nil {
		return err
	}
	if n > MaxPerMinute {
		refused := problem.New(problem.TooManyRequests, "Integration %q was tested %d times in this minute, which is the limit. Try again in the next one.", in.ID, MaxPerMinute)
		refused.RetryAfter = minute.Add(time.Minute).Sub(now)
		return refused
	}
	return nil
}

// reserve takes a place for a call. It waits for as long as the call may take.
func (s *Service) reserve(ctx context.Context, in *integration.Integration) (give func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, s.Settings.WebhookTimeout)
	defer cancel()
	if give, err = s.Calls.Reserve(ctx, in.Tenant); err != nil {
		return nil, problem.Wrap(err, problem.Unavailable, "Too many calls to receivers are in flight (SLUICE_MAX_CALLS). Try again later.")
	}
	return give, nil
}

// MemoryCounter is a Counter for one process. The zero value has counted nothing.
type MemoryCounter struct {
	mu     sync.Mutex
	minute time.Time
	tests  map[store.History]int
}

// CountTest implements Counter.
func (c *MemoryCounter) CountTest(_ context.Context, h store.History, minute time.Time) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.minute.Equal(minute) {
		c.minute, c.tests = minute, make(map[store.History]int)
	}
	c.tests[h]++
	return c.tests[h], nil
}
