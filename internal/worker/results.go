package worker

import (
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/sink"
)

// collect notes the result of a call that acknowledges its event. w.mu is held.
func (w *Worker) collect(i item, v sink.Verdict) {
	if !w.job.Results {
		return
	}
	began := millis(v.Started)
	r := deliveries.Result{
		Place: i.place(), Outcome: deliveries.Delivered, Attempts: i.attempt, First: began,
		Last: began, Took: v.Took.Milliseconds(), Status: v.Status,
	}
	if i.attempt > 1 {
		r.First = i.segment.firstTries[i.index]
	}
	if v.Outcome == sink.Rejected {
		r.Outcome, r.Cause = deliveries.Rejected, v.Cause
	}
	w.results = append(w.results, r)
}

// millis returns a time in ms since 1970, 0 for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// TakeResults returns the results that are in segments up to the given one, for the commit
// that moves the offset past them, and forgets them.
func (w *Worker) TakeResults(upTo uint64) []deliveries.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	later := func(r deliveries.Result) bool { return r.Segment > upTo }
	if !slices.ContainsFunc(w.results, later) {
		taken := w.results
		w.results = nil
		return taken
	}
	var taken []deliveries.Result
	w.results = slices.DeleteFunc(w.results, func(r deliveries.Result) bool {
		if later(r) {
			return false
		}
		taken = append(taken, r)
		return true
	})
	return taken
}

// ReturnResults gives back what TakeResults returned, if the commit failed.
func (w *Worker) ReturnResults(taken []deliveries.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.results = append(w.results, taken...)
}
