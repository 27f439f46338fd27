// Package httpapi serves the HTTP API: it authenticates and decodes requests,
// calls the service, and encodes results and errors. The contract is
// api/openapi.yaml; the tests validate every response against it. Only this
// package maps problem codes to HTTP statuses.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/sluicehq/sluice/internal/alert"
	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/estimate"
	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/health"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/lifecycle"
	"github.com/sluicehq/sluice/internal/publish"
	"github.com/sluicehq/sluice/internal/pull"
	"github.com/sluicehq/sluice/internal/rejected"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/story"
	"github.com/sluicehq/sluice/internal/trial"
)

// Integrations manages integrations; package lifecycle implements it. Every error
// has a problem.Code. Another tenant's integration is problem.NotFound.
type Integrations interface {
	List(ctx context.Context, tenant string) ([]*integration.Integration, error)
	Get(ctx context.Context, tenant, id string) (*integration.Integration, error)
	Register(ctx context.Context, tenant string, spec integration.Spec) (*integration.Integration, error)
	// Update calls change for the complete new Spec. It calls change again
	// after a concurrent modification.
	Update(ctx context.Context, tenant, id string, change func(current *integration.Integration) (integration.Spec, error)) (*integration.Integration, error)
	Delete(ctx context.Context, tenant, id string) error
	StartFrom(ctx context.Context, tenant, id string, from integration.Place) (*integration.Integration, error)
	Stop(ctx context.Context, tenant, id string) (*integration.Integration, error)
	// Reveal returns the secrets in clear, except those that do not open. It is
	// called only if Settings.RevealSecrets is on.
	Reveal(ctx context.Context, in *integration.Integration) (integration.Secrets, error)
	// EntriesAfter returns a page of the integration's log, newest first, and where the
	// next one begins, "" at the end.
	EntriesAfter(ctx context.Context, tenant, id string, q lifecycle.EntryQuery) (entries []integration.LogEntry, next string, err error)
}

// Health tells how integrations are doing; package health implements it. It returns nil for one
// that was deleted meanwhile.
type Health interface {
	Of(ctx context.Context, all ...*integration.Integration) ([]*health.Health, error)
}

// Troubles lists the integrations of all tenants that are in trouble; package alert implements
// it. Its errors are problem.AlertsOff, InvalidRequest and Unavailable.
type Troubles interface {
	List(ctx context.Context, after string, limit int) (page []alert.Trouble, next string, err error)
}

// Rejected manages rejected events; package rejected implements it. Another
// tenant's event is problem.NotFound. Retry waits for the receiver and also fails
// with problem.RetryInProgress or problem.ReceiverFailed.
type Rejected interface {
	// List returns up to limit events, newest first, from after the given one on: one that
	// the list had. The zero one is before the newest. A limit of 0 is that of the list.
	List(ctx context.Context, tenant, id string, after integration.RejectedRef, limit int) ([]integration.RejectedRef, error)
	Get(ctx context.Context, tenant, id, eventID string) (*integration.Rejected, error)
	Delete(ctx context.Context, tenant, id, eventID string) error
	Retry(ctx context.Context, tenant, id, eventID string) error
	// RetryAll and DeleteAll take up to rejected.MaxBulk ids, or none for all events.
	RetryAll(ctx context.Context, tenant, id string, eventIDs []string) (rejected.Bulk, error)
	DeleteAll(ctx context.Context, tenant, id string, eventIDs []string) (rejected.Bulk, error)
}

// Events reads an integration's events from the log; package pull implements it. Its
// errors are problem.NotFound, InvalidPosition, PositionExpired, TooManyRequests and
// Unavailable.
type Events interface {
	Pull(ctx context.Context, tenant, id string, q pull.Query) (*pull.Page, error)
}

// Tests sends test events to targets; package trial implements it. Its errors are
// problem.NotFound, InvalidRequest, TooManyRequests and Unavailable.
type Tests interface {
	Test(ctx context.Context, tenant, id, name string) (trial.Result, error)
}

// Skips acknowledges events by hand that a stream waits for; package skip implements it. An event
// that it does not wait for is problem.NotBlocked.
type Skips interface {
	Skip(ctx context.Context, tenant, id, eventID string) error
}

// Deliveries looks deliveries up; package deliveries implements it. Its errors are
// problem.NotFound, InvalidRequest and Unavailable.
type Deliveries interface {
	List(ctx context.Context, tenant, id string, q deliveries.Request) (page []deliveries.Delivery, next string, err error)
	// Activity counts what was sent to integrations of the tenant; nil if no records are kept.
	Activity(ctx context.Context, tenant string, all []*integration.Integration) ([]*deliveries.Activity, error)
}

// Estimates says what a registration would replay; package estimate implements it. An
// invalid one is problem.InvalidRequest.
type Estimates interface {
	Estimate(ctx context.Context, tenant string, spec integration.Spec) (*estimate.Estimate, error)
}

// Stories tells what became of one event; package story implements it. Its errors are
// problem.NotFound, InvalidRequest, WindowRequired, WindowTooLarge and Unavailable.
type Stories interface {
	Tell(ctx context.Context, tenant, eventID string, q story.Query) (*story.Story, error)
}

// Lanes knows and grows the lanes of tenants; package lanes implements it. The errors of Raise
// are problem.InvalidRequest, LimitReached, Conflict and Unavailable.
type Lanes interface {
	Of(ctx context.Context, tenant string) (int, error)
	Raise(ctx context.Context, tenant string, n int) error
}

// Publisher makes the events of a call durable and returns their ids, in order;
// package publish implements it.
type Publisher interface {
	Publish(ctx context.Context, call publish.Call) ([]string, error)
}

// Deps are the API's dependencies. All are required except Metrics: without it
// there is no /metrics.
type Deps struct {
	Integrations Integrations
	Health       Health
	Troubles     Troubles
	Rejected     Rejected
	Events       Events
	Tests        Tests
	Skips        Skips
	Deliveries   Deliveries
	Estimates    Estimates
	Stories      Stories
	Lanes        Lanes
	Publisher    Publisher
	Verifier     auth.Verifier
	Ready        func(ctx context.Context) error // nil: calls can be served
	Metrics      http.Handler
	Settings     settings.Settings // the limits of calls, RevealSecrets, and for the console its own and TenantClaim
	Log          *slog.Logger
	Now          func() time.Time
}

// api is the handler of all routes.
type api struct {
	Deps
	mux    *http.ServeMux
	memory *fairshare.Pool // bytes, for the bodies of calls in flight
	lines  logLimit
}

// New returns the API as a handler. It is safe for concurrent use.
func New(d Deps) http.Handler {
	a := &api{Deps: d, mux: http.NewServeMux(), memory: fairshare.NewPool(d.Settings.MaxBodyMemory)}
	a.Log = slog.New(WithRequestID(d.Log.Handler()))
	byPath := make(map[string]map[string]route)
	for _, rt := range a.routes() {
		if byPath[rt.path] == nil {
			byPath[rt.path] = make(map[string]route)
		}
		byPath[rt.path][rt.method] = rt
	}
	for path, methods := range byPath {
		a.handle(path, a.byMethod(methods))
	}
	a.handle(base+"/{$}", a.byMethod(byPath[base]))
	if a.Settings.Console {
		a.handleConsole()
	}
	a.handle("/{$}", a.root)
	a.handle("/", a.noSuchPath)
	return a
}

// handle registers a pattern. ServeHTTP passes the mux an exchange.
func (a *api) handle(pattern string, serve func(x *exchange, r *http.Request)) {
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { serve(w.(*exchange), r) })
}
