package deliveries

import (
	"context"
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/fairshare"
)

// reader looks events up in the log, and counts what it reads.
type reader struct {
	log    Log
	turns  *fairshare.Limiter
	tenant string
	bytes  int
}

func (s *Service) reader(tenant string) reader {
	return reader{log: s.Log, turns: s.Reads, tenant: tenant}
}

// deadlineReserve is how long before the deadline of its context a call reads no more.
const deadlineReserve = 5 * time.Second

// full reports whether the call has read its share of the log, or must end.
func (r *reader) full(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return r.bytes > maxRead || ok && time.Until(deadline) < deadlineReserve
}

// The sizes of a read: of one segment, or of several where the next ones are needed too.
const (
	readOne  = 1
	readMany = 128 << 10
	near     = 32 // segments
)

func (r *reader) read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]eventlog.Segment, error) {
	if err := r.turns.Acquire(ctx, p.Tenant); err != nil {
		return nil, err
	}
	defer r.turns.Give(p.Tenant)
	segs, err := r.log.Read(ctx, p, after, maxBytes)
	for i := range segs {
		r.bytes += segs[i].Bytes()
	}
	return segs, err
}

// look sets the events of deliveries of one lane. An event that the log does not have any
// more stays nil.
func (r *reader) look(ctx context.Context, some []Delivery) error {
	if len(some) == 0 {
		return nil
	}
	order := make([]*Delivery, len(some))
	for i := range some {
		order[i] = &some[i]
	}
	slices.SortFunc(order, func(a, b *Delivery) int { return a.Place.compare(b.Place) })
	p := event.Partition{Tenant: r.tenant, Lane: some[0].Lane}
	for len(order) > 0 {
		segment := order[0].Segment
		size := readOne
		if i := slices.IndexFunc(order, func(d *Delivery) bool { return d.Segment > segment }); i > 0 && order[i].Segment <= segment+near {
			size = readMany
		}
		segs, err := r.read(ctx, p, segment-1, size)
		if err != nil || len(segs) == 0 {
			return err
		}
		for i := range segs {
			for len(order) > 0 && order[0].Segment <= segs[i].Number {
				if order[0].Segment == segs[i].Number && order[0].Index < len(segs[i].Events) {
					order[0].Event = &segs[i].Events[order[0].Index]
				}
				order = order[1:]
			}
		}
	}
	return nil
}

// between returns the events from one place on and before another one that pass a filter,
// in the order of the log.
func (r *reader) between(ctx context.Context, p event.Partition, from, to Place, filter *event.Filter) ([]Delivery, error) {
	var found []Delivery
	for at := from.Segment; ; {
		segs, err := r.read(ctx, p, at-1, readMany)
		if err != nil || len(segs) == 0 {
			return found, err
		}
		for i := range segs {
			if segs[i].Number > to.Segment {
				return found, nil
			}
			for j := range segs[i].Events {
				place := Place{segs[i].Number, j}
				if ev := &segs[i].Events[j]; !place.Before(from) && place.Before(to) && (filter == nil || filter.Pass(ev)) {
					found = append(found, Delivery{At: At{p.Lane, place}, Event: ev})
				}
			}
		}
		if at = segs[len(segs)-1].Number + 1; at > to.Segment {
			return found, nil
		}
	}
}
