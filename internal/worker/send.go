package worker

import (
	"time"

	"github.com/sluicehq/sluice/internal/backoff"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/timelimit"
)

// unsentDelay is how long it takes before a call is made again that our side could not make.
const unsentDelay = time.Second

// send makes one attempt. While our side cannot connect it tries again after a
// delay, which is no attempt of the receiver.
func (w *Worker) send(calls *timelimit.Calls, i item) sink.Verdict {
	for {
		v := w.job.Send(calls, i.event(), i.attempt)
		if v.Outcome != sink.Unsent {
			return v
		}
		if !w.awaitConnection() {
			return v
		}
	}
}

// awaitConnection waits before an unsent call is made again. It returns false if the
// call may not be made any more.
func (w *Worker) awaitConnection() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unsent++
	defer func() { w.unsent-- }()
	for {
		w.mu.Unlock()
		err := backoff.Wait(w.ctx, unsentDelay)
		w.mu.Lock()
		switch {
		case err != nil:
			w.closed = true
			return false
		case w.ended():
			return false
		case w.job.Now().Before(w.deadline):
			return true
		}
	}
}
