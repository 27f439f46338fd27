package worker

import "github.com/sluicehq/sluice/internal/fairshare"

// granted starts a call in the place that the worker has waited for, or gives it
// back.
func (w *Worker) granted() {
	place, claimed := w.claim()
	if !claimed {
		place.Give(w.job.Slots.tenant)
	}
}

// claim starts a call in the place that was granted, if it still may.
func (w *Worker) claim() (place *fairshare.Limiter, claimed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	place, w.awaited = w.awaited, nil
	w.job.Slots.left(w)
	if !w.mayStart(w.job.Now()) || !w.window.more() || !w.job.Slots.claim(w) {
		return place, false
	}
	if w.active == 0 {
		w.movedAt = w.job.Now() // it was not slow: it had no place
	}
	go w.run(w.take(), place)
	w.start()
	return place, true
}

// withdraw ends the waiting for a place. w.mu is held.
func (w *Worker) withdraw() {
	if w.awaited.Cancel(&w.waiter) {
		w.awaited = nil
		w.job.Slots.left(w)
	}
}

// askAgain asks for a place of another kind than the one that the worker waits for.
func (w *Worker) askAgain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.withdraw()
	w.start()
}
