// Package httpapi serves the HTTP API: it authenticates, decodes, calls the
// service, encodes, and says what went wrong. The contract is
// api/openapi.yaml, which the tests hold every answer against. Package httpapi
// alone knows which HTTP status a problem has.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/publish"
	"github.com/sluicehq/sluice/internal/settings"
)

// Integrations is what the API does with integrations: package lifecycle.
// Every error is of package problem; what another tenant has is
// problem.NotFound.
type Integrations interface {
	List(ctx context.Context, tenant string) ([]*integration.Integration, error)
	Get(ctx context.Context, tenant, id string) (*integration.Integration, error)
	Register(ctx context.Context, tenant string, spec integration.Spec) (*integration.Integration, error)
	// Update asks change for the whole Spec the integration should have; it
	// may ask again when others have changed it meanwhile.
	Update(ctx context.Context, tenant, id string, change func(current *integration.Integration) (integration.Spec, error)) (*integration.Integration, error)
	Delete(ctx context.Context, tenant, id string) error
	Start(ctx context.Context, tenant, id string) (*integration.Integration, error)
	Stop(ctx context.Context, tenant, id string) (*integration.Integration, error)
	// Reveal returns the secrets in clear, for answers where
	// Settings.RevealSecrets is on.
	Reveal(ctx context.Context, in *integration.Integration) (integration.Secrets, error)
	// Entries are an integration's log, newest first.
	Entries(ctx context.Context, tenant, id string) ([]integration.LogEntry, error)
}

// Rejected is what the API does with rejected events: package rejected. Errors
// of Retry besides problem.NotFound: problem.RetryInProgress,
// problem.ReceiverFailed.
type Rejected interface {
	List(ctx context.Context, tenant, id string) ([]integration.RejectedEntry, error) // newest first
	Get(ctx context.Context, tenant, id, eventID string) (*integration.Rejected, error)
	Delete(ctx context.Context, tenant, id, eventID string) error
	Retry(ctx context.Context, tenant, id, eventID string) error // sends it again
}

// Publisher makes the events of a body durable: package publish.
type Publisher interface {
	Publish(ctx context.Context, tenant string, format publish.Format, body []byte) ([]string, error)
}

// Deps are what the API is made of. All are required but Metrics, without
// which there is no /metrics.
type Deps struct {
	Integrations Integrations
	Rejected     Rejected
	Publisher    Publisher
	Verifier     auth.Verifier
	Ready        func(ctx context.Context) error // nil: calls can be served
	Metrics      http.Handler
	Settings     settings.Settings // MaxPublishBytes and RevealSecrets
	Log          *slog.Logger
	Now          func() time.Time
}

// api is the handler of all routes.
type api struct {
	Deps
	mux *http.ServeMux
}

// New returns the API as a handler. It is safe for concurrent use.
func New(d Deps) http.Handler {
	a := &api{Deps: d, mux: http.NewServeMux()}
	a.Log = slog.New(WithRequestID(d.Log.Handler()))
	byPath := make(map[string]map[string]route)
	for _, rt := range a.routes() {
		if byPath[rt.path] == nil {
			byPath[rt.path] = make(map[string]route)
		}
		byPath[rt.path][rt.method] = rt
	}
	for path, methods := range byPath {
		a.mux.HandleFunc(path, a.byMethod(methods))
	}
	a.mux.HandleFunc(base+"/{$}", a.byMethod(byPath[base]))
	a.mux.HandleFunc("/", a.noSuchPath)
	return a
}
