package delivery_test

import (
	"context"
	"slices"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
)

// checkRecorded checks the delivery records at the end of a case: what is through has one,
// and none tells of what did not happen.
func (w *world) checkRecorded() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.faults) > 0 || w.settings.DeliveryRetention == 0 {
		return
	}
	for _, l := range w.lives {
		recorded := w.recordedOf(l)
		for _, e := range w.owed(l) {
			r := w.got[lifeName(l.in)][e.ID]
			if r == nil || l.moved || l.leapt {
				continue
			}
			if through := r.acked > 0 || r.through(); through && len(recorded[e.ID]) == 0 {
				w.fail("recorded: %s got %s, and no record says so: %+v", lifeName(l.in), e.ID, *r)
			}
		}
	}
}

// recordedOf returns the outcomes that are recorded of each event of a life.
func (w *world) recordedOf(l *life) map[string][]deliveries.Outcome {
	all := map[string][]deliveries.Outcome{}
	for lane := range w.mostLanes() {
		part := event.Partition{Tenant: l.in.Tenant, Lane: lane}
		events := map[deliveries.Place]*event.Event{}
		inLog, _ := w.log.Read(context.Background(), part, 0, 1<<30)
		for _, seg := range slices.Concat(w.trimmed[part], inLog) {
			for i := range seg.Events {
				events[deliveries.Place{Segment: seg.Number, Index: i}] = &seg.Events[i]
			}
		}
		for _, by := range []string{"", l.in.ID} {
			records, err := w.records.Deliveries(context.Background(), deliveries.Query{Partition: part, Integration: by, Limit: 1 << 20})
			if err != nil {
				w.fail("recorded: %v", err)
			}
			for i := range records {
				w.unpack(l, &records[i], events, all)
			}
		}
	}
	return all
}

func (w *world) unpack(l *life, record *deliveries.Record, events map[deliveries.Place]*event.Event, into map[string][]deliveries.Outcome) {
	parts, err := record.Unpack(l.in.ID, l.in.Incarnation)
	if err != nil {
		w.fail("recorded: %v", err)
	}
	for _, p := range parts {
		for _, r := range p.Results {
			e := events[r.Place]
			if e == nil {
				w.fail("recorded: %s has a result of %+v, where there is no event", lifeName(l.in), r.Place)
				continue
			}
			w.isTrue(l, e, r)
			into[e.ID] = append(into[e.ID], r.Outcome)
		}
		if f := p.File; f != nil {
			for place, e := range events {
				from, to := deliveries.Place{Segment: f.From.Segment + 1, Index: f.From.Index}, deliveries.Place{Segment: f.To.Segment + 1, Index: f.To.Index}
				if !place.Before(from) && place.Before(to) && f.Filter.Pass(e) {
					if !l.leapt { // else the log may have lost some before the file was written: nobody can look those up
						w.isTrue(l, e, deliveries.Result{Outcome: deliveries.Delivered, Attempts: f.Attempts})
					}
					into[e.ID] = append(into[e.ID], deliveries.Delivered)
				}
			}
		}
	}
}

// refused notes that a receiver has rejected an event. The log of the integration need not
// say so: an event that was skipped, and is sent again after a move, is in the list already.
func (w *world) refused(in *integration.Integration, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.receipt(in, id).ended(deliveries.Rejected)
}

// ended notes that it was rejected, or skipped.
func (r *receipt) ended(how deliveries.Outcome) {
	if r.ends == nil {
		r.ends = make(map[deliveries.Outcome]bool)
	}
	r.ends[how] = true
}

// isTrue fails unless what a record says has happened.
func (w *world) isTrue(l *life, e *event.Event, r deliveries.Result) {
	got := w.got[lifeName(l.in)][e.ID]
	if got == nil || r.Attempts < 1 {
		w.fail("recorded: %s has %+v of %s, which it did not get", lifeName(l.in), r, e.ID)
		return
	}
	if happened := got.ends[r.Outcome] || r.Outcome == deliveries.Delivered && got.emitted > 0; !happened {
		w.fail("recorded: %s has %+v of %s, of which is known %+v", lifeName(l.in), r, e.ID, *got)
	}
}
