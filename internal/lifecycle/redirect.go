package lifecycle

import (
	"context"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
)

// Redirect gives a webhook integration another URL and has it run, from where it stands. It
// stops a running one first. If the process ends after that, or the stop takes its time,
// which is a problem.NotStopped, call it again: as long as the URL is the old one, it is not
// done. Other errors are those of Update: a stored secret does not go to another origin.
func (s *Service) Redirect(ctx context.Context, tenant, id, url string) error {
	in, err := s.Stop(ctx, tenant, id)
	if err != nil {
		return err
	}
	if in.Webhook == nil {
		return problem.New(problem.InvalidRequest, "Integration %q writes files and has no URL; delete it first.", id)
	}
	changed := false
	err = transact(id, func() (err error) {
		in, changed, err = s.update(ctx, tenant, id, true, func(now *integration.Integration) (integration.Spec, error) {
			return integration.Spec{
				ID: now.ID, Type: now.Type, StartsAt: now.StartsAt,
				Webhook: &integration.WebhookSpec{
					URL: url, APIKey: secret.NewString(now.Webhook.APIKey.Mask), SigningSecret: secret.NewString(now.Webhook.SigningSecret.Mask),
				},
				Filter: integration.FilterSpec{Names: now.Filter.Names, Entities: now.Filter.Entities},
			}, nil
		})
		return err
	})
	if changed {
		s.schedule(err, keysOf(in))
	}
	return err
}
