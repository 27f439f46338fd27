package worker

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/sink"
)

// collects runs a test with a worker that collects results, in a bubble. A call takes as long
// as took says, and then has the outcome that answer says.
func collects(t *testing.T, filter event.Filter, took func(id string) time.Duration, answer func(id string) sink.Verdict, test func(w *Worker)) {
	synctest.Test(t, func(t *testing.T) {
		w := New(context.Background(), Job{
			Send: func(_ context.Context, e *event.Event, _ int) sink.Verdict {
				time.Sleep(took(e.ID))
				v := answer(e.ID)
				v.Started = time.Now()
				return v
			},
			Keep:  func(context.Context, *event.Event, int, sink.Verdict) error { return nil },
			Slots: NewSlots(20, "acme", nil), Filter: filter, Results: true, Now: time.Now, Changed: make(chan struct{}, 1),
		})
		defer w.Abandon()
		w.Extend(time.Now().Add(time.Hour))
		test(w)
		w.Halt()
		w.Drain()
	})
}

// places returns where the results are, as the ids that numbered gives.
func places(results []deliveries.Result) (ids []string) {
	for _, r := range results {
		ids = append(ids, fmt.Sprintf("%d-%d", r.Segment, r.Index))
	}
	return ids
}

// roomForResults returns for how many results there is room, of how many segments.
func (w *Worker) roomForResults() (segments, room int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, of := range w.results {
		room += len(of.of)
	}
	return len(w.results), room
}

func expectPlaces(t *testing.T, results []deliveries.Result, want ...string) {
	t.Helper()
	if got := places(results); !slices.Equal(got, want) {
		t.Errorf("results of %v, want %v", got, want)
	}
}

func soon(string) time.Duration { return time.Millisecond }

func TestResultsAreInTheOrderOfTheEvents(t *testing.T) {
	late := map[string]time.Duration{"1-0": 3 * time.Second, "1-2": time.Second, "2-0": 2 * time.Second}
	collects(t, event.Filter{}, func(id string) time.Duration { return late[id] }, deliveredAlways, func(w *Worker) {
		w.Give([]eventlog.Segment{numbered(1, 4), numbered(2, 2)})
		time.Sleep(time.Minute)
		expectPlaces(t, w.TakeResults(1), "1-0", "1-1", "1-2", "1-3")
		expectPlaces(t, w.TakeResults(allSegments), "2-0", "2-1")
		expectPlaces(t, w.TakeResults(allSegments))
	})
}

const allSegments = 1 << 60

// A leave takes results before the other calls of their segment end.
func TestEachResultIsTakenOnce(t *testing.T) {
	late := map[string]time.Duration{"1-0": 3 * time.Second, "1-2": time.Second}
	collects(t, event.Filter{}, func(id string) time.Duration { return max(late[id], time.Millisecond) }, deliveredAlways, func(w *Worker) {
		w.Give([]eventlog.Segment{numbered(1, 4), numbered(2, 1)})
		synctest.Wait()
		if segments, room := w.roomForResults(); segments != 2 || room != 0 {
			t.Errorf("there is room for %d results of %d segments before the first", room, segments)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		expectPlaces(t, w.TakeResults(allSegments), "1-1", "1-3", "2-0")
		time.Sleep(2 * time.Second)
		expectPlaces(t, w.TakeResults(allSegments), "1-2")
		time.Sleep(time.Minute)
		expectPlaces(t, w.TakeResults(allSegments), "1-0")
		if segments, _ := w.roomForResults(); segments != 0 {
			t.Errorf("it keeps %d segments whose results are taken", segments)
		}
	})
}

func TestResultsThatAreReturnedAreTakenAgain(t *testing.T) {
	collects(t, event.Filter{}, soon, deliveredAlways, func(w *Worker) {
		w.Give([]eventlog.Segment{numbered(1, 2), numbered(2, 1), numbered(3, 1)})
		time.Sleep(time.Minute)
		taken := w.TakeResults(2)
		w.ReturnResults(taken)
		expectPlaces(t, w.TakeResults(1), "1-0", "1-1")
		expectPlaces(t, w.TakeResults(3), "2-0", "3-0")
	})
}

// What passes no filter, fails, or was acknowledged before has no result, and no room for one.
func TestOnlyWhatIsSentHasAResult(t *testing.T) {
	named := numbered(1, 6)
	for i := range named.Events {
		if i%2 == 1 {
			named.Events[i].Name = "order.changed"
		}
	}
	filter := event.Filter{Names: []string{"order.changed"}}
	answer := func(id string) sink.Verdict {
		switch id {
		case "1-3":
			return sink.Verdict{Outcome: sink.Rejected, Status: 400, Cause: "no"}
		case "1-5":
			return sink.Verdict{Outcome: sink.Retry}
		}
		return sink.Verdict{Outcome: sink.Delivered, Status: 200}
	}
	collects(t, filter, soon, answer, func(w *Worker) {
		w.Give([]eventlog.Segment{named})
		time.Sleep(time.Minute)
		if _, room := w.roomForResults(); room != 3 {
			t.Errorf("there is room for %d results, want 3", room)
		}
		results := w.TakeResults(allSegments)
		expectPlaces(t, results, "1-1", "1-3")
		if r := results[1]; r.Outcome != deliveries.Rejected || r.Status != 400 || r.Cause != "no" || r.Attempts != 1 {
			t.Errorf("%+v", r)
		}
	})
}

func TestRoomForResultsIsForThoseStillToBeSent(t *testing.T) {
	state := handoff.AckState{Offset: handoff.Offset{Index: 2}, Ahead: []int{1, handoff.Acked}, FirstTries: []int64{7}}
	synctest.Test(t, func(t *testing.T) {
		w := New(context.Background(), Job{
			Send: func(context.Context, *event.Event, int) sink.Verdict {
				return sink.Verdict{Outcome: sink.Delivered, Started: time.UnixMilli(9)}
			},
			Keep:  func(context.Context, *event.Event, int, sink.Verdict) error { return nil },
			Slots: NewSlots(1, "acme", nil), Start: state, Results: true, Now: time.Now, Changed: make(chan struct{}, 1),
		})
		defer w.Abandon()
		w.Extend(time.Now().Add(time.Hour))
		w.Give([]eventlog.Segment{numbered(1, 5)})
		synctest.Wait()
		results := w.TakeResults(1)
		expectPlaces(t, results, "1-2", "1-4")
		if r := results[0]; r.Attempts != 2 || r.First != 7 || r.Last != 9 {
			t.Errorf("%+v", r)
		}
	})
}
