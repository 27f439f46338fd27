package story

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// past is a rig with events of the minutes 1 to 40, each in a segment, and an integration
// that is past all of them.
func past(t *testing.T) (*rig, *integration.Integration) {
	t.Helper()
	r := newRig(t)
	for m := range 40 {
		r.publish(m+1, 1)
	}
	in := hook()
	r.stands(in, handoff.Cursor{State: handoff.Scheduled, AckState: at(40, 0), DueAt: minute(60)}, 0)
	return r, in
}

func rejectedReason(m int) string {
	return fmt.Sprintf("Event %s (order.created) was rejected. The receiver returned 400.", idOf(m, 0))
}

func TestVerdictsOfTheRejectedList(t *testing.T) {
	r, in := past(t)
	r.lists(in, named(idOf(5, 0), minute(5)), integration.ReasonRejected, 6)
	r.lists(in, named(idOf(7, 0), minute(7)), integration.ReasonSkipped, 8)
	r.lists(in, named(idOf(9, 0), minute(9)), "", 10)
	r.wants(5, 0, Rejected, event.FormatTime(minute(6)), "HTTP status code 400")
	r.wants(7, 0, Skipped, event.FormatTime(minute(8)), "2 failed attempts")
	r.wants(9, 0, Rejected)
	r.wants(6, 0, Delivered)

	// The list is not of an earlier integration with the same id.
	again := *in
	again.Incarnation = 2
	r.all = []*integration.Integration{&again}
	r.wants(5, 0, Delivered)
}

// An event that was evicted from the list of rejected events, deleted or retried is still in
// the log of the integration.
func TestVerdictsOfEventsThatLeftTheList(t *testing.T) {
	r, in := past(t)
	r.said(in, 6, integration.ActionEventRejected, rejectedReason(5))
	r.said(in, 8, integration.ActionEventSkipped, fmt.Sprintf("Event %s (order.created) was skipped via API after 2 failed attempts.", idOf(7, 0)))
	r.said(in, 9, integration.ActionRejectedEvicted, fmt.Sprintf("Rejected event %s was evicted: only the newest 30 are kept.", idOf(5, 0)))
	r.said(in, 11, integration.ActionEventRejected, rejectedReason(10))
	r.said(in, 12, integration.ActionRejectedRetried, fmt.Sprintf("Rejected event %s (order.created) was retried and delivered.", idOf(10, 0)))
	r.wants(5, 0, Rejected, event.FormatTime(minute(6)), "no longer in the list")
	r.wants(7, 0, Skipped, event.FormatTime(minute(8)), "no longer in the list")
	r.wants(10, 0, Delivered, "retried via API, at "+event.FormatTime(minute(12)))
	r.wants(11, 0, Delivered, "The receiver took it")

	// The entries that say how they came there may be gone before those of their end.
	r.said(in, 13, integration.ActionRejectedDeleted, fmt.Sprintf("2 rejected events were deleted via API: %s, %s.", idOf(12, 0), idOf(5, 0)))
	r.said(in, 14, integration.ActionRejectedEvicted, fmt.Sprintf("Rejected event %s was evicted: only the newest 30 are kept.", idOf(13, 0)))
	r.wants(12, 0, Rejected, "deleted from it via API at "+event.FormatTime(minute(13)))
	r.wants(13, 0, Rejected, "gave its place to newer ones at "+event.FormatTime(minute(14)))
	r.wants(5, 0, Rejected, event.FormatTime(minute(6)), "no longer in the list")

	// What is in the list again, and was not retried since, is rejected.
	r.lists(in, named(idOf(10, 0), minute(10)), integration.ReasonRejected, 13)
	r.wants(10, 0, Rejected, event.FormatTime(minute(13)))
}

