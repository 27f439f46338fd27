package alert

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/health"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
)

// Troubles lists the integrations of all tenants that the operator was told to be in trouble:
// what fails or lags, and what was stopped as it had failed for too long. It reads what the
// store has in an index, and the health of those that it returns. All fields are required.
// It is safe for concurrent use.
type Troubles struct {
	Store interface {
		Troubled(ctx context.Context, after store.TroublePlace, limit int) ([]store.Troubled, store.TroublePlace, error)
	}
	Health   Healths
	Settings settings.Settings
	Now      func() time.Time
	Logger   *slog.Logger
}

// Trouble is an integration that is in trouble.
type Trouble struct {
	store.TroublePlace                         // Since: when the first of the alerts was raised
	Alerts             []integration.AlertKind // what holds of what was told, as far as is known
	Health             *health.Health          // nil if it, or the integration, cannot be read
}

// List returns a page of up to limit integrations, what is in trouble for longest first, and
// where the next page begins, "" at the end. A page may have fewer, also none, and go on.
// What cannot be read of one is logged, and hides no other: it is in trouble all the more.
//
// Errors: AlertsOff if nobody is told, so that nothing is known; InvalidRequest if after is
// not the next of an earlier page.
func (t *Troubles) List(ctx context.Context, after string, limit int) (page []Trouble, next string, err error) {
	if t.Settings.OperatorTenant == "" {
		return nil, "", problem.New(problem.AlertsOff, "Alerts are off, so the service does not keep which integrations fail or lag. "+
			"The operator turns them on with SLUICE_OPERATOR_TENANT (on AWS the parameter OperatorTenant).")
	}
	from, err := placeOf(after)
	if err != nil {
		return nil, "", err
	}
	found, end, err := t.Store.Troubled(ctx, from, limit)
	if err != nil {
		return nil, "", err
	}
	found = slices.DeleteFunc(found, t.over)
	healths, err := t.healths(ctx, found)
	if err != nil {
		return nil, "", err
	}
	for i, one := range found {
		switch h := healths[i]; {
		case one.Err != nil:
			t.Logger.ErrorContext(ctx, "an integration in trouble cannot be read", "tenant", one.Tenant, "integration", one.ID, "error", one.Err)
			page = append(page, Trouble{TroublePlace: one.TroublePlace, Alerts: t.alerts(one.Integration, nil)})
		case h != nil: // else it was deleted meanwhile
			page = append(page, Trouble{one.TroublePlace, t.alerts(one.Integration, h), h})
		}
	}
	return page, textOf(end), nil
}

// healths returns the health of each integration, nil for one that was deleted meanwhile. If
// they cannot be read together, each is read alone, and gets the error if there is one.
func (t *Troubles) healths(ctx context.Context, all []store.Troubled) ([]*health.Health, error) {
	var known []*integration.Integration
	var of []int
	for i := range all {
		if all[i].Err == nil {
			known, of = append(known, all[i].Integration), append(of, i)
		}
	}
	found, err := t.Health.Of(ctx, known...)
	if err != nil {
		found = make([]*health.Health, len(known))
		for k, in := range known {
			alone, err := t.Health.Of(ctx, in)
			switch {
			case ctx.Err() != nil:
				return nil, err
			case err != nil:
				all[of[k]].Err = err
			default:
				found[k] = alone[0]
			}
		}
	}
	healths := make([]*health.Health, len(all))
	for k, h := range found {
		healths[of[k]] = h
	}
	return healths, nil
}

// over reports whether an integration is in the list only because alerts were off, or another's,
// when its trouble ended.
func (t *Troubles) over(one store.Troubled) bool {
	in := one.Integration
	if in == nil {
		return one.Tenant == t.Settings.OperatorTenant
	}
	stopped := !in.Running && in.StoppedBy != integration.StoppedAfterFailing
	return !in.CompletedAt.IsZero() || stopped || in.Tenant == t.Settings.OperatorTenant
}

// alerts returns which of the alerts about an integration hold, the worst first, as far as is
// known: of a nil integration none are, and without its health not whether it still rejects.
func (t *Troubles) alerts(in *integration.Integration, h *health.Health) (kinds []integration.AlertKind) {
	if in == nil {
		return nil
	}
	a := &in.Alerts
	for _, is := range []struct {
		kind  integration.AlertKind
		holds bool
	}{
		{integration.AlertStopped, !in.Running},
		{integration.AlertWindowClosing, !in.Running && !t.Now().Before(closingAt(in, &t.Settings))},
		{integration.AlertFailing, in.Running && a.Failing != 0},
		{integration.AlertLagging, in.Running && a.Lagging != 0},
		{integration.AlertRejecting, in.Running && !a.RejectingAt.IsZero() && h != nil && !h.LastDeliveredAt.After(a.RejectingAt)},
	} {
		if is.holds {
			kinds = append(kinds, is.kind)
		}
	}
	return kinds
}

// textOf returns a place as text. Neither tenants nor ids have a slash.
func textOf(p store.TroublePlace) string {
	if p == (store.TroublePlace{}) {
		return ""
	}
	return strconv.FormatInt(p.Since.UnixMilli(), 10) + "/" + p.ID + "/" + p.Tenant
}

// placeOf is the inverse of textOf. A text that is none of ours is store.ErrPlace.
func placeOf(text string) (p store.TroublePlace, err error) {
	if text == "" {
		return p, nil
	}
	parts := strings.Split(text, "/")
	if len(parts) != 3 {
		return p, store.ErrPlace
	}
	ms, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil || ms < 0 || ms > maxMillis {
		return p, store.ErrPlace
	}
	return store.TroublePlace{Since: time.UnixMilli(ms).UTC(), ID: parts[1], Tenant: parts[2]}, nil
}

// maxMillis is the last millisecond that every store can look for, in the year 2262.
const maxMillis = int64(1<<63-1) / int64(time.Millisecond)
