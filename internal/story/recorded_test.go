package story

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
)

// records sets what is recorded of the event in a segment of the first lane.
func (r *rig) records(segment uint64, d deliveries.Delivery) { r.recordsAt(segment, 0, d) }

func (r *rig) recordsAt(segment uint64, index int, d deliveries.Delivery) {
	if r.delivered == nil {
		r.delivered = map[deliveries.At]*deliveries.Delivery{}
	}
	r.delivered[deliveries.At{Place: deliveries.Place{Segment: segment, Index: index}}] = &d
}

// sent is a delivery in a minute.
func sent(outcome deliveries.Outcome, minutes, status int) deliveries.Delivery {
	return deliveries.Delivery{Outcome: outcome, Attempts: 3, Last: minute(minutes), Status: status}
}

func TestVerdictsOfDeliveryRecords(t *testing.T) {
	r, in := past(t)
	r.records(5, sent(deliveries.Delivered, 6, 204))
	r.records(7, sent(deliveries.Rejected, 8, 400))
	r.records(9, sent(deliveries.Skipped, 10, 503))
	file := sent(deliveries.Delivered, 12, 200)
	file.File = "a/b.export"
	r.records(11, file)
	r.wants(5, 0, Delivered, "at "+event.FormatTime(minute(6)), "attempt 3", "204")
	r.wants(7, 0, Rejected, event.FormatTime(minute(8)), "no longer in the list") // evicted, and the log forgot it
	r.wants(9, 0, Skipped, "after 3 failed attempts")
	r.wants(11, 0, Delivered, "a/b.export")
	told := r.tell(idOf(7, 0), about(7)).Integrations[0]
	if told.Delivery == nil || told.Delivery.Status != 400 {
		t.Errorf("the delivery is %+v", told.Delivery)
	}
	if told = r.tell(idOf(8, 0), about(8)).Integrations[0]; told.Delivery != nil || told.Verdict != Delivered {
		t.Errorf("without a record it is %+v", told)
	}

	// A record is of the filter, and of the position, of its time.
	in.Filter.Names, in.CreatedAt = []string{"order.paid"}, minute(30)
	r.said(in, 35, integration.ActionPositionMoved, integration.ReasonMoved(minute(2), minute(34)))
	for m, want := range map[int]Verdict{5: Delivered, 7: Rejected, 9: Skipped, 11: Delivered, 13: Filtered} {
		r.wants(m, 0, want)
	}
	in.Filter.Names = nil
	for m, want := range map[int]Verdict{5: Delivered, 7: Rejected, 9: Skipped, 11: Delivered, 13: BeforeStart} {
		r.wants(m, 0, want)
	}
}

// A retry by hand has no record: the log says it.
func TestARetryCountsAfterARecord(t *testing.T) {
	r, in := past(t)
	r.records(7, sent(deliveries.Rejected, 8, 400))
	r.said(in, 8, integration.ActionEventRejected, rejectedReason(7))
	r.said(in, 20, integration.ActionRejectedRetried, fmt.Sprintf("Rejected event %s (order.created) was retried and delivered.", idOf(7, 0)))
	r.wants(7, 0, Delivered, "retried via API")
}

// Of the list and a record the newer counts: an event may be sent again after a move.
func TestTheListAndARecord(t *testing.T) {
	r, in := past(t)
	r.lists(in, named(idOf(7, 0), minute(7)), integration.ReasonRejected, 8)
	r.records(7, sent(deliveries.Delivered, 20, 200))
	r.wants(7, 0, Delivered, event.FormatTime(minute(20)))
	r.records(7, sent(deliveries.Delivered, 7, 200))
	r.wants(7, 0, Rejected, event.FormatTime(minute(8)))
}

// A record is of one event, also where an id is there twice.
func TestRecordsTellTwoOfAnIDApart(t *testing.T) {
	r, in := past(t)
	id := idOf(50, 7)
	r.put(0, named(id, minute(45)))
	r.put(0, named(id, minute(50)))
	r.commit(putOffset(r, in, 42))
	r.lists(in, named(id, minute(45)), integration.ReasonRejected, 46)
	r.records(42, sent(deliveries.Delivered, 51, 200))
	want := func(first, second Verdict) {
		t.Helper()
		for m, want := range map[int]Verdict{45: first, 50: second} {
			if got := r.tell(id, about(m)).Integrations[0]; got.Verdict != want {
				t.Errorf("minute %d: %s, want %s: %s", m, got.Verdict, want, got.Because)
			}
		}
	}
	want(Rejected, Delivered)
	r.records(42, sent(deliveries.Skipped, 51, 503))
	want(Rejected, Skipped)
}

// What was delivered is so, though the position was moved back since.
func TestDeliveredBeforeAMoveBack(t *testing.T) {
	r := newRig(t)
	r.publish(1, 1)
	r.publish(2, 1)
	in := hook()
	r.stands(in, handoff.Cursor{State: handoff.Scheduled, AckState: at(0, 0), DueAt: minute(60)}, 0)
	r.records(1, sent(deliveries.Delivered, 1, 200))
	r.records(2, sent(deliveries.Rejected, 1, 400))
	r.wants(1, 0, Delivered, "may be sent again")
	r.wants(2, 0, Pending)
}

// A record is of one event of a segment.
func TestRecordsAreOfOnePlace(t *testing.T) {
	r := newRig(t)
	r.publish(1, 3)
	r.stands(hook(), handoff.Cursor{State: handoff.Scheduled, AckState: at(1, 0), DueAt: minute(60)}, 0)
	r.recordsAt(1, 1, sent(deliveries.Rejected, 2, 400))
	r.wants(1, 0, Delivered)
	r.wants(1, 1, Rejected)
	r.wants(1, 2, Delivered)
}

// What was sent after a start that left it out was sent.
func TestARecordCountsForMoreThanALongStop(t *testing.T) {
	r, in := past(t)
	r.said(in, 30, integration.ActionEventsSkipped, integration.ReasonStoppedTooLong(minute(10), minute(30), time.Hour))
	r.records(12, sent(deliveries.Rejected, 33, 400))
	r.wants(12, 0, Rejected)
	r.wants(13, 0, Expired)
}
