package story

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
)

// What a search reads of the log, in bytes of bodies. The last read may exceed it.
const (
	maxScanned = 32 << 20
	firstRead  = 128 << 10 // of one read; each is twice as large as the one before, as
	largeRead  = 1 << 20   // most events are where they are looked for first
	leastBytes = 64        // that a segment counts for, whatever is in it
)

// deadlineReserve is how long before the deadline of its context a search gives up.
const deadlineReserve = 8 * time.Second

// place is where an event is in the log.
type place struct {
	event     *event.Event
	partition event.Partition
	segment   uint64
	index     int
}

// of returns the place as a delivery has it.
func (p *place) of() deliveries.At {
	return deliveries.At{Lane: p.partition.Lane, Place: deliveries.Place{Segment: p.segment, Index: p.index}}
}

// search looks for an event in the lanes where it may be.
type search struct {
	service *Service
	window  *window
	best    *place

	scanned        int       // bytes
	full           bool      // it has read its share
	first, reached time.Time // published_at of the first and the last event of the latest scan
	lost           int       // events of the window in damaged segments
}

// find returns the place of the event that a window means. Errors: NotFound,
// WindowTooLarge, and those of the log.
func (s *Service) find(ctx context.Context, tenant string, w *window) (*place, error) {
	look := &search{service: s, window: w}
	for _, lane := range lanesOf(w.id, s.Lanes(ctx).Of(tenant)) {
		p := event.Partition{Tenant: tenant, Lane: lane}
		end, err := s.Log.End(ctx, p)
		if err == nil && end > 0 {
			err = look.lane(ctx, p)
		}
		if err != nil {
			return nil, err
		}
		if look.best != nil {
			return look.best, nil
		}
		if look.full {
			return nil, look.tooLarge()
		}
	}
	return nil, look.notFound()
}

// lanesOf returns the lanes where an event may be, the likeliest first: an id has a lane for
// each number of lanes that the tenant has had.
func lanesOf(id string, now int) []int {
	lanes := []int{event.LaneOf(id, now)}
	seen := map[int]bool{lanes[0]: true}
	for n := 1; n <= settings.MaxLanes; n++ {
		if lane := event.LaneOf(id, n); !seen[lane] {
			seen[lane] = true
			lanes = append(lanes, lane)
		}
	}
	return lanes
}

// lane looks in one lane: first from where an event of the likeliest time is, or could be at
// the earliest, to the end of the window, then from its beginning to there. As published_at
// is out of order by up to Margin, Seek returns a segment that much earlier than the first
// with an event at or after its time; so the first part seeks a time that is as much later.
func (s *search) lane(ctx context.Context, p event.Partition) error {
	log, margin := s.service.Log, s.service.Margin
	near, err := log.Seek(ctx, p, s.window.near.Add(margin))
	if err != nil {
		return err
	}
	settled, err := s.scan(ctx, p, near, 0)
	if settled || s.full || err != nil || !s.window.near.After(s.window.from) {
		return err
	}
	if s.best != nil && !s.best.event.PublishedAt.Before(s.window.near) {
		return nil // what is before it is no better
	}
	from, err := log.Seek(ctx, p, s.window.from)
	if err != nil || from >= near {
		return err
	}
	_, err = s.scan(ctx, p, from, near)
	return err
}

// scan looks at the segments after one, up to upTo unless that is 0. It returns true if no
// other event can be better than the best.
func (s *search) scan(ctx context.Context, p event.Partition, after, upTo uint64) (settled bool, err error) {
	s.first, s.reached = time.Time{}, time.Time{}
	for size := firstRead; upTo == 0 || after < upTo; size = min(2*size, largeRead) {
		if s.full = s.scanned >= maxScanned || late(ctx); s.full {
			return false, nil
		}
		segments, err := s.service.read(ctx, p, after, size)
		if err != nil || len(segments) == 0 {
			return false, err
		}
		for i := range segments {
			seg := &segments[i]
			if after = seg.Number; upTo > 0 && after > upTo {
				return false, nil
			}
			s.scanned += max(seg.Bytes(), leastBytes)
			if settled, passed := s.look(p, seg); settled || passed {
				return settled, nil
			}
		}
	}
	return false, nil
}

// look looks for the event in a segment. passed: no event of the window is in a later one.
func (s *search) look(p event.Partition, seg *eventlog.Segment) (settled, passed bool) {
	w := s.window
	if d := seg.Damage; d != nil && !d.Last.Before(w.from) && !d.First.After(w.until) {
		s.lost += d.Events
	}
	if len(seg.Events) > 0 && s.first.IsZero() {
		s.first = seg.Events[0].PublishedAt
	}
	for i := range seg.Events {
		e := &seg.Events[i]
		s.reached = e.PublishedAt
		passed = passed || e.PublishedAt.After(w.until.Add(s.service.Margin))
		if e.ID == w.id && w.has(e.PublishedAt) && (s.best == nil || w.better(e.PublishedAt, s.best.event.PublishedAt)) {
			s.best = &place{event: e, partition: p, segment: seg.Number, index: i}
		}
		settled = settled || s.best != nil && w.settles(s.best.event.PublishedAt, e.PublishedAt.Add(-s.service.Margin))
	}
	return settled, passed
}

// read reads the log once it is the tenant's turn.
func (s *Service) read(ctx context.Context, p event.Partition, after uint64, bytes int) ([]eventlog.Segment, error) {
	if err := s.Reads.Acquire(ctx, p.Tenant); err != nil {
		return nil, err
	}
	defer s.Reads.Give(p.Tenant)
	return s.Log.Read(ctx, p, after, bytes)
}

// late reports whether the deadline of a call is near, as in a function.
func late(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < deadlineReserve
}

func (s *search) notFound() error {
	w := s.window
	text := fmt.Sprintf("The log has no event %s that was published from %s to %s.", w.id, event.FormatTime(w.from), event.FormatTime(w.until))
	if s.lost > 0 {
		text += fmt.Sprintf(" It may be one of %d events of that time that can no longer be read, as what is stored of them is damaged.", s.lost)
	}
	return problem.New(problem.NotFound, "%s If it was published at another time, say so with published_at, or with from and to.", text)
}

func (s *search) tooLarge() error {
	if s.reached.IsZero() {
		return problem.New(problem.Unavailable, "There was no time to read the log. Try again.")
	}
	w, next := s.window, s.reached.Add(-s.service.Margin)
	if !next.After(s.first) {
		next = s.reached
	}
	return problem.New(problem.WindowTooLarge,
		"The log has more than the %d MiB that one call reads from %s to %s. The event %s is not among those published from %s to %s; go on with from=%s and to=%s, or say with published_at when it was.",
		maxScanned>>20, event.FormatTime(w.from), event.FormatTime(w.until), w.id, event.FormatTime(s.first), event.FormatTime(s.reached), event.FormatTime(next), event.FormatTime(w.until))
}
