package lifecycle

import (
	"context"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// Update updates a stopped integration to the Spec that change returns, and
// returns the new state. change gets the current state, which it must not
// modify, and is called again after a conflict; its error is returned unchanged.
// A secret in the Spec that equals the mask of the stored one keeps the stored
// one. An update that changes nothing writes nothing. Errors: NotStopped,
// InvalidRequest, InvalidTarget.
func (s *Service) Update(ctx context.Context, tenant, id string, change func(current *integration.Integration) (integration.Spec, error)) (*integration.Integration, error) {
	var result *integration.Integration
	var changed bool
	err := transact(id, func() (err error) {
		result, changed, err = s.update(ctx, tenant, id, false, change)
		return err
	})
	if err != nil {
		return nil, err
	}
	if changed {
		s.probe(result)
	}
	return result, nil
}

// update makes a change, and starts the integration in the same Commit if start is set. It
// reports whether anything changed.
func (s *Service) update(ctx context.Context, tenant, id string, start bool, change func(*integration.Integration) (integration.Spec, error)) (_ *integration.Integration, _ bool, err error) {
	t, in, err := s.read(ctx, tenant, id)
	if err != nil {
		return nil, false, err
	}
	now := s.now()
	if err := in.Updatable(now); err != nil {
		return nil, false, err
	}
	spec, err := change(in)
	if err != nil {
		return nil, false, err
	}
	changed, err := s.apply(ctx, in, spec)
	if err != nil || len(changed) == 0 {
		return in, false, err
	}
	t.Generation++
	in.Generation = t.Generation
	lanes, err := s.lanes(ctx, in)
	if err != nil {
		return nil, false, err
	}
	for _, l := range lanes {
		l.cursor.GiveUpUpload() // the next file is another one, or goes to another target
	}
	writes := append(pause(lanes, in.Generation), // they are paused already; this sets the generation
		store.PutTenant{Tenant: t},
		store.PutIntegration{Integration: in},
		entry(in, integration.ActionUpdated, "Updated via API. Changed: "+strings.Join(changed, ", ")+".", now),
	)
	if start {
		in.Running, in.OldestWaiting = true, time.Time{}
		for _, l := range lanes {
			handoff.Resume(l.cursor, in.Generation, now)
		}
		writes = append(writes, entry(in, integration.ActionStarted, "Started with the update.", now))
	}
	return in, true, s.commit(ctx, writes...)
}

// apply checks a spec, changes the integration to it, and returns the fields that changed.
func (s *Service) apply(ctx context.Context, in *integration.Integration, spec integration.Spec) (changed []string, err error) {
	kept, err := spec.ValidateUpdate(in)
	if err != nil {
		return nil, err
	}
	if err := s.keepEqual(ctx, in, &spec, &kept); err != nil {
		return nil, err
	}
	if changed = spec.Changes(in, kept); len(changed) == 0 {
		return nil, nil
	}
	in.Filter.Names, in.Filter.Entities = spec.Filter.Names, spec.Filter.Entities
	return changed, s.setTarget(ctx, in, &spec, kept)
}
