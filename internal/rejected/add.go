package rejected

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
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
	attempts := 0
	err := store.Transact(func() error {
		attempts++
		return s.commit(ctx, h, batch, attempts > 1)
	})
	if err != nil {
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

// commit stores the rejections. An event is taken to be new, as nearly all are. If one
// is not, the commit is a conflict; then repeated looks which of them are in the list.
func (s *Service) commit(ctx context.Context, h store.History, batch []*rejection, repeated bool) error {
	now := s.Now()
	count, err := s.Store.RejectedCount(ctx, h)
	if err != nil {
		return err
	}
	var writes []store.Write
	var added []*integration.Rejected
	run := map[*worker.Target]int32{}
	for _, r := range batch {
		listed, err := s.listed(ctx, h, r.event.ID, added, repeated)
		if err != nil {
			return err
		}
		if ev := r.event; !listed {
			added = append(added, &integration.Rejected{
				Event: *ev, CreatedAt: count.Add(now), Reason: integration.ReasonRejected, Status: r.verdict.Status, Attempts: r.attempt,
			})
			writes = append(writes, entry(h, now, integration.ActionEventRejected, "Event %s (%s) was rejected. %s", ev.ID, ev.Name, r.verdict.Reason))
		}
		if run[r.target]++; r.target.Rejections.Load()+run[r.target] == longRun {
			long := entry(h, now, integration.ActionEventRejected, longRunReason, longRun, s.Settings.MaxRejected)
			long.Alert = integration.AlertRejecting
			writes = append(writes, long)
		}
	}
	puts, err := s.puts(ctx, h, count, added, now)
	if err != nil {
		return err
	}
	if writes = append(writes, puts...); len(writes) == 0 {
		return nil
	}
	return s.Store.Commit(ctx, writes...)
}

// listed reports whether an event is among those that are added, or, if stored, in the list.
func (s *Service) listed(ctx context.Context, h store.History, eventID string, added []*integration.Rejected, stored bool) (bool, error) {
	if slices.ContainsFunc(added, func(r *integration.Rejected) bool { return r.Event.ID == eventID }) {
		return true, nil
	}
	if !stored {
		return false, nil
	}
	_, err := s.Store.Rejected(ctx, h, eventID)
	if problem.CodeOf(err) == problem.NotFound {
		return false, nil
	}
	return err == nil, err
}

// puts returns the writes that put events into the list, which counts them already, and that
// evict the oldest over the limit; none for no events.
func (s *Service) puts(ctx context.Context, h store.History, count *integration.RejectedCount, added []*integration.Rejected, now time.Time) ([]store.Write, error) {
	if len(added) == 0 {
		return nil, nil
	}
	stored, writes, err := s.evict(ctx, h, count, added, now)
	if err != nil {
		return nil, err
	}
	for _, r := range stored {
		writes = append(writes, store.PutRejected{History: h, Rejected: r})
	}
	return append(writes, store.PutRejectedCount{History: h, Count: count}), nil
}

// AddSkipped returns the writes that put a skipped event into the list, and that evict the
// oldest event if the list is full; none if the event is in it already. status is that of
// the response to its last attempt, 0 if it is not known.
func (s *Service) AddSkipped(ctx context.Context, h store.History, ev *event.Event, attempts, status int) ([]store.Write, error) {
	now := s.Now()
	count, err := s.Store.RejectedCount(ctx, h)
	if err != nil {
		return nil, err
	}
	if listed, err := s.listed(ctx, h, ev.ID, nil, true); err != nil || listed {
		return nil, err
	}
	skipped := &integration.Rejected{Event: *ev, CreatedAt: count.Add(now), Reason: integration.ReasonSkipped, Status: status, Attempts: attempts}
	return s.puts(ctx, h, count, []*integration.Rejected{skipped}, now)
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

// mostEvicted is how many events a Commit that adds some may evict: besides these and their
// log entries it has the count, two log entries of its own, what a skip writes, and what
// tells an operator.
func mostEvicted(added int) int { return min(maxEvicted, (store.MaxWrites-7-3*added)/2) }

// evict removes the oldest events over the limit from the list. It returns which of the
// added ones are still to be stored, the writes that delete the others, and the log entry
// that names them.
func (s *Service) evict(ctx context.Context, h store.History, count *integration.RejectedCount, added []*integration.Rejected, now time.Time) (stored []*integration.Rejected, writes []store.Write, err error) {
	over := min(count.Kept-s.Settings.MaxRejected, mostEvicted(len(added)))
	if over <= 0 {
		return added, nil, nil
	}
	oldest, err := s.Store.OldestRejected(ctx, h, over)
	if err != nil {
		return nil, nil, err
	}
	var ids []string
	for _, ref := range oldest {
		if listed, _ := s.listed(ctx, h, ref.EventID, added, false); listed {
			return nil, nil, store.ErrConflict // it was in the list: look which of them are
		}
		count.Remove(ref.EventID)
		ids = append(ids, ref.EventID)
		writes = append(writes, store.DeleteRejected{History: h, Ref: ref})
	}
	unstored := min(over-len(oldest), len(added))
	for _, r := range added[:unstored] {
		count.Remove(r.Event.ID)
		ids = append(ids, r.Event.ID)
	}
	text := "Rejected event %s was evicted: only the newest %d are kept. Use a replay to get it again."
	if len(ids) > 1 {
		text = "Rejected events %s were evicted: only the newest %d are kept. Use a replay to get them again."
	}
	return added[unstored:], append(writes, entry(h, now, integration.ActionRejectedEvicted, text, strings.Join(ids, ", "), s.Settings.MaxRejected)), nil
}
