package lifecycle

import (
	"context"
	"errors"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// Delete deletes an integration, whatever its status, with its log, its rejected
// events and its cursors. An integration registered later under the same id
// inherits none of them.
func (s *Service) Delete(ctx context.Context, tenant, id string) error {
	return s.delete(ctx, tenant, id, func(*integration.Integration) bool { return true })
}

// delete does nothing if the condition does not hold for the integration.
func (s *Service) delete(ctx context.Context, tenant, id string, condition func(*integration.Integration) bool) error {
	var gone *integration.Integration
	err := transact(id, func() error {
		gone = nil
		t, in, err := s.read(ctx, tenant, id)
		if err != nil || !condition(in) {
			return err
		}
		lanes, err := s.lanes(ctx, in)
		if err != nil {
			return err
		}
		t.Integrations--
		writes := []store.Write{
			store.PutTenant{Tenant: t},
			store.DeleteIntegration{Integration: in},
			store.DeleteHistory{History: store.HistoryOf(in)},
		}
		for _, l := range lanes {
			if handoff.Pause(l.state, l.cursor, in.Generation) {
				writes = append(writes, store.PutPartition{State: l.state})
			}
			writes = append(writes, store.DeleteCursor{Cursor: l.cursor})
		}
		gone = in
		return s.commit(ctx, writes...)
	})
	if gone != nil {
		s.schedule(err, keysOf(gone))
	}
	if err == nil && gone != nil && s.Quiesce != nil {
		s.Quiesce(ctx, tenant, id, gone.Generation+1)
	}
	return err
}

// DeleteExpiredReplays deletes the replays that completed longer than
// Settings.TemporaryGrace ago. One that cannot be deleted does not block the
// others; the next call retries it.
func (s *Service) DeleteExpiredReplays(ctx context.Context) error {
	const page = 100
	before := s.now().Add(-s.Settings.TemporaryGrace)
	for {
		expired, err := s.Store.ExpiredReplays(ctx, before, page)
		if err != nil {
			return err
		}
		var errs []error
		for _, in := range expired {
			err := s.delete(ctx, in.Tenant, in.ID, func(now *integration.Integration) bool { return now.Incarnation == in.Incarnation })
			if err != nil && problem.CodeOf(err) != problem.NotFound {
				errs = append(errs, err)
			}
		}
		if len(errs) > 0 || len(expired) < page {
			return errors.Join(errs...)
		}
	}
}
