package lifecycle

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// Register makes an integration and starts it, from now on or from its
// starts_at, as far back as the log reaches. The spec is brought into the form
// that is stored. Errors: InvalidRequest, InvalidTarget; AlreadyExists for a
// taken id, even where LimitReached would be true as well.
func (s *Service) Register(ctx context.Context, tenant string, spec integration.Spec) (*integration.Integration, error) {
	if err := spec.Validate(s.now()); err != nil {
		return nil, err
	}
	if _, err := s.admit(ctx, tenant, spec.ID); err != nil {
		return nil, err // before the work that follows; decided again with the Commit
	}
	in := &integration.Integration{
		Tenant: tenant, ID: spec.ID, Type: spec.Type, StartsAt: spec.StartsAt, EndsAt: spec.EndsAt,
		Filter: event.Filter{Names: spec.Filter.Names, Entities: spec.Filter.Entities},
	}
	if err := s.setTarget(ctx, in, &spec, integration.Kept{}); err != nil {
		return nil, err
	}
	var keys []handoff.Key
	err := transact(spec.ID, func() (err error) {
		keys, err = s.create(ctx, in)
		return err
	})
	s.schedule(err, keys)
	if err != nil {
		return nil, err
	}
	return in, nil
}

// create commits a new integration with all that belongs to it, and returns the
// keys of its cursors, also with an error of the Commit.
func (s *Service) create(ctx context.Context, in *integration.Integration) ([]handoff.Key, error) {
	t, err := s.admit(ctx, in.Tenant, in.ID)
	if err != nil {
		return nil, err
	}
	in.Lanes = s.Settings.Lanes
	if !in.StartsAt.IsZero() {
		if in.Lanes, err = s.usedLanes(ctx, in.Tenant); err != nil {
			return nil, err
		}
	}
	if in.Type == integration.Temporary {
		in.OpenLanes = in.Lanes
	}
	now := s.now()
	t.Generation++
	t.Integrations++
	in.Generation, in.Incarnation = t.Generation, t.Generation
	in.Running, in.CreatedAt = true, now
	writes, err := s.newCursors(ctx, in, 0, s.reach(in.StartsAt, now), now)
	if err != nil {
		return nil, err
	}
	keys := scheduled(writes)
	return keys, s.commit(ctx, append(writes,
		store.PutTenant{Tenant: t},
		store.PutIntegration{Integration: in},
		entry(in, integration.ActionCreated, "Created via API.", now),
		entry(in, integration.ActionStarted, "Started via API.", now),
	)...)
}

// reach is the given time, or how far back the retention allows to go. The log
// may reach back farther, for the starts of integrations that were failing.
func (s *Service) reach(since, now time.Time) time.Time {
	if oldest := now.Add(-s.Settings.Retention); !since.IsZero() && since.Before(oldest) {
		return oldest
	}
	return since
}

// admit returns the tenant's record if it may have one more integration, with
// this id.
func (s *Service) admit(ctx context.Context, tenant, id string) (*store.Tenant, error) {
	t, err := s.Store.Tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	_, err = s.Get(ctx, tenant, id)
	switch {
	case err == nil:
		return nil, problem.New(problem.AlreadyExists, "There is an integration %q already; choose another id, or update or delete that one.", id)
	case problem.CodeOf(err) != problem.NotFound:
		return nil, err
	case t.Integrations >= s.Settings.MaxIntegrations:
		return nil, problem.New(problem.LimitReached, "There are %d integrations, and no more are allowed; delete one that is not needed.", t.Integrations)
	}
	return t, nil
}
