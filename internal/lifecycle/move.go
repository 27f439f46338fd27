package lifecycle

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// checkMove refuses a place that a start cannot begin at.
func (s *Service) checkMove(in *integration.Integration, to integration.Place, now time.Time) error {
	edge := now.Add(-s.Settings.Retention)
	switch {
	case in.Type == integration.Temporary:
		return problem.New(problem.InvalidRequest, "from is for permanent integrations, and %q is a replay; register another one for the times you need.", in.ID)
	case in.StatusAt(now) != integration.Stopped:
		return problem.New(problem.NotStopped, "Integration %q is %s; from needs it to be stopped. Stop it, wait until its status is stopped, and start it again.", in.ID, in.StatusAt(now))
	case to.Latest:
		return nil
	case to.At.After(now):
		return problem.New(problem.InvalidRequest, "from is %s, which is in the future; use latest to begin with what is published from now on.", event.FormatTime(to.At))
	case to.At.Before(edge):
		return problem.New(problem.InvalidRequest, "from is %s, and the log reaches back to %s only (SLUICE_RETENTION is %s).",
			event.FormatTime(to.At), event.FormatTime(edge), integration.Span(s.Settings.Retention))
	}
	return nil
}

// move moves the cursors of a stopped integration, and returns the log entry that says so.
// What is not committed together with it is not moved.
func (s *Service) move(ctx context.Context, in *integration.Integration, lanes []lane, to integration.Place, now time.Time) ([]store.Write, error) {
	before := make([]time.Time, len(lanes))
	var g errgroup.Group
	for i, l := range lanes {
		g.Go(func() (err error) {
			if before[i], err = s.standsAt(ctx, l.cursor); err != nil {
				return err
			}
			var segment uint64
			if to.Latest {
				segment, err = s.Log.End(ctx, l.cursor.Key.Partition())
			} else {
				segment, err = s.Log.Seek(ctx, l.cursor.Key.Partition(), to.At)
			}
			handoff.Move(l.cursor, handoff.Offset{Segment: segment})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	in.MovedTo = to.At
	return []store.Write{entry(in, integration.ActionPositionMoved, integration.ReasonMoved(earliest(before), to.At), now)}, nil
}

// standsAt returns when the first event after a cursor's offset was published, zero at the
// end of the log.
func (s *Service) standsAt(ctx context.Context, c *handoff.Cursor) (time.Time, error) {
	segs, err := s.Log.Read(ctx, c.Key.Partition(), c.Offset.Segment, 1)
	if err != nil || len(segs) == 0 {
		return time.Time{}, err
	}
	if d := segs[0].Damage; d != nil {
		return d.First, nil
	}
	if len(segs[0].Events) == 0 {
		return time.Time{}, nil
	}
	return segs[0].Events[min(c.Offset.Index, len(segs[0].Events)-1)].PublishedAt, nil
}

// earliest returns the earliest time that is not zero.
func earliest(times []time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
