package deliveries

import (
	"context"
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
)

// Find returns what became of the event at a place in the log: of its newest delivery to an
// integration, or of its attempts if it is being retried. It returns nil if it was not sent
// yet, if it was and is older than the records that are kept, and for an event that the
// integration's filter drops.
func (s *Service) Find(ctx context.Context, in *integration.Integration, at At, ev *event.Event) (*Delivery, error) {
	waiting, err := s.retryingIn(ctx, in, at.Lane, new(s.reader(in.Tenant)))
	if err != nil {
		return nil, err
	}
	for i := range waiting {
		if waiting[i].At == at {
			return &waiting[i], nil
		}
	}
	all, err := s.recordsOf(ctx, in, at, ev)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

// How many records a look-up reads of those that may have the segment of an event: at most,
// and at a time of live delivery, where nearly always the first has it.
const (
	findLimit = 100
	findStep  = 4
)

// recordsOf returns the deliveries of an event that are recorded, newest first.
func (s *Service) recordsOf(ctx context.Context, in *integration.Integration, at At, ev *event.Event) ([]Delivery, error) {
	if s.Keep <= 0 {
		return nil, nil
	}
	var all []Delivery
	for _, caughtUp := range []bool{false, true} {
		q := s.query(in.Tenant, in.ID, source{at.Lane, caughtUp})
		// A clock may have been set back between the stamp of an event and its delivery.
		if from := ev.PublishedAt.Add(-time.Minute); from.After(q.From) {
			q.From = from
		}
		q.Through = at.Segment
		var records []Record
		var err error
		if caughtUp {
			q.Within, q.Limit = at.Segment, findLimit
			records, err = s.Records.Deliveries(ctx, q)
		} else {
			records, err = s.liveRecords(ctx, q, at.Segment)
		}
		if err != nil {
			return nil, err
		}
		for i := range records {
			found, err := records[i].of(in, at, ev)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
	}
	slices.SortStableFunc(all, newestFirst)
	return all, nil
}

// liveRecords returns the records of live delivery that may have a segment. It goes through
// the log once: after a record of what comes later, there is none.
func (s *Service) liveRecords(ctx context.Context, q Query, segment uint64) (all []Record, err error) {
	q.Oldest, q.Limit = true, findStep
	for len(all) < findLimit {
		records, err := s.Records.Deliveries(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range records {
			if records[i].First > segment {
				return all, nil
			}
			all = append(all, records[i])
		}
		if len(records) < findStep {
			return all, nil
		}
		q.From = records[len(records)-1].At.Add(1)
	}
	return all, nil
}

// of returns the deliveries of an event in a record.
func (r *Record) of(in *integration.Integration, at At, ev *event.Event) ([]Delivery, error) {
	parts, err := r.Unpack(in.ID, in.Incarnation)
	if err != nil {
		return nil, err
	}
	var found []Delivery
	for _, p := range parts {
		if p.File != nil && p.File.has(at.Place, ev) {
			d := Delivery{At: at, Event: ev}
			d.file(p.File)
			found = append(found, d)
		}
		for i := range p.Results {
			if p.Results[i].Place == at.Place {
				d := p.Results[i].delivery(at.Lane)
				d.Event = ev
				found = append(found, d)
			}
		}
	}
	return found, nil
}

// How far from the time in its id an event is looked for that has one: an id is made just
// before the event gets its published_at, which is never before that of the one before.
const (
	idBefore = 5 * time.Second
	idAfter  = 2 * time.Minute
)

// byID looks for the event of a request where the time in its id says. It reports false if
// the id has no time, or the event is not there: the publisher may have made the id.
func (l *list) byID(ctx context.Context) (found bool, err error) {
	made, ok := event.TimeOfID(l.request.EventID)
	if !ok {
		return false, nil
	}
	for lane := range l.in.Lanes {
		some, err := l.near(ctx, event.Partition{Tenant: l.in.Tenant, Lane: lane}, made)
		if err != nil {
			return false, err
		}
		for i := range some {
			found = true
			if err := l.addAll(ctx, &some[i]); err != nil {
				return false, err
			}
		}
	}
	return found, nil
}

// near returns where the event is in a lane, of those that were published about then.
func (l *list) near(ctx context.Context, p event.Partition, made time.Time) (found []Delivery, err error) {
	after, err := l.service.Log.Seek(ctx, p, made.Add(-idBefore))
	if err != nil {
		return nil, err
	}
	for !l.log.full(ctx) {
		segs, err := l.log.read(ctx, p, after, readMany)
		if err != nil || len(segs) == 0 {
			return found, err
		}
		for i := range segs {
			seg := &segs[i]
			for j := range seg.Events {
				if ev := &seg.Events[j]; ev.ID == l.request.EventID {
					found = append(found, Delivery{At: At{p.Lane, Place{seg.Number, j}}, Event: ev})
				}
			}
			if len(seg.Events) > 0 && seg.Events[0].PublishedAt.After(made.Add(idAfter)) {
				return found, nil
			}
		}
		after = segs[len(segs)-1].Number
	}
	return found, nil
}

// addAll adds all deliveries of one event to the page, as far as the limit goes.
func (l *list) addAll(ctx context.Context, at *Delivery) error {
	waiting, err := l.service.retryingIn(ctx, l.in, at.Lane, &l.log)
	if err != nil {
		return err
	}
	all := slices.DeleteFunc(waiting, func(d Delivery) bool { return d.At != at.At })
	recorded, err := l.service.recordsOf(ctx, l.in, at.At, at.Event)
	if err != nil {
		return err
	}
	all = append(all, recorded...)
	for i := range all {
		if l.passes(&all[i]) && len(l.page) < l.request.Limit {
			l.page = append(l.page, all[i])
		}
	}
	return nil
}
