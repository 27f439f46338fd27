package lifecycle

import (
	"context"
	"strings"

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

// update reports whether it changed anything. What it changes it also starts, if it is to.
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
	kept, err := spec.ValidateUpdate(in)
	if err != nil {
		return nil, false, err
	}
	if err := s.keepEqual(ctx, in, &spec, &kept); err != nil {
		return nil, false, err
	}
	changed := spec.Changes(in, kept)
	if len(changed) == 0 {
		return in, false, nil
	}
	if err := s.setTarget(ctx, in, &spec, kept); err != nil {
		return nil, false, err
	}
	in.Filter.Names, in.Filter.Entities = spec.Filter.Names, spec.Filter.Entities
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
		in.Running = true
		for _, l := range lanes {
			handoff.Resume(l.cursor, in.Generation, now)
		}
		writes = append(writes, entry(in, integration.ActionStarted, "Started with the update.", now))
	}
	return in, true, s.commit(ctx, writes...)
}
