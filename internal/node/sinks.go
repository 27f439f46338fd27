package node

import (
	"context"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/netguard"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/sink/s3export"
	"github.com/sluicehq/sluice/internal/sink/webhook"
	"github.com/sluicehq/sluice/internal/version"
)

// sinks is the list of the kinds of sinks. It implements delivery.Sinks.
type sinks struct {
	sealer  secret.Sealer
	webhook *webhook.Client
	s3      *s3export.Client
}

func newSinks(c *Config, guard *netguard.Guard, sealer secret.Sealer) *sinks {
	return &sinks{
		sealer:  sealer,
		webhook: webhook.New(webhook.Options{Guard: guard, Timeout: c.WebhookTimeout, InFlight: c.InFlight, Version: version.Version}),
		s3:      s3export.New(s3export.Options{Guard: guard}),
	}
}

// Webhook implements delivery.Sinks.
func (s *sinks) Webhook(ctx context.Context, in *integration.Integration) (delivery.Sender, error) {
	return s.webhook.Open(ctx, in, s.sealer)
}

// S3 implements delivery.Sinks.
func (s *sinks) S3(ctx context.Context, in *integration.Integration) (delivery.Exporter, error) {
	return s.s3.Open(ctx, in, s.sealer)
}

func (s *sinks) close() {
	s.webhook.Close()
	s.s3.Close()
}