// The position was moved from 20 to 30, then later back to 10 and on, and then to the end.
func TestVerdictsAfterMoves(t *testing.T) {
	r, in := past(t)
	move := func(at int, from, to time.Time) {
		in.MovedTo = to
		r.said(in, at, integration.ActionPositionMoved, integration.ReasonMoved(from, to))
	}
	end := time.Time{}
	move(41, minute(20), minute(30))
	r.wants(19, 0, Delivered)
	r.wants(20, 0, BeforeStart, "A start at "+event.FormatTime(minute(41)))
	r.wants(29, 0, BeforeStart)
	r.wants(30, 0, Delivered)
	move(43, minute(35), minute(25)) // back
	r.wants(19, 0, Delivered)
	r.wants(24, 0, BeforeStart)
	r.wants(25, 0, Delivered)
	r.wants(40, 0, Delivered)
	move(45, minute(33), end)
	r.wants(24, 0, BeforeStart)
	r.wants(25, 0, Delivered)
	r.wants(32, 0, Delivered)
	r.wants(33, 0, BeforeStart, event.FormatTime(minute(45)))
	r.wants(40, 0, BeforeStart)
	r.publish(50, 1)
	r.commit(putOffset(r, in, 41))
	r.wants(50, 0, Delivered)

	// What the filter does not pass is not passed over.
	in.Filter.Names = []string{"order.paid"}
	r.wants(33, 0, Filtered)
}

// putOffset moves the cursor of an integration.
func putOffset(r *rig, in *integration.Integration, segment uint64) store.Write {
	r.t.Helper()
	c, err := r.store.Cursor(context.Background(), handoff.Key{Tenant: "acme", Integration: in.ID})
	if err != nil {
		r.t.Fatal(err)
	}
	c.AckState = at(segment, 0)
	return store.PutCursor{Cursor: c}
}

// Rejections of before a move back say nothing of what was sent again after it.
func TestWhatWasSentAgainIsTold(t *testing.T) {
	r, in := past(t)
	r.said(in, 6, integration.ActionEventRejected, rejectedReason(5))
	r.said(in, 20, integration.ActionPositionMoved, integration.ReasonMoved(minute(9), minute(2)))
	r.wants(5, 0, Delivered)
	r.said(in, 21, integration.ActionEventRejected, rejectedReason(5))
	r.wants(5, 0, Rejected, event.FormatTime(minute(21)))
}

// A position that was moved to before the registration brings what was before it.
func TestVerdictsOfAMoveBeforeTheRegistration(t *testing.T) {
	r, in := past(t)
	in.CreatedAt, in.MovedTo = minute(10), minute(5)
	r.said(in, 20, integration.ActionPositionMoved, integration.ReasonMoved(minute(15), minute(5)))
	r.wants(4, 0, BeforeStart)
	r.wants(5, 0, Delivered)
	r.wants(12, 0, Delivered)
}

// The log of an integration is bounded. Without the entry of its last move, nothing says
// what was delivered before it.
func TestVerdictOfAForgottenMove(t *testing.T) {
	r, in := past(t)
	in.MovedTo = minute(30)
	r.wants(29, 0, BeforeStart, "It may have been delivered before that")
	r.wants(30, 0, Delivered)
	in.MovedTo = minute(50) // and where a seek has begun before it
	r.commit(putOffset(r, in, 20))
	r.wants(29, 0, BeforeStart)
}

func TestVerdictsAfterAStopThatWasTooLong(t *testing.T) {
	r, in := past(t)
	r.said(in, 30, integration.ActionEventsSkipped, integration.ReasonStoppedTooLong(minute(10), minute(30), time.Hour))
	r.wants(9, 0, Delivered)
	r.wants(10, 0, Expired, event.FormatTime(minute(10)), event.FormatTime(minute(30)))
	r.wants(30, 0, Expired)
	r.wants(31, 0, Delivered)
	r.said(in, 35, integration.ActionEventsSkipped, "Events older than 30 days were skipped: they are no longer stored.")
	r.wants(31, 0, Delivered)
	in.Filter.Names = []string{"order.paid"}
	r.wants(20, 0, Filtered)
}

// Where clocks differ, an entry may be of before an event and say nothing of it.
func TestEntriesOfBeforeAnEventSayNothingOfIt(t *testing.T) {
	r, in := past(t)
	r.Margin = 15 * time.Minute
	r.said(in, 20, integration.ActionPositionMoved, integration.ReasonMoved(minute(10), time.Time{}))
	r.wants(20, 0, BeforeStart)
	r.wants(21, 0, Delivered)
	r.said(in, 25, integration.ActionEventsSkipped, integration.ReasonStoppedTooLong(minute(23), minute(25), time.Hour))
	r.wants(25, 0, Expired)
	r.wants(26, 0, Delivered)
}

