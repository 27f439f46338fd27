// Package estimate says what a registration would replay, from a bounded part of the log:
// exactly if that is all there is, otherwise from samples.
package estimate

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
)

// What an estimate reads at most, of all lanes together, in bytes of bodies. The last read
// may exceed it by a segment.
const (
	maxRead    = 8 << 20 // from the beginning on
	maxSampled = 8 << 20 // beyond it, in samples
	maxSamples = 256
	readBytes  = 1 << 20 // of one read
)

// slack is more than published_at is out of order in a log: what was published up to a time
// is before what was published so much later.
const slack = time.Hour

// Service estimates. It is safe for concurrent use.
type Service struct {
	Log      eventlog.Log
	Settings settings.Settings // Lanes and Retention
	Now      func() time.Time
	// Reads bounds the reads of the log, fairly between tenants. Nil for no bound.
	Reads *fairshare.Limiter
	// Rate returns how many events a second the tenant's receivers have taken lately; 0 if
	// that is not known. Nil if it never is.
	Rate func(tenant string) float64
}

// Estimate is what a registration would replay, by its filter. Times are zero if there is
// no such event.
type Estimate struct {
	Events          int64
	Bytes           int64     // of their bodies
	OldestAvailable time.Time // published_at of the earliest event within the retention, whatever its name
	First, Last     time.Time // published_at of the first and the last event
	Exact           bool
	Duration        time.Duration // that it would take; 0 if that is not known
}

// Seconds returns the duration in whole seconds, rounded up.
func (e *Estimate) Seconds() int64 { return int64((e.Duration + time.Second - 1) / time.Second) }

// Estimate validates a registration as far as that needs no look at its target, and
// estimates what it would replay of what is in the log now. Errors: InvalidRequest.
func (s *Service) Estimate(ctx context.Context, tenant string, spec integration.Spec) (*Estimate, error) {
	now := s.Now()
	if err := spec.Validate(now); err != nil {
		return nil, err
	}
	w := &work{service: s, tenant: tenant, filter: event.Filter{Names: spec.Filter.Names, Entities: spec.Filter.Entities}}
	w.edge = now.Add(-s.Settings.Retention)
	w.filter.From, w.filter.Until = spec.StartsAt, spec.EndsAt
	if w.filter.From.IsZero() {
		w.filter.From = now // nothing of the past
	}
	if w.filter.From.Before(w.edge) {
		w.filter.From = w.edge
	}
	if err := w.do(ctx, spec.StartsAt.IsZero()); err != nil {
		return nil, err
	}
	e := w.found
	e.Exact = !w.sampled
	if s.Rate != nil && e.Events > 0 {
		if rate := s.Rate(tenant); rate > 0 {
			e.Duration = time.Duration(float64(e.Events) / rate * float64(time.Second))
		}
	}
	return &e, nil
}

// work is one estimate.
type work struct {
	service *Service
	tenant  string
	filter  event.Filter
	edge    time.Time
	found   Estimate
	read    int  // bytes
	sampled bool // not all was read
}

// do goes through all lanes. Of a registration without a past it only finds the oldest
// event.
func (w *work) do(ctx context.Context, noPast bool) error {
	var lanes []*span
	for i := range settings.MaxLanes {
		p := event.Partition{Tenant: w.tenant, Lane: i}
		end, err := w.service.Log.End(ctx, p)
		if err != nil {
			return err
		}
		if end == 0 {
			continue
		}
		if err := w.oldest(ctx, p); err != nil {
			return err
		}
		if noPast {
			continue
		}
		l := &span{partition: p}
		if l.from, l.to, err = w.bounds(ctx, p, end); err != nil {
			return err
		}
		lanes = append(lanes, l)
	}
	for _, l := range lanes {
		if err := w.scan(ctx, l); err != nil {
			return err
		}
	}
	return w.sample(ctx, lanes)
}

// span is what may be replayed of a lane: the segments after from, up to to.
type span struct {
	partition event.Partition
	from, to  uint64
}

// bounds returns the segments that have the events of the filter's times, and some more.
func (w *work) bounds(ctx context.Context, p event.Partition, end uint64) (from, to uint64, err error) {
	log := w.service.Log
	if from, err = log.Seek(ctx, p, w.filter.From); err != nil {
		return 0, 0, err
	}
	to = end
	if until := w.filter.Until.Add(slack); !w.filter.Until.IsZero() && until.Before(w.service.Now()) {
		if to, err = log.Seek(ctx, p, until); err != nil {
			return 0, 0, err
		}
	}
	return from, max(from, to), nil
}

// oldest notes the earliest event of a lane that is within the retention.
func (w *work) oldest(ctx context.Context, p event.Partition) error {
	after, err := w.service.Log.Seek(ctx, p, w.edge)
	if err != nil {
		return err
	}
	for range 3 { // a seek may be some segments early
		segments, err := w.segments(ctx, p, after, 1)
		if err != nil || len(segments) == 0 {
			return err
		}
		for i := range segments {
			for j := range segments[i].Events {
				at := segments[i].Events[j].PublishedAt
				if !at.Before(w.edge) {
					w.found.OldestAvailable = earlier(w.found.OldestAvailable, at)
					return nil
				}
			}
			after = segments[i].Number
		}
	}
	return nil
}

// segments reads the log once it is the tenant's turn.
func (w *work) segments(ctx context.Context, p event.Partition, after uint64, bytes int) ([]eventlog.Segment, error) {
	reads := w.service.Reads
	if err := reads.Acquire(ctx, w.tenant); err != nil {
		return nil, err
	}
	defer reads.Give(w.tenant)
	return w.service.Log.Read(ctx, p, after, bytes)
}

// earlier returns the earlier of two times, of which the first may be zero.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
