package delivery

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
)

// openSinks opens everything.
type openSinks struct{}

func (openSinks) Webhook(context.Context, *integration.Integration) (Sender, error) {
	return &counter{got: map[string]int{}, answer: deliveredAlways}, nil
}

func (openSinks) S3(context.Context, *integration.Integration) (Exporter, error) {
	return nil, errors.New("no bucket")
}

// What a stopped or changed integration was opened with, its secrets, is not
// kept; that of others, and of its next generation, is.
func TestQuiesceForgetsSecrets(t *testing.T) {
	e := &Engine{Settings: settings.Default(), Sinks: openSinks{}, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
	for _, in := range []*integration.Integration{
		{Tenant: "acme", ID: "orders", Generation: 4},
		{Tenant: "acme", ID: "next", Generation: 5},
		{Tenant: "acme", ID: "other", Generation: 4},
		{Tenant: "else", ID: "orders", Generation: 4},
	} {
		if _, err := e.target(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	e.Quiesce(t.Context(), "acme", "orders", 5)
	e.Quiesce(t.Context(), "acme", "next", 5)
	if e.cached("acme", "orders", 4) != nil {
		t.Error("the secrets of a stopped integration are kept")
	}
	if e.cached("acme", "next", 5) == nil || e.cached("acme", "other", 4) == nil || e.cached("else", "orders", 4) == nil {
		t.Error("forgot another's")
	}
}
