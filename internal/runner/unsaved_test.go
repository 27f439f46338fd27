package runner

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// readOnly is a store with one cursor, which fails. A commit waits until its context ends.
type readOnly struct{ store.Store }

func (readOnly) Cursor(_ context.Context, k handoff.Key) (*handoff.Cursor, error) {
	now := time.Now()
	return &handoff.Cursor{Key: k, State: handoff.Scheduled, DueAt: now, Failures: 1, FailingSince: now}, nil
}

func (readOnly) Integration(_ context.Context, tenant, id string) (*integration.Integration, error) {
	return &integration.Integration{Tenant: tenant, ID: id, Webhook: &integration.Webhook{}}, nil
}

func (readOnly) Commit(ctx context.Context, _ ...store.Write) error {
	<-ctx.Done()
	return ctx.Err()
}

// noSinks opens no sink, so that every attempt fails.
type noSinks struct{ sink.Sinks }

func (noSinks) Webhook(context.Context, *integration.Integration) (sink.Sender, error) {
	return nil, errors.New("no key")
}

// A shutdown that cannot save the failed attempts in time ends, and says so.
func TestAShutdownSaysWhatItCouldNotSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		schedule, r := running(readOnly{}, 1)
		r.logger = slog.New(slog.NewTextHandler(&log, nil))
		engine := r.engine.(*delivery.Engine)
		engine.SoleOwner = delivery.NewSoleOwner(time.Now())
		engine.Registry = worker.NewRegistry(worker.Options{Sinks: noSinks{}, InFlight: 1, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
		schedule.Schedule(handoff.Key{Tenant: "a", Integration: "orders"})
		time.Sleep(100 * time.Millisecond)
		r.Stop()
		if text := log.String(); !strings.Contains(text, "failed attempts not saved at shutdown") {
			t.Errorf("it said %q", text)
		}
	})
}
