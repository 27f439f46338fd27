package rejected

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// clockSlack is how far the clocks of two hosts may differ.
const clockSlack = time.Second

// saveTimeout limits the saving of a retry's outcome, which may meet others that change the
// list. How long a receiver may take says nothing of it: an event whose delivery is not saved
// stays in the list, and is sent again.
const saveTimeout = 10 * time.Second

// Retry sends a rejected event again immediately, even if the integration is
// stopped, and removes it from the list once it is delivered. Errors besides
// NotFound: problem.RetryInProgress while another retry of the event is in flight,
// problem.ReceiverFailed if the receiver fails again, problem.Unavailable if no call
// can be made.
func (s *Service) Retry(ctx context.Context, tenant, id, eventID string) error {
	_, err := s.retry(ctx, tenant, id, eventID)
	return err
}

// retry also returns what the receiver failed with; "" if the call says nothing of it, as one
// for which our side lacks something.
func (s *Service) retry(ctx context.Context, tenant, id, eventID string) (cause string, err error) {
	in, err := s.Integrations.Get(ctx, tenant, id)
	if err != nil {
		return "", err
	}
	r, err := s.get(ctx, in, eventID)
	if err != nil {
		return "", err
	}
	inProgress := problem.New(problem.RetryInProgress, "A retry of event %s is in progress. Wait until it ends, then try again.", eventID)
	if s.Now().Before(r.RetryUntil) {
		return "", inProgress
	}
	target, err := s.Targets.Target(ctx, in)
	if err != nil {
		return "", err
	}
	defer target.Release()
	give, err := s.reserve(ctx, target)
	if err != nil {
		return "", err
	}
	defer give()
	h := store.HistoryOf(in)
	r.RetryUntil = s.Now().Add(s.Settings.LongestCall() + saveTimeout + clockSlack)
	err = s.Store.Commit(ctx, store.PutRejected{History: h, Rejected: r})
	if errors.Is(err, store.ErrConflict) {
		return "", inProgress
	}
	if err != nil {
		return "", err
	}
	v := s.send(ctx, target, r)
	ctx, cancel := saving(ctx)
	defer cancel()
	if v.Outcome == sink.Delivered {
		return "", s.delivered(ctx, h, r)
	}
	err = s.failed(ctx, h, r, v)
	if v.Outcome == sink.Unsent { // its reason is for the operator
		return "", err
	}
	return cmp.Or(v.Cause, v.Reason), err
}

// reserve takes a place for the call. It waits for as long as the call may take.
func (s *Service) reserve(ctx context.Context, t *worker.Target) (give func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, s.Settings.LongestCall())
	defer cancel()
	if give, err = t.Reserve(ctx); err != nil {
		return nil, problem.Wrap(err, problem.Unavailable, "Too many calls to receivers are in flight (SLUICE_MAX_CALLS). Try again later.")
	}
	return give, nil
}

// saving returns a context in which an outcome is saved even if the caller is gone. It ends before
// the caller's deadline, if it has one, so that a function can still answer.
func saving(ctx context.Context) (context.Context, context.CancelFunc) {
	until, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	deadline, ok := ctx.Deadline()
	if !ok {
		return until, cancel
	}
	until, stop := context.WithDeadline(until, deadline.Add(-answerTime))
	return until, func() { stop(); cancel() }
}

const (
	answerMargin = 3 * time.Second // what is left of the caller's time for the outcome of a call
	answerTime   = time.Second     // and of that for the answer
)

// send calls the receiver, until shortly before the caller's deadline if it has one.
func (s *Service) send(ctx context.Context, t *worker.Target, r *integration.Rejected) sink.Verdict {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-answerMargin))
		defer cancel()
	}
	return t.Send(ctx, 0, &r.Event, r.Attempts+1)
}

// delivered removes an event from the list, if it is still there.
func (s *Service) delivered(ctx context.Context, h store.History, r *integration.Rejected) error {
	return store.Transact(func() error {
		writes, err := s.removal(ctx, h, r.Event.ID)
		if err != nil && problem.CodeOf(err) != problem.NotFound {
			return err
		}
		return s.Store.Commit(ctx, append(writes,
			entry(h, s.Now(), integration.ActionRejectedRetried, "Rejected event %s (%s) was retried and delivered.", r.Event.ID, r.Event.Name))...)
	})
}

// failed counts the attempt and ends the retry's lease.
func (s *Service) failed(ctx context.Context, h store.History, r *integration.Rejected, v sink.Verdict) error {
	if v.Outcome == sink.Retry || v.Outcome == sink.Rejected {
		r.Attempts++
	}
	r.RetryUntil = time.Time{}
	err := s.Store.Commit(ctx, store.PutRejected{History: h, Rejected: r})
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return err
	}
	if v.Outcome == sink.Unsent {
		return problem.New(problem.Unavailable, "The service cannot open a connection to a receiver at present. Try again later.")
	}
	if v.Outcome == sink.Interrupted {
		return problem.New(problem.ReceiverFailed, "The receiver did not respond in time; event %s stays in the list. It may have arrived all the same.", r.Event.ID)
	}
	return problem.New(problem.ReceiverFailed, "The receiver failed again; event %s stays in the list. %s", r.Event.ID, v.Reason)
}
