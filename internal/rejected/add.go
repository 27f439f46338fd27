package rejected

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// longRun is how many rejections in a row trigger a warning: one event may be bad,
// but hardly twenty in a row.
const longRun = 20

const longRunReason = "ATTENTION: the last %d responses were all 400. Rejected events are not sent again, and only the newest %d are kept. " +
	"Stop the integration, check callback_url and the receiver, and start it again. " +
	"Then retry the rejected events; use a replay to get evicted events again."

// Add stores an event that the target's receiver rejected, adds an entry to the
// integration's log, and evicts the oldest rejected events over the limit. It is
// idempotent: after a crash the same event may be added again. It warns once about
// a long run of rejections.
func (s *Service) Add(ctx context.Context, t *worker.Target, ev *event.Event, attempt int, v sink.Verdict) error {
	in := t.Integration
	endTurn, err := s.turns.take(ctx, in)
	if err != nil {
		return err
	}
	defer endTurn()
	warn := t.Rejections.Load()+1 == longRun
	if err := store.Transact(func() error { return s.add(ctx, in, ev, attempt, v, warn) }); err != nil {
		return err
	}
	t.Rejections.Add(1)
	if warn {
		s.Logger.WarnContext(ctx, "receiver rejects every event",
			"tenant", in.Tenant, "integration", in.ID, "rejected_in_a_row", longRun, "reason", v.Reason)
	}
	return nil
}

func (s *Service) add(ctx context.Context, in *integration.Integration, ev *event.Event, attempt int, v sink.Verdict, warn bool) error {
	h, now := store.HistoryOf(in), s.Now()
	index, err := s.Store.RejectedIndex(ctx, h)
	if err != nil {
		return err
	}
	var writes []store.Write
	if !index.Contains(ev.ID) {
		index.Events = append(index.Events, integration.RejectedRef{EventID: ev.ID, CreatedAt: now})
		writes = append(writes,
			store.PutRejected{History: h, Rejected: &integration.Rejected{Event: *ev, CreatedAt: now, Attempts: attempt}},
			entry(h, now, integration.ActionEventRejected, "Event %s (%s) was rejected. %s", ev.ID, ev.Name, v.Reason))
		writes = append(writes, s.evict(h, index, now)...)
		writes = append(writes, store.PutRejectedIndex{History: h, Index: index})
	}
	if warn {
		writes = append(writes, entry(h, now, integration.ActionEventRejected, longRunReason, longRun, s.Settings.MaxRejected))
	}
	if len(writes) == 0 {
		return nil
	}
	return s.Store.Commit(ctx, writes...)
}

func entry(h store.History, at time.Time, action integration.Action, format string, args ...any) store.AddEntry {
	return store.AddEntry{History: h, Entry: integration.LogEntry{Action: action, CreatedAt: at, Reason: fmt.Sprintf(format, args...)}}
}

// maxEvicted bounds the size of one Commit after the limit was lowered; later
// rejections evict the rest.
const maxEvicted = 40

// evict removes the oldest events over the limit from the index, and returns the
// writes that delete them.
func (s *Service) evict(h store.History, index *integration.RejectedIndex, now time.Time) []store.Write {
	var writes []store.Write
	for n := 0; len(index.Events) > s.Settings.MaxRejected && n < maxEvicted; n++ {
		oldest := index.Events[0].EventID
		index.Events = index.Events[1:]
		writes = append(writes,
			store.DeleteRejected{History: h, EventID: oldest},
			entry(h, now, integration.ActionRejectedEvicted, "Rejected event %s was evicted: only the newest %d are kept. Use a replay to get it again.", oldest, s.Settings.MaxRejected))
	}
	return writes
}

// turns serialises the writes of an integration's rejections. They all change the
// same index: without it, those of a receiver that rejects everything would
// conflict with each other all the time.
type turns struct {
	mu   sync.Mutex
	held map[store.History]*turn
}

type turn struct {
	token chan struct{} // has room for one
	users int           // holding it or waiting for it
}

// take waits for the integration's turn, or until ctx ends.
func (t *turns) take(ctx context.Context, in *integration.Integration) (end func(), err error) {
	key := store.HistoryOf(in)
	turn := t.join(key)
	select {
	case turn.token <- struct{}{}:
		return func() { <-turn.token; t.leave(key, turn) }, nil
	case <-ctx.Done():
		t.leave(key, turn)
		return nil, context.Cause(ctx)
	}
}

func (t *turns) join(key store.History) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held == nil {
		t.held = make(map[store.History]*turn)
	}
	if t.held[key] == nil {
		t.held[key] = &turn{token: make(chan struct{}, 1)}
	}
	t.held[key].users++
	return t.held[key]
}

func (t *turns) leave(key store.History, turn *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if turn.users--; turn.users == 0 {
		delete(t.held, key)
	}
}
