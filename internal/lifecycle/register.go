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

// Register creates an integration and starts it, from now or from its starts_at,
// as far back as the retention allows. Errors: InvalidRequest, InvalidTarget,
// LimitReached; AlreadyExists if the id is taken, even if the limit is reached.
func (s *Service) Register(ctx context.Context, tenant string, spec integration.Spec) (*integration.Integration, error) {
	if err := spec.Validate(s.now()); err != nil {
		return nil, err
	}
	if _, err := s.admit(ctx, tenant, spec.ID); err != nil {
		return nil, err // checked before the costly steps, and again with the Commit
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
	s.probe(in)
	return in, nil
}

// create commits a new integration with its cursors and first log entries. It
// returns the keys of the cursors, also with an error of the Commit.
func (s *Service) create(ctx context.Context, in *integration.Integration) ([]handoff.Key, error) {
	t, err := s.admit(ctx, in.Tenant, in.ID)
	if err != nil {
		return nil, err
	}
	in.Lanes = s.lanesOf(t) // the Commit fails if that is raised meanwhile
	if !in.StartsAt.IsZero() {
		if in.Lanes, err = s.usedLanes(ctx, in.Tenant, in.Lanes); err != nil {
			return nil, err
		}
	}
	if in.Type == integration.Temporary {
		in.OpenLanes, in.Counted = in.Lanes, true
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

// reach returns the given time, but none before the retention. The log reaches
// back farther, for restarting integrations that were stopped for failing.
func (s *Service) reach(since, now time.Time) time.Time {
	if oldest := now.Add(-s.Settings.Retention); !since.IsZero() && since.Before(oldest) {
		return oldest
	}
	return since
}

// admit returns the tenant's record if the tenant may add an integration with
// this id.
func (s *Service) admit(ctx context.Context, tenant, id string) (*store.Tenant, error) {
	t, err := s.Store.Tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	_, err = s.Get(ctx, tenant, id)
	switch {
	case err == nil:
		return nil, problem.New(problem.AlreadyExists, "Integration %q already exists; choose another id, or update or delete the existing one.", id)
	case problem.CodeOf(err) != problem.NotFound:
		return nil, err
	case t.Integrations >= s.Settings.MaxIntegrations:
		return nil, problem.New(problem.LimitReached, "The limit of %d integrations is reached; delete one first.", s.Settings.MaxIntegrations)
	}
	return t, nil
}
