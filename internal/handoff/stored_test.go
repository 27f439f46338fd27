package handoff_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/store/storetest"
)

func TestCursorIsStoredAs(t *testing.T) {
	storetest.StoredAs(t, handoff.Cursor{State: handoff.Paused}, `{"generation":0,"state":"parked","position":{"segment":0,"index":0}}`)
	storetest.StoredAs(t, handoff.Cursor{
		Generation: 18446744073709551615, State: handoff.Scheduled, AckState: at(18446744073709551614, 3, handoff.Acked, 0, 2),
		DueAt: now, LeftAt: now.Add(time.Second), Failures: 4, FailingSince: now.Add(2 * time.Second),
		Cause: "connection refused", Slowness: 5, SlowUntil: now.Add(3*time.Second + time.Nanosecond),
	}, `{"generation":18446744073709551615,"state":"driven","position":{"segment":18446744073709551614,"index":3},"ahead":[-1,0,2],`+
		`"due_at":"2025-06-01T12:00:00Z","left_at":"2025-06-01T12:00:01Z","failures":4,"failing_since":"2025-06-01T12:00:02Z",`+
		`"cause":"connection refused","slowness":5,"slow_until":"2025-06-01T12:00:03.000000001Z"}`)
}

// What an operator is told of costs nothing where none is.
func TestWhatIsToldIsStoredAs(t *testing.T) {
	storetest.StoredAs(t, handoff.Cursor{State: handoff.Paused, Lagging: true, LagFrom: now, Told: handoff.ToldFailing},
		`{"generation":0,"state":"parked","position":{"segment":0,"index":0},"lagging":true,"lag_from":"2025-06-01T12:00:00Z","told":1}`)
}

// The tally of a cursor or a subscriber that has none costs nothing.
func TestTalliesAreStoredAs(t *testing.T) {
	tally := handoff.Tally{Filtered: 1, Delivered: 2, Rejected: 3, Skipped: 4, DeliveredAt: now}
	const text = `"tally":{"filtered":1,"delivered":2,"rejected":3,"skipped":4,"delivered_at":"2025-06-01T12:00:00Z"}}`
	storetest.StoredAs(t, handoff.AckState{Tally: tally}, `{"position":{"segment":0,"index":0},`+text)
	storetest.StoredAs(t, handoff.Subscriber{ID: "a", Mode: handoff.Deliver, JoinedAt: now, Tally: tally},
		`{"id":"a","generation":0,"mode":"deliver","from":0,"joined_at":"2025-06-01T12:00:00Z",`+text)
	storetest.StoredAs(t, handoff.Cursor{State: handoff.Paused, Status: 503}, `{"generation":0,"state":"parked","position":{"segment":0,"index":0},"status":503}`)
}

// What is known of failed attempts costs nothing where there are none.
func TestTriesAreStoredAs(t *testing.T) {
	storetest.StoredAs(t, handoff.Cursor{
		State: handoff.Scheduled, AckState: handoff.AckState{Ahead: []int{2, 1}, FirstTries: []int64{1748779200000, 0}}, TriedAt: now, TookMS: 41,
	}, `{"generation":0,"state":"driven","position":{"segment":0,"index":0},"ahead":[2,1],"first_tries":[1748779200000,0],`+
		`"tried_at":"2025-06-01T12:00:00Z","took_ms":41}`)
}

func TestPartitionStateIsStoredAs(t *testing.T) {
	storetest.StoredAs(t, handoff.PartitionState{}, `{"delivered":0}`)
	storetest.StoredAs(t, handoff.PartitionState{LowWatermark: 18446744073709551615, Live: []handoff.Subscriber{
		{ID: "hook", Generation: 7, Mode: handoff.Deliver, From: 5, JoinedAt: now},
		{ID: "slow", Generation: 8, Mode: handoff.Wake, WakeDelay: time.Minute, From: 6, JoinedAt: later},
	}}, `{"delivered":18446744073709551615,"followers":[`+
		`{"id":"hook","generation":7,"mode":"deliver","from":5,"joined_at":"2025-06-01T12:00:00Z"},`+
		`{"id":"slow","generation":8,"mode":"wake","wake_delay":60000000000,"from":6,"joined_at":"2025-06-01T13:00:00Z"}]}`)
}

// The value of an item contains neither its key nor its version.
func TestKeysAndVersionsAreNotStored(t *testing.T) {
	c, r := cursor(handoff.Finished, at(1, 0)), state(3)
	for text, stored := range map[string]any{
		`{"generation":7,"state":"finished","position":{"segment":1,"index":0}}`: c,
		`{"delivered":3}`: r,
	} {
		if got, err := json.Marshal(stored); err != nil || string(got) != text {
			t.Errorf("%T is stored as %s, %v, want %s", stored, got, err, text)
		}
	}
}

func TestStatesAndModesAreStoredAs(t *testing.T) {
	for got, want := range map[handoff.State]string{
		handoff.Scheduled: "driven", handoff.Live: "following", handoff.Paused: "parked", handoff.Finished: "finished",
	} {
		if string(got) != want {
			t.Errorf("a state is %q, want %q", got, want)
		}
	}
	if handoff.Deliver != "deliver" || handoff.Wake != "wake" {
		t.Errorf("the modes are %q and %q", handoff.Deliver, handoff.Wake)
	}
	if handoff.Acked != -1 {
		t.Errorf("an acknowledged event is stored as %d", handoff.Acked)
	}
}

func TestACursorReadsThePartitionOfItsLane(t *testing.T) {
	if got := (handoff.Key{Tenant: "acme", Integration: "hook", Lane: 3}).Partition(); got != (event.Partition{Tenant: "acme", Lane: 3}) {
		t.Errorf("it reads %+v", got)
	}
}
