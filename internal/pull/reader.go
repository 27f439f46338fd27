package pull

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
)

// reader reads the lanes of a tenant's log side by side, for one page.
type reader struct {
	service *Service
	in      *integration.Integration
	place   *place
	filter  event.Filter

	lanes   []*lane
	scanned int  // bytes
	more    bool // it has read its share, and there is more
	lost    int  // events in damaged segments
}

// lane is what was read of one lane. Its offset is that of its next event.
type lane struct {
	partition event.Partition
	at        *handoff.Offset
	known     bool // see place
	segments  []eventlog.Segment
	ended     bool
}

func (l *lane) event() *event.Event { return &l.segments[0].Events[l.at.Index] }

// next returns the lane whose next event was published first; nil if there is none, or
// none that this reader may still read.
func (r *reader) next(ctx context.Context) (first *lane, err error) {
	if r.lanes == nil {
		r.open()
	}
	for _, l := range r.lanes {
		found, err := r.peek(ctx, l)
		if err != nil {
			return nil, err
		}
		if r.more {
			return nil, nil
		}
		if found && (first == nil || l.event().PublishedAt.Before(first.event().PublishedAt)) {
			first = l
		}
	}
	return first, nil
}

func (r *reader) open() {
	for i := range r.place.lanes {
		r.lanes = append(r.lanes, &lane{
			partition: event.Partition{Tenant: r.in.Tenant, Lane: i},
			at:        &r.place.lanes[i],
			known:     i < r.place.known,
		})
	}
}

// peek moves the lane to its next event that passes the filter; false if it has none.
func (r *reader) peek(ctx context.Context, l *lane) (found bool, err error) {
	oldest := r.service.edge().Add(-edgeGrace)
	for {
		if len(l.segments) == 0 {
			if more, err := r.fill(ctx, l); !more || err != nil {
				return false, err
			}
		}
		seg := &l.segments[0]
		if seg.Damage == nil && l.at.Index > len(seg.Events) {
			return false, errBeyond()
		}
		for ; l.at.Index < len(seg.Events); l.at.Index++ {
			e := &seg.Events[l.at.Index]
			if e.PublishedAt.Before(r.place.from) || !r.filter.Pass(e) {
				continue
			}
			if l.known && e.PublishedAt.Before(oldest) {
				return false, r.service.expired()
			}
			return true, nil
		}
		if seg.Damage != nil {
			r.lost += max(0, seg.Damage.Events-l.at.Index)
		}
		*l.at = handoff.Offset{Segment: seg.Number}
		l.segments = l.segments[1:]
	}
}

// fill reads on in a lane; false at its end, or if the reader has read its share.
func (r *reader) fill(ctx context.Context, l *lane) (bool, error) {
	if l.ended {
		return false, nil
	}
	if r.scanned >= maxScanned {
		r.more = true
		return false, nil
	}
	segments, err := r.service.read(ctx, l.partition, l.at.Segment, len(r.lanes))
	if err != nil {
		return false, err
	}
	if len(segments) == 0 {
		if segments, err = r.sinceRead(ctx, l); len(segments) == 0 || err != nil {
			l.ended = true
			return false, err
		}
	}
	if first := segments[0].Number; first != l.at.Segment+1 {
		if l.known {
			return false, r.service.expired()
		}
		*l.at = handoff.Offset{Segment: first - 1}
	}
	for i := range segments {
		r.scanned += segments[i].Bytes()
	}
	l.segments = segments
	return true, nil
}

// sinceRead is called where a read found nothing after a lane's offset: this is the end of
// the log, or what followed is gone, or it was appended since that read and is returned.
func (r *reader) sinceRead(ctx context.Context, l *lane) ([]eventlog.Segment, error) {
	if !l.known || r.place.checked {
		return nil, nil
	}
	end, err := r.service.Log.End(ctx, l.partition)
	switch {
	case err != nil:
		return nil, err
	case l.at.Segment > end || l.at.Segment == end && l.at.Index > 0:
		return nil, errBeyond()
	case l.at.Segment == end:
		return nil, nil
	}
	segments, err := r.service.read(ctx, l.partition, l.at.Segment, len(r.lanes))
	if err == nil && len(segments) == 0 {
		err = r.service.expired()
	}
	return segments, err
}

// read reads the log once it is the tenant's turn.
func (s *Service) read(ctx context.Context, p event.Partition, after uint64, lanes int) ([]eventlog.Segment, error) {
	if err := s.Reads.Acquire(ctx, p.Tenant); err != nil {
		return nil, err
	}
	defer s.Reads.Give(p.Tenant)
	return s.Log.Read(ctx, p, after, max(leastRead, readBytes/lanes))
}

// edge is the time from which on events are within the retention.
func (s *Service) edge() time.Time { return s.Now().Add(-s.Settings.Retention) }

func (s *Service) expired() error {
	return problem.New(problem.PositionExpired,
		"position is older than the retention of %s: events after it are no longer stored. Begin again with position=earliest.", integration.Span(s.Settings.Retention))
}

// errBeyond is for a position that this log has never given, or before it was restored
// from a backup.
func errBeyond() error {
	return problem.New(problem.InvalidPosition, "position is beyond the end of the log. Begin again with position=earliest, or with a time.")
}