// What became of an event says nothing of a later one with the same id.
func TestEntriesOfAnEarlierEventWithTheID(t *testing.T) {
	r, in := past(t)
	id := idOf(50, 7)
	r.put(0, named(id, minute(45)))
	r.put(0, named(id, minute(50)))
	r.commit(putOffset(r, in, 42))
	r.said(in, 46, integration.ActionEventRejected, "Event "+id+" (order.created) was rejected. It returned 400.")
	for m, want := range map[int]Verdict{45: Rejected, 50: Delivered} {
		if got := r.tell(id, about(m)).Integrations[0]; got.Verdict != want {
			t.Errorf("minute %d: %s, want %s: %s", m, got.Verdict, want, got.Because)
		}
	}
}

// An id that was published twice, and rejected once: the story of each is its own.
func TestVerdictsOfAnIDThatIsThereTwice(t *testing.T) {
	id := idOf(50, 7)
	for name, c := range map[string]struct {
		rejected      int // minute of publishing of the one that is in the list
		first, second Verdict
	}{
		"the second":       {50, Delivered, Rejected},
		"the first or all": {45, Rejected, Rejected}, // the list has an id once
	} {
		t.Run(name, func(t *testing.T) {
			r, in := past(t)
			r.put(0, named(id, minute(45)))
			r.put(0, named(id, minute(50)))
			r.commit(putOffset(r, in, 42))
			r.said(in, c.rejected+1, integration.ActionEventRejected, rejectedReason(50)+id)
			r.lists(in, named(id, minute(c.rejected)), integration.ReasonRejected, c.rejected+1)
			for m, want := range map[int]Verdict{45: c.first, 50: c.second} {
				told := r.tell(id, about(m))
				if got := told.Integrations[0]; got.Verdict != want || !told.Event.PublishedAt.Equal(minute(m)) {
					t.Errorf("minute %d, of %v: %s, want %s: %s", m, told.Event.PublishedAt, got.Verdict, want, got.Because)
				}
			}
		})
	}
}

// An event may be rejected between the reads of a story: what is past was recorded before.
func TestRejectionBesideTheStoryIsTold(t *testing.T) {
	r := newRig(t)
	r.publish(1, 1)
	in := hook()
	r.stands(in, handoff.Cursor{State: handoff.Scheduled, AckState: at(0, 0), DueAt: minute(60)}, 0)
	cursor := r.Cursor
	r.Cursor = func(ctx context.Context, k handoff.Key) (*handoff.Cursor, error) {
		if r.get == nil {
			r.get = func(string) (*integration.Integration, error) { return in, nil }
			r.lists(in, named(idOf(1, 0), minute(1)), integration.ReasonRejected, 2)
			r.commit(putOffset(r, in, 1))
		}
		return cursor(ctx, k)
	}
	r.wants(1, 0, Rejected)
}

// An integration that is stopped, or deleted, beside the story is told of as it is then.
func TestChangesBesideTheStory(t *testing.T) {
	r := newRig(t)
	r.publish(1, 1)
	in := hook()
	r.stands(in, handoff.Cursor{State: handoff.Paused, AckState: at(0, 0)}, 0)
	in.Generation = 0 // as it was listed
	r.get = func(string) (*integration.Integration, error) {
		now := hook()
		now.Running, now.StoppedAt = false, minute(59)
		return now, nil
	}
	c, err := r.store.Cursor(t.Context(), handoff.Key{Tenant: "acme", Integration: "hook"})
	if err != nil {
		t.Fatal(err)
	}
	c.Generation = 1
	r.commit(store.PutCursor{Cursor: c})
	r.wants(1, 0, Stopped)
	r.commit(store.DeleteCursor{Cursor: c})
	if told := r.tell(idOf(1, 0), about(1)); len(told.Integrations) != 0 {
		t.Errorf("of an integration that is gone: %+v", told.Integrations)
	}
}
