package rejected

import (
	"slices"
	"sync"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// rejection is one call of Add.
type rejection struct {
	target  *worker.Target
	event   *event.Event
	attempt int
	verdict sink.Verdict
	stored  chan error // has room for the outcome
}

// turns makes the rejections of an integration wait for each other. They all change the
// same count: without it, those of a receiver that rejects everything would conflict
// with each other all the time. The caller that has the turn stores what waits.
type turns struct {
	mu   sync.Mutex
	held map[store.History]*turn
}

type turn struct {
	token   chan struct{} // has room for one
	users   int           // calls of Add
	waiting []*rejection
}

// join adds a rejection to those that wait for the integration's turn.
func (t *turns) join(key store.History, r *rejection) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held == nil {
		t.held = make(map[store.History]*turn)
	}
	if t.held[key] == nil {
		t.held[key] = &turn{token: make(chan struct{}, 1)}
	}
	turn := t.held[key]
	turn.users++
	turn.waiting = append(turn.waiting, r)
	return turn
}

// leave is called at the end of Add. A rejection that still waits is given up.
func (t *turns) leave(key store.History, turn *turn, r *rejection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	turn.waiting = slices.DeleteFunc(turn.waiting, func(w *rejection) bool { return w == r })
	if turn.users--; turn.users == 0 {
		delete(t.held, key)
	}
}

// take returns those that wait longest, for one commit.
func (t *turns) take(turn *turn) []*rejection {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, bytes := 0, 0
	for n < min(len(turn.waiting), maxBatch) {
		if bytes += len(turn.waiting[n].event.Body); n > 0 && bytes > maxBatchBytes {
			break
		}
		n++
	}
	batch := slices.Clone(turn.waiting[:n])
	turn.waiting = slices.Delete(turn.waiting, 0, n)
	return batch
}

// settle tells the outcome of a commit to those whose rejections were in it. If it
// failed as the caller who made it was ended, the others wait for another turn.
func (t *turns) settle(turn *turn, batch []*rejection, own *rejection, err error, ended bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range batch {
		if err != nil && ended && r != own {
			turn.waiting = append(turn.waiting, r)
			continue
		}
		r.stored <- err
	}
}
