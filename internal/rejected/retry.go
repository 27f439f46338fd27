package rejected

import (
	"context"
	"errors"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
)

// clockSlack allows for the clocks of two hosts to differ.
const clockSlack = time.Second

// Retry sends a rejected event again, at once, also while the integration is
// stopped. When the receiver takes it, it leaves the list. Errors besides
// NotFound: problem.RetryInProgress while another retry of it is in flight,
// problem.ReceiverFailed when the receiver fails again.
func (s *Service) Retry(ctx context.Context, tenant, id, eventID string) error {
	in, err := s.Integrations.Get(ctx, tenant, id)
	if err != nil {
		return err
	}
	r, err := s.get(ctx, in, eventID)
	if err != nil {
		return err
	}
	inProgress := problem.New(problem.RetryInProgress, "A retry of event %s is in progress. Wait for its answer before you retry it again.", eventID)
	if s.Now().Before(r.RetryUntil) {
		return inProgress
	}
	target, err := s.Targets.Target(ctx, in)
	if err != nil {
		return err
	}
	h := store.HistoryOf(in)
	r.RetryUntil = s.Now().Add(s.Settings.WebhookTimeout + clockSlack)
	err = s.Store.Commit(ctx, store.PutRejected{History: h, Rejected: r})
	if errors.Is(err, store.ErrConflict) {
		return inProgress
	}
	if err != nil {
		return err
	}
	v := target.Send(ctx, 0, &r.Event, r.Attempts+1)
	// What was sent is recorded, even if the caller is gone by now.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Settings.WebhookTimeout)
	defer cancel()
	if v.Outcome == sink.Delivered {
		return s.delivered(ctx, h, r)
	}
	return s.failed(ctx, h, r, v)
}

// delivered takes an event that was sent again off the list.
func (s *Service) delivered(ctx context.Context, h store.History, r *integration.Rejected) error {
	return store.Transact(func() error {
		index, err := s.Store.RejectedIndex(ctx, h)
		if err != nil {
			return err
		}
		index.Remove(r.Event.ID)
		return s.Store.Commit(ctx,
			store.PutRejectedIndex{History: h, Index: index},
			store.DeleteRejected{History: h, EventID: r.Event.ID},
			entry(h, s.Now(), integration.ActionRejectedRetried, "Rejected event %s (%s) was sent again and delivered.", r.Event.ID, r.Event.Name))
	})
}

// failed counts the attempt and ends the retry's lease.
func (s *Service) failed(ctx context.Context, h store.History, r *integration.Rejected, v sink.Verdict) error {
	if v.Outcome != sink.Interrupted {
		r.Attempts++
	}
	r.RetryUntil = time.Time{}
	err := s.Store.Commit(ctx, store.PutRejected{History: h, Rejected: r})
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return err
	}
	return problem.New(problem.ReceiverFailed, "The receiver failed again, so event %s stays in the list. %s", r.Event.ID, v.Reason)
}
