package deliveries

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
)

// retrying returns the events that have failed and are tried again, by lane and place. A
// failed attempt has no record: the cursor says it.
func (s *Service) retrying(ctx context.Context, in *integration.Integration, log *reader) ([]Delivery, error) {
	var all []Delivery
	for lane := range in.Lanes {
		waiting, err := s.retryingIn(ctx, in, lane, log)
		if err != nil {
			return nil, err
		}
		all = append(all, waiting...)
	}
	return all, nil
}

func (s *Service) retryingIn(ctx context.Context, in *integration.Integration, lane int, log *reader) ([]Delivery, error) {
	c, err := s.Cursors.Cursor(ctx, handoff.Key{Tenant: in.Tenant, Integration: in.ID, Lane: lane})
	if problem.CodeOf(err) == problem.NotFound {
		return nil, nil
	}
	if err != nil || c.State != handoff.Scheduled || c.Generation != in.Generation {
		return nil, err
	}
	if in.S3 != nil {
		return waitingFile(ctx, in, c, log)
	}
	return tried(ctx, c, log)
}

// tried returns the events that a cursor knows as tried and not acknowledged. The
// cursor keeps the last response. If several events have failed, it is known to be of the
// first only after a probe.
func tried(ctx context.Context, c *handoff.Cursor, log *reader) ([]Delivery, error) {
	ahead, first := c.Ahead, c.FirstTries
	failed := 0
	for _, state := range ahead {
		if state > 0 {
			failed++
		}
	}
	var found []Delivery
	at, index := c.Offset.Segment, c.Offset.Index
	for len(found) < failed {
		segs, err := log.read(ctx, c.Key.Partition(), at, readMany)
		if err != nil || len(segs) == 0 {
			return found, err
		}
		for i := range segs {
			if segs[i].Number != at+1 || segs[i].Damage != nil {
				return found, nil // what the states say is of segments that are not there
			}
			for at = segs[i].Number; index < len(segs[i].Events) && len(ahead) > 0; index++ {
				if ahead[0] > 0 {
					d := Delivery{At: At{c.Key.Lane, Place{at, index}}, Event: &segs[i].Events[index], Outcome: Retrying, Attempts: ahead[0], Took: -1}
					if len(first) > 0 {
						d.First, first = timeOf(first[0]), first[1:]
					}
					if d.Attempts == 1 {
						d.Last = d.First
					}
					found = append(found, d)
				}
				ahead = ahead[1:]
			}
			index = 0
		}
	}
	if len(found) > 0 && (failed == 1 || c.Failures > 1) {
		found[0].failed(c)
	}
	return found, nil
}

// failed sets what a cursor knows of its last failed attempt.
func (d *Delivery) failed(c *handoff.Cursor) {
	if c.Failures == 0 {
		return
	}
	d.Status, d.Cause = c.Status, c.Cause
	if !c.TriedAt.IsZero() {
		d.Last, d.Took = c.TriedAt, time.Duration(c.TookMS)*time.Millisecond
	}
}

// waitingFile returns the first event of a file that could not be written. Which others
// the next attempt will have, nobody knows before it.
func waitingFile(ctx context.Context, in *integration.Integration, c *handoff.Cursor, log *reader) ([]Delivery, error) {
	if c.Failures == 0 {
		return nil, nil
	}
	filter := in.EventFilter()
	from := Place{c.Offset.Segment + 1, c.Offset.Index}
	events, err := log.between(ctx, event.Partition{Tenant: in.Tenant, Lane: c.Key.Lane}, from, Place{Segment: from.Segment + fileSegments}, &filter)
	if err != nil || len(events) == 0 {
		return nil, err
	}
	d := events[0]
	d.Outcome, d.Attempts, d.First, d.Took = Retrying, c.Failures, c.FailingSince, -1
	if c.Upload != nil {
		d.File = c.Upload.Key
	}
	d.failed(c)
	return []Delivery{d}, nil
}
