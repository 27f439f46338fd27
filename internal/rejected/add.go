package rejected

import (
	"context"
	"fmt"
	"strings"
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
// a long run of rejections. Events that are added while others of the integration are
// being stored are stored together.
func (s *Service) Add(ctx context.Context, t *worker.Target, ev *event.Event, attempt int, v sink.Verdict) error {
	r := &rejection{target: t, event: ev, attempt: attempt, verdict: v, stored: make(chan error, 1)}
	key := store.HistoryOf(t.Integration)
	turn := s.turns.join(key, r)
	defer s.turns.leave(key, turn, r)
	for {
		select {
		case err := <-r.stored:
			return err
		case turn.token <- struct{}{}:
			batch := s.turns.take(turn)
			err := s.save(ctx, key, batch)
			s.turns.settle(turn, batch, r, err, ctx.Err() != nil)
			<-turn.token
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// save stores the rejections of one integration in one commit.
func (s *Service) save(ctx context.Context, h store.History, batch []*rejection) error {
	if len(batch) == 0 {
		return nil // another caller's commit had them
	}
	if err := store.Transact(func() error { return s.commit(ctx, h, batch) }); err != nil {
		return err
	}
	for _, r := range batch {
		if r.target.Rejections.Add(1) == longRun {
			s.Logger.WarnContext(ctx, "receiver rejects every event",
				"tenant", h.Tenant, "integration", h.Integration, "rejected_in_a_row", longRun, "reason", r.verdict.Reason)
		}
	}
	return nil
}

func (s *Service) commit(ctx context.Context, h store.History, batch []*rejection) error {
	now := s.Now()
	index, err := s.Store.RejectedIndex(ctx, h)
	if err != nil {
		return err
	}
	var writes []store.Write
	added := map[string]*rejection{}
	run := map[*worker.Target]int32{}
	for _, r := range batch {
		if ev := r.event; !index.Contains(ev.ID) {
			added[ev.ID] = r
			index.Events = append(index.Events, integration.RejectedRef{EventID: ev.ID, CreatedAt: now, Name: ev.Name, Reason: integration.ReasonRejected, Status: r.verdict.Status})
			writes = append(writes, entry(h, now, integration.ActionEventRejected, "Event %s (%s) was rejected. %s", ev.ID, ev.Name, r.verdict.Reason))
		}
		if run[r.target]++; r.target.Rejections.Load()+run[r.target] == longRun {
			writes = append(writes, entry(h, now, integration.ActionEventRejected, longRunReason, longRun, s.Settings.MaxRejected))
		}
	}
	if len(added) > 0 {
		writes = append(writes, s.evict(h, index, added, now)...)
		writes = append(writes, store.PutRejectedIndex{History: h, Index: index})
	}
	for _, r := range batch {
		if added[r.event.ID] != r {
			continue
		}
		kept := &integration.Rejected{Event: *r.event, CreatedAt: now, Attempts: r.attempt}
		writes = append(writes, store.PutRejected{History: h, Rejected: kept})
	}
	if len(writes) == 0 {
		return nil
	}
	return s.Store.Commit(ctx, writes...)
}

// AddSkipped returns the writes that put a skipped event into the list, and that evict the
// oldest event if the list is full; none if the event is in it already.
func (s *Service) AddSkipped(ctx context.Context, h store.History, ev *event.Event, attempts int) ([]store.Write, error) {
	now := s.Now()
	index, err := s.Store.RejectedIndex(ctx, h)
	if err != nil || index.Contains(ev.ID) {
		return nil, err
	}
	index.Events = append(index.Events, integration.RejectedRef{EventID: ev.ID, CreatedAt: now, Name: ev.Name, Reason: integration.ReasonSkipped})
	writes := s.evict(h, index, map[string]*rejection{}, now)
	return append(writes, store.PutRejectedIndex{History: h, Index: index},
		store.PutRejected{History: h, Rejected: &integration.Rejected{Event: *ev, CreatedAt: now, Attempts: attempts}}), nil
}

func entry(h store.History, at time.Time, action integration.Action, format string, args ...any) store.AddEntry {
	return store.AddEntry{History: h, Entry: integration.LogEntry{Action: action, CreatedAt: at, Reason: fmt.Sprintf(format, args...)}}
}

// These bound the size of one Commit: later ones store and evict the rest.
const (
	maxBatch      = 16
	maxBatchBytes = 1 << 20 // of events, or a single one; DynamoDB takes 4 MB
	maxEvicted    = 40
)

// evict removes the oldest events over the limit from the index, and returns the
// writes that delete them and the log entry that names them. One that was only added
// is removed from added: it need not be stored first.
func (s *Service) evict(h store.History, index *integration.RejectedIndex, added map[string]*rejection, now time.Time) []store.Write {
	over := min(len(index.Events)-s.Settings.MaxRejected, maxEvicted)
	if over <= 0 {
		return nil
	}
	var writes []store.Write
	var ids []string
	for _, oldest := range index.Events[:over] {
		ids = append(ids, oldest.EventID)
		if added[oldest.EventID] != nil {
			delete(added, oldest.EventID)
		} else {
			writes = append(writes, store.DeleteRejected{History: h, EventID: oldest.EventID})
		}
	}
	index.Events = index.Events[over:]
	text := "Rejected event %s was evicted: only the newest %d are kept. Use a replay to get it again."
	if len(ids) > 1 {
		text = "Rejected events %s were evicted: only the newest %d are kept. Use a replay to get them again."
	}
	return append(writes, entry(h, now, integration.ActionRejectedEvicted, text, strings.Join(ids, ", "), s.Settings.MaxRejected))
}
