package health

import (
	"context"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
)

// lane is the place of an integration in one partition.
type lane struct {
	cursor *handoff.Cursor     // nil if it was deleted
	member *handoff.Subscriber // nil unless it is live
	rest   eventlog.Rest       // what the log has after its offset
	behind Behind
	tally  handoff.Tally
	waits  *event.Event // the event that waits, if it fails
}

// laneOf finds the place of an integration in a lane.
func (r *reading) laneOf(ctx context.Context, in *integration.Integration, n int) (lane, error) {
	c, err := r.Cursor(ctx, handoff.Key{Tenant: in.Tenant, Integration: in.ID, Lane: n})
	if problem.CodeOf(err) == problem.NotFound {
		return lane{}, nil
	}
	if err != nil {
		return lane{}, err
	}
	if c.State == handoff.Finished {
		return lane{cursor: c, tally: c.Tally}, nil
	}
	l, err := r.lane(ctx, c)
	if problem.CodeOf(err) == problem.NotFound {
		return lane{}, nil
	}
	if err == nil && l.fails() && in.Webhook != nil {
		l.waits, err = r.waiting(ctx, l.cursor, in.EventFilter())
	}
	if err == nil && l.waits != nil {
		l.behind.Oldest = l.waits.PublishedAt
	}
	return l, err
}

// fails reports whether the lane waits for its receiver.
func (l *lane) fails() bool { return l.cursor.State == handoff.Scheduled && l.cursor.Failures > 0 }

// lane finds the place of a cursor.
func (r *reading) lane(ctx context.Context, c *handoff.Cursor) (lane, error) {
	at, err := r.look.Of(ctx, c)
	if err != nil {
		return lane{}, err
	}
	l := lane{cursor: at.Cursor, member: at.Member, tally: at.AckState.Tally}
	l.rest, err = r.after(ctx, c.Key.Partition(), at.AckState.Offset.Segment)
	l.behind = behind(at.AckState, l.rest)
	return l, err
}

// behind subtracts what is acknowledged from what the log has. The states of an AckState
// are of the segments right after its offset: if these were trimmed they say nothing.
func behind(at handoff.AckState, rest eventlog.Rest) Behind {
	b := Behind{Events: rest.Events, Bytes: rest.Bytes, Oldest: rest.First}
	if rest.Next == at.Offset.Segment+1 {
		b.Events = max(0, rest.Events-at.Beyond())
	}
	if b.Events == 0 {
		return Behind{}
	}
	b.Bytes = rest.Bytes * int64(b.Events) / int64(rest.Events)
	return b
}

// waiting returns the first event of a cursor that is not acknowledged and passes the
// filter; nil if the next segment has none.
func (r *reading) waiting(ctx context.Context, c *handoff.Cursor, filter event.Filter) (*event.Event, error) {
	segs, err := r.Log.Read(ctx, c.Key.Partition(), c.Offset.Segment, 1)
	if err != nil || len(segs) == 0 {
		return nil, err
	}
	var at handoff.AckState
	if segs[0].Number == c.Offset.Segment+1 {
		at = c.AckState
	}
	events := segs[0].Events
	for i := at.Offset.Index; i < len(events); i++ {
		if at.StateOf(i) != handoff.Acked && filter.Pass(&events[i]) {
			return &events[i], nil
		}
	}
	return nil, nil
}
