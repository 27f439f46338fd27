package worker

import (
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/sink"
)

// results are those of the calls with the events of a segment, in the order of the events,
// in which they are saved: the calls begin in that order, and end in another.
type results struct {
	segment uint64
	of      []deliveries.Result // nil before the first; one that is missing, or was taken, has no Attempts
	begun   int                 // calls
	missing int                 // that have not ended, begun or not
	gone    int                 // results that were taken
}

// expect gives the result of a call that begins its place. w.mu is held.
func (w *Worker) expect(i item) item {
	b := i.segment
	if b.results == nil {
		b.results = &results{segment: b.Number, missing: b.open}
		w.results = append(w.results, b.results)
	}
	i.nth = b.results.begun
	b.results.begun++
	return i
}

// room makes room for the results when there is one: a receiver that hangs has none.
func (of *results) room() {
	if of.of == nil {
		of.of = make([]deliveries.Result, of.missing)
	}
}

// collect notes the result of a call that acknowledges its event. w.mu is held.
func (w *Worker) collect(i item, v sink.Verdict) {
	if !w.job.Results {
		return
	}
	began := millis(v.Started)
	of := i.segment.results
	of.room()
	of.missing--
	r := &of.of[i.nth]
	*r = deliveries.Result{
		Place: i.place(), Outcome: deliveries.Delivered, Attempts: i.attempt, First: began,
		Last: began, Took: v.Took.Milliseconds(), Status: v.Status,
	}
	if i.attempt > 1 {
		r.First = i.segment.firstTries[i.index]
	}
	if v.Outcome == sink.Rejected {
		r.Outcome, r.Cause = deliveries.Rejected, v.Cause
	}
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
	var taken []deliveries.Result
	w.returned = slices.DeleteFunc(w.returned, func(r deliveries.Result) bool {
		if r.Segment > upTo {
			return false
		}
		taken = append(taken, r)
		return true
	})
	w.results = slices.DeleteFunc(w.results, func(of *results) bool {
		if of.segment > upTo {
			return false
		}
		taken = of.take(taken)
		return of.missing == 0
	})
	return taken
}

// take moves the results that are there to those that are taken already.
func (of *results) take(taken []deliveries.Result) []deliveries.Result {
	there := len(of.of) - of.missing - of.gone
	switch {
	case of.of == nil || there == 0:
		return taken
	case there == len(of.of) && len(taken) == 0:
		return of.of
	}
	taken = slices.Grow(taken, there)
	for i, r := range of.of {
		if r.Attempts > 0 {
			taken = append(taken, r)
			of.of[i].Attempts = 0
		}
	}
	of.gone += there
	return taken
}

// ReturnResults gives back what TakeResults returned, if the commit failed.
func (w *Worker) ReturnResults(taken []deliveries.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.returned = append(w.returned, taken...)
}
