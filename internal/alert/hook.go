package alert

import (
	"context"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
)

// Hook is the id of the integration that SLUICE_ALERT_URL registers.
const Hook = "operator-alerts"

// Lifecycle registers and redirects integrations: lifecycle.Service.
type Lifecycle interface {
	Get(ctx context.Context, tenant, id string) (*integration.Integration, error)
	Register(ctx context.Context, tenant string, spec integration.Spec) (*integration.Integration, error)
	Redirect(ctx context.Context, tenant, id, url string) error
}

// EnsureHook registers the operator's webhook, or redirects it to the URL if it has another
// one. One that has the URL is left alone, also if somebody has stopped it. It can be
// repeated after an error, and called by several processes at once.
func EnsureHook(ctx context.Context, life Lifecycle, tenant, url string) error {
	in, err := life.Get(ctx, tenant, Hook)
	if problem.CodeOf(err) == problem.NotFound {
		_, err := life.Register(ctx, tenant, integration.Spec{
			ID: Hook, Type: integration.Permanent, Webhook: &integration.WebhookSpec{URL: url},
		})
		if problem.CodeOf(err) == problem.AlreadyExists { // another process was faster
			return nil
		}
		return err
	}
	if err != nil || in.Webhook != nil && in.Webhook.URL == url {
		return err
	}
	return life.Redirect(ctx, tenant, Hook, url)
}
