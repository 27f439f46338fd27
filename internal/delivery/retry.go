package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// RetryRejected sends a rejected event again, at once, also while the
// integration is stopped. When the receiver takes it, it leaves the list.
// Errors: problem.NotFound, problem.RetryInProgress while another retry of it
// is under way, problem.ReceiverFailed when the receiver fails again.
func (e *Engine) RetryRejected(ctx context.Context, tenant, id, eventID string) error {
	in, err := e.Store.Integration(ctx, tenant, id)
	if err != nil {
		return err
	}
	h := store.HistoryOf(in)
	rejected, err := e.Store.Rejected(ctx, h, eventID)
	if err != nil {
		return err
	}
	underWay := problem.New(problem.RetryInProgress, "A retry of event %s is under way. Wait for its answer before you retry it again.", eventID)
	if e.Now().Before(rejected.RetryUntil) {
		return underWay
	}
	t, err := e.target(ctx, in)
	if err != nil {
		return err
	}
	rejected.RetryUntil = e.Now().Add(e.Settings.WebhookTimeout + clockSlack)
	err = e.Store.Commit(ctx, store.PutRejected{History: h, Rejected: rejected})
	if errors.Is(err, store.ErrConflict) {
		return underWay
	}
	if err != nil {
		return err
	}
	v := e.attempt(ctx, in, 0, t.sender, &rejected.Event, rejected.Attempts+1)
	// What was sent is recorded, even if the caller is gone by now.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.Settings.WebhookTimeout)
	defer cancel()
	if v.Outcome == Delivered {
		return e.forget(ctx, h, rejected)
	}
	if v.Outcome != Interrupted {
		rejected.Attempts++
	}
	rejected.RetryUntil = time.Time{}
	err = e.Store.Commit(ctx, store.PutRejected{History: h, Rejected: rejected})
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return err
	}
	return problem.New(problem.ReceiverFailed, "The receiver failed again, so event %s stays in the list. %s", eventID, v.Reason)
}

// forget takes a rejected event that was sent again off the list.
func (e *Engine) forget(ctx context.Context, h store.History, sent *integration.Rejected) error {
	return repeat(func() error {
		index, err := e.Store.RejectedIndex(ctx, h)
		if err != nil {
			return err
		}
		index.Entries = slices.DeleteFunc(index.Entries, func(r integration.RejectedEntry) bool { return r.EventID == sent.Event.ID })
		return e.Store.Commit(ctx,
			store.PutRejectedIndex{History: h, Index: index},
			store.DeleteRejected{History: h, EventID: sent.Event.ID},
			store.AddEntry{History: h, Entry: integration.LogEntry{
				Action: integration.ActionRejectedRetried, CreatedAt: e.Now(),
				Reason: fmt.Sprintf("Rejected event %s (%s) was sent again and delivered.", sent.Event.ID, sent.Event.Name),
			}})
	})
}
