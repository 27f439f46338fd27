// Package catalog opens every kind of sink.
package catalog

import (
	"context"

	"github.com/sluicehq/sluice/internal/egress"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/sink/keepalive"
	"github.com/sluicehq/sluice/internal/sink/s3export"
	"github.com/sluicehq/sluice/internal/sink/webhook"
)

// Options configures Sinks. All fields are required.
type Options struct {
	Route    egress.Route
	Sealer   secret.Sealer     // the one that sealed the integrations' secrets
	Settings settings.Settings // WebhookTimeout and InFlight
	Version  string            // for the header User-Agent
	Kept     int               // connections that are kept between calls, of all integrations
}

// Sinks opens the sinks of integrations. It implements sink.Sinks and is
// safe for concurrent use.
type Sinks struct {
	sealer  secret.Sealer
	webhook *webhook.Client
	s3      *s3export.Client
}

// New returns Sinks. Each has its own connections; they share the bound of those that
// are kept.
func New(o Options) *Sinks {
	connections := keepalive.NewConnections(o.Kept)
	return &Sinks{
		sealer: o.Sealer,
		webhook: webhook.New(webhook.Options{
			Route: o.Route, Connections: connections, Timeout: o.Settings.WebhookTimeout, Spread: o.Settings.CallSpread(), InFlight: o.Settings.InFlight, Version: o.Version,
		}),
		s3: s3export.New(s3export.Options{Route: o.Route, Connections: connections}),
	}
}

// Webhook implements sink.Sinks.
func (s *Sinks) Webhook(ctx context.Context, in *integration.Integration) (sink.Sender, error) {
	return s.webhook.Open(ctx, in, s.sealer)
}

// Tester opens the sink of an integration for a test. Its connections are its own, so close
// it.
func (s *Sinks) Tester(ctx context.Context, in *integration.Integration) (sink.Tester, error) {
	if in.S3 != nil {
		return s.s3.Open(ctx, in, s.sealer)
	}
	return s.webhook.Open(ctx, in, s.sealer)
}

// Prober opens the sink of an S3 integration for a probe. Its connections are its own, so
// close it.
func (s *Sinks) Prober(ctx context.Context, in *integration.Integration) (sink.Prober, error) {
	return s.s3.Open(ctx, in, s.sealer)
}

// S3 implements sink.Sinks.
func (s *Sinks) S3(ctx context.Context, in *integration.Integration) (sink.Exporter, error) {
	return s.s3.Open(ctx, in, s.sealer)
}
