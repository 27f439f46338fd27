package lifecycle

import (
	"context"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
)

// Redirect gives a permanent webhook integration another URL and has it run, from where it
// stands. It stops a running one first, unless the URL is refused. If the process ends after that, or the stop takes its time,
// which is a problem.NotStopped, call it again: as long as the URL is the old one, it is not
// done. Other errors are those of Update: a stored secret does not go to another origin.
func (s *Service) Redirect(ctx context.Context, tenant, id, url string) error {
	in, err := s.Get(ctx, tenant, id)
	if err != nil {
		return err
	}
	if in.Webhook == nil || in.Type != integration.Permanent {
		return problem.New(problem.InvalidRequest, "Integration %q is not a permanent one with a URL; delete it first.", id)
	}
	if _, err := s.apply(ctx, in, withURL(in, url)); err != nil {
		return err
	}
	if in, err = s.Stop(ctx, tenant, id); err != nil {
		return err
	}
	changed := false
	err = transact(id, func() (err error) {
		in, changed, err = s.update(ctx, tenant, id, true, func(now *integration.Integration) (integration.Spec, error) {
			return withURL(now, url), nil
		})
		return err
	})
	if changed {
		s.schedule(err, keysOf(in))
	}
	return err
}

// withURL returns what an integration is, with another URL.
func withURL(in *integration.Integration, url string) integration.Spec {
	return integration.Spec{
		ID: in.ID, Type: in.Type, StartsAt: in.StartsAt,
		Webhook: &integration.WebhookSpec{
			URL: url, APIKey: secret.NewString(in.Webhook.APIKey.Mask), SigningSecret: secret.NewString(in.Webhook.SigningSecret.Mask),
		},
		Filter: integration.FilterSpec{Names: in.Filter.Names, Entities: in.Filter.Entities},
	}
}
