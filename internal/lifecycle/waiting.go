package lifecycle

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/standing"
)

// oldestWaiting returns when the first event was published that waits for an integration,
// over all its lanes, or an earlier time; zero if none waits. It is for a stop, which reads
// the lanes once more and then commits: what gets through meanwhile makes it too early at
// most.
func (s *Service) oldestWaiting(ctx context.Context, in *integration.Integration) (time.Time, error) {
	firsts := make([]time.Time, in.Lanes)
	var g errgroup.Group
	for lane := range firsts {
		g.Go(func() error {
			look := standing.New(s.Store, s.Store.Cursor) // one that is shared would read one state after the other
			at, err := look.Find(ctx, handoff.Key{Tenant: in.Tenant, Integration: in.ID, Lane: lane})
			if err != nil {
				return s.gone(ctx, in, err)
			}
			if at.Cursor.State != handoff.Finished {
				firsts[lane] = s.firstAfter(ctx, in, at)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return time.Time{}, err
	}
	var oldest time.Time
	for _, first := range firsts {
		if oldest.IsZero() || !first.IsZero() && first.Before(oldest) {
			oldest = first
		}
	}
	return oldest, nil
}

// firstAfterTimeout limits what a stop waits for the log.
const firstAfterTimeout = time.Second

// firstAfter returns when the first event was published of the first segment that is not
// acknowledged in a lane; zero if there is none. A log that cannot be read must not keep an
// integration from being stopped: then it is the earliest time that this can be.
func (s *Service) firstAfter(ctx context.Context, in *integration.Integration, at *standing.Standing) time.Time {
	ctx, cancel := context.WithTimeout(ctx, firstAfterTimeout)
	defer cancel()
	rest, err := s.Log.After(ctx, at.Cursor.Key.Partition(), at.AckState.Offset.Segment)
	if err == nil {
		return rest.First
	}
	if kept := s.now().Add(-s.Settings.Kept()); kept.After(in.ReceivesFrom()) {
		return kept
	}
	return in.ReceivesFrom()
}

// stopReason adds to the reason of a stop that a customer did not ask for until when to
// start it again.
func (s *Service) stopReason(in *integration.Integration, reason string) string {
	if in.StoppedBy != integration.StoppedAfterFailing {
		return reason
	}
	by := in.RestartBy(s.Settings.Retention, s.Settings.Kept())
	return fmt.Sprintf("%s Start it again by %s to lose no event.", reason, event.FormatTime(by))
}
