package worker

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sink"
)

// openSinks opens everything.
type openSinks struct{}

func (openSinks) Webhook(context.Context, *integration.Integration) (sink.Sender, error) {
	return &counter{got: map[string]int{}, answer: deliveredAlways}, nil
}

func (openSinks) S3(context.Context, *integration.Integration) (sink.Exporter, error) {
	return nil, errors.New("no bucket")
}

// The secrets of a stopped or changed integration are dropped; those of others, and of
// its next generation, are kept.
func TestQuiesceForgetsSecrets(t *testing.T) {
	r := NewRegistry(Options{Sinks: openSinks{}, InFlight: 4, QuietAfter: time.Minute, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	for _, in := range []*integration.Integration{
		{Tenant: "acme", ID: "orders", Generation: 4},
		{Tenant: "acme", ID: "next", Generation: 5},
		{Tenant: "acme", ID: "other", Generation: 4},
		{Tenant: "else", ID: "orders", Generation: 4},
	} {
		if _, err := r.Target(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	r.Quiesce(t.Context(), "acme", "orders", 5)
	r.Quiesce(t.Context(), "acme", "next", 5)
	if r.Cached("acme", "orders", 4) != nil {
		t.Error("the secrets of a stopped integration are kept")
	}
	if r.Cached("acme", "next", 5) == nil || r.Cached("acme", "other", 4) == nil || r.Cached("else", "orders", 4) == nil {
		t.Error("dropped the secrets of another integration or generation")
	}
}

// slowSinks opens generation 4 only after it may.
type slowSinks struct {
	openSinks
	may chan struct{}
}

func (s slowSinks) Webhook(ctx context.Context, in *integration.Integration) (sink.Sender, error) {
	if in.Generation == 4 {
		<-s.may
	}
	return s.openSinks.Webhook(ctx, in)
}

// A generation that was slow to open does not take the place of the next one.
func TestLateTargetDoesNotReplaceTheCurrentOne(t *testing.T) {
	may, opened := make(chan struct{}), make(chan error)
	r := NewRegistry(Options{Sinks: slowSinks{may: may}, InFlight: 4, QuietAfter: time.Minute, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	go func() {
		_, err := r.Target(context.Background(), &integration.Integration{Tenant: "acme", ID: "orders", Generation: 4})
		opened <- err
	}()
	current, err := r.Target(t.Context(), &integration.Integration{Tenant: "acme", ID: "orders", Generation: 5})
	if err != nil {
		t.Fatal(err)
	}
	close(may)
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	if r.Cached("acme", "orders", 5) != current || r.Cached("acme", "orders", 4) != nil {
		t.Error("the older generation is kept in the place of the current one")
	}
}

// A receiver that fails asks for its next call among those that may hang, and one that
// responds no longer does.
func TestOutcomeDecidesWhereTheNextCallHasItsPlace(t *testing.T) {
	calls := NewCalls(8)
	r := NewRegistry(Options{Sinks: openSinks{}, InFlight: 4, Calls: calls, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	target, err := r.Target(t.Context(), &integration.Integration{Tenant: "acme", ID: "orders", Generation: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		outcome    sink.Outcome
		responding bool
	}{
		{sink.Delivered, true},
		{sink.Unsent, true},
		{sink.Interrupted, true},
		{sink.Retry, false},
		{sink.Unsent, false},
		{sink.Rejected, true},
		{sink.Retry, false},
	} {
		target.Record(sink.Verdict{Outcome: c.outcome})
		give, ok := target.TryReserve()
		if !ok || (calls.responding.Held() == 1) != c.responding || calls.Held() != 1 {
			t.Errorf("after %v the next call is among those that respond: %v, want %v", c.outcome, calls.responding.Held() == 1, c.responding)
		}
		give()
	}
}
